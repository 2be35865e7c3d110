//! What went into a cell, as the record names it: the guest, all inputs by digest, the machine.

use std::collections::BTreeSet;

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{Chipset, Digest, MachineSpec, OperatingSystem};

use super::Resource;
use super::build::Issue;
use super::compact::cut;
use super::validation::Envelope;

/// The guest, by what boots.
pub fn subject(cell: &Cell, issue: &Issue) -> Vec<Resource> {
    let guest = &cell.record.guest;
    let mut subject = Resource::of(&cut(&guest.name, 120), guest.digest);
    subject.uri = guest.product.clone().or_else(|| issue.guest_product.clone());
    vec![subject]
}

/// All that went in, by digest.
pub fn configuration(bundle: &Bundle, cell: &Cell) -> Vec<Resource> {
    let host = &cell.record.host;
    let mut all = vec![
        Resource::of(&cut(&host.name, 120), host.vmm)
            .note("role", "vmm")
            .note("version", &cut(&host.version, 120))
            .note("build", &cut(&host.build, 200)),
    ];
    for (kind, digest) in &host.firmware {
        all.push(Resource::of(&cut(kind, 60), *digest).note("role", "firmware"));
    }
    all.push(Resource::of("suite", bundle.run.suite).note("role", "suite"));
    for input in &cell.record.inputs {
        let known = |r: &Resource| r.sha256() == Some(input.sha256);
        if !all.iter().any(known) {
            // Names of inputs are paths of the machine that ran them: only their last part.
            let name = input.name.rsplit('/').next().unwrap_or_default();
            let resource = Resource::of(&cut(name, 120), input.sha256);
            all.push(resource.note("role", &cut(&input.role, 60)));
        }
    }
    let machine = serde_json::to_vec(&cell.record.machine).unwrap_or_default();
    all.push(Resource::of("machine", Digest::of(&machine)).note("role", "machine"));
    all.truncate(64);
    all
}

/// What was tested.
pub fn envelope(machine: &MachineSpec, accelerator: hospitium_model::Accelerator) -> Envelope {
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let buses = machine.disks.iter().map(|d| d.bus).chain(machine.controllers.iter().copied());
    let buses: BTreeSet<String> = buses.map(|bus| bus.name().to_owned()).collect();
    let nics: BTreeSet<String> =
        machine.nics.iter().map(|nic| word(serde_json::to_value(nic.model))).collect();
    let devices = [
        ("display", machine.display),
        ("input", machine.input),
        ("rng", machine.rng),
        ("balloon", machine.balloon),
        ("panic-notifier", machine.panic_notifier),
        ("generation-id", machine.generation_id.is_some()),
        ("watchdog", machine.watchdog.is_some()),
        ("tpm", machine.tpm.is_some()),
    ];
    Envelope {
        vcpus: machine.cpus.count(),
        vcpus_max: machine.cpus.max_count(),
        memory: machine.memory.size,
        memory_max: machine.memory.max.max(machine.memory.size),
        nodes: machine.memory.nodes,
        chipset: match machine.chipset {
            Chipset::Modern => "modern".to_owned(),
            Chipset::Legacy => "legacy".to_owned(),
        },
        machine_type: machine.machine_type.as_deref().map(|name| cut(name, 64)),
        cpu_model: machine.cpu_model.as_deref().map(|name| cut(name, 64)),
        firmware: machine.firmware,
        disk_buses: buses.into_iter().collect(),
        nics: nics.into_iter().collect(),
        devices: devices.into_iter().filter(|(_, is)| *is).map(|(n, _)| n.to_owned()).collect(),
        accelerator,
    }
}

/// The guest's architecture, as its kernel told: the last word of `uname`.
pub fn arch(cell: &Cell) -> Option<String> {
    let told = cell.record.observed.get("kernel")?;
    let word = told.split_ascii_whitespace().next_back()?;
    // What a stranger's guest tells is not taken for more than a name.
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (word.len() <= 24
        && word.bytes().all(sound)
        && word.starts_with(|c: char| c.is_ascii_alphabetic()))
    .then(|| word.to_owned())
}

/// The profile of which the run required everything.
pub fn profile(bundle: &Bundle) -> Option<String> {
    bundle.run.profile.as_deref().map(|profile| cut(profile, 60))
}

/// The guest's paravirtual drivers. Those of a Linux come with its kernel, so the kernel names them.
pub fn drivers(cell: &Cell) -> Option<String> {
    let told = cell.record.observed.get("kernel")?;
    (cell.record.guest.os == OperatingSystem::Linux && !told.trim().is_empty())
        .then(|| cut(told.trim(), 200))
}
