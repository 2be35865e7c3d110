//! What cannot be done says why and what can.

use crate::sample::*;
use crate::*;

fn refused(case: &Case, by: Side, deed: Deed) -> String {
    let at = later(case.at, 3600);
    apply(case, &event(at, by, deed)).expect_err("illegal").to_string()
}

#[test]
fn patents_and_licences_are_refused_with_where_to_go() {
    for (topic, word) in [(Topic::Patents, "patents"), (Topic::Licensing, "licences")] {
        let mut opening = opening();
        opening.problem.topic = topic;
        let deed = Deed::Opened { opening: Box::new(opening) };
        let said = open(&event(start(), Side::Submitter, deed)).expect_err("refused").to_string();
        assert!(said.contains(word) && said.contains("customer's contract"), "{said}");
    }
}

#[test]
fn a_transition_that_does_not_exist_names_those_that_do() {
    let case = case_after(&[offered()]);
    let said = refused(&case, Side::Receiver, Deed::Started {});
    assert!(said.contains("while the case is offered"), "{said}");
    for legal in ["accepted", "declined", "info-requested"] {
        assert!(said.contains(legal), "{said}");
    }
    let said = refused(&case, Side::Submitter, accepted().1);
    assert!(said.contains("only the receiver can"), "{said}");
}

#[test]
fn an_engineer_of_another_domain_is_refused() {
    let case = case_after(&[offered()]);
    let deed = Deed::Accepted {
        number: text("H-1"),
        engineer: engineer(Side::Submitter),
        respond_within: minutes(60),
        escalation: None,
    };
    assert!(refused(&case, Side::Receiver, deed).contains("not on the domain of host.example"));
}

#[test]
fn a_declined_case_comes_back_with_new_facts_only_and_is_counted() {
    let no =
        Deed::Declined { reason: DeclineReason::NotValidated, next_step: text("update to 5.4") };
    let case = case_after(&[offered(), (Side::Receiver, no)]);
    let said = refused(&case, Side::Submitter, Deed::Offered { new_facts: None });
    assert!(said.contains("new facts"), "{said}");
    let again = Deed::Offered { new_facts: Some(text("it is 5.4 now")) };
    let again = event(later(case.at, 60), Side::Submitter, again);
    assert_eq!(apply(&case, &again).expect("legal").offers, 2);
}

#[test]
fn nothing_is_offered_before_the_customer_consents() {
    let mut opening = opening();
    opening.consent = Some(consent(&[Shareable::Problem]));
    opening.customer.contact = Some(text("pat@customer.example"));
    let first = event(start(), Side::Submitter, Deed::Opened { opening: Box::new(opening) });
    let case = open(&first).expect("a draft needs none");
    let said = refused(&case, Side::Submitter, Deed::Offered { new_facts: None });
    assert!(said.contains("configuration, contact"), "{said}");
}

#[test]
fn a_receiver_without_entitlement_cannot_accept() {
    let entitlement = Entitlement { entitled: Entitled::Expired, checked: start(), note: None };
    let checked = (Side::Receiver, Deed::EntitlementChecked { entitlement });
    let case = case_after(&[offered(), checked]);
    assert!(refused(&case, Side::Receiver, accepted().1).contains("expired"));
}

#[test]
fn files_of_the_customer_and_of_no_size_are_refused() {
    let case =
        case_after(&[offered(), (Side::Submitter, Deed::ConsentWithdrawn { by: text("Pat") })]);
    let customers = Deed::Attached { attachment: attachment(1) };
    assert!(refused(&case, Side::Receiver, customers).contains("evidence"));
    let attachment = Attachment { size: 0, ..attachment(0) };
    assert!(refused(&case, Side::Receiver, Deed::Attached { attachment }).contains("0 bytes"));
}

#[test]
fn a_pause_without_a_good_end_is_refused() {
    let case = case_after(&[offered(), accepted(), started()]);
    let wait = |until| Deed::Waited { wait: WaitFor::Customer, reason: text("?"), until };
    for until in [case.at, later(case.at, 61 * DAY + 7200)] {
        assert!(refused(&case, Side::Receiver, wait(until)).contains("within 60 days"));
    }
}

#[test]
fn fields_that_are_not_known_are_refused_when_read() {
    let good = serde_json::to_value(opened()).expect("written");
    assert!(serde_json::from_value::<Event>(good.clone()).is_ok());
    let mut more = good.clone();
    more["deed"]["opening"]["owner"] = "receiver".into();
    assert!(serde_json::from_value::<Event>(more).is_err());
    let mut other = good;
    other["deed"]["deed"] = "deleted".into();
    assert!(serde_json::from_value::<Event>(other).is_err());
}
