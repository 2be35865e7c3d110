//! VMMs that an earlier start of ours left running: found by what it noted, and ended.

use std::path::Path;

use crate::files::work_folder_of;
use hospitium_host::local::{self, ProcessId};
use hospitium_host::{HostError, Orphan, Reaper};

/// The note in a machine's folder.
const NOTE: &str = "vmm.json";

/// Ends machines of this driver that a killed process of ours left running.
#[derive(Debug, Clone, Copy)]
pub struct QemuReaper;

impl Reaper for QemuReaper {
    fn end_orphans(&self, folder: &Path) -> Vec<Orphan> {
        local::end_orphans(folder, &end_noted)
    }
}

/// Notes the VMM of the machine in this folder.
pub(crate) fn note(folder: &Path, pid: u32) -> Result<(), HostError> {
    let path = folder.join(NOTE);
    // A process that has ended already needs no note.
    let Some(note) = ProcessId::of(pid) else {
        return Ok(());
    };
    let text = serde_json::to_vec(&note).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&path, text))
        .map_err(HostError::io(format!("writing {}", path.display())))
}

/// Ends the VMM that is noted in a folder, if it is the very process that was noted and a QEMU that works in that
/// folder.
fn end_noted(folder: &Path) -> Option<Orphan> {
    let path = folder.join(NOTE);
    if std::fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file())?.len() > 4096 {
        return None;
    }
    let note: ProcessId = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let is_ours = || {
        let works_in = std::fs::read_link(format!("/proc/{}/cwd", note.pid)).ok();
        works_in.is_some()
            && work_folder_of(folder).canonicalize().ok() == works_in
            && note.command().split(|&b| b == 0).any(|arg| arg == b"chardev=x.qmp,mode=control")
    };
    note.kill_if(is_ours).map(|_| Orphan { pid: note.pid, folder: folder.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_the_one_noted_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        note(folder.path(), std::process::id()).expect("noted");
        assert_eq!(QemuReaper.end_orphans(folder.path()), []);
        for bad in [
            "",
            "{",
            "{\"pid\":1,\"started\":0,\"boot\":\"\"}",
            "{\"pid\":4294967295,\"started\":0,\"boot\":\"\"}",
        ] {
            std::fs::write(folder.path().join(NOTE), bad).expect("written");
            assert_eq!(QemuReaper.end_orphans(folder.path()), []);
        }
    }
}
