//! Guests of which kernel and initrd are outside of the image, on a real QEMU.
//!
//! `HOSPITIUM_TEST_KERNELS` names kernel packages; a small system of busybox is made with one of them: an initrd that
//! mounts the disk and leaves for it, and a disk with busybox's init, or nothing but a shell script, on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hospitium_guest::{Guest, GuestError, open, open_with};
use hospitium_host::{Host as _, Machine, PowerVerb, WorkDir};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_model::{Boot, ByteSize, MachineSpec};
use hospitium_system::{Console, Session, diagnosed};
use hospitium_wire::PowerAction;

const LIMIT: Duration = Duration::from_secs(240);

fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

struct Booted {
    machine: Box<dyn Machine>,
    console: Console,
    _folder: tempfile::TempDir,
}

async fn start(guest: &dyn Guest) -> Booted {
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(cache());
    let qemu = Qemu::open(options).await.expect("QEMU is installed");
    let folder = tempfile::tempdir().expect("a folder");
    let spec = MachineSpec::new(ByteSize::mib(512), Boot::Nothing);
    let spec = guest.prepare(folder.path(), spec).expect("can be prepared");
    let place = WorkDir { name: "direct".into(), folder: folder.path().join("machine") };
    std::fs::create_dir(&place.folder).expect("made");
    let machine = qemu.define(&spec, &place).await.expect("a machine");
    let stream = machine.serial("console").await.expect("the console");
    let console = Console::start(stream, None);
    machine.power(PowerVerb::On).await.expect("starts");
    Booted { machine, console, _folder: folder }
}

impl Booted {
    async fn enter(&self, guest: &dyn Guest) -> Session {
        let entered = guest.enter(self.machine.as_ref(), &self.console, None, LIMIT).await;
        let entered = diagnosed(entered, self.machine.as_ref(), &self.console).await;
        entered.expect("the probe answers")
    }
}

/// The program of Debian's `busybox-static`.
fn busybox() -> Option<PathBuf> {
    let named = std::env::var_os("HOSPITIUM_TEST_BUSYBOX").map(PathBuf::from);
    [named, Some("/bin/busybox".into()), Some("/usr/bin/busybox".into())]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
}

/// A kernel out of a package, with the modules of a virtio disk with ext4 and of the initrd's own.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    /// An initrd and a disk with `init` as `/sbin/init` (or busybox's own with this inittab).
    fn system(busybox: &Path, package: &Path, init: Init) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        sh(&format!(
            "dpkg-deb -x {} {} && cp {}/boot/vmlinuz-* {}",
            package.display(),
            at("kernel").display(),
            at("kernel").display(),
            at("vmlinuz").display()
        ));
        let modules = at("initrd/m");
        let script = "#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
for m in $(busybox cat /m/order); do busybox insmod /m/$m || busybox echo no $m; done
for word in $(busybox cat /proc/cmdline); do case $word in root=*) root=${word#root=} ;; esac; done
n=0; while [ ! -b $root ] && [ $n -lt 50 ]; do busybox sleep 0.1; n=$((n+1)); done
busybox mount -t ext4 $root /root || exec busybox sh
busybox mount -o move /dev /root/dev
busybox umount /proc; busybox umount /sys
exec busybox switch_root /root /sbin/init
";
        sh(&format!(
            "mkdir -p {0}/bin {0}/proc {0}/sys {0}/dev {0}/root {0}/m && cp {1} {0}/bin/busybox && ln -s busybox {0}/bin/sh
             cd {2}/lib/modules/* && for m in crc16 mbcache jbd2 crc32c_generic ext4 virtio_ring virtio virtio_pci_legacy_dev \
                virtio_pci_modern_dev virtio_pci virtio_blk; do
                f=$(find . -name $m.ko -o -name $m.ko.xz | head -1); [ -n \"$f\" ] || continue
                case $f in *.xz) xz -dc $f >{3}/$m.ko ;; *) cp $f {3}/$m.ko ;; esac; echo $m.ko >>{3}/order; done",
            at("initrd").display(),
            busybox.display(),
            at("kernel").display(),
            modules.display()
        ));
        std::fs::write(at("initrd/init"), script).expect("written");
        sh(&format!(
            "chmod +x {0}/init && cd {0} && find . >{1}.list && {2} cpio -o -H newc <{1}.list >{1}.cpio && gzip -1 <{1}.cpio >{1}",
            at("initrd").display(),
            at("initrd.img").display(),
            busybox.display()
        ));
        let inittab = "::sysinit:/bin/mount -t proc proc /proc\n\
            ::sysinit:/bin/mount -t sysfs sys /sys\n\
            ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100\n\
            ::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n";
        sh(&format!(
            "mkdir -p {0}/bin {0}/sbin {0}/proc {0}/sys {0}/dev {0}/etc {0}/run {0}/tmp {0}/root && cp {1} {0}/bin/busybox
             for a in sh mount umount sleep ls echo cat modprobe; do ln -s busybox {0}/bin/$a; done
             for a in getty reboot poweroff; do ln -s ../bin/busybox {0}/sbin/$a; done
             echo root::0:0:root:/root:/bin/sh >{0}/etc/passwd",
            at("root").display(),
            busybox.display()
        ));
        std::fs::write(at("root/etc/inittab"), inittab).expect("written");
        match init {
            Init::Busybox => {
                std::os::unix::fs::symlink("../bin/busybox", at("root/sbin/init")).expect("linked");
            }
            Init::Script => {
                let text = "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sys /sys\necho up\nwhile :; do sleep 60; done\n";
                std::fs::write(at("root/sbin/init"), text).expect("written");
                sh(&format!("chmod +x {}", at("root/sbin/init").display()));
            }
        }
        sh(&format!(
            "mke2fs -q -t ext4 -d {} {} 32M",
            at("root").display(),
            at("disk.img").display()
        ));
        Self { folder }
    }

    /// As `--guest` takes it.
    fn name(&self) -> PathBuf {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        [at("vmlinuz"), at("initrd.img"), at("disk.img")].join("+").into()
    }
}

enum Init {
    Busybox,
    Script,
}

fn sh(script: &str) {
    let out = Command::new("sh").args(["-ec", script]).output().expect("sh");
    assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
}

fn package() -> PathBuf {
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS").unwrap_or_default();
    let first = std::env::split_paths(&named).find(|path| path.is_file());
    first.expect("HOSPITIUM_TEST_KERNELS names no kernel package; run `cargo xtask test`")
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn a_system_without_service_manager_is_entered_and_found_again_after_a_restart() {
    let Some(busybox) = busybox() else {
        println!("left out: Debian's busybox-static is not installed");
        return;
    };
    let made = Made::system(&busybox, &package(), Init::Busybox);
    let guest = open(&made.name(), &cache()).expect("kernel, initrd and image");
    let roles: Vec<String> = guest.inputs().into_iter().map(|pin| pin.role).collect();
    assert_eq!(roles, ["kernel", "initrd", "image", "probe"]);
    let booted = start(guest.as_ref()).await;
    let session = booted.enter(guest.as_ref()).await;
    let hello = session.greet(LIMIT).await.expect("again");
    assert!(!hello.is_init, "another is process 1");
    let mounts = session.read_text("/proc/mounts").await.expect("a file");
    assert!(mounts.contains("/dev/vda / ext4"), "it is in the system's own root: {mounts}");
    assert!(session.read_text("/etc/inittab").await.is_ok());
    let name = session.read_text("/proc/self/cmdline").await.expect("a file");
    assert!(name.starts_with("@hospitium-handover"), "{name}");
    let before = hello.uptime;
    session.power(PowerAction::Reboot).await.expect("restarts");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let hello = session.greet(LIMIT).await.expect("there again");
    assert!(hello.uptime < before + Duration::from_secs(120), "{:?}", hello.uptime);
    println!("up after {before:.1?}, again after {:.1?}", hello.uptime);
    session.power(PowerAction::Off).await.expect("powers off");
    let ended = tokio::time::timeout(LIMIT, booted.machine.ended()).await.expect("ends");
    assert!(ended.expected(), "{ended}");
}

#[tokio::test]
#[ignore = "boots real kernels; see the file's head"]
async fn what_is_appended_is_on_the_kernels_command_line() {
    let Some(busybox) = busybox() else {
        println!("left out: Debian's busybox-static is not installed");
        return;
    };
    let made = Made::system(&busybox, &package(), Init::Script);
    let append = Some("root=/dev/vda hospitium.word=1");
    let guest = open_with(&made.name(), append, &cache()).expect("kernel, initrd and image");
    let booted = start(guest.as_ref()).await;
    let session = booted.enter(guest.as_ref()).await;
    let line = session.read_text("/proc/cmdline").await.expect("a file");
    assert!(line.ends_with("root=/dev/vda hospitium.word=1"), "{line}");
    assert_eq!(line.matches("root=").count(), 1, "{line}");
}

#[test]
fn a_guest_with_a_boot_loader_of_its_own_takes_no_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("disk.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    std::fs::write(&image, bytes).expect("written");
    let error = open_with(&image, Some("quiet"), &cache()).err().expect("nobody to give it to");
    assert!(matches!(error, GuestError::NoAppend { .. }), "{error}");
}
