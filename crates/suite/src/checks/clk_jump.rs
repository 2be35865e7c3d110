//! What clocks do across a pause, a restore and a migration: jump or not, as declared for this pair.

use std::time::{Duration, Instant};

use hospitium_host::PowerVerb;
use hospitium_model::{Capability, Finding, Observations};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::clk::{Sample, sample};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&AFTER_PAUSE, &AFTER_RESTORE, &AFTER_MIGRATE];

/// Fault: the guest's clock runs a hundred times too fast.
fn racing_clock(request: &Request<'_>, reply: &mut OwnedReply) {
    if let (Request::Clock, OwnedReply::Clock(clock)) = (request, reply) {
        clock.monotonic_ns *= 100;
    }
}

/// Time on guest clock and host clock between two samples, in ms, and how exactly it is known.
fn passed(first: &Sample, second: &Sample) -> (f64, f64, f64) {
    let guest = (second.guest.monotonic_ns - first.guest.monotonic_ns) as f64 / 1e6;
    let host = second.at.duration_since(first.at).as_secs_f64() * 1e3;
    (guest, host, (first.uncertain + second.uncertain).as_secs_f64() * 1e3)
}

/// For how long a machine was away, in ms, and how exactly that is known.
struct Away {
    ms: f64,
    uncertain: f64,
}

impl Away {
    /// For so long at least; when within these two calls its clock stopped and went on again, only the
    /// hypervisor knows. On a busy lab a call takes a good part of a second.
    fn between(least: Duration, calls: Duration) -> Self {
        let uncertain = calls.as_secs_f64() * 1e3 / 2.0;
        Self { ms: least.as_secs_f64() * 1e3 + uncertain, uncertain }
    }

    /// For so long.
    fn of(away: Duration) -> Self {
        Self::between(away, Duration::ZERO)
    }
}

/// The findings of all three: by how much of the time away the guest's clock went on.
fn judge(
    cell: &Cell,
    first: &Sample,
    second: &Sample,
    away: Away,
) -> Result<Observations, CheckError> {
    let (guest, host, uncertain) = passed(first, second);
    let uncertain = uncertain + away.uncertain;
    let away = away.ms;
    // 0: the monotonic clock stands still while the machine is away. 1: it goes on.
    let share = cell.expect_number("share-of-time-away")?;
    let tolerance = cell.expect_number("tolerance-ms")? + uncertain;
    let expected = host - away * (1.0 - share);
    let mut seen = Observations::of([
        Finding::within(
            "monotonic clock, from before to after",
            "ms",
            guest.round(),
            expected.round(),
            tolerance.round(),
        ),
        Finding::guest_is("it went back", guest < 0.0, false),
    ]);
    seen.note(format!("away for {away:.0} ms of {host:.0} ms on the host's clock"));
    Ok(seen)
}

check! {
    /// After a pause from outside, the guest's clock has or has not gone on, as declared for it.
    pub AFTER_PAUSE = "clk.after-pause", tier: Reversible, needs: [], fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Pause)));
    async fn after_pause(cell) {
        let first = sample(cell).await?;
        let asked = Instant::now();
        cell.power(PowerVerb::Pause).await?;
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(1000)).await;
        let least = begun.elapsed();
        cell.power(PowerVerb::Resume).await?;
        let away = Away::between(least, asked.elapsed().saturating_sub(least));
        let second = sample(cell).await?;
        judge(cell, &first, &second, away)
    }
}

check! {
    /// After a save and a restore in a new process, the guest's clock has or has not gone on, as declared.
    pub AFTER_RESTORE = "clk.after-restore", tier: Disruptive, needs: [Need::Host(Capability::Snapshot)],
        fault: Fault::Guest(racing_clock);
    async fn after_restore(cell) {
        let first = sample(cell).await?;
        let away = cell.save_and_restore(Duration::from_millis(500)).await?;
        let second = sample(cell).await?;
        judge(cell, &first, &second, Away::of(away))
    }
}

check! {
    /// After a live migration, the guest's clock is behind by no more than the downtime.
    pub AFTER_MIGRATE = "clk.after-migrate", tier: SecondHost, needs: [Need::Host(Capability::LiveMigration)],
        fault: Fault::Guest(racing_clock);
    async fn after_migrate(cell) {
        let first = sample(cell).await?;
        let downtime = cell.migrate().await?;
        let second = sample(cell).await?;
        judge(cell, &first, &second, Away::of(downtime))
    }
}
