//! Cases and events for tests: what people at two vendors would do, with choices from outside.

use std::collections::BTreeSet;

use hospitium_model::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::*;

/// A text that is known to be good.
pub fn text<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a good text")
}

/// 2026-03-02 09:00 in Berlin, a Monday.
pub fn start() -> Timestamp {
    text("2026-03-02T08:00:00Z")
}

/// So much later.
pub fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).expect("in range")
}

pub const DAY: i64 = 86_400;

/// Monday to Friday, 9 to 17, in Berlin.
pub fn office() -> Calendar {
    let hours = "[\"09:00-17:00\"]";
    Calendar::from_json(&format!(
        r#"{{"zone":"Europe/Berlin","hours":{{"monday":{hours},"tuesday":{hours},"wednesday":{hours},
        "thursday":{hours},"friday":{hours}}},"holidays":["2026-04-03","2026-04-06"]}}"#
    ))
    .expect("a calendar")
}

pub fn minutes(count: u32) -> Minutes {
    Minutes::try_from(count).expect("in range")
}

pub fn engineer(side: Side) -> Engineer {
    let (name, address) = match side {
        Side::Submitter => ("Ann Smith", "ann@guest.example"),
        Side::Receiver => ("Bo Lind", "bo@support.host.example"),
    };
    Engineer { name: text(name), address: text(address) }
}

pub fn consent(covers: &[Shareable]) -> Consent {
    Consent {
        by: text("Pat Doe"),
        at: start(),
        covers: BTreeSet::from_iter(covers.iter().copied()),
    }
}

pub fn configuration() -> Configuration {
    Configuration {
        guest: text("Red Hat Enterprise Linux 5.3 (2.6.18-128.el5)"),
        host: text("Microsoft Hyper-V Server 2008 (6.0.6001)"),
        vcpus: Some(4),
        memory: Some(8 << 30),
        machine: vec![text("bios")],
        buses: vec![text("ide")],
        drivers: vec![Driver { name: text("netvsc"), version: text("1.0") }],
        features: Vec::new(),
    }
}

pub fn opening() -> Opening {
    static OPENING: std::sync::OnceLock<Opening> = std::sync::OnceLock::new();
    OPENING.get_or_init(new_opening).clone()
}

fn new_opening() -> Opening {
    Opening {
        id: CaseId::from_bytes([7; 16]),
        parties: Both { submitter: text("guest.example"), receiver: text("host.example") },
        channel: Channel::CommandLine,
        test: true,
        number: text("G-1001"),
        engineer: engineer(Side::Submitter),
        escalation: Some(text("call the duty manager")),
        customer: Customer {
            name: text("Customer Inc."),
            contact: None,
            reference: Some(text("INC-7")),
        },
        entitlement: Entitlement { entitled: Entitled::Yes, checked: start(), note: None },
        consent: Some(consent(&[
            Shareable::Problem,
            Shareable::Configuration,
            Shareable::Evidence,
        ])),
        configuration: configuration(),
        verdict: FrozenVerdict {
            word: VerdictWord::Planned,
            rule: FrozenRule { words: text("an agreement promises it"), typed: None },
            certificate: None,
            nearest: Vec::new(),
            answers: vec![text("host.example")],
            as_of: text("2026-03-02"),
        },
        problem: Problem {
            summary: text("the clock drifts"),
            description: text("ten minutes an hour\nsince the update"),
            topic: Topic::Technical,
            severity: Grade::High,
            changed: None,
            steps: vec![text("rebooted")],
        },
        terms: Terms {
            calendar: office(),
            acknowledge: minutes(240),
            update: minutes(480),
            resolve: minutes(2400),
        },
        links: Vec::new(),
    }
}

pub fn outcome() -> Outcome {
    Outcome {
        layer: Layer::Hypervisor,
        resolution: text("install update 12"),
        fixes: vec![text("KB 12")],
        workaround: None,
        feedback: vec![Feedback::KnownIssue { certificate: None, text: text("the clock drifts") }],
    }
}

pub fn attachment(number: u8) -> Attachment {
    let classification = match number % 3 {
        0 => Classification::Vendor,
        1 => Classification::Customer,
        _ => Classification::Personal,
    };
    Attachment {
        sha256: Digest::of(&[number]),
        size: 1 + u64::from(number),
        name: text("trace.log"),
        classification,
        redaction: None,
        run: None,
    }
}

pub fn event(at: Timestamp, by: Side, deed: Deed) -> Event {
    Event { at, by, person: Some(text("somebody")), deed }
}

pub fn opened() -> Event {
    event(start(), Side::Submitter, Deed::Opened { opening: Box::new(opening()) })
}

/// The case after these deeds, each an hour after the one before. All have to be legal.
pub fn case_after(deeds: &[(Side, Deed)]) -> Case {
    let mut case = open(&opened()).expect("opens");
    for (by, deed) in deeds {
        let next = event(later(case.at, 3600), *by, deed.clone());
        case = apply(&case, &next).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    case
}

pub fn offered() -> (Side, Deed) {
    (Side::Submitter, Deed::Offered { new_facts: None })
}

pub fn accepted() -> (Side, Deed) {
    let deed = Deed::Accepted {
        number: text("H-77"),
        engineer: engineer(Side::Receiver),
        respond_within: minutes(120),
        escalation: None,
    };
    (Side::Receiver, deed)
}

pub fn started() -> (Side, Deed) {
    (Side::Receiver, Deed::Started {})
}

/// A deed of this kind with content that `pick` chooses; mostly content that is good.
pub fn deed(kind: DeedKind, pick: u64, at: Timestamp, by: Side) -> Deed {
    let words: Text = text(["yes", "more of it", "the log shows it"][(pick % 3) as usize]);
    let side = if pick.is_multiple_of(2) { Side::Submitter } else { Side::Receiver };
    let small = (pick % 4) as u32;
    // Seldom an engineer of somebody else.
    let person = if pick % 13 == 12 { engineer(by.other()) } else { engineer(by) };
    let until = later(at, [1, 3600, 10 * DAY, 59 * DAY, 61 * DAY, 0][(pick % 6) as usize]);
    match kind {
        DeedKind::Opened => Deed::Opened { opening: Box::new(opening()) },
        DeedKind::Amended => {
            let mut opening = opening();
            if pick % 3 == 1 {
                opening.consent = None;
            }
            if pick % 11 == 10 {
                opening.problem.topic = Topic::Licensing;
            }
            Deed::Amended { opening: Box::new(opening) }
        }
        DeedKind::Offered => Deed::Offered { new_facts: (pick % 2 == 1).then_some(words) },
        DeedKind::InfoRequested => Deed::InfoRequested { question: words, until },
        DeedKind::InfoGiven => Deed::InfoGiven { answer: words },
        DeedKind::Accepted => Deed::Accepted {
            number: text("H-1"),
            engineer: person,
            respond_within: minutes(60),
            escalation: None,
        },
        DeedKind::Declined => {
            Deed::Declined { reason: DeclineReason::NotValidated, next_step: words }
        }
        DeedKind::Started => Deed::Started {},
        DeedKind::Waited => {
            let wait = [
                WaitFor::Customer,
                WaitFor::Submitter,
                WaitFor::Receiver,
                WaitFor::Reproduction { by: side },
            ][(pick % 4) as usize];
            Deed::Waited { wait, reason: words, until }
        }
        DeedKind::PauseExtended => Deed::PauseExtended { reason: words, until },
        DeedKind::Answered => Deed::Answered { text: words },
        DeedKind::Proposed => Deed::Proposed { outcome: Box::new(outcome()) },
        DeedKind::Rejected => Deed::Rejected { comment: words },
        DeedKind::Confirmed => Deed::Confirmed {
            confirmation: Confirmation { by: text("Pat Doe"), text: Some(words) },
        },
        DeedKind::TransferOffered => Deed::TransferOffered { reason: words },
        DeedKind::TransferAccepted => Deed::TransferAccepted { engineer: person },
        DeedKind::TransferRefused => Deed::TransferRefused { comment: words },
        DeedKind::Withdrawn => Deed::Withdrawn { comment: words },
        DeedKind::IdleWarned => Deed::IdleWarned {},
        DeedKind::AutoClosed => Deed::AutoClosed { layer: Layer::Unknown },
        DeedKind::Reopened => Deed::Reopened { reason: words },
        DeedKind::Noted => {
            let visibility =
                if pick.is_multiple_of(2) { Visibility::Both } else { Visibility::Customer };
            Deed::Noted { visibility, text: words }
        }
        DeedKind::Attached => Deed::Attached { attachment: attachment((pick % 200) as u8) },
        DeedKind::ActionAdded => Deed::ActionAdded { what: words, by: side, due: until },
        DeedKind::ActionDone => Deed::ActionDone { action: small },
        DeedKind::Assigned => Deed::Assigned { engineer: person, lead: pick.is_multiple_of(2) },
        DeedKind::Numbered => Deed::Numbered { number: text("N-2") },
        DeedKind::EntitlementChecked => {
            let entitled = [Entitled::Yes, Entitled::Yes, Entitled::Unknown, Entitled::No];
            let entitled = entitled[(pick % 4) as usize];
            Deed::EntitlementChecked {
                entitlement: Entitlement { entitled, checked: at, note: None },
            }
        }
        DeedKind::ConsentGiven => {
            let covers = &Shareable::ALL[..(pick % 5) as usize];
            Deed::ConsentGiven { consent: consent(covers) }
        }
        DeedKind::ConsentWithdrawn => Deed::ConsentWithdrawn { by: text("Pat Doe") },
        DeedKind::ReproductionAsked => {
            Deed::ReproductionAsked { by: side, place: Place::OwnHypervisor, what: words }
        }
        DeedKind::Reproduced => Deed::Reproduced {
            reproduction: small,
            result: ReproductionResult {
                shown: Shown::Reproduced,
                text: words,
                machine: (pick % 5 == 4).then(|| Digest::of(&[3])),
            },
        },
        DeedKind::Escalated => Deed::Escalated { level: (pick % 6) as u8, reason: words },
        DeedKind::SeverityChanged => {
            Deed::SeverityChanged { severity: Grade::Critical, reason: words }
        }
        DeedKind::PriorityChanged => Deed::PriorityChanged { priority: Grade::Low, reason: words },
        DeedKind::FactsAdded => Deed::FactsAdded { text: words, configuration: None },
    }
}

/// Whether it moves a case on: not what leaves the state as it is, and not giving up.
pub fn moves_on(deed: DeedKind) -> bool {
    use DeedKind as D;
    !matches!(
        deed,
        D::Noted
            | D::Attached
            | D::Numbered
            | D::ConsentGiven
            | D::ConsentWithdrawn
            | D::ActionAdded
            | D::ActionDone
            | D::Assigned
            | D::EntitlementChecked
            | D::ReproductionAsked
            | D::Escalated
            | D::FactsAdded
            | D::SeverityChanged
            | D::PriorityChanged
            | D::Withdrawn
            | D::Amended
    )
}
