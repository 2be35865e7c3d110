//! How long things took earlier, so that the longest start first and a person is told how long is left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hospitium_model::GuestKind;

use crate::budget::Load;
use crate::typical::typical;

/// Past this many, all are forgotten: they cost nothing but better guesses.
const MOST: usize = 20_000;
/// What is thought of a check that is nowhere known, not even among the typical ones: milliseconds.
const UNKNOWN_MS: f64 = 2_000.0;

/// A guest on a host, as far as it decides how long things take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Which guest on which host.
    pub name: String,
    /// What kind of guest it is: where a kernel is up in seconds, a whole system takes a minute.
    pub kind: GuestKind,
}

impl Pair {
    /// The names under which it is kept, the most exact first.
    fn names(&self, what: &str) -> [String; 2] {
        let kind = match self.kind {
            GuestKind::Kernel => "any kernel",
            GuestKind::Disk => "any disk",
        };
        [format!("{}|{what}", self.name), format!("{kind}|{what}")]
    }
}

/// The name of a check's CPU time among the durations.
pub fn cpu_of(what: &str) -> String {
    format!("{what} cpu")
}

/// Milliseconds by name, for one guest on one host and for any guest of a kind.
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

    /// How long `what` took of this pair, else of any of its kind, else what is typical of it.
    pub fn expected(&self, pair: &Pair, what: &str) -> f64 {
        self.seen(pair, what).or_else(|| typical(pair.kind, what)).unwrap_or(UNKNOWN_MS)
    }

    /// How long `what` took of this pair, else of any of its kind.
    pub fn seen(&self, pair: &Pair, what: &str) -> Option<f64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        pair.names(what).iter().find_map(|name| known.get(name)).copied()
    }

    /// It took this long. The latest counts for half.
    pub fn took(&self, pair: &Pair, what: &str, ms: f64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST {
            known.clear();
        }
        for name in pair.names(what) {
            known.entry(name).and_modify(|old| *old = (*old + ms) / 2.0).or_insert(ms);
        }
    }

    /// What a check asks of the CPUs: as it was seen, else as is typical of it.
    pub fn load(&self, pair: &Pair, what: &str) -> Load {
        let cpu = cpu_of(what);
        let known = |of: &dyn Fn(&str) -> Option<f64>| Some(Load::seen(of(&cpu)?, of(what)?));
        known(&|what| self.seen(pair, what))
            .or_else(|| known(&|what| typical(pair.kind, what)))
            .unwrap_or(Load::Usual)
    }

    /// Its machine took this much CPU time. Of one that has ended by itself nothing is known, which is not
    /// that it took none.
    pub fn used(&self, pair: &Pair, what: &str, cpu_ms: f64) {
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
        let _ = hospitium_files::replace(file, &bytes);
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

    fn pair(name: &str, kind: GuestKind) -> Pair {
        Pair { name: name.into(), kind }
    }

    #[test]
    fn a_pair_is_asked_before_its_kind_and_that_before_what_is_typical() {
        let durations = Durations::default();
        let kernel = |name| pair(name, GuestKind::Kernel);
        durations.took(&kernel("a"), "cpu.count", 100.0);
        durations.took(&kernel("b"), "cpu.count", 300.0);
        assert_eq!(durations.expected(&kernel("a"), "cpu.count"), 100.0);
        assert_eq!(durations.expected(&kernel("c"), "cpu.count"), 200.0, "the latest for half");
        let disk = pair("a", GuestKind::Disk);
        let typical = typical(GuestKind::Disk, "cpu.count").expect("is known");
        assert_eq!(durations.expected(&disk, "cpu.count"), typical, "a kernel tells nothing of it");
        assert_eq!(durations.expected(&disk, "of.another-suite"), UNKNOWN_MS);
    }

    #[test]
    fn what_works_and_what_waits_is_remembered() {
        let durations = Durations::default();
        let disk = pair("a", GuestKind::Disk);
        assert_eq!(durations.load(&disk, "boot.reboot-xn"), Load::Works, "before it was ever seen");
        durations.took(&disk, "boot.reboot-xn", 15_000.0);
        durations.used(&disk, "boot.reboot-xn", 0.0);
        assert_eq!(durations.load(&disk, "boot.reboot-xn"), Load::Works, "it had ended by itself");
        durations.used(&disk, "boot.reboot-xn", 900.0);
        assert_eq!(durations.load(&disk, "boot.reboot-xn"), Load::Waits);
        assert_eq!(durations.expected(&disk, "boot.reboot-xn"), 15_000.0);
        assert_eq!(durations.load(&disk, "of.another-suite"), Load::Usual);
    }

    #[test]
    fn nonsense_in_the_file_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("durations.json");
        let pair = pair("p", GuestKind::Kernel);
        for (text, expected) in [
            ("[", UNKNOWN_MS),
            ("{\"p|x\":-5}", UNKNOWN_MS),
            ("{\"p|x\":5}", 5.0),
            ("{\"any kernel|x\":7}", 7.0),
            ("{\"x\":5}", UNKNOWN_MS),
        ] {
            std::fs::write(&file, text).expect("writes");
            assert_eq!(Durations::kept_in(&file).expected(&pair, "x"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_bounded_by_the_longest_and_by_the_sum() {
        assert_eq!(left([10.0, 1.0, 1.0], 3), 10.0);
        assert_eq!(left([10.0, 10.0, 10.0, 10.0], 2), 20.0);
        assert_eq!(left([], 2), 0.0);
    }
}
