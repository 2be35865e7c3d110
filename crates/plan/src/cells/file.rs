//! The file of the cells to run: written by `plan`, read by `run` and by `certify`.

use std::collections::BTreeSet;

use hospitium_model::{
    Digest, MACHINE_PARAMETERS, MOST_MACHINE_VALUES, MachineRow, MachineSpace, MachineValues,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The form of cell plans that this reads.
pub const CELL_PLAN_FORMAT: u32 = 1;
/// Largest plan, in bytes.
pub const LARGEST_CELL_PLAN: usize = 16 << 20;
/// Pairs of one plan at most.
const MOST_PAIRS: usize = 1000;
/// Rows of one pair at most, those already run included.
const MOST_ROWS: usize = 2000;
/// Rules of one space at most.
const MOST_RULES: usize = 1000;
/// Longest text in it, in bytes.
const LONGEST: usize = 4096;

/// The cells to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CellPlan {
    /// [`CELL_PLAN_FORMAT`].
    pub format: u32,
    /// The agreement's id.
    pub agreement: String,
    /// The agreement's file.
    pub agreement_digest: Digest,
    /// The day for which it was made.
    pub as_of: Date,
    /// Guest and host of each obligation that can be run here, with its rows.
    pub pairs: Vec<PairPlan>,
}

/// The rows of a guest on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PairPlan {
    /// The obligation.
    pub obligation: String,
    /// The guest.
    pub guest: PlannedSide,
    /// The host; its digest is the VMM's.
    pub host: PlannedSide,
    /// Any so many values that can stand together stand together in a row.
    pub strength: u32,
    /// What can be tried, and what cannot.
    pub space: MachineSpace,
    /// Rows that the log has.
    pub done: Vec<DoneRow>,
    /// Rows to run.
    pub rows: Vec<PlannedRow>,
}

/// A guest or a host of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlannedSide {
    /// The name by which it is opened: a file, or the name of a definition.
    pub origin: String,
    /// Its name for people.
    pub name: String,
    /// Its product.
    pub product: String,
    /// What it is.
    pub digest: Digest,
}

/// A row that was run, by its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DoneRow {
    /// The machine.
    pub machine: MachineRow,
    /// SHA-256 of its record's entry in the log.
    pub record: Digest,
}

/// A row to run: a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlannedRow {
    /// The machine.
    pub machine: MachineRow,
}

/// What is wrong with a plan's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellPlanError {
    /// Too large.
    #[error("the plan has {size} bytes, and at most {LARGEST_CELL_PLAN} are read")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Not JSON of this form.
    #[error("it is no plan of cells: {0}")]
    Form(String),
    /// Another format.
    #[error("the plan is of format {0}, and this reads format {CELL_PLAN_FORMAT}; make it again")]
    Newer(u32),
    /// Something in it cannot be.
    #[error("pair {pair} of the plan ({obligation}): {what}; make the plan again")]
    Pair {
        /// Its place, from 1.
        pair: usize,
        /// Its obligation.
        obligation: String,
        /// What is wrong.
        what: String,
    },
    /// Too much of something.
    #[error("the plan has {count} pairs; at most {MOST_PAIRS} are run at once")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl CellPlan {
    /// Reads a plan's file, and refuses what cannot be.
    ///
    /// # Errors
    /// Too large, not of this form, or rows that are not of the plan's own space.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CellPlanError> {
        if bytes.len() > LARGEST_CELL_PLAN {
            return Err(CellPlanError::TooLarge { size: bytes.len() });
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let form = |error: serde_json::Error| {
            CellPlanError::Form(hospitium_model::printable(&error.to_string(), 300))
        };
        let Version { format } = serde_json::from_slice(bytes).map_err(form)?;
        if format != CELL_PLAN_FORMAT {
            return Err(CellPlanError::Newer(format));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(form)?;
        if plan.pairs.len() > MOST_PAIRS {
            return Err(CellPlanError::TooMany { count: plan.pairs.len() });
        }
        for (n, pair) in plan.pairs.iter().enumerate() {
            pair.check().map_err(|what| CellPlanError::Pair {
                pair: n + 1,
                obligation: hospitium_model::printable(&pair.obligation, 200),
                what,
            })?;
        }
        Ok(plan)
    }

    /// The plan as its file has it.
    ///
    /// # Errors
    /// It would not read back.
    pub fn to_json(&self) -> Result<String, CellPlanError> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| CellPlanError::Form(error.to_string()))?;
        text.push('\n');
        Self::from_json(text.as_bytes())?;
        Ok(text)
    }
}

impl PairPlan {
    fn check(&self) -> Result<(), String> {
        for side in [&self.guest, &self.host] {
            for text in [&side.origin, &side.name, &side.product] {
                if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
                    return Err("a guest or host without a sound name".into());
                }
            }
        }
        if !(1..=6).contains(&self.strength) {
            return Err(format!("strength is 1 to 6, and not {}", self.strength));
        }
        check_space(&self.space)?;
        if self.rows.len() + self.done.len() > MOST_ROWS {
            return Err(format!("it has more than {MOST_ROWS} rows"));
        }
        let mut seen = BTreeSet::new();
        for (n, row) in self.rows.iter().enumerate() {
            let words = row.machine.words();
            if let Some(why) = outside(&self.space, &words) {
                return Err(format!("row {} is not of its space: {why}", n + 1));
            }
            if !seen.insert(words) {
                return Err(format!("row {} stands in it twice", n + 1));
            }
        }
        Ok(())
    }
}

/// What is wrong with a space.
fn check_space(space: &MachineSpace) -> Result<(), String> {
    let names = space.parameters.iter().map(|p| p.name.as_str());
    if !names.eq(MACHINE_PARAMETERS) {
        return Err(format!("its parameters are not {}", MACHINE_PARAMETERS.join(", ")));
    }
    // Each value has to be one that a machine can be given.
    let known = MachineValues::default().words();
    for (place, parameter) in space.parameters.iter().enumerate() {
        let values = &parameter.values;
        if values.is_empty() || values.len() > MOST_MACHINE_VALUES {
            return Err(format!("{} has {} values", parameter.name, values.len()));
        }
        for value in values {
            let mut row: Vec<&str> =
                known.iter().filter_map(|(_, v)| v.first().map(String::as_str)).collect();
            if let Some(cell) = row.get_mut(place) {
                *cell = value;
            }
            let canonical = MachineRow::from_words(&row).map(|row| row.words());
            if canonical.is_none_or(|words| words.get(place) != Some(value)) {
                let value = hospitium_model::printable(value, 40);
                return Err(format!("{value:?} is no value of {}", parameter.name));
            }
        }
    }
    if space.infeasible.len() > MOST_RULES {
        return Err(format!("it has more than {MOST_RULES} rules"));
    }
    for rule in &space.infeasible {
        let has = |(name, value): (&String, &String)| {
            space.parameters.iter().any(|p| p.name == *name && p.values.contains(value))
        };
        let sound = !rule.settings.is_empty()
            && rule.settings.iter().all(has)
            && !rule.reason.trim().is_empty()
            && rule.reason.len() <= LONGEST;
        if !sound {
            let what = hospitium_model::printable(&rule.what(), 200);
            return Err(format!("the rule {what:?} is not about its values, or has no reason"));
        }
    }
    Ok(())
}

/// Why a row is outside of a space, if it is.
fn outside(space: &MachineSpace, words: &[String]) -> Option<String> {
    let pairs = || space.parameters.iter().zip(words);
    if let Some((parameter, word)) = pairs().find(|(p, word)| !p.values.contains(word)) {
        return Some(format!("{word} is no value of {}", parameter.name));
    }
    let stands = |(name, value): (&String, &String)| {
        pairs().any(|(p, word)| p.name == *name && word == value)
    };
    let broken = space.infeasible.iter().find(|rule| rule.settings.iter().all(stands))?;
    Some(format!("{} cannot be: {}", broken.what(), broken.reason))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{rows, space};
    use super::*;

    fn plan() -> CellPlan {
        let space = space(&MachineValues::default(), "qemu", &|_, _| None).expect("a space");
        let found = rows(&space, 2, &[]).expect("rows");
        let mut rows: Vec<_> =
            found.rows.into_iter().map(|machine| PlannedRow { machine }).collect();
        let done = rows.split_off(rows.len() - 1);
        let record = Digest::of(b"entry");
        let done = done.into_iter().map(|row| DoneRow { machine: row.machine, record }).collect();
        let side = |name: &str| PlannedSide {
            origin: format!("{name}.deb"),
            name: name.into(),
            product: format!("http://{name}.example/1"),
            digest: Digest::of(name.as_bytes()),
        };
        CellPlan {
            format: CELL_PLAN_FORMAT,
            agreement: "a-b".into(),
            agreement_digest: Digest::of(b"deal"),
            as_of: "2026-11-23".parse().expect("a day"),
            pairs: vec![PairPlan {
                obligation: "c/guest/host".into(),
                guest: side("guest"),
                host: side("host"),
                strength: 2,
                space,
                done,
                rows,
            }],
        }
    }

    #[test]
    fn a_plan_survives_its_file() {
        let plan = plan();
        let text = plan.to_json().expect("written");
        assert_eq!(CellPlan::from_json(text.as_bytes()), Ok(plan));
    }

    #[test]
    fn a_plan_that_cannot_be_meant_is_refused() {
        let refused = |change: fn(&mut CellPlan)| {
            let mut plan = plan();
            change(&mut plan);
            let text = serde_json::to_vec(&plan).expect("written");
            CellPlan::from_json(&text).expect_err("is refused").to_string()
        };
        assert!(refused(|p| p.format = 2).contains("format 2"));
        assert!(refused(|p| p.pairs[0].strength = 0).contains("strength is 1 to 6"));
        assert!(refused(|p| p.pairs[0].guest.origin.clear()).contains("sound name"));
        assert!(refused(|p| p.pairs[0].guest.origin = "a\0b".into()).contains("sound name"));
        assert!(refused(|p| p.pairs[0].rows[0].machine.vcpus = 255).contains("no value of vcpus"));
        assert!(
            refused(|p| p.pairs[0].rows[0].machine.disk = hospitium_model::Bus::Nvme)
                .contains("disk=nvme cannot be: QEMU")
        );
        assert!(
            refused(|p| {
                let row = p.pairs[0].rows[0].clone();
                p.pairs[0].rows.push(row);
            })
            .contains("twice")
        );
        assert!(
            refused(|p| p.pairs[0].space.parameters[4].values.push("many".into()))
                .contains("no value of vcpus")
        );
        assert!(
            refused(|p| p.pairs[0].space.parameters[4].values.push("+4".into()))
                .contains("no value of vcpus")
        );
        assert!(refused(|p| p.pairs[0].space.parameters.clear()).contains("parameters are not"));
        assert!(refused(|p| p.pairs[0].space.infeasible[0].reason.clear()).contains("no reason"));
        assert!(
            refused(|p| {
                let pair = p.pairs[0].clone();
                p.pairs = vec![pair; MOST_PAIRS + 1];
            })
            .contains("at most")
        );
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for bad in ["", "{}", "[]", "{\"format\":1}", "{\"format\":\"1\"}", "\u{1b}[2J"] {
            assert!(
                matches!(CellPlan::from_json(bad.as_bytes()), Err(CellPlanError::Form(_))),
                "{bad}"
            );
        }
        let large = vec![b' '; LARGEST_CELL_PLAN + 1];
        assert!(matches!(CellPlan::from_json(&large), Err(CellPlanError::TooLarge { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_damage_to_a_plan_makes_the_reader_panic(at in 0.0..1.0f64, with in "[\"\\[\\]a-z0-9{},:]{0,3}") {
            static TEXT: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| plan().to_json().expect("written"));
            let mut text = TEXT.clone();
            let at = (text.len() as f64 * at) as usize;
            if text.is_char_boundary(at) {
                text.insert_str(at, &with);
            }
            let _ = CellPlan::from_json(text.as_bytes());
        }
    }
}
