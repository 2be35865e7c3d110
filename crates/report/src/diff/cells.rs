//! Which cell of one run is which of the other.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_evidence::Cell;
use hospitium_model::CellRecord;

use super::Match;
use super::inputs::machine_of;
use crate::words::visible;

/// Cells by their places in the two runs.
pub struct Matched {
    /// Place before, place after, and how; in the order of `after`.
    pub pairs: Vec<(usize, usize, Match)>,
    pub only_before: Vec<usize>,
    pub only_after: Vec<usize>,
}

/// What a cell is taken for.
type Key = fn(&CellRecord) -> Vec<String>;

/// From the strictest to the loosest. What is left after one goes on to the next.
const KEYS: [(Match, Key); 7] = [
    (Match::Same, |of| vec![guest(of), host(of), machine(of)]),
    (Match::OtherMachine, |of| vec![guest(of), host(of)]),
    (Match::OtherHost, |of| vec![guest(of), host_kind(of), machine(of)]),
    (Match::OtherHost, |of| vec![guest(of), host_kind(of)]),
    (Match::OtherGuest, |of| vec![family(of), host(of)]),
    (Match::OtherGuestAndHost, |of| vec![family(of), host_kind(of)]),
    (Match::OtherHostKind, |of| vec![guest(of)]),
];

/// Finds for each cell its counterpart. Cells that differ in more than their place in the run are
/// taken for each other only where there is one candidate on each side: a guess between two could
/// hide a regression.
pub fn matched(before: &[Cell], after: &[Cell]) -> Matched {
    let mut left: BTreeSet<usize> = (0..before.len()).collect();
    let mut right: BTreeSet<usize> = (0..after.len()).collect();
    let mut pairs = Vec::new();
    for (how, key) in KEYS {
        let old = grouped(before, &left, key);
        let new = grouped(after, &right, key);
        for (key, old) in old {
            let Some(new) = new.get(&key) else { continue };
            if how != Match::Same && (old.len() > 1 || new.len() > 1) {
                continue;
            }
            for (a, b) in old.into_iter().zip(new) {
                left.remove(&a);
                right.remove(b);
                pairs.push((a, *b, how));
            }
        }
    }
    pairs.sort_by_key(|(_, b, _)| *b);
    Matched {
        pairs,
        only_before: left.into_iter().collect(),
        only_after: right.into_iter().collect(),
    }
}

fn grouped(cells: &[Cell], of: &BTreeSet<usize>, key: Key) -> BTreeMap<Vec<String>, Vec<usize>> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for at in of {
        groups.entry(key(&cells[*at].record)).or_default().push(*at);
    }
    groups
}

/// `linux 6.1 on qemu 7.2`.
pub fn title(of: &CellRecord) -> String {
    format!("{} on {}", visible(&of.guest.name, 80), visible(&of.host.name, 80))
}

/// The first few of these cells.
pub fn titles(cells: &[Cell]) -> String {
    let shown: Vec<String> = cells.iter().take(4).map(|cell| title(&cell.record)).collect();
    match cells.len() {
        0 => "nothing".into(),
        n if n > shown.len() => format!("{} and {} more", shown.join(", "), n - shown.len()),
        _ => shown.join(", "),
    }
}

fn guest(of: &CellRecord) -> String {
    of.guest.name.clone()
}

fn host(of: &CellRecord) -> String {
    of.host.name.clone()
}

fn host_kind(of: &CellRecord) -> String {
    of.host.kind.clone()
}

/// `linux` of `linux 6.1.0-50-amd64`, with the kind of guest: a kernel is no distribution.
fn family(of: &CellRecord) -> String {
    let name = of.guest.name.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    format!("{:?} {}", of.guest.kind, name.trim().to_lowercase())
}

fn machine(of: &CellRecord) -> String {
    machine_of(of).to_string()
}
