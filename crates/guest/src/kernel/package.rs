//! A kernel in a Debian package, which is read in one pass and trusted in nothing.
//!
//! A package (deb(5)) is an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`. Of the
//! last only the kernel image, `modules.builtin` and the modules are taken; no path in it is
//! ever used as a path here. Modules go to an unnamed file, as which are needed is known only
//! at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::bzimage;
use super::folder::LARGEST_BUILT_IN;
use super::modules::{LARGEST, Source, module_name};
use super::unpack;

/// The most that a package unpacks to. Debian's kernels are at 0.1 to 0.4 GiB.
const MOST_BYTES: u64 = 4 << 30;
/// The most files in it.
const MOST_FILES: usize = 100_000;
/// The longest path.
const LONGEST_PATH: u64 = 4096;

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Reading failed, or it is damaged.
    #[error("it cannot be read to its end")]
    Read(#[from] io::Error),
    /// No Debian package.
    #[error("it is no Debian package: {0}")]
    NotDebian(&'static str),
    /// Too much in it.
    #[error(
        "it holds more than {MOST_BYTES} bytes or {MOST_FILES} files, too much for a kernel package"
    )]
    TooMuch,
    /// No kernel in it.
    #[error(
        "it holds no kernel image (boot/vmlinuz-*); take the package linux-image-…, not its \
         meta package or headers"
    )]
    NoKernel,
    /// Two kernels.
    #[error("it holds more than one kernel image")]
    TwoKernels,
    /// Something in it is too large.
    #[error("{what} in it is larger than {most} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The bound.
        most: u64,
    },
}

/// What was found in a package.
#[derive(Debug)]
pub struct Package {
    /// The kernel image.
    pub kernel: Vec<u8>,
    /// The modules.
    pub modules: Spool,
}

/// Modules in an unnamed file.
#[derive(Debug)]
pub struct Spool {
    file: File,
    places: BTreeMap<String, (u64, u64)>,
    built_in: Option<String>,
}

impl Source for Spool {
    fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let &(at, length) = self.places.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn built_in(&self) -> Option<&str> {
        self.built_in.as_deref()
    }
}

impl Spool {
    /// Modules found.
    pub fn len(&self) -> usize {
        self.places.len()
    }
}

/// Reads a package. The unnamed file is made in `room`.
pub fn read(path: &Path, room: &Path) -> Result<Package, PackageError> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let data = data_member(&mut file)?;
    let bytes = BufReader::with_capacity(1 << 16, (&mut file).take(data));
    let mut bytes = unpack::reader(bytes)?.take(MOST_BYTES);
    let result = read_data(&mut bytes, room);
    // A bomb ends at the bound, which the archive's reader takes for a truncation.
    if bytes.limit() == 0 { Err(PackageError::TooMuch) } else { result }
}

/// Goes to the content of `data.tar*` and returns its size. Headers are those of ar(5): name, times,
/// owners and mode, size (at 48, 10 digits), and a mark.
fn data_member(file: &mut (impl Read + io::Seek)) -> Result<u64, PackageError> {
    let not = PackageError::NotDebian;
    let mut magic = [0; 8];
    file.read_exact(&mut magic)?;
    if &magic != b"!<arch>\n" {
        return Err(not("it does not begin with !<arch>"));
    }
    // Packages have three members, signed ones a few more.
    for number in 0..16 {
        let mut header = [0; 60];
        file.read_exact(&mut header)
            .map_err(|_| not("it ends before its member data.tar; it may be truncated"))?;
        let text = |range| std::str::from_utf8(&header[range]).unwrap_or_default().trim_end();
        let name: &str = text(0..16).trim_end_matches('/');
        if &header[58..] != b"`\n" {
            return Err(not("a member's header is damaged"));
        }
        let size: u64 = text(48..58).parse().map_err(|_| not("a member's size is no number"))?;
        if number == 0 && name != "debian-binary" {
            return Err(not("its first member is not debian-binary"));
        }
        if name == "data.tar" || name.starts_with("data.tar.") {
            return Ok(size);
        }
        let next = i64::try_from(size.next_multiple_of(2)).map_err(|_| PackageError::TooMuch)?;
        file.seek(SeekFrom::Current(next))?;
    }
    Err(not("it has no member data.tar"))
}

/// What a path in the package is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Kernel,
    BuiltIn,
    Module(String),
}

fn kind_of(path: &[u8]) -> Option<Kind> {
    let path = std::str::from_utf8(path).ok()?;
    let path = path.trim_start_matches("./").trim_start_matches('/');
    if path.strip_prefix("boot/").is_some_and(|f| f.starts_with("vmlinuz") && !f.contains('/')) {
        return Some(Kind::Kernel);
    }
    let (_, below) =
        path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/")?.split_once('/')?;
    match below {
        "vmlinuz" => Some(Kind::Kernel),
        "modules.builtin" => Some(Kind::BuiltIn),
        _ => module_name(below).map(Kind::Module),
    }
}

fn read_data(bytes: &mut impl Read, room: &Path) -> Result<Package, PackageError> {
    let mut spool = tempfile::tempfile_in(room)?;
    let (mut places, mut end) = (BTreeMap::new(), 0);
    let (mut kernel, mut built_in, mut long_path) = (None, None, None);
    let mut archive = tar::Archive::new(bytes);
    // Raw, because the reader would take a long path of any length into memory.
    for (number, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if number == MOST_FILES {
            return Err(PackageError::TooMuch);
        }
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            let text = take(&mut entry, "a path", LONGEST_PATH)?;
            long_path = if kind.is_gnu_longname() {
                Some(text.split(|&b| b == 0).next().unwrap_or_default().to_vec())
            } else {
                pax_path(&text)
            };
            continue;
        }
        let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        if !kind.is_file() {
            continue;
        }
        match kind_of(&path) {
            Some(Kind::Kernel) if kernel.is_some() => return Err(PackageError::TwoKernels),
            Some(Kind::Kernel) => {
                kernel = Some(take(&mut entry, "the kernel image", bzimage::LARGEST)?);
            }
            Some(Kind::BuiltIn) => {
                let text = take(&mut entry, "modules.builtin", LARGEST_BUILT_IN)?;
                built_in = Some(String::from_utf8_lossy(&text).into_owned());
            }
            Some(Kind::Module(name)) => {
                let length = io::copy(&mut (&mut entry).take(LARGEST + 1), &mut spool)?;
                if length > LARGEST {
                    return Err(PackageError::TooLarge { what: "a module", most: LARGEST });
                }
                places.entry(name).or_insert((end, length));
                end += length;
            }
            None => {}
        }
    }
    spool.flush()?;
    let kernel = kernel.ok_or(PackageError::NoKernel)?;
    Ok(Package { kernel, modules: Spool { file: spool, places, built_in } })
}

fn take(entry: &mut impl Read, what: &'static str, most: u64) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    entry.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(PackageError::TooLarge { what, most });
    }
    Ok(bytes)
}

fn pax_path(extensions: &[u8]) -> Option<Vec<u8>> {
    let all = tar::PaxExtensions::new(extensions).filter_map(Result::ok);
    all.filter(|e| e.key_bytes() == b"path").last().map(|e| e.value_bytes().to_vec())
}

#[cfg(test)]
pub(super) mod tests;
