//! Evidence that is at hand: found by the digest that a certificate names, read with distrust, and
//! never by a path that came from outside.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hospitium_evidence::Bundle;
use hospitium_ledger::EvidenceFound;
use hospitium_ledger::statement::Validation;
use hospitium_model::Digest;
use jiff::Timestamp;

/// Entries of a folder that are looked at.
const ENTRIES: usize = 2000;
/// Largest manifest that is read, in bytes.
const MANIFEST: u64 = 16 << 20;
/// Bundles that are kept open.
const OPEN: usize = 4;
/// How long what was read of a bundle is taken as it was.
const KEPT: Duration = Duration::from_secs(300);
/// Files of a bundle from whose changes on none are looked for.
const FILES: usize = 100_000;
/// Comparisons that are remembered.
const COMPARED: usize = 1000;

/// The folders, and what was read of them.
#[derive(Debug, Default)]
pub struct Evidence {
    folders: Vec<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Digests of manifests, by file, as long as its time and size stay.
    manifests: HashMap<PathBuf, (Option<SystemTime>, u64, Digest)>,
    bundles: Vec<(Digest, Instant, Arc<Bundle>)>,
    compared: HashMap<Digest, Compared>,
}

/// What became of a certificate's evidence when it was looked at.
#[derive(Debug, Clone)]
pub struct Compared {
    /// What.
    pub found: EvidenceFound,
    /// When.
    pub at: Timestamp,
    /// What the system says of its files then: their sizes, and when they were changed last.
    state: Digest,
}

impl Evidence {
    /// Evidence under these folders: each is a bundle, or holds bundles, or runs with bundles in them.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, held: Mutex::default() }
    }

    /// Whether no folder is named.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bundle whose manifest has this digest. Reads files; not for a thread that must not wait.
    pub fn find(&self, manifest: Digest) -> Option<PathBuf> {
        self.folders.iter().find_map(|folder| {
            if self.is(folder, manifest) {
                return Some(folder.clone());
            }
            let entries = std::fs::read_dir(folder).ok()?.flatten().take(ENTRIES);
            let mut places = entries.map(|entry| entry.path());
            places.find_map(|place| {
                let inside = place.join("evidence");
                [place, inside].into_iter().find(|place| self.is(place, manifest))
            })
        })
    }

    /// Whether a folder or an archive is the bundle.
    fn is(&self, place: &Path, wanted: Digest) -> bool {
        let archive = place.to_string_lossy().ends_with(".tar.zst");
        let file = if archive { place.to_owned() } else { place.join("manifest.json") };
        let Ok(meta) = std::fs::metadata(&file) else { return false };
        if !meta.is_file() {
            return false;
        }
        let state = (meta.modified().ok(), meta.len());
        if let Some((time, size, digest)) = self.held().manifests.get(&file)
            && (*time, *size) == state
        {
            return *digest == wanted;
        }
        let digest = if archive {
            Bundle::open(place).ok().map(|bundle| bundle.digest)
        } else {
            let mut bytes = Vec::new();
            let read = std::fs::File::open(&file)
                .and_then(|file| file.take(MANIFEST + 1).read_to_end(&mut bytes));
            (read.is_ok() && bytes.len() as u64 <= MANIFEST).then(|| Digest::of(&bytes))
        };
        let Some(digest) = digest else { return false };
        let mut held = self.held();
        if held.manifests.len() > ENTRIES * 4 {
            held.manifests.clear();
        }
        held.manifests.insert(file, (state.0, state.1, digest));
        digest == wanted
    }

    /// The bundle, opened. Reads files.
    pub fn bundle(&self, manifest: Digest) -> Option<Arc<Bundle>> {
        self.held().bundles.retain(|(_, at, _)| at.elapsed() < KEPT);
        if let Some((_, _, bundle)) =
            self.held().bundles.iter().find(|(digest, ..)| *digest == manifest)
        {
            return Some(Arc::clone(bundle));
        }
        let bundle = Arc::new(Bundle::open(&self.find(manifest)?).ok()?);
        // What changed since it was found is another bundle.
        if bundle.digest != manifest {
            return None;
        }
        let mut held = self.held();
        if held.bundles.len() >= OPEN {
            held.bundles.remove(0);
        }
        held.bundles.push((manifest, Instant::now(), Arc::clone(&bundle)));
        Some(bundle)
    }

    /// What becomes of a certificate's evidence, if there is any here. Every file is read and compared;
    /// that is remembered for as long as the system says that none of them changed, and five minutes at
    /// most.
    pub fn compare(&self, record: Digest, validation: &Validation) -> Option<Compared> {
        let manifest = validation.hospitium.evidence.manifest;
        let place = self.find(manifest)?;
        // Before they are read: what changes meanwhile is read again the next time.
        let state = state(&place);
        let now = Timestamp::now();
        let known = self.held().compared.get(&record).cloned();
        let kept = |known: &Compared| {
            known.state == state && now.duration_since(known.at).unsigned_abs() < KEPT
        };
        if let Some(known) = known.filter(kept) {
            return Some(known);
        }
        let found = hospitium_ledger::compare_evidence(&place, validation);
        let compared = Compared { found, at: now, state };
        let mut held = self.held();
        if held.compared.len() >= COMPARED {
            held.compared.clear();
        }
        held.compared.insert(record, compared.clone());
        held.bundles.retain(|(digest, ..)| *digest != manifest);
        Some(compared)
    }
}

/// What the system says of all files of a bundle. A change of any of them changes it: also where the time of
/// its content was put back, which the time of its entry shows.
fn state(place: &Path) -> Digest {
    let mut told = Vec::new();
    let mut folders = vec![place.to_owned()];
    while let Some(path) = folders.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        told.push(format!(
            "{}\n{} {} {} {} {}",
            path.display(),
            meta.ino(),
            meta.len(),
            meta.mode(),
            meta.ctime(),
            meta.ctime_nsec()
        ));
        if meta.is_dir() && told.len() < FILES {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| entry.path()));
        }
    }
    told.sort();
    Digest::of(told.join("\n").as_bytes())
}
