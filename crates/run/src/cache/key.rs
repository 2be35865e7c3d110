//! What a snapshot depends on, as one digest.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hospitium_model::{Accelerator, Boot, ByteSize, Digest, HostFacts, InputPin, MachineSpec};
use serde::{Deserialize, Serialize};

/// Version of what an entry holds and of what its key is made from.
const FORMAT: u32 = 3;

/// Everything that a booted machine's state depends on. Two that are equal boot alike; anything
/// that differs gives another key and so another entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyParts {
    /// Version of the cache's form.
    pub format: u32,
    /// Hypervisor kind.
    pub host_kind: String,
    /// Version as the hypervisor states it; the binary's digest pins it, this is for people.
    pub host_version: String,
    /// The VMM's binary.
    pub vmm: Digest,
    /// Firmware images by kind.
    pub firmware: Vec<(String, Digest)>,
    /// What runs the guest's instructions.
    pub accelerator: Accelerator,
    /// CPU model of the physical machine, which the guest's CPU may show.
    pub cpu_model: String,
    /// Kernel of the physical machine, where it runs the guest's instructions.
    pub kernel: Option<String>,
    /// The guest.
    pub guest: Digest,
    /// The machine as it is to boot, boot media in it, every path replaced by its file's digest.
    pub machine: MachineSpec,
}

impl KeyParts {
    /// The key of `prepared`, whose files are digested, and those files as pins.
    ///
    /// # Errors
    /// A file cannot be read; the path is in the message.
    pub fn of(
        host: &HostFacts,
        guest: Digest,
        prepared: &MachineSpec,
        digests: &Digests,
    ) -> Result<(Self, Vec<InputPin>), FileError> {
        let mut machine = prepared.clone();
        let mut pins = Vec::new();
        let mut pin = |role: &str, path: &mut PathBuf| -> Result<(), FileError> {
            let (sha256, size) = digests.of_file(path)?;
            let name =
                path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            pins.push(InputPin { role: role.into(), sha256, size: ByteSize::bytes(size), name });
            *path = PathBuf::from(format!("sha256:{sha256}"));
            Ok(())
        };
        if let Boot::Kernel { kernel, initrd, .. } = &mut machine.boot {
            pin("kernel", kernel)?;
            if let Some(initrd) = initrd {
                pin("initrd", initrd)?;
            }
        }
        for disk in &mut machine.disks {
            if let Some(image) = &mut disk.image {
                let role = match disk.role {
                    hospitium_model::DiskRole::System => "image".to_owned(),
                    _ => format!("disk {}", disk.id),
                };
                pin(&role, image)?;
            }
        }
        let kernel = host.accelerator.used.is_hardware().then(|| host.kernel.clone());
        let parts = Self {
            format: FORMAT,
            host_kind: host.kind.clone(),
            host_version: host.version.clone(),
            vmm: host.vmm,
            firmware: host.firmware.clone(),
            accelerator: host.accelerator.used,
            cpu_model: host.cpu_model.clone(),
            kernel,
            guest,
            machine,
        };
        Ok((parts, pins))
    }

    /// The key.
    ///
    /// # Errors
    /// The parts have no JSON form, which does not happen for what [`KeyParts::of`] makes.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&serde_json::to_vec(self)?))
    }
}

/// A file could not be digested.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Digests of files, remembered by device, inode, size and times, so that a large image is read
/// once and not at every start. The change time cannot be set back by a program, so a file that
/// was written to is always read again.
#[derive(Debug, Default)]
pub struct Digests {
    known: Mutex<HashMap<String, Digest>>,
    file: Option<PathBuf>,
}

/// Digests that are remembered; past that, all are forgotten.
const REMEMBERED: usize = 4096;

impl Digests {
    /// Remembers in this file. What cannot be read in it is forgotten.
    pub fn kept_in(file: PathBuf) -> Self {
        let known = std::fs::read(&file)
            .ok()
            .filter(|bytes| bytes.len() < 4 << 20)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { known: Mutex::new(known), file: Some(file) }
    }

    /// A file's digest and size.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(&self, path: &Path) -> Result<(Digest, u64), FileError> {
        let error = |source| FileError { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(error)?;
        let meta = file.metadata().map_err(error)?;
        let name = format!(
            "{}:{}:{}:{}.{}:{}.{}",
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec()
        );
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        if let Some(digest) = known {
            return Ok((digest, meta.size()));
        }
        let (digest, _) = Digest::of_all(&mut file).map_err(error)?;
        // A file that changed within the clock's resolution of being read could be taken for the
        // one that was read; such young ones are not remembered.
        let old_enough = meta.modified().ok().and_then(|at| at.elapsed().ok());
        if old_enough.is_some_and(|age| age.as_secs() >= 2) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(name, digest);
        }
        Ok((digest, meta.size()))
    }

    /// Writes down what is remembered. Losing it costs time and nothing else, so it may fail.
    pub fn keep(&self) {
        let Some(file) = &self.file else { return };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(bytes) = serde_json::to_vec(&*known) {
            let _ = hospitium_files::replace(file, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use hospitium_model::AcceleratorProof;

    use super::*;

    fn host() -> HostFacts {
        HostFacts {
            name: "fake 1".into(),
            kind: "fake".into(),
            version: "1".into(),
            build: String::new(),
            vmm: Digest::of(b"vmm"),
            firmware: vec![("bios".into(), Digest::of(b"bios"))],
            accelerator: AcceleratorProof { used: Accelerator::Tcg, how: String::new() },
            cpu_model: "cpu".into(),
            cpus: 1,
            memory_mib: 1,
            kernel: "6.1".into(),
        }
    }

    fn key(host: &HostFacts, guest: &[u8], spec: &MachineSpec) -> Digest {
        let (parts, _) = KeyParts::of(host, Digest::of(guest), spec, &Digests::default())
            .expect("files are there");
        parts.digest().expect("has a JSON form")
    }

    #[test]
    fn the_key_follows_content_and_not_paths() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = |kernel: &str, content: &[u8]| {
            let kernel = folder.path().join(kernel);
            std::fs::write(&kernel, content).expect("writes");
            let boot = Boot::Kernel { kernel, initrd: None, command_line: "quiet".into() };
            MachineSpec::new(ByteSize::mib(256), boot)
        };
        let one = key(&host(), b"g", &machine("a", b"kernel"));
        assert_eq!(one, key(&host(), b"g", &machine("b", b"kernel")), "the same bytes elsewhere");
        assert_ne!(one, key(&host(), b"g", &machine("a", b"other")), "the path's content changed");
        assert_ne!(one, key(&host(), b"h", &machine("a", b"kernel")), "another guest");
        let newer = HostFacts { vmm: Digest::of(b"newer"), ..host() };
        assert_ne!(one, key(&newer, b"g", &machine("a", b"kernel")), "another VMM");
        let vars = ("uefi-vars".to_owned(), Digest::of(b"variables"));
        let enrolled = HostFacts { firmware: vec![host().firmware[0].clone(), vars], ..host() };
        assert_ne!(one, key(&enrolled, b"g", &machine("a", b"kernel")), "other variables");
        let mut larger = machine("a", b"kernel");
        larger.memory.size = ByteSize::mib(512);
        assert_ne!(one, key(&host(), b"g", &larger), "another machine");
    }

    #[test]
    fn a_missing_file_is_named() {
        let boot =
            Boot::Kernel { kernel: "/no/such".into(), initrd: None, command_line: String::new() };
        let spec = MachineSpec::new(ByteSize::mib(256), boot);
        let error = KeyParts::of(&host(), Digest::of(b"g"), &spec, &Digests::default());
        assert!(error.expect_err("it is not there").to_string().contains("/no/such"));
    }

    #[test]
    fn a_file_that_was_written_to_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, memo) = (folder.path().join("f"), folder.path().join("memo.json"));
        std::fs::write(&path, b"one").expect("writes");
        let digests = Digests::kept_in(memo.clone());
        assert_eq!(digests.of_file(&path).expect("reads").0, Digest::of(b"one"));
        digests.keep();
        std::fs::write(&path, b"two").expect("writes");
        let again = Digests::kept_in(memo);
        assert_eq!(again.of_file(&path).expect("reads").0, Digest::of(b"two"));
    }
}
