//! The folder of the machines of one run, and what is done about those of runs that were killed.
//!
//! `work/<run>/` holds every file of every machine of a run, `owner.json` that says which run it is,
//! and `lock`, held by the process that runs it. The lock ends with the process, however it
//! ends; so a folder whose lock is free was left behind, and its machines are orphans of ours.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use hospitium_host::Reapers;
use hospitium_model::chain;
use serde::{Deserialize, Serialize};

use crate::{RunError, RunEvent};

const OWNER: &str = "owner.json";
const LOCK: &str = "lock";

/// Whose folder it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// Where its evidence goes, if it leaves any.
    evidence: Option<PathBuf>,
}

/// The folder of this run's machines. Removed when dropped.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// Makes `work/<run>/` for the run whose evidence goes to `evidence`, if it leaves any.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(work: &Path, run: &str, evidence: Option<&Path>) -> Result<Self, RunError> {
        let path = work.join(run);
        let error = |doing: &'static str| RunError::io(doing, &path);
        fs::create_dir_all(work).map_err(error("make the folder of"))?;
        // Made under another name and renamed when its lock is held: whoever looks meanwhile sees
        // no folder that nobody holds.
        let partial = work.join(format!(".{run}"));
        fs::create_dir(&partial).map_err(error("make"))?;
        let lock = File::create(partial.join(LOCK)).map_err(error("make the lock of"))?;
        lock.try_lock().map_err(|e| error("lock")(io::Error::from(e)))?;
        let owner = serde_json::to_vec(&Owner { evidence: evidence.map(Path::to_owned) });
        let owner = owner.map_err(|e| error("describe")(e.into()))?;
        fs::write(partial.join(OWNER), owner).map_err(error("write into"))?;
        fs::rename(&partial, &path).map_err(error("make"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the machines' files and leaves the rest to [`recover`], as a run that was killed does.
    pub fn leave_to_recovery(mut self) {
        for item in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                // What cannot be removed now is removed by the recovery.
                let _ = fs::remove_dir_all(item.path());
            }
        }
        self.path = PathBuf::new();
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Puts in order what killed runs left under `work`: ends machines that still run, finishes the
/// evidence (what was finished is kept, the rest is `miss`), removes the machines' files. Says what
/// it did. What cannot be put in order is said too and is no reason not to go on.
pub fn recover(work: &Path, reapers: &Reapers) -> Vec<RunEvent> {
    let Ok(items) = fs::read_dir(work) else {
        return Vec::new();
    };
    items.flatten().filter_map(|item| recover_one(&item.path(), reapers)).collect()
}

fn recover_one(folder: &Path, reapers: &Reapers) -> Option<RunEvent> {
    let lock = File::open(folder.join(LOCK)).ok();
    match lock.as_ref().map(File::try_lock) {
        Some(Err(TryLockError::WouldBlock)) => return None,
        // A folder without a lock was cut off while it was made, or belongs to nobody.
        None if !folder.file_name()?.to_string_lossy().starts_with('.') => return None,
        _ => {}
    }
    let owner = fs::read(folder.join(OWNER)).ok();
    let owner: Option<Owner> = owner.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let ended = reapers.iter().map(|reaper| reaper.end_orphans(folder).len()).sum::<usize>();
    let mut words = Vec::new();
    if ended > 0 {
        words.push(format!("ended {ended} of its machines that still ran"));
    }
    let evidence = owner.and_then(|owner| owner.evidence);
    if let Some(evidence) = &evidence {
        match hospitium_evidence::recover(evidence) {
            Ok(found) => words.push(format!(
                "kept {} finished checks, marked {} as miss, {} cells had not begun",
                found.kept, found.missed, found.not_started
            )),
            // It ended in order and only its machines' files were left, or it never began.
            Err(
                hospitium_evidence::WriteError::Complete { .. }
                | hospitium_evidence::WriteError::NoRun { .. },
            ) => {}
            Err(error) => {
                words.push(format!("its evidence could not be finished: {}", chain(&error)))
            }
        }
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        words.push(format!("{} could not be removed: {error}", folder.display()));
    }
    (!words.is_empty()).then(|| RunEvent::Recovered { run: evidence, words: words.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_killed_run_goes_and_that_of_a_living_one_stays() {
        let top = tempfile::tempdir().expect("a folder");
        let work = top.path().join("work");
        let living = WorkFolder::make(&work, "living", Some(&top.path().join("a"))).expect("made");
        let dead = WorkFolder::make(&work, "dead", Some(&top.path().join("b"))).expect("made");
        // As when the process is killed: the lock is free, the folder is not removed.
        dead._lock.unlock().expect("unlocks");
        recover(&work, &Reapers::from([]));
        assert!(!dead.path().exists());
        assert!(living.path().exists());
    }

    #[test]
    fn folders_that_are_not_ours_are_left_alone() {
        let top = tempfile::tempdir().expect("a folder");
        fs::create_dir(top.path().join("photos")).expect("made");
        assert_eq!(recover(top.path(), &Reapers::from([])), []);
        assert!(top.path().join("photos").exists());
    }
}
