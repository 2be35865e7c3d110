//! Media of disks and drives.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hospitium_host::local::open_left;
use hospitium_host::{HostError, Medium};
use hospitium_model::{ByteSize, DiskRole};
use virt::sys;

use crate::image::flatten;
use crate::running::LibvirtMachine;
use crate::shared::locked;
use crate::xml::live;
use crate::xml::parts::{self, DiskParts, Layer};
use crate::xml::tree;

/// Takes over a file that the daemon or the VMM made: it may be anything, and belong to anybody.
pub(crate) fn take_over(made: &Path, to: &Path) -> Result<(), HostError> {
    let doing = format!("taking over {}", made.display());
    let mut source = open_left(made)?;
    let own = rustix::process::geteuid().as_raw();
    let moved = (|| {
        // Whoever holds it open could still change it.
        if source.metadata()?.uid() == own && std::fs::rename(made, to).is_ok() {
            return Ok(());
        }
        let mut target = std::fs::File::create_new(to)?;
        std::io::copy(&mut source, &mut target)?;
        std::fs::remove_file(made)
    })();
    moved.map_err(HostError::io(doing))
}

/// See [`Media::medium`](hospitium_host::Media::medium).
pub(crate) async fn medium(machine: &LibvirtMachine, id: &str) -> Result<Medium, HostError> {
    let plan = machine.disk_plan(id)?;
    let doing = format!("reading the disk {id} from outside");
    let raw = machine.outside.join(format!("medium-{id}-{}.raw", machine.next_serial()));
    let top = plan.top(&machine.place.files).ok_or_else(|| HostError::Refused {
        doing: doing.clone(),
        why: "nothing is in the drive".into(),
    })?;
    let lossy = locked(&machine.lossy).get(id).cloned();
    machine.settle().await?;
    let Some(lossy) = lossy else {
        flatten(&top, &raw, machine.watched.has_ended().is_none()).await?;
        let meta = std::fs::metadata(&top.path).map_err(HostError::io(doing))?;
        let how = if plan.has_own() { "overlay, flattened" } else { "image, as it is" };
        let allocated = ByteSize::bytes(meta.blocks() * 512);
        // Its images are files, where nobody but the VMM sees a flush.
        return Ok(Medium { raw, allocated, flushes: None, how: how.into() });
    };
    // What of it would be left after a power cut, at one moment: the machine may go on writing.
    let io = || HostError::io(&*doing);
    let copy = tempfile::NamedTempFile::new_in(&machine.outside).map_err(io())?;
    let (file, disk) = (copy.reopen().map_err(io())?, lossy.clone());
    let copied = tokio::task::spawn_blocking(move || disk.copy_lasting(&file)).await;
    copied.map_err(|error| io()(std::io::Error::other(error)))?.map_err(io())?;
    let still = Layer { path: copy.path().to_owned(), format: top.format };
    flatten(&still, &raw, false).await?;
    let allocated = copy.as_file().metadata().map_err(io())?.blocks() * 512;
    let seen = lossy.seen();
    Ok(Medium {
        raw,
        allocated: ByteSize::bytes(allocated),
        flushes: Some(seen.flushes),
        how: seen.to_string(),
    })
}

/// See [`Media::resize_disk`](hospitium_host::Media::resize_disk).
pub(crate) async fn resize(
    machine: &LibvirtMachine,
    id: &str,
    size: ByteSize,
) -> Result<(), HostError> {
    let plan = machine.disk_plan(id)?;
    let doing = format!("resizing the disk {id} to {size}");
    if size.as_bytes() < plan.size {
        let why = format!("it has {} bytes already", plan.size);
        return Err(HostError::Refused { doing, why });
    }
    let target = target(machine, id, &doing).await?;
    let bytes = size.as_bytes();
    let flags = sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES;
    machine.ask(&doing, move |domain| domain.block_resize(&target, bytes, flags)).await?;
    for plan in locked(&machine.disks).iter_mut().filter(|plan| plan.disk.id == id) {
        plan.size = bytes;
    }
    Ok(())
}

async fn target(machine: &LibvirtMachine, id: &str, doing: &str) -> Result<String, HostError> {
    live::target(&machine.live().await?, id).ok_or_else(|| HostError::Refused {
        doing: doing.to_owned(),
        why: "the machine has no such disk now".into(),
    })
}

/// Why a disk with limited room gets no more of it.
pub(crate) const NO_ROOM: &str =
    "libvirt has no way to change the slice of a file that a running machine's disk may use";

/// See [`Media::grow_backing`](hospitium_host::Media::grow_backing).
pub(crate) async fn grow_backing(
    machine: &LibvirtMachine,
    id: &str,
    room: ByteSize,
) -> Result<(), HostError> {
    let plan = machine.disk_plan(id)?;
    let doing = format!("giving the disk {id} room for {room}");
    let Some(before) = plan.disk.room else {
        return Err(HostError::Refused { doing, why: "its room is not limited".into() });
    };
    if room < before {
        return Err(HostError::Refused { doing, why: format!("it has room for {before} already") });
    }
    Err(HostError::Unsupported { what: doing, why: NO_ROOM.into() })
}

/// See [`Media::change_medium`](hospitium_host::Media::change_medium).
pub(crate) async fn change_medium(
    machine: &LibvirtMachine,
    id: &str,
    image: Option<&Path>,
) -> Result<(), HostError> {
    let plan = machine.disk_plan(id)?;
    let doing = format!("changing the medium of {id}");
    if plan.disk.role != DiskRole::Cdrom {
        return Err(HostError::Refused { doing, why: "it is no drive".into() });
    }
    let layer = match image {
        Some(image) => {
            let name = format!("{id}-{}.disc", machine.next_serial());
            let path = machine.place.readable(image, &name)?;
            Some(Layer { path, format: "raw".into() })
        }
        None => None,
    };
    let target = target(machine, id, &doing).await?;
    let device = parts::disk(&DiskParts {
        disk: &plan.disk,
        layers: layer.as_slice(),
        room: None,
        server: None,
        target: &target,
        unit: None,
        boot: None,
    })?;
    let xml = tree::write(&device);
    let change = |force: bool| {
        let xml = xml.clone();
        let force = if force { sys::VIR_DOMAIN_DEVICE_MODIFY_FORCE } else { 0 };
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE | force;
        machine.ask(&doing, move |domain| domain.update_device_flags(&xml, flags))
    };
    match change(false).await {
        // The guest has locked the drive: its button is pressed for longer.
        Err(HostError::Refused { .. }) => change(true).await?,
        done => done?,
    };
    for plan in locked(&machine.disks).iter_mut().filter(|plan| plan.disk.id == id) {
        plan.below = layer.clone().into_iter().collect();
    }
    Ok(())
}
