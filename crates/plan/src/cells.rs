//! From an obligation to the cells to run: the machine configurations in which every combination of
//! values of the promised strength occurs, the fewest found, those already run counted.
//!
//! In come the values that an agreement promises, what guest and host cannot do and why, and rows
//! that the log has. Out goes a [`PairPlan`]: the space with its reasons and the rows, in a
//! [`CellPlan`] that can be written to a file and read back.

mod file;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hospitium_model::{MachineRow, MachineSpace, MachineValues, SpaceParameter, SpaceRule};
use serde::Deserialize;

use crate::covering::{
    Condition, CoverError, Coverage, Generator, Model, ModelError, Value, VerifyError, verify,
};

pub use file::{
    CELL_PLAN_FORMAT, CellPlan, CellPlanError, DoneRow, LARGEST_CELL_PLAN, PairPlan, PlannedRow,
    PlannedSide,
};

/// Looks for fewer rows: a tenth of what is usual, for the spaces of machines are small.
const ITERATIONS: u64 = 15_000_000;
/// How much the first value of a parameter is preferred where coverage leaves the choice.
const FIRST: u32 = 4;

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellsError {
    /// A rule of the table that ships with this crate.
    #[error("the table of what machines cannot be is broken: {0}")]
    Rules(String),
    /// The space.
    #[error("the machine's configurations cannot be counted")]
    Model(#[from] ModelError),
    /// Rows.
    #[error("no cells can be found that cover what is promised")]
    Cover(#[from] CoverError),
    /// Counting.
    #[error("what the cells cover cannot be counted")]
    Verify(#[from] VerifyError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    host: Option<String>,
    settings: BTreeMap<String, String>,
    reason: String,
}

/// Why a value of a parameter cannot be had by a guest or on a host, if it cannot.
pub type Cannot<'a> = dyn Fn(&MachineRow, &str) -> Option<String> + 'a;

/// The space of a pair: the promised values, the rules of its host's kind, and each value that guest
/// or host cannot do, by `cannot`, which gets a row with the value in it and the parameter's name.
///
/// # Errors
/// The table of rules is broken.
pub fn space(
    values: &MachineValues,
    host_kind: &str,
    cannot: &Cannot<'_>,
) -> Result<MachineSpace, CellsError> {
    let words = values.words();
    let has = |(name, value): (&String, &String)| {
        words.iter().any(|(known, values)| known == name && values.contains(value))
    };
    let mut infeasible = rules_of(host_kind)?;
    infeasible.retain(|rule| rule.settings.iter().all(has));
    let first: Vec<String> =
        words.iter().filter_map(|(_, values)| values.first().cloned()).collect();
    for (place, (name, values)) in words.iter().enumerate() {
        for value in values {
            let mut row = first.clone();
            if let Some(cell) = row.get_mut(place) {
                cell.clone_from(value);
            }
            let known = infeasible
                .iter()
                .any(|rule| rule.settings.len() == 1 && rule.settings.get(*name) == Some(value));
            let row = MachineRow::from_words(&row).filter(|_| !known);
            if let Some(reason) = row.and_then(|row| cannot(&row, name)) {
                let settings = [((*name).to_owned(), value.clone())].into();
                infeasible.push(SpaceRule { settings, reason });
            }
        }
    }
    let parameters = words
        .into_iter()
        .map(|(name, values)| SpaceParameter { name: name.to_owned(), values })
        .collect();
    Ok(MachineSpace { parameters, infeasible })
}

/// What no machine on a host of this kind has together, whatever the guest is.
fn rules_of(host_kind: &str) -> Result<Vec<SpaceRule>, CellsError> {
    let rules: Rules = toml::from_str(include_str!("cells/rules.toml"))
        .map_err(|error| CellsError::Rules(error.to_string()))?;
    let of_host = |rule: &Rule| rule.host.as_deref().is_none_or(|host| host == host_kind);
    let rules = rules.rule.into_iter().filter(of_host);
    Ok(rules.map(|Rule { settings, reason, .. }| SpaceRule { settings, reason }).collect())
}

/// Whether the table has these settings (`disk=ide chipset=modern`) as what no machine on a host of this kind
/// has together. What else a record counts as impossible is its party's word.
pub fn is_known_impossible(host_kind: &str, what: &str) -> bool {
    static TABLE: LazyLock<Vec<(Option<String>, String)>> = LazyLock::new(|| {
        let rules = toml::from_str::<Rules>(include_str!("cells/rules.toml"));
        let rules = rules.map(|rules| rules.rule).unwrap_or_default();
        let what = |Rule { settings, reason, host, .. }: Rule| {
            (host, SpaceRule { settings, reason }.what())
        };
        rules.into_iter().map(what).collect()
    });
    let of_host = |host: &Option<String>| host.as_deref().is_none_or(|host| host == host_kind);
    TABLE.iter().any(|(host, known)| of_host(host) && known == what)
}

/// Why no machine on a host of this kind has all of these settings, names and words, if none has.
///
/// # Errors
/// The table of rules is broken.
pub fn excluded(
    host_kind: &str,
    settings: &[(&str, String)],
) -> Result<Option<SpaceRule>, CellsError> {
    let has =
        |(name, value): (&String, &String)| settings.iter().any(|s| s.0 == name && s.1 == *value);
    Ok(rules_of(host_kind)?.into_iter().find(|rule| rule.settings.iter().all(has)))
}

/// Rows of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Rows that were given and count, by their places among those given.
    pub given: Vec<usize>,
    /// Rows to run.
    pub rows: Vec<MachineRow>,
    /// What given and new rows cover together, counted by the verifier.
    pub coverage: Coverage,
    /// No fewer rows could do, given ones included.
    pub least: usize,
}

/// The fewest rows found that cover the space at this strength together with those given. The same
/// space and rows give the same result, on every machine.
///
/// # Errors
/// The space is none, nothing of it is feasible, or it is too large.
pub fn rows(
    space: &MachineSpace,
    strength: usize,
    given: &[MachineRow],
) -> Result<Rows, CellsError> {
    let model = model(space)?;
    let strength = strength.min(space.parameters.len());
    let placed: Vec<Option<Vec<usize>>> =
        given.iter().map(|row| places(space, &row.words())).collect();
    let fitting: Vec<(usize, Vec<usize>)> =
        placed.into_iter().enumerate().filter_map(|(at, row)| Some((at, row?))).collect();
    let array = Generator::new(&model)
        .strength(strength)
        .iterations(ITERATIONS)
        .given(fitting.iter().map(|(_, row)| row.iter().copied().map(Some).collect()))
        .generate()?;
    let rejected = |place: usize| array.rejected.iter().any(|rejected| rejected.row == place);
    let taken = fitting.iter().enumerate().filter(|(place, _)| !rejected(*place));
    let coverage = verify(&model, strength, &array.rows)?;
    let made = array.named(&model).skip(array.given);
    let rows = made.filter_map(|row| MachineRow::from_words(&row)).collect();
    Ok(Rows {
        given: taken.map(|(_, (at, _))| *at).collect(),
        rows,
        coverage,
        least: array.lower_bound,
    })
}

/// What these rows cover of a space, counted by the verifier. Rows outside of it count for nothing.
///
/// # Errors
/// The space is none, or too large.
pub fn coverage(
    space: &MachineSpace,
    strength: usize,
    rows: &[MachineRow],
) -> Result<Coverage, CellsError> {
    let rows: Vec<_> = rows.iter().filter_map(|row| places(space, &row.words())).collect();
    Ok(verify(&model(space)?, strength.min(space.parameters.len()), &rows)?)
}

/// The places of these words among the values; none if one is not there.
fn places(space: &MachineSpace, words: &[String]) -> Option<Vec<usize>> {
    let all = space.parameters.iter().zip(words);
    let place = |(parameter, word): (&SpaceParameter, &String)| {
        parameter.values.iter().position(|value| value == word)
    };
    all.map(place).collect()
}

fn model(space: &MachineSpace) -> Result<Model, ModelError> {
    let mut builder = Model::builder();
    for SpaceParameter { name, values } in &space.parameters {
        let weighed = |(n, value): (usize, &String)| {
            Value::new(value.clone()).weight(if n == 0 { FIRST } else { 1 })
        };
        builder.parameter(name.clone(), values.iter().enumerate().map(weighed));
    }
    for rule in &space.infeasible {
        let mut all: Option<Condition> = None;
        for (name, value) in &rule.settings {
            let Some(parameter) = builder.find(name) else { continue };
            let is = parameter.is(value.clone());
            all = Some(match all {
                Some(before) => before.and(is),
                None => is,
            });
        }
        if let Some(condition) = all {
            builder.forbid(rule.reason.clone(), condition);
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Bus, Chipset, NicModel};

    use super::*;

    fn values() -> MachineValues {
        let usual = MachineValues::default();
        let chipset = vec![Chipset::Modern, Chipset::Legacy];
        let disk = usual.disk.iter().copied().chain([Bus::Ide]).collect();
        MachineValues { chipset, disk, ..usual }
    }

    fn usual() -> MachineSpace {
        space(&values(), "qemu", &|row, name| {
            (name == "nic" && row.nic == NicModel::Rtl8139)
                .then(|| "the kernel has no 8139cp".to_owned())
        })
        .expect("a space")
    }

    #[test]
    fn the_rows_cover_every_feasible_pair_and_say_why_others_cannot_be() {
        let found = rows(&usual(), 2, &[]).expect("rows");
        assert!(found.coverage.is_complete(), "{}", found.coverage);
        assert!(found.rows.len() >= found.least && found.rows.len() <= 16, "{}", found.rows.len());
        for row in &found.rows {
            assert!(row.disk != Bus::Nvme && row.nic != NicModel::Rtl8139);
            assert!(row.disk != Bus::Ide || row.chipset == Chipset::Legacy);
            assert!(row.vcpus > 1 || row.nodes == 1);
        }
        let why: Vec<_> =
            found.coverage.infeasible_settings.iter().flat_map(|i| &i.because).collect();
        assert!(why.iter().any(|why| why.contains("8139cp")), "{why:?}");
    }

    #[test]
    fn what_no_machine_has_together_is_told_with_its_reason() {
        let of = |host: &str, settings: &[(&str, &str)]| {
            let settings: Vec<_> = settings.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
            excluded(host, &settings).expect("sound").map(|rule| rule.what())
        };
        let ide = [("chipset", "modern"), ("disk", "ide")];
        assert_eq!(of("qemu", &ide).as_deref(), Some("chipset=modern disk=ide"));
        assert_eq!(of("qemu", &ide[1..]), None, "which chipset is not said");
        assert_eq!(of("qemu", &[("disk", "nvme")]).as_deref(), Some("disk=nvme"));
        assert_eq!(of("another", &[("disk", "nvme")]), None, "the rule is of QEMU");
    }

    #[test]
    fn the_same_space_gives_the_same_rows() {
        assert_eq!(rows(&usual(), 2, &[]), rows(&usual(), 2, &[]));
    }

    #[test]
    fn rows_that_were_run_need_not_be_run_again() {
        let all = rows(&usual(), 2, &[]).expect("rows").rows;
        let rest = rows(&usual(), 2, &all[..3]).expect("rows");
        assert_eq!(rest.given, [0, 1, 2]);
        assert!(rest.rows.len() < all.len() && !rest.rows.iter().any(|row| all[..3].contains(row)));
        assert!(rest.coverage.is_complete());
        let none = rows(&usual(), 2, &all).expect("rows");
        assert_eq!(none.rows, []);
        // A row that cannot be had any more counts for nothing.
        let mut broken = all[0];
        broken.disk = Bus::Nvme;
        let other = rows(&usual(), 2, &[broken, all[1]]).expect("rows");
        assert_eq!(other.given, [1]);
    }

    #[test]
    fn a_pair_of_which_no_machine_can_be_is_told_with_the_reason() {
        let none = space(&MachineValues::default(), "qemu", &|_, name| {
            (name == "firmware").then(|| "the host has no firmware".to_owned())
        })
        .expect("a space");
        let error = rows(&none, 2, &[]).expect_err("nothing is feasible");
        assert!(
            matches!(&error, CellsError::Cover(CoverError::Unsatisfiable { because })
                if because.iter().any(|why| why.contains("no firmware"))),
            "{error:?}"
        );
    }
}
