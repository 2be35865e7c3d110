//! KubeVirt's `VirtualMachine`, `VirtualMachineInstance` and `VirtualMachineInstanceReplicaSet` as YAML
//! (kubevirt.io/api, `core/v1/schema.go`), which is what OpenShift Virtualization and Harvester have too.

use hospitium_model::{Bus, ByteSize, Chipset, CpuTopology, Firmware, FormError, NicModel};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, NicKind, SourceFormat,
    Told, VmDefinition, Why,
};
use crate::machine_type::{arch_of, chipset_of};
use crate::tree::Node;

/// Whether a text that is neither XML nor JSON is worth reading as this.
pub(crate) fn looks_like(text: &str) -> bool {
    let has =
        |key: &str| text.lines().any(|line| line.trim_start_matches("- ").trim().starts_with(key));
    has("apiVersion:") && has("kind:")
}

/// Reads the objects of a file: the first machine among them.
pub(crate) fn read(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::KubeVirt);
    let wrong = |line: u32, what: String| FormError::at(file, text, line as usize, 0, what);
    let mut objects: Vec<&Node> = Vec::new();
    for object in root.all("machine") {
        match object.first("items") {
            // `kubectl get vm -o yaml` prints a List.
            Some(_) => objects.extend(object.all("items")),
            None => objects.push(object),
        }
        object.excuse(&["apiVersion", "kind", "metadata"]);
    }
    let kind = |object: &Node| object.text_of("kind").map(|told| told.value).unwrap_or_default();
    let is_machine = |object: &&&Node| kind(object).starts_with("VirtualMachine");
    let Some(object) = objects.iter().find(is_machine) else {
        let kinds: Vec<String> = objects.iter().map(|object| kind(object)).collect();
        let what = format!("no VirtualMachine in it, but {}", kinds.join(", "));
        return Err(wrong(1, what));
    };
    for other in objects.iter().filter(|other| !std::ptr::eq(**other, *object)) {
        let what = format!("another object, {}, which was not read", kind(other));
        d.leave(other.line, &what, Why::NotCompared);
        other.take();
    }
    d.hypervisor = Some(Told::by_default(Hypervisor::KubeVirt, "every such file"));
    object.excuse(&["apiVersion", "status"]);
    if let Some(metadata) = object.first("metadata") {
        d.name = metadata.text_of("name");
        hints(metadata, &mut d);
        metadata.take();
    }
    let Some(outer) = object.first("spec") else {
        return Err(wrong(object.line, "the machine has no spec".into()));
    };
    outer.excuse(&["running", "runStrategy", "dataVolumeTemplates", "replicas", "selector"]);
    let spec = match outer.first("template") {
        Some(template) => {
            if let Some(metadata) = template.first("metadata") {
                hints(metadata, &mut d);
                metadata.take();
            }
            template.first("spec").unwrap_or(template)
        }
        None => outer,
    };
    // What is defined elsewhere is not known here.
    for (key, what) in [("instancetype", "its vCPUs and memory"), ("preference", "its devices")] {
        if let Some(node) = outer.first(key) {
            let name = node.text_of("name").map(|told| told.value).unwrap_or_default();
            node.take();
            let what = format!("{key} {name}, which says {what} elsewhere");
            d.leave(node.line, &what, Why::NotUnderstood);
        }
    }
    spec.excuse(&[
        "terminationGracePeriodSeconds",
        "evictionStrategy",
        "networks",
        "nodeSelector",
        "affinity",
        "tolerations",
        "accessCredentials",
        "hostname",
        "subdomain",
        "dnsPolicy",
        "dnsConfig",
        "livenessProbe",
        "readinessProbe",
        "priorityClassName",
        "schedulerName",
        "startStrategy",
        "topologySpreadConstraints",
    ]);
    d.arch = spec.text_of("architecture").map(|told| told.map(|name| arch_of(&name)));
    if let Some(domain) = spec.first("domain") {
        self::domain(file, text, domain, &mut d)?;
        let volumes: Vec<(String, Told<String>)> = spec.all("volumes").filter_map(volume).collect();
        if let Some(devices) = domain.first("devices") {
            self::devices(devices, &volumes, &mut d);
        }
    }
    for volume in spec.all("volumes") {
        volume.take();
    }
    Ok(d)
}

/// What labels and annotations say of the system: `vm.kubevirt.io/os: rhel9`, `os.template.kubevirt.io/rhel9.4`.
fn hints(metadata: &Node, d: &mut VmDefinition) {
    for list in ["annotations", "labels"].iter().filter_map(|name| metadata.first(name)) {
        for entry in &list.children {
            let value = entry.told();
            if entry.name == "vm.kubevirt.io/os" || entry.name == "harvesterhci.io/os" {
                d.guest.extend(value.map(|told| told.map(GuestHint::Words)));
            } else if let Some(os) = entry.name.strip_prefix("os.template.kubevirt.io/") {
                let told = Told { value: os.to_owned(), line: entry.line, from: "label".into() };
                d.guest.push(told.map(GuestHint::Words));
            }
        }
    }
}

/// A volume's name and what is behind it.
fn volume(node: &Node) -> Option<(String, Told<String>)> {
    let name = node.text_of("name")?.value;
    let source = node.children.iter().find(|child| child.name != "name")?;
    let place = ["image", "name", "claimName", "path"].iter().find_map(|key| source.text_of(key));
    let plain = Told { value: source.name.clone(), line: source.line, from: source.name.clone() };
    Some((name, place.unwrap_or(plain)))
}

fn domain(file: &str, text: &str, domain: &Node, d: &mut VmDefinition) -> Result<(), FormError> {
    let wrong = |told: &Told<String>, what: &str| {
        let what = format!("{} is {:?}, no {what}", told.from, told.value);
        FormError::at(file, text, told.line as usize, 0, what)
    };
    domain.excuse(&["ioThreadsPolicy", "clock", "chassis"]);
    let count = |told: Option<Told<String>>| match told {
        Some(told) => {
            let n = told.value.parse::<u32>().ok().filter(|n| (1..=65_535).contains(n));
            n.map(|n| Some(told.clone().map(|_| n))).ok_or_else(|| wrong(&told, "number of vCPUs"))
        }
        None => Ok(None),
    };
    if let Some(cpu) = domain.first("cpu") {
        let part = |name: &str| count(cpu.text_of(name));
        let (sockets, cores, threads) = (part("sockets")?, part("cores")?, part("threads")?);
        let one = |told: &Option<Told<u32>>| told.as_ref().map_or(1, |told| told.value);
        let place = cores.clone().or_else(|| sockets.clone()).or_else(|| threads.clone());
        let (s, c, t) = (one(&sockets), one(&cores), one(&threads));
        let all = s.checked_mul(c).and_then(|n| n.checked_mul(t)).filter(|n| *n <= 65_535);
        if let Some(place) = place {
            let shown = place.clone().map(|_| format!("{s} × {c} × {t}"));
            let all = all.ok_or_else(|| wrong(&shown, "number of vCPUs"))?;
            let topology = CpuTopology { sockets: s, cores: c, threads: t, max_sockets: 0 };
            d.vcpus.topology = Some(place.clone().map(|_| topology));
            d.vcpus.count = Some(place.map(|_| all));
        }
        d.vcpus.max = count(cpu.text_of("maxSockets"))?
            .and_then(|most| Some((most.value.checked_mul(c)?.checked_mul(t)?, most)))
            .map(|(most, told)| told.map(|_| most));
        let model = cpu.text_of("model");
        d.cpu_model =
            model.filter(|m| !matches!(m.value.as_str(), "host-model" | "host-passthrough"));
        cpu.excuse(&[
            "dedicatedCpuPlacement",
            "isolateEmulatorThread",
            "features",
            "numa",
            "realtime",
        ]);
    }
    let memory = domain.first("memory");
    let resources = domain.first("resources").and_then(|node| node.first("requests"));
    let size = |told: Told<String>| {
        let bytes = quantity(&told.value).ok_or_else(|| wrong(&told, "quantity of memory"))?;
        Ok::<_, FormError>(told.map(|_| bytes))
    };
    let told = memory.and_then(|node| node.text_of("guest"));
    let told = told.or_else(|| resources.and_then(|node| node.text_of("memory")));
    d.memory.size = told.map(size).transpose()?;
    d.memory.max = memory.and_then(|node| node.text_of("maxGuest")).map(size).transpose()?;
    for node in [memory, domain.first("resources")].into_iter().flatten() {
        node.take();
    }
    if let Some(told) = domain.first("machine").and_then(|node| node.text_of("type")) {
        if d.may_be_pc() {
            d.chipset = chipset_of(&told.value).map(|value| told.clone().map(|_| value));
        }
        d.hardware = Some(told);
    } else if d.may_be_pc() {
        d.chipset = Some(Told::by_default(Chipset::Modern, "KubeVirt, q35"));
    }
    firmware(domain, d);
    if let Some(features) = domain.first("features") {
        features.take();
    }
    if let Some(node) = domain.first("launchSecurity") {
        let model = Told { value: "sev".into(), line: node.line, from: "launchSecurity".into() };
        node.take();
        d.devices.push(Device { kind: "confidential", model });
    }
    Ok(())
}

fn firmware(domain: &Node, d: &mut VmDefinition) {
    let node = domain.first("firmware");
    let loader = node.and_then(|node| node.first("bootloader"));
    if let Some(efi) = loader.and_then(|loader| loader.first("efi")) {
        let place = Told { value: Firmware::Uefi, line: efi.line, from: "efi".into() };
        // On unless it is said to be off (schema.go, EFI.SecureBoot).
        d.secure_boot = Some(match efi.text_of("secureBoot") {
            Some(told) => told.map(|value| value != "false"),
            None => Told::by_default(true, "KubeVirt, efi"),
        });
        d.firmware = Some(place);
    } else if let Some(bios) = loader.and_then(|loader| loader.first("bios")) {
        d.firmware = Some(Told { value: Firmware::Bios, line: bios.line, from: "bios".into() });
    } else if d.may_be_pc() {
        d.firmware = Some(Told::by_default(Firmware::Bios, "KubeVirt, no bootloader"));
    }
    if let Some(node) = node {
        node.take();
    }
}

fn devices(devices: &Node, volumes: &[(String, Told<String>)], d: &mut VmDefinition) {
    for node in devices.all("disks") {
        let id = node.text_of("name").unwrap_or_else(|| place(node, "disk"));
        let kinds = ["disk", "cdrom", "lun", "floppy"];
        let kind = kinds.iter().find_map(|kind| Some((*kind, node.first(kind)?)));
        let bus = kind.and_then(|(_, kind)| kind.text_of("bus")).map(|told| {
            told.map(|name| match name.as_str() {
                "virtio" => DiskBus::Known(Bus::Virtio),
                "sata" => DiskBus::Known(Bus::Sata),
                "usb" => DiskBus::Known(Bus::Usb),
                // The only controller that KubeVirt makes for it.
                "scsi" => DiskBus::Known(Bus::VirtioScsi),
                _ => DiskBus::Other(name),
            })
        });
        let image =
            volumes.iter().find(|(name, _)| *name == id.value).map(|(_, told)| told.clone());
        let cdrom = kind.is_some_and(|(kind, _)| kind == "cdrom");
        node.take();
        let (format, size) = (None, None);
        d.disks.push(DiskDefinition { id, bus, image, format, size, readonly: cdrom, cdrom });
    }
    for node in devices.all("interfaces") {
        let id = node.text_of("name").unwrap_or_else(|| place(node, "interface"));
        let sriov = node.first("sriov").is_some();
        let model = node.text_of("model").map(|told| told.map(|name| NicKind::named(&name)));
        node.take();
        let model = model.unwrap_or_else(|| match sriov {
            true => id.clone().map(|_| NicKind::Other("passthrough".into())),
            false => Told::by_default(NicKind::Known(NicModel::Virtio), "KubeVirt, model"),
        });
        d.nics.push(NicDefinition { id, model: Some(model) });
    }
    let kinds = [
        ("tpm", "tpm"),
        ("rng", "rng"),
        ("watchdog", "watchdog"),
        ("sound", "sound"),
        ("gpus", "passthrough"),
        ("hostDevices", "passthrough"),
        ("filesystems", "shared-folder"),
        ("downwardMetrics", "shared-memory"),
        ("video", "video"),
    ];
    for (key, kind) in kinds {
        for node in devices.all(key) {
            let model =
                ["deviceName", "model", "type", "name"].iter().find_map(|k| node.text_of(k));
            node.take();
            d.devices.push(Device { kind, model: model.unwrap_or_else(|| place(node, key)) });
        }
    }
    devices.excuse(&[
        "inputs",
        "autoattachGraphicsDevice",
        "autoattachInputDevice",
        "autoattachMemBalloon",
        "autoattachPodInterface",
        "autoattachSerialConsole",
        "autoattachVSOCK",
        "blockMultiQueue",
        "networkInterfaceMultiqueue",
        "useVirtioTransitional",
        "disableHotplug",
        "logSerialConsole",
        "clientPassthrough",
    ]);
}

fn place(node: &Node, what: &str) -> Told<String> {
    Told { value: what.to_owned(), line: node.line, from: what.to_owned() }
}

/// A quantity of Kubernetes: `4Gi`, `512M`, `1073741824`.
fn quantity(text: &str) -> Option<ByteSize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(ByteSize::bytes)
}
