//! Newer data: what is taken over is used, and what cannot be read changes nothing.

use std::path::{Path, PathBuf};

use hospitium_products::update::{Kind, kept, osinfo_version, take};
use hospitium_products::{Products, ProductsError, Sources};

const OS: &str = "<libosinfo version=\"0.0.1\"><os id=\"http://a.example/newos/7\"><short-id>newos7</short-id><name>Newos 7</name><version>7</version></os></libosinfo>";

const DEFINITION: &str = "[[product]]\nid = \"http://b.example/newvmm/3\"\nsource = \"B, release notes\"\nname = \"Newvmm 3\"\nkind = \"host\"\nrelease = \"3\"\n";

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// A folder of osinfo-db of this version.
    fn osinfo(&self, name: &str, version: &str) -> PathBuf {
        self.write(&format!("{name}/os/a.example/newos-7.xml"), OS);
        self.write(&format!("{name}/VERSION"), version);
        self.0.path().join(name)
    }

    fn take(&self, source: &Path) -> Result<(), ProductsError> {
        let in_use = kept(&self.store(), Kind::Osinfo);
        take(source, &self.store(), in_use.as_deref(), false).map(|_| ())
    }

    /// What a later run knows.
    fn later(&self) -> Products {
        let osinfo = kept(&self.store(), Kind::Osinfo);
        let definitions = kept(&self.store(), Kind::Definitions);
        Products::load(&Sources { osinfo, definitions, ..Sources::default() }).expect("loads")
    }

    /// The folders of data in the store; one is in use, at most one of each kind.
    fn folders(&self) -> usize {
        let entries = std::fs::read_dir(self.store()).expect("read").flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    }
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // By hand: the builder refuses names that lead out.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *bytes).expect("member");
    }
    archive.into_inner().expect("archive")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packed.write_all(bytes).expect("packed");
    packed.finish().expect("packed")
}

#[test]
fn a_folder_of_osinfo_db_is_taken_over_and_later_runs_use_it() {
    let world = World::new();
    assert!(world.later().resolve("newos 7").is_err(), "not known before");
    world.take(&world.osinfo("db", "20260101")).expect("taken over");
    assert_eq!(world.later().resolve("newos 7").expect("known").name, "Newos 7");
    let folder = kept(&world.store(), Kind::Osinfo).expect("kept");
    assert_eq!(osinfo_version(&folder).as_deref(), Some("20260101"));
    // A newer one takes its place, and nothing of the old one stays.
    world.take(&world.osinfo("db2", "20260202")).expect("taken over");
    assert_eq!(osinfo_version(&folder).as_deref(), Some("20260202"));
    assert_eq!(world.folders(), 1);
}

#[test]
fn definitions_are_taken_over_beside_osinfo_db() {
    let world = World::new();
    world.take(&world.osinfo("db", "20260101")).expect("taken over");
    world.write("mine/hosts.toml", DEFINITION);
    world.take(&world.0.path().join("mine")).expect("taken over");
    let later = world.later();
    assert!(later.resolve("newvmm 3").is_ok() && later.resolve("newos 7").is_ok());
    let one = world.write("one.toml", DEFINITION.replace("Newvmm 3", "Othervmm 3"));
    world.take(&one).expect("taken over");
    assert!(world.later().resolve("othervmm 3").is_ok());
    assert_eq!(world.folders(), 2);
}

#[test]
fn archives_are_taken_over_in_each_form_that_is_published() {
    let plain = tar(&[
        ("osinfo-db-20260303/VERSION", b"20260303"),
        ("osinfo-db-20260303/os/a.example/newos-7.xml", OS.as_bytes()),
        ("osinfo-db-20260303/install-script/x.xml", b"<not read"),
    ]);
    for (name, bytes) in [("a.tar", plain.clone()), ("a.tar.xz", xz(&plain))] {
        let world = World::new();
        let path = world.write(name, bytes);
        world.take(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(world.later().resolve("newos 7").is_ok(), "{name}");
        let folder = kept(&world.store(), Kind::Osinfo).expect("kept");
        assert_eq!(osinfo_version(&folder).as_deref(), Some("20260303"));
    }
}

#[test]
fn what_cannot_be_taken_over_says_why_and_changes_nothing() {
    let world = World::new();
    world.take(&world.osinfo("db", "20260101")).expect("taken over");
    let plain = tar(&[("os/a/b.xml", b"<libosinfo>\n<os>\n</libosinfo>")]);
    let cut = xz(&tar(&[("os/a/b.xml", OS.as_bytes())]));
    let refused: [(PathBuf, &str); 8] = [
        (world.write("bad.tar", plain), "b.xml"),
        (world.write("cut.tar.xz", &cut[..cut.len() / 2]), "damaged"),
        (world.write("words.txt", "hello"), "no tar archive"),
        (world.write("p.deb", "!<arch>\ndebian"), "dpkg-deb -x"),
        (world.write("empty.tar", tar(&[("README", b"x")])), "neither osinfo-db"),
        (world.write("bad.toml", "[[product]]\nid = 5\n"), "definitions.toml:2"),
        (world.0.path().join("nowhere"), "cannot read"),
        (world.osinfo("old", "20200101"), "older than 20260101"),
    ];
    std::fs::create_dir(world.0.path().join("void")).expect("made");
    for (path, words) in
        refused.into_iter().chain([(world.0.path().join("void"), "no definitions")])
    {
        let error = world.take(&path).expect_err(words).to_string();
        assert!(error.contains(words), "{}: {error}", path.display());
        assert!(world.later().resolve("newos 7").is_ok(), "{} changed something", path.display());
        assert_eq!(world.folders(), 1, "{} left something behind", path.display());
    }
    take(&world.0.path().join("old"), &world.store(), None, true).expect("older is allowed");
}

#[test]
fn an_archive_writes_nothing_outside_of_the_store() {
    let world = World::new();
    let hostile = tar(&[
        ("../../os/evil.xml", OS.as_bytes()),
        ("/os/evil.xml", OS.as_bytes()),
        ("os/../../../evil.xml", OS.as_bytes()),
        ("os/a/newos-7.xml", OS.as_bytes()),
    ]);
    let path = world.write("h.tar", hostile);
    world.take(&path).expect("what is sound is taken over");
    assert!(world.later().resolve("newos 7").is_ok());
    let folder =
        std::fs::canonicalize(kept(&world.store(), Kind::Osinfo).expect("kept")).expect("real");
    let below = |folder: &Path| std::fs::read_dir(folder).expect("read").flatten().count();
    assert_eq!((below(&folder), below(&folder.join("os"))), (1, 1));
    assert!(!world.0.path().join("os").exists() && !world.0.path().join("evil.xml").exists());
}
