//! Disk images, by the tool that comes with QEMU.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hospitium_disk::{Disk as Lossy, Store};
use hospitium_host::HostError;
use hospitium_model::escaped;
use hospitium_model::{Bus, Disk, DiskRole};
use serde_json::Value;

use crate::place::Place;
use crate::user::User;
use crate::xml::parts::Layer;

/// Images are read at hundreds of MB a second; a disk that takes longer is too large to look at.
const PATIENCE: Duration = Duration::from_secs(120);
/// No real chain of backing files is longer.
const LONGEST_CHAIN: usize = 32;
/// Clusters of the images that are made.
const CLUSTER: u64 = 64 << 10;

/// Runs `qemu-img`; returns what it printed.
async fn tool(doing: &str, arguments: &[&str]) -> Result<Vec<u8>, HostError> {
    let mut command = tokio::process::Command::new("qemu-img");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let late = |_| HostError::TimedOut { what: doing.to_owned(), limit: PATIENCE };
    let done = tokio::time::timeout(PATIENCE, command.output()).await.map_err(late)?;
    let done = done.map_err(|error| HostError::Unusable {
        vmm: "qemu-img".into(),
        why: error.to_string(),
        next: "Install it (Debian: apt install qemu-utils)".into(),
    })?;
    if !done.status.success() {
        let why = escaped(String::from_utf8_lossy(&done.stderr).trim(), 400);
        return Err(HostError::Refused { doing: doing.to_owned(), why });
    }
    Ok(done.stdout)
}

/// QEMU's name of an image format.
fn driver(format: &str) -> Result<&'static str, HostError> {
    Ok(match format {
        "raw" => "raw",
        "qcow2" => "qcow2",
        "vhd" | "vpc" => "vpc",
        "vhdx" => "vhdx",
        "vmdk" => "vmdk",
        other => {
            return Err(HostError::Unsupported {
                what: format!("the image format {:?}", other.chars().take(20).collect::<String>()),
                why: "known are raw, qcow2, vhd, vhdx and vmdk".into(),
            });
        }
    })
}

/// An image and all below it, the top first, and the size of the disk in bytes.
async fn chain(image: &Path, format: &str) -> Result<(Vec<Layer>, u64), HostError> {
    let doing = format!("looking at the image {}", image.display());
    let path = image.to_string_lossy();
    let arguments = ["info", "-U", "-f", format, "--backing-chain", "--output=json", &path];
    let out = tool(&doing, &arguments).await?;
    read_chain(&out, format).map_err(|why| HostError::Refused { doing, why })
}

/// Reads `qemu-img info --backing-chain --output=json`.
fn read_chain(json: &[u8], format: &str) -> Result<(Vec<Layer>, u64), String> {
    let strange = || "qemu-img tells it in words of its own".to_owned();
    let all: Vec<Value> = serde_json::from_slice(json).map_err(|_| strange())?;
    if all.is_empty() || all.len() > LONGEST_CHAIN {
        return Err(format!("it has a chain of {} images", all.len()));
    }
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut layers = Vec::new();
    let mut format = format.to_owned();
    for image in &all {
        let name = text(image, "filename").ok_or_else(strange)?;
        if name.contains(':') && !name.starts_with('/') {
            return Err("its backing file is no plain file".into());
        }
        layers.push(Layer {
            path: PathBuf::from(name),
            format: driver(&format).map_err(|e| e.to_string())?.into(),
        });
        match (text(image, "backing-filename"), text(image, "backing-filename-format")) {
            (None, _) => break,
            (Some(_), Some(below)) => format = below,
            (Some(_), None) => {
                return Err("it does not say of what format its backing file is; set it with \
                            qemu-img rebase -u -F"
                    .into());
            }
        }
    }
    let size =
        all.first().and_then(|image| image.get("virtual-size")?.as_u64()).ok_or_else(strange)?;
    Ok((layers, size))
}

/// A disk with the images below its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiskPlan {
    pub disk: Disk,
    /// Images that are read only, the top first.
    pub below: Vec<Layer>,
    /// Size of the disk in bytes.
    pub size: u64,
    /// A defect on purpose: flushes are acknowledged and ignored.
    pub ignore_flushes: bool,
}

impl DiskPlan {
    /// Finds out of which images a disk is made.
    pub(crate) async fn of(disk: &Disk) -> Result<Self, HostError> {
        let (below, size) = match &disk.image {
            Some(image) => {
                let image = std::path::absolute(image)
                    .map_err(HostError::io(format!("looking for {}", image.display())))?;
                chain(&image, driver(disk.format.as_deref().unwrap_or("raw"))?).await?
            }
            None => (Vec::new(), disk.size.as_bytes()),
        };
        let needs_size = disk.role != DiskRole::Cdrom && disk.bus != Bus::Floppy;
        if needs_size && (size == 0 || !size.is_multiple_of(512)) {
            return Err(HostError::Refused {
                doing: format!("preparing the disk {}", disk.id),
                why: format!("its size of {size} bytes is no whole number of sectors"),
            });
        }
        Ok(Self { disk: disk.clone(), below, size, ignore_flushes: false })
    }

    /// True if the guest may write to it, onto an image of its own.
    fn writable(&self) -> bool {
        !self.disk.read_only && !matches!(self.disk.role, DiskRole::Data | DiskRole::Cdrom)
    }

    /// True if it has an image of its own in the machine's folder.
    pub(crate) fn has_own(&self) -> bool {
        self.writable() || (self.below.is_empty() && self.disk.role != DiskRole::Cdrom)
    }

    /// True if its own image lies on a disk of ours that loses what was not flushed.
    pub(crate) fn loses(&self) -> bool {
        self.disk.power_loss_log && self.writable()
    }

    /// Name of the socket at which such a disk is served.
    pub(crate) fn socket(&self) -> String {
        format!("d.{}", self.disk.id)
    }

    /// The disk of ours that its own image lies on, if it does; it waits for the VMM. What is not flushed lies in
    /// `outside`, which the VMM cannot reach.
    pub(crate) fn lossy(&self, place: &Place, outside: &Path) -> Result<Option<Lossy>, HostError> {
        if !self.loses() {
            return Ok(None);
        }
        // An image has the content, its own tables and room to grow.
        let size = self.size.saturating_mul(4).saturating_add(1 << 30);
        let socket = place.socket(&self.socket());
        // Left from a disk of the same id that was removed.
        let _ = std::fs::remove_file(&socket);
        let made = std::fs::File::options()
            .read(true)
            .write(true)
            .open(self.own(&place.files))
            .and_then(|file| Ok((file, tempfile::tempfile_in(outside)?)))
            .and_then(|(file, now)| Store::new(file, now, size, self.ignore_flushes))
            .and_then(|store| Ok((store, UnixListener::bind(&socket)?)))
            .and_then(|(store, listener)| Lossy::serve_at(store, listener));
        let doing = format!("making the disk {} ready", self.disk.id);
        let made = made.map_err(HostError::io(doing))?;
        place.user().give(&socket)?;
        Ok(Some(made))
    }

    /// File of its own image.
    pub(crate) fn own(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.qcow2", self.disk.id))
    }

    /// How many bytes of its own image's file may be used.
    pub(crate) fn room(&self) -> Option<u64> {
        let l2_tables = self.size.div_ceil(CLUSTER * (CLUSTER / 8)).max(1);
        // Header, the table of reference counts, one block of them, the first-level table.
        let overhead = (4 + l2_tables) * CLUSTER;
        self.disk.room.map(|room| (room.as_bytes() + overhead).next_multiple_of(512))
    }

    /// Makes its own image, for this user.
    pub(crate) async fn make(&self, folder: &Path, user: User) -> Result<(), HostError> {
        if !self.has_own() {
            return Ok(());
        }
        let path = self.own(folder);
        // Left from a disk of the same id that was removed.
        let _ = std::fs::remove_file(&path);
        let doing = format!("making the disk image {}", path.display());
        let (name, size) = (path.to_string_lossy().into_owned(), self.size.to_string());
        let mut arguments = vec!["create", "-q", "-f", "qcow2", "-o", "cluster_size=65536"];
        let below = self.below.first().map(|top| (top.path.to_string_lossy(), &top.format));
        if let Some((path, format)) = &below {
            arguments.extend(["-u", "-b", path, "-F", format]);
        }
        arguments.extend([name.as_str(), size.as_str()]);
        tool(&doing, &arguments).await?;
        if let Some(room) = self.room() {
            // The part of the file that may be used must lie within it.
            let file = std::fs::File::options().write(true).open(&path);
            file.and_then(|file| file.set_len(room)).map_err(HostError::io(&doing))?;
        }
        user.give(&path)
    }

    /// Its top image, as we find it; none for an empty drive.
    pub(crate) fn top(&self, folder: &Path) -> Option<Layer> {
        if self.has_own() {
            return Some(Layer { path: self.own(folder), format: "qcow2".into() });
        }
        self.below.first().cloned()
    }
}

/// Writes what an image and those below it hold into a sparse raw file. `in_use` if a VMM has it open.
pub(crate) async fn flatten(top: &Layer, raw: &Path, in_use: bool) -> Result<(), HostError> {
    let doing = format!("reading the image {} from outside", top.path.display());
    let (from, to) = (top.path.to_string_lossy(), raw.to_string_lossy());
    let mut arguments = vec!["convert"];
    if in_use {
        arguments.push("-U");
    }
    arguments.extend(["-f", &top.format, "-O", "raw", &from, &to]);
    tool(&doing, &arguments).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_without_formats_or_of_other_things_than_files_is_refused() {
        let good = br#"[{"virtual-size":1024,"filename":"/a.qcow2","backing-filename":"b.raw","backing-filename-format":"raw"},
            {"virtual-size":1024,"filename":"/b.raw"}]"#;
        let (layers, size) = read_chain(good, "qcow2").expect("read");
        assert_eq!((layers.len(), layers[1].format.as_str(), size), (2, "raw", 1024));
        for bad in [
            &br#"[{"virtual-size":1024,"filename":"/a","backing-filename":"b"}]"#[..],
            br#"[{"virtual-size":1024,"filename":"nbd:x:1"}]"#,
            br#"[{"filename":"/a"}]"#,
            b"[]",
            b"{}",
            b"",
        ] {
            assert!(read_chain(bad, "qcow2").is_err());
        }
    }
}
