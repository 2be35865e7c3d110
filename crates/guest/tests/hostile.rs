//! Machines whose guest is nothing but hostile. They need QEMU and no kernel: each boots a sector
//! of machine code.

use std::time::Duration;

use hospitium_guest::{GuestError, Seen, await_probe};
use hospitium_host::{Host as _, Machine, PowerVerb, WorkDir};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_model::{Boot, Bus, ByteSize, Disk, DiskRole, Firmware, MachineSpec};
use hospitium_system::{Console, Platform, SessionError};

const LIMIT: Duration = Duration::from_secs(300);
const PLATFORMS: [Platform; 1] = [Platform::LINUX_X86_64];

/// `mov dx, port; mov al, byte; out dx, al; jmp -3`: fills a serial port for ever.
const fn flood(port: u16, byte: u8) -> [u8; 8] {
    let [low, high] = port.to_le_bytes();
    [0xBA, low, high, 0xB0, byte, 0xEE, 0xEB, 0xFD]
}

async fn enter(code: &[u8]) -> GuestError {
    boot(Firmware::Bios, code).await
}

async fn boot(firmware: Firmware, code: &[u8]) -> GuestError {
    let folder = tempfile::tempdir().expect("a folder");
    let mut image = vec![0; 1 << 20];
    image[..code.len()].copy_from_slice(code);
    if !code.is_empty() {
        image[510..512].copy_from_slice(&[0x55, 0xAA]);
    }
    let path = folder.path().join("guest.raw");
    std::fs::write(&path, image).expect("written");
    let boot = Boot::Devices { order: vec!["system".into()] };
    let mut spec = MachineSpec::new(ByteSize::mib(128), boot);
    spec.cpus.cores = 1;
    spec.firmware = firmware;
    spec.disks.push(Disk {
        id: "system".into(),
        role: DiskRole::System,
        bus: Bus::Virtio,
        image: Some(path),
        format: Some("raw".into()),
        size: ByteSize::default(),
        serial: String::new(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        room: None,
    });
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache").into());
    let qemu = Qemu::open(options)
        .await
        .expect("QEMU is installed (Debian: apt install qemu-system-x86 qemu-utils)");
    let place = WorkDir { name: "hostile".into(), folder: folder.path().join("machine") };
    std::fs::create_dir(&place.folder).expect("made");
    let machine: Box<dyn Machine> = qemu.define(&spec, &place).await.expect("a machine");
    let stream = machine.serial("console").await.expect("the console");
    let console = Console::start(stream, None);
    machine.power(PowerVerb::On).await.expect("starts");
    let entered = await_probe(machine.as_ref(), &console, None, &PLATFORMS, LIMIT).await;
    assert!(console.raw().len() < 9 << 20, "the log is bounded");
    entered.expect_err("nothing that can be entered")
}

/// Both firmwares try what else there is to boot first, and say so on the screen only, or on the serial line too.
#[tokio::test]
async fn a_disk_without_a_boot_loader_is_told_and_the_limit_is_not_waited_out() {
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let error = boot(firmware, &[]).await;
        // The limit would be another error.
        let GuestError::NotBootable { place, .. } = &error else { panic!("{error}") };
        println!("{firmware:?}: {error}");
        if firmware == Firmware::Bios {
            assert_eq!(*place, Seen::Screen);
        }
    }
}

#[tokio::test]
async fn a_guest_that_floods_its_console_is_cut_off() {
    let error = enter(&flood(0x3F8, b'A')).await;
    assert!(matches!(error, GuestError::Flooded { .. }), "{error}");
}

#[tokio::test]
async fn a_guest_that_floods_the_probes_channel_is_cut_off() {
    for byte in [b'A', 0] {
        let error = enter(&flood(0x2F8, byte)).await;
        assert!(matches!(error, GuestError::Session(SessionError::Flood { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_guest_that_resets_for_ever_is_told() {
    // mov al, 0xFE; out 0x64, al: the keyboard controller pulls the reset line.
    let error = enter(&[0xB0, 0xFE, 0xE6, 0x64, 0xEB, 0xFA]).await;
    assert!(matches!(error, GuestError::Rebooting { .. }), "{error}");
}
