//! A check that was run over and over: how often it passed, and what that says.

use serde::{Deserialize, Serialize};

/// How the repetitions of a check ended. Each ran in a clone of its own, from the same state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Repeats {
    /// Repetitions that passed.
    pub passed: u32,
    /// Repetitions that failed.
    pub failed: u32,
    /// Repetitions that came to no end: they say nothing about the pair.
    #[serde(default)]
    pub no_end: u32,
    /// What was asked for, in words: `50 times`, `for 2h`, `until a failure`.
    pub asked: String,
    /// The slowest repetition that came to its end, in milliseconds.
    pub slowest_ms: f64,
    /// Their median, in milliseconds.
    pub median_ms: f64,
    /// The VMM's proportional share of memory at the end of each repetition, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pss_kib: Option<Growth>,
    /// The VMM's resident memory at the end of each repetition, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_kib: Option<Growth>,
    /// The VMM's open file descriptors at the end of each repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<Growth>,
}

/// Something measured at the end of each repetition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Median of the first quarter of the repetitions.
    pub first: f64,
    /// Median of the last quarter.
    pub last: f64,
    /// Most of all.
    pub most: f64,
}

impl Repeats {
    /// Repetitions that came to their end.
    pub const fn ended(&self) -> u32 {
        self.passed.saturating_add(self.failed)
    }

    /// True if nothing stands against a pass: some passed, and all did.
    pub const fn all_passed(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.no_end == 0
    }
}

impl Growth {
    /// Of measurements in their order; none if there are none.
    pub fn of(measured: &[f64]) -> Option<Self> {
        let quarter = measured.len().div_ceil(4);
        let most = measured.iter().copied().reduce(f64::max)?;
        let first = median(&measured[..quarter])?;
        let last = median(&measured[measured.len() - quarter..])?;
        Some(Self { first, last, most })
    }
}

/// The middle of these numbers; none if there are none.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The interval in which a share lies with 95 % confidence, after `k` of `n` (Wilson's score interval;
/// Wilson 1927, Brown, Cai and DasGupta 2001). All that can be said of none is 0 to 1.
pub fn wilson(k: u32, n: u32) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    /// The normal distribution's 97.5 % quantile.
    const Z: f64 = 1.959_963_984_540_054;
    let (k, n) = (f64::from(k.min(n)), f64::from(n));
    let share = k / n;
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At none and at all the formula gives the bound itself, but for rounding.
    let low = if k == 0.0 { 0.0 } else { middle - half };
    let high = if k == n { 1.0 } else { middle + half };
    (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        for (k, n, low, high) in [
            // scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
            (50, 50, 0.928_65, 1.0),
            (3, 50, 0.020_62, 0.162_17),
            (0, 10, 0.0, 0.277_53),
            (1, 2, 0.094_53, 0.905_47),
            (0, 0, 0.0, 1.0),
        ] {
            let (l, h) = wilson(k, n);
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{k} of {n}: {l} {h}");
        }
        assert_eq!(wilson(7, 5), wilson(5, 5), "nonsense is no more than all");
    }

    #[test]
    fn growth_is_told_by_the_ends_and_not_by_one_outlier() {
        let steady = Growth::of(&[9.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(steady, Some(Growth { first: 5.0, last: 5.0, most: 9.0 }));
        let grows: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(Growth::of(&grows), Some(Growth { first: 12.0, last: 87.0, most: 99.0 }));
        assert_eq!(Growth::of(&[3.0]), Some(Growth { first: 3.0, last: 3.0, most: 3.0 }));
        assert_eq!(Growth::of(&[]), None);
    }
}
