//! Newer data, taken over from a source that a person names, and kept for later runs.
//!
//! What comes in: a folder or an archive of osinfo-db, or definitions (`*.toml`, a folder of them or one). What is
//! kept: the files that are read, in a folder of the store, behind a link that changes at once. What cannot be
//! read changes nothing.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::osinfo::Osinfo;
use crate::{Builder, Definitions, ProductsError, Version, file};

/// Largest file that is taken over, in bytes.
const LARGEST: u64 = 4 << 20;
/// All files together, in bytes; osinfo-db has about 20 MiB.
const ALL: u64 = 256 << 20;
/// Most members of an archive.
const MOST_MEMBERS: usize = 50_000;
/// Memory that an xz archive may ask for, in bytes.
const XZ_MEMORY: u64 = 128 << 20;

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// osinfo-db.
    Osinfo,
    /// Definitions.
    Definitions,
}

impl Kind {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Osinfo => "osinfo",
            Self::Definitions => "definitions",
        }
    }
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it is.
    pub kind: Kind,
    /// Its version, if it tells one.
    pub version: Option<String>,
    /// How many files.
    pub files: usize,
    /// How many products they speak of.
    pub products: usize,
    /// Where it is now.
    pub folder: PathBuf,
}

/// The folder of a kind in a store, if something was taken over.
pub fn kept(store: &Path, kind: Kind) -> Option<PathBuf> {
    let folder = store.join(kind.name());
    folder.is_dir().then_some(folder)
}

/// The version of an osinfo-db, by its VERSION file.
pub fn osinfo_version(folder: &Path) -> Option<String> {
    let text = file::text(&folder.join("VERSION"), 64).ok()?;
    let text = crate::error::printable(text.trim(), 40);
    (!text.is_empty()).then_some(text)
}

/// Takes over newer data. `in_use` is the osinfo-db that would be read otherwise: one that is older than that is
/// refused, unless `older` allows it.
///
/// # Errors
/// If the source is of no known kind, cannot be read whole, is older, or the store cannot be written. The store
/// is as before then.
pub fn take(
    source: &Path,
    store: &Path,
    in_use: Option<&Path>,
    older: bool,
) -> Result<Taken, ProductsError> {
    std::fs::create_dir_all(store)
        .map_err(|cause| ProductsError::Write { path: store.to_owned(), cause })?;
    // Gone with all that is in it, unless it is kept.
    let fresh = Fresh::make(store)?;
    let kind = fill(source, &fresh.0)?;
    let files = file::below(&fresh.0, &["xml", "toml"])?.len();
    let (version, products) = match kind {
        Kind::Osinfo => {
            let read = Osinfo::read(&fresh.0)?;
            let version = osinfo_version(&fresh.0);
            let known = in_use.and_then(osinfo_version);
            if let (Some(new), Some(known), false) = (&version, &known, older)
                && Version::new(new) < Version::new(known)
            {
                return Err(ProductsError::Older {
                    path: source.to_owned(),
                    version: new.clone(),
                    known: known.clone(),
                });
            }
            (version, read.products.len())
        }
        Kind::Definitions => (None, check(&fresh.0, in_use)?),
    };
    let folder = fresh.keep(store, kind)?;
    Ok(Taken { kind, version, files, products, folder })
}

/// Reads definitions beside what is known otherwise, and says of how many products they speak.
fn check(folder: &Path, osinfo: Option<&Path>) -> Result<usize, ProductsError> {
    let mut builder = Builder::with_built_in()?;
    if let Some(osinfo) = osinfo {
        builder.add_osinfo(Osinfo::read(osinfo)?);
    }
    let mut products = 0;
    for path in file::below(folder, &["toml"])? {
        let text = file::text(&path, LARGEST)?;
        let definitions = Definitions::read(&file::within(folder, &path), &text)?;
        products += definitions.product.len();
        builder.add_definitions(definitions);
    }
    builder.finish()?;
    Ok(products)
}

/// A new folder in the store, which goes away unless it is kept.
struct Fresh(PathBuf);

impl Fresh {
    fn make(store: &Path) -> Result<Self, ProductsError> {
        let nanos = jiff::Timestamp::now().as_nanosecond();
        let path = store.join(format!("data-{nanos}-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|cause| ProductsError::Write { path: path.clone(), cause })?;
        Ok(Self(path))
    }

    /// Points the kind's link at it, at once, and removes what was there.
    fn keep(self, store: &Path, kind: Kind) -> Result<PathBuf, ProductsError> {
        let link = store.join(kind.name());
        let before = std::fs::read_link(&link).ok();
        let partial = store.join(format!(".{}-{}", kind.name(), std::process::id()));
        let failed = |cause| ProductsError::Write { path: link.clone(), cause };
        let name = self.0.file_name().unwrap_or_default();
        let _ = std::fs::remove_file(&partial);
        std::os::unix::fs::symlink(name, &partial).map_err(failed)?;
        if let Err(cause) = std::fs::rename(&partial, &link) {
            let _ = std::fs::remove_file(&partial);
            return Err(failed(cause));
        }
        if let Some(before) = before.filter(|before| before.components().count() == 1) {
            let _ = std::fs::remove_dir_all(store.join(before));
        }
        std::mem::forget(self);
        Ok(link)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies what is to be read of a source.
fn fill(source: &Path, into: &Path) -> Result<Kind, ProductsError> {
    let read = |cause| ProductsError::Read { path: source.to_owned(), cause };
    let meta = std::fs::metadata(source).map_err(read)?;
    if meta.is_dir() {
        return of_folder(source, into);
    }
    if source.extension().is_some_and(|ending| ending == "toml") {
        let text = file::text(source, LARGEST)?;
        write(&into.join("definitions.toml"), text.as_bytes())?;
        return Ok(Kind::Definitions);
    }
    of_archive(source, into)
}

fn of_folder(source: &Path, into: &Path) -> Result<Kind, ProductsError> {
    // As it is, as it is unpacked, and as Debian's package is unpacked.
    let unpacked = std::fs::read_dir(source)
        .map_err(|cause| ProductsError::Read { path: source.to_owned(), cause })?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("osinfo-db"))
        });
    let places = [source.to_owned(), source.join("usr/share/osinfo")].into_iter().chain(unpacked);
    let osinfo = places.into_iter().find(|place| place.join("os").is_dir());
    let (root, endings, kind) = match osinfo {
        Some(root) => (root, "xml", Kind::Osinfo),
        None => (source.to_owned(), "toml", Kind::Definitions),
    };
    let mut all = 0_u64;
    let paths = file::below(&root, &[endings])?;
    if paths.is_empty() {
        return Err(ProductsError::Nothing {
            path: source.to_owned(),
            what: "osinfo-db (os/*/*.xml) and no definitions (*.toml)",
            next: "name a folder or archive of osinfo-db, or a folder of definitions",
        });
    }
    for path in paths {
        let text = file::text(&path, LARGEST)?;
        all += text.len() as u64;
        if all > ALL {
            return Err(ProductsError::TooLarge { path: source.to_owned(), limit: ALL });
        }
        let within = path.strip_prefix(&root).unwrap_or(&path);
        write(&into.join(within), text.as_bytes())?;
    }
    if let Some(version) = osinfo_version(&root) {
        write(&into.join("VERSION"), version.as_bytes())?;
    }
    Ok(kind)
}

fn of_archive(source: &Path, into: &Path) -> Result<Kind, ProductsError> {
    let read = |cause| ProductsError::Read { path: source.to_owned(), cause };
    let mut open = std::fs::File::open(source).map_err(read)?;
    let mut head = Vec::new();
    (&mut open).take(512).read_to_end(&mut head).map_err(read)?;
    open.seek(SeekFrom::Start(0)).map_err(read)?;
    let wrong = |why: &str| ProductsError::Archive { path: source.to_owned(), why: why.to_owned() };
    let unpacked: Box<dyn Read> = match head.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0);
            let stream = stream.map_err(|error| wrong(&error.to_string()))?;
            Box::new(liblzma::read::XzDecoder::new_stream(open, stream))
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(open)),
        head if head.get(257..262) == Some(b"ustar") => Box::new(open),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => {
            return Err(wrong(
                "it is a Debian package; unpack it (dpkg-deb -x FILE FOLDER) and name the folder",
            ));
        }
        _ => return Err(wrong("it is no tar archive, packed by xz, gzip or not at all")),
    };
    unpack(source, unpacked, into)?;
    // An archive may hold definitions, too.
    match file::below(into, &["xml"])?.is_empty() {
        false => Ok(Kind::Osinfo),
        true if !file::below(into, &["toml"])?.is_empty() => Ok(Kind::Definitions),
        true => Err(wrong("it holds neither osinfo-db (os/*/*.xml) nor definitions (*.toml)")),
    }
}

/// Writes the members that are read, whatever else is in the archive; none outside of the folder.
fn unpack(source: &Path, from: impl Read, into: &Path) -> Result<(), ProductsError> {
    let wrong = |why: String| ProductsError::Archive { path: source.to_owned(), why };
    let damaged = |error: std::io::Error| wrong(format!("it is damaged: {error}"));
    // Neither what is unpacked nor what headers claim may fill the disk or the memory.
    let mut archive = tar::Archive::new(from.take(2 * ALL));
    let mut all = 0_u64;
    for (number, member) in archive.entries().map_err(damaged)?.raw(true).enumerate() {
        let member = member.map_err(damaged)?;
        if number >= MOST_MEMBERS {
            return Err(wrong(format!("it has more than {MOST_MEMBERS} members")));
        }
        if !member.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let Some(place) = place(&name) else { continue };
        let mut bytes = Vec::new();
        member.take(LARGEST + 1).read_to_end(&mut bytes).map_err(damaged)?;
        all += bytes.len() as u64;
        if bytes.len() as u64 > LARGEST || all > ALL {
            let shown = crate::error::printable(&name, 100);
            return Err(wrong(format!(
                "{shown} or all of it is larger than such a file has reason to be"
            )));
        }
        write(&into.join(place), &bytes)?;
    }
    Ok(())
}

/// Where a member goes: below the folder of the collection; none that is not read.
fn place(name: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = Path::new(name)
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            Component::CurDir => Some(""),
            // `..` and absolute names lead out.
            _ => None,
        })
        .collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let last = parts.last()?;
    let known = ["os", "platform", "device", "deployment"];
    let begin = parts.iter().position(|part| known.contains(part));
    if let Some(begin) = begin.filter(|_| last.ends_with(".xml")) {
        return Some(parts.get(begin..)?.iter().collect());
    }
    if *last == "VERSION" && parts.len() <= 2 {
        return Some("VERSION".into());
    }
    last.ends_with(".toml").then(|| parts.iter().collect())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ProductsError> {
    let failed = |cause| ProductsError::Write { path: path.to_owned(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}
