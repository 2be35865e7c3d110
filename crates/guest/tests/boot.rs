//! Boots real kernels on a real QEMU.
//!
//! `HOSPITIUM_TEST_KERNELS` names one or more kernel packages, separated as in `PATH`.
//! `cargo xtask test` fetches them and runs these tests; on their own they are run with
//! `cargo nextest run -p hospitium-guest --run-ignored all`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hospitium_guest::{Guest, GuestError, Probe, open, open_with};
use hospitium_host::{Ended, Host as _, Machine, PowerVerb, WorkDir};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_model::{Answer, Boot, Bus, ByteSize, Channel, ChannelKind, MachineSpec};
use hospitium_system::{Console, DriverLoad, Platform, Session, Trace, diagnosed};
use hospitium_wire::{PowerAction, errno};

const LIMIT: Duration = Duration::from_secs(120);

fn packages() -> Vec<PathBuf> {
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS").unwrap_or_default();
    let mut packages: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|p| p.is_file()).collect();
    packages.sort();
    assert!(
        !packages.is_empty(),
        "HOSPITIUM_TEST_KERNELS names no kernel package; run `cargo xtask test`"
    );
    packages
}

fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// A machine with a guest in it, in a folder of its own.
struct Booted {
    machine: Box<dyn Machine>,
    console: Console,
    _folder: tempfile::TempDir,
}

async fn start(guest: &dyn Guest, spec: MachineSpec, alter: impl Fn(&mut String)) -> Booted {
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(cache());
    let qemu = Qemu::open(options).await.expect("QEMU is installed");
    let folder = tempfile::tempdir().expect("a folder");
    let mut spec = guest.prepare(folder.path(), spec).expect("can be prepared");
    if let Boot::Kernel { command_line, .. } = &mut spec.boot {
        alter(command_line);
    }
    let place = WorkDir { name: "boot".into(), folder: folder.path().join("machine") };
    std::fs::create_dir(&place.folder).expect("made");
    let machine = qemu.define(&spec, &place).await.expect("a machine");
    let stream = machine.serial("console").await.expect("the console");
    let console = Console::start(stream, None);
    machine.power(PowerVerb::On).await.expect("starts");
    Booted { machine, console, _folder: folder }
}

impl Booted {
    async fn enter(&self, guest: &dyn Guest, limit: Duration) -> Result<Session, GuestError> {
        let calls = Arc::new(AtomicU32::new(0));
        let trace = Trace::new(move |_, _| {
            calls.fetch_add(1, Ordering::SeqCst);
        });
        guest.enter(self.machine.as_ref(), &self.console, Some(trace), limit).await
    }

    /// The probe in it. A failure shows what the machine does.
    async fn entered(&self, guest: &dyn Guest) -> Session {
        let entered = self.enter(guest, LIMIT).await;
        let entered = diagnosed(entered, self.machine.as_ref(), &self.console).await;
        entered.expect("the probe answers")
    }

    /// How the machine ends, which it is about to do. A failure shows what it does instead.
    async fn ended(&self) -> Ended {
        let ended = tokio::time::timeout(LIMIT, self.machine.ended()).await;
        diagnosed(ended, self.machine.as_ref(), &self.console).await.expect("ends")
    }
}

fn spec() -> MachineSpec {
    let mut spec = MachineSpec::new(ByteSize::mib(512), Boot::Nothing);
    spec.controllers = vec![Bus::Virtio, Bus::VirtioScsi, Bus::Usb];
    spec
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn every_kernel_boots_and_its_probe_answers() {
    for package in packages() {
        let guest = open(&package, &cache()).expect("a kernel package");
        let begun = Instant::now();
        let booted = start(guest.as_ref(), spec(), |_| {}).await;
        let session = booted.entered(guest.as_ref()).await;
        let took = begun.elapsed();
        let hello = session.greet(LIMIT).await.expect("again");
        println!(
            "{}: {took:.1?} to the first answer, {:.1?} by the guest's clock",
            guest.facts().name,
            hello.uptime
        );
        assert_eq!(hello.uname[1], guest.facts().version);
        println!("the probe is for {}", hello.platform);
        assert!(hello.is_init);
        session.adopt([7; 32]).await.expect("takes entropy");
        let modules = session.read_text("/proc/modules").await.expect("a file");
        println!("{modules}");
        let uptime = session.read_text("/proc/uptime").await.expect("a file");
        println!("uptime {uptime}; console {} bytes", booted.console.total());
        println!("{}", booted.console.last_lines(40));
        for device in
            ["nvme", "virtio-net", "virtio", "rng", "cdrom", "watchdog", "sata", "usb-input"]
        {
            let can = guest.driver(device).is_yes();
            let loaded = session.load_driver(device).await.expect("no error");
            assert_eq!(matches!(loaded, DriverLoad::Loaded(_)), can, "{device}");
        }
        let echo: Vec<u8> = (0..4096).map(|n| n as u8).collect();
        assert_eq!(session.echo(&echo).await.expect("echoes"), echo);
        session.power(PowerAction::Off).await.expect("powers off");
        let ended = booted.ended().await;
        assert!(ended.expected(), "{ended}");
    }
}

/// `HOSPITIUM_TEST_KERNEL_X86` names a kernel package for 32-bit x86; without one, or without a toolchain that
/// has a `core` for it, there is nothing to try.
#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_kernel_of_32_bits_gets_a_probe_of_32_bits() {
    let Some(package) = std::env::var_os("HOSPITIUM_TEST_KERNEL_X86").map(PathBuf::from) else {
        println!("left out: HOSPITIUM_TEST_KERNEL_X86 names no kernel package");
        return;
    };
    let guest = match open(&package, &cache()) {
        Ok(guest) => guest,
        Err(error) if Probe::for_platform(Platform::LINUX_X86).is_none() => {
            println!("left out: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let booted = start(guest.as_ref(), spec(), |_| {}).await;
    let session = booted.entered(guest.as_ref()).await;
    assert_eq!(session.platform(), Some(Platform::LINUX_X86));
    let hello = session.greet(LIMIT).await.expect("again");
    assert_eq!(hello.uname[3], "i686");
    let scan = session.memory_scan([0x5A; 32]).await.expect("its own memory");
    assert!(scan.scanned > 400 << 20, "{} bytes of 512 MiB", scan.scanned);
    let filled = session.memory_fill(0, 100 << 20, 1).await.expect("memory");
    assert_eq!(session.memory_digest(0).await.expect("the same").digest, filled.digest);
    let clock = session.clock().await.expect("clocks");
    assert!(clock.monotonic_ns > 0 && clock.raw_ns > 0 && clock.tsc > 0);
    session.power(PowerAction::Off).await.expect("powers off");
    let ended = booted.ended().await;
    assert!(ended.expected(), "{ended}");
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_guest_that_acts_as_an_old_kernel_from_its_start_is_entered() {
    let append = Some("hospitium.act-as=2.6.18");
    let guest = open_with(&packages()[0], append, &cache()).expect("a kernel package");
    let booted = start(guest.as_ref(), spec(), |_| {}).await;
    let session = booted.entered(guest.as_ref()).await;
    for path in ["/sys/devices/system/cpu/online", "/sys/firmware/memmap/0/start"] {
        let error = session.read_text(path).await.expect_err("came later");
        assert_eq!(error.errno(), Some(errno::ENOENT), "{path}: {error}");
    }
    assert_eq!(session.clock().await.expect("clocks").raw_ns, 0);
    session.adopt([7; 32]).await.expect("takes entropy");
    assert!(session.driver("virtio").await.expect("an answer").is_yes());
    session.act_as("").await.expect("as it is again");
    session.read_text("/sys/devices/system/cpu/online").await.expect("is there");
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_kernel_without_its_modules_says_which_devices_it_cannot_drive() {
    let guest = open(&packages()[0], &cache()).expect("a kernel package");
    let folder = tempfile::tempdir().expect("a folder");
    let spec_of_packaged = guest.prepare(folder.path(), spec()).expect("can be prepared");
    let Boot::Kernel { kernel, .. } = spec_of_packaged.boot else { panic!("a kernel") };
    let alone = open(&kernel, &cache()).expect("a kernel image");
    assert!(alone.driver("virtio").is_yes(), "nothing tells before it runs");
    let booted = start(alone.as_ref(), spec(), |_| {}).await;
    let session = booted.entered(alone.as_ref()).await;
    for device in ["virtio", "virtio-net", "nvme"] {
        let answer = session.driver(device).await.expect("an answer");
        println!("{device}: {answer:?}");
        assert!(matches!(answer, Answer::No(why) if why.contains("KERNEL+MODULES")), "{device}");
    }
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn the_probe_answers_on_a_virtio_port_too() {
    let guest = open(&packages()[0], &cache()).expect("a kernel package");
    let mut spec = spec();
    spec.channels.insert(1, Channel { name: "other".into(), kind: ChannelKind::Virtio });
    spec.channels[2].kind = ChannelKind::Virtio;
    let booted = start(guest.as_ref(), spec, |_| {}).await;
    let session = booted.entered(guest.as_ref()).await;
    assert!(session.read_text("/proc/version").await.expect("a file").starts_with("Linux"));
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_kernel_without_a_root_is_told_by_its_panic() {
    let guest = open(&packages()[0], &cache()).expect("a kernel package");
    let alter = |line: &mut String| line.push_str(" rdinit=/gone root=/dev/gone");
    let booted = start(guest.as_ref(), spec(), alter).await;
    let error = booted.enter(guest.as_ref(), LIMIT).await.expect_err("panics");
    assert!(
        matches!(&error, GuestError::NeedsInitrd { said, .. } if said.contains("VFS")),
        "{error}"
    );
    println!("{error}");
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_kernel_that_reboots_for_ever_is_told_from_one_that_hangs() {
    let guest = open(&packages()[0], &cache()).expect("a kernel package");
    // It panics, and says so on a port that is not there.
    let alter =
        |line: &mut String| *line = "console=ttyS3 rdinit=/gone root=/dev/gone panic=-1".into();
    let booted = start(guest.as_ref(), spec(), alter).await;
    let error = booted.enter(guest.as_ref(), LIMIT).await.expect_err("reboots");
    assert!(matches!(error, GuestError::Rebooting { count: 3, .. }), "{error}");
    println!("{error}");
    let alter = |line: &mut String| *line = "console=ttyS3 rdinit=/gone root=/dev/gone".into();
    let booted = start(guest.as_ref(), spec(), alter).await;
    let error = booted.enter(guest.as_ref(), Duration::from_secs(12)).await.expect_err("hangs");
    // Its panic can be told only by the device that is there for that, and that needs a module.
    assert!(matches!(error, GuestError::NoProbe { .. }), "{error}");
    println!("{error}");
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_vmm_that_is_killed_ends_the_wait() {
    let guest = open(&packages()[0], &cache()).expect("a kernel package");
    let booted = start(guest.as_ref(), spec(), |_| {}).await;
    let confinement = booted.machine.confinement().expect("a process");
    let process = confinement.process().await.expect("it runs").pid.expect("it is seen").value;
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
        assert!(killed.expect("kill is there").success());
    };
    let (entered, ()) = tokio::join!(booted.enter(guest.as_ref(), LIMIT), kill);
    let error = entered.expect_err("was killed");
    assert!(matches!(error, GuestError::Ended { .. }), "{error}");
    println!("{error}");
}
