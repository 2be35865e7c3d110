//! How an obligation stands: which outcomes count for it, until when, and what that makes of it.

use hospitium_model::{Agreement, Clause, Days, Reach, Trigger};
use hospitium_products::{Product, Products};
use jiff::civil::Date;

use super::expand::{Pair, end_of_life};
use super::{Because, Grounds, Obligation, Outcome, State};

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
    let mut days = Days {
        guest_end_of_life: end_of_life(guest),
        host_end_of_life: end_of_life(host),
        ..Days::default()
    };
    let counts = counting(agreement, clause, guest, host, grounds, &mut reasons);
    let state = match counts {
        Some(outcome) => {
            days.validated = Some(outcome.validated);
            let next = |product| {
                next_version(grounds.products, product, outcome.validated).map(|(_, day)| day)
            };
            days.next_guest_version = next(guest);
            days.next_host_version = next(host);
            by_outcome(agreement, outcome, &days, grounds, &mut reasons)
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
        days,
        reasons,
        blocked,
    }
}

/// The outcome that decides: the newest that counts for this pair.
fn counting<'a>(
    agreement: &Agreement,
    clause: &Clause,
    guest: &Product,
    host: &Product,
    grounds: &Grounds<'a>,
    reasons: &mut Vec<String>,
) -> Option<&'a Outcome> {
    let mut best: Option<(&Outcome, bool)> = None;
    for outcome in grounds.outcomes {
        let Some(carried) = reaches(agreement, outcome, guest, host, grounds.products) else {
            continue;
        };
        let record = &outcome.certificate;
        let why_not = if outcome.party != clause.party {
            Some(format!("was said by {}, who does not owe it", outcome.party))
        } else if outcome.arch != clause.arch {
            Some(format!("is about {}, and {} is owed", outcome.arch, clause.arch))
        } else if outcome.validated > grounds.as_of {
            continue;
        } else if outcome.withdrawn.is_some_and(|day| day <= grounds.as_of) {
            Some("was withdrawn".to_owned())
        } else if outcome.emulated && !agreement.validation.emulation {
            Some("was made under emulation, which this agreement does not take".to_owned())
        } else if carried && !outcome.passed {
            Some("failed, and a failure is not carried forward".to_owned())
        } else {
            None
        };
        if let Some(why) = why_not {
            reasons.push(format!("Record {record} does not count: it {why}."));
            continue;
        }
        // The pair's own record before one that is carried forward; the newest of these.
        let rank = |o: &Outcome, carried: bool| (!carried, o.validated);
        if best.is_none_or(|(o, c)| rank(outcome, carried) > rank(o, c)) {
            best = Some((outcome, carried));
        }
    }
    let (outcome, carried) = best?;
    if carried {
        reasons.push(format!(
            "It is carried forward from {} on {}.",
            name(grounds.products, &outcome.guest),
            name(grounds.products, &outcome.host)
        ));
    }
    Some(outcome)
}

fn name(products: &Products, id: &hospitium_products::ProductId) -> String {
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
    let until = agreement.validity.until.until(days);
    let reason = match until.date {
        Some(date) => {
            format!("Validated on {}; it holds until {date}, {}.", outcome.validated, until.because)
        }
        None => format!("Validated on {}; {}.", outcome.validated, until.because),
    };
    reasons.insert(0, reason);
    let changed = grounds.suite.filter(|suite| *suite != outcome.suite);
    if let Some(suite) = changed
        && agreement.validity.again_on.contains(&Trigger::Suite)
    {
        reasons.push(format!(
            "A changed suite makes it due again: the record is of {}, and {suite} is current.",
            outcome.suite
        ));
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
