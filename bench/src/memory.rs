//! The most memory that a process had (proc(5)).

use anyhow::{Context, Result};

/// Begins to count this process's peak of memory anew (`clear_refs`).
pub fn forget_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("resetting the peak of memory")
}

/// The most memory that a process has had, in bytes.
pub fn peak_memory(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&status).with_context(|| format!("{path} has no VmHWM"))
}

fn parse(status: &str) -> Option<u64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t   12 kB\nVmRSS:\t  11 kB\n";
        assert_eq!(parse(status), Some(12 << 10));
        for nonsense in ["", "VmHWM:", "VmHWM: 12 MB", "VmHWM: 99999999999999999999 kB"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
