//! Every format, as its tools write it; damaged files; and what is never dropped in silence.

use hospitium_model::{ByteSize, Chipset, Firmware, NicModel};
use hospitium_vmdef::{
    GuestHint, Hypervisor, NicKind, SourceFormat, VmDefinition, VmdefError, Why, read_file,
    read_text,
};
use proptest::prelude::*;

const LIBVIRT: &str = include_str!("samples/rhel5.xml");
const VMX: &str = include_str!("samples/win2003.vmx");
const OVF: &str = include_str!("samples/rhel6.ovf");
const SETTINGS: &str = include_str!("samples/hyperv-2008r2.xml");
const INSTANCES: &str = include_str!("samples/hyperv-2008.exp");
const JSON: &str = include_str!("samples/hyperv-2019.json");

fn read(text: &str) -> VmDefinition {
    read_text("sample", text.as_bytes()).expect("a definition")
}

fn buses(d: &VmDefinition) -> Vec<String> {
    d.disks
        .iter()
        .map(|disk| disk.bus.as_ref().map_or("?".into(), |b| b.value.to_string()))
        .collect()
}

#[test]
fn libvirt_is_read_with_the_line_of_every_value() {
    let d = read(LIBVIRT);
    assert_eq!(d.format, SourceFormat::Libvirt);
    assert_eq!(d.hypervisor.as_ref().map(|t| t.value.clone()), Some(Hypervisor::Kvm));
    assert_eq!(d.hardware.as_ref().map(|t| t.value.as_str()), Some("pc-q35-7.2"));
    assert_eq!(d.hypervisor_from.as_ref().map(|t| t.value.as_str()), Some("7.2"));
    assert_eq!(d.chipset.as_ref().map(|t| t.value), Some(Chipset::Modern));
    assert_eq!(d.guest[0].value, GuestHint::Osinfo("http://redhat.com/rhel/5.3".into()));
    assert_eq!(d.guest[0].line, 6);
    assert_eq!(d.vcpus.count.as_ref().map(|t| (t.value, t.line)), Some((2, 11)));
    assert_eq!(d.vcpus.max.as_ref().map(|t| t.value), Some(4));
    let topology = d.vcpus.topology.as_ref().expect("topology").value;
    assert_eq!((topology.sockets, topology.cores, topology.threads), (2, 2, 1));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::gib(2)));
    assert_eq!(d.firmware.as_ref().map(|t| t.value), Some(Firmware::Uefi));
    assert_eq!(d.secure_boot.as_ref().map(|t| t.value), Some(true));
    assert_eq!(buses(&d), ["virtio-scsi", "virtio", "sata"]);
    assert_eq!(d.disks[0].format.as_ref().map(|t| t.value.as_str()), Some("qcow2"));
    assert!(d.disks[2].cdrom && d.disks[2].readonly);
    let nics: Vec<_> = d.nics.iter().map(|n| n.model.as_ref().map(|m| m.value.clone())).collect();
    assert_eq!(
        nics,
        [Some(NicKind::Known(NicModel::Virtio)), Some(NicKind::Other("pcnet".into())), None]
    );
    let kinds: Vec<_> = d.devices.iter().map(|x| (x.kind, x.model.value.as_str())).collect();
    let wanted = [
        ("video", "qxl"),
        ("tpm", "tpm-crb"),
        ("rng", "virtio"),
        ("balloon", "virtio"),
        ("watchdog", "i6300esb"),
    ];
    assert_eq!(kinds, wanted);
}

#[test]
fn what_is_not_understood_is_listed_and_what_is_of_no_concern_is_marked() {
    let d = read(LIBVIRT);
    let unknown: Vec<_> = d.not_understood().map(|l| (l.line, l.what.as_str())).collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].1.contains("domain/devices/teleporter"), "{unknown:?}");
    assert!(d.left.iter().any(|l| l.what.contains("uuid") && l.why == Why::NotCompared));
}

#[test]
fn a_machine_without_bus_has_the_bus_of_its_disks_name() {
    let d = read(
        "<domain type='xen'><devices><disk type='file'><target dev='hda'/></disk><disk type='file'><target dev='xvdb'/></disk></devices></domain>",
    );
    assert_eq!(buses(&d), ["ide", "xen"]);
    assert_eq!(d.firmware.as_ref().map(|t| (t.value, t.line)), Some((Firmware::Bios, 0)));
}

#[test]
fn vmx_is_read_whatever_its_case_and_encoding() {
    // The sample's name has an umlaut, in the encoding that the file names.
    let bytes: Vec<u8> =
        VMX.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let d = read_text("win2003.vmx", &bytes).expect("a .vmx");
    assert_eq!(d.name.as_ref().map(|t| t.value.as_str()), Some("Büro \"Süd\""));
    assert_eq!(d.hardware.as_ref().map(|t| t.value.as_str()), Some("vmx-07"));
    assert_eq!(d.hypervisor_from.as_ref().map(|t| t.value.as_str()), Some("4.0"));
    assert_eq!(d.guest[0].value, GuestHint::Vmx("winNetEnterprise-64".into()));
    assert_eq!(d.arch.as_ref().map(|t| t.value.as_str()), Some("x86_64"));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::mib(4096)));
    assert_eq!(d.vcpus.count.as_ref().map(|t| t.value), Some(4));
    assert_eq!(d.vcpus.topology.as_ref().map(|t| (t.value.sockets, t.value.cores)), Some((2, 2)));
    assert_eq!(buses(&d), ["lsilogic", "lsilogic", "ide"]);
    assert!(d.disks[2].cdrom);
    assert_eq!(d.nics.len(), 1);
    assert_eq!(
        d.nics[0].model.as_ref().map(|m| m.value.clone()),
        Some(NicKind::Known(NicModel::E1000))
    );
    let repeated: Vec<_> = d.left.iter().filter(|l| l.why == Why::Repeated).collect();
    assert_eq!(repeated.len(), 1);
    assert!(repeated[0].what.contains("memsize = 8192"), "{repeated:?}");
    let unknown: Vec<_> =
        d.left.iter().filter(|l| l.why == Why::NotUnderstood).map(|l| l.what.as_str()).collect();
    assert_eq!(unknown, ["chipset.onlineStandby = FALSE"]);
}

#[test]
fn ovf_is_read_with_disks_by_their_controllers() {
    let d = read(OVF);
    assert_eq!(d.name.as_ref().map(|t| t.value.as_str()), Some("web01"));
    assert_eq!(d.hypervisor.as_ref().map(|t| t.value.clone()), Some(Hypervisor::Vmware));
    assert_eq!(d.hypervisor_from.as_ref().map(|t| t.value.as_str()), Some("5.5"));
    assert_eq!(d.guest[0].value, GuestHint::Vsphere("rhel6_64Guest".into()));
    assert_eq!(d.guest[1].value, GuestHint::CimOsType(80));
    assert_eq!(d.arch.as_ref().map(|t| t.value.as_str()), Some("x86_64"));
    assert_eq!(d.vcpus.count.as_ref().map(|t| t.value), Some(4));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::gib(8)));
    assert_eq!(buses(&d), ["VirtualSCSI", "ide"]);
    assert_eq!(d.disks[0].size.as_ref().map(|t| t.value), Some(ByteSize::gib(40)));
    assert_eq!(d.disks[0].format.as_ref().map(|t| t.value.as_str()), Some("vmdk"));
    assert_eq!(d.disks[0].image.as_ref().map(|t| t.value.as_str()), Some("web01-disk1.vmdk"));
    assert!(d.disks[1].cdrom);
    assert_eq!(
        d.nics[0].model.as_ref().map(|m| m.value.clone()),
        Some(NicKind::Known(NicModel::Vmxnet3))
    );
    assert_eq!(d.firmware.as_ref().map(|t| t.value), Some(Firmware::Uefi));
    assert_eq!(d.not_understood().map(|l| l.what.as_str()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn hyperv_settings_are_read_from_utf_16() {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(SETTINGS.encode_utf16().flat_map(u16::to_le_bytes));
    let d = read_text("vm.xml", &bytes).expect("settings");
    assert_eq!(d.format, SourceFormat::HypervSettings);
    assert_eq!(d.name.as_ref().map(|t| t.value.as_str()), Some("rhel53"));
    assert_eq!(d.hardware.as_ref().map(|t| t.value.as_str()), Some("2.0"));
    assert_eq!(d.vcpus.count.as_ref().map(|t| t.value), Some(2));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::mib(1024)));
    assert_eq!(buses(&d), ["ide", "ide", "synthetic SCSI"]);
    assert!(!d.disks[0].cdrom && d.disks[1].cdrom);
    assert_eq!(d.disks[0].format.as_ref().map(|t| t.value.as_str()), Some("vhd"));
    let nics: Vec<_> =
        d.nics.iter().filter_map(|n| n.model.as_ref()).map(|m| m.value.to_string()).collect();
    assert_eq!(nics, ["synthetic", "emulated (DEC 21140)"]);
    assert_eq!(d.not_understood().map(|l| l.what.as_str()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn hyperv_instances_find_a_disks_controller_over_its_drive() {
    let d = read(INSTANCES);
    assert_eq!(d.format, SourceFormat::HypervInstances);
    assert_eq!(d.name.as_ref().map(|t| t.value.as_str()), Some("w2k3"));
    assert_eq!(d.vcpus.count.as_ref().map(|t| t.value), Some(2));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::mib(2048)));
    assert_eq!(buses(&d), ["ide"]);
    assert_eq!(d.disks[0].image.as_ref().map(|t| t.value.as_str()), Some("D:\\vm\\w2k3.vhd"));
    assert_eq!(d.nics.len(), 1);
}

#[test]
fn hyperv_facts_are_read_from_json() {
    let d = read(JSON);
    assert_eq!(d.hypervisor_from.as_ref().map(|t| (t.value.as_str(), t.line)), Some(("2019", 3)));
    assert_eq!(d.firmware.as_ref().map(|t| t.value), Some(Firmware::Uefi));
    assert_eq!(d.secure_boot.as_ref().map(|t| t.value), Some(true));
    assert_eq!(d.memory.size.as_ref().map(|t| t.value), Some(ByteSize::gib(4)));
    assert_eq!(d.memory.max, None, "dynamic memory is off");
    assert_eq!(buses(&d), ["synthetic SCSI", "synthetic SCSI"]);
    assert_eq!(d.nics[0].model.as_ref().map(|m| m.value.to_string()).as_deref(), Some("synthetic"));
}

#[test]
fn an_archive_is_read_by_its_descriptor_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("web01.ova");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).expect("file"));
    for (name, bytes) in [("web01.ovf", OVF.as_bytes()), ("web01-disk1.vmdk", &[0_u8; 5 << 20])] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).expect("member");
    }
    archive.finish().expect("archive");
    assert_eq!(read_file(&path).expect("OVA").name.map(|t| t.value).as_deref(), Some("web01"));
}

#[test]
fn the_binary_format_is_refused_with_the_next_step() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("vm.vmcx");
    std::fs::write(&path, [1, 0x28, 0x20, 0x14, 0, 0]).expect("file");
    let error = read_file(&path).expect_err("refused");
    assert!(matches!(error, VmdefError::Vmcx { .. }));
    assert!(error.to_string().contains("Get-VM"));
    assert!(matches!(read_file(folder.path()), Err(VmdefError::NoFile { .. })));
}

#[test]
fn bad_files_are_refused_with_the_place() {
    let bad = [
        ("", "empty"),
        ("just words", "neither"),
        ("<html/>", "root element <html>"),
        ("<domain type='kvm'><name>x</domain>", "no XML"),
        (
            "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>",
            "document type",
        ),
        ("<domain><memory unit='GiB'>99999999999999</memory></domain>", "no size of memory"),
        ("<domain><vcpu>0</vcpu></domain>", "no number of vCPUs"),
        ("displayName = \"x\nguestOS = \"y\"\n", "no closing quote"),
        ("displayName = \"x\"\nwhat is this\n", "a line of a .vmx"),
        ("a = \"b\"\n", "no key of a .vmx that every machine has"),
        ("<Envelope/>", "no <VirtualSystem>"),
        ("<configuration/>", "no machine of Hyper-V"),
        ("<DECLARATIONS/>", "Msvm_"),
        ("{\"a\": 1}", "Get-VM"),
        ("{\"a\": ", "no JSON"),
    ];
    for (text, part) in bad {
        let error = read_text("f", text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(part), "{text:?} gave {error}");
    }
    let large = vec![b' '; (4 << 20) + 1];
    assert!(matches!(read_text("f", &large), Err(VmdefError::TooLarge { .. })));
    let error = read_text("f.vmx", b"displayName = \"x\"\nwhat is this\n").expect_err("bad");
    assert!(error.to_string().starts_with("f.vmx:2:1: "), "{error}");
}

#[test]
fn hostile_text_reaches_no_terminal_through_what_is_left() {
    let d = read(
        "<domain type='kvm'><x>&#x1b;[2J&#x202e;</x></domain>".replace("&#x1b;", "\u{9b}").as_str(),
    );
    assert_eq!(d.left.len(), 1);
    assert!(!d.left[0].what.chars().any(|c| c.is_control() || c == '\u{202e}'));
}

#[test]
fn a_file_of_many_unknown_parts_is_listed_within_bounds() {
    let d = read(&format!("<domain>{}</domain>", "<x/>".repeat(5000)));
    assert_eq!((d.left.len(), d.left_more), (2000, 3000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes changed, cut or doubled anywhere in a good file give a definition or an error.
    #[test]
    fn no_damage_panics(which in 0_usize..6, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6)) {
        let sample = [LIBVIRT, VMX, OVF, SETTINGS, INSTANCES, JSON][which];
        let mut bytes = sample.as_bytes().to_vec();
        for (at, byte, how) in changes {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        if let Ok(d) = read_text("f", &bytes) {
            prop_assert!(d.left.len() <= 2000);
        }
    }
}
