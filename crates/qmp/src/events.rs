//! What QEMU's events mean.

use hospitium_host::EventKind;
use hospitium_model::ByteSize;
use serde_json::Value;

use hospitium_model::escaped;

/// What a QMP event means. The id of a device is in its QOM path where the event names no id.
pub fn translate(name: &str, data: &Value) -> Option<EventKind> {
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
        "WATCHDOG" => EventKind::Watchdog { action: escaped(text("action"), 40) },
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
                ("", Some(id)) => escaped(id, 64),
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
            EventKind::Other { name: format!("MIGRATION {}", escaped(text("status"), 40)) }
        }
        _ => EventKind::Other { name: escaped(name, 60) },
    })
}

fn device_id(data: &Value) -> Option<String> {
    Some(escaped(data.get("device")?.as_str()?, 64))
}

/// The id in `/machine/peripheral/ID/…`, or the text itself.
pub fn path_id(path: &str) -> String {
    let id = match path.strip_prefix("/machine/peripheral/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => path,
    };
    escaped(id, 64)
}

#[cfg(test)]
mod tests {
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
}
