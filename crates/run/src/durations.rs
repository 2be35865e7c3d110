//! How long things took earlier, so that the longest start first and a person is told how long is left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::budget::Load;

/// Past this many, all are forgotten: they cost nothing but better guesses.
const MOST: usize = 20_000;
/// What a check is thought to take before it has been seen: one with a long limit boots or waits.
pub fn unknown_ms(limit: std::time::Duration) -> f64 {
    limit.as_secs_f64() * 1e3 / 40.0
}

/// What a check is thought to ask of the CPUs before it has been seen: one with so long a limit starts the
/// guest again. Three such at once on two CPUs took 118 s of CPU time for a restart of Debian 12 that takes
/// 60 s to 75 s otherwise: their vCPUs waited for each other.
fn unknown_load(limit: std::time::Duration) -> Load {
    if limit >= RESTARTS { Load::Works } else { Load::Usual }
}

/// The limit from which on a check is taken for one that starts the guest again.
const RESTARTS: std::time::Duration = std::time::Duration::from_secs(300);

/// What a boot is thought to take before any has been seen.
pub const UNKNOWN_BOOT_MS: f64 = 15_000.0;

/// The name of a check's CPU time among the durations.
fn cpu_of(what: &str) -> String {
    format!("{what} cpu")
}

/// Milliseconds by name, for one guest on one host and for any.
#[derive(Debug, Default)]
pub struct Durations {
    file: Option<PathBuf>,
    known: Mutex<BTreeMap<String, f64>>,
}

impl Durations {
    /// Those kept in this file; none if it is not there or cannot be read.
    pub fn kept_in(file: &Path) -> Self {
        let read = std::fs::read(file).ok().filter(|bytes| bytes.len() < 8 << 20);
        let known: BTreeMap<String, f64> =
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let good = |ms: &f64| ms.is_finite() && (0.0..1e9).contains(ms);
        let known = known.into_iter().filter(|(_, ms)| good(ms)).collect();
        Self { file: Some(file.to_owned()), known: Mutex::new(known) }
    }

    /// How long `what` took in `pair`, else anywhere.
    pub fn expected(&self, pair: &str, what: &str) -> Option<f64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&format!("{pair}|{what}")).or_else(|| known.get(what)).copied()
    }

    /// It took this long. The latest counts for half.
    pub fn took(&self, pair: &str, what: &str, ms: f64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST {
            known.clear();
        }
        for name in [format!("{pair}|{what}"), what.to_owned()] {
            known.entry(name).and_modify(|old| *old = (*old + ms) / 2.0).or_insert(ms);
        }
    }

    /// What a check asks of the CPUs, as far as it is known, else by its limit.
    pub fn load(&self, pair: &str, what: &str, limit: std::time::Duration) -> Load {
        let cpu = self.expected(pair, &cpu_of(what));
        match (cpu, self.expected(pair, what)) {
            (Some(cpu_ms), Some(took_ms)) => Load::seen(cpu_ms, took_ms),
            _ => unknown_load(limit),
        }
    }

    /// Its machine took this much CPU time. Of one that has ended by itself nothing is known, which is not
    /// that it took none.
    pub fn used(&self, pair: &str, what: &str, cpu_ms: f64) {
        if cpu_ms > 0.0 {
            self.took(pair, &cpu_of(what), cpu_ms);
        }
    }

    /// Writes them down. They are guesses; losing them is no error.
    pub fn keep(&self) {
        let Some(file) = &self.file else { return };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(bytes) = serde_json::to_vec(&*known) else {
            return;
        };
        let partial = file.with_extension(format!("partial-{}", std::process::id()));
        if std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, file)).is_err() {
            let _ = std::fs::remove_file(&partial);
        }
    }
}

/// How much longer, when these remain and `jobs` run at once: neither less than the longest of them
/// nor than their sum over the jobs.
pub fn left(remaining: impl IntoIterator<Item = f64>, jobs: usize) -> f64 {
    let (mut sum, mut longest) = (0.0, 0.0_f64);
    for ms in remaining {
        sum += ms;
        longest = longest.max(ms);
    }
    #[expect(clippy::cast_precision_loss, reason = "jobs are few")]
    let spread = sum / jobs.max(1) as f64;
    longest.max(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_asked_before_any_and_the_latest_counts_for_half() {
        let durations = Durations::default();
        durations.took("a", "cpu.count", 100.0);
        durations.took("b", "cpu.count", 300.0);
        assert_eq!(durations.expected("a", "cpu.count"), Some(100.0));
        assert_eq!(durations.expected("c", "cpu.count"), Some(200.0));
        assert_eq!(durations.expected("a", "other"), None);
    }

    #[test]
    fn what_works_and_what_waits_is_remembered() {
        let durations = Durations::default();
        durations.took("a", "boot.reboot-xn", 15_000.0);
        let minutes = |n: u64| std::time::Duration::from_secs(60 * n);
        assert_eq!(durations.load("a", "boot.reboot-xn", minutes(1)), Load::Usual);
        assert_eq!(durations.load("a", "boot.reboot-xn", minutes(10)), Load::Works);
        durations.used("a", "boot.reboot-xn", 0.0);
        assert_eq!(durations.load("a", "boot.reboot-xn", minutes(10)), Load::Works, "it had ended");
        durations.used("a", "boot.reboot-xn", 9_900.0);
        assert_eq!(durations.load("a", "boot.reboot-xn", minutes(1)), Load::Works);
        assert_eq!(durations.expected("a", "boot.reboot-xn"), Some(15_000.0));
    }

    #[test]
    fn nonsense_in_the_file_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("durations.json");
        for (text, expected) in [("[", None), ("{\"x\":-5}", None), ("{\"x\":5}", Some(5.0))] {
            std::fs::write(&file, text).expect("writes");
            assert_eq!(Durations::kept_in(&file).expected("p", "x"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_bounded_by_the_longest_and_by_the_sum() {
        assert_eq!(left([10.0, 1.0, 1.0], 3), 10.0);
        assert_eq!(left([10.0, 10.0, 10.0, 10.0], 2), 20.0);
        assert_eq!(left([], 2), 0.0);
    }
}
