//! What is asked of a kernel as old as 2.6.18, which shows little of it in /sys, and of one that lets nobody look.

use std::sync::OnceLock;
use std::time::Duration;

use hospitium_model::{ByteSize, Firmware, GuestKind, GuestSource};
use hospitium_wire::{Domain, LinuxRequest, MAX_DATA, Reply, Request, errno};

use super::stand_in::{Folders, system};
use crate::SystemError;
use crate::ask::{
    Cpus as _, Devices as _, Entropy as _, Firmwares as _, Memory as _, Power as _, Topology,
};

const OLD: Folders = &[
    ("/sys/firmware", &["edd"]),
    ("/sys/devices/system/cpu", &["cpu0", "cpu1"]),
    (
        "/proc",
        &[
            "cpuinfo=processor\t: 0\nphysical id\t: 0\nsiblings\t: 2\ncore id\t\t: 0\ncpu cores\t: 2\n\n\
             processor\t: 1\nphysical id\t: 0\nsiblings\t: 2\ncore id\t\t: 1\ncpu cores\t: 2\n",
            "iomem=00000000-0009fbff : System RAM\n00100000-1ffdffff : System RAM\n  00100000-002 : Kernel code\n",
        ],
    ),
    ("/proc/1", &["stat=1 (init) S 0 1 1"]),
    ("/etc", &["redhat-release=Red Hat Enterprise Linux Server release 5.2 (Tikanga)\n"]),
];

const LOG: &[u8] = b"<6>BIOS-provided physical RAM map:\n\
    <4> BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)\n\
    <4> BIOS-e820: 000000000009fc00 - 00000000000a0000 (reserved)\n\
    <4> BIOS-e820: 0000000000100000 - 000000001ffe0000 (usable)\n";

/// The memory from 0xE0000 to 0x100000, and above it that of the tables.
struct Firmware512 {
    low: Vec<u8>,
    high: Vec<u8>,
}

const LOW: usize = 0xE_0000;
const HIGH: usize = 0x1FFE_0000;

fn put(memory: &mut [u8], at: usize, bytes: &[u8]) {
    memory[at..at + bytes.len()].copy_from_slice(bytes);
}

fn with_sum(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[at] = bytes[at].wrapping_sub(sum);
    bytes
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend((36 + body.len() as u32).to_le_bytes());
    table.resize(36, 0);
    table.extend(body);
    with_sum(table, 9)
}

fn memory() -> &'static Firmware512 {
    static MEMORY: OnceLock<Firmware512> = OnceLock::new();
    MEMORY.get_or_init(|| {
        let (mut low, mut high) = (vec![0; 0x2_0000], vec![0; 0x1_0000]);
        let address = |at: usize| (HIGH + at) as u32;
        let mut pointer = b"RSD PTR \0BOCHS \0".to_vec();
        pointer.extend(address(0x100).to_le_bytes());
        put(&mut low, 0x1_5A40, &with_sum(pointer, 8));
        put(&mut high, 0x100, &table(b"RSDT", &address(0x200).to_le_bytes()));
        // A package of two halves (20.2 of the ACPI specification).
        let mut device =
            b"\x5B\x82\x28VGEN\x08_CID\x0DVM_Gen_Counter\0\x08ADDR\x12\x08\x02\x0C".to_vec();
        device.extend(address(0x1000 + 40).to_le_bytes());
        device.push(0);
        device[2] = device.len() as u8 - 2;
        put(&mut high, 0x200, &table(b"SSDT", &device));
        let id = *b"\xaf\x6e\x4e\x32\xd1\xd1\xf6\x4b\xbf\x41\xb9\xbb\x6c\x91\xfb\x87";
        put(&mut high, 0x1000 + 40, &id);

        let mut smbios = vec![1, 0x19, 0, 1, 1, 2, 0, 3];
        smbios.extend(*b"\x69\x70\x73\x6f\x69\x74\x20\x4d\x80\x00HOSPIT\x06");
        smbios.extend(b"Hospitium\0Validation machine\0HOSP-2009-0216\0\0\x7f\x04\0\0\0\0");
        let mut entry = b"_SM_\0\x1F\x02\x08\0\0\0\0\0\0\0\0_DMI_\0".to_vec();
        entry.extend((smbios.len() as u16).to_le_bytes());
        entry.extend(0xF_5000_u32.to_le_bytes());
        entry.resize(0x1F, 0);
        put(&mut low, 0x1_4560, &with_sum(entry, 4));
        put(&mut low, 0xF_5000 - LOW, &smbios);
        Firmware512 { low, high }
    })
}

fn answer(asked: &Request<'_>) -> Option<Reply<'static>> {
    match *asked {
        Request::ReadFile { path: "/dev/mem", offset, max } => {
            let at = usize::try_from(offset).ok()?;
            let Firmware512 { low, high } = memory();
            let rest = match at.checked_sub(HIGH) {
                Some(at) => high.get(at..),
                None => low.get(at.checked_sub(LOW)?..),
            }?;
            Some(Reply::Data { data: &rest[..rest.len().min(max as usize).min(MAX_DATA)] })
        }
        Request::Linux(LinuxRequest::KernelLog { offset }) => {
            Some(Reply::Data { data: &LOG[(offset as usize).min(LOG.len())..] })
        }
        _ => None,
    }
}

#[tokio::test]
async fn processors_and_memory_of_an_old_kernel_are_found_where_it_has_them() {
    let guest = system(GuestKind::Disk, OLD, answer);
    assert_eq!(guest.online().await.expect("told").value, [0, 1]);
    let topology = Topology { sockets: 1, cores: 2, threads: 1 };
    assert_eq!(guest.topology().await.expect("told").value, topology);
    let map = ByteSize::bytes(0x9_FC00 + 0x1FEE_0000);
    assert_eq!(guest.firmware_map().await.expect("told").value, map);
    let silent = system(GuestKind::Disk, OLD, |asked| match asked {
        Request::Linux(LinuxRequest::KernelLog { .. }) => Some(Reply::Data { data: b"" }),
        _ => None,
    });
    assert_eq!(silent.firmware_map().await.expect("told").value, map, "by /proc/iomem");
    assert_eq!(guest.nodes().await.expect("told").value, 1);
}

#[tokio::test]
async fn firmware_tables_of_an_old_kernel_are_read_from_memory() {
    let guest = system(GuestKind::Disk, OLD, answer);
    let smbios = guest.smbios().await.expect("told");
    assert_eq!(smbios.source, GuestSource::Memory);
    assert_eq!(smbios.value.serial, "HOSP-2009-0216");
    assert_eq!(smbios.value.uuid, "6f737069-7469-4d20-8000-484f53504954");
    let id = guest.generation_id().await.expect("told");
    assert_eq!(id.value.as_deref(), Some("324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"));
    assert_eq!(id.source, GuestSource::Memory);
    assert_eq!(guest.firmware().await.expect("told").value, Firmware::Bios);
}

#[tokio::test]
async fn an_old_system_says_which_it_is_and_who_its_init_is() {
    let guest = system(GuestKind::Disk, OLD, answer);
    assert_eq!(guest.version().await.expect("told").value, "5.2");
    let name = guest.name().await.expect("told").value;
    assert_eq!(name.name, "Red Hat Enterprise Linux Server release 5.2 (Tikanga)");
    let kernel = system(GuestKind::Kernel, OLD, answer);
    assert_eq!(kernel.state(Duration::ZERO).await.expect("told").value, "init");
}

fn why(error: SystemError) -> String {
    match error {
        SystemError::Unable(why) => why.to_string(),
        other => panic!("no skip: {other}"),
    }
}

#[tokio::test]
async fn a_kernel_that_does_not_say_how_it_stands_to_vulnerabilities_is_not_taken_for_safe() {
    let guest = system(GuestKind::Disk, OLD, answer);
    let error = guest.vulnerabilities().await.expect_err("it does not say");
    assert!(why(error).contains("vulnerabilities"));
}

#[tokio::test]
async fn a_kernel_without_a_driver_for_generation_ids_is_told_from_one_whose_driver_finds_none() {
    let old = system(GuestKind::Kernel, OLD, answer);
    let error = old.reseeds_on_generation().await.expect_err("it has no driver");
    assert!(why(error).contains("since 5.18"));
    const IDLE: Folders = &[("/sys/bus/acpi/drivers/vmgenid", &["bind", "uevent", "unbind"])];
    let idle = system(GuestKind::Kernel, IDLE, answer);
    assert!(!idle.reseeds_on_generation().await.expect("told").value);
    const BOUND: Folders = &[("/sys/bus/acpi/drivers/vmgenid", &["QEMUVGID:00", "bind"])];
    let bound = system(GuestKind::Kernel, BOUND, answer);
    assert!(bound.reseeds_on_generation().await.expect("told").value);
}

#[tokio::test]
async fn the_watchdog_of_an_old_kernel_is_armed_by_its_old_name() {
    let old = system(GuestKind::Kernel, OLD, |asked| match asked {
        Request::Linux(LinuxRequest::WatchdogArm { path: "/dev/watchdog", seconds }) => {
            Some(Reply::Count { count: u64::from(*seconds) })
        }
        _ => None,
    });
    assert_eq!(old.arm_watchdog(4).await.expect("armed").value, 4);
    let none = system(GuestKind::Kernel, OLD, answer);
    none.arm_watchdog(4).await.expect_err("there is none");
}

#[tokio::test]
async fn a_kernel_that_lets_nobody_read_memory_is_a_skip_and_names_the_address() {
    let guest = system(GuestKind::Disk, OLD, |asked| match asked {
        Request::ReadFile { path: "/dev/mem", .. } => {
            let domain = Domain::Errno;
            Some(Reply::Failed { domain, code: errno::EPERM, call: "open" })
        }
        _ => None,
    });
    let error = guest.generation_id().await.expect_err("it must not look");
    assert!(why(error).contains("0xe0000"));
    assert!(why(guest.smbios().await.expect_err("it must not look")).contains("0xf0000"));
}

#[tokio::test]
async fn a_bound_transport_is_no_driver_of_the_device_behind_it() {
    const FUNCTION: &str = "/sys/bus/pci/devices/0000:00:02.0";
    const NETWORK: Folders = &[
        ("/proc", &["interrupts=           CPU0\n 24: 5 PCI-MSI 24 virtio0-input\n"]),
        ("/sys/bus/pci/devices", &["0000:00:02.0"]),
        (
            FUNCTION,
            &["vendor=0x1af4\n", "device=0x1000\n", "class=0x020000\n", "irq=24\n", "virtio0"],
        ),
    ];
    let with_links = |driven: bool| {
        let answer: for<'a> fn(&Request<'a>) -> Option<Reply<'static>> = match driven {
            true => |asked| match asked {
                Request::ReadLink { path: "/sys/bus/pci/devices/0000:00:02.0/driver" } => {
                    Some(Reply::Data { data: b"../../../bus/pci/drivers/virtio-pci" })
                }
                Request::ReadLink { path: "/sys/bus/pci/devices/0000:00:02.0/virtio0/driver" } => {
                    Some(Reply::Data { data: b"../../../../bus/virtio/drivers/virtio_net" })
                }
                _ => None,
            },
            false => |asked| match asked {
                Request::ReadLink { path: "/sys/bus/pci/devices/0000:00:02.0/driver" } => {
                    Some(Reply::Data { data: b"../../../bus/pci/drivers/virtio-pci" })
                }
                _ => None,
            },
        };
        system(GuestKind::Kernel, NETWORK, answer)
    };
    let bare = with_links(false).pci().await.expect("told").value;
    assert_eq!(bare[0].bound.as_deref(), Some("virtio-pci"));
    assert_eq!(bare[0].driver, None);
    assert!(bare[0].by_message, "by the kernel's own table of interrupts");
    let driven = with_links(true).pci().await.expect("told").value;
    assert_eq!(driven[0].driver.as_deref(), Some("virtio_net"));
}
