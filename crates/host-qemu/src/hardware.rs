//! What of a machine's hardware has changed since it was defined, and what devices leave behind.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hospitium_model::MachineSpec;
use serde_json::{Value, json};

use crate::locked::locked;
use crate::plugged::{Plugged, slot_name};
use crate::qmp::Qmp;
use hospitium_host::History;
use hospitium_host::{EventKind, HostError};

/// How the machine's hardware differs from what it was defined with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Changes {
    pub plugged: Vec<Plugged>,
    pub removed: Vec<String>,
    /// Ids of devices that are gone and left their back ends behind.
    left: Vec<String>,
    /// Events up to here are accounted for.
    seen: usize,
}

impl Changes {
    pub(crate) fn new(plugged: Vec<Plugged>, removed: Vec<String>) -> Self {
        Self { plugged, removed, left: Vec::new(), seen: 0 }
    }

    /// Takes account of the devices that have gone since the last time.
    fn settle(&mut self, history: &History) {
        let fresh = history.since(self.seen);
        self.seen += fresh.len();
        for event in fresh {
            if let EventKind::DeviceRemoved { id } = event.kind {
                match self.plugged.iter().position(|plugged| plugged.id() == id) {
                    Some(at) => drop(self.plugged.remove(at)),
                    None => self.removed.push(id.clone()),
                }
                self.left.push(id);
            }
        }
    }

    /// The first free slot for hot plug.
    pub(crate) fn free_slot(&self, spec: &MachineSpec) -> Result<String, HostError> {
        let taken = |name: &str| {
            let mut devices = self.plugged.iter().flat_map(Plugged::devices);
            devices.any(|device| device.get("bus").and_then(Value::as_str) == Some(name))
        };
        (0..spec.hotplug_slots).map(slot_name).find(|name| !taken(name)).ok_or_else(|| {
            HostError::Refused {
                doing: "looking for a free slot".into(),
                why: format!("all {} hot-plug slots of the machine are taken", spec.hotplug_slots),
            }
        })
    }
}

/// What plugs devices in and out, one at a time.
pub(crate) struct Hardware {
    changes: Mutex<Changes>,
    /// Held by whoever changes the hardware.
    pub(crate) turn: tokio::sync::Mutex<()>,
    qmp: Arc<Qmp>,
    history: Arc<History>,
}

impl Hardware {
    pub(crate) fn new(changes: Changes, qmp: Arc<Qmp>, history: Arc<History>) -> Self {
        Self { changes: Mutex::new(changes), turn: tokio::sync::Mutex::new(()), qmp, history }
    }

    /// How the machine's hardware differs now.
    pub(crate) fn changes(&self) -> MutexGuard<'_, Changes> {
        let mut changes = locked(&self.changes);
        changes.settle(&self.history);
        changes
    }

    /// Removes what devices that are gone left behind.
    pub(crate) async fn tidy(&self) {
        let _turn = self.turn.lock().await;
        self.tidy_now().await;
    }

    /// The same, when it is our turn.
    pub(crate) async fn tidy_now(&self) {
        let left = std::mem::take(&mut self.changes().left);
        let doing = "cleaning up behind a removed device";
        for id in left {
            // Each device has some of these. What can't be removed does no harm but to a second
            // device of the same id, which is then refused.
            remove_nodes(&self.qmp, &id).await;
            let _ = self.qmp.call(doing, "netdev_del", json!({"id": netdev(&id)})).await;
            let _ = self.qmp.call(doing, "object-del", json!({"id": memory_object(&id)})).await;
        }
    }
}

/// Back end of a network interface.
pub(crate) fn netdev(id: &str) -> String {
    format!("n.{id}")
}

/// Back end of a memory module.
pub(crate) fn memory_object(id: &str) -> String {
    format!("x.mem.{id}")
}

/// How long a device's back end is still held after the event that tells of the device's end.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Removes a disk's block nodes; those that others stand on go after them.
pub(crate) async fn remove_nodes(qmp: &Qmp, id: &str) {
    let doing = "removing a disk's block nodes";
    let Ok(nodes) = qmp.call(doing, "query-named-block-nodes", json!({"flat": true})).await else {
        return;
    };
    let prefix = format!("d.{id}.");
    let own = |name: &&str| *name == format!("d.{id}") || name.starts_with(&prefix);
    let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = nodes.iter().filter_map(|node| node.get("node-name")?.as_str()).filter(own);
    let mut names: Vec<&str> = names.collect();
    let started = std::time::Instant::now();
    while !names.is_empty() && started.elapsed() < LETTING_GO {
        let mut left = Vec::new();
        for &name in &names {
            match qmp.call(doing, "blockdev-del", json!({"node-name": name})).await {
                Ok(_) => {}
                Err(HostError::Refused { .. }) => left.push(name),
                Err(_) => return,
            }
        }
        if left.len() == names.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        names = left;
    }
}
