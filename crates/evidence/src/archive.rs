//! Unpacks a `.tar.zst` into memory, within bounds, taking nothing but plain files.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use tar::EntryType;

use crate::ReadError;
use crate::layout::{check_path, limit, shown};
use crate::source::{Listing, admit};

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What the decompressor did, told apart from what the tar reader did.
#[derive(Debug, Default)]
struct Seen {
    broken: Cell<bool>,
    over: Cell<bool>,
}

/// Counts what comes out of the decompressor and stops it at the limit.
struct Metered<R> {
    inner: R,
    left: u64,
    seen: Rc<Seen>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).inspect_err(|_| self.seen.broken.set(true))?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            self.seen.over.set(true);
            io::Error::other("too much")
        })?;
        Ok(read)
    }
}

/// Every file of the archive, by its path within the bundle.
///
/// All entries lie in one folder of any name, which is left out of the paths.
pub fn unpack(from: impl BufRead) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
    let mut decoder = zstd::Decoder::with_buffer(from).map_err(ReadError::Compression)?;
    decoder.window_log_max(limit::WINDOW_LOG).map_err(ReadError::Compression)?;
    // Headers and padding: at most 2 blocks of 512 bytes for each file and folder.
    let most = limit::ARCHIVE + 2 * 1024 * limit::FILES as u64;
    let seen = Rc::new(Seen::default());
    let metered = Metered { inner: decoder, left: most, seen: Rc::clone(&seen) };
    let mut archive = tar::Archive::new(metered);
    let files = entries(&mut archive);
    let files = files.and_then(|files| {
        // What follows the archive's end is padding, and has to be sound and bounded as well.
        let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
        rest.map(|_| files).map_err(ReadError::Archive)
    });
    files.map_err(|error| match error {
        ReadError::Archive(_) if seen.over.get() => ReadError::TooLarge { limit: limit::ARCHIVE },
        ReadError::Archive(source) if seen.broken.get() => ReadError::Compression(source),
        other => other,
    })
}

fn entries<R: Read>(archive: &mut tar::Archive<R>) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
    let mut files = BTreeMap::new();
    let mut listing = Listing::new();
    let mut total = 0;
    let mut top: Option<String> = None;
    let mut count = 0;
    // Raw: extension headers (long names, PAX, sparse files) come as what they are, and are refused.
    for entry in archive.entries().map_err(ReadError::Archive)?.raw(true) {
        let mut entry = entry.map_err(ReadError::Archive)?;
        count += 1;
        if count > 2 * limit::FILES {
            return Err(ReadError::TooManyFiles { limit: limit::FILES });
        }
        let bytes = entry.path_bytes();
        let name = String::from_utf8_lossy(&bytes).into_owned();
        let kind = entry.header().entry_type();
        let is_folder = kind == EntryType::Directory;
        if !is_folder && kind != EntryType::Regular {
            return Err(ReadError::NotAFile { path: shown(&name), kind: kind_word(kind) });
        }
        let checked = if is_folder { name.strip_suffix('/').unwrap_or(&name) } else { &name };
        let fault = |fault| ReadError::Name { path: shown(&name), fault };
        check_path(checked).map_err(fault)?;
        let (first, path) = checked.split_once('/').unwrap_or((checked, ""));
        if *top.get_or_insert_with(|| first.to_owned()) != first {
            return Err(ReadError::NotABundle);
        }
        if is_folder {
            continue;
        }
        check_path(path).map_err(fault)?;
        let size = entry.size();
        admit(path, size, &mut listing, &mut total, limit::ARCHIVE)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(ReadError::Archive)?;
        if bytes.len() as u64 != size {
            return Err(ReadError::Archive(io::ErrorKind::UnexpectedEof.into()));
        }
        files.insert(path.to_owned(), bytes);
    }
    if files.is_empty() { Err(ReadError::NotABundle) } else { Ok(files) }
}

fn kind_word(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "symbolic link",
        EntryType::Link => "hard link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "pipe",
        EntryType::GNULongName
        | EntryType::GNULongLink
        | EntryType::XHeader
        | EntryType::XGlobalHeader => "tar extension header",
        _ => "special entry",
    }
}
