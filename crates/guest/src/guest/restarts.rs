//! A guest that starts over and over, told by its machine's resets.

use std::time::{Duration, Instant};

use hospitium_host::{EventKind, Machine};

/// Restarts before the probe's first answer that are taken for rebooting for ever. Firmware and a system's first
/// start can account for two.
const RESTARTS: u32 = 3;

/// Resets that follow the first of a restart within this time belong to it. One restart of Linux on QEMU is up to three:
/// Linux asks for one, SeaBIOS finds that it ran before and asks for another by port 0xCF9, and where the reset does not
/// come at once, by a triple fault (`qemu_reboot` in its src/fw/shadow.c), which the emulator may take for a third.
const ONE: Duration = Duration::from_secs(2);

/// Ends when the guest has restarted too often; how often.
pub(super) async fn too_many(machine: &dyn Machine) -> u32 {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let mut from = 0;
    let mut resets = Vec::new();
    while restarts(&resets) < RESTARTS {
        let is_reset = |kind: &EventKind| matches!(kind, EventKind::Reset { .. });
        match machine.wait_event(from, "a reset", YEAR, &is_reset).await {
            Ok((index, event)) => {
                from = index + 1;
                resets.push(event.at);
            }
            // The machine's death is told by others.
            Err(_) => std::future::pending::<()>().await,
        }
    }
    RESTARTS
}

/// How many restarts these resets are, which are given from the first on.
fn restarts(resets: &[Instant]) -> u32 {
    let (mut count, mut first) = (0, None);
    for &reset in resets {
        if first.is_none_or(|first| reset.saturating_duration_since(first) >= ONE) {
            (count, first) = (count + 1, Some(reset));
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resets_of_one_restart_are_one_and_those_without_end_are_counted() {
        let begun = Instant::now();
        let count = |ms: &[u64]| {
            let at = |ms: &u64| begun + Duration::from_millis(*ms);
            restarts(&ms.iter().map(at).collect::<Vec<_>>())
        };
        assert_eq!(count(&[]), 0);
        // As seen: a restart of Debian 12 on QEMU 7.2, with SeaBIOS, on a busy machine.
        assert_eq!(count(&[70_000, 70_008, 70_011]), 1);
        assert_eq!(count(&[0, 5, 60_000, 60_005, 60_009]), 2);
        // A guest that does nothing but reset, faster than a restart is told from the next.
        assert_eq!(count(&(0..50).map(|n| n * 100).collect::<Vec<_>>()), 3);
    }
}
