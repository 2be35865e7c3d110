use hospitium_model::{Channel, Firmware};

use super::*;
use crate::image::ImageError;

fn machine() -> MachineSpec {
    let mut spec = MachineSpec::new(ByteSize::mib(512), Boot::Nothing);
    spec.channels = vec![
        Channel { name: "console".into(), kind: ChannelKind::Serial },
        Channel { name: "probe".into(), kind: ChannelKind::Virtio },
    ];
    spec
}

fn image(folder: &Path) -> PathBuf {
    let path = folder.join("disk.img");
    let mut content = vec![0; 1 << 20];
    content[510..512].copy_from_slice(&[0x55, 0xAA]);
    std::fs::write(&path, content).expect("written");
    path
}

fn guest(folder: &Path, definition: &str) -> DiskGuest {
    let definition = toml::from_str(definition).expect("a definition");
    DiskGuest::new(&image(folder), definition, &folder.join("cache")).expect("a guest")
}

#[test]
fn a_prepared_machine_boots_the_image_and_has_both_drives() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let spec = guest(at, "").prepare(at, machine()).expect("prepared");
    let ids: Vec<&str> = spec.disks.iter().map(|disk| disk.id.as_str()).collect();
    assert_eq!(ids, [SYSTEM, TOOLS, SEED]);
    assert_eq!(spec.boot, Boot::Devices { order: vec![SYSTEM.into()] });
    assert_eq!(spec.disks[0].format.as_deref(), Some("raw"));
    assert!(!spec.disks[0].read_only && spec.disks[1].read_only && spec.disks[2].read_only);
    spec.check().expect("a machine that can be");
    for disk in &spec.disks {
        assert!(disk.image.as_ref().is_some_and(|image| image.is_absolute() && image.is_file()));
    }
}

#[test]
fn preparing_twice_makes_the_same_drives() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let guest = guest(at, "");
    let drives = || {
        let spec = guest.prepare(at, machine()).expect("prepared");
        let read =
            |disk: &Disk| std::fs::read(disk.image.as_ref().expect("an image")).expect("read");
        spec.disks[1..].iter().map(read).collect::<Vec<_>>()
    };
    assert_eq!(drives(), drives());
}

#[test]
fn without_cloud_init_there_is_no_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "ways = [\"serial-login\"]\n[login]\nuser = \"root\"\n";
    let spec = guest(folder.path(), text).prepare(folder.path(), machine()).expect("prepared");
    assert!(spec.disks.iter().all(|disk| disk.id != SEED));
}

#[test]
fn a_bus_that_the_machine_has_for_its_system_disk_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut spec = machine();
    spec.disks.push(disk("root", DiskRole::System, Bus::Nvme));
    let prepared = guest(at, "").prepare(at, spec.clone()).expect("prepared");
    assert_eq!(
        (prepared.disks[0].bus, prepared.boot),
        (Bus::Nvme, Boot::Devices { order: vec!["root".into()] })
    );
    let error = guest(at, "buses = [\"virtio\"]").prepare(at, spec).expect_err("cannot");
    assert!(matches!(error, GuestError::Disk(DiskError::Bus { .. })), "{error}");
}

#[test]
fn beside_an_ata_disk_the_read_only_drives_are_on_usb() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut spec = machine();
    spec.disks.push(disk("root", DiskRole::System, Bus::Sata));
    let buses: Vec<Bus> =
        guest(at, "").prepare(at, spec).expect("prepared").disks.iter().map(|d| d.bus).collect();
    assert_eq!(buses, [Bus::Sata, Bus::Usb, Bus::Usb]);
}

#[test]
fn a_machine_that_the_guest_cannot_use_is_told_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut uefi = machine();
    uefi.firmware = Firmware::Uefi;
    let error = guest(at, "firmware = [\"bios\"]").prepare(at, uefi).expect_err("cannot");
    assert!(matches!(error, GuestError::Disk(DiskError::Firmware { .. })), "{error}");
    let error = guest(at, "memory = \"1 GiB\"").prepare(at, machine()).expect_err("cannot");
    assert!(matches!(error, GuestError::Disk(DiskError::Memory { .. })), "{error}");
    let mut mute = machine();
    mute.channels.pop();
    let error = guest(at, "").prepare(at, mute).expect_err("cannot");
    assert!(matches!(error, GuestError::NoChannel { .. }), "{error}");
}

#[test]
fn a_guest_can_be_named_by_definition_and_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let image = image(at);
    let toml = at.join("guest.toml");
    let cache = at.join("cache");
    std::fs::write(&toml, "name = \"Some 1\"\nversion = \"1\"\nbuilder = \"some\"\n")
        .expect("written");
    let error = DiskGuest::open(&toml, &cache).expect("a definition").expect_err("no image");
    assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    let both = format!("{}+{}", toml.display(), image.display());
    let guest = DiskGuest::open(Path::new(&both), &cache).expect("both").expect("a guest");
    assert_eq!((guest.facts().name.as_str(), guest.facts().version.as_str()), ("Some 1", "1"));
    assert!(guest.facts().tells_version().is_yes());
    // Of an image alone nobody says what is in it, and a check that compares it does not apply.
    let bare = DiskGuest::new(&image, Definition::default(), &cache).expect("a guest");
    assert!(!bare.facts().tells_version().is_yes());
    let roles: Vec<String> = guest.inputs().into_iter().map(|pin| pin.role).collect();
    // A probe for each kernel that the image may hold.
    assert_eq!(roles[0], "image");
    assert!(roles.len() > 1 && roles[1..].iter().all(|role| role == "probe"), "{roles:?}");
    let wrong = format!("image = \"disk.img\"\nsha256 = \"{}\"\n", Digest::of(b"other"));
    std::fs::write(&toml, wrong).expect("written");
    let error = DiskGuest::open(&toml, &cache).expect("a definition").expect_err("wrong digest");
    assert!(matches!(error, DiskError::Image(ImageError::WrongDigest { .. })), "{error}");
}
