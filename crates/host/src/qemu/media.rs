//! Media that change while the machine runs: discs in drives, room on disks.

use std::path::Path;
use std::time::Duration;

use hospitium_model::ByteSize;
use serde_json::json;

use super::attach::add_file;
use super::disks::Layer;
use super::files::open_written;
use super::hardware::remove_nodes;
use super::machine::{QemuMachine, locked};
use crate::{EventKind, HostError};

pub(super) async fn give_room(
    machine: &QemuMachine,
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
    let path = machine.folder.join(plan.overlay());
    let file = open_written(&path)?;
    let length = file.metadata().map_err(HostError::io(&doing))?.len();
    let wanted = length.max(plan.size * 2 + room.as_bytes() + (16 << 20));
    file.set_len(wanted).map_err(HostError::io(&doing))?;
    let options = json!({"options": [plan.room_node(room)]});
    machine.qmp.call(&doing, "blockdev-reopen", options).await?;
    for plan in locked(&machine.disks).iter_mut().filter(|plan| plan.disk.id == id) {
        plan.disk.room = Some(room);
    }
    Ok(())
}

/// How long a guest that locked its drive is given to open it.
const TRAY: Duration = Duration::from_secs(5);

pub(super) async fn change_medium(
    machine: &QemuMachine,
    id: &str,
    image: Option<&Path>,
) -> Result<(), HostError> {
    machine.disk_plan(id)?;
    let doing = format!("changing the disc in {id}");
    let events = machine.history.count();
    let opened =
        machine.qmp.call(&doing, "blockdev-open-tray", json!({"id": id, "force": false})).await;
    if opened.is_err() {
        // The guest has locked the drive and was sent the eject button's request: it may open it.
        let open = |kind: &EventKind| matches!(kind, EventKind::Tray { id: tray, open: true } if tray == id);
        match machine.history.wait(events, "the guest to open the drive", TRAY, &open).await {
            Ok(_) => {}
            Err(HostError::TimedOut { .. }) => {
                machine
                    .qmp
                    .call(&doing, "blockdev-open-tray", json!({"id": id, "force": true}))
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    machine.qmp.call(&doing, "blockdev-remove-medium", json!({"id": id})).await?;
    remove_nodes(&machine.qmp, id).await;
    if let Some(image) = image {
        let set = add_file(machine, image).await?;
        let file = format!("d.{id}.disc");
        let nodes = [
            json!({"driver": "file", "node-name": file, "read-only": true, "filename": format!("/dev/fdset/{set}")}),
            json!({"driver": "raw", "node-name": format!("d.{id}"), "read-only": true, "file": file}),
        ];
        for node in nodes {
            machine.qmp.call(&doing, "blockdev-add", node).await?;
        }
        let insert = json!({"id": id, "node-name": format!("d.{id}")});
        machine.qmp.call(&doing, "blockdev-insert-medium", insert).await?;
    }
    machine.qmp.call(&doing, "blockdev-close-tray", json!({"id": id})).await?;
    let mut disks = locked(&machine.disks);
    for plan in disks.iter_mut().filter(|plan| plan.disk.id == id) {
        plan.layers = image
            .iter()
            .map(|path| Layer { path: path.to_path_buf(), driver: "raw".into(), ours: false })
            .collect();
    }
    Ok(())
}
