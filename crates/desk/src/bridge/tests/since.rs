//! What the other vendor did since.

use serde_json::json;

use super::*;
use crate::exchange::PostError;

fn answered(responses: serde_json::Value) -> Request {
    read_value(&sent(json!({ "direction": "OUTBOUND", "caseResponses": responses })))
}

#[test]
fn an_approval_accepts_the_case_and_begins_work_in_the_receivers_name_as_heard() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let (new, count) = desk.hear(&mut ours, &answered(json!([approval()])));
    assert_eq!((count, new.known), (3, 0), "{:?}", new.told);
    let case = ours.case();
    assert_eq!(case.state, State::Working {});
    assert_eq!(case.numbers.receiver.as_ref().map(Line::as_str), Some("H-77"));
    assert_eq!(case.notes.last().map(|note| note.text.as_str()), Some("we look at the trace"));
    for sealed in ours.chain(Side::Receiver) {
        let heard = sealed.message.heard.as_ref().expect("heard");
        assert_eq!((heard.by.as_str(), heard.through.as_str()), ("guest.example", THROUGH));
        assert_eq!(heard.request.as_str(), "request 4711");
        assert_eq!(sealed.message.from.as_str(), "host.example");
    }
    assert!(ours.hears_rightly());
}

#[test]
fn the_same_file_taken_in_twice_adds_nothing_and_a_newer_one_only_what_is_new() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let first =
        sent(json!({ "caseResponses": [approval()], "caseNotes": [their_note(1, "seen")] }));
    assert_eq!(desk.hear(&mut ours, &read_value(&first)).1, 4);
    let digest = ours.case().digest();
    let (again, count) = desk.hear(&mut ours, &read_value(&first));
    assert_eq!((count, again.known, ours.case().digest()), (0, 2, digest));
    let notes = json!([their_note(1, "seen"), their_note(2, "found")]);
    let newer = sent(json!({ "caseResponses": [approval()], "caseNotes": notes }));
    assert_eq!(desk.hear(&mut ours, &read_value(&newer)).1, 1);
}

#[test]
fn a_rejection_declines_and_leaves_the_customer_a_next_step() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let rejection = json!([{ "id": 3, "type": "REJECTION", "engineerName": "Bo Lind",
                             "reason": "no contract", "createdAt": "2026-03-02T09:00:00Z" }]);
    desk.hear(&mut ours, &answered(rejection));
    let State::Declined { reason, next_step } = &ours.case().state else {
        panic!("{}", ours.case().state)
    };
    assert_eq!(reason.to_string(), "\"no contract\"");
    assert!(next_step.as_str().contains("ask host.example"), "{next_step}");
}

#[test]
fn a_question_and_its_answer_move_the_case_there_and_back() {
    let desk = Desk::new();
    let mut theirs = desk.receive(&read_value(&sent(json!({}))));
    let key = desk.key(Side::Receiver);
    let asks = Deed::InfoRequested { question: text("which update?"), until: later(start(), DAY) };
    theirs.post(event(later(start(), 60), Side::Receiver, asks), key).expect("legal");
    let answers = json!([{ "id": 5, "type": "INFORMATION_RESPONSE", "nextSteps": "update 11",
                           "createdAt": "2026-03-02T09:00:00Z" }]);
    desk.hear(&mut theirs, &answered(answers));
    assert_eq!(theirs.case().state, State::Offered {});
    assert_eq!(theirs.case().facts.last().map(|fact| fact.1.as_str()), Some("update 11"));

    let mut ours = desk.offer(bridged());
    let asks = json!([{ "id": 6, "type": "INFORMATION_REQUEST", "requestedInformation": "which update?",
                        "createdAt": "2026-03-02T09:00:00Z" }]);
    desk.hear(&mut ours, &answered(asks));
    assert_eq!(ours.case().state.name(), "information requested");
}

#[test]
fn what_does_not_follow_is_told_and_comes_in_once_it_does() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let key = desk.key(Side::Submitter);
    let question = json!({ "id": 6, "type": "INFORMATION_REQUEST", "nextSteps": "which update?",
                           "createdAt": "2026-03-02T08:30:00Z" });
    let request = answered(json!([question, approval()]));
    let (new, count) = desk.hear(&mut ours, &request);
    assert_eq!(count, 1);
    assert!(tells(&new.told, "response 17 is left out"), "{:?}", new.told);
    let given = Deed::InfoGiven { answer: text("update 11") };
    ours.post(event(later(start(), 7_200), Side::Submitter, given), key).expect("legal");
    assert_eq!(desk.hear(&mut ours, &request).1, 3);
    assert_eq!(ours.case().state, State::Working {});
}

#[test]
fn an_engineer_of_nobody_knows_whom_does_not_accept_a_case() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let mut elsewhere = approval();
    elsewhere["engineerEmail"] = json!("bo@elsewhere.example");
    let request = answered(json!([elsewhere]));
    let (new, count) = desk.hear(&mut ours, &request);
    assert_eq!(count, 0);
    assert!(tells(&new.told, "--engineer"), "{:?}", new.told);
    let given = Given { engineer: Some(engineer(Side::Receiver)), ..Given::default() };
    let new = incoming(&ours, &request, &given, later(start(), DAY)).expect("of this case");
    assert_eq!(new.parts.len(), 3, "a person named one");
}

#[test]
fn our_own_sides_deeds_are_not_taken_from_a_file() {
    let desk = Desk::new();
    let mut theirs = desk.receive(&read_value(&sent(json!({}))));
    let request = answered(json!([approval()]));
    let (new, count) = desk.hear(&mut theirs, &request);
    assert_eq!((count, &theirs.case().state), (0, &State::Offered {}));
    assert!(tells(&new.told, "say it here"), "{:?}", new.told);
}

#[test]
fn nothing_is_heard_of_a_vendor_that_signs_what_it_says() {
    let desk = Desk::new();
    let mut ours = desk.offer(opening());
    let request = answered(json!([approval()]));
    let new = incoming(&ours, &request, &Given::default(), start());
    assert!(matches!(new, Err(IncomingError::SpeaksItself(_))), "{new:?}");
    let mut bridged = desk.offer(bridged());
    let new = incoming(&bridged, &request, &Given::default(), later(start(), DAY)).expect("new");
    let (event, heard) = new.parts.first().cloned().expect("an approval");
    let refused = ours.hear(event.clone(), heard.clone(), desk.key(Side::Submitter));
    assert!(matches!(refused, Err(PostError::SpeaksItself(_))), "{refused:?}");
    assert!(bridged.hear(event, heard, desk.key(Side::Submitter)).is_ok());
}

#[test]
fn another_request_is_not_mixed_into_a_case() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    desk.hear(&mut ours, &answered(json!([approval()])));
    let other = read_value(&sent(json!({ "id": 4712, "caseNotes": [their_note(9, "mixed")] })));
    let new = incoming(&ours, &other, &Given::default(), later(start(), DAY));
    assert!(matches!(new, Err(IncomingError::OtherRequest { .. })), "{new:?}");
}

#[test]
fn a_closed_request_ends_a_case_of_the_other_vendors_customer_and_never_one_of_ours() {
    let desk = Desk::new();
    let closed = sent(json!({ "status": "CLOSED", "updatedAt": "2026-03-03T08:00:00Z" }));
    let mut ours = desk.offer(bridged());
    let (new, count) = desk.hear(&mut ours, &read_value(&closed));
    assert_eq!((count, &ours.case().state), (0, &State::Offered {}));
    assert!(tells(&new.told, "close it"), "{:?}", new.told);

    let mut theirs = desk.receive(&read_value(&sent(json!({}))));
    assert_eq!(desk.hear(&mut theirs, &read_value(&closed)).1, 1);
    let State::Withdrawn { comment, .. } = &theirs.case().state else {
        panic!("{}", theirs.case().state)
    };
    assert!(comment.as_str().contains("not said"), "{comment}");
    assert_eq!(desk.hear(&mut theirs, &read_value(&closed)).1, 0);
}
