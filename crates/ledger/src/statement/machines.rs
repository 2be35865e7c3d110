//! The coverage claim: which machine configurations were tried, how much of all that can be they
//! cover, and what cannot be. Counted by looking at every configuration there is, one after the other:
//! no code is shared with what plans the rows.

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{
    CheckId, Digest, MACHINE_PARAMETERS, MOST_MACHINE_VALUES, MachineRow, MachineSpace,
    SpaceParameter, Subsystem, Verdict,
};
use serde::{Deserialize, Serialize};

use super::compact::{TEXT, cut};
use super::validation::{Envelope, Waiver};

/// Looks at a combination at most: what counting a claim may cost.
const MOST_LOOKS: u64 = 30_000_000;
/// Rows of a claim at most.
const MOST_ROWS: usize = 2000;

/// How much of the machine configurations is covered by the rows that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineCoverage {
    /// Interactions of how many parameters.
    pub strength: u32,
    /// Interactions covered by the rows.
    pub covered: u64,
    /// Interactions that can be.
    pub feasible: u64,
    /// Those that cannot be, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infeasible: Vec<Infeasible>,
    /// The parameters with their values; none in records from before they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<SpaceParameter>,
    /// The rows that passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<CoveredRow>,
    /// The rows of the same run that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<CoveredRow>,
}

/// An interaction that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infeasible {
    /// Which: `disk=ide chipset=modern`.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// A row: a machine configuration that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredRow {
    /// The words of its values, in the parameters' order.
    pub row: Vec<String>,
    /// The cell of the evidence in which it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Or the record of an earlier run, by the digest of its entry in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Digest>,
}

/// What a claim is made of, beside the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Interactions of how many parameters.
    pub strength: u32,
    /// What can be tried, and what cannot.
    pub space: MachineSpace,
    /// Rows of earlier records in the log.
    pub earlier: Vec<(MachineRow, Digest)>,
}

impl MachineCoverage {
    /// The claim of these rows: those of the run's cells of the same guest on the same host, and those
    /// of earlier records.
    ///
    /// # Errors
    /// The space cannot be counted.
    pub fn of(
        claim: &Claim,
        bundle: &Bundle,
        cell: &Cell,
        waivers: &[Waiver],
    ) -> Result<Self, String> {
        let (mut rows, failed) = ran(bundle, cell, waivers);
        rows.extend(claim.earlier.iter().map(|(row, record)| CoveredRow {
            row: row.words().into(),
            cell: None,
            record: Some(*record),
        }));
        let infeasible = claim
            .space
            .infeasible
            .iter()
            .map(|rule| Infeasible { what: rule.what(), reason: cut(&rule.reason, TEXT) });
        let mut this = Self {
            strength: claim.strength,
            covered: 0,
            feasible: 0,
            infeasible: infeasible.collect(),
            parameters: claim.space.parameters.clone(),
            rows,
            failed,
        };
        (this.covered, this.feasible) = this.count()?;
        Ok(this)
    }

    /// What contradicts itself in it. Older claims have no rows to count.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.parameters.is_empty() && self.rows.is_empty() {
            return Ok(());
        }
        let (covered, feasible) = self.count()?;
        if (covered, feasible) != (self.covered, self.feasible) {
            return Err(format!(
                "it claims {} of {} {}-way combinations of the machine, and its rows cover {covered} of {feasible}",
                self.covered, self.feasible, self.strength
            ));
        }
        let both = self.rows.iter().chain(&self.failed);
        if both.clone().any(|row| row.cell.is_some() == row.record.is_some()) {
            return Err("a row of the machine is of no run, or of two".into());
        }
        Ok(())
    }

    /// Is every combination that can be covered, and did no row fail?
    pub fn is_complete(&self) -> bool {
        self.covered == self.feasible && self.failed.is_empty() && !self.rows.is_empty()
    }

    /// The machine configuration that ran in this cell.
    pub fn own_row(&self, cell: &str) -> Option<MachineRow> {
        let mut rows = self.rows.iter().chain(&self.failed);
        MachineRow::from_words(&rows.find(|row| row.cell.as_deref() == Some(cell))?.row)
    }

    /// Covered and feasible combinations, counted over all configurations there are.
    fn count(&self) -> Result<(u64, u64), String> {
        let names = self.parameters.iter().map(|parameter| parameter.name.as_str());
        if !names.eq(MACHINE_PARAMETERS) {
            return Err(format!(
                "the machine's parameters are not {}",
                MACHINE_PARAMETERS.join(", ")
            ));
        }
        let sizes: Vec<usize> = self.parameters.iter().map(|p| p.values.len()).collect();
        if sizes.iter().any(|size| !(1..=MOST_MACHINE_VALUES).contains(size)) {
            return Err(format!(
                "a parameter of the machine has 1 to {MOST_MACHINE_VALUES} values"
            ));
        }
        if self.rows.len() + self.failed.len() > MOST_ROWS {
            return Err(format!("more than {MOST_ROWS} rows are claimed"));
        }
        let strength = self.strength as usize;
        if !(1..=6).contains(&strength) {
            return Err("the strength is 1 to 6".into());
        }
        let rules: Vec<Vec<(usize, usize)>> = self
            .infeasible
            .iter()
            .map(|rule| self.settings(&rule.what))
            .collect::<Result<_, _>>()?;
        let place = |row: &CoveredRow| {
            let places = self.parameters.iter().zip(&row.row);
            let places = places.map(|(p, word)| p.values.iter().position(|value| value == word));
            let places: Option<Vec<usize>> = places.collect();
            places
                .filter(|places| places.len() == sizes.len() && row.row.len() == sizes.len())
                .ok_or_else(|| "a row of the machine has a value that is not tried".to_owned())
        };
        self.failed.iter().try_for_each(|row| place(row).map(drop))?;
        let rows = self.rows.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let can = |row: &[usize]| {
            !rules.iter().any(|rule| rule.iter().all(|(p, v)| row.get(*p) == Some(v)))
        };
        if let Some(n) = rows.iter().position(|row| !can(row)) {
            return Err(format!("row {} of the machine is one that it says cannot be", n + 1));
        }
        let mut counted = Counted::new(&sizes, strength)?;
        let mut row = vec![0; sizes.len()];
        loop {
            if can(&row) {
                counted.mark(&row, FEASIBLE);
            }
            // The next configuration, as an odometer turns.
            let Some(wheel) = row.iter().zip(&sizes).rposition(|(at, size)| at + 1 < *size) else {
                break;
            };
            for (n, at) in row.iter_mut().enumerate().skip(wheel) {
                *at = if n == wheel { *at + 1 } else { 0 };
            }
        }
        rows.iter().for_each(|row| counted.mark(row, COVERED));
        Ok((counted.with(COVERED), counted.with(FEASIBLE)))
    }

    /// `disk=ide chipset=modern` as places.
    fn settings(&self, what: &str) -> Result<Vec<(usize, usize)>, String> {
        let wrong = || format!("{:?} names no values of the machine", crate::text::shown(what));
        let setting = |word: &str| {
            let (name, value) = word.split_once('=')?;
            let at = self.parameters.iter().position(|p| p.name == name)?;
            Some((at, self.parameters.get(at)?.values.iter().position(|v| v == value)?))
        };
        let settings: Option<Vec<_>> = what.split(' ').map(setting).collect();
        settings.ok_or_else(wrong)
    }
}

const FEASIBLE: u8 = 1;
const COVERED: u8 = 2;

/// Every combination of values of so many parameters, with what is known of it.
struct Counted {
    sizes: Vec<usize>,
    sets: Vec<(Vec<usize>, usize)>,
    marks: Vec<u8>,
}

impl Counted {
    fn new(sizes: &[usize], strength: usize) -> Result<Self, String> {
        let mut sets = Vec::new();
        let mut total = 0;
        for mask in 0u32..1 << sizes.len() {
            if mask.count_ones() as usize == strength {
                let set: Vec<usize> = (0..sizes.len()).filter(|p| mask >> p & 1 == 1).collect();
                let count: usize = set.iter().filter_map(|p| sizes.get(*p)).product();
                sets.push((set, total));
                total += count;
            }
        }
        let machines = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(*size as u64));
        let looks = machines.and_then(|all| all.checked_mul(sets.len() as u64));
        if looks.is_none_or(|looks| looks > MOST_LOOKS) || total as u64 > MOST_LOOKS {
            return Err("there are too many configurations of the machine to count".into());
        }
        Ok(Self { sizes: sizes.to_vec(), sets, marks: vec![0; total] })
    }

    fn mark(&mut self, row: &[usize], with: u8) {
        for (set, first) in &self.sets {
            let number = set.iter().fold(0, |number, p| {
                number * self.sizes.get(*p).copied().unwrap_or(1)
                    + row.get(*p).copied().unwrap_or(0)
            });
            if let Some(mark) = self.marks.get_mut(first + number) {
                *mark |= with;
            }
        }
    }

    fn with(&self, mark: u8) -> u64 {
        self.marks.iter().filter(|all| **all & mark != 0).count() as u64
    }
}

/// The rows of the run's cells of the same guest on the same host that came to an end: those that
/// passed, and those that failed.
fn ran(bundle: &Bundle, of: &Cell, waivers: &[Waiver]) -> (Vec<CoveredRow>, Vec<CoveredRow>) {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for name in &bundle.run.cells {
        let Some(cell) = bundle.cell(name) else { continue };
        let (one, other) = (&cell.record, &of.record);
        let same = one.guest.digest == other.guest.digest
            && one.host.vmm == other.host.vmm
            && one.host.accelerator.used == other.host.accelerator.used;
        let Some(row) = MachineRow::of(&one.machine).filter(|_| same) else { continue };
        let row = CoveredRow { row: row.words().into(), cell: Some(name.clone()), record: None };
        match came_to(bundle, cell, waivers) {
            Some(true) => passed.push(row),
            Some(false) => failed.push(row),
            None => {}
        }
    }
    (passed, failed)
}

/// Whether a cell passed (everything that is required, or it is waived) or failed; none if it came to
/// no end.
fn came_to(bundle: &Bundle, cell: &Cell, waivers: &[Waiver]) -> Option<bool> {
    let required = |id: &CheckId| {
        let named = |other: &CheckId| other == id || other.as_str() == id.base();
        bundle.run.required.iter().any(named)
    };
    let real = || {
        let real = cell.checks.iter().filter(|check| check.id.subsystem() != Subsystem::Canary);
        real.filter(|check| required(&check.id))
    };
    let waived = |id: &CheckId| waivers.iter().any(|waiver| waiver.check == *id);
    let fails = |verdict: &Verdict| matches!(verdict, Verdict::Fail { .. });
    if !cell.record.canary_failed || cell.record.failure.is_some() {
        return None;
    }
    if real().any(|check| fails(&check.verdict) && !waived(&check.id)) {
        return Some(false);
    }
    let open = |verdict: &Verdict| matches!(verdict, Verdict::Error { .. } | Verdict::Miss { .. });
    let whole = cell.record.required_not_run.is_empty()
        && !real().any(|check| open(&check.verdict))
        && real().any(|check| check.verdict.ran());
    whole.then_some(true)
}

/// What is covered by the rows that passed, beyond the machine of one of them. A claim that lacks
/// something, or has a failed row, widens nothing.
pub fn widened(mut envelope: Envelope, claim: Option<&MachineCoverage>) -> Envelope {
    let Some(claim) = claim.filter(|claim| claim.is_complete()) else { return envelope };
    for row in claim.rows.iter().filter_map(|row| MachineRow::from_words(&row.row)) {
        envelope.vcpus = envelope.vcpus.max(row.vcpus);
        envelope.vcpus_max = envelope.vcpus_max.max(row.vcpus);
        envelope.memory = envelope.memory.max(row.memory);
        envelope.memory_max = envelope.memory_max.max(row.memory);
        if row.nodes > 1 {
            envelope.nodes = envelope.nodes.max(row.nodes);
        }
        let [_, _, disk, nic, ..] = row.words();
        envelope.disk_buses.push(disk);
        envelope.nics.push(nic);
    }
    for list in [&mut envelope.disk_buses, &mut envelope.nics] {
        list.sort();
        list.dedup();
    }
    envelope
}

/// Where a claim and a sound bundle differ.
pub fn differences(
    claim: &MachineCoverage,
    bundle: &Bundle,
    cell: &Cell,
    waivers: &[Waiver],
) -> Vec<String> {
    if claim.parameters.is_empty() {
        return Vec::new();
    }
    let (passed, failed) = ran(bundle, cell, waivers);
    let of_run = |rows: &[CoveredRow]| -> Vec<CoveredRow> {
        rows.iter().filter(|row| row.cell.is_some()).cloned().collect()
    };
    let mut found = Vec::new();
    for (what, certificate, evidence) in
        [("passed", of_run(&claim.rows), passed), ("failed", of_run(&claim.failed), failed)]
    {
        let name = |row: &CoveredRow| {
            let cell = row.cell.as_deref().unwrap_or_default();
            crate::text::shown(&format!("{cell} ({})", row.row.join(" ")))
        };
        for row in certificate.iter().filter(|row| !evidence.contains(row)) {
            found.push(format!(
                "the rows that {what}: the certificate has {}, the evidence does not",
                name(row)
            ));
        }
        for row in evidence.iter().filter(|row| !certificate.contains(row)) {
            found.push(format!(
                "the rows that {what}: the evidence has {}, the certificate does not",
                name(row)
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Chipset, MachineValues};

    use super::*;

    fn claim(rows: &[&str]) -> MachineCoverage {
        let parameter =
            |(name, values): (&str, Vec<String>)| SpaceParameter { name: name.to_owned(), values };
        let usual = MachineValues::default();
        let chipset = vec![Chipset::Modern, Chipset::Legacy];
        let values = MachineValues { chipset, ..usual };
        let mut parameters: Vec<_> = values.words().into_iter().map(parameter).collect();
        for (n, keep) in [(0, 2), (1, 1), (2, 2), (3, 1), (4, 2), (5, 1), (6, 1), (7, 1)] {
            parameters[n].values.truncate(keep);
        }
        let row = |(n, words): (usize, &&str)| CoveredRow {
            row: words.split(' ').map(str::to_owned).collect(),
            cell: Some(format!("cell-{n}")),
            record: None,
        };
        MachineCoverage {
            strength: 2,
            covered: 0,
            feasible: 0,
            infeasible: vec![Infeasible {
                what: "chipset=legacy vcpus=2".into(),
                reason: "an example".into(),
            }],
            parameters,
            rows: rows.iter().enumerate().map(row).collect(),
            failed: Vec::new(),
        }
    }

    const ROWS: [&str; 4] = [
        "modern bios virtio virtio 1 512MiB 1 virtio",
        "modern bios virtio-scsi virtio 2 512MiB 1 virtio",
        "legacy bios virtio-scsi virtio 1 512MiB 1 virtio",
        "modern bios virtio virtio 2 512MiB 1 virtio",
    ];

    #[test]
    fn what_rows_cover_is_counted_over_all_machines_there_are() {
        // By hand: 5 parameters of one value, 3 of two. 10 + 5·2·3 + 3·4 pairs, one of them forbidden.
        assert_eq!(claim(&ROWS).count().map(|c| c.1), Ok(51));
        assert_eq!(claim(&ROWS).count().map(|c| c.0), Ok(50), "legacy with virtio is not tried");
        let [a, b, c, d] = ROWS;
        let all = [a, b, c, d, "legacy bios virtio virtio 1 512MiB 1 virtio"];
        assert_eq!(claim(&all).count(), Ok((51, 51)));
        assert_eq!(claim(&[]).count(), Ok((0, 51)));
    }

    #[test]
    fn a_claim_that_its_rows_do_not_bear_out_is_refused() {
        let mut good = claim(&ROWS);
        (good.covered, good.feasible) = (50, 51);
        assert_eq!(good.check(), Ok(()));
        let bad = |change: fn(&mut MachineCoverage)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check().expect_err("is refused")
        };
        assert!(bad(|c| c.covered = 51).contains("its rows cover 50 of 51"));
        assert!(bad(|c| c.rows.truncate(1)).contains("its rows cover"));
        assert!(bad(|c| c.infeasible.clear()).contains("of 52"));
        assert!(bad(|c| c.infeasible[0].what = "disk=scsi".into()).contains("names no values"));
        assert!(bad(|c| c.rows[0].row[4] = "9".into()).contains("not tried"));
        assert!(bad(|c| c.rows[0].row.truncate(3)).contains("not tried"));
        assert!(bad(|c| c.rows[2].row[4] = "2".into()).contains("says cannot be"));
        assert!(bad(|c| c.rows[0].cell = None).contains("of no run"));
        assert!(bad(|c| c.parameters.truncate(7)).contains("parameters are not"));
        assert!(bad(|c| c.strength = 9).contains("1 to 6"));
        assert!(
            bad(|c| c.parameters.iter_mut().for_each(|p| {
                p.values = (0..32).map(|n| n.to_string()).collect();
            }))
            .contains("names no values")
        );
        let mut huge = good.clone();
        huge.infeasible.clear();
        for p in &mut huge.parameters {
            p.values.extend((0..24).map(|n| format!("x{n}")));
        }
        assert!(huge.check().expect_err("too many").contains("too many"));
    }

    #[test]
    fn an_older_claim_without_rows_is_taken_as_it_is() {
        let old = r#"{"strength":2,"covered":4,"feasible":4}"#;
        let old: MachineCoverage = serde_json::from_str(old).expect("reads");
        assert_eq!(old.check(), Ok(()));
        assert_eq!(old.own_row("a"), None);
        assert!(!old.is_complete(), "it widens nothing");
    }
}
