//! Power: shutting down, from inside and from outside, and a reset in the wrong moment.

use std::time::Duration;

use hospitium_host::{EventKind, PowerVerb};
use hospitium_model::{Finding, GuestKind, Observations};
use hospitium_wire::PowerAction;

use super::{load, read};
use crate::fault::{Call, SeamFault};
use crate::{Check, Fault, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&ACPI_BUTTON, &GUEST_SHUTDOWN, &RESET_IN_BOOT];

check! {
    /// Pressing the power button makes the guest shut down in order and power off.
    pub ACPI_BUTTON = "power.acpi-button", tier: Disruptive, needs: [crate::Need::Driver("power-button")],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Button))), limit: 180 s;
    async fn acpi_button(cell) {
        let budget = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let logged = match cell.lab().guest().facts().kind {
            GuestKind::Kernel => {
                for name in ["power-button"] {
                    load::driver(cell, name).await?;
                }
                let mut path = None;
                for name in read::names(&cell.guest, "/sys/class/input").await? {
                    if name.starts_with("event") {
                        let device = read::text(&cell.guest, &format!("/sys/class/input/{name}/device/name")).await?;
                        if device.contains("Power Button") {
                            path = Some(format!("/dev/input/{name}"));
                        }
                    }
                }
                match path {
                    None => return Ok(Observations::of([Finding::guest_is("a power button is there", false, true)])),
                    Some(path) => cell.guest.obey_power_button(&path).await?,
                }
                "power button pressed"
            }
            GuestKind::Disk => "",
        };
        let lines = cell.console.line_count();
        let from = cell.events_so_far();
        cell.power(PowerVerb::Button).await?;
        let off = cell.event(from, "power-off", budget, |kind| matches!(kind, EventKind::PoweredOff { .. })).await?;
        let marked = match logged {
            // systemd says on the console what it stops; any such line is its log of an orderly way.
            "" => cell.console.lines_since(lines).iter().any(|(_, l)| l.contains("Stopp") || l.contains("Reached target") || l.contains("Power down")),
            mark => cell.sees(mark, lines, Duration::from_secs(5)).await,
        };
        let by_guest = off.as_ref().map(|event| event.kind == EventKind::PoweredOff { by_guest: true });
        Ok(Observations::of([
            Finding::guest_is("orderly shutdown on the console", marked, true),
            Finding::host_is("powered off, by the guest", by_guest == Some(true), true),
        ]))
    }
}

check! {
    /// A shutdown that the guest begins ends in power-off, and not in a reset or a crash.
    pub GUEST_SHUTDOWN = "power.guest-shutdown", tier: Disruptive, needs: [],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::PoweredOff { .. }))), limit: 180 s;
    async fn guest_shutdown(cell) {
        let budget = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let from = cell.events_so_far();
        cell.guest.power(PowerAction::Off).await?;
        let off = cell.event(from, "power-off", budget, |kind| matches!(kind, EventKind::PoweredOff { .. })).await?;
        let events = cell.machine().events();
        let wrong = events[from..].iter().filter(|e| matches!(e.kind, EventKind::Crashed | EventKind::Reset { .. })).count();
        Ok(Observations::of([
            Finding::guest_is("shutdown requested and acknowledged", true, true),
            Finding::host_is("powered off, by the guest", off.is_some_and(|e| e.kind == EventKind::PoweredOff { by_guest: true }), true),
            Finding::host_is("resets and crashes", wrong, 0),
        ]))
    }
}

check! {
    /// A reset in the middle of a boot does no harm: the next boot reaches userland.
    pub RESET_IN_BOOT = "power.reset-in-boot", tier: Disruptive, needs: [],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Reset))), limit: 300 s;
    async fn reset_in_boot(cell) {
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let before = cell.boot_id().await?;
        let from = cell.events_so_far();
        cell.guest.power(PowerAction::Reboot).await?;
        cell.event(from, "the first reset", limit, |kind| matches!(kind, EventKind::Reset { .. })).await?;
        // Any line after the reset means that the next boot has begun: the console is quiet before.
        let lines = cell.console.line_count();
        let next = cell.console.wait_line("the next boot's first line", lines, limit, |l| !l.trim().is_empty());
        let began = next.await.is_ok();
        let second = cell.events_so_far();
        cell.power(PowerVerb::Reset).await?;
        let reset = cell.event(second, "the reset in the boot", Duration::from_secs(10), |kind| matches!(kind, EventKind::Reset { by_guest: false })).await?;
        let after = cell.wait_restarted(&before, limit).await?;
        Ok(Observations::of([
            Finding::guest_is("came up again", after.is_some(), true),
            Finding::guest_is("boot id is new", after.is_some_and(|after| after != before), true),
            Finding::guest_is("the next boot had begun when it was reset", began, true),
            Finding::host_is("reset from outside in the boot", reset.is_some(), true),
        ]))
    }
}
