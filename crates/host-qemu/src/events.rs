//! The history of a machine's events: append-only, so that no waiter can miss one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hospitium_model::ByteSize;
use serde_json::Value;
use tokio::sync::watch;

use crate::process::escape;
use hospitium_host::{Event, EventKind, HostError};

/// A guest can cause events without end; past this many only the machine's death is recorded.
const MOST: usize = 100_000;

/// All events of a machine.
pub(crate) struct History {
    events: Mutex<Vec<Event>>,
    grown: watch::Sender<usize>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { events: Mutex::new(Vec::new()), grown: watch::Sender::new(0) }
    }

    /// Something that was noticed now.
    pub(crate) fn push(&self, kind: EventKind) {
        self.push_at(SystemTime::now(), Duration::ZERO, kind);
    }

    /// Something that happened then, within this uncertainty.
    pub(crate) fn push_at(&self, host_time: SystemTime, uncertainty: Duration, kind: EventKind) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= MOST && !matches!(kind, EventKind::Died(_)) {
            return;
        }
        events.push(Event { host_time, uncertainty, at: Instant::now(), kind });
        self.grown.send_replace(events.len());
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.since(0)
    }

    /// Events from the `from`-th on.
    pub(crate) fn since(&self, from: usize) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.get(from..).unwrap_or_default().to_vec()
    }

    pub(crate) fn count(&self) -> usize {
        *self.grown.borrow()
    }

    /// See [`Machine::wait_event`](hospitium_host::Machine::wait_event).
    pub(crate) async fn wait(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        let mut grown = self.grown.subscribe();
        let mut next = from;
        let search = async {
            loop {
                grown.borrow_and_update();
                for event in self.since(next) {
                    if wanted(&event.kind) {
                        return Ok((next, event));
                    }
                    if let EventKind::Died(ended) = event.kind {
                        let doing = format!("waiting for {what}");
                        return Err(HostError::Ended { doing, ended });
                    }
                    next += 1;
                }
                // The sender is in `self`, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        let late = |_| HostError::TimedOut { what: what.to_owned(), limit };
        tokio::time::timeout(limit, search).await.map_err(late)?
    }
}

/// What a QMP event means. The id of a device is in its QOM path where the event names no id.
pub(crate) fn translate(name: &str, data: &Value) -> Option<EventKind> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let flag = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or_default();
    Some(match name {
        "RESUME" => EventKind::Resumed,
        "STOP" => EventKind::Paused,
        "RESET" => EventKind::Reset { by_guest: flag("guest") },
        "SHUTDOWN" => match text("reason") {
            // Not the machine's power, but us: `quit` and signals.
            "host-qmp-quit" | "host-signal" => EventKind::Other { name: "SHUTDOWN".into() },
            _ => EventKind::PoweredOff { by_guest: flag("guest") },
        },
        "POWERDOWN" => EventKind::PowerButton,
        "GUEST_PANICKED" => EventKind::Crashed,
        "SUSPEND" | "SUSPEND_DISK" => EventKind::Suspended,
        "WATCHDOG" => EventKind::Watchdog { action: escape(text("action"), 40) },
        // Comes a second time, without an id, for the part of a device behind its bus.
        "DEVICE_DELETED" => match device_id(data) {
            Some(id) => EventKind::DeviceRemoved { id },
            None => return None,
        },
        "DEVICE_UNPLUG_GUEST_ERROR" | "MEM_UNPLUG_ERROR" => {
            EventKind::DetachRefused { id: device_id(data).unwrap_or_default() }
        }
        "DEVICE_TRAY_MOVED" => EventKind::Tray { id: path_id(text("id")), open: flag("tray-open") },
        "BLOCK_IO_ERROR" => EventKind::DiskError {
            // Older versions tell the block node, newer ones the device too.
            id: match (text("qom-path"), text("node-name").strip_prefix("d.")) {
                ("", Some(id)) => escape(id, 64),
                ("", None) => path_id(text("device")),
                (path, _) => path_id(path),
            },
            no_space: flag("nospace"),
        },
        "BALLOON_CHANGE" => {
            let actual = data.get("actual").and_then(Value::as_u64).unwrap_or_default();
            EventKind::Balloon { actual: ByteSize::bytes(actual) }
        }
        "MIGRATION" => {
            EventKind::Other { name: format!("MIGRATION {}", escape(text("status"), 40)) }
        }
        _ => EventKind::Other { name: escape(name, 60) },
    })
}

fn device_id(data: &Value) -> Option<String> {
    Some(escape(data.get("device")?.as_str()?, 64))
}

/// The id in `/machine/peripheral/ID/…`, or the text itself.
pub(crate) fn path_id(path: &str) -> String {
    let id = match path.strip_prefix("/machine/peripheral/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => path,
    };
    escape(id, 64)
}

#[cfg(test)]
mod tests {
    use hospitium_host::Ended;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_disk_of_an_io_error_is_found_by_its_path() {
        let data = json!({"device": "", "qom-path": "/machine/peripheral/scratch/virtio-backend",
            "nospace": true, "operation": "write", "action": "stop"});
        let told = translate("BLOCK_IO_ERROR", &data);
        let expected = Some(EventKind::DiskError { id: "scratch".into(), no_space: true });
        assert_eq!(told, expected);
        let data = json!({"device": "", "node-name": "d.scratch", "nospace": true});
        assert_eq!(translate("BLOCK_IO_ERROR", &data), expected);
    }

    #[test]
    fn a_hostile_event_is_bounded_and_escaped() {
        let told = translate(&"\u{1b}".repeat(1000), &json!(7));
        assert!(
            matches!(told, Some(EventKind::Other { name }) if name.len() < 500 && !name.contains('\u{1b}'))
        );
        assert_eq!(translate("DEVICE_DELETED", &json!({"path": "/x"})), None);
    }

    #[tokio::test]
    async fn an_event_before_the_wait_is_not_missed_and_death_ends_it() {
        let history = History::new();
        history.push(EventKind::Paused);
        let second = Duration::from_secs(1);
        let found = history.wait(0, "a pause", second, &|k| *k == EventKind::Paused).await;
        assert_eq!(found.expect("there").0, 0);
        let late = history.wait(1, "x", Duration::from_millis(5), &|_| true).await;
        assert!(matches!(late, Err(HostError::TimedOut { .. })));
        let killed = Ended::Signalled { signal: 9, said: String::new() };
        history.push(EventKind::Died(killed.clone()));
        let dead = history.wait(1, "a reset", second, &|k| *k == EventKind::Paused).await;
        assert!(matches!(dead, Err(HostError::Ended { ended, .. }) if ended == killed));
    }
}
