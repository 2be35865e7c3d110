//! A disk's content from outside: its images flattened, or its log of writes replayed.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hospitium_model::ByteSize;

use super::build::open;
use super::disks::DiskPlan;
use super::machine::QemuMachine;
use super::process::Launch;
use super::{Inner, writelog};
use crate::{HostError, Medium};

/// Images are flattened at hundreds of MB a second; a disk that takes longer is too large to look at.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// See [`Machine::medium`](crate::Machine::medium).
pub(super) async fn medium(machine: &QemuMachine, id: &str) -> Result<Medium, HostError> {
    let plan = machine.disk_plan(id)?;
    let name = format!("medium-{id}-{}.raw", machine.next_serial());
    let raw = machine.folder.join(&name);
    let logged = plan.disk.power_loss_log && plan.writable();
    let running = machine.process.ended().is_none();
    machine
        .host
        .flatten(&machine.folder, &plan, !logged, running, &name)
        .await?;
    let mut how = match (plan.layers.is_empty(), plan.has_overlay()) {
        (_, true) if !logged => "overlay, flattened".to_owned(),
        _ => "image, as it is".to_owned(),
    };
    if logged {
        let (log, target) = (machine.folder.join(plan.log()), raw.clone());
        let replayed = tokio::task::spawn_blocking(move || {
            writelog::replay(&log, &target, writelog::Upto::LastFlush)
        })
        .await;
        let doing = || format!("replaying the log of writes of the disk {id}");
        let replayed = replayed.map_err(|e| HostError::io(doing())(io::Error::other(e)))?;
        let summary = replayed.map_err(|e| HostError::io(doing())(io::Error::other(e)))?;
        how = summary.to_string();
    }
    let image = if plan.has_overlay() {
        machine.folder.join(plan.overlay())
    } else {
        raw.clone()
    };
    let meta = std::fs::metadata(&image)
        .map_err(HostError::io(format!("looking at {}", image.display())))?;
    Ok(Medium {
        raw,
        allocated: ByteSize::bytes(meta.blocks() * 512),
        how,
    })
}

impl Inner {
    /// Writes what a disk's images hold, with or without its overlay, into a sparse raw file.
    async fn flatten(
        self: &Arc<Self>,
        folder: &Path,
        plan: &DiskPlan,
        with_overlay: bool,
        in_use: bool,
        name: &str,
    ) -> Result<(), HostError> {
        let target = folder.join(name);
        let mut inherited = Vec::new();
        let mut paths = Vec::new();
        for layer in &plan.layers {
            let file = open(&layer.path)?;
            paths.push(format!("/proc/self/fd/{}", file.as_raw_fd()));
            inherited.push(file.into());
        }
        let Some(options) = plan.image_options(with_overlay, &|n| paths[n].clone()) else {
            // Nothing below: an empty disk.
            return self.make_file(&target, plan.size).map(drop);
        };
        self.make_file(&target, 0)?;
        let mut arguments = vec!["convert"];
        if in_use {
            arguments.push("-U");
        }
        let image = format!("json:{options}");
        arguments.extend(["-O", "raw", &image, name]);
        let doing = format!("reading the disk {} from outside", plan.disk.id);
        self.image_tool(&doing, folder, &arguments, inherited)
            .await?;
        // Guests see a whole number of sectors, and a disk that was resized its new size.
        let file = File::options()
            .write(true)
            .open(&target)
            .map_err(HostError::io(&doing))?;
        let length = file.metadata().map_err(HostError::io(&doing))?.len();
        if length < plan.size {
            file.set_len(plan.size).map_err(HostError::io(&doing))?;
        }
        Ok(())
    }

    /// Runs `qemu-img` as confined as a VMM.
    async fn image_tool(
        &self,
        doing: &str,
        folder: &Path,
        arguments: &[&str],
        inherited: Vec<std::os::fd::OwnedFd>,
    ) -> Result<(), HostError> {
        let mut argv = self.programs.image_tool()?;
        argv.extend(arguments.iter().map(OsString::from));
        let launch = Launch {
            argv,
            environment: self.programs.environment(),
            folder: folder.to_owned(),
            inherited,
            confinement: self.confinement,
        };
        let process = launch.start(&folder.join("qemu-img.log")).await?;
        let late = |_| HostError::TimedOut {
            what: doing.to_owned(),
            limit: PATIENCE,
        };
        let died = tokio::time::timeout(PATIENCE, process.died())
            .await
            .map_err(late)?;
        if died.expected {
            return Ok(());
        }
        Err(HostError::Refused {
            doing: doing.to_owned(),
            why: died.how,
        })
    }

    /// Size of the disk in an image whose header is not read here, asked of `qemu-img`.
    pub(super) async fn image_size(&self, image: &Path, driver: &str) -> Result<u64, HostError> {
        let doing = format!("asking for the size of {}", image.display());
        let folder = tempfile::tempdir().map_err(HostError::io(&doing))?;
        self.give_away(&open(folder.path())?, folder.path())?;
        let file = open(image)?;
        let node = serde_json::json!({
            "driver": driver, "file": {"driver": "file", "filename": format!("/proc/self/fd/{}", file.as_raw_fd())},
        });
        // `measure` prints what is wanted as JSON, but to standard output, which confined tools
        // don't have: `bench` and `info` are no better. An overlay made over it has its size.
        let overlay = "size.qcow2";
        let image = format!("json:{node}");
        let arguments = [
            "create", "-q", "-f", "qcow2", "-F", driver, "-b", &image, overlay,
        ];
        self.image_tool(&doing, folder.path(), &arguments, vec![file.into()])
            .await?;
        let header = super::qcow2::read(&folder.path().join(overlay));
        Ok(header.map_err(HostError::io(doing))?.size)
    }
}

/// Copies a file with its holes.
pub(super) fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::SeekFrom;
    let mut source = File::open(from)?;
    let mut target = File::create_new(to)?;
    let meta = source.metadata()?;
    target.set_len(meta.len())?;
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(&source, SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&source, SeekFrom::Hole(start))?;
        rustix::fs::seek(&source, SeekFrom::Start(start))?;
        rustix::fs::seek(&target, SeekFrom::Start(start))?;
        let mut part = io::Read::take(&mut source, end - start);
        io::copy(&mut part, &mut target)?;
        at = end;
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&target, Some(meta.uid()), Some(meta.gid()))?;
    }
    target.set_permissions(meta.permissions())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_copy_has_the_same_bytes_and_the_holes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).expect("made");
        file.set_len(64 << 20).expect("sized");
        file.write_all_at(b"middle", 33 << 20).expect("written");
        copy_sparse(&from, &to).expect("copied");
        assert!(std::fs::read(&from).expect("read") == std::fs::read(&to).expect("read"));
        assert!(std::fs::metadata(&to).expect("there").blocks() * 512 < 1 << 20);
    }
}
