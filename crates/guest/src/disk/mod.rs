//! Disk guests: a whole system on a disk image, entered by cloud-init or by logging in.
//!
//! In comes an image (and perhaps a [`Definition`] that says what it is and how one gets in); out
//! goes a [`Guest`]. The image is never written: the host's driver puts an overlay over it. The
//! guest gets two small drives of ours, read-only: one labelled `HOSPITIUM` with the probe and a
//! script that starts it, and for cloud-init one labelled `CIDATA`.

mod definition;
mod drive;
pub(crate) mod error;
mod os_release;
mod way;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::Machine;
use hospitium_model::{
    Boot, Bus, ByteSize, ChannelKind, Chipset, Digest, Disk, DiskRole, GuestFacts, GuestKind,
    InputPin, MachineSpec, UNDECLARED,
};

pub use self::definition::{Definition, Login, Step, Way};
pub use self::drive::{PROBE_LABEL, ProbePort, SEED_LABEL, probe_drive, seed_drive};
pub use self::error::DiskError;
pub use self::os_release::{OsRelease, parse as parse_os_release};
use crate::guest::{Guest, GuestError, await_probe};
use crate::image::{self, Format, ImageInfo, Raw};
use crate::probe::Probe;
use hospitium_system::{Console, Session, SessionError, Trace};

/// Device ids of the disks that a disk guest adds to a machine.
const SYSTEM: &str = "system";
const TOOLS: &str = "tools";
const SEED: &str = "seed";

/// A disk guest.
#[derive(Debug, Clone)]
pub struct DiskGuest {
    facts: GuestFacts,
    definition: Definition,
    /// The image first, then its backing files.
    images: Vec<(ImageInfo, Digest)>,
}

impl DiskGuest {
    /// Makes a guest of an image. Digests are remembered in `cache`.
    pub fn new(image: &Path, definition: Definition, cache: &Path) -> Result<Self, DiskError> {
        let asked = definition.format.as_deref().and_then(Format::by_name) == Some(Format::Raw);
        let raw = if asked { Raw::Asked } else { Raw::WithBootSignature };
        let folder = image.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let chain = image::chain(image, folder, raw)?;
        let cache = cache.join("digests");
        let mut images = Vec::new();
        for info in chain {
            let digest = image::cached_digest(&info.path, &cache)?;
            images.push((info, digest));
        }
        let digest = images[0].1;
        image::check_digest(image, definition.sha256, digest)?;
        let stem = || image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let facts = GuestFacts {
            name: definition.name.clone().unwrap_or_else(stem),
            kind: GuestKind::Disk,
            os: definition.os,
            product: definition.product.clone(),
            version: definition.version.clone().unwrap_or_else(|| UNDECLARED.into()),
            digest,
            manages_devices: true,
        };
        Ok(Self { facts, definition, images })
    }

    /// Makes a guest of what a person names: an image, a definition that names its image, or both
    /// joined by `+` (`debian-12.toml+disk.qcow2`). None if it is neither.
    pub fn open(what: &Path, cache: &Path) -> Option<Result<Self, DiskError>> {
        let is_definition = |path: &Path| path.extension().is_some_and(|e| e == "toml");
        if let Some((definition, image)) = split(what) {
            return Some(Definition::read(&definition).and_then(|d| Self::new(&image, d, cache)));
        }
        if is_definition(what) {
            return Some(Self::from_definition(what, cache));
        }
        None
    }

    /// Makes a guest of a definition file that names its image.
    pub fn from_definition(path: &Path, cache: &Path) -> Result<Self, DiskError> {
        let definition = Definition::read(path)?;
        let Some(image) = &definition.image else {
            let next = match &definition.builder {
                Some(name) => format!(
                    "{name} is built by cargo xtask setup; then write DEFINITION.toml+IMAGE"
                ),
                None => "add a line image = \"FILE\", or write DEFINITION.toml+IMAGE".into(),
            };
            return Err(DiskError::NoImage { path: path.to_owned(), next });
        };
        let image = path.parent().unwrap_or(Path::new(".")).join(image);
        Self::new(&image, definition, cache)
    }

    /// What the header of the image says.
    pub fn image(&self) -> &ImageInfo {
        &self.images[0].0
    }

    /// What the system says it is, once one is in. None where it has no such file.
    pub async fn os_release(&self, session: &Session) -> Result<Option<OsRelease>, SessionError> {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            match session.read_file(path, 16 << 10).await {
                Ok(bytes) => return Ok(Some(parse_os_release(&String::from_utf8_lossy(&bytes)))),
                Err(SessionError::Guest { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    /// The machine with the image as its system disk, from which it boots.
    pub(crate) fn with_system_disk(&self, spec: MachineSpec) -> Result<MachineSpec, GuestError> {
        let mut spec = spec;
        let bus = self.check_machine(&spec)?;
        let system = Disk {
            image: Some(absolute(&self.image().path)?),
            format: Some(self.image().format.name().into()),
            ..disk(SYSTEM, DiskRole::System, bus)
        };
        match spec.disks.iter_mut().find(|disk| disk.role == DiskRole::System) {
            Some(there) => {
                there.image = system.image;
                there.format = system.format;
                spec.boot = Boot::Devices { order: vec![there.id.clone()] };
            }
            None => {
                spec.boot = Boot::Devices { order: vec![SYSTEM.into()] };
                spec.disks.insert(0, system);
            }
        }
        Ok(spec)
    }

    fn check_machine(&self, spec: &MachineSpec) -> Result<Bus, DiskError> {
        let guest = self.facts.name.clone();
        let needed = self.definition.memory.unwrap_or_default();
        if spec.memory.size < needed {
            return Err(DiskError::Memory { guest, needed, has: spec.memory.size });
        }
        let can = self.definition.firmware.clone();
        if !can.contains(&spec.firmware) {
            return Err(DiskError::Firmware { guest, asked: spec.firmware, can });
        }
        let can = self.definition.buses.clone();
        let there =
            spec.disks.iter().find(|disk| disk.role == DiskRole::System).map(|disk| disk.bus);
        // A legacy chipset has IDE, a modern one SATA.
        let misfit = match spec.chipset {
            Chipset::Modern => Bus::Ide,
            Chipset::Legacy => Bus::Sata,
        };
        let best = can.iter().copied().find(|bus| *bus != misfit).or(can.first().copied());
        match there.or(best) {
            Some(bus) if can.contains(&bus) => Ok(bus),
            asked => Err(DiskError::Bus { guest, asked: asked.unwrap_or(Bus::Virtio), can }),
        }
    }
}

#[async_trait]
impl Guest for DiskGuest {
    fn facts(&self) -> &GuestFacts {
        &self.facts
    }

    fn inputs(&self) -> Vec<InputPin> {
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut pins: Vec<InputPin> = self
            .images
            .iter()
            .enumerate()
            .map(|(n, (info, digest))| InputPin {
                role: if n == 0 { "image".into() } else { format!("backing-{n}") },
                sha256: *digest,
                size: info.file_size,
                name: name(&info.path),
            })
            .collect();
        pins.extend(Probe::all().map(Probe::pin));
        pins
    }

    fn prepare(&self, folder: &Path, spec: MachineSpec) -> Result<MachineSpec, GuestError> {
        let port = probe_port(&spec)?;
        let mut spec = self.with_system_disk(spec)?;
        let system = spec.disks.iter().find(|disk| disk.role == DiskRole::System);
        let bus = system.map_or(Bus::Virtio, |disk| disk.bus);
        let write = |name: &str, made: std::io::Result<Vec<u8>>| -> Result<PathBuf, GuestError> {
            let path = folder.join(name);
            made.and_then(|bytes| std::fs::write(&path, bytes))
                .map_err(GuestError::io(format!("making {}", path.display())))?;
            Ok(path)
        };
        let probes: Vec<_> = Probe::all().map(|probe| (probe.name, probe.bytes)).collect();
        let tools = write("hospitium.img", probe_drive(&probes, &port))?;
        spec.disks.push(data(TOOLS, bus, tools));
        if self.definition.has(Way::CloudInit) {
            let mut inputs = vec![self.facts.digest, Digest::of(PROBE_LABEL.as_bytes())];
            inputs.extend(Probe::all().map(Probe::digest));
            let seed = write("cidata.img", seed_drive(&inputs))?;
            spec.disks.push(data(SEED, bus, seed));
        }
        Ok(spec)
    }

    async fn enter(
        &self,
        machine: &dyn Machine,
        console: &Console,
        trace: Option<Trace>,
        limit: Duration,
    ) -> Result<Session, GuestError> {
        // After a reset the console shows the boots before as well; only the last one counts.
        let again = machine.events().iter().any(is_reset);
        let from = if again { console.line_count() } else { 0 };
        let platforms: Vec<_> = Probe::all().map(|probe| probe.platform).collect();
        tokio::select! {
            biased;
            session = await_probe(machine, console, trace, &platforms, limit) => match session {
                // Where its console is, is the image's own affair; of a kernel that is given, ours.
                Err(GuestError::NoProbe { waited, .. }) if console.total() == 0 => {
                    Err(GuestError::NoConsole { waited })
                }
                other => other,
            },
            error = way::get_in(&self.definition, console, from, limit) => Err(error.into()),
        }
    }

    async fn come_back(&self, console: &Console, from: u64, limit: Duration) -> GuestError {
        way::get_in(&self.definition, console, from, limit).await.into()
    }
}

fn is_reset(event: &hospitium_host::Event) -> bool {
    matches!(event.kind, hospitium_host::EventKind::Reset { .. })
}

fn disk(id: &str, role: DiskRole, bus: Bus) -> Disk {
    Disk {
        id: id.into(),
        role,
        bus,
        image: None,
        format: None,
        size: ByteSize::bytes(0),
        serial: id.into(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        room: None,
    }
}

fn data(id: &str, bus: Bus, image: PathBuf) -> Disk {
    Disk {
        image: Some(image),
        format: Some("raw".into()),
        read_only: true,
        ..disk(id, DiskRole::Data, data_bus(bus))
    }
}

/// The bus of a read-only drive beside a system disk on `system`. ATA knows no write-protected
/// disk, and the floppy bus none at all.
const fn data_bus(system: Bus) -> Bus {
    match system {
        Bus::Ide | Bus::Sata | Bus::Floppy => Bus::Usb,
        other => other,
    }
}

/// Where the guest finds the probe's channel.
fn probe_port(spec: &MachineSpec) -> Result<ProbePort, GuestError> {
    for name in ["console", "probe"] {
        if !spec.channels.iter().any(|channel| channel.name == name) {
            return Err(GuestError::NoChannel { name: name.into() });
        }
    }
    let serial = spec.channels.iter().filter(|channel| channel.kind == ChannelKind::Serial);
    let position = serial.enumerate().find(|(_, channel)| channel.name == "probe");
    Ok(position.map_or_else(|| ProbePort::Virtio("probe".into()), |(n, _)| ProbePort::Serial(n)))
}

fn absolute(path: &Path) -> Result<PathBuf, GuestError> {
    std::path::absolute(path).map_err(GuestError::io(format!("finding {}", path.display())))
}

/// The two halves of `definition.toml+image`.
fn split(what: &Path) -> Option<(PathBuf, PathBuf)> {
    let text = what.to_str()?;
    let (definition, image) = text.split_once(".toml+")?;
    Some((PathBuf::from(format!("{definition}.toml")), PathBuf::from(image)))
}

#[cfg(test)]
mod tests;
