//! Who supports a pair, by the terms of an agreement.

use hospitium_model::{Agreement, Call, Needs, Owner};

use crate::SupportedBy;

/// The terms in sentences; none if the agreement has no terms of support.
pub fn support(agreement: &Agreement, clause: &str) -> Option<SupportedBy> {
    let support = agreement.support.as_ref()?;
    let parties: Vec<String> = agreement
        .parties
        .iter()
        .map(|party| match &party.desk {
            Some(desk) => format!("{} ({desk})", party.title),
            None => party.title.clone(),
        })
        .collect();
    let call = match support.call {
        Call::Either => format!("The customer may call either of {}.", parties.join(" and ")),
        Call::GuestMaker => "The customer calls the guest's maker.".to_owned(),
        Call::HostMaker => "The customer calls the host's maker.".to_owned(),
    };
    let needs = match support.needs {
        Needs::Both => "A support agreement with both is needed.",
        Needs::Called => "A support agreement with the one that is called is needed.",
        Needs::None => "No support agreement is needed.",
    };
    let owner = match support.owner {
        Owner::FirstCalled => "The one that is called first owns the case.",
        Owner::GuestMaker => "The guest's maker owns the case.",
        Owner::HostMaker => "The host's maker owns the case.",
    };
    let mut words = vec![call, needs.to_owned(), owner.to_owned()];
    let validates = agreement.clauses.iter().find(|c| c.id == clause);
    let validates = validates.and_then(|clause| agreement.party(&clause.party));
    words.extend(validates.map(|party| format!("{} owes the validation.", party.title)));
    if !support.words.trim().is_empty() {
        words.push(support.words.trim().to_owned());
    }
    let words = words.iter().map(|line| hospitium_model::printable(line, 1000)).collect();
    Some(SupportedBy { agreement: agreement.title.clone(), words })
}
