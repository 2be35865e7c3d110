//! How short of CPUs this machine is, and limits that are longer by that.

use std::pin::pin;
use std::time::{Duration, Instant};

use hospitium_suite::time_left;

/// For how long, since the machine's start, something that could have run has waited for a CPU (Linux
/// Documentation/accounting/psi.rst, `some`). None where the kernel does not count it.
fn short_of_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    Duration::from_micros(total(&text).unwrap_or_default())
}

fn total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// The future's output, or none if it has not come to its end within the limit and the time that this machine was
/// short of CPUs.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (begun, before) = (Instant::now(), short_of_cpu());
    let mut future = pin!(future);
    let mut left = limit;
    while !left.is_zero() {
        if let Ok(output) = tokio::time::timeout(left, future.as_mut()).await {
            return Some(output);
        }
        let short = short_of_cpu().saturating_sub(before);
        left = time_left(limit, begun.elapsed(), short);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_read_and_nonsense_is_none() {
        let text =
            "some avg10=86.72 avg60=91.53 avg300=86.29 total=2665212525\nfull avg10=0 total=7\n";
        assert_eq!(total(text), Some(2_665_212_525));
        for nonsense in ["", "some", "some total=", "some total=-1", "full total=3"] {
            assert_eq!(total(nonsense), None, "{nonsense}");
        }
    }

    #[tokio::test]
    async fn what_ends_in_time_ends_and_what_does_not_is_given_up() {
        assert_eq!(within(Duration::from_secs(5), async { 7 }).await, Some(7));
        let never = std::future::pending::<()>();
        assert_eq!(within(Duration::from_millis(20), never).await, None);
    }
}
