//! A file of a bundle, given out piece by piece: whoever reads it slowly holds one piece, not the file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use hospitium_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::layout::{check_path, shown};
use crate::source::{Source, open};
use crate::{Bundle, ReadError};

/// Largest piece, in bytes.
const PIECE: usize = 64 << 10;

/// A listed file that was compared with the manifest, ready to be read from its beginning.
#[derive(Debug)]
pub struct Pieces {
    from: Place,
    /// Bytes by the manifest.
    size: u64,
    /// Bytes that were given out.
    given: u64,
    hasher: Sha256,
    expected: Digest,
}

#[derive(Debug)]
enum Place {
    File(File),
    /// A bundle in memory, and the path in it.
    Memory(Arc<Bundle>, String),
}

impl Bundle {
    /// Opens a file by its path in the bundle, if it is what the manifest says. It is read once for that, 64 KiB and more
    /// at a time, and never held whole.
    ///
    /// # Errors
    /// If it is not listed, not there, or altered.
    pub fn open_path(self: &Arc<Self>, path: &str) -> Result<Pieces, ReadError> {
        check_path(path).map_err(|fault| ReadError::Name { path: shown(path), fault })?;
        let not_listed = || ReadError::NotListed { path: shown(path) };
        let listed = self.manifest.files.get(path).ok_or_else(not_listed)?;
        let (from, found) = match &self.source {
            Source::Folder(folder) => {
                let at = folder.join(path);
                let opened = open(&at).and_then(|mut file| {
                    let digest = Digest::of_all((&file).take(listed.size.saturating_add(1)))?;
                    file.rewind()?;
                    Ok((Place::File(file), digest))
                });
                opened.map_err(|source| ReadError::Io { doing: "read", path: at, source })?
            }
            Source::Memory(_) => {
                (Place::Memory(Arc::clone(self), path.to_owned()), self.source.digest(path)?)
            }
        };
        if found != (listed.sha256, listed.size) {
            return Err(not_listed());
        }
        let (size, expected) = (listed.size, listed.sha256);
        Ok(Pieces { from, size, given: 0, hasher: Sha256::new(), expected })
    }
}

impl Pieces {
    /// How many bytes there are in all.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next piece, of at most 64 KiB; none at the end. The last one is given only if all of them are what the manifest
    /// says, so that a file that changes while it is read is cut short.
    ///
    /// # Errors
    /// If the file cannot be read, or changed since it was opened.
    pub fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let left = self.size - self.given;
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "the file changed meanwhile");
        let mut piece = vec![0; want];
        match &mut self.from {
            Place::File(file) => file.read_exact(&mut piece)?,
            Place::Memory(bundle, path) => {
                let Source::Memory(files) = &bundle.source else { return Err(changed()) };
                let at = usize::try_from(self.given).map_err(|_| changed())?;
                let bytes = files.get(path.as_str()).and_then(|all| all.get(at..at + want));
                piece.copy_from_slice(bytes.ok_or_else(changed)?);
            }
        }
        self.hasher.update(&piece);
        self.given += want as u64;
        if self.given == self.size
            && Digest::from_bytes(self.hasher.clone().finalize().into()) != self.expected
        {
            return Err(changed());
        }
        Ok(Some(piece))
    }
}
