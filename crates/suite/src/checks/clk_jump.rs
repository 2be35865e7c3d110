//! What clocks do across a pause, a restore and a migration: jump or not, as declared for this pair.
//!
//! A clock that stood still and one that went on differ by the time away, so that time is made long: several
//! times as long as what is not known of it. Where a busy lab makes it too short to tell, nothing is said.

use std::time::Duration;

use hospitium_host::{Event, EventClass, EventKind, HostClock, PowerVerb};
use hospitium_model::{Answer, Capability, Finding, HostSource, Inside, Observations};
use hospitium_system::tap::Asked;
use serde_json::Value as Json;
use tokio::time::sleep;

use super::clk::{passed, sample, scale};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&AFTER_PAUSE, &AFTER_RESTORE, &AFTER_MIGRATE];

/// How long after its cause an event of the hypervisor may come.
const TOLD: Duration = Duration::from_secs(5);
/// No machine is away for longer, in ms.
const LONGEST: f64 = 3_600_000.0;

/// Fault: the guest's clock runs a hundred times too fast.
fn racing_clock(_: &Asked, told: &mut Json) {
    scale(&mut told["monotonic_ns"], 100, 1);
}

/// A moment on the host's monotonic clock, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    ms: f64,
    uncertain: f64,
}

impl Moment {
    /// Within a call.
    fn between(before: &HostClock, after: &HostClock) -> Self {
        let half = after.monotonic.saturating_sub(before.monotonic) / 2;
        Self {
            ms: (before.monotonic + half).as_secs_f64() * 1e3,
            uncertain: half.as_secs_f64() * 1e3,
        }
    }

    /// When an event was, which has the host's wall clock.
    fn of(event: &Event, clock: &HostClock) -> Self {
        let ahead = match event.host_time.duration_since(clock.wall) {
            Ok(later) => later.as_secs_f64(),
            Err(earlier) => -earlier.duration().as_secs_f64(),
        };
        Self {
            ms: (clock.monotonic.as_secs_f64() + ahead) * 1e3,
            uncertain: event.uncertainty.as_secs_f64() * 1e3,
        }
    }
}

/// Stops the vCPUs or lets them go on. When that was: by the hypervisor's event, told after the `from`-th, else
/// within the call. Whether it was told of; none if this host tells of no such thing.
async fn run(
    cell: &Cell,
    verb: PowerVerb,
    from: usize,
) -> Result<(Moment, Option<bool>), CheckError> {
    let wanted = match verb {
        PowerVerb::Pause => EventKind::Paused,
        _ => EventKind::Resumed,
    };
    let before = cell.now().await?;
    cell.power(verb).await?;
    let after = cell.now().await?;
    let called = Moment::between(&before, &after);
    if let Answer::No(_) = cell.machine().observes(EventClass::Running) {
        return Ok((called, None));
    }
    let event = cell.event(from, "the vCPUs' stop or start", TOLD, |kind| *kind == wanted).await?;
    let told = event.is_some();
    Ok((event.map_or(called, |event| Moment::of(&event, &after)), Some(told)))
}

/// What clocks showed of a time in which no vCPU ran.
pub struct Away {
    /// Passed in the guest, in ms, from before to after.
    guest: Inside<f64>,
    /// Passed on the host.
    host: f64,
    /// What of that no vCPU ran.
    away: f64,
    /// How exactly these belong together.
    uncertain: f64,
    /// The hypervisor told of stop and start; none if it tells of no such thing.
    told: Option<bool>,
    /// How long it was to be.
    window: f64,
}

/// Stops the vCPUs for the declared time and then for as long as `meanwhile` takes, and lets them go on.
/// `moved`: what goes on then is another machine of the seam's.
pub async fn away<T>(
    cell: &mut Cell,
    moved: bool,
    meanwhile: impl AsyncFnOnce(&mut Cell) -> Result<T, CheckError>,
) -> Result<(Away, T), CheckError> {
    let window = cell.expect_number("window-ms")?;
    let first = sample(cell).await?;
    let from = cell.events_so_far();
    let (begun, stop_told) = run(cell, PowerVerb::Pause, from).await?;
    sleep(Duration::from_secs_f64(window / 1e3)).await;
    let done = meanwhile(cell).await?;
    let from = if moved { 0 } else { from };
    let (ended, start_told) = run(cell, PowerVerb::Resume, from).await?;
    let second = sample(cell).await?;
    let time = passed(&first, &second);
    let away = Away {
        guest: time.guest,
        host: time.host,
        away: ended.ms - begun.ms,
        uncertain: time.uncertain + begun.uncertain + ended.uncertain,
        told: stop_told.zip(start_told).map(|(stop, start)| stop && start),
        window,
    };
    Ok((away, done))
}

impl Away {
    /// By how much of the time away the guest's clock went on is as declared.
    ///
    /// # Errors
    /// So little is known of the time that a clock that stood still cannot be told from one that went on.
    pub fn judge(&self, cell: &Cell) -> Result<Vec<Finding>, CheckError> {
        // 0: the monotonic clock stands still while the machine is away. 1: it goes on.
        let share = cell.expect_number("share-of-time-away")?;
        let tolerance = cell.expect_number("tolerance-ms")? + self.uncertain;
        self.judge_by(share, tolerance)
    }

    fn judge_by(&self, share: f64, tolerance: f64) -> Result<Vec<Finding>, CheckError> {
        if tolerance >= self.away / 2.0 {
            return Err(CheckError::Inconclusive {
                what: "the guest's clock stood still or went on while the machine was away".into(),
                why: format!(
                    "it was away for {:.0} ms, and the clocks are known to ± {tolerance:.0} ms",
                    self.away
                ),
            });
        }
        let expected = self.host - self.away * (1.0 - share);
        let mut findings = vec![
            Finding::within(
                "monotonic clock, from before to after",
                "ms",
                self.guest.map(f64::round),
                HostSource::Clock.saw(expected.round()),
                tolerance.round(),
            ),
            // Waits end late and never early.
            Finding::host_between(
                "time in which no vCPU ran",
                "ms",
                HostSource::Hypervisor.saw(self.away.round()),
                self.window - tolerance,
                LONGEST,
            ),
        ];
        if let Some(told) = self.told {
            let what = "it told when the vCPUs stopped and went on";
            findings.push(Finding::host_is(what, HostSource::Hypervisor.saw(told), true));
        }
        Ok(findings)
    }

    /// For the reader.
    pub fn note(&self) -> String {
        format!("away for {:.0} ms of {:.0} ms on the host's clock", self.away, self.host)
    }
}

/// The observations of a check that is about nothing but this.
fn only(cell: &Cell, away: &Away) -> Result<Observations, CheckError> {
    let mut seen = Observations::of(away.judge(cell)?);
    seen.note(away.note());
    Ok(seen)
}

check! {
    /// After a pause from outside, the guest's clock has or has not gone on, as declared for it.
    pub AFTER_PAUSE = "clk.after-pause", tier: Reversible, needs: [],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Pause)));
    async fn after_pause(cell) {
        let (away, ()) = away(cell, false, async |_| Ok(())).await?;
        only(cell, &away)
    }
}

check! {
    /// After a save and a restore in a new process, the guest's clock has or has not gone on, as declared.
    pub AFTER_RESTORE = "clk.after-restore", tier: Disruptive,
        needs: [
            Need::Host(Capability::Snapshot),
            Need::Facet(FacetKind::Saving),
            Need::Facet(FacetKind::Cloning),
        ],
        fault: Fault::Guest("clock", racing_clock);
    async fn after_restore(cell) {
        let (away, _) = away(cell, true, async |cell| cell.save_and_restore(Duration::ZERO).await).await?;
        only(cell, &away)
    }
}

check! {
    /// A machine that stands still and is moved to another VMM goes on there with a clock that has or has not gone
    /// on meanwhile, as declared.
    pub AFTER_MIGRATE = "clk.after-migrate", tier: SecondHost,
        needs: [Need::Host(Capability::LiveMigration), Need::Facet(FacetKind::Moving)],
        fault: Fault::Guest("clock", racing_clock);
    async fn after_migrate(cell) {
        let (away, _) = away(cell, true, async |cell| cell.migrate().await).await?;
        only(cell, &away)
    }
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Expectations, GuestSource, Observations, Verdict};

    use super::*;

    /// The checks that tell a clock that stood still from one that went on.
    const JUMPS: [&str; 4] =
        ["clk.after-pause", "clk.after-restore", "clk.after-migrate", "life.pause-resume"];

    #[test]
    fn every_window_is_more_than_twice_its_tolerance() {
        let table = Expectations::from_toml(crate::EXPECTATIONS).expect("reads");
        for check in JUMPS {
            let all = |what: &str| -> Vec<f64> {
                let rows = table.expect.iter().filter(|row| row.check == check && row.what == what);
                rows.map(|row| row.value.as_f64().expect("a number")).collect()
            };
            let (windows, tolerances) = (all("window-ms"), all("tolerance-ms"));
            assert!(!windows.is_empty() && !tolerances.is_empty(), "{check}");
            for (window, tolerance) in
                windows.iter().flat_map(|w| tolerances.iter().map(move |t| (w, t)))
            {
                // Half of the window, and room for what a busy lab adds.
                assert!(tolerance * 4.0 <= *window, "{check}: {tolerance} of {window} ms");
            }
        }
    }

    fn seen(guest: f64, away: f64, uncertain: f64) -> Away {
        let guest = GuestSource::Kernel.saw(guest);
        Away { guest, host: away + 50.0, away, uncertain, told: Some(true), window: 1000.0 }
    }

    #[test]
    fn a_clock_that_went_on_and_one_that_stood_still_never_both_pass() {
        for (uncertain, share) in [(0.0, 0.0), (200.0, 0.0), (400.0, 1.0), (438.0, 1.0)] {
            let pass = |guest: f64| {
                let findings = seen(guest, 1000.0, uncertain).judge_by(share, 60.0 + uncertain);
                Observations::of(findings.expect("enough is known")).judge() == Verdict::Pass
            };
            let (still, went) = (pass(50.0), pass(1050.0));
            assert_eq!((still, went), (share == 0.0, share == 1.0), "± {uncertain}");
        }
    }

    #[test]
    fn a_lab_too_busy_to_tell_says_so() {
        let error =
            seen(50.0, 1000.0, 440.0).judge_by(0.0, 500.0).expect_err("too little is known");
        assert!(matches!(error, CheckError::Inconclusive { .. }), "{error}");
    }

    #[test]
    fn a_machine_that_was_not_away_for_long_enough_fails() {
        let findings = seen(50.0, 700.0, 0.0).judge_by(0.0, 60.0).expect("enough is known");
        assert_eq!(Observations::of(findings).judge().word(), "fail");
    }
}
