//! How far another party of an agreement bears out what fulfils an obligation of it.

use hospitium_model::standing::{Assurance, AssuredBy, Deed, assurance, assurance_words};
use hospitium_model::{Agreement, Clause};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::terms::unsigned;
use super::{Grounds, Outcome};

/// An endorsement of a record, as found in another party's log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endorsed {
    /// The party that endorses.
    pub party: String,
    /// Whether it ran the record's run again; otherwise it reviewed it.
    pub repeated: bool,
    /// The key that signed it, and those that this one follows by changes of key in its log.
    pub keys: Vec<String>,
    /// Where it is: log and entry.
    pub at: String,
    /// The day from which it is known.
    pub known: Date,
}

impl Endorsed {
    /// What that does for a record which counts on so many machines. A run repeats one machine; what a record claims of
    /// others, nobody has run again.
    pub const fn deed(repeated: bool, machines: usize) -> Deed {
        match (repeated, machines) {
            (false, _) => Deed::Reviewed,
            (true, 0 | 1) => Deed::Repeated,
            (true, _) => Deed::RepeatedInPart,
        }
    }

    /// Whether a record that its party made itself of the pair, in this log and entry and on this day, is of later.
    pub fn is_before(at: &str, known: Date, (log, entry, day): (&str, u64, Date)) -> bool {
        let own = at.rsplit_once(" entry ").filter(|(of, _)| *of == log);
        match own.and_then(|(_, own)| own.parse::<u64>().ok()) {
            Some(own) => own < entry,
            None => known <= day,
        }
    }
}

/// What others did about an outcome, as the agreement counts it: a cosignature of anybody; an endorsement, or a record
/// of its own of the pair, of another party of the agreement, signed with the key that the agreement has of it.
pub fn assured(agreement: &Agreement, outcome: &Outcome, grounds: &Grounds<'_>) -> Vec<AssuredBy> {
    let other = |party: &str| party != outcome.party;
    let told = &outcome.told;
    let cosigned = told.cosigners.iter().filter(|party| other(party)).map(|party| AssuredBy {
        deed: Deed::Cosigned,
        party: party.clone(),
        at: String::new(),
    });
    let is_signed = |endorsed: &&Endorsed| {
        let party = agreement.party(&endorsed.party).filter(|party| other(&party.name));
        party.is_some_and(|p| p.key.as_ref().is_none_or(|key| endorsed.keys.contains(key)))
    };
    let machines = told.covers.as_ref().map_or(0, |covers| covers.rows);
    let stands = |endorsed: &&Endorsed| !disagrees(agreement, endorsed, outcome, grounds);
    let endorsed = told.endorsed.iter().filter(is_signed).filter(stands);
    let endorsed = endorsed.map(|endorsed| AssuredBy {
        deed: Endorsed::deed(endorsed.repeated, machines),
        party: endorsed.party.clone(),
        at: endorsed.at.clone(),
    });
    let mut by: Vec<AssuredBy> = cosigned.chain(endorsed).collect();
    for party in agreement.parties.iter().filter(|party| other(&party.name)) {
        if let Some(own) = own_record(agreement, &party.name, outcome, grounds) {
            let at = own.certificate.clone();
            by.push(AssuredBy { deed: Deed::Validated, party: party.name.clone(), at });
        }
    }
    by.sort();
    by.dedup();
    by
}

/// Whether a party that endorsed has said since, by its newest records of the pair, that it failed.
fn disagrees(
    agreement: &Agreement,
    endorsed: &Endorsed,
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> bool {
    let later = |own: &&Outcome| {
        let trial = &own.trial;
        Endorsed::is_before(&endorsed.at, endorsed.known, (&trial.log, trial.entry, own.validated))
    };
    let newest = newest_of(agreement, &endorsed.party, outcome, grounds);
    newest.into_iter().filter(later).any(|own| !own.passed)
}

/// The newest record of this party of the same pair, if it passed and holds: a party whose newest says that it failed
/// does not agree.
fn own_record<'a>(
    agreement: &Agreement,
    party: &str,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Option<&'a Outcome> {
    let newest = newest_of(agreement, party, outcome, grounds);
    // What would not fulfil the deal by itself for want of the profile is no agreement either.
    let holds = |own: &Outcome| {
        own.passed
            && own.until.is_none_or(|until| until >= grounds.as_of)
            && own.told.profile.as_ref() == Some(&agreement.validation.profile)
    };
    let first = newest.first().copied()?;
    newest.iter().all(|own| holds(own)).then_some(first)
}

/// The records of this party of the same pair that count, of the newest day.
fn newest_of<'a>(
    agreement: &Agreement,
    party: &str,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Vec<&'a Outcome> {
    let of_pair = |own: &&Outcome| {
        own.party == party
            && (&own.guest, &own.host, &own.arch) == (&outcome.guest, &outcome.host, &outcome.arch)
            && own.counts_on(grounds.as_of)
            && (agreement.validation.emulation || !own.emulated)
            && unsigned(agreement, own).is_none()
    };
    let mut all: Vec<&Outcome> = grounds.outcomes.iter().filter(of_pair).collect();
    let day = all.iter().map(|own| own.validated).max();
    all.retain(|own| Some(own.validated) == day);
    all
}

/// Why what others did is not what the clause asks for, if it is not.
pub fn lacks(clause: &Clause, by: &[AssuredBy]) -> Option<String> {
    let asked = clause.assurance;
    // A cosignature by anybody; agreement, of a party of the deal: `assured` has no other.
    (assurance(by) < asked).then(|| {
        let next = match asked {
            Assurance::Repeated => ": another party of the agreement has to repeat it",
            Assurance::Endorsed => {
                ": another party of the agreement has to endorse it or to log its own record of the pair"
            }
            _ => "",
        };
        format!("is {}, and {} is agreed{next}", assurance_words(by), asked.words())
    })
}
