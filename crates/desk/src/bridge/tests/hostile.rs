//! Files that nobody would send in good faith.

use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

#[test]
fn values_of_the_wrong_kind_are_left_out_and_told_by_their_names() {
    let request = read_value(&json!({
        "id": "4711", "token": "secret-token", "summary": 5, "description": ["a"], "priority": {},
        "testCase": "yes", "createdAt": "yesterday", "customFields": "none", "caseNotes": [1, null],
        "caseResponses": [{ "id": 1 }], "submitterContactDetails": [], "colour": "red",
    }));
    assert_eq!((request.summary.clone(), request.test), (None, false));
    assert!(request.name.as_str().contains("sha256:") && !request.name.as_str().contains("secret"));
    let told = request.told.clone().lines();
    for name in [
        "id is a text",
        "summary is a number",
        "description is a list",
        "priority is an object",
        "testCase is a text",
        "createdAt is \"yesterday\"",
        "customFields is a text",
        "caseNotes[0] is a number",
        "response 1 has no type",
        "submitterContactDetails is a list",
        "colour",
    ] {
        assert!(tells(&told, name), "{name}: {told:?}");
    }
    assert!(matches!(opening_of(&request, receiving()), Err(OpeningError::Lacks("summary"))));
}

#[test]
fn a_file_that_is_no_request_is_refused() {
    for (bytes, words) in [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("7", "a number"),
        ("[]", "a list of 0"),
        ("[{},{}]", "a list of 2"),
        ("{}", "neither id nor token"),
        ("{\"id\":1}x", "no JSON"),
    ] {
        let error = read(bytes.as_bytes()).expect_err(bytes).to_string();
        assert!(error.contains(words), "{bytes}: {error}");
    }
    assert!(read("[{\"id\":1}]".as_bytes()).is_ok(), "a list of one");
}

/// Counts what is read of it.
struct Counted<'c, R>(R, &'c mut u64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        *self.1 += count as u64;
        Ok(count)
    }
}

#[test]
fn of_a_huge_file_no_more_is_read_than_a_request_can_have() {
    let mut count = 0;
    let huge = Counted(std::io::repeat(b' ').take(100 << 20), &mut count);
    assert!(matches!(read(huge), Err(ReadError::TooLarge)));
    assert!(count <= LARGEST + 1, "{count}");
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(matches!(read(deep.as_bytes()), Err(ReadError::Json(_))));
    let inside = format!("{{\"id\":1,\"unknown\":{deep}}}");
    assert!(matches!(read(inside.as_bytes()), Err(ReadError::Json(_))));
}

#[test]
fn text_that_turns_hides_or_commands_is_shown_as_what_it_is() {
    let hostile = "a\u{202e}b\u{1b}[2J\u{200b}";
    let note = json!([{ "id": 1, "companyName": "Guest Company", "summary": hostile,
                        "description": hostile, "creatorName": hostile, "status": hostile,
                        "createdAt": "2026-03-02T10:00:00Z" }]);
    let request = read_value(&sent(json!({
        "summary": hostile, "description": hostile, "status": hostile, "priority": hostile,
        "submitterCaseNumber": hostile, hostile: 1, "caseNotes": note,
    })));
    let desk = Desk::new();
    let told = opening_of(&request, receiving()).expect("opens").told;
    let mut thread = desk.receive(&request);
    let (new, count) = desk.hear(&mut thread, &request);
    assert_eq!(count, 1, "{:?}", new.told);
    let shown = serde_json::to_string(thread.case()).expect("JSON");
    for words in told.iter().chain(&new.told).chain([&shown]) {
        let bad = words.chars().find(|c| hospitium_model::is_invisible(*c) || c.is_control());
        assert_eq!(bad, None, "{words:?}");
        assert!(!words.contains("\\u001b"), "{words}");
    }
}

#[test]
fn long_texts_are_cut_and_that_is_told() {
    let long = "x".repeat(20_000);
    let request = read_value(&sent(json!({ "summary": long, "description": long })));
    let told = request.told.clone().lines();
    assert!(tells(&told, "summary is cut") && tells(&told, "description is cut"), "{told:?}");
    Desk::new().receive(&request);
}

#[test]
fn unknown_words_are_kept_as_text_and_change_nothing() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let mut note = their_note(1, "words");
    note["status"] = json!("REMOVED");
    let request = read_value(&sent(json!({
        "status": "HOVERING", "priority": "PURPLE", "caseNotes": [note],
        "caseResponses": [{ "id": 1, "type": "SHRUG", "nextSteps": "perhaps" }],
    })));
    let (new, count) = desk.hear(&mut ours, &request);
    assert_eq!((count, &ours.case().state), (1, &State::Offered {}));
    assert!(tells(&new.told, "\"HOVERING\"") && tells(&new.told, "\"SHRUG\""), "{:?}", new.told);
    assert_eq!(ours.case().notes[0].text.as_str(), "[REMOVED] words");
    let opened = opening_of(&request, receiving()).expect("opens");
    assert_eq!(opened.opening.problem.severity, Grade::Normal);
    assert!(tells(&opened.told, "\"PURPLE\""), "{:?}", opened.told);
}

#[test]
fn dates_that_cannot_be_start_no_clock() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let dated = |id: u32, at: &str| {
        let mut note = their_note(id, "words");
        note["createdAt"] = json!(at);
        note
    };
    let notes = json!([
        dated(1, "9999-12-30T00:00:00Z"),
        dated(2, "0001-01-01T00:00:00Z"),
        dated(3, "-009999-01-02T00:00:00Z"),
        dated(4, "2026-03-02T10:00:00+01:00"),
        dated(5, "+999999-01-01T00:00:00Z"),
    ]);
    let request = read_value(&sent(json!({ "caseNotes": notes })));
    let now = later(start(), DAY);
    let (new, _) = desk.hear_at(&mut ours, &request, now);
    let parts: Vec<_> = new.parts.iter().map(|(_, heard)| heard.part.as_str()).collect();
    // Of two the time cannot be read: they count as of now.
    assert_eq!(parts, ["note 4", "note 3", "note 5"], "{:?}", new.told);
    assert!(ours.case().at <= now);
    assert!(tells(&new.told, "note 1 is dated") && tells(&new.told, "note 2 is dated"));
    let early = read_value(&sent(json!({ "createdAt": "9999-12-30T00:00:00Z" })));
    assert_eq!(desk.receive(&early).case().opened, later(start(), 30 * DAY));
}

#[test]
fn ten_thousand_notes_come_in_by_thousands_and_no_more_is_told_than_a_person_reads() {
    let desk = Desk::new();
    let ours = desk.offer(bridged());
    let notes: Vec<_> = (0..10_000).map(|id| their_note(id, "words")).collect();
    let request = read_value(&sent(json!({ "caseNotes": notes })));
    let new = incoming(&ours, &request, &Given::default(), later(start(), DAY)).expect("new");
    assert_eq!(new.parts.len(), 1_000);
    assert!(tells(&new.told, "9000 more parts are left"), "{:?}", new.told);
    let strange: Vec<_> = (0..10_000).collect();
    let request = read_value(&sent(json!({ "caseNotes": strange })));
    assert!(request.told.lines().len() <= TOLD + 1);
}

#[test]
fn a_part_that_is_there_twice_counts_once_and_a_stranger_is_not_one_of_the_two() {
    let desk = Desk::new();
    let mut ours = desk.offer(bridged());
    let mut stranger = their_note(2, "who am I");
    stranger["companyName"] = json!("Third Company");
    let notes = json!([their_note(1, "first"), their_note(1, "second"), stranger]);
    let (new, count) = desk.hear(&mut ours, &read_value(&sent(json!({ "caseNotes": notes }))));
    assert_eq!(count, 1);
    assert!(tells(&new.told, "note 1 is there twice"), "{:?}", new.told);
    assert!(tells(&new.told, "\"Third Company\""), "{:?}", new.told);
    // Two companies of one name cannot be told apart.
    let mut ours = desk.offer(bridged());
    let same =
        sent(json!({ "submitCompanyName": "Host Company", "caseNotes": [their_note(1, "x")] }));
    assert_eq!(desk.hear(&mut ours, &read_value(&same)).1, 0);
}

/// The names that a file may have, and words that mean something in them.
const NAMES: [&str; 14] = [
    "id",
    "type",
    "status",
    "createdAt",
    "updatedAt",
    "summary",
    "description",
    "companyName",
    "caseNumber",
    "engineerEmail",
    "engineerName",
    "nextSteps",
    "caseNotes",
    "caseResponses",
];
/// Fields of a request, without those that are made apart.
const FIELDS: [&str; 7] =
    ["id", "status", "createdAt", "updatedAt", "summary", "description", "receiverCaseNumber"];
const WORDS: [&str; 12] = [
    "APPROVAL",
    "REJECTION",
    "INFORMATION_REQUEST",
    "INFORMATION_RESPONSE",
    "CLOSED",
    "Host Company",
    "Guest Company",
    "bo@support.host.example",
    "2026-03-02T10:00:00Z",
    "2026-03-20T10:00:00.5Z",
    "\u{202e}",
    "",
];

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        4 => prop::sample::select(WORDS.to_vec()).prop_map(Json::from),
        1 => ".{0,20}".prop_map(Json::from),
        2 => (0_u64..4).prop_map(Json::from),
        1 => prop::sample::select(vec![Json::Null, Json::Bool(true), json!(-1), json!(1e300)]),
    ];
    leaf.prop_recursive(3, 40, 8, |inner| {
        let named = (prop::sample::select(NAMES.to_vec()), inner.clone());
        let object = prop::collection::vec(named, 0..9);
        let object = object.prop_map(|all| {
            all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Json>()
        });
        prop_oneof![1 => prop::collection::vec(inner, 0..6).prop_map(Json::from), 3 => object]
    })
}

/// A part of a request that mostly has what it needs, with some of it bent.
fn part() -> impl Strategy<Value = Json> {
    let times = ["2026-03-02T10:00:00Z", "2026-03-20T10:00:00.5Z", "2026-03-05T00:00:00Z"];
    let word = prop::sample::select(WORDS.to_vec());
    let bent = prop::collection::vec((prop::sample::select(NAMES.to_vec()), any_json()), 0..2);
    (0_u32..9, word, prop::sample::select(times.to_vec()), bent).prop_map(|(id, word, at, bent)| {
        let mut part = json!({
            "id": id, "type": word, "companyName": word, "caseNumber": "H-7", "summary": "words",
            "engineerName": "Bo Lind", "engineerEmail": "bo@host.example", "nextSteps": "words",
            "createdAt": at,
        });
        for (name, value) in bent {
            part[name] = value;
        }
        part
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 256 } else { 10_000 }))]

    #[test]
    fn whatever_stands_in_a_file_is_taken_legally_or_told(
        fields in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), any_json()), 0..3),
        notes in prop::collection::vec(prop_oneof![3 => part(), 1 => any_json()], 0..4),
        responses in prop::collection::vec(prop_oneof![5 => part(), 1 => any_json()], 0..8),
    ) {
        let mut value = sent(json!({ "caseNotes": notes, "caseResponses": responses }));
        for (name, inner) in fields {
            value[name] = inner;
        }
        let Ok(request) = read(value.to_string().as_bytes()) else { return Ok(()) };
        let desk = Desk::new();
        let mut threads = vec![desk.offer(bridged())];
        if opening_of(&request, receiving()).is_ok() {
            threads.push(desk.receive(&request));
        }
        for thread in &mut threads {
            // `hear` expects each of them to be legal.
            let (new, _) = desk.hear(thread, &request);
            prop_assert!(new.told.len() <= TOLD + 1);
            prop_assert!(thread.hears_rightly());
            let again = Thread::restore(thread.us(), thread.chains().clone(), 0).expect("replays");
            prop_assert_eq!(again.case(), thread.case());
            prop_assert!(again.voided().is_empty());
        }
    }
}
