//! Modules in a folder, as `make modules_install` and distributions lay it out.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::modules::{LARGEST, Source, module_name};

/// Bounds of a walk. Distribution kernels have about 4500 modules, nine folders deep.
const MOST_ENTRIES: usize = 100_000;
const DEEPEST: usize = 16;
/// The most of `modules.builtin`; usually about 10 KiB.
pub const LARGEST_BUILT_IN: u64 = 4 << 20;

/// A folder of modules of one release.
#[derive(Debug)]
pub struct Folder {
    files: BTreeMap<String, PathBuf>,
    built_in: Option<String>,
}

/// The folder that holds the modules of `release`: the one given, or where they would be in it if it is
/// a whole system's root or its `lib/modules`.
pub fn locate(given: &Path, release: &str) -> Option<PathBuf> {
    let below = ["", "lib/modules", "usr/lib/modules"];
    let named = below.iter().map(|b| given.join(b).join(release)).find(|p| p.is_dir());
    let itself = || {
        let signs = ["modules.builtin", "modules.dep", "modules.order", "kernel"];
        signs.iter().any(|sign| given.join(sign).exists()).then(|| given.to_owned())
    };
    named.or_else(itself)
}

impl Folder {
    /// Looks for modules in `root`. Links are not followed.
    pub fn open(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = VecDeque::from([(root.to_owned(), 0)]);
        let mut seen = 0;
        while let Some((folder, depth)) = folders.pop_front() {
            let mut entries = fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
            // In order, so that of two modules of one name always the same is taken; `updates` and
            // `extra` replace what the kernel brought, as depmod has it.
            entries.sort_by_key(|e| {
                let name = e.file_name();
                (depth == 0 && name != "updates", depth == 0 && name != "extra", name)
            });
            for entry in entries {
                seen += 1;
                if seen > MOST_ENTRIES {
                    return Err(io::Error::other(format!("more than {MOST_ENTRIES} files in it")));
                }
                let kind = entry.file_type()?;
                if kind.is_dir() && depth < DEEPEST {
                    folders.push_back((entry.path(), depth + 1));
                } else if kind.is_file()
                    && let Some(name) = entry.file_name().to_str().and_then(module_name)
                {
                    insert(&mut files, root, name, entry.path());
                }
            }
        }
        let built_in = match bounded(&root.join("modules.builtin"), LARGEST_BUILT_IN) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { files, built_in })
    }

    /// Modules found.
    pub fn len(&self) -> usize {
        self.files.len()
    }
}

/// Of two modules of one name, what is below `updates` and `extra` wins; else the first.
fn insert(files: &mut BTreeMap<String, PathBuf>, root: &Path, name: String, path: PathBuf) {
    let rank = |path: &Path| {
        let below = path.strip_prefix(root).unwrap_or(path);
        ["updates", "extra"].iter().position(|top| below.starts_with(top)).unwrap_or(2)
    };
    match files.entry(name) {
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(path);
        }
        std::collections::btree_map::Entry::Occupied(mut place) => {
            if rank(&path) < rank(place.get()) {
                place.insert(path);
            }
        }
    }
}

impl Source for Folder {
    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        bounded(self.files.get(name).ok_or(io::ErrorKind::NotFound)?, LARGEST)
    }

    fn built_in(&self) -> Option<&str> {
        self.built_in.as_deref()
    }
}

/// A whole regular file of at most `most` bytes.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_and_updates_win() {
        let root = tempfile::tempdir().expect("a folder");
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
            fs::write(path, text).expect("written");
        };
        put("kernel/drivers/a/x-y.ko.xz", "old");
        put("updates/x_y.ko", "new");
        put("kernel/z.ko", "z");
        put("modules.builtin", "kernel/b.ko\n");
        std::os::unix::fs::symlink("/", root.path().join("build")).expect("linked");
        let mut folder = Folder::open(root.path()).expect("opens");
        assert_eq!(folder.len(), 2);
        assert_eq!(folder.read("x_y").expect("is there"), b"new");
        assert_eq!(folder.built_in(), Some("kernel/b.ko\n"));
        assert!(!folder.has("b"));
    }

    #[test]
    fn the_folder_of_a_release_is_found_from_above() {
        let root = tempfile::tempdir().expect("a folder");
        let release = root.path().join("lib/modules/6.1.0");
        fs::create_dir_all(release.join("kernel")).expect("made");
        for given in [root.path(), &root.path().join("lib/modules"), &release] {
            assert_eq!(locate(given, "6.1.0").as_ref(), Some(&release));
        }
        assert_eq!(locate(root.path(), "6.2.0"), None);
    }

    #[test]
    fn a_device_node_or_an_endless_file_is_not_read() {
        assert!(bounded(Path::new("/dev/zero"), 100).is_err());
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), [0; 101]).expect("written");
        assert!(bounded(file.path(), 100).is_err());
    }
}
