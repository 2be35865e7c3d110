//! A VMM that is started before it is asked for.
//!
//! Half of the time until a clone answers is its VMM's start, and up to where that takes in the machine's state nothing in
//! it is of this clone or that, but the name of its folder. So the next clone's VMM can wait beside those that run. It has
//! files, a user and a generation id of its own as any other has; nothing has run in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::process::LOG;
use crate::snapshot::Waiting;
use crate::{Inner, files, orphans};
use hospitium_host::{Generation, HostError, Snapshot, WorkDir};

/// The VMMs that wait: one at most for each snapshot.
#[derive(Default)]
pub(crate) struct Ahead(Mutex<Vec<(Snapshot, Start)>>);

/// A VMM that is being started, or that waits.
struct Start(JoinHandle<Result<(Waiting, Scrap), HostError>>);

impl Drop for Start {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A folder that is removed in the end.
struct Scrap(PathBuf);

impl Drop for Scrap {
    fn drop(&mut self) {
        // It lies within the folder of the lab, which is removed as a whole later.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Start {
    /// The VMM, with the folder that it is in; none if it could not be started.
    ///
    /// # Errors
    /// It ended, while it started or while it waited: that is told, as it is of any other clone's.
    async fn waiting(mut self) -> Result<Option<(Waiting, Scrap)>, HostError> {
        match (&mut self.0).await {
            Ok(Ok((waiting, scrap))) => match waiting.machine.process.has_ended() {
                Some(ended) => {
                    Err(HostError::Ended { doing: "waiting for a machine".into(), ended })
                }
                None => Ok(Some((waiting, scrap))),
            },
            Ok(Err(ended @ HostError::Ended { .. })) => Err(ended),
            // Starting it where it is wanted tells what is wrong, if that is still so.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}

impl Ahead {
    fn of(&self, snapshot: &Snapshot) -> Option<Start> {
        let mut all = locked(&self.0);
        let at = all.iter().position(|(of, _)| of == snapshot)?;
        Some(all.swap_remove(at).1)
    }

    /// The VMM that waits to be a machine of this snapshot, moved to its folder; none if none waits.
    pub(crate) async fn take(
        &self,
        snapshot: &Snapshot,
        dir: &WorkDir,
    ) -> Result<Option<Waiting>, HostError> {
        let Some(start) = self.of(snapshot) else { return Ok(None) };
        let Some((mut waiting, scrap)) = start.waiting().await? else { return Ok(None) };
        waiting.machine.move_to(&scrap.0, dir)?;
        Ok(Some(waiting))
    }

    /// Starts one, unless one waits already, in a folder of its own within `folder`.
    pub(crate) fn start(&self, host: &Arc<Inner>, snapshot: &Snapshot, folder: &Path) {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let mut all = locked(&self.0);
        if all.iter().any(|(of, _)| of == snapshot) {
            return;
        }
        let name = format!("ahead-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = WorkDir { folder: folder.join(&name), name };
        let (host, of) = (host.clone(), snapshot.clone());
        let start = tokio::spawn(async move {
            let notes = host.verify(&of)?;
            let doing = format!("making {}", dir.folder.display());
            std::fs::create_dir(&dir.folder).map_err(HostError::io(doing))?;
            let scrap = Scrap(dir.folder.clone());
            Ok((host.wait_with(&of, notes, Generation::Fresh.into(), &dir).await?, scrap))
        });
        all.push((snapshot.clone(), Start(start)));
    }

    /// Kills the one of this snapshot.
    pub(crate) fn end(&self, snapshot: &Snapshot) {
        drop(self.of(snapshot));
    }
}

impl QemuMachine {
    /// Moves a machine in which nothing has run from the folder `from` to another. On its VMM's command line it keeps
    /// the name that it had.
    fn move_to(&mut self, from: &Path, dir: &WorkDir) -> Result<(), HostError> {
        self.folder = files::move_work_folder(from, &dir.folder)?;
        orphans::note(&dir.folder, self.process.pid())?;
        let log = dir.folder.join(LOG);
        match std::fs::rename(from.join(LOG), &log) {
            // It has said nothing so far.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            moved => moved.map_err(HostError::io(format!("moving a log to {}", log.display())))?,
        }
        self.process.log_to(log);
        self.outside.clone_from(&dir.folder);
        self.name.clone_from(&dir.name);
        Ok(())
    }
}
