//! How an obligation stands: which outcomes count for it, until when, and what that makes of it.

use hospitium_model::standing::{
    AssuredBy, Deal, Ended, OfPair, OfRecord, Rule, Until, assurance_words,
};
use hospitium_model::{Agreement, Clause, Days, Trigger};
use hospitium_products::{Product, Products};
use jiff::civil::Date;

use super::assured::assured;
use super::counting::{counting, name};
use super::expand::{Pair, end_of_life};
use super::{Because, Grounds, Obligation, Outcome, State, terms};

/// Judges a pair.
pub fn judge(
    agreement: &Agreement,
    clause: &Clause,
    pair: Pair<'_>,
    grounds: &Grounds<'_>,
) -> Obligation {
    let Pair { guest, host, because, from } = pair;
    let within = match (&clause.later, because) {
        (Some(later), Because::LaterGuest | Because::LaterHost | Because::LaterBoth) => {
            later.within.unwrap_or(clause.within)
        }
        _ => clause.within,
    };
    let due = from.map(|from| within.after(from));
    let mut reasons = Vec::new();
    let bare = Days {
        guest_end_of_life: end_of_life(guest),
        host_end_of_life: end_of_life(host),
        ..Days::default()
    };
    let with = |outcome: &Outcome| {
        let next = |product| {
            next_version(grounds.products, product, outcome.validated).map(|(_, day)| day)
        };
        Days {
            validated: Some(outcome.validated),
            next_guest_version: next(guest),
            next_host_version: next(host),
            ..bare
        }
    };
    let mut days = bare;
    let counts = counting(agreement, clause, guest, host, grounds, &mut reasons);
    let deal = || Deal {
        id: agreement.id.clone(),
        title: agreement.title.clone(),
        clause: clause.id.clone(),
    };
    let other = counts.as_ref().and_then(|counts| counts.beside);
    let beside = other.map(|other| {
        let (state, mut rule) =
            by_outcome((agreement, deal()), other, &with(other), grounds, &mut Vec::new());
        if let Rule::AgreementHolds { on_some_machines, .. } = &mut rule {
            *on_some_machines = true;
        }
        (state, rule)
    });
    let (on_other_machines, rule_on_other_machines) = beside.unzip();
    let (state, rule) = match counts {
        Some(counts) => {
            let Outcome { guest: of_guest, host: of_host, .. } = counts.decides;
            days = with(counts.decides);
            let (state, mut rule) =
                by_outcome((agreement, deal()), counts.decides, &days, grounds, &mut reasons);
            if let Rule::AgreementHolds { carried_from, .. } = &mut rule
                && (*of_guest != guest.id || *of_host != host.id)
            {
                let name = |id| name(grounds.products, id);
                *carried_from = Some(OfPair { guest: name(of_guest), host: name(of_host) });
            }
            (state, rule)
        }
        None => {
            let (state, rule) =
                without_outcome(agreement, deal(), (from, due), &days, grounds.as_of);
            reasons.insert(0, rule.because());
            (state, rule)
        }
    };
    let assured_by: Vec<AssuredBy> = match &rule {
        Rule::AgreementHolds { record, .. } => {
            reasons.push(format!("It is {}.", assurance_words(&record.assured_by)));
            record.assured_by.clone()
        }
        _ => Vec::new(),
    };
    let id = format!("{}/{}/{}", clause.id, guest.short(), host.short());
    reasons.push(format!("It is owed because {}.", because.words()));
    let blocked = match state.asks_for_a_run() {
        true => (grounds.blocked)(guest, host),
        false => None,
    };
    Obligation {
        id,
        clause: clause.id.clone(),
        party: clause.party.clone(),
        guest: guest.id.clone(),
        guest_name: guest.name.clone(),
        host: host.id.clone(),
        host_name: host.name.clone(),
        arch: clause.arch.clone(),
        because,
        from,
        due,
        state,
        rule,
        on_other_machines,
        rule_on_other_machines,
        days,
        assured_by,
        uncertain: None,
        reasons,
        blocked,
    }
}

fn by_outcome(
    (agreement, deal): (&Agreement, Deal),
    outcome: &Outcome,
    days: &Days,
    grounds: &Grounds<'_>,
    reasons: &mut Vec<String>,
) -> (State, Rule) {
    let certificate = outcome.certificate.clone();
    let borne = assured(agreement, outcome, grounds);
    let record = OfRecord {
        certificate: certificate.clone(),
        party: outcome.party.clone(),
        validated: outcome.validated,
        assured_by: borne.by,
    };
    if !outcome.passed {
        let rule = Rule::AgreementFailed { deal, record };
        reasons.insert(0, rule.because());
        return (State::Failed { certificate, on: outcome.validated }, rule);
    }
    let mut until = agreement.validity.until.until(days);
    if let Some(own) = outcome.until.filter(|own| until.date.is_none_or(|agreed| *own < agreed)) {
        until.date = Some(own);
        until.because = "the last day by the certificate itself".into();
    }
    let changed = changed(agreement, outcome, grounds);
    let state = match (until.date, changed.is_some()) {
        (date, true) => {
            let until = date.unwrap_or_else(|| agreement.validity.warn.after(grounds.as_of));
            match until < grounds.as_of {
                true => State::Lapsed { certificate, on: until },
                false => State::AboutToLapse { certificate, until },
            }
        }
        (Some(on), false) if on < grounds.as_of => State::Lapsed { certificate, on },
        (Some(until), false) if until <= agreement.validity.warn.after(grounds.as_of) => {
            State::AboutToLapse { certificate, until }
        }
        (until, false) => State::Fulfilled { certificate, until },
    };
    let until = Until { day: until.date, because: until.because };
    let rule = match state {
        State::Lapsed { .. } => Rule::AgreementLapsed { deal, record, until },
        _ => Rule::AgreementHolds {
            deal,
            record,
            // What has to be done again has an end, by the formula or by the time for a warning.
            until: match &state {
                State::AboutToLapse { until: day, .. } => Until { day: Some(*day), ..until },
                _ => until,
            },
            about_to_lapse: matches!(state, State::AboutToLapse { .. }),
            on_some_machines: false,
            carried_from: None,
            wider_shown: false,
        },
    };
    reasons.insert(0, rule.because());
    reasons.extend(changed);
    reasons.extend(borne.not);
    (state, rule)
}

/// What makes it due again before its time, if anything does.
fn changed(agreement: &Agreement, outcome: &Outcome, grounds: &Grounds<'_>) -> Option<String> {
    let suite = grounds.suite.filter(|suite| {
        *suite != outcome.suite && agreement.validity.again_on.contains(&Trigger::Suite)
    });
    if let Some(suite) = suite {
        let of = &outcome.suite;
        return Some(format!(
            "A changed suite makes it due again: the record is of {of}, and {suite} is current."
        ));
    }
    let other = terms::other_drivers(agreement, outcome, grounds)?;
    let drivers = |outcome: &Outcome| outcome.told.drivers.clone().unwrap_or_default();
    Some(format!(
        "Another paravirtual driver in the guest makes it due again: the record is of {}, and {} \
         shows {}.",
        drivers(outcome),
        other.certificate,
        drivers(other)
    ))
}

fn without_outcome(
    agreement: &Agreement,
    deal: Deal,
    (from, due): (Option<Date>, Option<Date>),
    days: &Days,
    as_of: Date,
) -> (State, Rule) {
    let (Some(from), Some(by)) = (from, due) else {
        return (State::Planned { from: None }, Rule::Planned { deal, from: None });
    };
    if from > as_of {
        return (State::Planned { from: Some(from) }, Rule::Planned { deal, from: Some(from) });
    }
    let ends = [
        (days.guest_end_of_life, Ended::Guest),
        (days.host_end_of_life, Ended::Host),
        (agreement.ends, Ended::Agreement),
    ];
    let over = ends
        .into_iter()
        .filter_map(|(day, what)| day.filter(|day| *day < as_of).map(|day| (day, what)))
        .min_by_key(|(day, _)| *day);
    if let Some((on, ended)) = over {
        return (State::Over { on }, Rule::NeverDelivered { deal, ended, on });
    }
    let late = by < as_of;
    let state = if late { State::Late { by } } else { State::Due { by } };
    (state, Rule::Pending { deal, due: by, late })
}

/// The first later version of the same line that is released after this day, with the day.
pub fn next_version<'a>(
    products: &'a Products,
    product: &Product,
    day: Date,
) -> Option<(&'a Product, Date)> {
    products
        .after(product)
        .into_iter()
        .filter(|later| !later.release.is_prerelease())
        .filter_map(|later| Some((later, later.released()?)))
        .filter(|(_, released)| *released > day)
        .min_by_key(|(_, released)| *released)
}
