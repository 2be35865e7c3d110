//! Power: shutting down, from inside and from outside, and a reset in the wrong moment.

use std::time::Duration;

use hospitium_host::{EventClass, EventKind, PowerVerb};
use hospitium_model::{Finding, GuestSource, HostSource, Inside, Observations, Outside};
use hospitium_system::Button;
use hospitium_wire::PowerAction;

use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&ACPI_BUTTON, &GUEST_SHUTDOWN, &RESET_IN_BOOT];

/// How long the last words of a guest may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the hypervisor is to tell of the end of a machine that its guest has shut down.
const BY_GUEST: &str = "powered off, by the guest";

/// How the machine went off, by the hypervisor's events after the `from`-th.
async fn off(
    cell: &Cell,
    from: usize,
    limit: Duration,
) -> Result<Outside<&'static str>, CheckError> {
    let is_off = |kind: &EventKind| matches!(kind, EventKind::PoweredOff { .. });
    let event = cell.event(from, "power-off", limit, is_off).await?;
    Ok(HostSource::Hypervisor.saw(match event.map(|event| event.kind) {
        Some(EventKind::PoweredOff { by_guest: true }) => BY_GUEST,
        Some(_) => "powered off, not by the guest",
        None => "not powered off",
    }))
}

/// True if a console line, from the `from`-th on, has one of these marks.
async fn marked(cell: &Cell, marks: &[&str], from: u64) -> Inside<bool> {
    // Every line holds a mark of no words.
    let wanted = |line: &str| marks.iter().any(|mark| !mark.is_empty() && line.contains(mark));
    let line = cell.console.wait_line("a mark of an orderly shutdown", from, LAST_WORDS, wanted);
    GuestSource::Console.saw(line.await.is_ok())
}

/// Resets and crashes after the `from`-th event.
fn accidents(cell: &Cell, from: usize) -> Outside<usize> {
    let events = cell.machine().events();
    let accident = |kind: &EventKind| matches!(kind, EventKind::Crashed | EventKind::Reset { .. });
    HostSource::Hypervisor.saw(events.iter().skip(from).filter(|e| accident(&e.kind)).count())
}

check! {
    /// Pressing the power button makes the guest shut down in order and power off.
    pub ACPI_BUTTON = "power.acpi-button", tier: Disruptive,
        needs: [crate::Need::Driver("power-button"), Need::Events(EventClass::PowerOff)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Button))), limit: 180 s;
    async fn acpi_button(cell) {
        let budget = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        cell.system().load_driver("power-button").await?;
        let button = cell.system().obey_power_button().await?;
        let own;
        let marks = match button.value {
            Button::None => {
                let none = button.map(|_| false);
                return Ok(Observations::of([Finding::guest_is("a power button is there", none, true)]));
            }
            Button::ByItself => cell.system().shutdown_marks(),
            Button::Probe(mark) => {
                own = [mark];
                &own[..]
            }
        };
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.power(PowerVerb::Button).await?;
        let off = off(cell, from, budget).await?;
        let marked = marked(cell, marks, lines).await;
        Ok(Observations::of([
            Finding::each("shutdown, in order by the guest's own words", marked, true, off, BY_GUEST),
            Finding::host_is("resets and crashes", accidents(cell, from), 0),
        ]))
    }
}

check! {
    /// A shutdown that the guest begins ends in power-off, and not in a reset or a crash.
    pub GUEST_SHUTDOWN = "power.guest-shutdown", tier: Disruptive,
        needs: [Need::Events(EventClass::PowerOff)],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::PoweredOff { .. }))), limit: 180 s;
    async fn guest_shutdown(cell) {
        let budget = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.act(PowerAction::Off).await?;
        let off = off(cell, from, budget).await?;
        let marked = marked(cell, cell.system().shutdown_marks(), lines).await;
        Ok(Observations::of([
            Finding::each("shutdown, by the guest's own words", marked, true, off, BY_GUEST),
            Finding::host_is("resets and crashes", accidents(cell, from), 0),
        ]))
    }
}

/// A reset that it did not ask for.
pub const OUTSIDE: &str = "from outside";

/// Who reset the machine, by the hypervisor's events after the `from`-th.
pub fn resets(cell: &Cell, from: usize) -> Outside<Vec<&'static str>> {
    let events = cell.machine().events();
    let by = events.iter().skip(from).filter_map(|event| match event.kind {
        EventKind::Reset { by_guest: true } => Some("by the guest"),
        EventKind::Reset { by_guest: false } => Some(OUTSIDE),
        _ => None,
    });
    HostSource::Hypervisor.saw(by.collect())
}

/// In which boot a guest is, if it answers, against the boot before.
pub fn which_boot(before: &Inside<String>, now: Option<&str>) -> Inside<&'static str> {
    before.as_ref().map(|before| match now {
        None => "none: it did not come up again",
        Some(now) if now == before => "the same",
        Some(_) => ANOTHER,
    })
}

/// The boot that is to answer after a restart.
pub const ANOTHER: &str = "another, it came up again";

check! {
    /// A reset in the middle of a boot does no harm: the next boot reaches userland.
    pub RESET_IN_BOOT = "power.reset-in-boot", tier: Disruptive,
        needs: [Need::Events(EventClass::Reset)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Reset))), limit: 300 s;
    async fn reset_in_boot(cell) {
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let before = cell.system().boot_id().await?;
        let from = cell.events_so_far();
        cell.act(PowerAction::Reboot).await?;
        cell.event(from, "the first reset", limit, |kind| matches!(kind, EventKind::Reset { .. })).await?;
        // Any line after the reset means that the next boot has begun: the console is quiet before.
        let lines = cell.console.line_count();
        let next = cell.console.wait_line("the next boot's first line", lines, limit, |l| !l.trim().is_empty());
        let began = GuestSource::Console.saw(next.await.is_ok());
        let second = cell.events_so_far();
        cell.power(PowerVerb::Reset).await?;
        let outside = |kind: &EventKind| matches!(kind, EventKind::Reset { by_guest: false });
        cell.event(second, "the reset in the boot", Duration::from_secs(10), outside).await?;
        let after = cell.wait_restarted(&before.value, limit).await?;
        let boot = which_boot(&before, after.as_deref());
        let outside = resets(cell, second).map(|resets| resets.contains(&OUTSIDE));
        Ok(Observations::of([
            Finding::each("boot that answers, after a reset from outside", boot, ANOTHER, outside, true),
            Finding::guest_is("the next boot had begun when it was reset", began, true),
        ]))
    }
}
