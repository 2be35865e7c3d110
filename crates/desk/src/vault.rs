//! Attachments: files in a folder, by the SHA-256 of their bytes. They are streamed; none is ever held in memory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hospitium_files::{Access, Begun, sync_folder};
use hospitium_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::case::Attached;
use crate::facts::LARGEST_ATTACHMENT;
use crate::people::Side;
use crate::text::CaseId;

/// The folder of what is not whole yet.
const MAKING: &str = ".partial";

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Why an attachment was not taken or given.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
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
    /// What is read from broke off.
    #[error("the attachment cannot be read")]
    Source(#[source] io::Error),
    /// Larger than allowed, or than it was said to be.
    #[error("the attachment has more than {most} bytes; nothing of it was kept")]
    TooLarge {
        /// The bound.
        most: u64,
    },
    /// Empty.
    #[error("the attachment is empty")]
    Empty,
    /// Other bytes than were announced.
    #[error(
        "the attachment's bytes are others than were announced: {found} instead of {due}; nothing of it was kept"
    )]
    Other {
        /// The digest of the bytes that came.
        found: Digest,
        /// The one that was announced.
        due: Digest,
    },
    /// Not here.
    #[error("the attachment {0} is not here yet")]
    Absent(Digest),
    /// A piece that does not continue what is here.
    #[error(
        "{have} bytes of the attachment are here, so the next piece begins there and not at {from}"
    )]
    Gap {
        /// How many bytes are here.
        have: u64,
        /// Where the piece begins.
        from: u64,
    },
    /// Somebody else brings it, or its bytes are being verified.
    #[error("the attachment {0} is being brought by another request; ask again in a moment")]
    Busy(Digest),
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// So many bytes are here now.
    Part(u64),
    /// It is whole, and its bytes are those that were announced.
    Whole,
}

/// A folder of attachments.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
    /// Where files are until they are whole.
    making: PathBuf,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { doing, path, source }
}

impl Vault {
    /// The attachments of this folder, which is made if it is not there, for its owner only.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        let vault = Self { folder: folder.to_owned(), making: folder.join(MAKING) };
        vault.make()?;
        hospitium_files::sweep(&vault.making);
        Ok(vault)
    }

    fn make(&self) -> Result<(), VaultError> {
        use std::os::unix::fs::DirBuilderExt as _;
        [&self.folder, &self.making].into_iter().try_for_each(|folder| {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(failed("make", folder))
        })
    }

    /// What the other party of a case brought in that case. It is apart from what is here otherwise: who only names the
    /// digest of a file that he never had gets nothing by that.
    #[must_use]
    pub fn theirs(&self, case: &CaseId) -> Self {
        Self { folder: self.folder.join(case.as_str()), making: self.making.clone() }
    }

    /// An attachment of a case as this side has it: all its bytes, ours or as the other party brought them.
    ///
    /// # Errors
    /// If it is not here, or not in that size.
    pub fn of_case(&self, case: &CaseId, us: Side, file: &Attached) -> Result<File, VaultError> {
        let sha256 = &file.file.sha256;
        let opened = match file.by == us {
            true => self.get(sha256)?,
            false => self.theirs(case).get(sha256)?,
        };
        let size = opened.metadata().map_err(failed("look at", &self.path(sha256)))?.len();
        if size == file.file.size { Ok(opened) } else { Err(VaultError::Absent(*sha256)) }
    }

    /// Where an attachment is, or would be. The name is the digest's, so nothing that somebody sends becomes a path.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Whether it is here.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Takes an attachment in, of at most so many bytes. It is on the medium when this returns.
    ///
    /// # Errors
    /// If it is empty or too large, or cannot be read or written.
    pub fn put(&self, from: impl Read, most: u64) -> Result<(Digest, u64), VaultError> {
        self.stream(from, most, None)
    }

    /// Takes an attachment in that was announced with its digest and size.
    ///
    /// # Errors
    /// If the bytes are others, or cannot be read or written; nothing is kept then.
    pub fn put_announced(
        &self,
        from: impl Read,
        due: &Digest,
        size: u64,
    ) -> Result<(), VaultError> {
        self.stream(from, size, Some(due)).map(drop)
    }

    fn stream(
        &self,
        mut from: impl Read,
        most: u64,
        due: Option<&Digest>,
    ) -> Result<(Digest, u64), VaultError> {
        let most = most.min(LARGEST_ATTACHMENT);
        self.make()?;
        let making = &self.making;
        let begun = Begun::within(making, making, Access::Secret);
        let mut begun = begun.map_err(failed("write in", making))?;
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        let mut chunk = vec![0; CHUNK];
        loop {
            let got = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(VaultError::Source(error)),
            };
            let bytes = chunk.get(..got).unwrap_or_default();
            size += got as u64;
            if size > most {
                return Err(VaultError::TooLarge { most });
            }
            hash.update(bytes);
            begun.write_all(bytes).map_err(failed("write in", making))?;
        }
        if size == 0 {
            return Err(VaultError::Empty);
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if let Some(due) = due.filter(|due| **due != found) {
            return Err(VaultError::Other { found, due: *due });
        }
        let path = self.path(&found);
        begun.flush_to_medium().map_err(failed("flush", &path))?;
        begun.goes_to(&path);
        begun.place().map_err(failed("put in place", &path))?;
        sync_folder(&self.folder).map_err(failed("flush", &self.folder))?;
        Ok((found, size))
    }

    fn part(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!(".piece-{digest}"))
    }

    /// How many bytes are here of an attachment that comes in pieces: all, if it is whole.
    pub fn have(&self, due: &Digest, size: u64) -> u64 {
        if self.has(due) {
            return size;
        }
        fs::metadata(self.part(due)).map_or(0, |found| found.len())
    }

    /// Takes the next piece of an attachment in that was announced with its digest and size. Pieces outlive this
    /// process; when the last one is there, all bytes are verified, and it is on the medium when this returns.
    ///
    /// # Errors
    /// If the piece does not continue what is here ([`VaultError::Gap`]), somebody else brings the same attachment, or
    /// its bytes are others: then nothing of it is kept, and it may be brought again from its beginning.
    pub fn add(
        &self,
        due: &Digest,
        size: u64,
        from: u64,
        piece: &[u8],
    ) -> Result<Added, VaultError> {
        if size > LARGEST_ATTACHMENT {
            return Err(VaultError::TooLarge { most: LARGEST_ATTACHMENT });
        }
        if self.has(due) {
            return Ok(Added::Whole);
        }
        self.make()?;
        let path = self.part(due);
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).append(true).create(true).open(&path);
        let mut file = opened.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(VaultError::Busy(*due)),
            Err(fs::TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        // Whoever held the lock before may have finished it.
        if self.has(due) {
            return Ok(Added::Whole);
        }
        let have = file.metadata().map_err(failed("look at", &path))?.len();
        if have != from {
            return Err(VaultError::Gap { have, from });
        }
        let now = have + piece.len() as u64;
        if now > size {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            return Err(VaultError::TooLarge { most: size });
        }
        file.write_all(piece).map_err(failed("write", &path))?;
        if now < size {
            return Ok(Added::Part(now));
        }
        self.finish(due, &path, &mut file)
    }

    fn finish(&self, due: &Digest, path: &Path, file: &mut File) -> Result<Added, VaultError> {
        use std::io::Seek as _;
        file.rewind().map_err(failed("read", path))?;
        let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(got) => hash.update(chunk.get(..got).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", path)(error)),
            }
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if found != *due {
            fs::remove_file(path).map_err(failed("remove", path))?;
            return Err(VaultError::Other { found, due: *due });
        }
        file.sync_all().map_err(failed("flush", path))?;
        let whole = self.path(due);
        fs::rename(path, &whole).map_err(failed("put in place", &whole))?;
        sync_folder(&self.folder).map_err(failed("flush", &self.folder))?;
        Ok(Added::Whole)
    }

    /// Opens an attachment to be read.
    ///
    /// # Errors
    /// If it is not here.
    pub fn get(&self, digest: &Digest) -> Result<File, VaultError> {
        let path = self.path(digest);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(VaultError::Absent(*digest))
            }
            other => other.map_err(failed("open", &path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> (tempfile::TempDir, Vault) {
        let top = tempfile::tempdir().expect("a folder");
        let vault = Vault::open(&top.path().join("attachments")).expect("made");
        (top, vault)
    }

    fn names(vault: &Vault) -> usize {
        let count = |folder: &Path| fs::read_dir(folder).expect("listed").count();
        count(&vault.folder) - 1 + count(&vault.making)
    }

    #[test]
    fn an_attachment_comes_back_as_it_was() {
        let (_top, vault) = vault();
        let bytes = vec![7; 3 * CHUNK + 1];
        let (digest, size) = vault.put(bytes.as_slice(), 1 << 20).expect("taken");
        assert_eq!((digest, size), (Digest::of(&bytes), bytes.len() as u64));
        let mut read = Vec::new();
        vault.get(&digest).expect("there").read_to_end(&mut read).expect("read");
        assert_eq!(read, bytes);
        vault.put(bytes.as_slice(), 1 << 20).expect("again");
        assert_eq!(names(&vault), 1);
    }

    #[test]
    fn other_bytes_too_many_and_none_leave_nothing_behind() {
        let (_top, vault) = vault();
        let due = Digest::of(b"due");
        let other = vault.put_announced(b"other".as_slice(), &due, 5);
        assert!(matches!(other, Err(VaultError::Other { .. })));
        assert!(matches!(vault.put(b"four".as_slice(), 3), Err(VaultError::TooLarge { most: 3 })));
        let endless = vault.put_announced(io::repeat(1), &due, 3);
        assert!(matches!(endless, Err(VaultError::TooLarge { most: 3 })));
        assert!(matches!(vault.put(io::empty(), 3), Err(VaultError::Empty)));
        assert!(matches!(vault.get(&due), Err(VaultError::Absent(_))));
        assert_eq!(names(&vault), 0);
    }

    #[test]
    fn a_source_that_breaks_off_leaves_nothing_behind() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the line was cut"))
            }
        }
        let (_top, vault) = vault();
        let cut = vault.put(b"some".as_slice().chain(Broken), 100);
        assert!(matches!(cut, Err(VaultError::Source(_))));
        assert_eq!(names(&vault), 0);
    }

    #[test]
    fn an_attachment_comes_in_pieces_and_goes_on_where_it_broke_off() {
        let (_top, vault) = vault();
        let bytes: Vec<u8> = (0..3 * CHUNK + 5).map(|n| (n % 251) as u8).collect();
        let (due, size) = (Digest::of(&bytes), bytes.len() as u64);
        let first = &bytes[..CHUNK];
        assert_eq!(vault.add(&due, size, 0, first).expect("taken"), Added::Part(CHUNK as u64));
        // Said twice, or from elsewhere: what is here stays, and where to go on is told.
        for from in [0, 5, size] {
            let gap = vault.add(&due, size, from, first);
            assert!(matches!(gap, Err(VaultError::Gap { have, .. }) if have == CHUNK as u64));
        }
        assert_eq!((vault.have(&due, size), vault.has(&due)), (CHUNK as u64, false));
        let rest = vault.add(&due, size, CHUNK as u64, &bytes[CHUNK..]);
        assert_eq!(rest.expect("taken"), Added::Whole);
        assert_eq!((vault.have(&due, size), names(&vault)), (size, 1));
        let mut read = Vec::new();
        vault.get(&due).expect("there").read_to_end(&mut read).expect("read");
        assert_eq!(read, bytes);
        assert_eq!(vault.add(&due, size, 0, first).expect("known"), Added::Whole);
    }

    #[test]
    fn pieces_of_other_bytes_or_too_many_leave_nothing_behind() {
        let (_top, vault) = vault();
        let due = Digest::of(b"due");
        assert!(matches!(vault.add(&due, 3, 0, b"new"), Err(VaultError::Other { .. })));
        assert_eq!((vault.have(&due, 3), names(&vault)), (0, 0));
        assert_eq!(vault.add(&due, 3, 0, b"d").expect("taken"), Added::Part(1));
        assert!(matches!(vault.add(&due, 3, 1, b"uex"), Err(VaultError::TooLarge { most: 3 })));
        assert_eq!(names(&vault), 0);
        assert_eq!(vault.add(&due, 3, 0, b"due").expect("taken"), Added::Whole);
    }
}
