//! Guests and hosts as files: `guests/NAME.toml`, `hosts/NAME.toml`. docs/guests-and-hosts.md shows them.
//!
//! A guest's file either names a `kernel` and is read here, or describes a disk image and is
//! [the guest crate's](hospitium_guest::disk::Definition).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_guest::disk::Definition as DiskDefinition;
use hospitium_model::{ByteSize, Digest, Firmware};
use hospitium_run::Places;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Usage;

/// Longest definition that is read.
const LONGEST: u64 = 1 << 20;

/// A guest, as its file says.
#[derive(Debug, Clone)]
pub enum GuestDefinition {
    /// A kernel.
    Kernel(KernelDefinition),
    /// A disk image.
    Disk(Box<DiskDefinition>),
}

/// A kernel guest, as its file says. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KernelDefinition {
    /// Name for people and matrices; by default what the guest says of itself.
    #[serde(default)]
    pub name: Option<String>,
    /// Product id of osinfo-db: `http://debian.org/debian/12`.
    #[serde(default)]
    pub product: Option<String>,
    /// Kernel package or kernel image.
    pub kernel: PathBuf,
    /// Folder of the modules, if `kernel` is an image.
    #[serde(default)]
    pub modules: Option<PathBuf>,
    /// What `kernel` must be.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// The least memory that it starts with.
    #[serde(default)]
    pub memory: Option<ByteSize>,
    /// The command that makes or fetches it, shown when it is missing.
    #[serde(default)]
    pub get: Option<String>,
}

/// A host, as its file says. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostDefinition {
    /// Hypervisor kind: `qemu` or `libvirt`.
    #[serde(default = "qemu")]
    pub kind: String,
    /// The binary: a path, or a name looked up in `root` or on PATH.
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// A folder with another version's unpacked packages.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// The connection, of a host that libvirt drives: `qemu:///system`.
    #[serde(default)]
    pub uri: Option<String>,
    /// The command that installs or fetches it, shown when it is missing.
    #[serde(default)]
    pub get: Option<String>,
}

fn qemu() -> String {
    "qemu".into()
}

impl GuestDefinition {
    /// Reads a guest's definition.
    ///
    /// # Errors
    /// It is not there, or of neither form.
    pub fn read(path: &Path) -> Result<Self> {
        let table: toml::Table = read(path)?;
        if table.contains_key("kernel") {
            Ok(Self::Kernel(read(path)?))
        } else {
            Ok(Self::Disk(Box::new(read(path)?)))
        }
    }

    /// Where its file is: as the definition says, or where set-up builds it.
    pub fn file(&self, definition: &Path, places: &Places) -> PathBuf {
        match self {
            Self::Kernel(kernel) => beside(definition, &kernel.kernel),
            Self::Disk(disk) => match (&disk.image, &disk.builder) {
                (Some(image), _) => beside(definition, image),
                (None, Some(builder)) => built(&places.images(), builder)
                    .unwrap_or_else(|| places.images().join(format!("{builder}.qcow2"))),
                (None, None) => definition.with_extension("qcow2"),
            },
        }
    }

    /// The command that gets it.
    pub fn get(&self, definition: &Path) -> String {
        let unknown = || format!("put it there, or say where it is in {}", definition.display());
        match self {
            Self::Kernel(kernel) => {
                kernel.get.clone().map_or_else(unknown, |command| format!("run: {command}"))
            }
            Self::Disk(disk) if disk.builder.is_some() => "run: cargo xtask setup".into(),
            Self::Disk(_) => unknown(),
        }
    }

    /// The least memory that it starts with.
    pub fn memory(&self) -> Option<ByteSize> {
        match self {
            Self::Kernel(kernel) => kernel.memory,
            Self::Disk(disk) => disk.memory,
        }
    }

    /// The firmware that it boots with, if only some.
    pub fn firmware(&self) -> Option<Firmware> {
        match self {
            Self::Kernel(_) => None,
            Self::Disk(disk) if disk.firmware.contains(&Firmware::Bios) => None,
            Self::Disk(disk) => disk.firmware.first().copied(),
        }
    }
}

/// The newest image that set-up has built by this recipe.
fn built(images: &Path, builder: &str) -> Option<PathBuf> {
    // The recipe's digest stands behind its name; `debian-12-login` is no `debian-12`.
    let is_built = |name: &str| {
        let rest = name.strip_prefix(builder).and_then(|rest| rest.strip_prefix('-'));
        let digits = rest.and_then(|rest| rest.strip_suffix(".qcow2"));
        digits.is_some_and(|digits| {
            digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    let items = std::fs::read_dir(images).ok()?.flatten();
    let fitting = items.filter(|item| is_built(&item.file_name().to_string_lossy()));
    let newest = fitting.max_by_key(|item| item.metadata().and_then(|meta| meta.modified()).ok());
    newest.map(|item| item.path())
}

/// The definition that a person named, if it is one: a path that ends in `.toml`, or the name of one
/// in `folder`.
pub fn named(what: &str, folder: &str) -> Option<PathBuf> {
    let path = Path::new(what);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Some(path.to_owned());
    }
    let plain = !what.contains('/') && !what.starts_with('.');
    let in_folder = Path::new(folder).join(format!("{what}.toml"));
    (plain && !path.exists() && in_folder.is_file()).then_some(in_folder)
}

/// All definitions in `folder`, by name, whether they can be read or not.
pub fn all(folder: &str) -> Vec<PathBuf> {
    let Ok(items) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = items.flatten().map(|item| item.path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        // A table that the guests of this folder share, and no guest.
        .filter(|path| path.file_name().is_none_or(|name| name != "linux-modules.toml"))
        .collect();
    paths.sort();
    paths
}

/// Reads a definition.
///
/// # Errors
/// It is not there, or not of the form.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("the definition {} cannot be read", path.display()))?
        .len();
    if size > LONGEST {
        return Err(Usage::error(
            format!("{} has {size} bytes, too many for a definition", path.display()),
            "name the guest or host itself, or a definition of it",
        ));
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the definition {} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        Usage::error(
            format!("{} is not of the form of a definition: {error}", path.display()),
            "docs/guests-and-hosts.md shows what a definition can say",
        )
    })
}

/// A path of a definition, which is relative to the definition's own folder.
pub fn beside(definition: &Path, path: &Path) -> PathBuf {
    definition.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_what_it_can_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("g.toml");
        let parse = |text: &str| {
            std::fs::write(&file, text).expect("written");
            GuestDefinition::read(&file)
        };
        let kernel = parse("kernel = \"linux.deb\"\nget = \"apt download linux\"").expect("reads");
        assert!(matches!(kernel, GuestDefinition::Kernel(_)));
        assert!(kernel.get(&file).contains("apt download"));
        let disk = parse("image = \"a.qcow2\"\nfirmware = [\"uefi\"]").expect("reads");
        assert_eq!(disk.firmware(), Some(Firmware::Uefi));
        for bad in [
            "kernel = 5",
            "kernel = \"a\"\npasswd = \"x\"",
            "kernel = \"a\"\nsha256 = \"12\"",
            "image = [",
            "imag = \"x\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_image_of_another_recipe_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["debian-12-login-0123456789abcdef.qcow2", "debian-12-0123456789abcdef.sha256"]
        {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(built(folder.path(), "debian-12"), None);
        let image = folder.path().join("debian-12-0123456789abcdef.qcow2");
        std::fs::write(&image, "").expect("written");
        assert_eq!(built(folder.path(), "debian-12"), Some(image));
    }

    #[test]
    fn paths_are_relative_to_the_definition() {
        let definition = Path::new("guests/a.toml");
        assert_eq!(beside(definition, Path::new("b.qcow2")), Path::new("guests/b.qcow2"));
        assert_eq!(beside(definition, Path::new("/b.qcow2")), Path::new("/b.qcow2"));
    }

    #[test]
    fn a_file_that_is_there_is_not_taken_for_a_name() {
        assert_eq!(named("x/y.toml", "guests"), Some("x/y.toml".into()));
        assert_eq!(named("/etc/passwd", "guests"), None);
        assert_eq!(named("../x", "guests"), None);
    }
}
