//! Media that change while the machine runs: discs in drives, room on disks.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::ByteSize;
use serde_json::{Value, json};

use crate::attach::add_file;
use crate::disks::Layer;
use crate::hardware::remove_nodes;
use crate::locked::locked;
use crate::machine::QemuMachine;
use hospitium_host::local::open_written;
use hospitium_host::{EventKind, HostError};
use hospitium_qmp::path_id;

pub(crate) async fn grow_backing(
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
/// How often a tray is opened again that the guest has closed. Linux closes it whenever a program
/// opens the drive for reading (drivers/cdrom/cdrom.c, open_for_data), as udev does after a change.
const OPENINGS: usize = 10;

/// A drive with a tray that its guest may close at any moment.
#[async_trait]
trait Drive: Sync {
    /// Opens the tray, without the guest's leave if need be.
    async fn open(&self) -> Result<(), HostError>;
    /// A command to the VMM that concerns this drive.
    async fn call(&self, command: &str, arguments: Value) -> Result<(), HostError>;
    /// Number of times that the tray was seen to close.
    fn closings(&self) -> usize;

    /// A command for which the tray must be open. Where it is refused and the guest has closed the
    /// tray since it was opened, both are done again.
    async fn call_with_open_tray(&self, command: &str, arguments: Value) -> Result<(), HostError> {
        let mut opened = 0;
        loop {
            let closings = self.closings();
            self.open().await?;
            opened += 1;
            let refused = match self.call(command, arguments.clone()).await {
                Err(refused @ HostError::Refused { .. }) => refused,
                done => return done,
            };
            if self.closings() == closings || opened == OPENINGS {
                return Err(refused);
            }
        }
    }
}

struct QemuDrive<'a> {
    machine: &'a QemuMachine,
    id: &'a str,
    doing: &'a str,
}

impl QemuDrive<'_> {
    fn is_move(&self, kind: &EventKind, to_open: bool) -> bool {
        matches!(kind, EventKind::Tray { id, open } if id == self.id && *open == to_open)
    }

    async fn ask_to_open(&self, force: bool) -> Result<(), HostError> {
        self.call("blockdev-open-tray", json!({"id": self.id, "force": force})).await
    }

    async fn is_open(&self) -> Result<bool, HostError> {
        let blocks = self.machine.qmp.call(self.doing, "query-block", json!({})).await?;
        let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
        let own = blocks.iter().find(|block| {
            block.get("qdev").and_then(Value::as_str).is_some_and(|path| path_id(path) == self.id)
        });
        Ok(own.and_then(|block| block.get("tray_open")?.as_bool()) == Some(true))
    }
}

#[async_trait]
impl Drive for QemuDrive<'_> {
    async fn open(&self) -> Result<(), HostError> {
        let history = &self.machine.history;
        let from = history.count();
        // Of a drive that the guest has locked QEMU says here that all is well, and only sends the
        // guest the eject button's request (block/qapi-sysemu.c, qmp_blockdev_open_tray).
        self.ask_to_open(false).await?;
        if self.is_open().await? {
            return Ok(());
        }
        let opens = |kind: &EventKind| self.is_move(kind, true);
        match history.wait(from, "the guest to open the drive", TRAY, &opens).await {
            Ok(_) => Ok(()),
            Err(HostError::TimedOut { .. }) => self.ask_to_open(true).await,
            Err(error) => Err(error),
        }
    }

    async fn call(&self, command: &str, arguments: Value) -> Result<(), HostError> {
        self.machine.qmp.call(self.doing, command, arguments).await.map(drop)
    }

    fn closings(&self) -> usize {
        let events = self.machine.history.all();
        events.iter().filter(|event| self.is_move(&event.kind, false)).count()
    }
}

pub(crate) async fn change_medium(
    machine: &QemuMachine,
    id: &str,
    image: Option<&Path>,
) -> Result<(), HostError> {
    machine.disk_plan(id)?;
    let doing = format!("changing the disc in {id}");
    let doing = doing.as_str();
    let drive = QemuDrive { machine, id, doing };
    drive.call_with_open_tray("blockdev-remove-medium", json!({"id": id})).await?;
    remove_nodes(&machine.qmp, id).await;
    if let Some(image) = image {
        let set = add_file(machine, image).await?;
        let file = format!("d.{id}.disc");
        let nodes = [
            json!({"driver": "file", "node-name": file, "read-only": true, "filename": format!("/dev/fdset/{set}")}),
            json!({"driver": "raw", "node-name": format!("d.{id}"), "read-only": true, "file": file}),
        ];
        for node in nodes {
            machine.qmp.call(doing, "blockdev-add", node).await?;
        }
        let insert = json!({"id": id, "node-name": format!("d.{id}")});
        drive.call_with_open_tray("blockdev-insert-medium", insert).await?;
    }
    machine.qmp.call(doing, "blockdev-close-tray", json!({"id": id})).await?;
    let mut disks = locked(&machine.disks);
    for plan in disks.iter_mut().filter(|plan| plan.disk.id == id) {
        plan.layers = image
            .iter()
            .map(|path| Layer { path: path.to_path_buf(), driver: "raw".into(), ours: false })
            .collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A drive whose guest closes the tray after each of the first `closes` openings.
    #[derive(Default)]
    struct Stubborn {
        closes: usize,
        /// Whether the command is refused although the tray is open.
        refuses: bool,
        opened: AtomicUsize,
    }

    #[async_trait]
    impl Drive for Stubborn {
        async fn open(&self) -> Result<(), HostError> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        async fn call(&self, _: &str, _: Value) -> Result<(), HostError> {
            if self.refuses || self.opened.load(Ordering::Relaxed) <= self.closes {
                let why = "Tray of device 'cdrom' is not open".into();
                return Err(HostError::Refused { doing: "a test".into(), why });
            }
            Ok(())
        }

        fn closings(&self) -> usize {
            self.opened.load(Ordering::Relaxed).min(self.closes)
        }
    }

    async fn change(drive: &Stubborn) -> (Result<(), HostError>, usize) {
        let ended = drive.call_with_open_tray("blockdev-remove-medium", json!({})).await;
        (ended, drive.opened.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_tray_that_the_guest_closes_is_opened_again() {
        for closes in [0, 3] {
            let (ended, opened) = change(&Stubborn { closes, ..Stubborn::default() }).await;
            assert!(ended.is_ok());
            assert_eq!(opened, closes + 1);
        }
    }

    #[tokio::test]
    async fn a_guest_that_always_closes_its_tray_is_an_error_and_no_endless_loop() {
        let (ended, opened) = change(&Stubborn { closes: usize::MAX, ..Stubborn::default() }).await;
        assert!(matches!(ended, Err(HostError::Refused { .. })));
        assert_eq!(opened, OPENINGS);
    }

    #[tokio::test]
    async fn a_refusal_with_the_tray_still_open_is_told_at_once() {
        let (ended, opened) = change(&Stubborn { refuses: true, ..Stubborn::default() }).await;
        assert!(matches!(ended, Err(HostError::Refused { .. })));
        assert_eq!(opened, 1);
    }
}
