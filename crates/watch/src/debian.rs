//! A Debian suite as a source: its list (InRelease), the signature under it, and the package indexes
//! that it names, from a mirror or from the lists that apt keeps on this machine.

pub mod list;
pub mod packages;
mod signature;

use std::io::Read;
use std::path::{Path, PathBuf};

use hospitium_model::printable;
use hospitium_products::{FactValue, Products, Property, Version};
use sha2::{Digest, Sha256};

pub use self::signature::Signature;

use self::list::List;
use self::packages::Package;
use crate::place::{Place, unpack};
use crate::release::seen_fact;
use crate::{Found, Options, Release, WatchError};

/// Largest InRelease; sid's has about 200 KiB.
const LARGEST_LIST: u64 = 8 << 20;
/// Largest index, packed; sid's has about 10 MiB as xz.
const LARGEST_INDEX: u64 = 256 << 20;
/// Where apt keeps its lists.
const LISTS: &str = "/var/lib/apt/lists";

/// One copy of a suite: its list, and how to come by an index.
struct Copy {
    /// As it is called in sources.
    name: String,
    list: Place,
    index: Box<dyn Fn(&str) -> Place>,
    /// What indexes may be packed as here, the one to be taken first first.
    endings: &'static [&'static str],
}

/// The releases in a suite.
pub fn read(
    suite: &str,
    mirror: Option<&Place>,
    options: &Options,
    products: &Products,
) -> Result<Found, WatchError> {
    let copies = match mirror {
        Some(mirror) => vec![of_mirror(suite, mirror)],
        None => of_apt(suite, options.lists.as_deref().unwrap_or(Path::new(LISTS)))?,
    };
    let mut found = Found::default();
    for copy in copies {
        let one = read_copy(suite, &copy, options, products)?;
        found.releases.extend(one.releases);
        found.notes.extend(one.notes);
    }
    found.releases.sort_by_key(Release::key);
    found.releases.dedup_by_key(|release| release.key());
    Ok(found)
}

fn of_mirror(suite: &str, mirror: &Place) -> Copy {
    let root = mirror.join(&format!("dists/{suite}"));
    Copy {
        name: mirror.shown(),
        list: root.join("InRelease"),
        index: Box::new(move |path| root.join(path)),
        endings: &[".xz", ".gz", ""],
    }
}

/// The copies of a suite that apt has: one for each archive that has it.
fn of_apt(suite: &str, lists: &Path) -> Result<Vec<Copy>, WatchError> {
    let ending = format!("_dists_{}_InRelease", suite.replace('/', "_"));
    let files = crate::images::files(lists)?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found: Vec<PathBuf> =
        files.into_iter().filter(|path| name(path).ends_with(&ending)).collect();
    if found.is_empty() {
        return Err(WatchError::Nothing {
            what: printable(&lists.to_string_lossy(), 200),
            wanted: "such suite of Debian",
            next: format!("name a mirror: debian:{suite}@http://deb.debian.org/debian"),
        });
    }
    let copy = |list: PathBuf| {
        let base = name(&list);
        let base = base.strip_suffix("InRelease").unwrap_or_default().to_owned();
        let folder = lists.to_owned();
        let archive = base.strip_suffix(ending.trim_end_matches("InRelease")).unwrap_or(&base);
        Copy {
            name: format!("apt's lists of {}", archive.replace('_', "/")),
            list: Place::Path(list),
            index: Box::new(move |path| {
                Place::Path(folder.join(format!("{base}{}", path.replace('/', "_"))))
            }),
            endings: &[".lz4", "", ".xz", ".gz", ".zst"],
        }
    };
    Ok(found.into_iter().map(copy).collect())
}

fn read_copy(
    suite: &str,
    copy: &Copy,
    options: &Options,
    products: &Products,
) -> Result<Found, WatchError> {
    let mut found = Found::default();
    let raw = copy.list.bytes(LARGEST_LIST)?;
    let what = format!("{suite} of {}", copy.name);
    let (text, signature) = signature::check(&raw, &what, options.keyring.as_deref())?;
    found.notes.push(format!("{what}: {signature}"));
    let list = List::read(&what, &text)?;
    if ![&list.suite, &list.codename].contains(&&suite.to_owned()) {
        return Err(WatchError::Archive {
            what,
            why: format!("it is the list of {} ({})", list.suite, list.codename),
        });
    }
    if let Some(until) = list.valid_until.filter(|until| *until < options.as_of) {
        found.notes.push(format!("{what}: the list was good until {until}; the mirror is old"));
    }
    let day = list.date.map_or_else(String::new, |day| format!(" of {day}"));
    let document = format!("Debian {}, InRelease{day} ({})", list.codename, copy.name);
    found.releases.extend(system(&list, &document, products));
    let arch = options.arch.as_str();
    for component in &list.components {
        let index = format!("{component}/binary-{arch}/Packages");
        if component != "main"
            || list.sha256(&index).is_none() && list.sha256(&format!("{index}.xz")).is_none()
        {
            continue;
        }
        for package in packages_of(copy, &list, &index)? {
            let file = format!("dists/{suite}/{index}");
            found.releases.extend(of_package(&package, &list, &document, &file, products));
        }
        return Ok(found);
    }
    Err(WatchError::Archive { what, why: format!("it names no index main/binary-{arch}/Packages") })
}

/// Reads an index as it is packed where it is, and holds it against the list.
fn packages_of(copy: &Copy, list: &List, index: &str) -> Result<Vec<Package>, WatchError> {
    let mut missing = None;
    for ending in copy.endings {
        let packed = format!("{index}{ending}");
        let is_local = matches!(copy.list, Place::Path(_));
        if !is_local && list.sha256(&packed).is_none() {
            continue;
        }
        let place = (copy.index)(&packed);
        let bytes = match place.bytes(LARGEST_INDEX) {
            Ok(bytes) => bytes,
            Err(WatchError::Read { path, cause })
                if cause.kind() == std::io::ErrorKind::NotFound =>
            {
                missing = Some(WatchError::Read { path, cause });
                continue;
            }
            Err(error) => return Err(error),
        };
        let differs = |found: [u8; 32], listed: &str| {
            let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            let what = place.shown();
            (found != listed).then(|| WatchError::Digest { what, found, listed: listed.into() })
        };
        // A mirror's file is held against the list as it comes; what apt has packed itself, by what
        // comes out.
        let whole = list.sha256(&packed);
        if let Some(error) = whole.and_then(|sum| differs(Sha256::digest(&bytes).into(), sum)) {
            return Err(error);
        }
        let cause = |cause| WatchError::Packed { what: place.shown(), cause };
        let mut hashed = Hashing { inner: unpack(&bytes).map_err(cause)?, hash: Sha256::new() };
        let packages = packages::read(&place.shown(), &mut hashed)?;
        if whole.is_none() {
            let Some(sum) = list.sha256(index) else {
                let what = copy.name.clone();
                return Err(WatchError::Archive { what, why: format!("it does not name {index}") });
            };
            if let Some(error) = differs(hashed.hash.finalize().into(), sum) {
                return Err(error);
            }
        }
        return Ok(packages);
    }
    Err(missing.unwrap_or_else(|| WatchError::Archive {
        what: copy.name.clone(),
        why: format!("{index} is not there in any form that can be unpacked"),
    }))
}

/// Hashes what is read.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The system itself: Debian 12, and which point release the suite is at.
fn system(list: &List, document: &str, products: &Products) -> Vec<Release> {
    // Updates, security and backports are no releases of the system.
    let point = list.version.as_deref().filter(|_| !list.codename.contains('-'));
    let Some(point) = point else { return Vec::new() };
    let version = Version::new(point);
    let Some(placed) = products.place("debian", &version) else { return Vec::new() };
    let file = format!("dists/{}/InRelease", list.codename);
    let mut facts = Vec::new();
    if let Some(day) = list.date {
        facts.push(seen_fact(Property::ReleaseDate, FactValue::Date(day), document, &file));
    }
    facts.push(seen_fact(Property::Build, FactValue::Text(version.to_string()), document, &file));
    let build = placed.build.as_ref().map(|build| build.to_string());
    Release::seen(&placed, "debian", build, facts)
}

/// What a package is of: a kernel or QEMU.
fn of_package(
    package: &Package,
    list: &List,
    document: &str,
    file: &str,
    products: &Products,
) -> Vec<Release> {
    let line = match package.name.as_str() {
        "qemu-system-x86" => "qemu",
        _ => "linux-kernel",
    };
    let upstream = Version::new(package.upstream());
    // A release candidate stands for no release.
    let Some(placed) = products.place(line, &upstream).filter(|_| !upstream.is_prerelease()) else {
        return Vec::new();
    };
    let value = FactValue::Text(format!("{} {}", package.name, package.version));
    let mut facts = vec![seen_fact(Property::Build, value, document, file)];
    if let Some(day) = list.date.filter(|_| !placed.known) {
        let mut fact = seen_fact(Property::ReleaseDate, FactValue::Date(day), document, file);
        fact.note = Some("seen in the suite from this day on; its maker released it before".into());
        facts.push(fact);
    }
    for fact in &mut facts {
        fact.source.line = package.line;
    }
    let build = format!("{} ({})", package.version, list.codename);
    Release::seen(&placed, line, Some(build), facts)
}
