//! A VMM that is started before it is asked for.
//!
//! Half of the time until a clone answers is its VMM's start, and up to where that takes in the machine's state nothing in
//! it is of this clone or that, but the name of its folder. So while clones are made of a snapshot, the next one's VMM waits
//! beside them. It has files, a user and a generation id of its own as any other has; nothing has run in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::machine::{QemuMachine, locked};
use super::snapshot::{Notes, Waiting};
use super::{Inner, files, orphans};
use crate::{HostError, Place, Snapshot};

/// File of what a VMM says on standard error.
pub(super) const LOG: &str = "vmm.log";

/// As many snapshots are known at most; of one that is forgotten for others no VMM is started ahead.
const KNOWN: usize = 8;

/// The VMMs that wait: one at most for each snapshot from which machines are made.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Vec<Known>>);

/// A snapshot from which a machine went on. Only with its second is a VMM started ahead: a check that
/// restores what it saved itself does so once.
struct Known {
    snapshot: Snapshot,
    next: Option<Start>,
}

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
    /// The VMM, with the folder that it is in. None if it could not be started or has ended.
    async fn waiting(mut self) -> Option<(Waiting, Scrap)> {
        let (waiting, scrap) = (&mut self.0).await.ok()?.ok()?;
        waiting.machine.process.ended().is_none().then_some((waiting, scrap))
    }
}

impl Ahead {
    /// The VMM that waits to be a machine of this snapshot, moved to its place. None if none waits: starting it where it
    /// is wanted tells what is wrong, if something is.
    pub(super) async fn take(
        &self,
        snapshot: &Snapshot,
        place: &Place,
    ) -> Result<Option<Waiting>, HostError> {
        let next = {
            let mut known = locked(&self.0);
            let found = known.iter_mut().find(|known| known.snapshot == *snapshot);
            found.and_then(|known| known.next.take())
        };
        let Some(next) = next else { return Ok(None) };
        let Some((mut waiting, scrap)) = next.waiting().await else { return Ok(None) };
        waiting.machine.move_to(&scrap.0, place)?;
        Ok(Some(waiting))
    }

    /// A machine went on from this snapshot, at this place. Starts the VMM of the next one.
    pub(super) fn prepare(
        &self,
        host: &Arc<Inner>,
        snapshot: &Snapshot,
        notes: Notes,
        place: &Place,
    ) {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let mut all = locked(&self.0);
        let Some(at) = all.iter().position(|known| known.snapshot == *snapshot) else {
            if all.len() == KNOWN {
                all.remove(0);
            }
            all.push(Known { snapshot: snapshot.clone(), next: None });
            return;
        };
        let mut known = all.remove(at);
        if let (None, Some(beside)) = (&known.next, place.folder.parent()) {
            let name = format!("ahead-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            let place = Place { folder: beside.join(&name), name };
            let (host, snapshot) = (host.clone(), snapshot.clone());
            known.next = Some(Start(tokio::spawn(async move {
                let doing = format!("making {}", place.folder.display());
                std::fs::create_dir(&place.folder).map_err(HostError::io(doing))?;
                let scrap = Scrap(place.folder.clone());
                Ok((host.wait_with(&snapshot, notes, &place).await?, scrap))
            })));
        }
        all.push(known);
    }

    /// No more machines go on from this snapshot.
    pub(super) async fn forget(&self, snapshot: &Snapshot) {
        let known = {
            let mut all = locked(&self.0);
            all.iter().position(|known| known.snapshot == *snapshot).map(|at| all.remove(at))
        };
        if let Some(next) = known.and_then(|known| known.next)
            && let Some((waiting, _scrap)) = next.waiting().await
        {
            waiting.machine.process.kill().await;
        }
    }
}

impl QemuMachine {
    /// Moves a machine in which nothing has run from the folder `from` to a place.
    fn move_to(&mut self, from: &Path, place: &Place) -> Result<(), HostError> {
        self.folder = files::move_work_folder(from, &place.folder)?;
        orphans::note(&place.folder, self.process.pid())?;
        self.process.log_to(place.folder.join(LOG));
        self.outside.clone_from(&place.folder);
        self.name.clone_from(&place.name);
        Ok(())
    }
}
