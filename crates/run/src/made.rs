//! What the runs of this machine were made from, so that one can be entered again.
//!
//! Evidence may come from anyone; which program a host is started from is therefore not taken
//! from evidence, but from this note of our own, or from the person.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::plan::PlannedCell;

/// Notes that are kept; the oldest go first.
const KEPT: usize = 500;

/// From what a cell was made, as a person would name it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The guest.
    pub guest: String,
    /// The host.
    pub host: String,
}

/// Notes from what the cells of a run are made. A convenience: without it `replay` asks the person.
pub(crate) fn note(folder: &Path, run: &str, cells: &[PlannedCell]) {
    let origins: BTreeMap<&str, Origin> = cells
        .iter()
        .map(|cell| {
            let origin =
                Origin { guest: cell.guest.origin.clone(), host: cell.host.origin.clone() };
            (cell.name.as_str(), origin)
        })
        .collect();
    let written = serde_json::to_vec(&origins)
        .map_err(std::io::Error::from)
        .and_then(|bytes| fs::create_dir_all(folder).map(|()| bytes))
        .and_then(|bytes| fs::write(folder.join(format!("{run}.json")), bytes));
    if let Err(error) = written {
        tracing::warn!("cannot note what the run is made from: {error}");
    }
    // Names begin with the time.
    let mut notes: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|i| i.path()).collect();
    notes.sort();
    for old in &notes[..notes.len().saturating_sub(KEPT)] {
        let _ = fs::remove_file(old);
    }
}

/// From what a cell of a run was made, if that run was made here.
pub fn find(folder: &Path, run: &str, cell: &str) -> Option<Origin> {
    // The id is from evidence.
    let plain = !run.is_empty() && run.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let bytes = plain.then(|| fs::read(folder.join(format!("{run}.json"))).ok())??;
    let mut origins: BTreeMap<String, Origin> = serde_json::from_slice(&bytes).ok()?;
    origins.remove(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_of_foreign_evidence_leads_nowhere() {
        let top = tempfile::tempdir().expect("a folder");
        let outside = "{\"c\":{\"guest\":\"g\",\"host\":\"root:/evil\"}}";
        fs::write(top.path().join("evil.json"), outside).expect("written");
        let folder = top.path().join("made");
        fs::create_dir(&folder).expect("made");
        assert_eq!(find(&folder, "../evil", "c"), None);
        assert_eq!(find(&folder, "", "c"), None);
        fs::write(folder.join("1-a.json"), outside).expect("written");
        assert_eq!(find(&folder, "1-a", "c").map(|o| o.guest), Some("g".into()));
        assert_eq!(find(&folder, "1-a", "d"), None);
    }
}
