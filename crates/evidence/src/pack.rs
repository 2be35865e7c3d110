//! Packs a finished bundle into one file, the same bytes for the same bundle.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hospitium_files::{Access, Begun};
use hospitium_model::RunRecord;
use tar::{EntryType, Header};

use crate::layout::{MANIFEST, RUN, check_cell_name, limit};
use crate::source::Source;
use crate::store::Store;
use crate::{ReadError, WriteError};

/// zstd level: the text of a bundle shrinks about as well as at 19, in a tenth of the time.
const LEVEL: i32 = 9;

/// Makes `<folder>.tar.zst` beside the folder and gives its path. The archive holds one folder
/// named after the run's id, with the files in the order of their names; owners, modes and times
/// are the same in every archive.
///
/// # Errors
/// If the bundle has no manifest, is in use, is too large, or the archive cannot be written, in
/// which case nothing of it is left.
pub fn pack(folder: &Path) -> Result<PathBuf, WriteError> {
    let store = Store::open(folder)?;
    let source = Source::Folder(folder.to_owned());
    let listing = source.list()?;
    if !listing.contains_key(MANIFEST) {
        return Err(ReadError::Unfinished.into());
    }
    let total = listing.values().sum::<u64>();
    if total > limit::ARCHIVE {
        return Err(ReadError::TooLarge { limit: limit::ARCHIVE }.into());
    }
    let run: RunRecord = serde_json::from_slice(&source.read(RUN, limit::RECORD)?)
        .map_err(|source| ReadError::Json { path: RUN.into(), source })?;
    check_cell_name(&run.id).map_err(|fault| WriteError::Name { name: run.id.clone(), fault })?;

    let whole = fs::canonicalize(folder).map_err(|source| WriteError::Io {
        doing: "look at",
        path: folder.into(),
        source,
    })?;
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(".tar.zst");
    let path = whole.with_file_name(&name);
    let begun = Begun::alone(&path, Access::Public).map_err(|e| store.error("make", &path, e))?;
    let begun = write(begun, &path, &source, listing.keys(), &run.id)?;
    begun.place().map_err(|e| store.error("write", &path, e))?;
    Ok(path)
}

fn write<'a>(
    begun: Begun,
    path: &Path,
    source: &Source,
    names: impl Iterator<Item = &'a String>,
    top: &str,
) -> Result<Begun, WriteError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            WriteError::Full { path: path.into(), kept: 0, source }
        }
        _ => WriteError::Io { doing: "write", path: path.into(), source },
    };
    let mut encoder = zstd::Encoder::new(begun, LEVEL).map_err(io)?;
    encoder.include_checksum(true).map_err(io)?;
    let mut tar = tar::Builder::new(encoder);
    for name in names {
        let bytes = source.read(name, limit::FILE)?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        header.set_path(format!("{top}/{name}")).map_err(io)?;
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).map_err(io)?;
    }
    let begun = tar.into_inner().and_then(zstd::Encoder::finish).map_err(io)?;
    begun.flush_to_medium().map_err(io)?;
    Ok(begun)
}
