//! Boots the Debian disk images that `cargo xtask image` builds, by both ways in and both firmwares.
//! `HOSPITIUM_IMAGES` names the folder that holds them; `cargo xtask test` sets it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_guest::disk::{Definition, DiskGuest};
use hospitium_guest::{Console, Guest};
use hospitium_host::qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_host::{Host, Place};
use hospitium_model::{Boot, Bus, ByteSize, Channel, ChannelKind, Disk, DiskRole, Firmware, MachineSpec};

/// Emulated, and beside other tests.
const LIMIT: Duration = Duration::from_secs(400);

fn image(name: &str) -> PathBuf {
    let folder = std::env::var_os("HOSPITIUM_IMAGES")
        .expect("HOSPITIUM_IMAGES names the folder of built images; cargo xtask test sets it");
    let entries = std::fs::read_dir(&folder).expect("the folder of built images");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "qcow2"))
        .filter(|path| {
            // debian-12-<16 digits> and debian-12-login-<16 digits>.
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            stem.strip_prefix(name).is_some_and(|rest| rest.len() == 17)
        })
        .collect();
    found.sort_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    found.pop().unwrap_or_else(|| panic!("no {name} in {}", folder.display()))
}

fn machine(firmware: Firmware, bus: Bus) -> MachineSpec {
    let mut spec = MachineSpec::new(ByteSize::mib(512), Boot::Nothing);
    spec.firmware = firmware;
    spec.channels = vec![
        Channel { name: "console".into(), kind: ChannelKind::Serial },
        Channel { name: "probe".into(), kind: ChannelKind::Virtio },
    ];
    spec.disks.push(Disk {
        id: "system".into(),
        role: DiskRole::System,
        bus,
        image: None,
        format: None,
        size: ByteSize::bytes(0),
        serial: "root".into(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        ignore_flushes: false,
        room: None,
    });
    spec
}

async fn enters(name: &str, firmware: Firmware, bus: Bus) {
    let image = image(name);
    let folder = tempfile::tempdir().expect("a folder");
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../guests/{name}.toml"));
    let definition = Definition::read(&definition).expect("a definition");
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let guest = DiskGuest::new(&image, definition, &cache).expect("a guest");
    let changed = || image.metadata().and_then(|meta| meta.modified()).expect("is there");
    let before = changed();
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("qemu"));
    let host = Qemu::open(options).await.expect("QEMU is installed");
    let place = Place { name: "boot".into(), folder: folder.path().join("boot") };
    std::fs::create_dir(&place.folder).expect("made");
    let spec = guest.prepare(&place.folder, machine(firmware, bus)).expect("prepared");
    let machine = host.define(&spec, &place).await.expect("defined");
    let console = Console::start(machine.channel("console").await.expect("a console"), None);
    machine.start().await.expect("started");
    let begun = std::time::Instant::now();
    let entered = guest.enter(&*machine, &console, None, LIMIT).await;
    let session = entered.unwrap_or_else(|e| panic!("{e}\n{:?}", std::error::Error::source(&e)));
    println!("{name}, {firmware:?}, {bus:?}: the probe answered after {:.1?}", begun.elapsed());
    let os = guest.os_release(&session).await.expect("read").expect("there");
    assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "12"));
    let state = session.run(&["/usr/bin/systemctl", "is-system-running"], LIMIT).await.expect("runs");
    assert_eq!(String::from_utf8_lossy(&state.output).trim(), "running");
    let mounts = session.read_text("/proc/mounts").await.expect("read");
    assert!(!mounts.contains("hospitium-drive"), "the drive was let go of: {mounts}");
    machine.end().await.expect("ends");
    assert_eq!(before, changed(), "the image is never written");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_cloud_init_under_bios() {
    enters("debian-12", Firmware::Bios, Bus::Virtio).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_cloud_init_under_uefi_from_a_sata_disk() {
    enters("debian-12", Firmware::Uefi, Bus::Sata).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_logging_in_under_bios() {
    enters("debian-12-login", Firmware::Bios, Bus::Virtio).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_logging_in_under_uefi_from_an_nvme_disk() {
    enters("debian-12-login", Firmware::Uefi, Bus::Nvme).await;
}
