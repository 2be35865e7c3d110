//! Attachments: files in a folder, by the SHA-256 of their bytes. They are streamed; none is ever held in memory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hospitium_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::facts::LARGEST_ATTACHMENT;

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
}

/// A folder of attachments.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
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
        use std::os::unix::fs::DirBuilderExt as _;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed("make", folder))?;
        Ok(Self { folder: folder.to_owned() })
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
        let partial = tempfile::Builder::new().prefix(".partial-").tempfile_in(&self.folder);
        let mut partial = partial.map_err(failed("write in", &self.folder))?;
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
            partial.write_all(bytes).map_err(failed("write in", &self.folder))?;
        }
        if size == 0 {
            return Err(VaultError::Empty);
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if let Some(due) = due.filter(|due| **due != found) {
            return Err(VaultError::Other { found, due: *due });
        }
        let path = self.path(&found);
        partial.as_file().sync_all().map_err(failed("flush", &path))?;
        partial.persist(&path).map_err(|error| failed("put in place", &path)(error.error))?;
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(failed("flush", &self.folder))?;
        Ok((found, size))
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
        fs::read_dir(&vault.folder).expect("listed").count()
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
}
