//! Files that are there whole or not at all: written beside their place, and put there by a rename.
//!
//! [`replace`] and [`replace_durably`] are for those that fit into memory, [`Begun`] for all others and for whoever does
//! something between the steps.

mod begun;
mod sweep;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

pub use begun::{Access, Begun};
pub use sweep::sweep;

/// How the name of a file begins that is not whole yet.
pub const PARTIAL: &str = ".partial-";

/// The folder in which a path is.
pub fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Sees that the names in a folder are on the medium.
///
/// # Errors
/// If the system refuses.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a file that everybody may read and that can be made again: a crash of the computer may lose it.
///
/// # Errors
/// If the system refuses. What was there before stays then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut begun = Begun::beside(path, Access::Public)?;
    begun.write_all(bytes)?;
    begun.place()
}

/// Writes a file; its bytes and its name are on the medium when this returns.
///
/// # Errors
/// If the system refuses. What was there before stays then, unless only its name could not be brought to the medium.
pub fn replace_durably(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut begun = Begun::beside(path, access)?;
    begun.write_all(bytes)?;
    begun.flush_to_medium()?;
    begun.place()?;
    sync_folder(above(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("read").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.json");
        replace(&path, b"one").expect("written");
        replace_durably(&path, b"two", Access::Secret).expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(names(folder.path()), ["record.json"]);
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn what_is_given_up_leaves_what_was_there_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.json");
        replace(&path, b"before").expect("written");
        let mut begun = Begun::beside(&path, Access::Public).expect("begun");
        begun.write_all(b"half").expect("written");
        drop(begun);
        // Nor does a place that is a folder take it.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).expect("made");
        replace(&taken, b"bytes").expect_err("a folder");
        assert_eq!(fs::read(&path).expect("read"), b"before");
        assert_eq!(names(folder.path()), ["record.json", "taken"]);
    }

    #[test]
    fn who_writes_alone_finds_what_a_crash_left_and_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        let left = folder.path().join(format!("{PARTIAL}key.pem"));
        fs::write(&left, b"half a key").expect("written");
        let mut begun = Begun::alone(&path, Access::Secret).expect("begun");
        begun.write_all(b"whole").expect("written");
        begun.place().expect("placed");
        assert_eq!(fs::read(&path).expect("read"), b"whole");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "not what the one that was left had");
        assert_eq!(names(folder.path()), ["key.pem"]);
    }

    #[test]
    fn a_name_without_a_folder_is_of_the_working_folder() {
        assert_eq!(above(Path::new("run.json")), Path::new("."));
        assert_eq!(above(Path::new("/tmp/run.json")), Path::new("/tmp"));
    }
}
