//! Everything that went into a cell, by digest.

use std::path::Path;

use hospitium_guest::Guest;
use hospitium_model::{ByteSize, Digest, HostFacts, InputPin};

use crate::cache::{Digests, FileError};

/// The program that holds the checks and the harness: this one.
///
/// # Errors
/// It cannot be read.
pub fn suite(digests: &Digests) -> Result<InputPin, FileError> {
    let path = Path::new("/proc/self/exe");
    let (sha256, size) = digests.of_file(path)?;
    Ok(InputPin {
        role: "suite".into(),
        sha256,
        size: ByteSize::bytes(size),
        name: "hospitium".into(),
    })
}

/// What the guest names (the probe among it), what the machine boots from, and the suite; each once.
pub fn all(guest: &dyn Guest, boot: Vec<InputPin>, suite: &InputPin) -> Vec<InputPin> {
    let mut pins: Vec<InputPin> = Vec::new();
    for pin in guest.inputs().into_iter().chain(boot).chain([suite.clone()]) {
        if !pins.iter().any(|known| known.role == pin.role && known.sha256 == pin.sha256) {
            pins.push(pin);
        }
    }
    pins
}

/// What the host itself knows of its own that went in (`own`), and what else of it is found in the command that
/// started the VMM by the digests that the host names. What is in neither is pinned by the host's facts alone.
pub fn of_host(
    host: &HostFacts,
    own: Vec<InputPin>,
    command: &[String],
    digests: &Digests,
) -> Vec<InputPin> {
    let mut wanted: Vec<(String, Digest)> = vec![("vmm".into(), host.vmm)];
    wanted.extend(host.firmware.iter().map(|(kind, digest)| (format!("firmware {kind}"), *digest)));
    let mut pins = own;
    let words = command.iter().flat_map(|word| word.split([',', '=', '"']));
    for path in words.map(Path::new).filter(|path| path.is_absolute() && path.is_file()) {
        let Ok((sha256, size)) = digests.of_file(path) else {
            continue;
        };
        for (role, _) in wanted.iter().filter(|(_, digest)| *digest == sha256) {
            if !pins.iter().any(|pin| pin.role == *role) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                pins.push(InputPin {
                    role: role.clone(),
                    sha256,
                    size: ByteSize::bytes(size),
                    name,
                });
            }
        }
    }
    pins
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Accelerator, AcceleratorProof};

    use super::*;

    #[test]
    fn the_vmm_is_pinned_only_where_its_digest_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let vmm = folder.path().join("vmm");
        std::fs::write(&vmm, b"vmm").expect("writes");
        let host = HostFacts {
            name: String::new(),
            kind: "fake".into(),
            version: String::new(),
            build: String::new(),
            vmm: Digest::of(b"vmm"),
            firmware: vec![("bios".into(), Digest::of(b"absent"))],
            accelerator: AcceleratorProof { used: Accelerator::Tcg, how: String::new() },
            cpu_model: String::new(),
            cpus: 1,
            memory_mib: 1,
            kernel: String::new(),
        };
        let command = [vmm.to_string_lossy().into_owned(), "-bios".into(), "x=/etc,y".into()];
        let pins = of_host(&host, Vec::new(), &command, &Digests::default());
        assert_eq!(pins.len(), 1);
        assert_eq!((pins[0].role.as_str(), pins[0].size.as_bytes()), ("vmm", 3));
        let own = InputPin { role: "firmware uefi-vars".into(), ..pins[0].clone() };
        let pins = of_host(&host, vec![own.clone()], &command, &Digests::default());
        assert_eq!((&pins[0], pins[1].role.as_str()), (&own, "vmm"));
    }
}
