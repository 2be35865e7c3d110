//! Packages, good and bad.

use std::path::PathBuf;

use super::super::bzimage::tests::image;
use super::super::modinfo::tests::module;
use super::*;

/// A tar archive of these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Written raw: the library refuses the paths that hostile packages have.
        header.as_gnu_mut().expect("is one").name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

/// An `ar` archive of these members.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644");
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

pub fn deb(data: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar", data)])
}

fn read_bytes(bytes: &[u8]) -> Result<Package, PackageError> {
    let room = tempfile::tempdir().expect("a folder");
    let path: PathBuf = room.path().join("p.deb");
    std::fs::write(&path, bytes).expect("written");
    let result = read(&path, room.path());
    let left = std::fs::read_dir(room.path()).expect("a folder").count();
    assert_eq!(left, 1, "only the package itself is there");
    result
}

#[test]
fn kernel_modules_and_builtin_list_are_found() {
    let kernel = image("6.1.0");
    let module = module("depends=\0");
    let data = tar(&[
        ("./boot/vmlinuz-6.1.0", &kernel),
        ("./boot/System.map-6.1.0", b"x"),
        ("./lib/modules/6.1.0/modules.builtin", b"kernel/b.ko\n"),
        ("./lib/modules/6.1.0/kernel/drivers/a-b.ko", &module),
    ]);
    let compressed = zstd::encode_all(&data[..], 1).expect("in memory");
    let good = [deb(&data), ar(&[("debian-binary/", b"2.0\n"), ("data.tar.zst/", &compressed)])];
    for bytes in good {
        let mut package = read_bytes(&bytes).expect("a good package");
        assert_eq!(package.kernel, kernel);
        assert_eq!(package.modules.len(), 1);
        assert_eq!(package.modules.read("a_b").expect("is there"), module);
        assert_eq!(package.modules.built_in(), Some("kernel/b.ko\n"));
    }
}

#[test]
fn paths_longer_than_a_header_are_read() {
    let long = format!("./usr/lib/modules/6.1.0/kernel/{}/long-one.ko", "d".repeat(120));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"m"[..]).expect("in memory");
    let mut data = builder.into_inner().expect("in memory");
    data.truncate(data.len() - 1024);
    data.extend(tar(&[("boot/vmlinuz", &image("6.1.0"))]));
    let package = read_bytes(&deb(&data)).expect("a good package");
    assert!(package.modules.has("long_one"));
}

#[test]
fn paths_that_lead_outside_are_never_used() {
    let data = tar(&[
        ("./boot/vmlinuz-6.1.0", &image("6.1.0")),
        ("../../../../tmp/escaped.ko", b"x"),
        ("./lib/modules/../../../tmp/escaped.ko", b"x"),
        ("/lib/modules/6.1.0/../..ko", b"x"),
    ]);
    let package = read_bytes(&deb(&data)).expect("the rest is good");
    // Its name is taken, its place is not.
    assert!(package.modules.len() <= 1);
    assert!(!std::path::Path::new("/tmp/escaped.ko").exists());
}

#[test]
fn what_is_no_kernel_package_says_why() {
    let no_kernel = deb(&tar(&[("./usr/share/doc/x", b"x")]));
    assert!(matches!(read_bytes(&no_kernel), Err(PackageError::NoKernel)));
    let two = tar(&[("boot/vmlinuz-1", &image("1")), ("boot/vmlinuz-2", &image("2"))]);
    assert!(matches!(read_bytes(&deb(&two)), Err(PackageError::TwoKernels)));
    let other = ar(&[("some.o", b"x")]);
    assert!(matches!(read_bytes(&other), Err(PackageError::NotDebian(_))));
    let no_data = ar(&[("debian-binary", b"2.0\n")]);
    assert!(matches!(read_bytes(&no_data), Err(PackageError::NotDebian(_))));
    assert!(matches!(read_bytes(b"!<arch>\n"), Err(PackageError::NotDebian(_))));
    assert!(matches!(read_bytes(b""), Err(PackageError::Read(_))));
}

#[test]
fn truncated_and_altered_packages_are_errors_and_never_panic() {
    let data = tar(&[("boot/vmlinuz-1", &image("1")), ("lib/modules/1/a.ko", b"m")]);
    let whole = deb(&zstd::encode_all(&data[..], 1).expect("in memory"));
    for cut in (0..whole.len()).step_by(7) {
        assert!(read_bytes(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 0x55;
        let _ = read_bytes(&altered);
    }
}

#[test]
fn a_member_that_claims_an_absurd_size_is_refused() {
    let mut bytes = deb(&tar(&[]));
    bytes[8 + 48..8 + 58].copy_from_slice(b"9999999999");
    assert!(matches!(read_bytes(&bytes), Err(PackageError::NotDebian(_))));
}

#[test]
fn a_path_without_end_is_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 20);
    header.set_cksum();
    let mut data = header.as_bytes().to_vec();
    data.resize(512 + (1 << 20), b'a');
    let compressed = zstd::encode_all(&data[..], 1).expect("in memory");
    let error = read_bytes(&deb(&compressed)).expect_err("too long");
    assert!(matches!(error, PackageError::TooLarge { what: "a path", .. }), "{error}");
}
