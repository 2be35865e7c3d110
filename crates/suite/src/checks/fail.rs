//! Watchdog, panic and crash: what the host is told when the guest is in trouble.

use std::time::Duration;

use hospitium_host::{EventClass, EventKind, MachineState, PowerVerb};
use hospitium_model::{Capability, Finding, GuestSource, HostSource, Inside, Observations};

use super::power::{ANOTHER, OUTSIDE, resets, which_boot};
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&WDT_EXPIRE, &HOST_NOTIFIED, &RECOVERS];

/// Seconds that the watchdog is armed for: long enough that one which bites at once is told from one that waits.
const WATCHDOG: u32 = 4;

/// How long a kernel may take to panic, and to say so.
const PANIC: Duration = Duration::from_secs(20);

check! {
    /// A watchdog that the guest stops petting takes the declared action in time.
    pub WDT_EXPIRE = "wdt.expire", tier: Disruptive,
        needs: [
            Need::Host(Capability::Watchdog),
            Need::Watchdog,
            Need::Driver("watchdog"),
            Need::Events(EventClass::Watchdog),
        ],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Watchdog { .. })));
    async fn wdt_expire(cell) {
        cell.system().load_driver("watchdog").await?;
        let from = cell.events_so_far();
        let before = cell.now().await?;
        // What it does then is declared; which that is, the check judges.
        for class in [EventClass::Watchdog, EventClass::Reset, EventClass::PowerOff] {
            cell.means(class);
        }
        let armed = cell.system().arm_watchdog(WATCHDOG).await?;
        let late = Duration::from_secs_f64(cell.expect_number("late-ms")? / 1e3);
        let limit = Duration::from_secs(armed.value) + late;
        let event = cell.event(from, "the watchdog", limit, |kind| matches!(kind, EventKind::Watchdog { .. })).await?;
        let took = event.as_ref().and_then(|event| event.host_time.duration_since(before.wall).ok());
        let action = match event.map(|event| event.kind) {
            Some(EventKind::Watchdog { action }) => action,
            _ => "none".to_owned(),
        };
        let expected = cell.expect_text("action")?;
        let running = armed.map(|seconds| seconds > 0);
        let mut seen = Observations::of([Finding::each(
            "watchdog, armed by the guest and not petted", running, true, HostSource::Hypervisor.saw(action), expected,
        )]);
        if let Some(took) = took {
            let armed = armed.map(|seconds| seconds as f64);
            let took = HostSource::Hypervisor.saw(took.as_secs_f64());
            seen.push(Finding::within("time until it expires", "s", armed, took, late.as_secs_f64()));
        }
        Ok(seen)
    }
}

/// True if the kernel tells of its panic on the console. It calls the notifiers, at which the machine
/// stops, before it waits for a console that another CPU was writing to (Linux kernel/panic.c,
/// `console_flush_on_panic`), so a stopped machine is let go on.
async fn panic_on_console(
    cell: &Cell,
    lines: u64,
    state: MachineState,
) -> Result<Inside<bool>, CheckError> {
    if state == MachineState::Crashed {
        cell.power(PowerVerb::Resume).await?;
    }
    let mark = cell.system().panic_mark();
    Ok(GuestSource::Console.saw(cell.sees(mark, lines, PANIC).await))
}

check! {
    /// When the guest's kernel panics, the host is told that it crashed, and does not take it for a reset.
    pub HOST_NOTIFIED = "crash.host-notified", tier: Disruptive,
        needs: [
            Need::Host(Capability::PanicNotifier),
            Need::Driver("panic-notifier"),
            Need::Sight(SightKind::State),
            Need::Events(EventClass::Crash),
        ],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Crashed)));
    async fn host_notified(cell) {
        cell.system().load_driver("panic-notifier").await?;
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.crash_guest().await?;
        let event = cell.event(from, "the crash", PANIC, |kind| matches!(kind, EventKind::Crashed)).await?;
        let told = HostSource::Hypervisor.saw(event.is_some());
        let state = cell.look().await?.state?;
        let panicked = panic_on_console(cell, lines, state.value).await?;
        let resets = resets(cell, from);
        Ok(Observations::of([
            Finding::each("panic, by the kernel's words and by the hypervisor's", panicked, true, told, true),
            Finding::host_is("resets", resets, Vec::<String>::new()),
            Finding::host_is("machine state", state.map(|state| format!("{state:?}")), format!("{:?}", MachineState::Crashed)),
        ]))
    }
}

check! {
    /// After a crash and a reset the guest boots again.
    pub RECOVERS = "crash.recovers", tier: Disruptive,
        needs: [
            Need::Host(Capability::PanicNotifier),
            Need::Sight(SightKind::State),
            Need::Events(EventClass::Reset),
        ],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Reset { .. }))), limit: 300 s;
    async fn recovers(cell) {
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let before = cell.system().boot_id().await?;
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.crash_guest().await?;
        cell.event(from, "the crash", PANIC, |kind| matches!(kind, EventKind::Crashed)).await?;
        let state = cell.look().await?.state?.value;
        let panicked = panic_on_console(cell, lines, state).await?;
        cell.power(PowerVerb::Reset).await?;
        // A machine that stopped at the crash has to be let go on.
        if cell.look().await?.state?.value != MachineState::Running {
            cell.power(PowerVerb::Resume).await?;
        }
        cell.event(from, "the reset", Duration::from_secs(10), |kind| matches!(kind, EventKind::Reset { .. })).await?;
        let after = cell.wait_restarted(&before.value, limit).await?;
        let boot = which_boot(&before, after.as_deref());
        // A kernel may restart by itself, too, once it goes on after its panic.
        let outside = resets(cell, from).map(|resets| resets.contains(&OUTSIDE));
        Ok(Observations::of([
            Finding::guest_is("the kernel panicked", panicked, true),
            Finding::each("boot that answers, after a reset from outside", boot, ANOTHER, outside, true),
        ]))
    }
}
