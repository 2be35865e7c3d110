//! How short of CPUs a host is, and limits that are longer by that.

use std::pin::pin;
use std::time::{Duration, Instant};

use hospitium_host::HostWitness;
use hospitium_suite::time_left;

/// For how long, since its start, something on the host's computer that could have run has waited for a CPU;
/// nothing where it does not tell.
async fn short_of_cpu(witness: Option<&dyn HostWitness>) -> Duration {
    match witness {
        Some(witness) => {
            witness.load().await.short_of_cpu.map(|seen| seen.value).unwrap_or_default()
        }
        None => Duration::ZERO,
    }
}

/// The future's output, or none if it has not come to its end within the limit and the time that the host was
/// short of CPUs.
pub async fn within<F: Future>(
    witness: Option<&dyn HostWitness>,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let (begun, before) = (Instant::now(), short_of_cpu(witness).await);
    let mut future = pin!(future);
    let mut left = limit;
    while !left.is_zero() {
        if let Ok(output) = tokio::time::timeout(left, future.as_mut()).await {
            return Some(output);
        }
        let short = short_of_cpu(witness).await.saturating_sub(before);
        left = time_left(limit, begun.elapsed(), short);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_in_time_ends_and_what_does_not_is_given_up() {
        assert_eq!(within(None, Duration::from_secs(5), async { 7 }).await, Some(7));
        let never = std::future::pending::<()>();
        assert_eq!(within(None, Duration::from_millis(20), never).await, None);
    }
}
