//! CPU time of programs that have ended.

use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of all programs that this process started and waited for so far, and of those that they started and
/// waited for (proc_pid_stat(5), fields 16 and 17).
fn of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    parse(&stat).context("/proc/self/stat has no CPU time of children")
}

fn parse(stat: &str) -> Option<Duration> {
    // The name, in parentheses, can hold anything; the third field comes after it.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace().skip(13).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()?.checked_add(fields.next()?.ok()?)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.checked_mul(1000)? / per_second))
}

/// Does this; how much CPU time the programs used that it started and waited for.
///
/// # Errors
/// It fails.
pub fn used_by<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let before = of_children()?;
    let done = work()?;
    Ok((done, of_children()?.saturating_sub(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_behind_a_name_that_can_hold_anything() {
        let fields: Vec<String> = (3..30).map(|n| n.to_string()).collect();
        let stat = format!("7 (a ) 16 b) {}", fields.join(" "));
        let per_second = rustix::param::clock_ticks_per_second();
        assert_eq!(parse(&stat), Some(Duration::from_millis(33_000 / per_second)));
        for nonsense in ["", "7 (a)", "7 (a) S 1 2 3"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_program_that_computes_is_counted() {
        let count = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let shell = || Ok(std::process::Command::new("sh").args(["-c", count]).status()?);
        let (ended, used) = used_by(shell).expect("counted");
        assert!(ended.success() && used > Duration::ZERO, "{used:?}");
    }
}
