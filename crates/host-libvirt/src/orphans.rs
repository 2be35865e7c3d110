//! Machines that an earlier start of ours left running: found by what it noted, and ended.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use hospitium_host::local::{self, boot_id};
use hospitium_host::{HostError, Orphan, Reaper};
use serde::{Deserialize, Serialize};
use virt::connect::Connect;
use virt::domain::Domain;

use crate::place::is_ours;
use crate::vmm::Vmm;

/// The note in a machine's folder.
const NOTE: &str = "libvirt.json";
/// A daemon that does not answer by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is noted of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    uri: String,
    uuid: [u8; 16],
    /// The boot that it was in.
    boot: String,
    vmm: Option<Vmm>,
    /// Folders elsewhere that go with it.
    folders: Vec<PathBuf>,
}

impl Note {
    pub(crate) fn new(uri: &str, uuid: [u8; 16], folders: Vec<PathBuf>) -> Self {
        Self { uri: uri.to_owned(), uuid, boot: boot_id(), vmm: None, folders }
    }

    pub(crate) fn with(self, vmm: Option<Vmm>) -> Self {
        Self { vmm, ..self }
    }

    /// Writes it into the machine's folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), HostError> {
        let path = folder.join(NOTE);
        let text = serde_json::to_vec(self).map_err(std::io::Error::other);
        text.and_then(|text| std::fs::write(&path, text))
            .map_err(HostError::io(format!("writing {}", path.display())))
    }

    fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(NOTE);
        if std::fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file())?.len() > 16384 {
            return None;
        }
        let note: Self = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        (note.boot == boot_id()).then_some(note)
    }
}

/// Ends machines of this driver that a killed process of ours left running.
#[derive(Debug, Clone, Copy)]
pub struct LibvirtReaper;

impl Reaper for LibvirtReaper {
    fn end_orphans(&self, folder: &Path) -> Vec<Orphan> {
        local::end_orphans(folder, &end_noted)
    }
}

/// Ends the machine that is noted in a folder, and removes what goes with it elsewhere.
fn end_noted(folder: &Path) -> Option<Orphan> {
    let note = Note::read(folder)?;
    let ended = end(&note);
    for folder in note.folders.iter().filter(|folder| is_ours(folder)) {
        let _ = std::fs::remove_dir_all(folder);
    }
    let pid = note.vmm.as_ref().map_or(0, Vmm::pid);
    ended.then(|| Orphan { pid, folder: folder.to_owned() })
}

/// Ends a machine: by its daemon, or where that is gone, by its process.
fn end(note: &Note) -> bool {
    let (answer, answered) = mpsc::channel();
    let (uri, uuid) = (note.uri.clone(), note.uuid);
    let ask = move || {
        let _ = answer.send(end_by_daemon(&uri, uuid));
    };
    let asked = std::thread::Builder::new().name("libvirt orphan".into()).spawn(ask);
    let by_daemon = asked.is_ok() && answered.recv_timeout(PATIENCE) == Ok(true);
    by_daemon || note.vmm.as_ref().is_some_and(Vmm::kill)
}

fn end_by_daemon(uri: &str, uuid: [u8; 16]) -> bool {
    virt::error::clear_error_callback();
    let Ok(connect) = Connect::open(Some(uri)) else { return false };
    let text = uuid.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let domain = Domain::lookup_by_uuid_string(&connect, &text);
    domain.is_ok_and(|domain| domain.destroy().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_name_no_machine_of_ours_end_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = tempfile::tempdir().expect("a folder");
        let uri = "qemu:///session?socket=/nowhere/at/all";
        let note = Note::new(uri, [7; 16], vec![kept.path().to_owned()]);
        note.with(Vmm::of(std::process::id())).write(folder.path()).expect("noted");
        assert_eq!(LibvirtReaper.end_orphans(folder.path()), []);
        assert!(kept.path().exists(), "a folder that is not ours was removed");
        for bad in ["", "{", "{\"uri\":1}"] {
            std::fs::write(folder.path().join(NOTE), bad).expect("written");
            assert_eq!(LibvirtReaper.end_orphans(folder.path()), []);
        }
    }
}
