//! Watchdog, panic and crash: what the host is told when the guest is in trouble.

use std::time::{Duration, Instant};

use hospitium_host::{EventKind, MachineState, PowerVerb};
use hospitium_model::{Capability, Finding, Observations};

use super::load;
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&WDT_EXPIRE, &HOST_NOTIFIED, &RECOVERS];

check! {
    /// A watchdog that the guest stops petting takes the declared action in time.
    pub WDT_EXPIRE = "wdt.expire", tier: Disruptive,
        needs: [Need::Host(Capability::Watchdog), Need::Watchdog, Need::Driver("watchdog")],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Watchdog { .. })));
    async fn wdt_expire(cell) {
        load::driver(cell, "watchdog").await?;
        let from = cell.events_so_far();
        let armed = cell.guest.watchdog_arm("/dev/watchdog0", 2).await?;
        let begun = Instant::now();
        let late = Duration::from_secs_f64(cell.expect_number("late-ms")? / 1e3);
        let limit = Duration::from_secs(armed) + late;
        let event = cell.event(from, "the watchdog", limit, |kind| matches!(kind, EventKind::Watchdog { .. })).await?;
        let after = event.as_ref().map_or(limit, |e| e.at.saturating_duration_since(begun));
        let action = match event.map(|e| e.kind) {
            Some(EventKind::Watchdog { action }) => action,
            _ => "none".to_owned(),
        };
        let expected = cell.expect_text("action")?;
        Ok(Observations::of([
            Finding::guest_between("time-out in force", "s", armed as f64, 1.0, 60.0),
            Finding::host_is("action taken", action, expected),
            Finding::host_between("time until then", "ms", after.as_secs_f64() * 1e3, armed as f64 * 500.0, limit.as_secs_f64() * 1e3),
        ]))
    }
}

/// True if the kernel tells of its panic on the console. It calls the notifiers, at which the machine
/// stops, before it waits for a console that another CPU was writing to (Linux kernel/panic.c,
/// `console_flush_on_panic`), so a stopped machine is let go on.
async fn panic_on_console(
    cell: &Cell,
    lines: u64,
    state: MachineState,
) -> Result<bool, CheckError> {
    if state == MachineState::Crashed {
        cell.power(PowerVerb::Resume).await?;
    }
    Ok(cell.sees("Kernel panic", lines, Duration::from_secs(20)).await)
}

check! {
    /// When the guest's kernel panics, the host is told that it crashed, and does not take it for a reset.
    pub HOST_NOTIFIED = "crash.host-notified", tier: Disruptive,
        needs: [Need::Host(Capability::PanicNotifier), Need::Driver("panic-notifier")],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Crashed)));
    async fn host_notified(cell) {
        load::driver(cell, "panic-notifier").await?;
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.crash_guest().await?;
        let event = cell.event(from, "the crash", Duration::from_secs(20), |kind| matches!(kind, EventKind::Crashed)).await?;
        let state = cell.look().await?.state?.value;
        let resets = cell.machine().events()[from..].iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count();
        let told = panic_on_console(cell, lines, state).await?;
        Ok(Observations::of([
            Finding::guest_is("the kernel's panic is on its console", told, true),
            Finding::host_is("told that the guest crashed", event.is_some(), true),
            Finding::host_is("resets", resets, 0),
            Finding::host_is("machine state", format!("{state:?}"), format!("{:?}", MachineState::Crashed)),
        ]))
    }
}

check! {
    /// After a crash and a reset the guest boots again.
    pub RECOVERS = "crash.recovers", tier: Disruptive, needs: [Need::Host(Capability::PanicNotifier)],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Reset { .. }))), limit: 300 s;
    async fn recovers(cell) {
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let before = cell.boot_id().await?;
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.crash_guest().await?;
        cell.event(from, "the crash", Duration::from_secs(20), |kind| matches!(kind, EventKind::Crashed)).await?;
        let state = cell.look().await?.state?.value;
        let panicked = panic_on_console(cell, lines, state).await?;
        cell.power(PowerVerb::Reset).await?;
        // A machine that stopped at the crash has to be let go on.
        if cell.look().await?.state?.value != MachineState::Running {
            cell.power(PowerVerb::Resume).await?;
        }
        let reset = cell.event(from, "the reset", Duration::from_secs(10), |kind| matches!(kind, EventKind::Reset { .. })).await?;
        let after = cell.wait_restarted(&before, limit).await?;
        Ok(Observations::of([
            Finding::guest_is("the kernel panicked", panicked, true),
            Finding::guest_is("came up again", after.is_some(), true),
            Finding::guest_is("boot id is new", after.is_some_and(|after| after != before), true),
            Finding::host_is("the machine was reset", reset.is_some(), true),
        ]))
    }
}
