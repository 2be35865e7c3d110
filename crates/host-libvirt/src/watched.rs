//! What is known of a machine by what libvirt tells: its history, and how it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hospitium_host::{Ended, Event, EventClass, EventKind, History};
use hospitium_model::ByteSize;
use hospitium_model::escaped;
use tokio::sync::watch;
use virt::sys;

use crate::ffi::Told;

/// What led the alias of a device that the specification names (libvirt's user-defined aliases).
pub(crate) const ALIAS: &str = "ua-";

/// A device's id, from its alias.
pub(crate) fn id_of(alias: &str) -> String {
    escaped(alias.strip_prefix(ALIAS).unwrap_or(alias), 64)
}

/// A machine's history and end.
pub(crate) struct Watched {
    pub(crate) history: History,
    ended: watch::Sender<Option<Ended>>,
    /// We asked for its end.
    by_us: AtomicBool,
}

impl Watched {
    pub(crate) fn new() -> Self {
        let (history, ended) = (History::new(), watch::Sender::new(None));
        Self { history, ended, by_us: AtomicBool::new(false) }
    }

    /// From now on its end is our doing.
    pub(crate) fn expect_end(&self) {
        self.by_us.store(true, Ordering::SeqCst);
    }

    /// Whether libvirt is to end its VMM: we asked for it, or its guest has powered it off.
    pub(crate) fn ends_in_order(&self) -> bool {
        let off = |event: &Event| matches!(event.kind, EventKind::PoweredOff { .. });
        self.by_us.load(Ordering::SeqCst) || self.history.all().iter().any(off)
    }

    /// How it ended, if it did.
    pub(crate) fn has_ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let found = ended.wait_for(Option::is_some).await.map(|ended| ended.clone());
        found.ok().flatten().unwrap_or(Ended::Lost { why: "nobody watches it".into() })
    }

    /// The connection is gone.
    pub(crate) fn lost(&self, why: &str) {
        let ended = match self.by_us.load(Ordering::SeqCst) {
            true => Ended::ByUs,
            false => Ended::Lost { why: format!("the connection to libvirt is gone: {why}") },
        };
        self.end(ended);
    }

    /// Notes its end, once.
    pub(crate) fn end(&self, how: Ended) {
        let noted = self.ended.send_if_modified(|ended| match ended {
            Some(_) => false,
            None => {
                *ended = Some(how.clone());
                true
            }
        });
        if noted {
            self.history.push(EventKind::Died(how));
        }
    }

    /// Takes in what libvirt told.
    pub(crate) fn told(&self, told: &Told, qemu_events: bool) {
        let by_us = self.by_us.load(Ordering::SeqCst);
        match meaning(told, by_us, qemu_events) {
            Meaning::Event(kind) => self.history.push(kind),
            Meaning::EventAt(at, kind) => self.history.push_at(at, Duration::ZERO, kind),
            Meaning::End(ended) => self.end(ended),
            Meaning::Nothing => {}
        }
    }
}

#[derive(Debug, PartialEq)]
enum Meaning {
    Event(EventKind),
    EventAt(SystemTime, EventKind),
    End(Ended),
    Nothing,
}

/// Classes of which libvirt's own events tell all that there is to tell.
fn is_libvirts(class: Option<EventClass>) -> bool {
    !matches!(class, Some(EventClass::Reset | EventClass::PowerButton) | None)
}

/// What was told means this. Where QEMU's own events are passed on, they tell what libvirt's do not: who
/// reset a machine, and that its power button was pressed.
fn meaning(told: &Told, by_us: bool, qemu_events: bool) -> Meaning {
    let other = |name: &str| Meaning::Event(EventKind::Other { name: name.into() });
    match told {
        Told::Lifecycle { event, detail } => lifecycle(*event, *detail, by_us),
        Told::Rebooted if qemu_events => Meaning::Nothing,
        // Libvirt does not say who did it.
        Told::Rebooted => other("reboot"),
        Told::Watchdog { action } => {
            let action = match *action {
                sys::VIR_DOMAIN_EVENT_WATCHDOG_NONE => "none",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_PAUSE => "pause",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_RESET => "reset",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF => "poweroff",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN => "shutdown",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_DEBUG => "debug",
                sys::VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI => "inject-nmi",
                _ => "unknown",
            };
            Meaning::Event(EventKind::Watchdog { action: action.into() })
        }
        Told::DiskError { alias, reason } => {
            Meaning::Event(EventKind::DiskError { id: id_of(alias), no_space: reason == "enospc" })
        }
        Told::Removed { alias } => Meaning::Event(EventKind::DeviceRemoved { id: id_of(alias) }),
        Told::NotRemoved { alias } => Meaning::Event(EventKind::DetachRefused { id: id_of(alias) }),
        Told::Tray { alias, open } => {
            Meaning::Event(EventKind::Tray { id: id_of(alias), open: *open })
        }
        Told::Balloon { kib } => {
            let actual = ByteSize::bytes(kib.saturating_mul(1024));
            Meaning::Event(EventKind::Balloon { actual })
        }
        Told::Qemu { name, seconds, micros, details } => {
            let details = serde_json::from_str(details).unwrap_or_default();
            match hospitium_qmp::translate(name, &details) {
                Some(kind) if !is_libvirts(kind.class()) => {
                    let seconds = Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
                    let at = seconds.saturating_add(Duration::from_micros(u64::from(*micros)));
                    let at = SystemTime::UNIX_EPOCH.checked_add(at);
                    Meaning::EventAt(at.unwrap_or_else(SystemTime::now), kind)
                }
                _ => Meaning::Nothing,
            }
        }
    }
}

/// Lifecycle events (`virDomainEventType` and the details of each).
fn lifecycle(event: u32, detail: i32, by_us: bool) -> Meaning {
    let detail = detail.cast_unsigned();
    match (event, detail) {
        (sys::VIR_DOMAIN_EVENT_RESUMED, _) => Meaning::Event(EventKind::Resumed),
        (
            sys::VIR_DOMAIN_EVENT_SUSPENDED,
            sys::VIR_DOMAIN_EVENT_SUSPENDED_RESTORED
            | sys::VIR_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT,
        ) => Meaning::Event(EventKind::Other { name: "restored".into() }),
        (sys::VIR_DOMAIN_EVENT_SUSPENDED, _) => Meaning::Event(EventKind::Paused),
        (sys::VIR_DOMAIN_EVENT_PMSUSPENDED, _) => Meaning::Event(EventKind::Suspended),
        (sys::VIR_DOMAIN_EVENT_CRASHED, _) => Meaning::Event(EventKind::Crashed),
        // Its VMM was told to end, and shuts the machine down as it goes.
        (sys::VIR_DOMAIN_EVENT_SHUTDOWN, detail)
            if by_us && detail != sys::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST =>
        {
            Meaning::Nothing
        }
        (sys::VIR_DOMAIN_EVENT_SHUTDOWN, detail) => {
            // FINISHED is what libvirt says where its VMM did not tell who it was (libvirt, qemu_process.c,
            // qemuProcessHandleShutdown): that is nobody's word for the guest.
            let by_guest = detail == sys::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST;
            Meaning::Event(EventKind::PoweredOff { by_guest })
        }
        (sys::VIR_DOMAIN_EVENT_STOPPED, _) if by_us => Meaning::End(Ended::ByUs),
        (sys::VIR_DOMAIN_EVENT_STOPPED, detail) => Meaning::End(match detail {
            sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN => Ended::PoweredOff,
            sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED => {
                Ended::Failed { why: "libvirt says that it crashed".into() }
            }
            sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED => {
                Ended::Failed { why: "another client of libvirt ended it".into() }
            }
            sys::VIR_DOMAIN_EVENT_STOPPED_FAILED => {
                Ended::Failed { why: "its VMM ended by itself, or somebody killed it".into() }
            }
            _ => Ended::Failed { why: "another client of libvirt took it away".into() },
        }),
        (event, detail) => {
            let name = format!("lifecycle {event} {detail}");
            Meaning::Event(EventKind::Other { name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(event: u32, detail: u32) -> Told {
        Told::Lifecycle { event, detail: detail.cast_signed() }
    }

    #[test]
    fn an_end_is_ours_only_if_we_asked_for_it() {
        let destroyed =
            life(sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
        assert_eq!(meaning(&destroyed, true, true), Meaning::End(Ended::ByUs));
        let foreign = meaning(&destroyed, false, true);
        assert!(matches!(foreign, Meaning::End(Ended::Failed { .. })), "{foreign:?}");
        let off = life(sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
        assert_eq!(meaning(&off, false, true), Meaning::End(Ended::PoweredOff));
    }

    #[test]
    fn only_a_guest_that_is_named_has_shut_itself_down_and_a_crash_is_no_power_off() {
        let off = |detail| meaning(&life(sys::VIR_DOMAIN_EVENT_SHUTDOWN, detail), false, true);
        let told = |by_guest| Meaning::Event(EventKind::PoweredOff { by_guest });
        assert_eq!(off(sys::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST), told(true));
        assert_eq!(off(sys::VIR_DOMAIN_EVENT_SHUTDOWN_HOST), told(false));
        assert_eq!(off(sys::VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED), told(false));
        let ours = |detail| meaning(&life(sys::VIR_DOMAIN_EVENT_SHUTDOWN, detail), true, true);
        assert_eq!(ours(sys::VIR_DOMAIN_EVENT_SHUTDOWN_HOST), Meaning::Nothing);
        assert_eq!(ours(sys::VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED), Meaning::Nothing);
        assert_eq!(ours(sys::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST), told(true), "it was quicker");
        let crashed = life(sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED);
        let crashed = meaning(&crashed, false, true);
        assert!(matches!(&crashed, Meaning::End(ended) if !ended.expected()), "{crashed:?}");
    }

    #[test]
    fn who_reset_a_machine_is_told_by_qemu_or_by_nobody() {
        let qemu = |name: &str, details: &str| Told::Qemu {
            name: name.into(),
            seconds: 1_700_000_000,
            micros: 5,
            details: details.into(),
        };
        let reset = meaning(&qemu("RESET", r#"{"guest":true}"#), false, true);
        assert!(
            matches!(reset, Meaning::EventAt(_, EventKind::Reset { by_guest: true })),
            "{reset:?}"
        );
        assert_eq!(meaning(&Told::Rebooted, false, true), Meaning::Nothing);
        let alone = meaning(&Told::Rebooted, false, false);
        assert!(matches!(alone, Meaning::Event(EventKind::Other { .. })), "{alone:?}");
        // What libvirt tells by itself is not told twice.
        assert_eq!(meaning(&qemu("STOP", "{}"), false, true), Meaning::Nothing);
        assert_eq!(meaning(&qemu("RESET", "no JSON"), false, true), {
            meaning(&qemu("RESET", "{}"), false, true)
        });
    }

    #[test]
    fn ids_are_those_of_the_specification_and_crafted_ones_are_bounded() {
        assert_eq!(id_of("ua-scratch"), "scratch");
        assert!(id_of(&"\u{1b}".repeat(500)).len() < 600);
    }

    #[tokio::test]
    async fn a_lost_connection_ends_what_waits_and_only_once() {
        let watched = Watched::new();
        watched.lost("the daemon closed it");
        watched.end(Ended::PoweredOff);
        assert!(matches!(watched.ended().await, Ended::Lost { why } if why.contains("closed")));
        assert_eq!(watched.history.count(), 1);
    }
}
