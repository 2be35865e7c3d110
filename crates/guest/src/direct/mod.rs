//! Guests of which kernel and initrd are outside the disk image, as many sandboxes, clouds and CI
//! systems have them: KERNEL+INITRD+IMAGE.
//!
//! The probe comes in with the initrd: a part of ours is put behind the user's, as the kernel's loader allows
//! (Documentation/driver-api/early-userspace/buffer-format.rst), and `rdinit=` names our program in it. It starts
//! the initrd's own `/init` in its place as process 1, stays beside it, and follows it into the root file system
//! that it mounts. So nothing is asked of the image: no cloud-init, no login, no service manager, and a restart
//! comes in by the same way.

pub(crate) mod error;
mod root;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::Machine;
use hospitium_model::{
    Answer, Boot, Bus, ByteSize, Digest, DiskRole, GuestFacts, GuestKind, InputPin, MachineSpec,
};
use hospitium_system::{Console, HANDOVER, Session, Trace};

pub use self::error::DirectError;
use self::root::Root;
use crate::disk::{Definition, DiskGuest};
use crate::guest::{Guest, GuestError, await_probe};
use crate::image::{Format, ImageError, Wrong};
use crate::kernel::{self, Archive, BootedKernel, KernelError};

/// The most of an initrd; distributions' have 10 to 300 MiB.
const LARGEST_INITRD: u64 = 1 << 30;

/// A guest that a kernel and an initrd from outside of it boot.
pub struct DirectGuest {
    facts: GuestFacts,
    kernel: BootedKernel,
    initrd: PathBuf,
    disk: DiskGuest,
    root: Option<Root>,
    append: Option<String>,
    pins: Vec<InputPin>,
}

impl DirectGuest {
    /// Of these three. What `append` says goes to the end of the kernel's command line.
    pub fn new(
        (kernel, initrd, image): (&Path, &Path, &Path),
        append: Option<String>,
        cache: &Path,
    ) -> Result<Self, GuestError> {
        let kernel = BootedKernel::open(kernel)?;
        let content = read_initrd(initrd)?;
        let disk = open_disk(image, cache)?;
        let says_root = append.as_deref().is_some_and(|a| words(a).any(|w| w.starts_with("root=")));
        let root = match disk.image().format {
            _ if says_root => None,
            Format::Raw => {
                let reading = format!("reading {}", image.display());
                Some(root::of_raw(image).map_err(GuestError::io(reading))?.ok_or_else(|| {
                    let why =
                        "it has neither a file system that is known here nor a partition of Linux";
                    DirectError::Root { path: image.into(), why }
                })?)
            }
            _ => {
                let why = "only raw images are looked into";
                return Err(DirectError::Root { path: image.into(), why }.into());
            }
        };
        let initrd_pin = InputPin {
            role: "initrd".into(),
            sha256: Digest::of(&content),
            size: ByteSize::bytes(content.len() as u64),
            name: initrd.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let mut pins = vec![kernel.pin.clone(), initrd_pin];
        pins.extend(disk.inputs().into_iter().filter(|pin| pin.role != "probe"));
        pins.push(kernel.probe.pin());
        let mut all: Vec<u8> = pins.iter().flat_map(|pin| *pin.sha256.as_bytes()).collect();
        // With other words it is another guest.
        all.extend(append.iter().flat_map(|words| words.bytes()));
        let facts =
            GuestFacts { kind: GuestKind::Disk, digest: Digest::of(&all), ..disk.facts().clone() };
        let initrd = std::path::absolute(initrd)
            .map_err(GuestError::io(format!("finding {}", initrd.display())))?;
        Ok(Self { facts, kernel, initrd, disk, root, append, pins })
    }

    fn command_line(&self, bus: Bus, spec: &MachineSpec) -> Result<String, GuestError> {
        let mut line = kernel::command_line(spec)?;
        line.push_str(&format!(" rdinit={HANDOVER}/init"));
        if let Some(root) = self.root {
            line.push_str(&format!(" root={} ro", device(bus, root)));
        }
        if let Some(append) = &self.append {
            line.push(' ');
            line.push_str(append);
        }
        Ok(line)
    }

    /// The user's initrd with ours behind it.
    fn initrd(&self, spec: &MachineSpec) -> Result<Vec<u8>, GuestError> {
        let mut bytes = read_initrd(&self.initrd)?;
        // A part begins at a multiple of four bytes, and zeros between two are passed over.
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        let mut ours = Archive::default();
        ours.folder(HANDOVER);
        ours.file(&format!("{HANDOVER}/init"), 0o755, self.kernel.probe.bytes);
        let config = format!("channel {}\n", kernel::probe_device(spec)?);
        ours.file(&format!("{HANDOVER}/config"), 0o644, config.as_bytes());
        bytes.extend(ours.finish());
        Ok(bytes)
    }
}

/// The words of a kernel's command line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
}

/// The kernel's name of the first disk on a bus, or of a partition of it.
fn device(bus: Bus, root: Root) -> String {
    let (disk, between) = match bus {
        Bus::Virtio => ("/dev/vda", ""),
        Bus::Nvme => ("/dev/nvme0n1", "p"),
        Bus::Floppy => ("/dev/fd0", "p"),
        Bus::VirtioScsi | Bus::Sata | Bus::Ide | Bus::Usb => ("/dev/sda", ""),
    };
    match root {
        Root::Whole => disk.to_owned(),
        Root::Partition(number) => format!("{disk}{between}{number}"),
    }
}

fn read_initrd(path: &Path) -> Result<Vec<u8>, GuestError> {
    let bytes = kernel::bounded(path, LARGEST_INITRD)
        .map_err(KernelError::io(format!("reading the initrd {}", path.display())))?;
    // cpio, gzip, xz, zstd, bzip2, lzma, lz4 (legacy frame), lzop: lib/decompress.c of the kernel.
    const MAGICS: [&[u8]; 9] = [
        b"07070",
        b"\x1F\x8B",
        b"\xFD7zXZ",
        b"\x28\xB5\x2F\xFD",
        b"BZh",
        b"\x5D\x00\x00",
        b"\x02\x21\x4C\x18",
        b"\x89LZO",
        b"\x1F\x9E",
    ];
    if !MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(DirectError::NotAnInitrd { path: path.to_owned() }.into());
    }
    Ok(bytes)
}

/// An image that needs no boot loader, so a raw one needs no boot signature either.
fn open_disk(image: &Path, cache: &Path) -> Result<DiskGuest, GuestError> {
    let as_raw = || Definition { format: Some("raw".into()), ..Definition::default() };
    match DiskGuest::new(image, Definition::default(), cache) {
        Err(crate::disk::DiskError::Image(ImageError::Wrong { wrong: Wrong::Unknown, .. })) => {
            Ok(DiskGuest::new(image, as_raw(), cache)?)
        }
        other => Ok(other?),
    }
}

#[async_trait]
impl Guest for DirectGuest {
    fn facts(&self) -> &GuestFacts {
        &self.facts
    }

    fn inputs(&self) -> Vec<InputPin> {
        self.pins.clone()
    }

    fn driver(&self, device: &str) -> Answer {
        self.disk.driver(device)
    }

    fn prepare(&self, folder: &Path, spec: MachineSpec) -> Result<MachineSpec, GuestError> {
        let mut spec = self.disk.with_system_disk(spec)?;
        let system = spec.disks.iter().find(|disk| disk.role == DiskRole::System);
        let bus = system.map_or(Bus::Virtio, |disk| disk.bus);
        let initrd = folder.join("initrd.img");
        std::fs::write(&initrd, self.initrd(&spec)?)
            .map_err(GuestError::io(format!("writing {}", initrd.display())))?;
        spec.boot = Boot::Kernel {
            kernel: self.kernel.path.clone(),
            initrd: Some(initrd),
            command_line: self.command_line(bus, &spec)?,
        };
        Ok(spec)
    }

    async fn enter(
        &self,
        machine: &dyn Machine,
        console: &Console,
        trace: Option<Trace>,
        limit: Duration,
    ) -> Result<Session, GuestError> {
        await_probe(machine, console, trace, &[self.kernel.probe.platform], limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_named_as_the_kernel_names_it() {
        assert_eq!(device(Bus::Virtio, Root::Whole), "/dev/vda");
        assert_eq!(device(Bus::Nvme, Root::Partition(2)), "/dev/nvme0n1p2");
        assert_eq!(device(Bus::Sata, Root::Partition(1)), "/dev/sda1");
    }

    #[test]
    fn what_is_no_initrd_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("initrd");
        std::fs::write(&path, "no").expect("written");
        let error = read_initrd(&path).expect_err("no initrd");
        assert!(error.to_string().contains("no initrd"), "{error}");
        std::fs::write(&path, b"070701").expect("written");
        read_initrd(&path).expect("by its magic");
    }
}
