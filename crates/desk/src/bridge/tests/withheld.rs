//! What must not go out.

use super::*;

const SECRET: &str = "the-customers-secret";

/// A case of ours whose words are all the customer's, with what was said in it.
fn secretive(desk: &Desk) -> Thread {
    let mut opening = bridged();
    opening.problem.summary = text(&format!("summary {SECRET}"));
    opening.problem.description = text(&format!("description {SECRET}"));
    opening.problem.changed = Some(text(SECRET));
    opening.problem.steps = vec![text(SECRET)];
    opening.configuration.guest = text(&format!("guest {SECRET}"));
    opening.customer.name = text(&format!("name {SECRET}"));
    opening.customer.reference = Some(text(SECRET));
    let mut thread = desk.offer(opening);
    let heard = |part: &str| crate::exchange::Heard {
        by: text("guest.example"),
        through: text(THROUGH),
        request: text("request 1"),
        part: text(part),
    };
    let key = desk.key(Side::Submitter);
    let asks = Deed::InfoRequested { question: text("which?"), until: later(start(), DAY) };
    let asks = event(later(start(), 60), Side::Receiver, asks);
    thread.hear(asks, heard("response 1"), key).expect("legal").expect("new");
    let given = Deed::InfoGiven { answer: text(&format!("answer {SECRET}")) };
    thread.post(event(later(start(), 120), Side::Submitter, given), key).expect("legal");
    thread
}

fn bytes(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}

#[test]
fn without_the_customers_consent_nothing_of_the_customers_is_written() {
    let desk = Desk::new();
    let mut thread = secretive(&desk);
    // It would be there.
    assert!(bytes(&create_request(&thread, None).expect("allowed").value).contains(SECRET));
    assert!(bytes(&whole_case(&thread).expect("allowed").value).contains(SECRET));
    assert!(bytes(&answers(&thread).value).contains(SECRET));
    let withdrawn = Deed::ConsentWithdrawn { by: text("Pat Doe") };
    let event = event(later(start(), 180), Side::Submitter, withdrawn);
    thread.post(event, desk.key(Side::Submitter)).expect("legal");
    assert!(matches!(create_request(&thread, None), Err(OutgoingError::Consent(_))));
    assert!(matches!(whole_case(&thread), Err(OutgoingError::Consent(_))));
    let Carried { value, not_carried } = answers(&thread);
    assert!(!bytes(&value).contains(SECRET), "{value:?}");
    assert!(tells(&not_carried, "1 answers with words of the customer's"), "{not_carried:?}");
}

#[test]
fn consent_for_the_problem_alone_writes_no_case() {
    let desk = Desk::new();
    let mut thread = secretive(&desk);
    let given = Deed::ConsentGiven { consent: consent(&[Shareable::Problem]) };
    let event = event(later(start(), 180), Side::Submitter, given);
    thread.post(event, desk.key(Side::Submitter)).expect("legal");
    let only = Err(OutgoingError::Consent(vec![Shareable::Configuration]));
    assert_eq!(create_request(&thread, None), only);
}

#[test]
fn the_customers_contact_goes_out_only_if_the_consent_covers_it() {
    let contact = "pat@customer.example";
    let desk = Desk::new();
    for covered in [true, false] {
        let mut opening = bridged();
        opening.customer.contact = Some(text(contact));
        opening.consent = Some(consent(&Shareable::ALL));
        let mut thread = desk.offer(opening);
        if !covered {
            let covers = [Shareable::Problem, Shareable::Configuration];
            let given = Deed::ConsentGiven { consent: consent(&covers) };
            let event = event(later(start(), 60), Side::Submitter, given);
            thread.post(event, desk.key(Side::Submitter)).expect("legal");
        }
        let request = create_request(&thread, None).expect("allowed");
        let case = whole_case(&thread).expect("allowed");
        assert_eq!(bytes(&request.value).contains(contact), covered);
        assert_eq!(bytes(&case.value).contains(contact), covered);
        assert_eq!(tells(&request.not_carried, "the customer's contact"), !covered);
    }
}

#[test]
fn a_request_is_written_in_the_published_fields_with_no_internal_note() {
    let desk = Desk::new();
    let request = create_request(&desk.offer(bridged()), Some(17)).expect("allowed").value;
    let request = serde_json::to_value(&request).expect("JSON");
    let fields = [
        "customFields",
        "documentId",
        "escalationInstructions",
        "internalCaseNumber",
        "internalNotes",
        "priority",
        "problemDescription",
        "problemSummary",
        "submitterContactDetails",
        "testSubmission",
    ];
    let found: Vec<_> = request.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(found, fields);
    assert_eq!(request["internalNotes"], serde_json::json!([]));
    assert_eq!(request["priority"], "HIGH");
    let verdict = request["customFields"].as_array().expect("a list").iter();
    let verdict = verdict.filter(|field| field["label"] == "Verdict at opening");
    let values: Vec<_> = verdict.map(|field| field["value"].clone()).collect();
    assert_eq!(values, ["planned (as of 2026-03-02)"]);
    let description = request["problemDescription"].as_str().expect("text");
    assert!(
        description.contains("[Hospitium]") && description.contains("planned"),
        "{description}"
    );
}

#[test]
fn the_receivers_answers_are_the_calls_that_are_published() {
    let desk = Desk::new();
    let mut theirs = desk.receive(&read_value(&sent(serde_json::json!({}))));
    assert!(matches!(create_request(&theirs, None), Err(OutgoingError::NotSubmitted)));
    let key = desk.key(Side::Receiver);
    let note = Deed::Noted { visibility: Visibility::Both, text: text("seen\nin the trace") };
    let asks = Deed::Waited {
        wait: WaitFor::Submitter,
        reason: text("which update?"),
        until: later(start(), DAY),
    };
    for (place, deed) in [accepted().1, started().1, note, asks].into_iter().enumerate() {
        let at = later(start(), 60 * (1 + place as i64));
        theirs.post(event(at, Side::Receiver, deed), key).expect("legal");
    }
    let Carried { value, not_carried } = answers(&theirs);
    let calls: Vec<_> = value.iter().map(|answer| answer.call).collect();
    assert_eq!(calls, ["approval", "notes", "information-request"]);
    let keys = |body: &serde_json::Value| {
        body.as_object().map(|body| body.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    assert_eq!(
        keys(&value[0].body),
        ["caseNumber", "engineerEmail", "engineerName", "engineerPhone", "nextSteps"]
    );
    assert_eq!(keys(&value[1].body), ["description", "priority", "summary"]);
    assert_eq!(value[1].body["summary"], "seen");
    assert_eq!(value[2].body["requestedInformation"], "which update?");
    assert!(tells(&not_carried, "started (1)"), "{not_carried:?}");
}
