//! Boots the Debian disk images that `cargo xtask setup` builds, by both ways in and both firmwares.
//!
//! `HOSPITIUM_TEST_SYSTEM` and `HOSPITIUM_TEST_LOGIN_SYSTEM` name the images. `cargo xtask test` builds
//! them and runs these tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_guest::Guest;
use hospitium_guest::disk::{Definition, DiskGuest};
use hospitium_host::{Host, Machine, PowerVerb, WorkDir};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_model::{
    Boot, Bus, ByteSize, Channel, ChannelKind, Disk, DiskRole, Firmware, MachineSpec,
};
use hospitium_system::{Console, Session, diagnosed};
use hospitium_wire::PowerAction;

/// Emulated, and beside other tests.
const LIMIT: Duration = Duration::from_secs(400);

fn image(name: &str) -> PathBuf {
    let variable = match name {
        "debian-12-login" => "HOSPITIUM_TEST_LOGIN_SYSTEM",
        "debian-12-sysvinit" => "HOSPITIUM_TEST_SYSV_SYSTEM",
        _ => "HOSPITIUM_TEST_SYSTEM",
    };
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} names the image of {name}")).into()
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
        room: None,
    });
    spec
}

async fn boot_id(session: &Session) -> Option<String> {
    session.greet(Duration::from_secs(5)).await.ok()?;
    session.read_text("/proc/sys/kernel/random/boot_id").await.ok()
}

/// Nobody enters the guest again: its own init starts the probe, while it still starts the rest. Read again
/// before that, the unit starts nothing.
async fn answers_after_a_restart(
    machine: &dyn Machine,
    console: &Console,
    session: &Session,
    systemd: bool,
) {
    let before = boot_id(session).await.expect("a boot id");
    if systemd {
        for words in [
            &["daemon-reload"][..],
            &["start", "sysinit.target"],
            &["is-active", "hospitium-again.service"],
        ] {
            let line: Vec<&str> = [&["/usr/bin/systemctl"][..], words].concat();
            let ended = session.run(&line, LIMIT).await.expect("runs");
            let said = String::from_utf8_lossy(&ended.output).into_owned();
            assert!(said.trim().is_empty() || said.trim() == "inactive", "{words:?}: {said}");
        }
    }
    let begun = std::time::Instant::now();
    session.power(PowerAction::Reboot).await.expect("restarts");
    let anew = async {
        while boot_id(session).await.is_none_or(|now| now == before) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let anew = tokio::time::timeout(LIMIT, anew).await;
    let anew = diagnosed(anew, machine, console).await;
    anew.expect("the probe answers from the next boot");
    println!("after a restart it answered in {:.1?}", begun.elapsed());
    if systemd {
        let unit = ["/usr/bin/systemctl", "is-active", "hospitium-again.service"];
        let ended = session.run(&unit, LIMIT).await.expect("runs");
        assert_eq!(String::from_utf8_lossy(&ended.output).trim(), "active");
    } else {
        let program = session.read_link("/proc/self/exe").await.expect("its own program");
        assert_eq!(program, "/var/lib/hospitium/hospitium-probe");
    }
}

async fn enters(name: &str, firmware: Firmware, bus: Bus, restart: bool) {
    let image = image(name);
    // The same login.
    let definition = if name == "debian-12-sysvinit" { "debian-12-login" } else { name };
    let folder = tempfile::tempdir().expect("a folder");
    let definition =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../guests/{definition}.toml"));
    let definition = Definition::read(&definition).expect("a definition");
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let guest = DiskGuest::new(&image, definition, &cache).expect("a guest");
    let changed = || image.metadata().and_then(|meta| meta.modified()).expect("is there");
    let before = changed();
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("qemu"));
    let host = Qemu::open(options).await.expect("QEMU is installed");
    let place = WorkDir { name: "boot".into(), folder: folder.path().join("boot") };
    std::fs::create_dir(&place.folder).expect("made");
    let spec = guest.prepare(&place.folder, machine(firmware, bus)).expect("prepared");
    let machine = host.define(&spec, &place).await.expect("defined");
    let console = Console::start(machine.serial("console").await.expect("a console"), None);
    machine.power(PowerVerb::On).await.expect("started");
    let begun = std::time::Instant::now();
    let entered = guest.enter(&*machine, &console, None, LIMIT).await;
    let entered = diagnosed(entered, &*machine, &console).await;
    let session = entered.expect("the probe answers");
    println!("{name}, {firmware:?}, {bus:?}: the probe answered after {:.1?}", begun.elapsed());
    let os = guest.os_release(&session).await.expect("read").expect("there");
    assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "12"));
    let systemd = name != "debian-12-sysvinit";
    if systemd {
        let state =
            session.run(&["/usr/bin/systemctl", "is-system-running"], LIMIT).await.expect("runs");
        assert_eq!(String::from_utf8_lossy(&state.output).trim(), "running");
    } else {
        let init = session.read_link("/proc/1/exe").await.expect("process 1");
        assert!(!init.contains("systemd"), "{init}");
    }
    let mounts = session.read_text("/proc/mounts").await.expect("read");
    assert!(!mounts.contains("hospitium-drive"), "the drive was let go of: {mounts}");
    if restart {
        answers_after_a_restart(&*machine, &console, &session, systemd).await;
    }
    machine.finish().await.expect("ends");
    assert_eq!(before, changed(), "the image is never written");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_cloud_init_under_uefi_from_a_sata_disk() {
    enters("debian-12", Firmware::Uefi, Bus::Sata, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn debian_is_entered_by_logging_in_under_bios_and_answers_after_a_restart() {
    enters("debian-12-login", Firmware::Bios, Bus::Virtio, true).await;
}

/// Further pairs of way in, firmware and bus; `cargo xtask test --part more-guests` runs them.
mod also {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "boots a whole distribution; cargo xtask test --part more-guests runs it"]
    async fn debian_without_systemd_is_entered_by_logging_in_and_its_own_init_finds_it_again() {
        enters("debian-12-sysvinit", Firmware::Bios, Bus::Virtio, true).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "boots a whole distribution; cargo xtask test --part more-guests runs it"]
    async fn debian_is_entered_by_cloud_init_under_bios_and_answers_after_a_restart() {
        enters("debian-12", Firmware::Bios, Bus::Virtio, true).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "boots a whole distribution; cargo xtask test --part more-guests runs it"]
    async fn debian_is_entered_by_logging_in_under_uefi_from_an_nvme_disk() {
        enters("debian-12-login", Firmware::Uefi, Bus::Nvme, false).await;
    }
}
