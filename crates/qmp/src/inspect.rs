//! What a machine does at this moment: its vCPUs by the monitor's `info registers`, and the text on its screen.

use hospitium_host::{HostError, Inspection, Screenshot, VcpuState};
use serde_json::json;

use crate::monitor::Monitor;
use crate::text_screen;

/// What a machine does now; `shot` is what its display shows.
///
/// # Errors
/// QEMU cannot be asked.
pub async fn inspect(
    monitor: &dyn Monitor,
    shot: Option<Screenshot>,
) -> Result<Inspection, HostError> {
    let doing = "looking at the vCPUs";
    let arguments = json!({"command-line": "info registers -a"});
    let answer = monitor.call(doing, "human-monitor-command", arguments).await?;
    let vcpus = vcpus(answer.as_str().unwrap_or_default());
    // What a display shows need not be text.
    let text = match shot {
        Some(shot) => text(monitor, &shot).await.ok().flatten(),
        None => None,
    };
    Ok(Inspection { vcpus, text })
}

/// The vCPUs in the answer of `info registers -a`, which QEMU has for people (`x86_cpu_dump_state` in
/// target/i386/cpu-dump.c): lines of `NAME=HEX`, in brackets the ring and whether it is halted.
fn vcpus(answer: &str) -> Vec<VcpuState> {
    let words = answer.split_whitespace().filter_map(|word| word.split_once('='));
    let mut found: Vec<VcpuState> = Vec::new();
    for (name, value) in words {
        match (name, found.last_mut()) {
            ("RIP" | "EIP", _) => {
                let instruction = u64::from_str_radix(value, 16).unwrap_or_default();
                found.push(VcpuState { instruction, ring: 0, halted: false });
            }
            ("CPL", Some(vcpu)) => vcpu.ring = value.parse().unwrap_or_default(),
            ("HLT", Some(vcpu)) => vcpu.halted = value == "1",
            _ => {}
        }
    }
    found
}

/// The rows of the screen, if it is in the text mode that a PC starts in.
async fn text(monitor: &dyn Monitor, shot: &Screenshot) -> Result<Option<Vec<String>>, HostError> {
    if !text_screen::fits(shot) {
        return Ok(None);
    }
    let bytes = monitor.memory(text_screen::WINDOW, text_screen::WINDOW_SIZE as u64).await?;
    Ok(text_screen::rows(shot, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 7.2, shortened: a guest that waits, and one in a program of its own.
    const ANSWER: &str = "\r\nCPU#0\r\nRAX=0000000000000000 RBX=ffffffff8260c940\r\n\
        RIP=ffffffff81a3b2ae RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n\
        ES =0000 0000000000000000 ffffffff 00c00100\r\nCR0=80050033\r\n\
        \r\nCPU#1\r\nEAX=00000010\r\nEIP=000ea0f2 EFL=00000002 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n";

    #[test]
    fn vcpus_that_wait_and_that_run_are_told_apart() {
        let told = vcpus(ANSWER);
        let halted = VcpuState { instruction: 0xffff_ffff_81a3_b2ae, ring: 0, halted: true };
        assert_eq!(told, [halted, VcpuState { instruction: 0xea0f2, ring: 3, halted: false }]);
        assert_eq!(vcpus("unknown command: 'info registers'"), []);
    }
}
