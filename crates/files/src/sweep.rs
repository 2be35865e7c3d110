//! What is left of files whose writer was killed.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::PARTIAL;

/// A file this young may have been made and not yet locked.
const YOUNG: Duration = Duration::from_secs(60);

/// Removes what writers that are gone left in this folder ([`Begun::beside`](crate::Begun::beside)). What cannot be looked
/// at or removed stays: the next one tries again.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PARTIAL));
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
        if left {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Access, Begun};

    fn aged(path: &Path) {
        let file = File::options().write(true).open(path).expect("opens");
        file.set_modified(SystemTime::now() - 2 * YOUNG).expect("set");
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (killed, young, other) = (at(".partial-a"), at(".partial-b"), at("inbox.json"));
        for path in [&killed, &young, &other] {
            fs::write(path, b"{}").expect("written");
        }
        let written = Begun::beside(&at("record.json"), Access::Public).expect("begun");
        let partial =
            fs::read_dir(folder.path()).expect("listed").map(|entry| entry.expect("read").path());
        let partial: Vec<_> =
            partial.filter(|path| ![&killed, &young, &other].contains(&path)).collect();
        partial.iter().chain([&killed, &other]).for_each(|path| aged(path));
        sweep(folder.path());
        assert!(!killed.exists() && young.exists() && other.exists());
        written.place().expect("it was left alone");
        assert!(at("record.json").exists());
    }
}
