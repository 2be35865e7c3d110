//! What happened in a case, in one order: what both vendors did, and the notes that stay here.

use std::collections::HashSet;

use hospitium_desk::exchange::Thread;
use hospitium_desk::{Aside, Deed, DeedKind, Event, Role, Visibility};
use hospitium_model::Digest;
use jiff::Timestamp;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When, for programs.
    pub at: Timestamp,
    /// When, for people.
    pub when: String,
    /// Which party, or that it stays here.
    pub who: String,
    /// The person.
    pub person: String,
    /// `ours`, `theirs`, `internal`.
    pub class: &'static str,
    /// What.
    pub title: String,
    /// In words.
    pub text: String,
    /// What goes with it.
    pub tag: &'static str,
}

/// A text from outside, line by line, fit for a page.
pub fn shown(text: &str) -> String {
    let lines = text.split('\n').map(|line| hospitium_report::words::visible(line, 2_000));
    lines.collect::<Vec<_>>().join("\n")
}

/// A time for people.
pub fn when(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// What happened, the oldest first, as this role may see it.
pub fn timeline(thread: &Thread, asides: &[Aside], role: Role) -> Vec<Moment> {
    let voided: HashSet<Digest> = thread.voided().iter().map(|void| void.link.digest).collect();
    let us = thread.us();
    let mut moments: Vec<Moment> = thread
        .timeline()
        .filter_map(|sealed| {
            let event = &sealed.message.event;
            let void = voided.contains(&sealed.digest);
            if role == Role::Customer && (void || is_vendors(event)) {
                return None;
            }
            Some(Moment {
                at: event.at,
                when: when(event.at),
                who: thread.case().party(event.by).to_string(),
                person: match role {
                    Role::Customer => String::new(),
                    _ => event.person.as_ref().map(|name| shown(name.as_str())).unwrap_or_default(),
                },
                class: if event.by == us { "ours" } else { "theirs" },
                title: title(event.deed.kind()),
                text: shown(&words(&event.deed, role)),
                tag: match (void, sealed.message.heard.is_some()) {
                    (true, _) => "came to nothing",
                    (_, true) => "from an unsigned file of TSANet Connect",
                    _ => to_customer(&event.deed),
                },
            })
        })
        .collect();
    if role != Role::Customer {
        let internal = |aside: &Aside| Moment {
            at: aside.at,
            when: when(aside.at),
            who: "internal note".to_owned(),
            person: aside.person.as_ref().map(|name| shown(name.as_str())).unwrap_or_default(),
            class: "internal",
            title: "noted here".to_owned(),
            text: shown(aside.text.as_str()),
            tag: "never leaves this desk",
        };
        moments.extend(asides.iter().map(internal));
        // The order of the two chains stays where times are the same.
        moments.sort_by_key(|moment| moment.at);
    }
    moments
}

fn to_customer(deed: &Deed) -> &'static str {
    match deed {
        Deed::Noted { visibility: Visibility::Customer, .. } => "the customer reads this",
        _ => "",
    }
}

/// Whether it is the vendors' own business.
fn is_vendors(event: &Event) -> bool {
    use DeedKind as D;
    match &event.deed {
        Deed::Noted { visibility, .. } => *visibility != Visibility::Customer,
        Deed::Attached { attachment } => !attachment.classification.is_customers(),
        deed => matches!(
            deed.kind(),
            D::ActionAdded
                | D::ActionDone
                | D::Assigned
                | D::Numbered
                | D::EntitlementChecked
                | D::ReproductionAsked
                | D::Reproduced
                | D::Escalated
                | D::PriorityChanged
                | D::FactsAdded
                | D::PauseExtended
                | D::TransferRefused
        ),
    }
}

fn title(kind: DeedKind) -> String {
    kind.word().replace('-', " ")
}

/// The words that go with it. A customer reads those that are meant for it; what vendors say to each other is theirs.
fn words(deed: &Deed, role: Role) -> String {
    let customer = role == Role::Customer;
    let text = match deed {
        Deed::Noted { text, .. } => Some(text.as_str()),
        Deed::Declined { next_step, reason } if customer => {
            return format!("{reason}. What you can do now: {next_step}");
        }
        Deed::Declined { next_step, reason } => {
            return format!("{reason}. For the customer: {next_step}");
        }
        Deed::Proposed { outcome } => {
            let mut words = vec![outcome.resolution.to_string()];
            words.extend(outcome.workaround.as_ref().map(|text| format!("Until then: {text}")));
            let fixes: Vec<_> = outcome.fixes.iter().map(ToString::to_string).collect();
            words.extend((!fixes.is_empty()).then(|| format!("Fixes: {}", fixes.join(", "))));
            words.push(format!("At fault: {}", outcome.layer));
            return words.join("\n");
        }
        Deed::Confirmed { confirmation } => {
            let words = confirmation.text.as_ref().map(|text| format!(": {text}"));
            return format!("{}{}", confirmation.by, words.unwrap_or_default());
        }
        Deed::Attached { attachment } => {
            let said = attachment.run.iter().flat_map(|run| run.lines());
            return said.fold(
                format!(
                    "{} ({} bytes, {})",
                    attachment.name, attachment.size, attachment.classification
                ),
                |words, line| format!("{words}\n{line}"),
            );
        }
        Deed::Rejected { comment } => Some(comment.as_str()),
        _ if customer => None,
        Deed::InfoRequested { question: text, .. }
        | Deed::InfoGiven { answer: text }
        | Deed::PauseExtended { reason: text, .. }
        | Deed::Answered { text }
        | Deed::TransferOffered { reason: text }
        | Deed::TransferRefused { comment: text }
        | Deed::Withdrawn { comment: text }
        | Deed::Reopened { reason: text }
        | Deed::ActionAdded { what: text, .. }
        | Deed::ReproductionAsked { what: text, .. }
        | Deed::FactsAdded { text, .. } => Some(text.as_str()),
        Deed::Waited { wait, reason, until } => {
            return format!("For the {wait}, until {} at the latest: {reason}", when(*until));
        }
        Deed::Accepted { number, engineer, respond_within, .. } => {
            return format!("Case number {number}, {engineer}; first word within {respond_within}");
        }
        Deed::Escalated { level, reason } => return format!("To level {level}: {reason}"),
        Deed::SeverityChanged { severity: grade, reason }
        | Deed::PriorityChanged { priority: grade, reason } => {
            return format!("To {grade}: {reason}");
        }
        Deed::Reproduced { result, .. } => return format!("{}: {}", result.shown, result.text),
        Deed::Offered { new_facts } => new_facts.as_ref().map(|text| text.as_str()),
        Deed::Assigned { engineer, .. } | Deed::TransferAccepted { engineer } => {
            return engineer.to_string();
        }
        Deed::EntitlementChecked { entitlement } => return entitlement.entitled.to_string(),
        Deed::ConsentGiven { consent } => {
            let covers: Vec<_> = consent.covers.iter().map(ToString::to_string).collect();
            return format!("{} ({})", covers.join(", "), consent.by);
        }
        _ => None,
    };
    text.unwrap_or_default().to_owned()
}
