use jiff::civil::date;

use super::*;

fn deal() -> Deal {
    Deal { id: "deal".into(), title: "The deal".into(), clause: "a-on-b".into() }
}

fn record() -> OfRecord {
    OfRecord {
        certificate: "b.example/log entry 7".into(),
        party: "b.example".into(),
        validated: date(2022, 3, 1),
        assured_by: Vec::new(),
    }
}

fn until() -> Until {
    Until { day: Some(date(2023, 3, 1)), because: "12 months after the validation".into() }
}

/// One of each.
fn all() -> Vec<Rule> {
    let (day, reason) = (date(2022, 5, 1), || "a wrong disk".to_owned());
    vec![
        Rule::Excluded { deal: deal(), what: "virtio disks".into(), terms: "Not covered".into() },
        Rule::AgreementFailed { deal: deal(), record: record() },
        Rule::AgreementHolds {
            deal: deal(),
            record: record(),
            until: until(),
            about_to_lapse: true,
            on_some_machines: true,
            carried_from: Some(OfPair { guest: "Osa 5".into(), host: "Vmmo 1".into() }),
            wider_shown: true,
        },
        Rule::AgreementLapsed { deal: deal(), record: record(), until: until() },
        Rule::Planned { deal: deal(), from: Some(day) },
        Rule::Pending { deal: deal(), due: day, late: false },
        Rule::NeverDelivered { deal: deal(), ended: Ended::Host, on: day },
        Rule::Failed { record: record() },
        Rule::Holds {
            record: record(),
            until: until(),
            unfulfilled: Some(deal()),
            wider_shown: false,
        },
        Rule::Lapsed { record: record(), until: until() },
        Rule::NotYet { record: record() },
        Rule::Suspended { record: record(), since: day, until: None, reason: reason() },
        Rule::Withdrawn { record: record(), on: day, reason: reason() },
        Rule::Fallen { record: record(), what: "a waiver".into(), why: reason() },
        Rule::SetAside,
        Rule::NoCertificate { what: "a waiver".into() },
        Rule::TooMany { looked_at: 9 },
        Rule::NoRecord,
    ]
}

#[test]
fn names_of_rules_and_words_stay_as_they_are() {
    let named = |rule: &Rule| {
        let value = serde_json::to_value(rule).expect("is written");
        assert_eq!(value["by"], rule.name());
        let words: Vec<_> = [false, true].map(|limited| rule.word(limited).words()).into();
        (rule.name(), words.join(", "))
    };
    let found: Vec<_> = all().iter().map(named).collect();
    let found: Vec<(&str, &str)> =
        found.iter().map(|(name, word)| (*name, word.as_str())).collect();
    assert_eq!(
        found,
        [
            ("excluded", "excluded, excluded"),
            ("agreement-failed", "failed, failed"),
            ("agreement-holds", "validated, validated with limits"),
            ("agreement-lapsed", "lapsed, lapsed"),
            ("planned", "planned, planned"),
            ("pending", "pending, pending"),
            ("never-delivered", "not validated, not validated"),
            ("failed", "failed, failed"),
            // Of an agreement that asks for more.
            ("holds", "validated with limits, validated with limits"),
            ("lapsed", "lapsed, lapsed"),
            ("not-yet", "unknown, unknown"),
            ("suspended", "not validated, not validated"),
            ("withdrawn", "not validated, not validated"),
            ("fallen", "not validated, not validated"),
            ("set-aside", "not validated, not validated"),
            ("no-certificate", "unknown, unknown"),
            ("too-many", "unknown, unknown"),
            ("no-record", "unknown, unknown"),
        ]
    );
    let words = serde_json::to_string(&Word::ALL).expect("is written");
    assert_eq!(
        words,
        r#"["validated","validated-with-limits","lapsed","pending","planned","excluded","failed","not-validated","unknown"]"#
    );
}

/// What was kept of a case years ago is read as what it was.
#[test]
fn a_ruling_of_form_1_is_read_as_it_was_written() {
    let kept = r#"{"format":1,"as-of":"2022-06-01","word":"validated-with-limits","rule":{"by":"agreement-holds",
        "deal":{"id":"deal","title":"The deal","clause":"a-on-b"},"record":{"certificate":"b.example/log entry 7",
        "party":"b.example","validated":"2022-03-01"},"until":{"day":"2023-03-01","because":"12 months after the
        validation"},"about-to-lapse":false,"on-some-machines":true},"limits":["emulation only"]}"#
        .replace("\n        ", " ");
    let ruling = Ruling::from_json(kept.as_bytes()).expect("is read");
    assert_eq!((ruling.word(), ruling.as_of()), (Word::ValidatedWithLimits, date(2022, 6, 1)));
    let Rule::AgreementHolds { on_some_machines: true, carried_from: None, until: held, .. } =
        ruling.rule()
    else {
        panic!("{ruling:?}");
    };
    assert_eq!(*held, until());
}

#[test]
fn every_rule_comes_back_as_it_was_written() {
    for rule in all() {
        for limits in [vec![], vec!["a limit".to_owned()]] {
            let ruling = Ruling::new(date(2022, 6, 1), rule.clone(), limits);
            let text = serde_json::to_vec(&ruling).expect("is written");
            assert_eq!(Ruling::from_json(&text).as_ref(), Ok(&ruling));
            let inside: Vec<Ruling> =
                serde_json::from_str(&format!("[{}]", String::from_utf8_lossy(&text)))
                    .expect("reads");
            assert_eq!(inside, [ruling]);
        }
    }
}

#[test]
fn a_ruling_that_was_altered_or_is_of_a_later_form_is_refused() {
    let good = Ruling::new(date(2022, 6, 1), Rule::SetAside, vec![]);
    let text = serde_json::to_string(&good).expect("is written");
    let read = |from: &str, to: &str| {
        let other = text.replace(from, to);
        assert_ne!(other, text);
        Ruling::from_json(other.as_bytes()).expect_err("refused")
    };
    let error = read("not-validated", "validated");
    assert!(matches!(error, RulingError::Other { rule: "set-aside", .. }), "{error}");
    // What a later form has of fields and words is not known here; that it is one is.
    let error = read("{\"format\":1", "{\"new\":{},\"format\":2");
    assert_eq!(error, RulingError::Newer(2));
    let error = read("\"format\":1,\"as-of\":\"2022-06-01\"", "\"format\":2");
    assert_eq!(error, RulingError::Newer(2));
    for (from, to) in [("set-aside", "guessed"), ("2022-06-01", "2022-06-31"), ("{", "[")] {
        assert!(matches!(read(from, to), RulingError::Unreadable(_)), "{to}");
    }
    let inside = text.replace("not-validated", "validated");
    assert!(serde_json::from_str::<Ruling>(&inside).is_err(), "inside of others, too");
}

#[test]
fn each_rule_has_words_of_its_own_and_names_of_others_cannot_write_in_them() {
    let words: Vec<String> = all().iter().map(Rule::words).collect();
    for (place, text) in words.iter().enumerate() {
        assert!(text.ends_with('.') && text.len() > 20, "{text}");
        assert!(!words[..place].contains(text), "{text}");
    }
    assert_eq!(
        words[2],
        "By the terms of The deal it holds on the machines that passed (until 2023-03-01). Validated \
         on 2022-03-01; it holds until 2023-03-01, 12 months after the validation. It is about to \
         lapse, on 2023-03-01. What was tested is Osa 5 on Vmmo 1; the agreement carries that \
         forward. Of the valid certificates, the one shown covers the most."
    );
    for rule in all() {
        let text = serde_json::to_string(&rule).expect("is written");
        let hostile =
            text.replace("b.example", "a\\u202eb\\u001b[2J").replace("The deal", "a\\u202eb");
        let hostile: Rule =
            serde_json::from_str(&hostile.replace("a wrong disk", "\\u001b]0;x")).expect("is read");
        let words = hostile.words();
        assert!(!words.contains(['\u{202e}', '\u{1b}']), "{words:?}");
    }
}
