//! Guests and hosts as files: `guests/NAME.toml`, `hosts/NAME.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_model::{ByteSize, Digest, Firmware};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Usage;

/// Longest definition that is read.
const LONGEST: u64 = 1 << 20;

/// A guest, as its file says. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestDefinition {
    /// Name for people and matrices; by default what the guest says of itself.
    #[serde(default)]
    pub name: Option<String>,
    /// Product id of osinfo-db: `http://debian.org/debian/12`.
    #[serde(default)]
    pub product: Option<String>,
    /// Kernel package, kernel image or disk image.
    pub path: PathBuf,
    /// Folder of the modules, if `path` is a kernel image.
    #[serde(default)]
    pub modules: Option<PathBuf>,
    /// What `path` must be.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// The command that makes or fetches it, shown when it is missing.
    #[serde(default)]
    pub get: Option<String>,
    /// How to log in where nothing starts the probe.
    #[serde(default)]
    pub login: Option<Login>,
    /// Its machines.
    #[serde(default)]
    pub machine: MachineDefinition,
}

/// A login on the serial console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Login {
    /// User; must be root or be able to become root without a password.
    pub user: String,
    /// Password.
    #[serde(default)]
    pub password: String,
}

/// How a guest's machines are to be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MachineDefinition {
    /// Memory.
    pub memory: Option<ByteSize>,
    /// vCPUs.
    pub vcpus: Option<u32>,
    /// Firmware.
    pub firmware: Option<Firmware>,
    /// NUMA nodes.
    pub nodes: Option<u32>,
    /// The longest that its boot may take, in seconds.
    pub boot_limit: Option<u64>,
}

/// A host, as its file says. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostDefinition {
    /// Hypervisor kind; `qemu` is the one that there is a driver for.
    #[serde(default = "qemu")]
    pub kind: String,
    /// The binary: a path, or a name looked up in `root` or on PATH.
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// A folder with another version's unpacked packages.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// The command that installs or fetches it, shown when it is missing.
    #[serde(default)]
    pub get: Option<String>,
}

fn qemu() -> String {
    "qemu".into()
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
    let Ok(items) = std::fs::read_dir(folder) else { return Vec::new() };
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
        return Err(Usage::new(
            format!("{} has {size} bytes, too many for a definition", path.display()),
            "name the guest or host itself, or a definition of it",
        ));
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the definition {} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        Usage::new(
            format!("{} is not of the form of a definition: {error}", path.display()),
            "docs/guests-and-hosts.md shows what a definition can say",
        )
    })
}

/// A path of a definition, which is relative to the definition's own folder.
pub fn beside(definition: &Path, path: &Path) -> PathBuf {
    let path = match path.strip_prefix("~") {
        Ok(rest) => std::env::var_os("HOME").map_or_else(|| path.to_owned(), |home| Path::new(&home).join(rest)),
        Err(_) => path.to_owned(),
    };
    definition.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_what_it_can_and_nothing_else() {
        let good = r#"
            name = "Debian 12"
            product = "http://debian.org/debian/12"
            path = "debian-12.qcow2"
            get = "cargo xtask setup"
            login = { user = "root", password = "x" }
            [machine]
            memory = "1 GiB"
            firmware = "uefi"
            boot-limit = 300
        "#;
        let guest: GuestDefinition = toml::from_str(good).expect("reads");
        assert_eq!(guest.machine.memory, Some(ByteSize::gib(1)));
        assert_eq!(guest.machine.firmware, Some(Firmware::Uefi));
        for bad in ["", "path = 5", "path = \"a\"\npasswd = \"x\"", "path = \"a\"\nsha256 = \"12\""] {
            assert!(toml::from_str::<GuestDefinition>(bad).is_err(), "{bad}");
        }
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
