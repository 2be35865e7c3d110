//! Where a bundle's files are read from: a folder, or memory into which an archive was unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hospitium_model::Digest;
use rustix::fs::OFlags;

use crate::ReadError;
use crate::layout::{check_path, limit, shown};

/// A bundle's files.
#[derive(Debug)]
pub enum Source {
    Folder(PathBuf),
    Memory(BTreeMap<String, Vec<u8>>),
}

/// Paths and sizes of the files that are there, all names and sizes checked.
pub type Listing = BTreeMap<String, u64>;

impl Source {
    /// Lists the files, refusing what no bundle holds, before anything is read.
    pub fn list(&self) -> Result<Listing, ReadError> {
        match self {
            Self::Folder(folder) => {
                let mut listing = Listing::new();
                let mut total = 0;
                walk(folder, "", &mut listing, &mut total)?;
                Ok(listing)
            }
            Self::Memory(files) => {
                Ok(files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
            }
        }
    }

    /// True if there is such a file.
    pub fn has(&self, path: &str) -> bool {
        match self {
            Self::Folder(folder) => fs::symlink_metadata(folder.join(path)).is_ok(),
            Self::Memory(files) => files.contains_key(path),
        }
    }

    /// The bytes of a file, at most `limit`. `path` is one of the listing.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let too_large = || ReadError::FileTooLarge { path: path.to_owned(), limit };
        match self {
            Self::Folder(folder) => {
                let at = folder.join(path);
                let mut bytes = Vec::new();
                let read = open(&at).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
                read.map_err(|source| ReadError::Io { doing: "read", path: at, source })?;
                if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
            }
            Self::Memory(files) => {
                let bytes =
                    files.get(path).ok_or_else(|| ReadError::NotListed { path: shown(path) })?;
                if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes.clone()) }
            }
        }
    }

    /// Digest and size of a file, without holding it.
    pub fn digest(&self, path: &str) -> Result<(Digest, u64), ReadError> {
        match self {
            Self::Folder(folder) => {
                let at = folder.join(path);
                let digest = open(&at).and_then(|file| Digest::of_all(file.take(limit::FILE + 1)));
                digest.map_err(|source| ReadError::Io { doing: "read", path: at, source })
            }
            Self::Memory(files) => match files.get(path) {
                Some(bytes) => Ok((Digest::of(bytes), bytes.len() as u64)),
                None => Err(ReadError::NotListed { path: shown(path) }),
            },
        }
    }
}

/// Opens a plain file; never a link, never waiting for the other end of a pipe.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn walk(
    folder: &Path,
    prefix: &str,
    listing: &mut Listing,
    total: &mut u64,
) -> Result<(), ReadError> {
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Io { doing, path, source }
    };
    for entry in fs::read_dir(folder).map_err(io("list", folder))? {
        let entry = entry.map_err(io("list", folder))?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        check_path(&path).map_err(|fault| ReadError::Name { path: shown(&path), fault })?;
        let meta = entry.metadata().map_err(io("look at", &entry.path()))?;
        let kind = meta.file_type();
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), listing, total)?;
            continue;
        }
        if !kind.is_file() {
            let kind = match () {
                () if kind.is_symlink() => "symbolic link",
                () if kind.is_fifo() => "pipe",
                () if kind.is_socket() => "socket",
                () => "device",
            };
            return Err(ReadError::NotAFile { path, kind });
        }
        admit(&path, meta.len(), listing, total, limit::FOLDER)?;
    }
    Ok(())
}

/// Puts a file on the list if the bounds allow.
pub fn admit(
    path: &str,
    size: u64,
    listing: &mut Listing,
    total: &mut u64,
    most: u64,
) -> Result<(), ReadError> {
    if size > limit::FILE {
        return Err(ReadError::FileTooLarge { path: path.to_owned(), limit: limit::FILE });
    }
    *total += size;
    if *total > most {
        return Err(ReadError::TooLarge { limit: most });
    }
    if listing.len() >= limit::FILES {
        return Err(ReadError::TooManyFiles { limit: limit::FILES });
    }
    match listing.insert(path.to_owned(), size) {
        None => Ok(()),
        Some(_) => Err(ReadError::Twice { path: path.to_owned() }),
    }
}
