//! Kernel guests from made-up packages and folders.

use hospitium_model::{Answer, Boot, ByteSize, Channel, ChannelKind, MachineSpec};

use super::bzimage::tests::image;
use super::modinfo::tests::module;
use super::package::tests::{deb, tar};
use super::*;
use crate::guest::{Guest, GuestError};
use crate::open::open;

fn folder_of(modules: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let at = root.path().join("6.1.0");
    std::fs::create_dir_all(at.join("kernel")).expect("made");
    std::fs::write(at.join("modules.builtin"), "kernel/button.ko\nkernel/evdev.ko\n")
        .expect("written");
    for (name, depends) in modules {
        let bytes = module(&format!("depends={depends}\0vermagic=6.1.0 SMP \0"));
        std::fs::write(at.join("kernel").join(format!("{name}.ko")), bytes).expect("written");
    }
    std::fs::write(root.path().join("vmlinuz"), image("6.1.0")).expect("written");
    root
}

fn spec() -> MachineSpec {
    MachineSpec::new(ByteSize::mib(256), Boot::Nothing)
}

fn prepared(guest: &dyn Guest, spec: MachineSpec) -> (MachineSpec, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = guest.prepare(folder.path(), spec).expect("can be prepared");
    let Boot::Kernel { initrd: Some(initrd), .. } = &spec.boot else { panic!("boots a kernel") };
    let bytes = std::fs::read(initrd).expect("was written");
    (spec, String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_machine_gets_kernel_initramfs_and_the_modules_of_its_devices() {
    let modules = [
        ("virtio_pci", "virtio"),
        ("virtio", ""),
        ("virtio-rng", ""),
        ("nvme", "nvme-core"),
        ("nvme-core", ""),
    ];
    let root = folder_of(&modules);
    let guest = KernelGuest::from_folder(&root.path().join("vmlinuz"), root.path()).expect("opens");
    assert_eq!(guest.facts().name, "linux 6.1.0");
    let (spec, initramfs) = prepared(&guest, spec());
    let Boot::Kernel { kernel, command_line, .. } = &spec.boot else { panic!("boots a kernel") };
    assert_eq!(kernel, &root.path().join("vmlinuz"));
    assert_eq!(command_line, "console=ttyS0 loglevel=6 panic=0 no_timer_check iomem=relaxed");
    assert!(initramfs.contains("channel /dev/ttyS1\ndriver "), "a serial line needs no module");
    assert!(initramfs.contains("driver rng\n"), "the rest comes once it answers");
    assert!(
        initramfs.contains("nvme /lib/modules/nvme_core.ko /lib/modules/nvme.ko\n"),
        "carries the rest"
    );
    assert!(initramfs.contains("lib/modules/nvme.ko\0"));
    assert_eq!(guest.driver("nvme"), Answer::Yes);
    assert_eq!(guest.driver("power-button"), Answer::Yes, "built in");
    assert!(matches!(guest.driver("e1000"), Answer::No(why) if why.contains("e1000")));
    assert!(matches!(guest.driver("flux"), Answer::No(_)));
}

#[test]
fn the_same_machine_gets_the_same_initramfs() {
    let root = folder_of(&[("virtio_pci", ""), ("virtio_rng", "")]);
    let guest = KernelGuest::from_folder(&root.path().join("vmlinuz"), root.path()).expect("opens");
    assert_eq!(prepared(&guest, spec()).1, prepared(&guest, spec()).1);
}

#[test]
fn the_probes_channel_is_named_as_the_kernel_names_it() {
    let root = folder_of(&[("virtio_pci", ""), ("virtio_console", "")]);
    let guest = KernelGuest::from_folder(&root.path().join("vmlinuz"), root.path()).expect("opens");
    let mut spec = spec();
    spec.channels.insert(1, Channel { name: "agent".into(), kind: ChannelKind::Virtio });
    spec.channels[2].kind = ChannelKind::Virtio;
    let config = "channel /dev/virtio-ports/probe\nmodule /lib/modules/virtio_pci.ko\nmodule /lib/modules/virtio_console.ko\n";
    assert!(
        prepared(&guest, spec.clone()).1.contains(config),
        "the probe loads what its channel needs"
    );
    spec.channels[2].name = "other".into();
    let folder = tempfile::tempdir().expect("a folder");
    let error = guest.prepare(folder.path(), spec).expect_err("no channel");
    assert!(matches!(error, GuestError::NoChannel { .. }), "{error}");
}

#[test]
fn a_probe_channel_without_a_driver_is_refused() {
    let root = folder_of(&[("virtio_pci", "")]);
    let guest = KernelGuest::from_folder(&root.path().join("vmlinuz"), root.path()).expect("opens");
    let mut spec = spec();
    spec.channels[1].kind = ChannelKind::Virtio;
    let folder = tempfile::tempdir().expect("a folder");
    let error = guest.prepare(folder.path(), spec).expect_err("no driver");
    assert!(matches!(error, GuestError::NoDriver { .. }), "{error}");
}

#[test]
fn a_package_is_unpacked_once_and_then_comes_from_the_cache() {
    let rng = module("depends=virtio\0vermagic=6.1.0 SMP \0");
    let data = tar(&[
        ("./boot/vmlinuz-6.1.0", &image("6.1.0")),
        ("./lib/modules/6.1.0/modules.builtin", b"kernel/virtio.ko\nkernel/virtio_pci.ko\n"),
        ("./lib/modules/6.1.0/kernel/virtio-rng.ko", &rng),
    ]);
    let room = tempfile::tempdir().expect("a folder");
    let package = room.path().join("no-extension");
    std::fs::write(&package, deb(&data)).expect("written");
    let cache = room.path().join("cache");
    let first = open(&package, &cache).expect("opens");
    assert_eq!(first.facts().version, "6.1.0");
    assert_eq!(first.driver("rng"), Answer::Yes);
    let second = open(&package, &cache).expect("opens");
    assert_eq!(first.inputs(), second.inputs());
    let roles: Vec<String> = first.inputs().into_iter().map(|pin| pin.role).collect();
    assert_eq!(roles, ["kernel", "modules", "probe", "package"]);
    assert_eq!(std::fs::read_dir(cache.join("kernels")).expect("there").count(), 1);
}

#[test]
fn words_for_the_kernel_make_it_another_guest() {
    let room = tempfile::tempdir().expect("a folder");
    let kernel = room.path().join("vmlinuz");
    std::fs::write(&kernel, image("6.1.0")).expect("written");
    let digest =
        |words| crate::open_with(&kernel, words, room.path()).expect("a kernel").facts().digest;
    assert_eq!(digest(None), digest(None));
    assert_ne!(digest(None), digest(Some("quiet")));
    assert_ne!(digest(Some("nosmp")), digest(Some("quiet")));
}

#[test]
fn a_package_without_modules_says_what_to_do() {
    let room = tempfile::tempdir().expect("a folder");
    let package = room.path().join("p.deb");
    std::fs::write(&package, deb(&tar(&[("boot/vmlinuz-6.1.0", &image("6.1.0"))])))
        .expect("written");
    let error = KernelGuest::from_package(&package, room.path()).err().expect("no modules");
    assert!(error.to_string().contains("KERNEL+MODULES-FOLDER"), "{error}");
}

#[test]
fn modules_of_another_kernel_or_none_are_refused() {
    let root = folder_of(&[("virtio_pci", "")]);
    std::fs::write(root.path().join("other"), image("6.2.0")).expect("written");
    let other = root.path().join("other");
    let error = KernelGuest::from_folder(&other, root.path()).err().expect("another");
    assert!(matches!(error, KernelError::OtherFolder { .. }), "{error}");
    let its_own = root.path().join("6.1.0");
    let error = KernelGuest::from_folder(&other, &its_own).err().expect("another");
    assert!(matches!(error, KernelError::OtherRelease { .. }), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    let kernel = root.path().join("vmlinuz");
    let error = KernelGuest::from_folder(&kernel, empty.path()).err().expect("nothing there");
    assert!(matches!(error, KernelError::OtherFolder { .. }), "{error}");
}

#[test]
fn what_a_person_names_is_told_by_its_bytes() {
    let root = folder_of(&[("virtio_pci", "")]);
    let cache = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name);
    let modules = root.path().display().to_string();
    std::fs::rename(at("vmlinuz"), at("vmlinuz+deb")).expect("renamed");
    let joined = PathBuf::from(format!("{}+{modules}", at("vmlinuz+deb").display()));
    assert_eq!(open(&joined, cache.path()).expect("both halves").inputs().len(), 3);
    let bare = open(&at("vmlinuz+deb"), cache.path()).expect("a kernel");
    assert_eq!(bare.driver("e1000"), Answer::Yes, "taken at its word");
    std::fs::write(at("text.deb"), "not a package ".repeat(100)).expect("written");
    let error = open(&at("text.deb"), cache.path()).err().expect("nothing to boot");
    assert!(matches!(error, GuestError::Unrecognised { .. }), "{error}");
    let error = open(&at("gone"), cache.path()).err().expect("not there");
    assert!(matches!(error, GuestError::Unreadable { .. }), "{error}");
}
