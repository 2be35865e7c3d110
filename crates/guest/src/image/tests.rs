use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// A qcow2 file of 1 GiB, as small as one can be: header, refcount table, refcount block, L1 table.
pub fn qcow2_over(backing: Option<(&str, Option<&str>)>) -> Vec<u8> {
    let mut image = vec![0; 4 << 16];
    let mut put =
        |offset: usize, bytes: &[u8]| image[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &(1_u64 << 30).to_be_bytes());
    put(36, &2_u32.to_be_bytes());
    put(40, &(3_u64 << 16).to_be_bytes());
    put(48, &(1_u64 << 16).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    if let Some((name, format)) = backing {
        if let Some(format) = format {
            put(104, &0xE279_2ACA_u32.to_be_bytes());
            put(108, &(format.len() as u32).to_be_bytes());
            put(112, format.as_bytes());
        }
        put(8, &1024_u64.to_be_bytes());
        put(16, &(name.len() as u32).to_be_bytes());
        put(1024, name.as_bytes());
    }
    image
}

fn bytes(image: &[u8]) -> Result<Header, Wrong> {
    let tail = &image[image.len().saturating_sub(TAIL)..];
    probe_bytes(&image[..image.len().min(HEAD)], tail, image.len() as u64, Raw::WithBootSignature)
}

fn altered(offset: usize, with: &[u8]) -> Result<Header, Wrong> {
    let mut image = qcow2_over(None);
    image[offset..offset + with.len()].copy_from_slice(with);
    bytes(&image)
}

#[test]
fn a_file_that_is_no_image_is_told_by_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    assert!(matches!(probe(&at("absent")), Err(ImageError::Missing { .. })));
    assert!(matches!(probe(folder.path()), Err(ImageError::NotAFile { .. })));
    let wrong = |content: &[u8]| {
        std::fs::write(at("file"), content).expect("written");
        match probe(&at("file")) {
            Err(ImageError::Wrong { wrong, .. }) => wrong,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wrong(b""), Wrong::Empty);
    assert_eq!(wrong(&[0; 4096]), Wrong::Unknown);
    assert!(matches!(wrong(b"short"), Wrong::Truncated { .. }));
    assert!(matches!(wrong(b"\x1f\x8b\x08\0"), Wrong::Packed { .. }));
    let mut iso = vec![0; 0x9000];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    assert_eq!(wrong(&iso), Wrong::Iso);
    iso[510..512].copy_from_slice(&[0x55, 0xAA]);
    assert_eq!(wrong(&iso), Wrong::Iso, "a hybrid one too");
}

#[test]
fn a_raw_image_needs_a_boot_signature_or_to_be_asked_for() {
    let mut image = vec![0; 4096];
    assert_eq!(bytes(&image), Err(Wrong::Unknown));
    let asked = probe_bytes(&image, &[], 4096, Raw::Asked).expect("asked for");
    assert_eq!((asked.format, asked.table), (Format::Raw, None));
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    assert_eq!(bytes(&image).expect("boots").table, Some(Table::Mbr));
    image[512..520].copy_from_slice(b"EFI PART");
    assert_eq!(bytes(&image).expect("boots").table, Some(Table::Gpt));
    // A guest that writes a header into its raw disk does not change what the disk is.
    let overlay = qcow2_over(Some(("/etc/shadow", Some("raw"))));
    let asked = probe_bytes(&overlay, &[], overlay.len() as u64, Raw::Asked).expect("asked for");
    assert_eq!((asked.format, asked.backing), (Format::Raw, None));
}

#[test]
fn each_wrong_field_of_qcow2_is_its_own_error() {
    assert_eq!(altered(0, b"QFI\xfb").expect("good").virtual_size, 1 << 30);
    let header = |result| assert!(matches!(result, Err(Wrong::Header { .. })), "{result:?}");
    header(altered(4, &9_u32.to_be_bytes()));
    header(altered(20, &8_u32.to_be_bytes()));
    header(altered(20, &63_u32.to_be_bytes()));
    header(altered(24, &u64::MAX.to_be_bytes()));
    header(altered(24, &0_u64.to_be_bytes()));
    header(altered(36, &1_u32.to_be_bytes()));
    header(altered(40, &7_u64.to_be_bytes()));
    header(altered(100, &u32::MAX.to_be_bytes()));
    header(altered(104, &[1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF]));
    header(altered(8, &(u64::MAX - 8).to_be_bytes()));
    assert_eq!(altered(32, &1_u32.to_be_bytes()), Err(Wrong::Encrypted));
    assert_eq!(altered(72, &2_u64.to_be_bytes()), Err(Wrong::Corrupt));
    assert!(matches!(altered(72, &4_u64.to_be_bytes()), Err(Wrong::ExternalData(_))));
    assert!(matches!(altered(72, &32_u64.to_be_bytes()), Err(Wrong::Unsupported { .. })));
    assert!(matches!(altered(40, &(1_u64 << 40).to_be_bytes()), Err(Wrong::Truncated { .. })));
    let whole = qcow2_over(None);
    for length in [4, 71, 103, 1 << 16, (3 << 16) + 8] {
        let result = bytes(&whole[..length]);
        assert!(matches!(result, Err(Wrong::Truncated { .. })), "{length}: {result:?}");
    }
}

/// Makes an image of 64 MiB with qemu-img, or says that there is none to do it.
fn made(folder: &Path, name: &str, format: &str, options: &str) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", format]);
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    let status =
        command.arg(&path).arg("64M").status().expect("qemu-img is installed (qemu-utils)");
    assert!(status.success(), "qemu-img create {name}");
    path
}

#[test]
fn what_qemu_makes_is_recognised_with_its_size() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, format, options, expected) in [
        ("v2", "qcow2", "compat=0.10", Format::Qcow2),
        ("v3", "qcow2", "", Format::Qcow2),
        ("l2", "qcow2", "extended_l2=on,cluster_size=128k", Format::Qcow2),
        ("zstd", "qcow2", "compression_type=zstd", Format::Qcow2),
        ("dynamic", "vpc", "force_size=on", Format::Vhd),
        ("fixed", "vpc", "subformat=fixed,force_size=on", Format::Vhd),
        ("vhdx", "vhdx", "", Format::Vhdx),
        ("sparse", "vmdk", "", Format::Vmdk),
        ("stream", "vmdk", "subformat=streamOptimized", Format::Vmdk),
    ] {
        let path = made(folder.path(), name, format, options);
        let info = probe(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((info.format, info.virtual_size), (expected, ByteSize::mib(64)), "{name}");
        // Without its last bytes. Of VHDX and VMDK only the tables are looked for.
        let whole = std::fs::read(&path).expect("read");
        if !matches!(expected, Format::Vmdk | Format::Vhdx) {
            std::fs::write(&path, &whole[..whole.len() - 513]).expect("written");
            let error = probe(&path);
            let short = matches!(error, Err(ImageError::Wrong { .. })) || expected == Format::Qcow2;
            assert!(short, "{name}: {error:?}");
        }
        std::fs::write(&path, &whole[..600.min(whole.len())]).expect("written");
        assert!(matches!(probe(&path), Err(ImageError::Wrong { .. })), "{name}");
    }
}

#[test]
fn images_that_keep_their_data_elsewhere_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let flat = made(folder.path(), "flat.vmdk", "vmdk", "subformat=monolithicFlat");
    let data = folder.path().join("data");
    let data_file = format!("data_file={}", data.display());
    let external = made(folder.path(), "external", "qcow2", &data_file);
    for path in [flat, external] {
        let error = probe(&path).expect_err("refused");
        let named = matches!(error, ImageError::Wrong { wrong: Wrong::ExternalData(_), .. });
        assert!(named, "{error}");
    }
}

const MAGICS: [&[u8]; 8] = [
    b"QFI\xfb",
    b"conectix",
    b"vhdxfile",
    b"KDMV",
    b"COWD",
    b"# Disk DescriptorFile\n",
    b"\x7fELF",
    b"",
];

proptest! {
    #[test]
    fn any_bytes_are_survived(
        magic in proptest::sample::select(MAGICS.as_slice()),
        rest in proptest::collection::vec(any::<u8>(), 0..2048),
        tail in proptest::collection::vec(any::<u8>(), 0..TAIL),
        size in any::<u64>(),
    ) {
        let head = [magic, rest.as_slice()].concat();
        for raw in [Raw::WithBootSignature, Raw::Asked] {
            if let Ok(header) = probe_bytes(&head, &tail, size, raw) {
                prop_assert!(header.virtual_size > 0);
            }
        }
    }

    #[test]
    fn any_change_of_a_good_header_is_survived(
        changes in proptest::collection::vec((0_usize..1200, any::<u8>()), 1..12),
    ) {
        let mut image = qcow2_over(Some(("base", Some("raw"))));
        for (offset, byte) in changes {
            image[offset] = byte;
        }
        let _ = bytes(&image);
    }
}
