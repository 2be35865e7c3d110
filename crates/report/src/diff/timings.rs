//! Times that changed by more than noise.

use hospitium_evidence::Cell;

use super::TimingChange;
use super::checks::{counts, outcome};
use crate::outcome::Outcome;
use crate::words::median;

/// A time is another if one is at least this many times the other. Two runs of one guest on one
/// host with nothing changed, on two CPUs that other programs used too, differ by less in all but
/// single checks (docs/diff.md).
pub const NOISE_FACTOR: f64 = 2.0;

/// And if they are at least so many milliseconds apart: below, the start of a process decides.
pub const NOISE_MS: f64 = 1_000.0;

/// The times of a cell that changed by more than noise, the largest factor first. Only checks that
/// passed both times are compared: a failure runs into its limit.
pub fn changed(before: &Cell, after: &Cell) -> Vec<TimingChange> {
    let (old, new) = (&before.record.timings, &after.record.timings);
    let mut times = vec![
        ("boot".to_owned(), old.boot_ms.zip(new.boot_ms)),
        ("clone".to_owned(), median(&old.clones_ms).zip(median(&new.clones_ms))),
        ("snapshot".to_owned(), old.snapshot_ms.zip(new.snapshot_ms)),
    ];
    let passed = |cell: &Cell, id: &str| {
        let check = cell.checks.iter().find(|check| check.id.as_str() == id)?;
        (outcome(cell, check) == Outcome::Pass).then_some(check.took_ms)
    };
    for check in after.checks.iter().filter(|check| counts(check)) {
        let id = check.id.as_str();
        times.push((id.to_owned(), passed(before, id).zip(passed(after, id))));
    }
    let mut changes: Vec<TimingChange> = times
        .into_iter()
        .filter_map(|(what, times)| {
            let (before_ms, after_ms) = times?;
            is_another(before_ms, after_ms).then_some(TimingChange { what, before_ms, after_ms })
        })
        .collect();
    changes.sort_by(|a, b| factor(b).total_cmp(&factor(a)));
    changes
}

fn is_another(before: f64, after: f64) -> bool {
    let good = |ms: f64| ms.is_finite() && ms >= 0.0;
    let (least, most) = (before.min(after), before.max(after));
    good(before) && good(after) && most - least >= NOISE_MS && most >= least * NOISE_FACTOR
}

fn factor(change: &TimingChange) -> f64 {
    let (least, most) =
        (change.before_ms.min(change.after_ms), change.before_ms.max(change.after_ms));
    most / least.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_no_change_and_nonsense_neither() {
        for (before, after, expected) in [
            (4.0, 900.0, false),
            (2_000.0, 3_500.0, false),
            (2_000.0, 4_000.0, true),
            (9_000.0, 1_000.0, true),
            (f64::NAN, 9_000.0, false),
            (-5.0, 9_000.0, false),
            (0.0, f64::INFINITY, false),
        ] {
            assert_eq!(is_another(before, after), expected, "{before} {after}");
        }
    }
}
