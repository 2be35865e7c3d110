//! What guests and hosts keep below the cache's folder that can be made again: unpacked kernels and
//! converted images. Each is a file, or a folder with an `index.json`; whoever uses it holds a shared
//! lock on that file, and its time of change is the time of last use.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hospitium_model::ByteSize;

use super::taken;

/// A name that is only half made is somebody's work until it is this old.
const HALF_MADE: Duration = Duration::from_secs(24 * 3600);

struct Kept {
    path: PathBuf,
    /// The file to lock; none if it is half made.
    guard: Option<PathBuf>,
    size: u64,
    used: SystemTime,
}

/// Removes what was used longest ago until the rest of a folder is small enough, and what was left half
/// made long ago. What is in use stays. Returns how many went. A folder that is not there is empty.
///
/// # Errors
/// The folder cannot be read, or something in it not be removed.
pub fn trim_derived(folder: &Path, most: ByteSize) -> io::Result<usize> {
    let mut all = list(folder)?;
    all.sort_by_key(|kept| kept.used);
    let mut total: u64 = all.iter().map(|kept| kept.size).sum();
    let mut gone = 0;
    for kept in all {
        let removed = match &kept.guard {
            None => {
                let age = SystemTime::now().duration_since(kept.used).unwrap_or_default();
                age > HALF_MADE && remove(&kept.path)?
            }
            Some(_) if total <= most.as_bytes() => false,
            Some(guard) => {
                let lock = File::open(guard)?;
                lock.try_lock().is_ok() && remove(&kept.path)?
            }
        };
        if removed {
            total -= kept.size;
            gone += 1;
        }
    }
    Ok(gone)
}

/// How much room it takes, and how many there are.
///
/// # Errors
/// The folder cannot be read.
pub fn room_of_derived(folder: &Path) -> io::Result<(usize, ByteSize)> {
    let all = list(folder)?;
    Ok((all.len(), ByteSize::bytes(all.iter().map(|kept| kept.size).sum())))
}

fn list(folder: &Path) -> io::Result<Vec<Kept>> {
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for item in items {
        let item = item?;
        let path = item.path();
        // Gone in between is gone.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let half_made = item.file_name().as_encoded_bytes().starts_with(b".");
        let guard = match meta.is_dir() {
            true => Some(path.join("index.json")).filter(|index| index.is_file()),
            false => Some(path.clone()),
        };
        let guard = guard.filter(|_| !half_made);
        let used = guard.as_deref().map_or_else(|| meta.modified(), modified)?;
        let size = if meta.is_dir() { taken(&path) } else { meta.blocks() * 512 };
        all.push(Kept { path, guard, size, used });
    }
    Ok(all)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

/// True if it is gone.
fn remove(path: &Path) -> io::Result<bool> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Three files and a folder of 64 KiB each, used one, two, three and four days ago.
    fn filled() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, days) in [("a", 1), ("b", 2), ("c", 3)] {
            put(&folder.path().join(name), days);
        }
        let entry = folder.path().join("d");
        fs::create_dir(&entry).expect("made");
        fs::write(entry.join("vmlinuz"), vec![1; 64 << 10]).expect("written");
        put(&entry.join("index.json"), 4);
        folder
    }

    fn put(path: &Path, days: u32) {
        fs::write(path, vec![1; 64 << 10]).expect("written");
        let file = File::options().write(true).open(path).expect("opens");
        file.set_modified(SystemTime::now() - DAY * days).expect("set");
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let items = fs::read_dir(folder.path()).expect("reads");
        let mut names: Vec<_> = items
            .map(|item| item.expect("reads").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = filled();
        assert_eq!(trim_derived(folder.path(), ByteSize::mib(1)).expect("trims"), 0);
        assert_eq!(trim_derived(folder.path(), ByteSize::bytes(130 << 10)).expect("trims"), 2);
        assert_eq!(names(&folder), ["a", "b"]);
    }

    #[test]
    fn what_is_in_use_stays() {
        let folder = filled();
        let file = File::open(folder.path().join("d/index.json")).expect("opens");
        file.lock_shared().expect("locks");
        assert_eq!(trim_derived(folder.path(), ByteSize::default()).expect("trims"), 3);
        assert_eq!(names(&folder), ["d"]);
        drop(file);
        assert_eq!(trim_derived(folder.path(), ByteSize::default()).expect("trims"), 1);
    }

    #[test]
    fn half_made_things_go_when_they_are_old() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&folder.path().join(".making-new"), 0);
        put(&folder.path().join(".making-old"), 2);
        assert_eq!(trim_derived(folder.path(), ByteSize::default()).expect("trims"), 1);
        assert_eq!(names(&folder), [".making-new"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = folder.path().join("gone");
        assert_eq!(trim_derived(&gone, ByteSize::default()).expect("is no error"), 0);
    }
}
