//! What is here: hosts, guests, checks, the cache.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use hospitium_host::Choices;
use hospitium_host_qemu::Qemu;
use hospitium_model::{Answer, Bus, ByteSize, Capability};
use hospitium_run::cache::{DEFAULT_SIZE, SnapshotCache, room_of_derived, trim_derived};
use hospitium_run::{Places, PlannedHost};
use serde_json::{Value, json};

use crate::args::{AcceleratorArgument, CacheCommand};
use crate::definition::{GuestDefinition, HostDefinition, all, beside, read};
use crate::failure::{End, Usage};
use crate::json::print;
use crate::libvirt;
use crate::open::{Wishes, guest, host, reapers};
use crate::out::out;
use crate::view::{Paint, safe};

/// Everything that a host may be able to do.
const CAPABILITIES: [(Capability, &str); 26] = [
    (Capability::Snapshot, "save and clone machines"),
    (Capability::Sandbox, "confine the hypervisor's process"),
    (Capability::PowerLossLog, "cut the power at a disk"),
    (Capability::Uefi, "UEFI firmware"),
    (Capability::HotplugDisk(Bus::Virtio), "hot plug of virtio disks"),
    (Capability::HotplugDisk(Bus::VirtioScsi), "hot plug of virtio-scsi disks"),
    (Capability::HotplugDisk(Bus::Nvme), "hot plug of NVMe disks"),
    (Capability::HotplugDisk(Bus::Usb), "hot plug of USB disks"),
    (Capability::HotplugNic, "hot plug of network interfaces"),
    (Capability::HotplugVcpu, "hot plug of vCPUs"),
    (Capability::HotplugMemory, "hot plug of memory"),
    (Capability::HotplugUsb, "hot plug of USB devices"),
    (Capability::ResizeDisk, "growing a disk in use"),
    (Capability::GrowRoom, "giving a full disk more room"),
    (Capability::LinkState, "pulling the network cable"),
    (Capability::LiveMigration, "live migration"),
    (Capability::Nmi, "non-maskable interrupts"),
    (Capability::Balloon, "memory balloon"),
    (Capability::Screenshot, "pictures of the display"),
    (Capability::SendKeys, "keys"),
    (Capability::Watchdog, "watchdog"),
    (Capability::PanicNotifier, "panic notifier"),
    (Capability::RngDevice, "random-number device"),
    (Capability::GenerationId, "VM generation id"),
    (Capability::Tpm, "TPM"),
    (Capability::KeepGenerationId, "going on with the same VM generation id"),
];

/// Devices of the standard machine and of checks, by the names of `guests/linux-modules.toml`.
const DEVICES: [&str; 13] = [
    "virtio",
    "virtio-scsi",
    "sata",
    "nvme",
    "usb-storage",
    "cdrom",
    "virtio-net",
    "virtio-console",
    "rng",
    "balloon",
    "watchdog",
    "panic-notifier",
    "keyboard",
];

/// `hospitium host list`.
pub fn host_list(as_json: bool) -> Result<End> {
    let paint = Paint::stdout();
    let found = Qemu::find();
    if as_json {
        let defined = all("hosts").into_iter().map(|file| match read::<HostDefinition>(&file) {
            Ok(definition) => {
                json!({ "name": name_of(&file), "kind": definition.kind, "definition": file })
            }
            Err(error) => {
                json!({ "name": name_of(&file), "definition": file, "error": format!("{error:#}") })
            }
        });
        let hosts = json!({
            "schema": "hospitium-hosts/1",
            "found": found,
            "defined": defined.collect::<Vec<_>>(),
            "libvirt": cfg!(feature = "libvirt"),
        });
        out!("{hosts}");
        return Ok(if found.is_empty() { End::Bad } else { End::Good });
    }
    for path in &found {
        out!(
            "{}  {}",
            paint.bold(&path.display().to_string()),
            paint.dim("on PATH; `--on qemu` is the first")
        );
    }
    for file in all("hosts") {
        let name = name_of(&file);
        match read::<HostDefinition>(&file) {
            Ok(definition) => {
                if definition.kind == libvirt::PREFIX {
                    let uri = definition.uri.as_deref().unwrap_or("its default connection");
                    out!("{}  libvirt at {}", paint.bold(&name), safe(uri));
                    continue;
                }
                let place = definition
                    .root
                    .or(definition.binary)
                    .unwrap_or_else(|| "qemu-system-x86_64".into());
                let path = beside(&file, &place);
                let here = path.exists() || place.components().count() == 1;
                out!(
                    "{}  {} {}",
                    paint.bold(&name),
                    path.display(),
                    presence(
                        paint,
                        here,
                        definition.get.map(|command| format!("run: {command}")).as_deref()
                    )
                );
            }
            Err(error) => out!(
                "{}  {}",
                paint.bold(&name),
                paint.verdict("error", &safe(&format!("{error:#}")))
            ),
        }
    }
    match cfg!(feature = "libvirt") {
        true => out!(
            "{}  {}",
            paint.bold("libvirt:URI"),
            paint.dim("as in `virsh -c URI`; `libvirt` is the default connection")
        ),
        false => out!(
            "{}  {}",
            paint.bold("libvirt:URI"),
            paint.dim("not in this build, which lacks the feature libvirt")
        ),
    }
    if found.is_empty() {
        out!(
            "no qemu-system-x86_64 on PATH; install it: apt install qemu-system-x86 qemu-utils ovmf"
        );
        return Ok(End::Bad);
    }
    out!("\n`hospitium host check [HOST]` tries one out");
    Ok(End::Good)
}

/// `hospitium host check`.
pub async fn host_check(
    named: &[String],
    places: &Places,
    accelerator: AcceleratorArgument,
    as_json: bool,
) -> Result<End> {
    let paint = Paint::stdout();
    let mut values = Vec::new();
    for what in named {
        let opened = host(what, places, accelerator).await?;
        let facts = opened.host.facts();
        if as_json {
            values.push(host_value(&opened)?);
            continue;
        }
        out!("{}", paint.bold(&facts.name));
        out!("  build        {}", safe(&facts.build));
        out!("  vmm          sha256:{}", facts.vmm);
        for (kind, digest) in &facts.firmware {
            out!("  firmware     {kind} sha256:{}", digest.short());
        }
        out!("  accelerator  {} ({})", facts.accelerator.used.name(), safe(&facts.accelerator.how));
        out!(
            "  machine      {}, {} CPUs, {} MiB, Linux {}",
            safe(&facts.cpu_model),
            facts.cpus,
            facts.memory_mib,
            safe(&facts.kernel)
        );
        for (capability, words) in CAPABILITIES {
            match opened.host.offers(capability) {
                Answer::Yes => out!("  {} {words}", paint.verdict("pass", "yes")),
                Answer::No(why) => {
                    out!("  {}  {words}: {}", paint.verdict("miss", "no"), safe(&why))
                }
            }
        }
        match opened.host.choices() {
            Ok(choices) => names(choices),
            Err(why) => out!("  CPU models and machine types: {}", safe(&why.to_string())),
        }
    }
    if as_json {
        out!("{}", json!({ "schema": "hospitium-host-check/1", "hosts": values }));
    }
    Ok(End::Good)
}

/// A host that was tried, with what it can do; what it cannot has the reason.
fn host_value(opened: &PlannedHost) -> Result<Value> {
    let can = CAPABILITIES.map(|(capability, words)| match opened.host.offers(capability) {
        Answer::Yes => json!({ "what": words, "can": true }),
        Answer::No(why) => json!({ "what": words, "can": false, "why": why }),
    });
    let (mut types, mut models) = (Vec::new(), Vec::new());
    if let Ok(choices) = opened.host.choices() {
        types.extend(choices.machine_types.iter().map(|choice| choice.name.clone()));
        let usable = choices.cpu_models.iter().filter(|choice| choice.unusable.is_none());
        models.extend(usable.map(|choice| choice.name.clone()));
    }
    let facts = serde_json::to_value(opened.host.facts()).context("cannot write JSON")?;
    Ok(json!({ "facts": facts, "capabilities": can, "machine_types": types, "cpu_models": models }))
}

/// What `run --machine-type` and `run --cpu` take.
fn names(choices: &Choices) {
    let types = choices.machine_types.iter().map(|choice| match &choice.alias {
        Some(alias) => format!("{} ({alias})", choice.name),
        None => choice.name.clone(),
    });
    let usable = choices.cpu_models.iter().filter(|choice| choice.unusable.is_none());
    let models = usable.map(|choice| choice.name.clone());
    for (what, all) in
        [("machine types", types.collect::<Vec<_>>()), ("CPU models", models.collect())]
    {
        out!("  {what}: {}", safe(&all.join(" ")));
    }
}

/// `hospitium guest list`.
pub fn guest_list(places: &Places, as_json: bool) -> Result<End> {
    let paint = Paint::stdout();
    let mut any = false;
    let mut values = Vec::new();
    for file in all("guests") {
        any = true;
        let name = name_of(&file);
        match GuestDefinition::read(&file) {
            Ok(definition) => {
                let path = definition.file(&file, places);
                let get = definition.get(&file);
                if as_json {
                    let is_here = path.exists();
                    let get = (!is_here).then_some(get);
                    values.push(json!({
                        "name": name, "definition": file, "file": path, "is_here": is_here, "get": get,
                    }));
                    continue;
                }
                out!(
                    "{}  {} {}",
                    paint.bold(&name),
                    path.display(),
                    presence(paint, path.exists(), Some(&get))
                );
            }
            Err(error) if as_json => {
                let error = format!("{error:#}");
                values.push(json!({ "name": name, "definition": file, "error": error }));
            }
            Err(error) => out!(
                "{}  {}",
                paint.bold(&name),
                paint.verdict("error", &safe(&format!("{error:#}")))
            ),
        }
    }
    let mut packages: Vec<_> = std::fs::read_dir(places.debs())
        .into_iter()
        .flatten()
        .flatten()
        .map(|item| item.path())
        .collect();
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    packages.sort();
    any |= !packages.is_empty();
    let end = if any { End::Good } else { End::Bad };
    if as_json {
        let list =
            json!({ "schema": "hospitium-guests/1", "defined": values, "packages": packages });
        out!("{list}");
        return Ok(end);
    }
    for path in &packages {
        out!("{}  {}", paint.bold(&path.display().to_string()), paint.dim("kernel package"));
    }
    if !any {
        out!("no guests here; `cargo xtask setup` fetches two kernels and builds a disk image");
        return Ok(end);
    }
    out!("\n`hospitium guest check GUEST` looks one over");
    Ok(end)
}

/// `hospitium guest check`.
pub fn guest_check(named: &[String], places: &Places, as_json: bool) -> Result<End> {
    let paint = Paint::stdout();
    let all: Vec<String> = if named.is_empty() {
        all("guests").iter().map(|path| path.to_string_lossy().into_owned()).collect()
    } else {
        named.to_vec()
    };
    if all.is_empty() {
        return Err(Usage::error(
            "no guest is named, and ./guests has no definition of one",
            "name one: hospitium guest check IMAGE",
        ));
    }
    let mut end = End::Good;
    let mut values = Vec::new();
    for what in &all {
        let opened = match guest(what, places, &Wishes::default()) {
            Ok(opened) => opened,
            Err(error) if all.len() > 1 => {
                crate::failure::tell(&error);
                end = End::Bad;
                continue;
            }
            Err(error) => return Err(error),
        };
        let facts = opened.guest.facts();
        if as_json {
            let lacks =
                DEVICES.into_iter().filter_map(|device| match opened.guest.driver(device) {
                    Answer::Yes => None,
                    Answer::No(why) => Some(json!({ "device": device, "why": why })),
                });
            let lacks: Vec<_> = lacks.collect();
            let facts = serde_json::to_value(facts).context("cannot write JSON")?;
            let inputs =
                serde_json::to_value(opened.guest.inputs()).context("cannot write JSON")?;
            values.push(json!({ "facts": facts, "inputs": inputs, "lacks_drivers": lacks }));
            continue;
        }
        out!("{}", paint.bold(&safe(&facts.name)));
        out!("  kind     {:?}, {:?}, version {}", facts.kind, facts.os, safe(&facts.version));
        out!("  digest   sha256:{}", facts.digest);
        if let Some(product) = &facts.product {
            out!("  product  {}", safe(product));
        }
        for pin in opened.guest.inputs() {
            out!(
                "  input    {} {} ({}, sha256:{})",
                pin.role,
                safe(&pin.name),
                pin.size,
                pin.sha256.short()
            );
        }
        for device in DEVICES {
            if let Answer::No(why) = opened.guest.driver(device) {
                out!("  {} no driver {device}: {}", paint.verdict("miss", "lacks"), safe(&why));
            }
        }
    }
    if as_json {
        out!("{}", json!({ "schema": "hospitium-guest-check/1", "guests": values }));
    }
    Ok(end)
}

/// `hospitium cache …`.
pub fn cache(command: &CacheCommand, places: &Places) -> Result<End> {
    let cache = SnapshotCache::open(&places.snapshots(), DEFAULT_SIZE, reapers())?;
    match command {
        CacheCommand::List { json } => {
            let mut entries = cache.list()?;
            entries.sort_by_key(|listed| std::cmp::Reverse(listed.used));
            if *json {
                let machines = entries.iter().map(|listed| {
                    let age = SystemTime::now().duration_since(listed.used).unwrap_or_default();
                    json!({
                        "key": listed.key.short(), "mib": listed.size.as_mib(), "in_use": listed.in_use,
                        "unused_seconds": age.as_secs(), "partial": listed.entry.is_none(),
                        "host": listed.entry.as_ref().map(|entry| {
                            format!("{} {}", entry.parts.host_kind, entry.parts.host_version)
                        }),
                    })
                });
                let machines: Vec<_> = machines.collect();
                let folder = cache.folder();
                out!(
                    "{}",
                    json!({ "schema": "hospitium-cache/1", "folder": folder, "machines": machines })
                );
                return Ok(End::Good);
            }
            for listed in &entries {
                let what = match &listed.entry {
                    Some(entry) => {
                        let uname = entry
                            .boot
                            .uname
                            .iter()
                            .take(2)
                            .map(|word| safe(word))
                            .collect::<Vec<_>>()
                            .join(" ");
                        let machine = &entry.declared;
                        format!(
                            "{uname} on {} {}, {}, {} vCPUs",
                            entry.parts.host_kind,
                            safe(&entry.parts.host_version),
                            machine.memory.size,
                            machine.cpus.count()
                        )
                    }
                    None => "partial".into(),
                };
                let age = SystemTime::now().duration_since(listed.used).unwrap_or_default();
                let in_use = if listed.in_use { ", in use" } else { "" };
                out!(
                    "{}  {:>6} MiB  used {} ago{in_use}  {what}",
                    listed.key.short(),
                    listed.size.as_mib(),
                    ago(age)
                );
            }
            let total: u64 = entries.iter().map(|listed| listed.size.as_mib()).sum();
            out!("{} booted machines, {total} MiB in {}", entries.len(), cache.folder().display());
            for folder in places.derived() {
                let (count, room) = room_of_derived(&folder)
                    .with_context(|| format!("cannot list {}", folder.display()))?;
                if count > 0 {
                    out!("{count} more, {} MiB in {}", room.as_mib(), folder.display());
                }
            }
        }
        CacheCommand::Clean { json: as_json } => {
            let gone = cache.clear()?;
            let tell = !as_json.json;
            if tell {
                out!("{gone} booted machines removed");
            }
            let mut others = 0;
            for folder in places.derived() {
                let gone = trim_derived(&folder, ByteSize::default())
                    .with_context(|| format!("cannot empty {}", folder.display()))?;
                others += gone;
                if gone > 0 && tell {
                    out!("{gone} removed from {}", folder.display());
                }
            }
            if !tell {
                print(
                    "hospitium-cache-clean/1",
                    json!({ "folder": cache.folder(), "machines": gone, "others": others }),
                );
            }
        }
    }
    Ok(End::Good)
}

fn ago(age: std::time::Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn presence(paint: Paint, here: bool, get: Option<&str>) -> String {
    match (here, get) {
        (true, _) => paint.verdict("pass", "here"),
        (false, Some(command)) => {
            format!("{}; {}", paint.verdict("miss", "missing"), safe(command))
        }
        (false, None) => paint.verdict("miss", "missing"),
    }
}
