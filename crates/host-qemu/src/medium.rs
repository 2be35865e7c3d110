//! A disk's content from outside: its images flattened, or its log of writes replayed.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use hospitium_model::ByteSize;

use crate::disks::DiskPlan;
use crate::files::{open, open_left, take_back};
use crate::machine::QemuMachine;
use crate::process::{Confinement, Launch};
use crate::{Inner, writelog};
use hospitium_host::{Ended, HostError, Medium};

/// Images are flattened at hundreds of MB a second; a disk that takes longer is too large to look at.
const PATIENCE: Duration = Duration::from_secs(120);

/// See [`Media::medium`](hospitium_host::Media::medium).
pub(crate) async fn medium(machine: &QemuMachine, id: &str) -> Result<Medium, HostError> {
    let plan = machine.disk_plan(id)?;
    let raw = machine.outside.join(format!("medium-{id}-{}.raw", machine.next_serial()));
    // After an end in order the image itself is looked at, not what the log says of it.
    let logged = plan.disk.power_loss_log && plan.writable() && !machine.has_ended_in_order();
    let target = machine.flatten(&plan, !logged, &raw).await?;
    let how = if logged {
        replayed(machine, &plan, &raw).await?
    } else if plan.has_overlay() {
        "overlay, flattened".into()
    } else {
        "image, as it is".into()
    };
    let image = match plan.has_overlay() {
        true => open_left(&machine.folder.join(plan.overlay()))?,
        false => target,
    };
    let meta = image.metadata().map_err(HostError::io(format!("looking at the disk {id}")))?;
    Ok(Medium { raw, allocated: ByteSize::bytes(meta.blocks() * 512), how })
}

/// Replays the log of writes onto what was below the disk when its VMM started.
async fn replayed(machine: &QemuMachine, plan: &DiskPlan, raw: &Path) -> Result<String, HostError> {
    let doing =
        || HostError::io(format!("replaying the log of writes of the disk {}", plan.disk.id));
    let log = open_left(&machine.folder.join(plan.log()))?;
    let raw = raw.to_owned();
    let work = move || {
        let path = format!("/proc/self/fd/{}", log.as_raw_fd());
        writelog::replay(Path::new(&path), &raw, writelog::Upto::LastFlush)
    };
    let summary =
        tokio::task::spawn_blocking(work).await.map_err(|e| doing()(io::Error::other(e)))?;
    Ok(summary.map_err(|e| doing()(io::Error::other(e)))?.to_string())
}

impl QemuMachine {
    /// Writes what a disk's images hold, with or without its overlay, into a sparse raw file.
    async fn flatten(
        &self,
        plan: &DiskPlan,
        with_overlay: bool,
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
        if let Some(options) = plan.image_options(with_overlay, &|n| paths[n].clone()) {
            // The file is there, of the right size, and empty.
            let mut arguments = vec!["convert", "-n", "--target-is-zero"];
            if self.process.has_ended().is_none() {
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
