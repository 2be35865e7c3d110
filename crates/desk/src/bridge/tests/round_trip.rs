//! What goes out comes in again.

use proptest::prelude::*;

use super::*;

fn words() -> impl Strategy<Value = String> {
    let plain = "[a-zA-Z0-9äß漢\"\\\\<>&{}',.:;|/ -]{0,80}";
    let many = prop::collection::vec(plain, 1..5).prop_map(|lines| lines.join("\n"));
    // A description that looks as if the line behind it were there already.
    let marked = Just("first\n\n[Hospitium] rhel on hyper-v".to_owned());
    let told = prop_oneof![4 => many, 1 => marked];
    told.prop_filter("words", |text| !text.trim().is_empty())
}

fn a_line() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß\"\\\\<>&'.:/-][a-zA-Z0-9 ]{0,40}[a-z]"
}

prop_compose! {
    fn openings()(
        summary in a_line(),
        description in words(),
        changed in prop::option::of(words()),
        steps in prop::collection::vec(a_line(), 0..4),
        severity in prop::sample::select(vec![Grade::Critical, Grade::High, Grade::Normal, Grade::Low]),
        number in a_line(),
        customer in a_line(),
        reference in prop::option::of(a_line()),
        escalation in prop::option::of(words()),
        guest in a_line(),
        host in a_line(),
        test in prop::bool::ANY,
    ) -> Opening {
        let mut opening = bridged();
        opening.problem = Problem {
            summary: text(&summary),
            description: text(&description),
            topic: Topic::Technical,
            severity,
            changed: changed.map(|words| text(&words)),
            steps: steps.iter().map(|step| text(step)).collect(),
        };
        opening.number = text(&number);
        opening.customer.name = text(&customer);
        opening.customer.reference = reference.map(|words| text(&words));
        opening.escalation = escalation.map(|words| text(&words));
        opening.configuration.guest = text(&guest);
        opening.configuration.host = text(&host);
        opening.test = test;
        opening
    }
}

/// As it stands in a file: without line ends at its end.
fn kept(words: &Text) -> String {
    words.as_str().lines().collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 48 } else { 1_000 }))]

    #[test]
    fn a_case_that_goes_out_comes_in_with_the_same_fields(
        opening in openings(),
        notes in prop::collection::vec(words(), 0..4),
    ) {
        let desk = Desk::new();
        let mut ours = desk.offer(opening.clone());
        for (place, words) in notes.iter().enumerate() {
            let deed = Deed::Noted { visibility: Visibility::Both, text: text(words) };
            let event = event(later(start(), 60 + place as i64), Side::Submitter, deed);
            ours.post(event, desk.key(Side::Submitter)).expect("legal");
        }
        let written = whole_case(&ours).expect("allowed").value;
        let request = read_value(&serde_json::to_value(&written).expect("JSON"));
        let mut theirs = desk.receive(&request);
        let (new, count) = desk.hear(&mut theirs, &request);
        prop_assert_eq!(count, notes.len(), "{:?}", new.told);
        let case = theirs.case();
        let problem = &case.problem;
        prop_assert_eq!(&problem.summary, &opening.problem.summary);
        prop_assert_eq!(problem.description.to_string(), kept(&opening.problem.description));
        prop_assert_eq!(problem.severity, opening.problem.severity);
        prop_assert_eq!(problem.changed.as_ref().map(kept), opening.problem.changed.as_ref().map(kept));
        prop_assert_eq!(&problem.steps, &opening.problem.steps);
        prop_assert_eq!(case.numbers.submitter.as_ref(), Some(&opening.number));
        prop_assert_eq!(case.engineers.submitter.as_ref(), Some(&opening.engineer));
        prop_assert_eq!(&case.customer.name, &opening.customer.name);
        prop_assert_eq!(&case.customer.reference, &opening.customer.reference);
        prop_assert_eq!(
            case.escalation_paths.submitter.as_ref().map(kept),
            opening.escalation.as_ref().map(kept)
        );
        prop_assert_eq!(case.test, opening.test);
        prop_assert_eq!(case.opened, start());
        let (guest, host) = pair(&request);
        prop_assert_eq!(guest.as_ref(), Some(&opening.configuration.guest));
        prop_assert_eq!(host.as_ref(), Some(&opening.configuration.host));
        let there: Vec<_> = case.notes.iter().map(|note| (note.by, note.text.to_string())).collect();
        let here: Vec<_> = notes.iter().map(|words| (Side::Submitter, kept(&text(words)))).collect();
        prop_assert_eq!(there, here);
        // Once more, nothing is new.
        prop_assert_eq!(desk.hear(&mut theirs, &request).1, 0);
    }
}

#[test]
fn what_the_receiver_writes_brings_the_submitters_case_as_far_as_the_receivers() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let request = whole_case(&ours).expect("allowed").value;
    let request = read_value(&serde_json::to_value(&request).expect("JSON"));
    let mut theirs = desk.receive(&request);
    let key = desk.key(Side::Receiver);
    let at = |minutes: i64| later(start(), minutes * 60);
    theirs.post(event(at(1), Side::Receiver, accepted().1), key).expect("legal");
    theirs.post(event(at(2), Side::Receiver, started().1), key).expect("legal");
    let asks = Deed::Waited {
        wait: WaitFor::Submitter,
        reason: text("which update?"),
        until: later(start(), DAY),
    };
    theirs.post(event(at(3), Side::Receiver, asks), key).expect("legal");
    let back = whole_case(&theirs).expect("allowed").value;
    let back = read_value(&serde_json::to_value(&back).expect("JSON"));
    let (new, _) = desk.hear(&mut ours, &back);
    let (case, there) = (ours.case(), theirs.case());
    assert_eq!(case.numbers, there.numbers, "{:?}", new.told);
    assert_eq!(case.engineers, there.engineers);
    assert_eq!(case.state.to_string(), there.state.to_string());
    assert_eq!(case.at, at(3));
}
