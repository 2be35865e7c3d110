//! How an obligation stands: which outcomes count for it, until when, and what that makes of it.

use hospitium_model::{Agreement, Clause, Days, Trigger};
use hospitium_products::{Product, Products};
use jiff::civil::Date;

use super::counting::counting;
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
    let other = counts.as_ref().and_then(|counts| counts.beside);
    let on_other_machines =
        other.map(|other| by_outcome(agreement, other, &with(other), grounds, &mut Vec::new()));
    let state = match counts {
        Some(counts) => {
            days = with(counts.decides);
            by_outcome(agreement, counts.decides, &days, grounds, &mut reasons)
        }
        None => without_outcome(agreement, from, due, &days, grounds.as_of, &mut reasons),
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
        on_other_machines,
        days,
        reasons,
        blocked,
    }
}

fn by_outcome(
    agreement: &Agreement,
    outcome: &Outcome,
    days: &Days,
    grounds: &Grounds<'_>,
    reasons: &mut Vec<String>,
) -> State {
    let certificate = outcome.certificate.clone();
    if !outcome.passed {
        reasons.insert(0, format!("The pair was tried on {} and failed.", outcome.validated));
        return State::Failed { certificate, on: outcome.validated };
    }
    let mut until = agreement.validity.until.until(days);
    if let Some(own) = outcome.until.filter(|own| until.date.is_none_or(|agreed| *own < agreed)) {
        until.date = Some(own);
        until.because = "the last day by the certificate itself".into();
    }
    let reason = match until.date {
        Some(date) => {
            format!("Validated on {}; it holds until {date}, {}.", outcome.validated, until.because)
        }
        None => format!("Validated on {}; {}.", outcome.validated, until.because),
    };
    reasons.insert(0, reason);
    let changed = grounds.suite.filter(|suite| {
        *suite != outcome.suite && agreement.validity.again_on.contains(&Trigger::Suite)
    });
    let changed = changed.map(|suite| {
        let of = &outcome.suite;
        format!(
            "A changed suite makes it due again: the record is of {of}, and {suite} is current."
        )
    });
    let other = terms::other_drivers(agreement, outcome, grounds);
    let changed = changed.or_else(|| {
        let drivers = |outcome: &Outcome| outcome.told.drivers.clone().unwrap_or_default();
        let (of, other) = (drivers(outcome), other?);
        Some(format!(
            "Another paravirtual driver in the guest makes it due again: the record is of {of}, and \
             {} shows {}.",
            other.certificate,
            drivers(other)
        ))
    });
    if let Some(why) = changed {
        reasons.push(why);
        let until = until.date.unwrap_or_else(|| agreement.validity.warn.after(grounds.as_of));
        return match until < grounds.as_of {
            true => State::Lapsed { certificate, on: until },
            false => State::AboutToLapse { certificate, until },
        };
    }
    match until.date {
        Some(on) if on < grounds.as_of => State::Lapsed { certificate, on },
        Some(until) if until <= agreement.validity.warn.after(grounds.as_of) => {
            State::AboutToLapse { certificate, until }
        }
        until => State::Fulfilled { certificate, until },
    }
}

fn without_outcome(
    agreement: &Agreement,
    from: Option<Date>,
    due: Option<Date>,
    days: &Days,
    as_of: Date,
    reasons: &mut Vec<String>,
) -> State {
    let (Some(from), Some(by)) = (from, due) else {
        reasons.insert(0, "Nobody here knows when one side was released.".into());
        return State::Planned { from: None };
    };
    if from > as_of {
        reasons.insert(0, format!("One side is released on {from} only."));
        return State::Planned { from: Some(from) };
    }
    let ends = [
        (days.guest_end_of_life, "the guest's life"),
        (days.host_end_of_life, "the host's life"),
        (agreement.ends, "the agreement"),
    ];
    let over = ends
        .into_iter()
        .filter_map(|(day, what)| day.filter(|day| *day < as_of).map(|day| (day, what)))
        .min();
    if let Some((on, what)) = over {
        reasons.insert(0, format!("No record says that it was done, and {what} ended on {on}."));
        return State::Over { on };
    }
    if by < as_of {
        reasons.insert(0, format!("No record says that it was done; it was due on {by}."));
        return State::Late { by };
    }
    reasons.insert(0, format!("It is to be done by {by}."));
    State::Due { by }
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
