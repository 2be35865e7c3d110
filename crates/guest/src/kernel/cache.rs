//! What was taken from a kernel package, kept by the package's digest, so that it is unpacked once.
//!
//! An entry is a folder that appears whole, by a rename, and is checked against its index by digest
//! when it is used. One that does not check is removed and made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use super::folder::bounded;
use super::modinfo::is_module_name;
use super::modules::{LARGEST, ModuleSet};
use super::{bzimage, table};

/// Version of an entry's form, part of its key.
const FORMAT: u32 = 1;
const INDEX: &str = "index.json";
const KERNEL: &str = "vmlinuz";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    release: String,
    kernel: Digest,
    /// Module names and digests.
    modules: BTreeMap<String, Digest>,
    built_in: Option<BTreeSet<String>>,
}

/// A kernel and its modules out of the cache.
pub struct Entry {
    /// The kernel image's file.
    pub kernel: PathBuf,
    /// What its header says.
    pub image: bzimage::BzImage,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The modules.
    pub modules: ModuleSet,
    /// Keeps the entry's files where they are.
    pub held: Held,
}

/// A shared lock on an entry's index, whose time of change is the time of last use. Who removes entries
/// to make room takes the lock alone.
#[derive(Debug)]
pub struct Held {
    _index: fs::File,
}

impl Held {
    fn take(folder: &Path) -> io::Result<Self> {
        let index = fs::File::open(folder.join(INDEX))?;
        index.lock_shared()?;
        // Only which entry is removed first depends on it.
        let _ = index.set_modified(SystemTime::now());
        Ok(Self { _index: index })
    }
}

/// The entry's folder for a package.
pub fn folder(cache: &Path, package: Digest) -> PathBuf {
    let key = format!("{FORMAT} {package} {}", Digest::of(table::SHIPPED.as_bytes()));
    cache.join("kernels").join(Digest::of(key.as_bytes()).to_string())
}

/// Reads an entry; none if it is not there or does not check, in which case it is removed.
pub fn load(folder: &Path) -> Option<Entry> {
    if !folder.exists() {
        return None;
    }
    match read(folder) {
        Ok(entry) => Some(entry),
        Err(why) => {
            tracing::warn!(folder = %folder.display(), %why, "a damaged cache entry is made again");
            let _ = fs::remove_dir_all(folder);
            None
        }
    }
}

fn read(folder: &Path) -> Result<Entry, String> {
    let held = Held::take(folder).map_err(|error| format!("{INDEX}: {error}"))?;
    let file = |name: &str, most| {
        bounded(&folder.join(name), most).map_err(|error| format!("{name}: {error}"))
    };
    let index = file(INDEX, 4 << 20)?;
    let index: Index = serde_json::from_slice(&index).map_err(|error| error.to_string())?;
    let checked = |name: &str, digest, most| {
        let bytes = file(name, most)?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(format!("{name} is altered")) }
    };
    let kernel = checked(KERNEL, index.kernel, bzimage::LARGEST)?;
    let parsed = bzimage::BzImage::parse(&kernel).map_err(|error| error.to_string())?;
    if parsed.release != index.release {
        return Err("the kernel's release is another".into());
    }
    let mut modules = ModuleSet::default();
    modules.set_built_in(index.built_in);
    for (name, digest) in &index.modules {
        if !is_module_name(name) {
            return Err("a module's name is none".into());
        }
        let bytes = checked(&format!("{name}.ko"), *digest, LARGEST)?;
        modules.insert(name, bytes, &index.release).map_err(|error| error.to_string())?;
    }
    Ok(Entry {
        kernel: folder.join(KERNEL),
        image: parsed,
        digest: index.kernel,
        size: kernel.len() as u64,
        modules,
        held,
    })
}

/// Writes an entry. If another process was faster, its entry stays.
pub fn store(folder: &Path, kernel: &[u8], release: &str, modules: &ModuleSet) -> io::Result<()> {
    let parent = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(parent)?;
    let making = tempfile::Builder::new().prefix(".making-").tempdir_in(parent)?;
    let put = |name: &str, bytes: &[u8]| {
        let mut file = fs::File::create(making.path().join(name))?;
        file.write_all(bytes)?;
        file.sync_data()
    };
    put(KERNEL, kernel)?;
    for (name, module) in modules.modules() {
        put(&format!("{name}.ko"), &module.bytes)?;
    }
    let digests = modules.modules().iter().map(|(n, m)| (n.clone(), Digest::of(&m.bytes)));
    let index = Index {
        release: release.to_owned(),
        kernel: Digest::of(kernel),
        modules: digests.collect(),
        built_in: modules.built_in().cloned(),
    };
    put(INDEX, &serde_json::to_vec_pretty(&index).map_err(io::Error::other)?)?;
    match fs::rename(making.path(), folder) {
        Ok(()) => {
            let _ = making.keep();
            Ok(())
        }
        Err(_) if folder.join(INDEX).is_file() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bzimage::tests::image;
    use super::super::modinfo::tests::module;
    use super::*;

    fn stored() -> (tempfile::TempDir, PathBuf) {
        let cache = tempfile::tempdir().expect("a folder");
        let at = folder(cache.path(), Digest::of(b"package"));
        let mut modules = ModuleSet::default();
        modules.insert("a", module("depends=b\0"), "6.1.0").expect("a module");
        modules.set_built_in(Some(BTreeSet::from(["b".to_owned()])));
        store(&at, &image("6.1.0"), "6.1.0", &modules).expect("stored");
        store(&at, &image("6.1.0"), "6.1.0", &modules).expect("a second time is no error");
        (cache, at)
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let (cache, at) = stored();
        let entry = load(&at).expect("is there");
        assert_eq!(entry.image.release, "6.1.0");
        assert_eq!(entry.modules.modules()["a"].info.depends, ["b"]);
        assert!(entry.modules.built_in().is_some_and(|b| b.contains("b")));
        let left = fs::read_dir(cache.path().join("kernels")).expect("a folder").count();
        assert_eq!(left, 1, "nothing half-made is left");
    }

    #[test]
    fn an_altered_or_partial_entry_is_removed() {
        for name in ["vmlinuz", "a.ko", "index.json"] {
            for how in 0..2 {
                let (_cache, at) = stored();
                let file = at.join(name);
                if how == 0 {
                    fs::remove_file(&file).expect("removed");
                } else {
                    let mut bytes = fs::read(&file).expect("read");
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    fs::write(&file, bytes).expect("written");
                }
                assert!(load(&at).is_none(), "{name}");
                assert!(!at.exists(), "{name}");
            }
        }
    }
}
