//! Known issues that parties tell beside a certificate.

use hospitium_ledger::statement::{EndorsedRecord, FORMAT, KnownIssue};
use hospitium_model::Digest;
use hospitium_model::standing::Word;

use super::*;

fn issue(by: &str, record: Digest, day: &str, text: &str) -> Statement {
    let of = EndorsedRecord { party: "b.example".into(), log: "b.example/log".into(), entry: 0 };
    Statement::known_issue(
        record,
        KnownIssue {
            format: FORMAT,
            party: by.into(),
            issued: at(day),
            of,
            text: text.into(),
            workaround: Some("boot with clock=pit".into()),
            fixes: vec!["KB 12".into()],
            case: None,
        },
    )
}

fn told(answer: &Answer) -> Vec<&String> {
    answer.limits.iter().filter(|limit| limit.contains("known issue")).collect()
}

#[tokio::test]
async fn a_known_issue_stands_in_answers_from_its_day_until_it_is_taken_back_and_takes_nothing_away()
 {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
    let made =
        world.say("a.example", &[issue("a.example", record, "2022-04-01", "the clock drifts")]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
    assert!(answer.certain, "the kind is known: {:?}", answer.warnings);
    let [line] = told(&answer)[..] else { panic!("{:?}", answer.limits) };
    for words in ["a.example/log entry 0", "the clock drifts", "clock=pit", "KB 12"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let before = world.ask(QUESTION, &[], date(2022, 3, 15)).await;
    assert!(told(&before).is_empty(), "not said yet: {:?}", before.limits);
    let back =
        Statement::withdrawal("a.example", at("2022-05-01"), made[0], "it was the lab's clock");
    world.say("a.example", &[back]);
    let after = world.ask(QUESTION, &[], DAY).await;
    assert!(told(&after).is_empty(), "{:?}", after.limits);
    assert_eq!(after.verdict, Word::Validated);
    assert_eq!(told(&world.ask(QUESTION, &[], date(2022, 4, 15)).await).len(), 1);
}

#[tokio::test]
async fn a_known_issue_of_another_record_is_told_of_that_one_only() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    world.say("a.example", &[issue("a.example", Digest::of(b"another"), "2022-04-01", "x")]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!((answer.verdict, told(&answer).len()), (Word::Validated, 0));
}
