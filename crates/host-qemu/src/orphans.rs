//! VMMs that an earlier start of ours left running: found by what it noted, and ended.

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::files::work_folder_of;
use hospitium_host::{HostError, Orphan, Reaper};

/// The note in a machine's folder.
const NOTE: &str = "vmm.json";

/// What is noted of a VMM, enough not to take another process for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    pid: u32,
    /// Start time in clock ticks since boot: field 22 of /proc/PID/stat (proc_pid_stat(5)).
    started: u64,
    /// The boot that it was in.
    boot: String,
}

/// Ends machines of this driver that a killed process of ours left running.
#[derive(Debug, Clone, Copy)]
pub struct QemuReaper;

impl Reaper for QemuReaper {
    fn end_orphans(&self, folder: &Path) -> Vec<Orphan> {
        end_orphans(folder)
    }
}

/// Start time of a process, none if it is not there.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, can hold anything; what follows its last ')' can't.
    let rest = &stat[stat.rfind(')')? + 2..];
    rest.split(' ').nth(19)?.parse().ok()
}

/// Identifies this boot of the physical machine.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Notes the VMM of the machine in this folder.
pub(crate) fn note(folder: &Path, pid: u32) -> Result<(), HostError> {
    let path = folder.join(NOTE);
    // A process that has ended already needs no note.
    let Some(started) = started(pid) else {
        return Ok(());
    };
    let note = Note { pid, started, boot: boot_id() };
    let text = serde_json::to_vec(&note).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&path, text))
        .map_err(HostError::io(format!("writing {}", path.display())))
}

/// Ends every VMM whose machine's folder lies in `folder`, up to four levels below. One is ended
/// only if it is the very process that was noted (same boot, id and start time) and a QEMU that
/// works in that folder.
fn end_orphans(folder: &Path) -> Vec<Orphan> {
    let mut ended = Vec::new();
    look_in(folder, 4, &mut ended);
    ended
}

fn look_in(folder: &Path, depth: u32, ended: &mut Vec<Orphan>) {
    if let Some(pid) = end_noted(folder) {
        ended.push(Orphan { pid, folder: folder.to_owned() });
    }
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            look_in(&entry.path(), depth, ended);
        }
    }
}

fn end_noted(folder: &Path) -> Option<u32> {
    let path = folder.join(NOTE);
    if std::fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file())?.len() > 4096 {
        return None;
    }
    let note: Note = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let pid = Pid::from_raw(i32::try_from(note.pid).ok()?)?;
    // Held from here on, so that the number can't come to mean another process.
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let works_here = std::fs::read_link(format!("/proc/{}/cwd", note.pid)).ok()?;
    let command = std::fs::read(format!("/proc/{}/cmdline", note.pid)).ok()?;
    let ours = note.boot == boot_id()
        && started(note.pid) == Some(note.started)
        && work_folder_of(folder).canonicalize().ok()? == works_here
        && command.split(|&b| b == 0).any(|arg| arg == b"chardev=x.qmp,mode=control");
    if !ours {
        return None;
    }
    pidfd_send_signal(&process, Signal::KILL).ok()?;
    let mut gone = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    let _ = rustix::event::poll(&mut gone, Some(&limit));
    Some(note.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_the_one_noted_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        note(folder.path(), std::process::id()).expect("noted");
        assert_eq!(end_orphans(folder.path()), []);
        for bad in [
            "",
            "{",
            "{\"pid\":1,\"started\":0,\"boot\":\"\"}",
            "{\"pid\":4294967295,\"started\":0,\"boot\":\"\"}",
        ] {
            std::fs::write(folder.path().join(NOTE), bad).expect("written");
            assert_eq!(end_orphans(folder.path()), []);
        }
    }
}
