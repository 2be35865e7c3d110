//! Which outcomes count for an obligation, and which of them decide.

use std::collections::BTreeMap;

use hospitium_model::{Agreement, Clause, Reach, Trigger};
use hospitium_products::{Product, ProductId, Products};

use super::speaks::{Voice, newest_run, speaking};
use super::terms::{besides_machines, unmet, unsigned};
use super::{Grounds, Outcome};

/// Machines that are named in one reason at most.
const NAMED: usize = 8;

/// What decides.
pub struct Counting<'a> {
    /// The outcome that decides: a failure before all else.
    pub decides: &'a Outcome,
    /// Where that is a failure, what passed in the newest run, on another machine.
    pub beside: Option<&'a Outcome>,
}

/// The outcomes that decide for this pair: its own that speak, a failure before what passed, the
/// newest of these; else what is carried forward to it.
pub fn counting<'a>(
    agreement: &Agreement,
    clause: &Clause,
    guest: &Product,
    host: &Product,
    grounds: &Grounds<'a>,
    reasons: &mut Vec<String>,
) -> Option<Counting<'a>> {
    let mut own: Vec<&Outcome> = Vec::new();
    let mut others: BTreeMap<(&ProductId, &ProductId), Vec<&Outcome>> = BTreeMap::new();
    for outcome in grounds.outcomes {
        let Some(carried) = reaches(agreement, outcome, guest, host, grounds.products) else {
            continue;
        };
        let why_not = if outcome.party != clause.party {
            format!("was said by {}, who does not owe it", outcome.party)
        } else if outcome.arch != clause.arch {
            format!("is about {}, and {} is owed", outcome.arch, clause.arch)
        } else if outcome.validated > grounds.as_of {
            continue;
        } else if outcome.withdrawn.is_some_and(|day| day <= grounds.as_of) {
            outcome.set_aside.words().to_owned()
        } else if let Some(why) = unsigned(agreement, outcome) {
            why
        } else if outcome.emulated && !agreement.validation.emulation {
            "was made under emulation, which this agreement does not take".to_owned()
        } else {
            match carried {
                true => others.entry((&outcome.guest, &outcome.host)).or_default().push(outcome),
                false => own.push(outcome),
            }
            continue;
        };
        reasons.push(left_out(outcome, &why_not));
    }
    let mut carried: Vec<&Outcome> =
        others.into_values().flat_map(|of_pair| carried(&of_pair, reasons)).collect();
    let terms = (agreement, clause);
    if let Some(counts) = of_own(terms, &own, grounds, reasons) {
        return Some(counts);
    }
    carried.retain(|outcome| {
        let why = unmet(terms, outcome, grounds)
            .or_else(|| not_carried(agreement, outcome, guest, grounds));
        reasons.extend(why.iter().map(|why| left_out(outcome, why)));
        why.is_none()
    });
    let decides = newest(carried)?;
    reasons.push(format!(
        "It is carried forward from {} on {}.",
        name(grounds.products, &decides.guest),
        name(grounds.products, &decides.host)
    ));
    Some(Counting { decides, beside: None })
}

fn left_out(outcome: &Outcome, why: &str) -> String {
    format!("Record {} does not count: it {why}.", outcome.certificate)
}

/// Whether a pass of the pair meets all that is agreed, whether or not another one decides.
pub fn fulfils(
    (agreement, clause): (&Agreement, &Clause),
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> bool {
    outcome.passed
        && outcome.party == clause.party
        && outcome.arch == clause.arch
        && outcome.counts_on(grounds.as_of)
        && unsigned(agreement, outcome).is_none()
        && (agreement.validation.emulation || !outcome.emulated)
        && unmet((agreement, clause), outcome, grounds).is_none()
}

/// Why a pass is not carried to another version of the guest, where another paravirtual driver makes it
/// due again: no record says that that version has the same.
fn not_carried(
    agreement: &Agreement,
    outcome: &Outcome,
    guest: &Product,
    grounds: &Grounds<'_>,
) -> Option<String> {
    let asks = agreement.validity.again_on.contains(&Trigger::Driver);
    if !asks || outcome.guest == guest.id {
        return None;
    }
    let same = |other: &Outcome| {
        other.guest == guest.id
            && other.counts_on(grounds.as_of)
            && other.told.drivers == outcome.told.drivers
    };
    (!grounds.outcomes.iter().any(same)).then(|| {
        format!(
            "is not carried forward to {}: no record says that it has the same paravirtual drivers, \
             and another one makes it due again",
            guest.name
        )
    })
}

/// Those of one pair that speak.
fn spoken<'a>(outcomes: &[&'a Outcome]) -> Vec<&'a Outcome> {
    let voices: Vec<Voice<'_>> = outcomes.iter().map(|outcome| outcome.voice()).collect();
    speaking(&voices).into_iter().filter_map(|place| outcomes.get(place).copied()).collect()
}

fn newest(outcomes: Vec<&Outcome>) -> Option<&Outcome> {
    let key = |o: &&Outcome| (o.validated, o.trial.entry, o.trial.log.clone());
    outcomes.into_iter().max_by_key(key)
}

/// What of another pair's outcomes is carried forward: what passed, unless a machine failed there.
fn carried<'a>(of_pair: &[&'a Outcome], reasons: &mut Vec<String>) -> Vec<&'a Outcome> {
    let (passed, failed): (Vec<_>, Vec<_>) = spoken(of_pair).into_iter().partition(|o| o.passed);
    let failure = "failed, and a failure is not carried forward";
    reasons.extend(failed.iter().map(|outcome| left_out(outcome, failure)));
    if failed.is_empty() {
        return passed;
    }
    let beside = "is of a pair that failed on another machine, and is not carried forward";
    reasons.extend(passed.iter().map(|outcome| left_out(outcome, beside)));
    Vec::new()
}

/// What the pair's own outcomes come to.
fn of_own<'a>(
    terms: (&Agreement, &Clause),
    own: &[&'a Outcome],
    grounds: &Grounds<'_>,
    reasons: &mut Vec<String>,
) -> Option<Counting<'a>> {
    let speak = spoken(own);
    let (passed, failed): (Vec<_>, Vec<_>) = speak.iter().copied().partition(|o| o.passed);
    // A failure is one by whatever terms; a pass fulfils only what it meets.
    let mut meeting = passed.clone();
    meeting.retain(|outcome| {
        let why = match failed.is_empty() {
            true => unmet(terms, outcome, grounds),
            // What failed beside it is told with it.
            false => besides_machines(terms, outcome, grounds),
        };
        reasons.extend(why.iter().map(|why| left_out(outcome, why)));
        why.is_none()
    });
    let Some(decides) = newest(failed.clone()) else {
        return Some(Counting { decides: newest(meeting)?, beside: None });
    };
    let machines = failed.len() + passed.len();
    if machines > 1 {
        let which = |outcome: &&Outcome| {
            let Outcome { certificate, validated, trial, .. } = outcome;
            format!("{} on {validated} ({certificate})", trial.machine)
        };
        let mut which: Vec<String> = failed.iter().take(NAMED).map(which).collect();
        if failed.len() > NAMED {
            which.push(format!("{} more", failed.len() - NAMED));
        }
        let told = format!(
            "Of {machines} machines {} failed: {}. A failure stands until the same machine passes, \
             it is waived, or its record is withdrawn.",
            failed.len(),
            which.join("; ")
        );
        reasons.insert(0, told);
    }
    let voices: Vec<Voice<'_>> = own.iter().map(|outcome| outcome.voice()).collect();
    let all: Vec<usize> = (0..own.len()).collect();
    let run: Vec<&Outcome> =
        newest_run(&voices, &all).into_iter().filter_map(|at| own.get(at).copied()).collect();
    let of_run = |outcome: &&Outcome| run.iter().any(|of_run| of_run.trial == outcome.trial);
    let beside = newest(meeting.into_iter().filter(of_run).collect());
    Some(Counting { decides, beside })
}

/// A product's name for people.
pub fn name(products: &Products, id: &ProductId) -> String {
    products.get(id).map_or_else(|| id.to_string(), |product| product.name.clone())
}

/// Whether the outcome is about this pair (`Some(false)`), or is carried forward to it (`Some(true)`).
fn reaches(
    agreement: &Agreement,
    outcome: &Outcome,
    guest: &Product,
    host: &Product,
    products: &Products,
) -> Option<bool> {
    if outcome.guest == guest.id && outcome.host == host.id {
        return Some(false);
    }
    let rule = &agreement.validity.carry_forward;
    let again = |minor, major| {
        let on = &agreement.validity.again_on;
        (on.contains(&minor), on.contains(&major))
    };
    let carries = |from: &hospitium_products::ProductId, to: &Product, reach, (minor, major)| {
        if *from == to.id {
            return true;
        }
        let Some(from) = products.get(from) else { return false };
        let same_major = from.release.major() == to.release.major();
        let in_reach = match reach {
            Reach::None => false,
            Reach::Major => same_major,
            Reach::All => true,
        };
        let down = to.release < from.release;
        from.line == to.line
            && in_reach
            && (!down || rule.down_level)
            && !(if same_major { minor } else { major })
    };
    let to_guest = carries(
        &outcome.guest,
        guest,
        rule.guests,
        again(Trigger::GuestMinor, Trigger::GuestMajor),
    );
    let to_host =
        carries(&outcome.host, host, rule.hosts, again(Trigger::HostMinor, Trigger::HostMajor));
    (to_guest && to_host).then_some(true)
}
