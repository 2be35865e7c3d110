//! A disk's content from outside: its images flattened, those parts left out that would be lost with the power.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hospitium_disk::Disk;
use hospitium_model::ByteSize;

use crate::Inner;
use crate::disks::DiskPlan;
use crate::files::take_back;
use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::process::{Confinement, Launch};
use hospitium_host::local::{open, open_left};
use hospitium_host::{Ended, HostError, Medium};

/// Images are flattened at hundreds of MB a second; a disk that takes longer is too large to look at.
const PATIENCE: Duration = Duration::from_secs(120);

/// See [`Media::medium`](hospitium_host::Media::medium).
pub(crate) async fn medium(machine: &QemuMachine, id: &str) -> Result<Medium, HostError> {
    let plan = machine.disk_plan(id)?;
    let raw = machine.outside.join(format!("medium-{id}-{}.raw", machine.next_serial()));
    let lossy = locked(&machine.lossy).get(id).cloned();
    if machine.has_ended_in_order() {
        machine.settle().await?;
    }
    let overlay = match &lossy {
        // What of it would be left after a power cut, at one moment: the machine may go on writing.
        Some(disk) => Some(lasting(machine, disk.clone(), id).await?),
        None if plan.has_overlay() => Some(open_left(&machine.folder.join(plan.overlay()))?),
        None => None,
    };
    let target = machine.flatten(&plan, overlay.as_ref(), lossy.is_some(), &raw).await?;
    let how = match &lossy {
        Some(disk) => disk.seen().to_string(),
        None if overlay.is_some() => "overlay, flattened".into(),
        None => "image, as it is".into(),
    };
    let image = overlay.unwrap_or(target);
    let meta = image.metadata().map_err(HostError::io(format!("looking at the disk {id}")))?;
    let flushes = lossy.map(|disk| disk.seen().flushes);
    Ok(Medium { raw, allocated: ByteSize::bytes(meta.blocks() * 512), flushes, how })
}

/// A copy of what a power cut would leave of a disk's overlay.
async fn lasting(machine: &QemuMachine, disk: Arc<Disk>, id: &str) -> Result<File, HostError> {
    let doing = || HostError::io(format!("copying what the disk {id} keeps"));
    let copy = tempfile::tempfile_in(&machine.outside).map_err(doing())?;
    machine.confinement.give_away(&copy, &machine.outside)?;
    let work = move || disk.copy_lasting(&copy).map(|()| copy);
    let copied = tokio::task::spawn_blocking(work).await;
    copied.map_err(|error| doing()(io::Error::other(error)))?.map_err(doing())
}

impl QemuMachine {
    /// Writes what a disk's images hold into a sparse raw file. A `still` overlay is not the one that the VMM writes to.
    async fn flatten(
        &self,
        plan: &DiskPlan,
        overlay: Option<&File>,
        still: bool,
        raw: &Path,
    ) -> Result<File, HostError> {
        let doing = format!("reading the disk {} from outside", plan.disk.id);
        let target = self.confinement.make_file(raw, plan.size)?;
        let mut inherited = vec![target.try_clone().map_err(HostError::io(&doing))?.into()];
        let target_path =
            format!("/proc/self/fd/{}", AsRawFd::as_raw_fd(&inherited[0] as &OwnedFd));
        let mut paths = Vec::new();
        for layer in &plan.layers {
            let file = open(&layer.path)?;
            paths.push(format!("/proc/self/fd/{}", file.as_raw_fd()));
            inherited.push(file.into());
        }
        let overlay = match overlay {
            Some(file) => {
                let file = file.try_clone().map_err(HostError::io(&doing))?;
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                inherited.push(file.into());
                Some(path)
            }
            None => None,
        };
        if let Some(options) = plan.image_options(overlay.as_deref(), &|n| paths[n].clone()) {
            // The file is there, of the right size, and empty.
            let mut arguments = vec!["convert", "-n", "--target-is-zero"];
            if !still && self.process.has_ended().is_none() {
                arguments.push("-U");
            }
            let image = format!("json:{options}");
            arguments.extend(["-O", "raw", &image, &target_path]);
            let run = self.host.image_tool(
                &doing,
                &self.folder,
                &arguments,
                inherited,
                self.confinement,
                PATIENCE,
            );
            run.await?;
        }
        // From here on the VMM can't change it any more.
        take_back(&target, 0o600).map_err(HostError::io(doing))?;
        Ok(target)
    }
}

impl Inner {
    /// Runs `qemu-img` as confined as a VMM.
    pub(crate) async fn image_tool(
        &self,
        doing: &str,
        folder: &Path,
        arguments: &[&str],
        inherited: Vec<OwnedFd>,
        confinement: Confinement,
        patience: Duration,
    ) -> Result<(), HostError> {
        let mut argv = self.programs.image_tool()?;
        argv.extend(arguments.iter().map(OsString::from));
        let launch = Launch {
            argv,
            environment: self.programs.environment(),
            folder: folder.to_owned(),
            inherited,
            confinement,
        };
        let log = tempfile::NamedTempFile::new().map_err(HostError::io(doing))?;
        let process = launch.start(log.path()).await?;
        let late = |_| HostError::TimedOut { what: doing.to_owned(), limit: patience };
        match tokio::time::timeout(patience, process.ended()).await.map_err(late)? {
            Ended::Exited { code: 0, .. } => Ok(()),
            ended => Err(HostError::Refused { doing: doing.to_owned(), why: ended.to_string() }),
        }
    }
}
