//! Files that are being written, and what is left of them where their writer was killed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

const PREFIX: &str = ".partial-";
/// A file this young may have been made and not yet locked.
const YOUNG: Duration = Duration::from_secs(60);

/// Begins a file in this folder that is put in place by a rename. It is locked until then.
///
/// # Errors
/// If it cannot be made.
pub fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
    file.as_file().lock()?;
    Ok(file)
}

/// Removes what writers that are gone left in this folder. What cannot be looked at or removed stays: the next one
/// tries again.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let old = |path: &Path| {
            let written = fs::symlink_metadata(path).and_then(|found| found.modified()).ok()?;
            Some(written.elapsed().ok()? > YOUNG)
        };
        let path = entry.path();
        if !ours || old(&path) != Some(true) {
            continue;
        }
        // Whoever still writes it holds its lock.
        let left = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if left && let Err(error) = fs::remove_file(&path) {
            tracing::warn!("{} is left of a write that broke off: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn aged(path: &Path) {
        let file = File::options().write(true).open(path).expect("opens");
        file.set_modified(SystemTime::now() - 2 * YOUNG).expect("set");
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let killed = begin(folder.path()).expect("made").keep().expect("kept").1;
        let written = begin(folder.path()).expect("made");
        let young = begin(folder.path()).expect("made").keep().expect("kept").1;
        let other = folder.path().join("inbox.json");
        fs::write(&other, b"{}").expect("written");
        for path in [&killed, written.path(), &other] {
            aged(path);
        }
        sweep(folder.path());
        assert!(!killed.exists());
        assert!(written.path().exists() && young.exists() && other.exists());
    }
}
