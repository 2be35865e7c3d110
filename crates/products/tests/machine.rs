//! The machine for a pair: what is chosen, why, and when there is none.

use hospitium_model::{Bus, ByteSize, ChannelKind, Chipset, Firmware, NicModel};
use hospitium_products::{
    Arch, Builder, Definitions, MachineError, Part, ProductKind, Products, Resolved,
};

const WORLD: &str = r#"
[[product]]
id = "http://g.org/old"
source = "manual"
name = "Old 1"
family = "winnt"
facts = [
  { what = "version", value = "5.2" },
  { what = "minimum-memory", value = "128 MiB" },
  { what = "maximum-cpus", value = 1 },
]
devices = [{ ids = ["http://pcisig.com/pci/8086/100e"] }]

[[product]]
id = "http://g.org/young"
source = "manual"
name = "Young 1"
family = "linux"
facts = [
  { what = "release-date", value = 2020-01-01 },
  { what = "recommended-memory", value = "8 GiB" },
  { what = "recommended-cpus", value = 16 },
]
devices = [{ ids = [
  "http://pcisig.com/pci/1af4/1041", "http://pcisig.com/pci/1af4/1042", "http://pcisig.com/pci/1af4/1043",
  "http://pcisig.com/pci/1af4/1044", "http://qemu.org/chipset/x86/q35",
] }]

[[product]]
id = "http://g.org/middle"
source = "manual"
name = "Middle 1"
family = "linux"
devices = [{ ids = [
  "http://pcisig.com/pci/1af4/1000", "http://pcisig.com/pci/1af4/1001", "http://qemu.org/chipset/x86/q35",
] }]

[[product]]
id = "http://g.org/new"
source = "manual"
name = "New 1"
family = "winnt"
firmware = [{ kind = "bios", supported = false }, { kind = "uefi" }]
facts = [{ what = "minimum-memory", value = "4 GiB" }]

[[product]]
id = "http://g.org/odd"
source = "manual"
name = "Odd 1"

[[product]]
id = "http://h.org/small"
source = "manual"
name = "Small Host 1"
kind = "host"
facts = [{ what = "maximum-cpus", value = 4 }, { what = "maximum-memory", value = "2 GiB" }]
devices = [{ ids = ["http://pcisig.com/pci/8086/7111", "http://pcisig.com/pci/1011/0009"] }]
firmware = [{ kind = "uefi" }]

[[product]]
id = "http://h.org/blank"
source = "manual"
name = "Blank Host 1"
kind = "host"
"#;

fn world() -> Products {
    let mut builder = Builder::with_built_in().expect("sound");
    builder.add_definitions(Definitions::read("world.toml", WORLD).expect("reads"));
    builder.finish().expect("sound")
}

fn machine(guest: &str, host: &str) -> Result<Resolved, MachineError> {
    let products = world();
    let guest = products.resolve_kind(guest, Some(ProductKind::Guest)).expect("a guest");
    let host = products.resolve_kind(host, Some(ProductKind::Host)).expect("a host");
    let resolved = products.machine(guest, host, &Arch::x86_64())?;
    resolved.machine.check().expect("a machine that can be");
    assert!(resolved.choices.iter().all(|choice| !choice.reason.is_empty()));
    Ok(resolved)
}

fn why(resolved: &Resolved, part: Part) -> &str {
    resolved.choices.iter().find(|c| c.part == part).map_or("", |c| c.reason.as_str())
}

#[test]
fn an_old_guest_gets_ide_and_what_it_drives_and_no_virtio() {
    let old = machine("Old 1", "QEMU 7.2").expect("a machine");
    assert_eq!(old.machine.chipset, Chipset::Legacy);
    assert_eq!(old.machine.disks[0].bus, Bus::Ide);
    assert_eq!(old.machine.nics[0].model, NicModel::E1000);
    assert!(!old.machine.rng && !old.machine.balloon && !old.machine.input);
    assert!(old.machine.channels.iter().all(|c| c.kind == ChannelKind::Serial));
    assert_eq!(old.machine.cpus.count(), 1, "no more than it supports");
    assert_eq!(old.machine.memory.size, ByteSize::mib(256), "twice the minimum");
    assert!(why(&old, Part::Vcpus).contains("no more than 1"));
    assert!(why(&old, Part::Network).contains("1af4/1041"));
}

#[test]
fn a_young_guest_gets_virtio_on_pci_express() {
    let young = machine("Young 1", "QEMU 7.2").expect("a machine");
    assert_eq!(young.machine.chipset, Chipset::Modern);
    assert_eq!(young.machine.disks[0].bus, Bus::Virtio);
    assert_eq!(young.machine.disks[1].bus, Bus::Sata);
    assert_eq!(young.machine.nics[0].model, NicModel::Virtio);
    assert!(young.machine.rng && !young.machine.balloon);
    assert_eq!(young.machine.cpus.count(), 16);
    let sources = &young.choices.iter().find(|c| c.part == Part::Disk).expect("a disk").sources;
    assert!(sources[0].contains("world.toml"), "{sources:?}");
    assert!(sources[1].contains("offered by qemu"), "{sources:?}");
}

#[test]
fn virtio_of_before_1_0_stays_on_the_pci_chipset() {
    let middle = machine("Middle 1", "QEMU 7.2").expect("a machine");
    assert_eq!(
        (middle.machine.chipset, middle.machine.disks[0].bus),
        (Chipset::Legacy, Bus::Virtio)
    );
    assert!(why(&middle, Part::Chipset).contains("before 1.0"));
}

#[test]
fn a_guest_that_needs_uefi_gets_it_or_is_refused() {
    let new = machine("New 1", "QEMU 7.2").expect("a machine");
    assert_eq!(new.machine.firmware, Firmware::Uefi);
    let none = machine("New 1", "VMware ESX 3.5").expect_err("no UEFI");
    assert!(matches!(none, MachineError::NoFirmware { .. }), "{none}");
}

#[test]
fn the_hosts_limits_bound_the_machine_and_too_much_is_refused() {
    let young = machine("Young 1", "Small Host 1").expect("a machine");
    assert_eq!(young.machine.cpus.count(), 4);
    assert_eq!(young.machine.memory.size, ByteSize::gib(2));
    let new = machine("New 1", "Small Host 1").expect_err("too little memory");
    assert!(matches!(new, MachineError::TooLittleMemory { .. }), "{new}");
}

#[test]
fn what_a_machine_cannot_express_is_said_and_left_out() {
    let old = machine("Young 1", "Small Host 1").expect("a machine");
    let network = old.choices.iter().find(|c| c.part == Part::Network).expect("a choice");
    assert!(!network.in_machine && network.chosen == "tulip");
    assert!(old.machine.nics.is_empty());
}

#[test]
fn without_a_disk_in_common_or_a_known_host_there_is_no_machine() {
    let odd = machine("Odd 1", "Small Host 1").expect_err("no disk");
    assert!(odd.to_string().contains("piix4-ide"), "{odd}");
    let blank = machine("Old 1", "Blank Host 1").expect_err("unknown");
    assert!(blank.to_string().contains("http://h.org/blank"), "{blank}");
}
