//! Files of a party and of a log: read within bounds, never through links; written whole or not at
//! all, in an order that outlives a crash at any point.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hospitium_files::{Begun, above};
use rustix::fs::OFlags;

use crate::fault;

pub use hospitium_files::Access;

/// What could not be done to which file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Larger than a file of its kind may be.
    #[error(
        "{path} has more than the {limit} bytes that such a file may have; it was not read",
        path = path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most accepted.
        limit: u64,
    },
    /// A folder, link, device, pipe or socket.
    #[error("{path} is not a plain file", path = path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// A secret that others can read.
    #[error(
        "{path} holds a secret key and others can get at it (mode {mode:04o}); if nobody has read \
         it, run: chmod 600 {path}; otherwise make a new key and record the change",
        path = path.display()
    )]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl FileError {
    /// True if the file is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { doing, path, source }
}

/// Opens a plain file; never a link as its last component, never waiting on a pipe.
fn open_plain(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|source| {
        if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            FileError::NotAFile { path: path.to_owned() }
        } else {
            FileError::Io { doing: "open", path: path.to_owned(), source }
        }
    })?;
    let meta = file.metadata().map_err(io_error("look at", path))?;
    if meta.is_file() { Ok(file) } else { Err(FileError::NotAFile { path: path.to_owned() }) }
}

/// Opens a plain file of at most `limit` bytes, and tells how many it has.
pub fn open_bounded(path: &Path, limit: u64) -> Result<(File, u64), FileError> {
    let file = open_plain(path)?;
    let size = file.metadata().map_err(io_error("look at", path))?.len();
    if size > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok((file, size))
}

/// Reads a plain file of at most `limit` bytes; a larger one is refused by its size, unread.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_open(open_plain(path)?, path, limit)
}

/// The same for a secret, which only its owner may be able to read.
pub fn read_secret(path: &Path, limit: u64) -> Result<zeroize::Zeroizing<Vec<u8>>, FileError> {
    let file = open_plain(path)?;
    let mode = file.metadata().map_err(io_error("look at", path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    // Room for all of it at once: a vector that grows leaves copies behind.
    let size = usize::try_from(limit).unwrap_or_default() + 1;
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(size));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn read_open(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge { path: path.to_owned(), limit };
    let size = file.metadata().map_err(io_error("look at", path))?.len();
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Makes a folder and those above it, and sees that their names are on the medium.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    fault::point();
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other.map_err(io_error("make", path))?,
    }
    sync_folder(above(path))
}

/// Sees that the names in a folder are on the medium.
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    fault::point();
    hospitium_files::sync_folder(path).map_err(io_error("flush", path))
}

/// Writes a file under another name, flushes it, and renames it to its place. Its name is on the
/// medium after [`sync_folder`].
pub fn put(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let mut begun = Begun::alone(path, access).map_err(io_error("make", path))?;
    fault::point();
    // In two halves, so that a test can stop between them.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    begun.write_all(first).map_err(io_error("write", path))?;
    fault::point();
    begun.write_all(second).map_err(io_error("write", path))?;
    fault::point();
    begun.flush_to_medium().map_err(io_error("flush", path))?;
    fault::point();
    begun.place().map_err(io_error("put in place", path))?;
    fault::point();
    Ok(())
}

/// [`put`], and its name is on the medium too.
pub fn put_durably(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    put(path, bytes, access)?;
    sync_folder(above(path))
}

/// Removes a file that may not be there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    fault::point();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// A lock that is held.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is about to be started has a copy for a moment.
        let _ = self.0.unlock();
    }
}

/// Takes the lock file at `path`, or gives nothing if another process has it. Released when dropped.
pub fn lock(path: &Path) -> Result<Option<Lock>, FileError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(path)
        .map_err(io_error("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_above_its_bound_is_refused_unread() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("huge");
        let file = File::create(&path).expect("made");
        file.set_len(1 << 40).expect("sparse");
        assert!(matches!(read(&path, 1 << 20), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn links_folders_and_devices_are_not_read() {
        let top = tempfile::tempdir().expect("a folder");
        let link = top.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("made");
        for bad in [&link, top.path(), Path::new("/dev/zero")] {
            assert!(matches!(read(bad, 100), Err(FileError::NotAFile { .. })), "{}", bad.display());
        }
    }

    #[test]
    fn what_is_put_replaces_what_was_there_and_leaves_nothing_else() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("file");
        for text in ["one", "two"] {
            put_durably(&path, text.as_bytes(), Access::Public).expect("written");
            assert_eq!(read(&path, 10).expect("read"), text.as_bytes());
        }
        assert_eq!(fs::read_dir(top.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("key");
        put(&path, b"secret", Access::Secret).expect("written");
        assert_eq!(read_secret(&path, 10).expect("read").as_slice(), b"secret");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert!(matches!(read_secret(&path, 10), Err(FileError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_lock_excludes_a_second_one_until_it_is_dropped() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("lock");
        let first = lock(&path).expect("works").expect("free");
        assert!(lock(&path).expect("works").is_none());
        drop(first);
        assert!(lock(&path).expect("works").is_some());
    }
}
