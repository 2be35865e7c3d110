//! How a case begins.

use jiff::Timestamp;

use crate::case::{Case, State};
use crate::event::{Deed, DeedKind, Event, Opening};
use crate::facts::Topic;
use crate::fault::{Fault, Illegal, Next};
use crate::people::{Both, Engineer, Side};
use crate::text::PartyName;

/// Opens a case: what the first event makes.
///
/// # Errors
/// If the event does not open a case, or what it is opened with cannot stand.
pub fn open(event: &Event) -> Result<Case, Illegal> {
    let illegal = |fault| Illegal {
        deed: event.deed.kind(),
        by: event.by,
        state: None,
        fault,
        legal: vec![Next { deed: DeedKind::Opened, by: Side::Submitter }],
    };
    let Deed::Opened { opening } = &event.deed else {
        return Err(illegal(Fault::NotOpen));
    };
    if event.by != Side::Submitter {
        return Err(illegal(Fault::Side(Side::Submitter)));
    }
    check_opening(opening).map_err(illegal)?;
    Ok(draft(opening, event.at))
}

/// Whether a case can be opened so.
pub fn check_opening(opening: &Opening) -> Result<(), Fault> {
    let Both { submitter, receiver } = &opening.parties;
    if submitter == receiver {
        return Err(Fault::OneParty(submitter.clone()));
    }
    match opening.problem.topic {
        Topic::Technical => {}
        Topic::Licensing => return Err(Fault::OutOfScope("licences")),
        Topic::Patents => return Err(Fault::OutOfScope("patents")),
    }
    // A ruling of a later form is kept as it came; one that can be read has to give the word that stands beside it.
    if let Some(gives) = opening.verdict.ruled().filter(|gives| *gives != opening.verdict.word) {
        return Err(Fault::Verdict { said: opening.verdict.word, gives });
    }
    check_engineer(&opening.engineer, submitter)
}

/// Whether an engineer is the party's.
pub fn check_engineer(engineer: &Engineer, party: &PartyName) -> Result<(), Fault> {
    if engineer.address.is_of(party) {
        return Ok(());
    }
    Err(Fault::Engineer { engineer: Box::new(engineer.clone()), party: party.clone() })
}

/// The case that an opening makes.
pub fn draft(opening: &Opening, at: Timestamp) -> Case {
    let of_submitter = |number| Both { submitter: Some(number), receiver: None };
    Case {
        id: opening.id.clone(),
        parties: opening.parties.clone(),
        numbers: of_submitter(opening.number.clone()),
        engineers: Both { submitter: Some(opening.engineer.clone()), receiver: None },
        escalation_paths: Both { submitter: opening.escalation.clone(), receiver: None },
        entitlements: Both { submitter: Some(opening.entitlement.clone()), receiver: None },
        customer: opening.customer.clone(),
        owner: Side::Submitter,
        consent: opening.consent.clone(),
        test: opening.test,
        channel: opening.channel,
        opened: at,
        at,
        active: at,
        idle_warned: None,
        state: State::Draft {},
        offers: 0,
        configuration: opening.configuration.clone(),
        fingerprint: opening.configuration.fingerprint(),
        verdict: opening.verdict.clone(),
        problem: opening.problem.clone(),
        priority: None,
        terms: opening.terms.clone(),
        laps: Vec::new(),
        pauses: Vec::new(),
        escalations: Vec::new(),
        lead: None,
        notes: Vec::new(),
        attachments: Vec::new(),
        actions: Vec::new(),
        reproductions: Vec::new(),
        facts: Vec::new(),
        links: opening.links.clone(),
    }
}
