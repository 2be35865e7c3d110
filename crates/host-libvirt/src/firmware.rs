//! Firmware that is installed beside a libvirt.

use std::path::Path;

use hospitium_host::HostError;
use hospitium_host::local::digest_of;
use hospitium_model::{ByteSize, Digest, Firmware, InputPin};

/// Pairs of UEFI code and empty variables: Debian's, Arch's, Fedora's places.
const UEFI: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
];
const BIOS: [&str; 2] = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin"];

/// UEFI code and the variables that machines begin with.
pub(crate) fn uefi() -> Option<(&'static Path, &'static Path)> {
    let pairs = UEFI.iter().map(|(code, vars)| (Path::new(*code), Path::new(*vars)));
    pairs.into_iter().find(|(code, vars)| code.exists() && vars.exists())
}

/// Files of firmware, by what they are.
fn files() -> Vec<(&'static str, &'static Path)> {
    let bios = BIOS.iter().map(Path::new).find(|path| path.exists());
    let bios = bios.map(|path| ("bios", path));
    let uefi = uefi().into_iter().flat_map(|(code, vars)| [("uefi", code), ("uefi-vars", vars)]);
    bios.into_iter().chain(uefi).collect()
}

/// Digests of what there is, by what it is.
pub(crate) fn digests() -> Result<Vec<(String, Digest)>, HostError> {
    let each = files().into_iter().map(|(kind, path)| Ok((kind.to_owned(), digest_of(path)?)));
    each.collect()
}

/// The files that go into a machine with this firmware; `known` are [`digests`].
pub(crate) fn inputs(firmware: Firmware, known: &[(String, Digest)]) -> Vec<InputPin> {
    let wanted: &[&str] = match firmware {
        Firmware::Bios => &["bios"],
        Firmware::Uefi => &["uefi", "uefi-vars"],
    };
    let pin = |(kind, path): (&str, &Path)| {
        let (_, sha256) = known.iter().find(|(known, _)| known == kind)?;
        Some(InputPin {
            role: format!("firmware {kind}"),
            sha256: *sha256,
            size: ByteSize::bytes(std::fs::metadata(path).ok()?.len()),
            name: path.file_name()?.to_string_lossy().into_owned(),
        })
    };
    files().into_iter().filter(|(kind, _)| wanted.contains(kind)).filter_map(pin).collect()
}
