//! Definitions as people have them: what a right reading is, format by format. What is not told stays open, and
//! nothing is read as what it is not.

use hospitium_model::{Bus, ByteSize, Chipset, Firmware, NicModel};
use hospitium_vmdef::{
    DiskBus, GuestHint, Hypervisor, NicKind, SourceFormat, VmDefinition, Words, read_text,
};
use proptest::prelude::*;

const PROXMOX: &str = include_str!("samples/proxmox-9.conf");
const XEN_CFG: &str = include_str!("samples/xen-hvm.cfg");
const VBOX: &str = include_str!("samples/debian-12.vbox");
const KUBEVIRT: &str = include_str!("samples/kubevirt.yaml");
const OVIRT: &str = include_str!("samples/ovirt-4.ovf");

fn read(text: &str) -> VmDefinition {
    read_text("sample", text.as_bytes()).expect("a definition")
}

fn domain(kind: &str, arch: &str, machine: &str, os: &str, devices: &str) -> VmDefinition {
    read(&format!(
        "<domain type='{kind}'><os><type arch='{arch}' machine='{machine}'>{os}</type></os><devices>{devices}</devices></domain>"
    ))
}

fn hosts(d: &VmDefinition) -> Vec<&str> {
    d.hosts.iter().map(|told| told.value.as_str()).collect()
}

fn buses(d: &VmDefinition) -> Vec<String> {
    d.disks
        .iter()
        .map(|disk| disk.bus.as_ref().map_or("?".into(), |b| b.value.to_string()))
        .collect()
}

fn nics(d: &VmDefinition) -> Vec<String> {
    d.nics
        .iter()
        .map(|nic| nic.model.as_ref().map_or("?".into(), |m| m.value.to_string()))
        .collect()
}

fn devices(d: &VmDefinition) -> Vec<(&str, &str)> {
    d.devices.iter().map(|device| (device.kind, device.model.value.as_str())).collect()
}

fn not_understood(d: &VmDefinition) -> Vec<String> {
    d.not_understood().map(|left| left.what.clone()).collect()
}

fn searched(d: &VmDefinition) -> Vec<String> {
    let words = d.guest.iter().filter_map(|told| told.value.words());
    words.map(|(Words::Id(text) | Words::Search(text))| text).collect()
}

#[test]
fn a_machine_type_says_whose_qemu_it_is_of() {
    let of = |machine| domain("kvm", "x86_64", machine, "hvm", "");
    for (machine, host, chipset) in [
        ("rhel5.5.0", "KVM of RHEL 5.5", Some(Chipset::Legacy)),
        ("rhel6.6.0", "KVM of RHEL 6.6", Some(Chipset::Legacy)),
        ("pc-i440fx-rhel7.6.0", "KVM of RHEL 7.6", Some(Chipset::Legacy)),
        ("pc-q35-rhel9.4.0", "KVM of RHEL 9.4", Some(Chipset::Modern)),
        ("pc-q35-jammy", "KVM of Ubuntu 22.04", Some(Chipset::Modern)),
        ("pc-i440fx-bionic-hpb", "KVM of Ubuntu 18.04", Some(Chipset::Legacy)),
        ("pc-q35-8.1", "QEMU 8.1", Some(Chipset::Modern)),
        ("pc-1.3", "QEMU 1.3", Some(Chipset::Legacy)),
    ] {
        let d = of(machine);
        assert_eq!(hosts(&d), [host], "{machine}");
        assert_eq!(d.chipset.map(|told| told.value), chipset, "{machine}");
    }
    // A distribution's release is no version of QEMU.
    assert_eq!(of("rhel5.5.0").hypervisor_from, None);
    assert_eq!(hosts(&of("pc")), [""; 0], "an alias names no version");
}

#[test]
fn what_is_no_pc_has_no_bios_and_no_440fx() {
    for (arch, machine) in
        [("aarch64", "virt-8.2"), ("s390x", "s390-ccw-virtio-8.2"), ("ppc64le", "pseries-8.2")]
    {
        let d = domain("kvm", arch, machine, "hvm", "");
        assert_eq!(d.arch.as_ref().map(|told| told.value.as_str()), Some(arch));
        assert_eq!((d.firmware, d.chipset), (None, None), "{arch}");
    }
    let micro = domain("kvm", "x86_64", "microvm", "hvm", "");
    assert_eq!(micro.chipset, None, "a microvm has no chipset of a PC");
    assert_eq!(
        domain("kvm", "amd64", "q35", "hvm", "").arch.map(|t| t.value).as_deref(),
        Some("x86_64")
    );
}

#[test]
fn a_paravirtual_machine_of_xen_has_neither_firmware_nor_chipset() {
    let card = "<disk type='block' device='disk'><target dev='xvdb' bus='xen'/></disk><interface type='bridge'/>";
    for (machine, os) in [("xenpv", "xen"), ("xenpv", "linux")] {
        let d = domain("xen", "i686", machine, os, card);
        assert_eq!((d.firmware.as_ref(), d.chipset.as_ref()), (None, None));
        assert_eq!((buses(&d), nics(&d)), (vec!["xen".into()], vec!["xen-netfront".into()]));
        assert_eq!(not_understood(&d), [""; 0]);
        assert_eq!(hosts(&d), [""; 0], "which Xen it is stands nowhere");
    }
    let hvm = domain("xen", "x86_64", "xenfv", "hvm", "");
    assert_eq!(hvm.firmware.map(|told| told.value), Some(Firmware::Bios));
}

#[test]
fn notes_between_the_elements_of_a_domain_are_no_part_of_it() {
    let d = read(
        "<domain type='kvm'>\n<name>build7</name>   # changed by us\n<vcpu>3</vcpu> # three\n</domain>",
    );
    assert_eq!(d.name.as_ref().map(|told| told.value.as_str()), Some("build7"));
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(3));
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn devices_of_the_host_and_a_named_cpu_are_told() {
    let d = read(
        "<domain type='kvm'><cpu mode='custom'><model fallback='forbid'>Skylake-Server</model></cpu><devices>\
         <hostdev mode='subsystem' type='pci'><source><address bus='0x3b'/></source></hostdev>\
         <filesystem type='mount'><source dir='/srv'/></filesystem></devices></domain>",
    );
    assert_eq!(d.cpu_model.as_ref().map(|told| told.value.as_str()), Some("Skylake-Server"));
    assert_eq!(devices(&d), [("passthrough", "pci"), ("shared-folder", "mount")]);
    assert_eq!(not_understood(&d), [""; 0]);
}

fn vmx(hardware: &str, hosted: bool, more: &str) -> VmDefinition {
    let mark = if hosted { "virtualHW.productCompatibility = \"hosted\"\n" } else { "" };
    read(&format!("displayName = \"a\"\nvirtualHW.version = \"{hardware}\"\n{mark}{more}"))
}

#[test]
fn a_hosted_machine_is_never_one_of_esx() {
    for hardware in ["6", "7", "9", "12", "14", "16", "18", "19", "20", "21", "22"] {
        let d = vmx(hardware, true, "");
        assert!(!d.hosts.is_empty(), "{hardware}");
        assert!(hosts(&d).iter().all(|host| !host.contains("ESX")), "{hardware}: {:?}", d.hosts);
        assert_eq!(d.hypervisor_from, None, "{hardware}");
    }
    assert_eq!(hosts(&vmx("20", true, "")), ["VMware Workstation 17.0", "VMware Fusion 13.0"]);
    assert_eq!(hosts(&vmx("19", false, "")), ["VMware ESXi 7.0 U2"]);
    // Before the mark was written, nothing tells them apart.
    let old = vmx("4", false, "");
    assert!(hosts(&old).contains(&"VMware ESX 3.0") && hosts(&old).contains(&"VMware Server 1.0"));
    // Only Fusion runs Arm machines.
    let arm = vmx("20", true, "guestOS = \"arm-ubuntu-64\"\n");
    assert_eq!(hosts(&arm), ["VMware Fusion 13.0"]);
    assert_eq!(arm.arch.as_ref().map(|told| told.value.as_str()), Some("aarch64"));
    assert_eq!((arm.firmware.map(|told| told.value), arm.chipset), (Some(Firmware::Uefi), None));
}

#[test]
fn the_system_that_the_tools_tell_goes_before_the_one_that_was_chosen() {
    let d = vmx(
        "21",
        true,
        "guestOS = \"debian12-64\"\nguestOS.detailed.data = \"architecture='X86' bitness='64' prettyName='Debian GNU/Linux 13 (trixie)'\"\n",
    );
    assert_eq!(searched(&d), ["Debian GNU/Linux 13", "Debian 12"]);
}

#[test]
fn of_an_encrypted_vmx_nothing_is_taken_by_default() {
    let d = read(
        "displayName = \"ledger\"\nencryption.keySafe = \"k\"\nencryption.data = \"x\"\nguestOS.detailed.data = \"architecture='X86' bitness='64' prettyName='Windows 10 Enterprise, 64-bit (Build 19045.3803)'\"\n",
    );
    assert_eq!(d.encrypted.as_ref().map(|told| (told.value, told.line)), Some((true, 3)));
    assert_eq!((&d.firmware, &d.chipset, &d.vcpus.count), (&None, &None, &None));
    assert_eq!(searched(&d), ["Windows 10 Enterprise"]);
    assert_eq!(d.arch.as_ref().map(|told| told.value.as_str()), Some("x86_64"));
    assert_eq!(d.lines()[0].what, "encrypted", "it is said first");
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn a_controller_without_a_disk_is_no_disk() {
    let d = vmx(
        "9",
        true,
        "scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"x y, z.vmdk\"\npciPassthru0.present = \"TRUE\"\n",
    );
    assert_eq!(buses(&d), ["ide"]);
    assert_eq!(devices(&d), [("passthrough", "pcipassthru0")]);
    assert!(d.left.iter().any(|left| left.what.contains("a controller without a disk")));
}

fn envelope(items: &str) -> VmDefinition {
    read(&format!(
        "<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1'><VirtualSystem id='a'><VirtualHardwareSection>{items}</VirtualHardwareSection></VirtualSystem></Envelope>"
    ))
}

#[test]
fn an_item_that_is_bound_normally_is_the_value_itself() {
    let item = |bound: &str, kind: u8, quantity: u32| {
        format!(
            "<Item {bound}><InstanceID>{kind}</InstanceID><ResourceType>{kind}</ResourceType><AllocationUnits>MB</AllocationUnits><VirtualQuantity>{quantity}</VirtualQuantity></Item>"
        )
    };
    let d = envelope(
        &[
            item("bound='min'", 3, 1),
            item("bound='normal'", 3, 6),
            item("bound='max'", 3, 12),
            item("bound='normal'", 4, 3072),
        ]
        .concat(),
    );
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(6));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::mib(3072)));
}

#[test]
fn an_export_of_xenserver_is_none_of_hyper_v() {
    let d = envelope(
        "<System><VirtualSystemType>hvm-3.0-unknown</VirtualSystemType></System>\
         <Item><InstanceID>n</InstanceID><ResourceType>10</ResourceType><ResourceSubType>Microsoft Synthetic Ethernet Port</ResourceSubType></Item>\
         <Item><InstanceID>d</InstanceID><ResourceType>19</ResourceType><ResourceSubType>Microsoft Virtual Hard Disk</ResourceSubType><VirtualQuantity>1</VirtualQuantity></Item>\
         <VirtualSystemOtherConfigurationData Name='HVM_boot_params'><Value>order=dc;firmware=uefi;</Value></VirtualSystemOtherConfigurationData>",
    );
    assert_eq!(d.hypervisor.as_ref().map(|told| &told.value), Some(&Hypervisor::XenServer));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!((buses(&d), nics(&d)), (vec!["?".into()], vec!["?".into()]));
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn what_virtualbox_adds_to_an_ovf_is_read() {
    let d = read(
        "<Envelope><VirtualSystem id='a'><OperatingSystemSection id='96'><OSType required='false'>Debian12_64</OSType><Description>Debian_64</Description></OperatingSystemSection>\
         <VirtualHardwareSection><System><VirtualSystemType>virtualbox-2.2</VirtualSystemType></System>\
         <Item><InstanceID>1</InstanceID><ResourceType>3</ResourceType><VirtualQuantity>2</VirtualQuantity></Item></VirtualHardwareSection>\
         <Machine version='1.18-linux' OSType='Debian12_64'><Hardware><Firmware type='EFI'/><Chipset type='ICH9'/></Hardware></Machine></VirtualSystem></Envelope>",
    );
    assert_eq!(hosts(&d), ["VirtualBox 6.1"]);
    assert_eq!(searched(&d).first().map(String::as_str), Some("Debian 12"));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!(d.chipset.as_ref().map(|told| told.value), Some(Chipset::Modern));
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn names_of_systems_of_virtualbox_and_ovirt_are_words_to_search_for() {
    let words = |hint: GuestHint| match hint.words() {
        Some(Words::Search(words)) => words,
        other => format!("{other:?}"),
    };
    let vbox = |name: &str| words(GuestHint::VirtualBox(name.into()));
    assert_eq!(vbox("Ubuntu24_LTS_64"), "Ubuntu 24.04");
    assert_eq!(vbox("Ubuntu23_10_64"), "Ubuntu 23.10");
    assert_eq!(vbox("Windows2022_64"), "Windows Server 2022");
    assert_eq!(vbox("Windows11_64"), "Windows 11");
    assert_eq!(vbox("RedHat9_64"), "Red Hat Enterprise Linux 9");
    assert_eq!(vbox("Other_64"), "None");
    let ovirt = |name: &str| words(GuestHint::Ovirt(name.into()));
    assert_eq!(ovirt("rhel_9x64"), "Red Hat Enterprise Linux 9");
    assert_eq!(ovirt("windows_2019x64"), "Windows Server 2019");
    assert_eq!(ovirt("other_linux"), "None");
}

#[test]
fn hyper_v_counts_no_dvd_drive_as_a_disk_and_knows_2025() {
    let d = read(
        "{\"Name\":\"w\",\"Version\":\"12.0\",\"Generation\":2,\"ProcessorCount\":2,\"MemoryStartup\":2147483648,\"SecureBoot\":\"On\",\
         \"Disks\":[{\"Controller\":\"SCSI\",\"Path\":\"D:\\\\a.vhdx\"},{\"Controller\":\"SCSI\",\"Path\":\"D:\\\\b.vhdx\"}],\
         \"Dvds\":[{\"Controller\":\"SCSI\",\"Path\":null}],\"Nics\":[]}",
    );
    assert_eq!((d.hard_disks().count(), d.disks.len()), (2, 3));
    assert_eq!(hosts(&d), ["Hyper-V 2025"]);
}

#[test]
fn what_is_in_no_manifest_of_hyper_v_is_known_by_its_class() {
    let d = read(
        "<configuration><_83f8638b-8dca-4152-9eda-2ca8b33039b4_><controller0><drive1><pathname>E:\\x.vhd</pathname><type>VHD</type></drive1></controller0>\
         <controller1><drive0><pathname/><type>ISO</type></drive0></controller1></_83f8638b-8dca-4152-9eda-2ca8b33039b4_>\
         <_8f0d2762-0b00-4e04-af4f-19010527cb93_><controller0><drive0><pathname/><type>VFD</type></drive0></controller0></_8f0d2762-0b00-4e04-af4f-19010527cb93_>\
         <_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_><secure_boot_enabled>False</secure_boot_enabled></_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_>\
         <properties><name>y</name><subtype>0</subtype><version>1024</version></properties></configuration>",
    );
    assert_eq!(hosts(&d), ["Hyper-V 2012"]);
    assert_eq!((buses(&d), d.hard_disks().count()), (vec!["ide".to_owned(), "ide".to_owned()], 1));
    assert_eq!(d.secure_boot, None, "generation 1 has none");
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn the_file_that_packer_writes_for_vagrant_has_disks() {
    let d = read(
        "<configuration><properties><subtype>1</subtype><name>fedora</name></properties><settings><processors><count>3</count></processors></settings>\
         <AltSwitchName>Default Switch</AltSwitchName><secure_boot_enabled>True</secure_boot_enabled><vm-controllers><scsi><controller0>\
         <drive0><pathname>C:\\f.vhdx</pathname><type>VHD</type></drive0><drive0><pathname>C:\\f.iso</pathname><type>ISO</type></drive0>\
         </controller0></scsi></vm-controllers></configuration>",
    );
    assert_eq!((d.hard_disks().count(), d.disks.len(), nics(&d)), (1, 2, vec!["synthetic".into()]));
    assert_eq!((d.secure_boot.map(|told| told.value), d.hosts.len()), (Some(true), 0));
    let one = read(
        "<configuration><properties><name>g1</name></properties><vm-controllers><controller0><drive0><pathname>C:\\g.vhd</pathname><type>VHD</type></drive0></controller0></vm-controllers></configuration>",
    );
    assert_eq!(buses(&one), ["ide"]);
}

#[test]
fn proxmox_is_read_as_what_holds_now() {
    let d = read(PROXMOX);
    assert_eq!(d.format, SourceFormat::Proxmox);
    assert_eq!(d.name.as_ref().map(|told| (told.value.as_str(), told.line)), Some(("erp", 12)));
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(12));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::gib(24)));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!(d.secure_boot.as_ref().map(|told| told.value), Some(true));
    assert_eq!(d.chipset.as_ref().map(|told| told.value), Some(Chipset::Modern));
    assert_eq!(buses(&d), ["ide", "virtio-scsi", "virtio"]);
    assert_eq!(d.disks[1].size.as_ref().map(|told| told.value), Some(ByteSize::gib(80)));
    assert!(d.disks[0].cdrom && d.hard_disks().count() == 2);
    assert_eq!(nics(&d), ["virtio", "e1000"]);
    assert_eq!(devices(&d), [("passthrough", "0000:01:00"), ("tpm", "v2.0"), ("video", "qxl")]);
    assert_eq!(hosts(&d), [""; 0], "which Proxmox VE it is stands nowhere");
    assert_eq!(d.hypervisor.as_ref().map(|told| &told.value), Some(&Hypervisor::ProxmoxVe));
    assert!(d.guest.is_empty(), "win11 stands for three systems");
    assert_eq!(not_understood(&d), ["args: -device ivshmem"]);
}

#[test]
fn xl_is_read_with_lists_over_several_lines() {
    let d = read(XEN_CFG);
    assert_eq!(d.format, SourceFormat::XenCfg);
    assert_eq!(d.name.as_ref().map(|told| told.value.as_str()), Some("mail"));
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(4));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::mib(6144)));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!(buses(&d), ["ide", "xen", "ide"]);
    assert_eq!(d.disks[1].format.as_ref().map(|told| told.value.as_str()), Some("qcow2"));
    assert!(d.disks[2].cdrom && d.disks[2].readonly);
    let known = NicKind::Known(NicModel::E1000).to_string();
    assert_eq!(nics(&d), [known, "rtl8139".into()]);
    assert_eq!(devices(&d), [("video", "stdvga"), ("passthrough", "07:00.0")]);
    assert_eq!(not_understood(&d), ["colour = red"]);
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.line), Some(5));
    let paravirtual = read(
        "memory = 128\nkernel = '/boot/k'\ndisk = ['phy:/dev/vg1/web,xvdc,w']\nvif = ['bridge=br1']\n",
    );
    assert_eq!((paravirtual.firmware.as_ref(), paravirtual.chipset.as_ref()), (None, None));
    assert_eq!(buses(&paravirtual), ["xen"]);
    assert_eq!(nics(&paravirtual), ["xen-netfront"]);
}

#[test]
fn a_vbox_is_read_with_its_controllers() {
    let d = read(VBOX);
    assert_eq!(d.format, SourceFormat::Vbox);
    assert_eq!(hosts(&d), ["VirtualBox 7.0"]);
    assert_eq!(searched(&d), ["Debian 12"]);
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(3));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::mib(3072)));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!(buses(&d), ["sata", "ide"]);
    assert_eq!(d.disks[0].image.as_ref().map(|told| told.value.as_str()), Some("d.vdi"));
    assert!(d.disks[1].cdrom);
    assert_eq!(nics(&d), ["e1000"], "an adapter that is off is not there");
    assert_eq!(devices(&d), [("tpm", "v2_0"), ("video", "VMSVGA"), ("sound", "HDA")]);
    assert_eq!(not_understood(&d), [""; 0]);
}

#[test]
fn a_machine_of_kubevirt_is_read_with_what_it_leaves_to_others() {
    let d = read(KUBEVIRT);
    assert_eq!(d.format, SourceFormat::KubeVirt);
    assert_eq!(d.name.as_ref().map(|told| told.value.as_str()), Some("web"));
    assert_eq!(searched(&d), ["rhel9.4"]);
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(8));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::gib(16)));
    assert_eq!(d.arch.as_ref().map(|told| told.value.as_str()), Some("x86_64"));
    assert_eq!(d.firmware.as_ref().map(|told| told.value), Some(Firmware::Uefi));
    assert_eq!(d.secure_boot.as_ref().map(|told| (told.value, told.line)), Some((true, 0)));
    assert_eq!(buses(&d), ["virtio", "sata", "virtio-scsi"]);
    assert_eq!(nics(&d), ["virtio", "e1000e"]);
    assert_eq!(devices(&d), [("tpm", "tpm"), ("passthrough", "vendor.example/A100")]);
    assert_eq!(d.disks[0].bus.as_ref().map(|b| b.value.clone()), Some(DiskBus::Known(Bus::Virtio)));
    let unknown = not_understood(&d);
    assert!(unknown.iter().any(|what| what.contains("teleport")), "{unknown:?}");
    let typed = read(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: t}\nspec:\n  instancetype: {name: u1.large}\n  template: {spec: {domain: {devices: {}}}}\n",
    );
    assert_eq!(typed.vcpus.count, None, "what is said elsewhere is not known here");
    assert!(not_understood(&typed)[0].contains("u1.large"));
}

#[test]
fn ovirts_own_ovf_is_read() {
    let d = read(OVIRT);
    assert_eq!(d.format, SourceFormat::OvirtOvf);
    assert_eq!(searched(&d), ["Red Hat Enterprise Linux 8"]);
    assert_eq!(d.vcpus.count.as_ref().map(|told| told.value), Some(8));
    assert_eq!(d.memory.size.as_ref().map(|told| told.value), Some(ByteSize::gib(8)));
    assert_eq!(
        (d.firmware.map(|t| t.value), d.secure_boot.map(|t| t.value)),
        (Some(Firmware::Uefi), Some(true))
    );
    assert_eq!(
        d.disks[0].bus.as_ref().map(|b| b.value.clone()),
        Some(DiskBus::Known(Bus::VirtioScsi))
    );
    assert_eq!(d.disks[0].size.as_ref().map(|told| told.value), Some(ByteSize::gib(60)));
    assert_eq!(d.nics.len(), 1);
    assert_eq!(
        d.nics[0].model.as_ref().map(|m| m.value.clone()),
        Some(NicKind::Known(NicModel::Virtio))
    );
}

#[test]
fn what_is_wrong_in_the_new_formats_is_told_with_its_place() {
    for (text, part) in [
        ("cores: 0\nmemory: 512\n", "sample:1"),
        ("cores: 4\nmemory: lots\n", "no size of memory"),
        ("cores: 9999999\nsockets: 9999999\nmemory: 1\n", "more than any machine"),
        ("memory: 1\ncores: 1\nno key\n", "sample:3"),
        ("disk = ['a,xvda,w'\nmemory = 1\n", "closing bracket"),
        ("disk = ['a,xvda,w]\nmemory = 1\n", "closing quote"),
        ("memory = 64\nvcpus = many\n", "no number of vCPUs"),
        ("apiVersion: v1\nkind: Pod\n", "no VirtualMachine"),
        ("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: [\n", "no YAML"),
        ("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: &a {b: *a}\n", "no YAML"),
        (
            "apiVersion: k/v1\nkind: VirtualMachine\nspec: {template: {spec: {domain: {memory: {guest: 4Qi}}}}}\n",
            "quantity of memory",
        ),
        ("<VirtualBox><Global/></VirtualBox>", "no <Machine>"),
        (
            "<VirtualBox><Machine><Hardware><CPU count='-1'/></Hardware></Machine></VirtualBox>",
            "no number of vCPUs",
        ),
    ] {
        let error = read_text("sample", text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(part), "{text:?} gave {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Bytes changed, cut or doubled anywhere in a good file give a definition or an error.
    #[test]
    fn no_damage_to_the_new_formats_panics(which in 0_usize..5, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6)) {
        let mut bytes = [PROXMOX, XEN_CFG, VBOX, KUBEVIRT, OVIRT][which].as_bytes().to_vec();
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
            let _ = d.lines();
        }
    }
}
