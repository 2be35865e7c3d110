//! A plan of cells as a file: read with distrust, and its guests and hosts found again.
//!
//! Which program a host is started from is never taken from the file: hosts are those that the person
//! names, and each has to be the one that the plan was made for.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result};
use hospitium_plan::cells::{CellPlan, LARGEST_CELL_PLAN, PlannedSide};
use hospitium_run::{Places, PlannedGuest, PlannedHost};

use crate::failure::Usage;
use crate::open::{Wishes, guest};

/// The name under which a run keeps its plan in its folder.
pub const PLAN: &str = "plan.json";

const MAKE_ONE: &str = "make one: hospitium agreement cells AGREEMENT --out plan.json";

/// Reads a plan's file.
pub fn read(path: &Path) -> Result<CellPlan> {
    let doing = || format!("cannot read the plan {}", path.display());
    let mut bytes = Vec::new();
    let file =
        std::fs::File::open(path).map_err(|error| Usage::because(error, doing(), MAKE_ONE))?;
    file.take(LARGEST_CELL_PLAN as u64 + 1).read_to_end(&mut bytes).with_context(doing)?;
    CellPlan::from_json(&bytes).map_err(|error| {
        let what = format!("{} cannot be used as a plan", path.display());
        Usage::because(error, what, MAKE_ONE)
    })
}

/// The cells of a plan: a guest for each row, with which of the hosts it runs on.
pub struct Cells {
    /// One for each row.
    pub guests: Vec<PlannedGuest>,
    /// The places of guest and host of each row.
    pub exactly: Vec<(usize, usize)>,
}

/// Finds a plan's guests, which are those named if any is, else those that the plan names, and its
/// hosts among those given.
pub fn cells(
    plan: &CellPlan,
    named: &[String],
    hosts: &[PlannedHost],
    places: &Places,
    wishes: &Wishes,
) -> Result<Cells> {
    let named = named.iter().map(|what| guest(what, places, wishes)).collect::<Result<Vec<_>>>()?;
    let mut cells = Cells { guests: Vec::new(), exactly: Vec::new() };
    for pair in &plan.pairs {
        let host = hosts.iter().position(|h| h.host.facts().vmm == pair.host.digest);
        let Some(host) = host else {
            return Err(other("host", &pair.host, hosts.iter().map(|h| h.host.facts().vmm)));
        };
        let opened = if named.is_empty() {
            let of_plan = guest(&pair.guest.origin, places, wishes);
            vec![of_plan.map_err(|error| {
                let name = hospitium_model::printable(&pair.guest.name, 200);
                let next = format!(
                    "name the file that has the digest {}: hospitium run FILE --plan PLAN; or make the plan again",
                    pair.guest.digest.short()
                );
                Usage::because(error, format!("the plan's guest {name} cannot be opened"), next)
            })?]
        } else {
            named.clone()
        };
        let digest = |guest: &PlannedGuest| guest.guest.facts().digest;
        let Some(found) = opened.iter().find(|guest| digest(guest) == pair.guest.digest) else {
            return Err(other("guest", &pair.guest, opened.iter().map(digest)));
        };
        for row in &pair.rows {
            cells.exactly.push((cells.guests.len(), host));
            cells.guests.push(PlannedGuest { options: row.machine.into(), ..found.clone() });
        }
    }
    if cells.guests.is_empty() {
        return Err(Usage::error(
            "the plan has no cells to run",
            "nothing is to be done; `hospitium agreement cells AGREEMENT` shows how it stands",
        ));
    }
    Ok(cells)
}

fn other(
    what: &str,
    side: &PlannedSide,
    found: impl Iterator<Item = hospitium_model::Digest>,
) -> anyhow::Error {
    let shown = |text: &str| hospitium_model::printable(text, 200);
    let found: Vec<_> = found.map(|digest| digest.short()).collect();
    Usage::error(
        format!(
            "the plan is for the {what} {} with the digest {}, and found here is {}",
            shown(&side.name),
            side.digest.short(),
            found.join(", ")
        ),
        match what {
            "host" => format!("name it: --on {}; or make the plan again", shown(&side.origin)),
            _ => format!("name it as a guest: {}; or make the plan again", shown(&side.origin)),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_plan_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        assert!(read(&path).is_err(), "absent");
        for bad in ["", "{\"format\":1,\"pairs\":[", "{\"format\":7}", "\u{1b}]0;x\u{7}"] {
            std::fs::write(&path, bad).expect("written");
            let error = read(&path).expect_err("is refused").to_string();
            assert!(error.contains("cannot be used as a plan"), "{error}");
        }
    }
}
