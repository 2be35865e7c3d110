//! How often checks are run, and in which order they begin.

use std::hash::Hasher as _;
use std::time::Duration;

use hospitium_model::{CheckId, span};
use hospitium_suite::Check;

/// How often each check is run. The default is once, and a failed one twice more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repeat {
    /// So many times.
    pub times: Option<u32>,
    /// For so long, counted from the cell's first check; each at least once.
    pub soak: Option<Duration>,
    /// No longer than until a check of the run fails.
    pub until_failure: bool,
}

impl Repeat {
    /// True if nothing is repeated.
    pub const fn is_once(&self) -> bool {
        self.times.is_none() && self.soak.is_none() && !self.until_failure
    }

    /// Whether a round begins: `round` are behind, since `since`, and something has `failed` or not.
    pub fn goes_on(&self, round: u32, since: Duration, failed: bool) -> bool {
        if self.until_failure && failed {
            return false;
        }
        let more = self.times.is_none_or(|times| round < times);
        more && self.soak.is_none_or(|soak| round == 0 || since < soak)
    }

    /// What was asked for, in words.
    pub fn words(&self) -> String {
        let mut words = match (self.times, self.soak) {
            (Some(times), _) => format!("{times} times"),
            (None, Some(soak)) => format!("for {}", long_span(soak)),
            (None, None) => String::new(),
        };
        if self.until_failure {
            words += if words.is_empty() { "until a failure" } else { ", or until a failure" };
        }
        words
    }
}

/// `2 h`, `90 min`, `45 s`.
fn long_span(time: Duration) -> String {
    match time.as_secs() {
        hours if hours >= 3_600 && hours % 3_600 == 0 => format!("{} h", hours / 3_600),
        minutes if minutes >= 120 && minutes % 60 == 0 => format!("{} min", minutes / 60),
        _ => span(time),
    }
}

/// The order in which checks begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Order {
    /// What takes longest first.
    #[default]
    Longest,
    /// By the run's seed.
    Shuffled,
    /// As these, which may be of an earlier run; what is not among them follows.
    As(Vec<CheckId>),
}

impl Order {
    /// These checks in this order; none if the longest come first.
    pub fn of(&self, checks: &[&'static Check], seed: u64) -> Option<Vec<&'static Check>> {
        let mut ordered = checks.to_vec();
        match self {
            Self::Longest => return None,
            Self::Shuffled => ordered.sort_by_cached_key(|check| drawn(seed, check.id)),
            Self::As(ids) => ordered.sort_by_cached_key(|check| {
                ids.iter().position(|id| id.as_str() == check.id).unwrap_or(ids.len())
            }),
        }
        Some(ordered)
    }
}

/// A number that only the seed and the id decide, whichever other checks are selected.
fn drawn(seed: u64, id: &str) -> (u64, String) {
    // FNV-1a, then the finalizer of SplitMix64: neither changes with a version of the language.
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(&seed.to_le_bytes());
    hash.write(id.as_bytes());
    let mut mixed = hash.finish();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31), id.to_owned())
}

struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use hospitium_suite::checks;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rounds_end_as_asked() {
        let times = Repeat { times: Some(3), ..Repeat::default() };
        assert!(times.goes_on(2, SECOND, true) && !times.goes_on(3, SECOND, false));
        let soak = Repeat { soak: Some(SECOND), ..Repeat::default() };
        assert!(soak.goes_on(0, 2 * SECOND, false), "each at least once");
        assert!(soak.goes_on(9, SECOND / 2, true) && !soak.goes_on(1, SECOND, false));
        let until = Repeat { until_failure: true, ..times };
        assert!(until.goes_on(2, SECOND, false) && !until.goes_on(1, SECOND, true));
        assert_eq!(until.words(), "3 times, or until a failure");
        assert_eq!(Repeat { times: None, ..until }.words(), "until a failure");
        let long = Repeat { soak: Some(7_200 * SECOND), ..Repeat::default() };
        assert_eq!(long.words(), "for 2 h");
    }

    #[test]
    fn the_seed_alone_decides_a_shuffled_order() {
        let all = checks::all();
        let ids = |of: &[&'static Check]| of.iter().map(|check| check.id).collect::<Vec<_>>();
        let shuffled = |seed| ids(&Order::Shuffled.of(&all, seed).expect("an order"));
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let (mut one, mut usual) = (shuffled(1), ids(&all));
        assert_ne!(one, usual);
        let half = ids(&Order::Shuffled.of(&all[..20], 1).expect("an order"));
        one.retain(|id| half.contains(id));
        assert_eq!(one, half, "those that are left keep their order");
        one = shuffled(1);
        one.sort_unstable();
        usual.sort_unstable();
        assert_eq!(one, usual, "none is lost");
    }

    #[test]
    fn an_earlier_order_is_followed_and_what_it_lacks_comes_last() {
        let all = checks::all();
        let of = Order::As(vec![all[5].id(), all[2].id(), "mem.no-such".parse().expect("an id")]);
        let ordered = of.of(&all[..7], 0).expect("an order");
        assert_eq!((ordered[0].id, ordered[1].id), (all[5].id, all[2].id));
        assert_eq!(ordered[2].id, all[0].id);
        assert!(Order::Longest.of(&all, 0).is_none());
    }
}
