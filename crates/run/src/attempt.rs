//! One check, once, in a clone: what it saw, or why it came to no end.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_host::{Ended, HostError, Screenshot};
use hospitium_model::{Observations, Verdict};
use hospitium_suite::{Cell, Check, CheckError, Fault, Finished, Lab, Listening};
use hospitium_system::{SessionError, diagnose};

use crate::pressure::within;
use crate::usage::ms;

/// What one attempt gave.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The verdict on it.
    pub verdict: Verdict,
    /// What both witnesses saw.
    pub observations: Observations,
    /// True if something failed that the check itself judges, and not only what is listened to meanwhile.
    pub failed_by_itself: bool,
    /// Pictures that the check kept: name and PNG.
    pub pictures: Vec<(String, Vec<u8>)>,
    /// The clone's name.
    pub clone: String,
    /// When it began.
    pub began: Instant,
    /// How long it took, the clone's start included.
    pub took: Duration,
    /// False if the clone is in an unknown state now and must not be used for another check.
    pub clone_is_good: bool,
}

/// What the end of a clone showed.
#[derive(Debug, Default)]
pub struct CloneEnd {
    /// The clone's name.
    pub clone: String,
    /// From asking for it to the probe's answer in it, if it came to that.
    pub ready: Option<Duration>,
    /// CPU time of its VMM.
    pub vmm_cpu: Duration,
    /// Last lines of its console, escaped.
    pub console: Vec<String>,
    /// How its machine ended.
    pub ended: Option<Ended>,
}

impl CloneEnd {
    /// A pass does not outlive a hypervisor that crashes when the machine is ended.
    pub fn judge(&self, verdict: &mut Verdict) {
        if let Some(ended) = self.ended.as_ref().filter(|ended| ended.is_crash())
            && *verdict == Verdict::Pass
        {
            *verdict = verdict_on_end(ended, "when its machine was ended");
        }
    }
}

/// What a clone's VMM held when its check was done.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Proportional share of memory, in KiB.
    pub pss_kib: f64,
    /// Resident memory, in KiB.
    pub rss_kib: f64,
    /// Open file descriptors; none where they cannot be counted.
    pub descriptors: Option<f64>,
}

impl Held {
    /// None if the machine has ended.
    pub async fn by(cell: &Cell) -> Option<Self> {
        let facts = cell.process().await.ok()?;
        #[expect(clippy::cast_precision_loss, reason = "sizes of processes stay far below 2^53")]
        let kib = |size: hospitium_model::ByteSize| size.as_bytes() as f64 / 1024.0;
        let pid = facts.pid.ok()?.value;
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok();
        let descriptors = open.and_then(|list| u32::try_from(list.count()).ok()).map(f64::from);
        let (pss, rss) = (facts.pss.ok()?.value, facts.rss.ok()?.value);
        Some(Self { pss_kib: kib(pss), rss_kib: kib(rss), descriptors })
    }
}

/// How long it takes at most until a VMM's death is known after its streams have closed.
const DEATH_IS_KNOWN: Duration = Duration::from_secs(2);

/// Runs a check in a clone of its own, which may have a fault on purpose.
pub async fn in_own_clone(
    lab: &Arc<Lab>,
    name: &str,
    check: &'static Check,
    fault: Option<Fault>,
) -> (Attempt, CloneEnd) {
    let (attempt, end, _) = in_own_clone_seen(lab, name, check, fault, false).await;
    (attempt, end)
}

/// Runs a check in a clone of its own, and looks at what the VMM held at its end if that is asked for.
pub async fn in_own_clone_seen(
    lab: &Arc<Lab>,
    name: &str,
    check: &'static Check,
    fault: Option<Fault>,
    look: bool,
) -> (Attempt, CloneEnd, Option<Held>) {
    let began = Instant::now();
    let mut cell = match lab.cell(name, check, fault).await {
        Ok(cell) => cell,
        Err(error) => {
            let why = format!("no clone could be made: {}", error.chain());
            let verdict = match &error {
                CheckError::Host(HostError::Ended { ended, .. }) => verdict_on_end(ended, &why),
                _ => Verdict::Error { reason: why },
            };
            let attempt = Attempt {
                verdict,
                observations: Observations::new(),
                failed_by_itself: false,
                pictures: Vec::new(),
                clone: name.to_owned(),
                began,
                took: began.elapsed(),
                clone_is_good: false,
            };
            return (attempt, CloneEnd::default(), None);
        }
    };
    lab.expect();
    let mut attempt = in_clone(&mut cell, check).await;
    let held = if look { Held::by(&cell).await } else { None };
    let end = finish(cell).await;
    end.judge(&mut attempt.verdict);
    attempt.began = began;
    attempt.took = began.elapsed();
    (attempt, end, held)
}

/// Ends a clone and takes what is left of it. A clone that cannot be ended in order is ended by
/// being dropped.
pub async fn finish(cell: Cell) -> CloneEnd {
    let clone = cell.work_dir().name.clone();
    let ready = Some(cell.ready_in());
    match cell.finish().await {
        Ok(Finished { vmm_cpu, console, ended }) => {
            CloneEnd { clone, ready, vmm_cpu, console, ended: Some(ended) }
        }
        Err(_) => CloneEnd { clone, ready, ..CloneEnd::default() },
    }
}

/// Runs a check in this clone.
pub async fn in_clone(cell: &mut Cell, check: &'static Check) -> Attempt {
    let began = Instant::now();
    let clone = cell.work_dir().name.clone();
    let host = cell.lab().host().clone();
    let listening = Listening::begin(cell).await;
    let ended = within(host.witness().ok(), check.limit, unpanicked((check.run)(cell))).await;
    let mut observations = Observations::new();
    let mut clone_is_good = true;
    let mut failed_by_itself = false;
    let verdict = match ended {
        Some(Ok(Ok(mut seen))) => {
            failed_by_itself = matches!(seen.judge(), Verdict::Fail { .. });
            let verdict = match listening.end(cell, check.id, &mut seen).await {
                Ok(()) => seen.judge(),
                // A check that has failed has, whatever was said meanwhile.
                Err(error) => match seen.judge() {
                    Verdict::Pass => verdict_on(cell, &error).await,
                    failed => failed,
                },
            };
            observations = seen;
            verdict
        }
        Some(Ok(Err(error))) => {
            clone_is_good = false;
            verdict_on(cell, &error).await
        }
        Some(Err(panic)) => {
            clone_is_good = false;
            Verdict::Error {
                reason: format!("the check itself broke off: {panic}; this is a bug of the suite"),
            }
        }
        None => {
            clone_is_good = false;
            let limit = check.limit.as_secs();
            crashed(cell).unwrap_or_else(|| Verdict::Error {
                reason: format!("the check did not end within {limit} s; its clone's console and timeline show how far it came"),
            })
        }
    };
    let verdict = match cell.lab().origin_is_intact() {
        Ok(()) => verdict,
        Err(error) => {
            clone_is_good = false;
            let reason = format!(
                "a clone changed what all clones are made from: {}",
                hospitium_model::chain(&error)
            );
            Verdict::Error { reason }
        }
    };
    let pictures = cell.take_pictures();
    let took = began.elapsed();
    Attempt { verdict, observations, failed_by_itself, pictures, clone, began, took, clone_is_good }
}

/// What an error says about the pair: nothing, unless the guest or the hypervisor broke by itself.
async fn verdict_on(cell: &mut Cell, error: &CheckError) -> Verdict {
    if let Some(verdict) = crashed(cell) {
        return verdict;
    }
    if let CheckError::Unable(inability) = error {
        return cell.on_inability(inability);
    }
    let may_have_died = matches!(
        error,
        CheckError::Host(HostError::Ended { .. })
            | CheckError::Session(SessionError::Closed { .. } | SessionError::Io { .. })
    );
    if may_have_died
        && let Ok(ended) = tokio::time::timeout(DEATH_IS_KNOWN, cell.machine().ended()).await
        && !ended.expected()
    {
        return verdict_on_end(&ended, &error.chain());
    }
    let mut reason = error.chain();
    if let CheckError::Session(SessionError::NoAnswer { .. }) = error {
        // The report shows the console's last lines by itself.
        let seen = diagnose(cell.machine(), &cell.console).await.without_console();
        if let Some(Ok(png)) = seen.display().map(Screenshot::png) {
            cell.keep_picture("no-answer", png);
        }
        reason += &seen.to_string();
    }
    Verdict::Error { reason }
}

/// A crash of the guest that the check did not expect: had it done so, it would have come to an end.
fn crashed(cell: &Cell) -> Option<Verdict> {
    cell.crashed_by_itself().then(|| Verdict::Fail {
        reason: "the guest's kernel crashed while the check ran; the console shows where".into(),
    })
}

/// A VMM that crashes is a failure of the pair; one that somebody killed is not.
fn verdict_on_end(ended: &Ended, while_doing: &str) -> Verdict {
    if ended.is_crash() {
        return Verdict::Fail {
            reason: format!("the hypervisor crashed ({ended}); {while_doing}"),
        };
    }
    let reason = match ended {
        ended if ended.was_killed() => format!(
            "the hypervisor's process was killed from outside ({ended}): by a person, or by the \
             kernel for want of memory (`dmesg` tells); run the check again"
        ),
        Ended::Lost { .. } => format!("the machine was lost ({ended}); {while_doing}"),
        _ => format!("the hypervisor's process ended ({ended}); {while_doing}"),
    };
    Verdict::Error { reason }
}

/// A future whose panics are results.
async fn unpanicked<F: Future + Unpin>(mut future: F) -> Result<F::Output, String> {
    poll_fn(|context| {
        let future = std::pin::Pin::new(&mut future);
        // What the check held is in an unknown state after a panic: the caller discards the clone.
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(words(&*panic))),
        }
    })
    .await
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}

impl CloneEnd {
    /// From asking for it to the first answer, in milliseconds.
    pub fn ready_ms(&self) -> Option<f64> {
        self.ready.map(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_of_the_vmm_fails_the_pair_and_a_kill_does_not() {
        let signal = |signal| Ended::Signalled { signal, said: String::new() };
        assert_eq!(verdict_on_end(&signal(11), "x").word(), "fail");
        let aborted = Ended::Signalled { signal: 6, said: "assertion failed".into() };
        assert_eq!(verdict_on_end(&aborted, "x").word(), "fail");
        let exited = Ended::Exited { code: 1, said: "signal 11".into() };
        let lost = Ended::Lost { why: "signal 11".into() };
        for outside in [signal(9), signal(15), exited, lost] {
            assert_eq!(verdict_on_end(&outside, "x").word(), "error", "{outside}");
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_check_is_a_result() {
        let broken = Box::pin(async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "index 5 of 3");
        });
        assert_eq!(unpanicked(broken).await, Err("index 5 of 3".into()));
    }
}
