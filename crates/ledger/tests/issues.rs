//! Known issues: read back as written, and refused where they contradict themselves.

use hospitium_ledger::Statement;
use hospitium_ledger::statement::{
    EndorsedRecord, FORMAT, KnownIssue, Record, StatementError, predicate,
};
use hospitium_model::Digest;

fn issue() -> Statement {
    let of = EndorsedRecord { party: "b.example".into(), log: "b.example/log".into(), entry: 3 };
    Statement::known_issue(
        Digest::of(b"entry"),
        KnownIssue {
            format: FORMAT,
            party: "a.example".into(),
            issued: "2026-02-01T10:00:00Z".parse().expect("a time"),
            of,
            text: "the clock drifts".into(),
            workaround: None,
            fixes: vec!["KB 12".into()],
            case: Some(Digest::of(b"c-1")),
        },
    )
}

#[test]
fn a_known_issue_reads_back_as_it_was_written() {
    let bytes = issue().to_bytes().expect("written");
    let read = Statement::parse(&bytes).expect("reads");
    assert_eq!(read, issue());
    assert_eq!(read.predicate_type(), predicate::KNOWN_ISSUE);
    assert_eq!(read.party(), Some("a.example"));
    assert!(read.notice().is_none(), "it takes nothing back");
}

#[test]
fn a_known_issue_without_words_or_about_several_certificates_is_refused() {
    let bytes = issue().to_bytes().expect("written");
    let text = String::from_utf8(bytes).expect("text");
    let cases = [
        ("the clock drifts", " ".to_owned()),
        ("the clock drifts", "x".repeat(4_001)),
        ("KB 12", "x".repeat(401)),
    ];
    for (from, to) in cases {
        let read = Statement::parse(text.replace(from, &to).as_bytes());
        assert!(matches!(read, Err(StatementError::Contradiction(_))), "{read:?}");
    }
    let mut several = issue();
    several.subject.push(several.subject[0].clone());
    assert!(matches!(several.to_bytes(), Err(StatementError::Contradiction(_))));
    let later = text.replace("\"format\":1", "\"format\":2");
    assert!(matches!(Statement::parse(later.as_bytes()), Err(StatementError::Newer(2))));
    let Record::KnownIssue(_) = issue().record else { panic!("it is one") };
}
