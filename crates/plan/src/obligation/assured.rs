//! How far another party of an agreement bears out what fulfils an obligation of it.

use std::collections::BTreeSet;

use hospitium_model::standing::{Assurance, AssuredBy, Deed, Part, assurance, assurance_words};
use hospitium_model::{Agreement, Clause};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::speaks::Trial;
use super::terms::{Covers, unsigned};
use super::{Grounds, Outcome};

/// What is not counted is named so often in one reason, at most.
const NAMED: usize = 5;

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
    /// Whether a record that its party made itself of the pair, in this log and entry and on this day, is of later.
    pub fn is_before(at: &str, known: Date, (log, entry, day): (&str, u64, Date)) -> bool {
        let own = at.rsplit_once(" entry ").filter(|(of, _)| *of == log);
        match own.and_then(|(_, own)| own.parse::<u64>().ok()) {
            Some(own) => own < entry,
            None => known <= day,
        }
    }
}

/// What a party's repetitions do for a record: `repeated` are the records that it has run again, with which machine of
/// which run, this one among them. A run repeats one machine. What a record claims of others is repeated only where their
/// own records of the same run were repeated, too.
pub fn repetition<'a>(
    covers: Option<&Covers>,
    own: &'a Trial,
    repeated: impl IntoIterator<Item = &'a Trial>,
) -> (Deed, Option<Part>) {
    let Some(covers) = covers.filter(|covers| covers.rows > 1) else {
        return (Deed::Repeated, None);
    };
    let of_run = |trial: &&Trial| (&trial.log, &trial.run) == (&own.log, &own.run);
    let of_run = repeated.into_iter().filter(of_run).map(|trial| &trial.machine);
    let mut again: BTreeSet<&String> = of_run.collect();
    again.retain(|machine| covers.machines.contains(machine));
    again.insert(&own.machine);
    // A record may count on so many that they are not kept.
    match !covers.machines.is_empty() && covers.machines.iter().all(|m| again.contains(m)) {
        true => (Deed::Repeated, None),
        false => {
            let machines = again.into_iter().cloned().collect();
            (Deed::RepeatedInPart, Some(Part { machines, of: covers.rows }))
        }
    }
}

/// What others did about an outcome, as the agreement counts it.
#[derive(Debug, Default)]
pub struct Borne {
    /// A cosignature of anybody; an endorsement, or a record of its own of the pair, of another party of the agreement,
    /// signed with the key that the agreement has of it.
    pub by: Vec<AssuredBy>,
    /// What of it the agreement does not count, and why, a sentence each.
    pub not: Vec<String>,
}

/// What others did about an outcome, as the agreement counts it.
pub fn assured(agreement: &Agreement, outcome: &Outcome, grounds: &Grounds<'_>) -> Borne {
    let other = |party: &str| party != outcome.party;
    let told = &outcome.told;
    let cosigned = told.cosigners.iter().filter(|party| other(party)).map(|party| AssuredBy {
        deed: Deed::Cosigned,
        party: party.clone(),
        at: String::new(),
        part: None,
    });
    let mut borne = Borne { by: cosigned.collect(), not: Vec::new() };
    for endorsed in told.endorsed.iter().filter(|endorsed| other(&endorsed.party)) {
        if let Some(why) = not_counted(agreement, endorsed, outcome, grounds) {
            let Endorsed { party, at, .. } = endorsed;
            borne.not.push(format!("The endorsement by {party} ({at}) does not count: {why}."));
            continue;
        }
        let (deed, part) = match endorsed.repeated {
            false => (Deed::Reviewed, None),
            true => {
                let again = beside(agreement, &endorsed.party, outcome, grounds);
                repetition(told.covers.as_ref(), &outcome.trial, again)
            }
        };
        let (party, at) = (endorsed.party.clone(), endorsed.at.clone());
        borne.by.push(AssuredBy { deed, party, at, part });
    }
    for party in agreement.parties.iter().filter(|party| other(&party.name)) {
        let at = match own_record(agreement, &party.name, outcome, grounds) {
            Own::Agrees(own) => own.certificate.clone(),
            Own::None => continue,
            Own::Not(own, why) => {
                let at = &own.certificate;
                borne.not.push(format!(
                    "{}'s own record ({at}) does not bear it out: it {why}.",
                    party.name
                ));
                continue;
            }
        };
        let party = party.name.clone();
        borne.by.push(AssuredBy { deed: Deed::Validated, party, at, part: None });
    }
    borne.by.sort();
    borne.by.dedup();
    borne
}

/// Why an endorsement is not counted by an agreement, if it is not.
fn not_counted(
    agreement: &Agreement,
    endorsed: &Endorsed,
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> Option<String> {
    let party = &endorsed.party;
    let Some(of_deal) = agreement.party(party) else {
        return Some(format!("{party} is no party to the agreement"));
    };
    // Where the agreement has no key of the party, whoever asks trusts the one of the policy.
    if of_deal.key.as_ref().is_some_and(|key| !endorsed.keys.contains(key)) {
        return Some(format!(
            "it is signed with another key than the one that the agreement has of {party}"
        ));
    }
    let failed = disagrees(agreement, endorsed, outcome, grounds)?;
    Some(format!("{party} has said since, by {}, that the pair failed", failed.certificate))
}

/// The records of the same pair and party that this party has run again.
fn beside<'a>(
    agreement: &Agreement,
    party: &str,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Vec<&'a Trial> {
    let again = |of: &Outcome| {
        let mut by = of.told.endorsed.iter().filter(|by| by.repeated && by.party == party);
        by.any(|by| not_counted(agreement, by, of, grounds).is_none())
    };
    let of_pair = |of: &&Outcome| {
        of.passed
            && (&of.party, &of.guest, &of.host, &of.arch)
                == (&outcome.party, &outcome.guest, &outcome.host, &outcome.arch)
            && of.counts_on(grounds.as_of)
            && again(of)
    };
    grounds.outcomes.iter().filter(of_pair).map(|of| &of.trial).collect()
}

/// What a party that endorsed has said since, by its newest records of the pair, if it says that it failed.
fn disagrees<'a>(
    agreement: &Agreement,
    endorsed: &Endorsed,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Option<&'a Outcome> {
    let later = |own: &&Outcome| {
        let trial = &own.trial;
        Endorsed::is_before(&endorsed.at, endorsed.known, (&trial.log, trial.entry, own.validated))
    };
    let newest = newest_of(agreement, &endorsed.party, outcome, grounds);
    newest.into_iter().filter(later).find(|own| !own.passed)
}

/// What a party's own newest records of a pair say of another's.
enum Own<'a> {
    /// There is none that counts.
    None,
    /// They agree.
    Agrees(&'a Outcome),
    /// One of them does not, and why: it …
    Not(&'a Outcome, String),
}

/// The newest record of this party of the same pair, if it passed and holds: a party whose newest says that it failed
/// does not agree.
fn own_record<'a>(
    agreement: &Agreement,
    party: &str,
    outcome: &Outcome,
    grounds: &Grounds<'a>,
) -> Own<'a> {
    let newest = newest_of(agreement, party, outcome, grounds);
    // What would not fulfil the deal by itself for want of the profile is no agreement either.
    let profile = &agreement.validation.profile;
    let against = |own: &Outcome| match &own.told.profile {
        _ if !own.passed => Some("says that the pair failed".to_owned()),
        _ if own.until.is_some_and(|until| until < grounds.as_of) => Some("has lapsed".to_owned()),
        None => Some(format!("names no profile, and {profile} is agreed")),
        Some(other) if other != profile => {
            Some(format!("is of the profile {other}, and {profile} is agreed"))
        }
        Some(_) => None,
    };
    let not = newest.iter().find_map(|own| Some((*own, against(own)?)));
    match (not, newest.first()) {
        (Some((own, why)), _) => Own::Not(own, why),
        (None, Some(first)) => Own::Agrees(first),
        (None, None) => Own::None,
    }
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
pub fn lacks(clause: &Clause, borne: &Borne) -> Option<String> {
    let (asked, by) = (clause.assurance, &borne.by);
    // A cosignature by anybody; agreement, of a party of the deal: `assured` has no other.
    (assurance(by) < asked).then(|| {
        let next = match asked {
            Assurance::Repeated => ": another party of the agreement has to repeat it",
            Assurance::Endorsed => {
                ": another party of the agreement has to endorse it or to log its own record of the pair"
            }
            _ => "",
        };
        let not = borne.not.iter().take(NAMED).map(|why| format!(". {}", why.trim_end_matches('.')));
        let not: String = not.collect();
        format!("is {}, and {} is agreed{next}{not}", assurance_words(by), asked.words())
    })
}
