//! The firmware that machines start with: which files it consists of, and that a run names them by digest.

use std::path::{Path, PathBuf};

use hospitium_host::HostError;
use hospitium_model::{ByteSize, Digest, Firmware, InputPin};

use crate::options::Programs;
use hospitium_host::local::digest_of;

/// Pairs of UEFI code and empty variables, below a root: Debian's, Arch's, Fedora's places and
/// QEMU's own.
const UEFI: [(&str, &str); 5] = [
    ("usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("usr/share/OVMF/OVMF_CODE.fd", "usr/share/OVMF/OVMF_VARS.fd"),
    ("usr/share/edk2/x64/OVMF_CODE.4m.fd", "usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("usr/share/edk2/ovmf/OVMF_CODE.fd", "usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("usr/share/qemu/edk2-x86_64-code.fd", "usr/share/qemu/edk2-i386-vars.fd"),
];
const BIOS: [&str; 2] = ["usr/share/seabios/bios-256k.bin", "usr/share/qemu/bios-256k.bin"];

/// UEFI code and the variables that a machine begins with.
pub fn uefi_files(programs: &Programs) -> Option<(PathBuf, PathBuf)> {
    UEFI.iter()
        .find_map(|(code, vars)| Some((programs.firmware(&[code])?, programs.firmware(&[vars])?)))
}

/// All files by kind. The variables go into a boot as the code does.
fn files(programs: &Programs) -> Vec<(&'static str, PathBuf)> {
    let bios = programs.firmware(&BIOS).map(|path| ("bios", path));
    let uefi = uefi_files(programs);
    let uefi = uefi.into_iter().flat_map(|(code, vars)| [("uefi", code), ("uefi-vars", vars)]);
    bios.into_iter().chain(uefi).collect()
}

/// Their digests by kind.
///
/// # Errors
/// A file cannot be read.
pub fn digests(programs: &Programs) -> Result<Vec<(String, Digest)>, HostError> {
    let files = files(programs).into_iter();
    files.map(|(kind, path)| Ok((kind.to_owned(), digest_of(&path)?))).collect()
}

/// Those of a machine with this firmware as inputs, by the digests that are known.
pub fn inputs(
    programs: &Programs,
    firmware: Firmware,
    known: &[(String, Digest)],
) -> Vec<InputPin> {
    let wanted: &[&str] = match firmware {
        Firmware::Bios => &["bios"],
        Firmware::Uefi => &["uefi", "uefi-vars"],
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pin = |(kind, path): (&str, PathBuf)| {
        let (_, sha256) = known.iter().find(|(known, _)| known == kind)?;
        let size = ByteSize::bytes(std::fs::metadata(&path).ok()?.len());
        Some(InputPin {
            role: format!("firmware {kind}"),
            sha256: *sha256,
            size,
            name: name(&path),
        })
    };
    files(programs).into_iter().filter(|(kind, _)| wanted.contains(kind)).filter_map(pin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AcceleratorChoice, QemuOptions};

    #[test]
    fn the_variables_that_a_machine_begins_with_are_an_input_of_it_and_in_the_hosts_facts() {
        let root = tempfile::tempdir().expect("a folder");
        let put = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        };
        put("usr/bin/qemu-system-x86_64", b"vmm");
        put("lib64/ld-linux-x86-64.so.2", b"loader");
        put(UEFI[0].0, b"code");
        put(BIOS[0], b"bios");
        let options = QemuOptions {
            root: Some(root.path().into()),
            accelerator: AcceleratorChoice::Tcg,
            ..QemuOptions::new("qemu-system-x86_64")
        };
        let programs = Programs::locate(&options).expect("they are there");
        let with = |variables: &[u8]| {
            put(UEFI[0].1, variables);
            let known = digests(&programs).expect("readable");
            let (_, begins) = uefi_files(&programs).expect("UEFI is there");
            assert_eq!(std::fs::read(begins).expect("readable"), variables);
            (inputs(&programs, Firmware::Uefi, &known), known)
        };
        let (pins, known) = with(b"none enrolled");
        let said: Vec<_> = pins.iter().map(|pin| (pin.role.as_str(), pin.sha256)).collect();
        let variables = Digest::of(b"none enrolled");
        assert_eq!(
            said,
            [("firmware uefi", Digest::of(b"code")), ("firmware uefi-vars", variables)]
        );
        assert_eq!((pins[1].size, pins[1].name.as_str()), (ByteSize::bytes(13), "OVMF_VARS_4M.fd"));
        assert!(known.contains(&("uefi-vars".to_owned(), variables)));
        assert_ne!(with(b"keys enrolled").1, known, "another key of the cache");
        let bios = inputs(&programs, Firmware::Bios, &known);
        assert_eq!(bios.iter().map(|pin| pin.role.as_str()).collect::<Vec<_>>(), ["firmware bios"]);
    }
}
