//! Asking again until an answer is as wanted, or the time is over.
//!
//! On tokio's clock, so that a check that is replayed from a transcript waits for nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::CheckError;

/// How long a device may take to appear or to go away. An idle guest needs well under a second; on a
/// machine where many clones are emulated at once it is several.
pub const SETTLE: Duration = Duration::from_secs(10);

/// Between two looks into the guest.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until `good` or the limit; the last answer either way.
// Not `AsyncFnMut`: of its futures the compiler cannot tell that they are `Send` where they hold the cell.
pub async fn until<T, Answer>(
    limit: Duration,
    mut ask: impl FnMut() -> Answer,
    good: impl Fn(&T) -> bool,
) -> Result<T, CheckError>
where
    Answer: Future<Output = Result<T, CheckError>>,
{
    let end = Instant::now() + limit;
    loop {
        let answer = ask().await?;
        if good(&answer) || Instant::now() >= end {
            return Ok(answer);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_is_given_when_the_time_is_over() {
        let mut asked = 0;
        let ask = || {
            asked += 1;
            std::future::ready(Ok(asked))
        };
        let answer = until(Duration::from_millis(60), ask, |n| *n == 99).await.expect("an answer");
        assert_eq!(answer, 4);
        assert_eq!(until(SETTLE, async || Ok(1), |n: &i32| *n == 1).await.expect("an answer"), 1);
    }
}
