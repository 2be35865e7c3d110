//! Times, and what share of them is below which.

use std::time::Duration;

/// Some measured times.
#[derive(Debug, Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// One more.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Those of others, too.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred take at most this, in milliseconds; 0 of none.
    pub fn percentile(&self, part: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        // The nearest rank.
        let rank = (sorted.len() * part).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// Half of them take at most this, in milliseconds.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured_and_so_many_are_no_longer() {
        let mut times = Times::default();
        assert!((times.percentile(99) - 0.0).abs() < f64::EPSILON);
        for ms in (1..=200).rev() {
            times.push(Duration::from_millis(ms));
        }
        let found = [1, 50, 99, 100].map(|part| times.percentile(part).round() as u64);
        assert_eq!(found, [2, 100, 198, 200]);
    }
}
