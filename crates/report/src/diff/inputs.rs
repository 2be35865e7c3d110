//! What went in: pins by digest, guest, host, machine.

use std::collections::BTreeMap;

use hospitium_model::{CellRecord, Digest, RunRecord};
use serde_json::Value;

use super::InputChange;

/// Changes of what a cell was made from.
pub fn of_cell(before: &CellRecord, after: &CellRecord) -> Vec<InputChange> {
    let mut changes = Vec::new();
    pins(before, after, &mut changes);
    let facts = |of: &CellRecord| {
        let (guest, host) = (&of.guest, &of.host);
        let mut facts = BTreeMap::from([
            ("guest name", guest.name.clone()),
            ("guest version", guest.version.clone()),
            ("host name", host.name.clone()),
            ("host version", host.version.clone()),
            ("host build", host.build.clone()),
            ("accelerator", host.accelerator.used.name().to_owned()),
            ("physical CPU", host.cpu_model.clone()),
            ("physical CPUs", host.cpus.to_string()),
            ("physical memory", format!("{} MiB", host.memory_mib)),
            ("physical kernel", host.kernel.clone()),
        ]);
        if let Some(product) = &guest.product {
            facts.insert("guest product", product.clone());
        }
        facts
    };
    let (old, new) = (facts(before), facts(after));
    between(&old, &new, |name| (*name).to_owned(), &mut changes);
    machine(&machine_of(before), &machine_of(after), "machine", &mut changes);
    changes
}

/// Changes of what a run as a whole was given.
pub fn of_run(before: &RunRecord, after: &RunRecord) -> Vec<InputChange> {
    let facts = |of: &RunRecord| {
        let required: std::collections::BTreeSet<_> = of.required.iter().collect();
        BTreeMap::from([
            ("hospitium", of.hospitium.clone()),
            ("suite", short(of.suite)),
            ("seed", of.seed.to_string()),
            (
                "required checks",
                format!("{} ({})", of.required.len(), {
                    let ids: Vec<&str> = required.iter().map(|id| id.as_str()).collect();
                    short(Digest::of(ids.join("\n").as_bytes()))
                }),
            ),
        ])
    };
    let mut changes = Vec::new();
    between(&facts(before), &facts(after), |name| (*name).to_owned(), &mut changes);
    changes
}

/// The pins of both by role. Where a role has several, they are told by their order. The guest, the
/// VMM and firmware are pinned by the facts too, and those count where no file of theirs was found.
fn pins(before: &CellRecord, after: &CellRecord, changes: &mut Vec<InputChange>) {
    let all = |of: &CellRecord| {
        let mut pins: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |role: &str, words: String| {
            let names = (1..).map(|n| if n == 1 { role.to_owned() } else { format!("{role} {n}") });
            if let Some(free) = names.into_iter().find(|name| !pins.contains_key(name)) {
                pins.insert(free, words);
            }
        };
        // The suite is the run's.
        for pin in of.inputs.iter().filter(|pin| pin.role != "suite") {
            add(&pin.role, short(pin.sha256));
        }
        add("guest digest", short(of.guest.digest));
        let known = |role: &str| of.inputs.iter().any(|pin| pin.role == role);
        if !known("vmm") {
            add("vmm", short(of.host.vmm));
        }
        for (kind, digest) in &of.host.firmware {
            let role = format!("firmware {kind}");
            if !known(&role) {
                add(&role, short(*digest));
            }
        }
        pins
    };
    between(&all(before), &all(after), Clone::clone, changes);
}

/// The digest as people compare it; the bundles have it whole.
fn short(digest: Digest) -> String {
    format!("sha256:{}", digest.short())
}

fn between<K: Ord>(
    before: &BTreeMap<K, String>,
    after: &BTreeMap<K, String>,
    name: impl Fn(&K) -> String,
    changes: &mut Vec<InputChange>,
) {
    let keys: std::collections::BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            changes.push(InputChange {
                what: name(key),
                before: old.cloned(),
                after: new.cloned(),
            });
        }
    }
}

/// The machine without paths, which are of the computer that it ran on: what they lead to is pinned.
pub fn machine_of(of: &CellRecord) -> Value {
    let mut machine = serde_json::to_value(&of.machine).unwrap_or_default();
    if let Some(disks) = machine.get_mut("disks").and_then(Value::as_array_mut) {
        for disk in disks.iter_mut().filter_map(Value::as_object_mut) {
            disk.remove("image");
        }
    }
    if let Some(kernel) = machine.pointer_mut("/boot/kernel").and_then(Value::as_object_mut) {
        kernel.remove("kernel");
        kernel.remove("initrd");
    }
    machine
}

/// The leaves in which two JSON trees differ, by their path.
fn machine(before: &Value, after: &Value, path: &str, changes: &mut Vec<InputChange>) {
    const NONE: Value = Value::Null;
    let join = |name: &str| {
        let gap = if path == "machine" { ' ' } else { '.' };
        format!("{path}{gap}{name}")
    };
    match (before, after) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let (old, new) = (old.get(key).unwrap_or(&NONE), new.get(key).unwrap_or(&NONE));
                machine(old, new, &join(key), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for at in 0..old.len().max(new.len()) {
                let (old, new) = (old.get(at).unwrap_or(&NONE), new.get(at).unwrap_or(&NONE));
                let id = [old, new].iter().find_map(|it| it.get("id")?.as_str());
                let name = id.map_or_else(|| at.to_string(), str::to_owned);
                machine(old, new, &join(&name), changes);
            }
        }
        (old, new) => {
            changes.push(InputChange { what: path.to_owned(), before: leaf(old), after: leaf(new) })
        }
    }
}

fn leaf(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
