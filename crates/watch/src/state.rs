//! What was known at the last look: a JSON file, replaced as a whole, read with bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use hospitium_files::Access;
use hospitium_products::{Arch, Fact, ProductId, ProductKind, Version};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{Release, WatchError};

/// The form of the file.
const FORMAT: u32 = 1;
/// Largest file that is read or written.
const LARGEST: u64 = 256 << 20;
/// Most releases that are remembered.
const MOST: usize = 200_000;

/// What was known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct State {
    format: u32,
    /// Each source that was ever read, and when first.
    pub(crate) sources: BTreeMap<String, Date>,
    /// Every release by its key.
    pub(crate) releases: BTreeMap<String, Known>,
}

/// A release that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Known {
    pub product: ProductId,
    pub name: String,
    pub short: String,
    pub kind: ProductKind,
    pub line: String,
    pub release: Version,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub family: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<Arch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// What each source said when it last spoke of it.
    pub said: BTreeMap<String, Said>,
}

/// What one source said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Since when it says so.
    pub since: Date,
    pub facts: Vec<Fact>,
}

impl Known {
    pub fn facts(&self) -> impl Iterator<Item = (&String, &Fact)> {
        self.said.iter().flat_map(|(label, said)| said.facts.iter().map(move |f| (label, f)))
    }
}

impl State {
    /// Takes in what a source says of a release.
    pub fn learn(&mut self, label: &str, release: &Release, on: Date) {
        let known = self.releases.entry(release.key()).or_insert_with(|| Known {
            product: release.product.clone(),
            name: release.name.clone(),
            short: release.short.clone(),
            kind: release.kind,
            line: release.line.clone(),
            release: release.release.clone(),
            family: release.family.clone(),
            archs: release.archs.clone(),
            build: release.build.clone(),
            said: BTreeMap::new(),
        });
        let since = known.said.get(label).map_or(on, |said| said.since);
        known.said.insert(label.to_owned(), Said { since, facts: release.facts.clone() });
    }

    /// The products that were known.
    pub(crate) fn products(&self) -> BTreeSet<&ProductId> {
        self.releases.values().filter(|known| known.build.is_none()).map(|k| &k.product).collect()
    }

    /// Reads the file; nothing is known if it is not there.
    pub fn read(path: &Path) -> Result<Self, WatchError> {
        let wrong = |why: String| WatchError::State { path: path.to_owned(), why };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { format: FORMAT, ..Self::default() });
            }
            Err(cause) => return Err(WatchError::Read { path: path.to_owned(), cause }),
        };
        let mut text = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|cause| WatchError::Read { path: path.to_owned(), cause })?;
        if text.len() as u64 > LARGEST {
            return Err(wrong(format!("it has more than {LARGEST} bytes")));
        }
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if head.format != FORMAT {
            return Err(wrong(format!(
                "it is of form {}, and this version reads form {FORMAT}",
                head.format
            )));
        }
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Replaces the file: what is there is the old or the new, whole, whatever happens.
    pub fn write(&self, path: &Path) -> Result<(), WatchError> {
        if self.releases.len() > MOST {
            return Err(WatchError::TooMuch {
                what: "what is known by now".into(),
                limit: MOST as u64,
                unit: "releases",
            });
        }
        let text = serde_json::to_vec(self)
            .map_err(|error| WatchError::State { path: path.to_owned(), why: error.to_string() })?;
        replace(path, &text)
    }
}

/// Writes beside the file, then takes its place.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), WatchError> {
    let cause = |cause| WatchError::Write { path: path.to_owned(), cause };
    std::fs::create_dir_all(hospitium_files::above(path)).map_err(cause)?;
    hospitium_files::replace_durably(path, text, Access::Public).map_err(cause)
}

/// Keeps others from looking with the same file at the same time; ends with what is given back.
pub(crate) fn lock(path: &Path) -> Result<File, WatchError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let cause = |cause| WatchError::Write { path: beside.clone(), cause };
    if let Some(folder) = beside.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(cause)?;
    }
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&beside).map_err(cause)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WatchError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(cause(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_is_read_back_and_a_stranger_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/state.json");
        let empty = State::read(&path).expect("nothing is known");
        empty.write(&path).expect("writes");
        assert_eq!(State::read(&path).expect("reads"), empty);
        for (bad, why) in [
            ("", "EOF"),
            ("{\"format\":2,\"sources\":{},\"releases\":{}}", "form 2"),
            ("{\"format\":1,\"sources\":{},\"releases\":{},\"x\":1}", "unknown field"),
            ("{\"format\":1,\"sources\":{},\"releases\":{\"a\":{\"product\":\"x\"}}}", "not an id"),
        ] {
            std::fs::write(&path, bad).expect("writes");
            let error = State::read(&path).expect_err("refused").to_string();
            assert!(error.contains(why) && error.contains("move it away"), "{error}");
        }
    }

    #[test]
    fn two_do_not_look_at_once_with_one_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        let first = lock(&path).expect("locks");
        assert!(matches!(lock(&path), Err(WatchError::InUse { .. })));
        drop(first);
        lock(&path).expect("locks again");
    }
}
