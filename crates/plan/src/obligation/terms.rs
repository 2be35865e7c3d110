//! Whether an outcome meets what an agreement asks of a validation, term by term.

use std::collections::BTreeSet;

use hospitium_model::{Agreement, Clause, MachineValues, SpaceParameter, Trigger};
use serde::{Deserialize, Serialize};

use super::assured::{Endorsed, assured, lacks};
use super::{Grounds, Outcome};

/// What a record says of the terms that agreements have. What it does not say, it does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Told {
    /// The key that signed it, and those that this one follows by changes of key in its log, in the
    /// form of an agreement: `name+hash+base64`.
    pub keys: Vec<String>,
    /// Other parties that have cosigned the head of the log under which it was read.
    pub cosigners: BTreeSet<String>,
    /// The profile, all of whose checks were required.
    pub profile: Option<String>,
    /// The guest's paravirtual drivers.
    pub drivers: Option<String>,
    /// What its run covers of the machine's configurations.
    pub covers: Option<Covers>,
    /// Endorsements of it by other parties.
    pub endorsed: Vec<Endorsed>,
}

/// What the machines of a run cover, as its record claims it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Covers {
    /// Combinations of how many values.
    pub strength: u32,
    /// How many of them the machines that passed have.
    pub covered: u64,
    /// How many there can be.
    pub feasible: u64,
    /// Whether all are covered, and no machine failed.
    pub complete: bool,
    /// The values that were tried.
    pub parameters: Vec<SpaceParameter>,
    /// How many machines it counts on.
    #[serde(default)]
    pub rows: usize,
    /// Each of them in words; none where they are more than are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<String>,
}

impl Covers {
    /// Why it does not cover these values at this strength, if it does not.
    fn lacks(&self, strength: u32, values: &MachineValues) -> Option<String> {
        let Self { covered, feasible, .. } = self;
        if self.strength < strength {
            return Some(format!(
                "covers combinations of {} values of the machine's configuration, and {strength} \
                 are agreed",
                self.strength
            ));
        }
        if !self.complete {
            return Some(format!(
                "covers {covered} of {feasible} {}-way combinations of the machine's configuration, \
                 or a machine of its run failed",
                self.strength
            ));
        }
        let untried = values.words().into_iter().find_map(|(name, values)| {
            let tried = self.parameters.iter().find(|parameter| parameter.name == name);
            let has = |value: &String| tried.is_some_and(|tried| tried.values.contains(value));
            values.into_iter().find(|value| !has(value)).map(|value| (name, value))
        });
        untried.map(|(name, value)| format!("did not try {name} {value}, which is agreed"))
    }
}

/// Why somebody's record is not taken as what the party said, if it is not.
pub fn unsigned(agreement: &Agreement, outcome: &Outcome) -> Option<String> {
    let key = agreement.party(&outcome.party)?.key.as_ref()?;
    (!outcome.told.keys.contains(key)).then(|| {
        format!(
            "is signed with another key than the one that the agreement has of {}",
            outcome.party
        )
    })
}

/// Why a pass does not fulfil what is agreed, if it does not: the first term that it does not meet.
pub fn unmet(
    (agreement, clause): (&Agreement, &Clause),
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> Option<String> {
    let Told { covers, .. } = &outcome.told;
    let asked = &agreement.validation;
    let coverage = || match (asked.strength, covers) {
        (0, _) => None,
        (strength, None) => Some(format!(
            "does not say what its run covers of the machine's configurations, of which every \
             combination of {strength} values is agreed"
        )),
        (strength, Some(covers)) => covers.lacks(strength, &asked.machines),
    };
    besides_machines((agreement, clause), outcome, grounds).or_else(coverage)
}

/// The same, without what is asked of the machines.
pub fn besides_machines(
    (agreement, clause): (&Agreement, &Clause),
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> Option<String> {
    let Told { cosigners, profile, drivers, .. } = &outcome.told;
    let asked = &agreement.validation;
    match profile {
        None => return Some(format!("does not say by which profile; {} is agreed", asked.profile)),
        Some(other) if *other != asked.profile => {
            return Some(format!("was made by the profile {other}; {} is agreed", asked.profile));
        }
        Some(_) => {}
    }
    let count = cosigners.iter().filter(|name| **name != outcome.party).count();
    if count < asked.cosigners as usize {
        let by = cosigners.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() { "nobody".to_owned() } else { by };
        return Some(format!(
            "stands in a log that {by} has cosigned, and {} other parties are agreed",
            asked.cosigners
        ));
    }
    if let Some(why) = lacks(clause, &assured(agreement, outcome, grounds)) {
        return Some(why);
    }
    let asks = agreement.validity.again_on.contains(&Trigger::Driver);
    (asks && drivers.is_none()).then(|| {
        "does not say which paravirtual drivers the guest had, and another one makes it due again"
            .to_owned()
    })
}

/// Drivers that a later outcome of the pair shows, where these are others and that makes it due again.
pub fn other_drivers<'a>(
    agreement: &Agreement,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Option<&'a Outcome> {
    if !agreement.validity.again_on.contains(&Trigger::Driver) {
        return None;
    }
    let other = |later: &&Outcome| {
        (&later.guest, &later.host, &later.arch) == (&outcome.guest, &outcome.host, &outcome.arch)
            && later.counts_on(grounds.as_of)
            && later.validated > outcome.validated
            && later.told.drivers.is_some()
            && later.told.drivers != outcome.told.drivers
    };
    grounds.outcomes.iter().find(other)
}
