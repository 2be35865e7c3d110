//! How far other parties bear a record out, and what an agreement asks for of it.

use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{EndorsedRecord, KeyRole, Repetition};
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::Digest;
use hospitium_model::standing::{Assurance, Deed, Rule, Word};

use super::*;
use crate::Desk;

fn endorsement(by: &str, record: Digest, day: &str, repeated: bool) -> Statement {
    let of = EndorsedRecord { party: "b.example".into(), log: "b.example/log".into(), entry: 0 };
    let repetition = Repetition {
        run: "again".into(),
        ended: at(day),
        evidence: Digest::of(b"again"),
        cell: "cell".into(),
        compared: 1,
        inputs: 1,
        machine: None,
    };
    Statement::endorsement(by, at(day), record, of, "looked at", repeated.then_some(repetition))
}

/// The deal with this of its clause.
fn asking(assurance: &str) -> [Agreement; 1] {
    let text = DEAL.replace("within =", &format!("assurance = \"{assurance}\"\nwithin ="));
    [read_agreement("deal", &text).expect("reads")]
}

#[tokio::test]
async fn a_record_is_self_validated_until_another_party_endorses_or_repeats_it() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let alone = world.ask(QUESTION, &[], DAY).await;
    assert_eq!((alone.verdict, alone.assurance), (Word::Validated, Some(Assurance::SelfValidated)));
    let reviewed = endorsement("a.example", record, "2022-04-01", false);
    let repeated = endorsement("a.example", record, "2022-05-01", true);
    let made = world.say("a.example", &[reviewed, repeated]);
    let on = |day| world.ask(QUESTION, &[], day);
    let of = |answer: &Answer| answer.assurance.expect("holds");
    assert_eq!(of(&on(date(2022, 3, 15)).await), Assurance::SelfValidated, "not said yet");
    assert_eq!(of(&on(date(2022, 4, 15)).await), Assurance::Endorsed);
    let answer = on(DAY).await;
    assert_eq!(of(&answer), Assurance::Repeated);
    assert_eq!(answer.assured_by.last().map(|by| by.deed), Some(Deed::Repeated));
    let line = answer.lines().into_iter().find(|(label, _)| *label == "assurance");
    let words = line.expect("told").1;
    assert!(words.contains("repeated: a.example repeated it (a.example/log entry 1)"), "{words}");
    // What is taken back does not count any more.
    let back = Statement::withdrawal("a.example", at("2022-05-20"), made[1], "the wrong machine");
    world.say("a.example", &[back]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.assurance, Some(Assurance::Endorsed));
    assert_eq!(
        world.ask(QUESTION, &[], date(2022, 5, 10)).await.assurance,
        Some(Assurance::Repeated)
    );
}

#[tokio::test]
async fn an_endorsement_of_another_record_or_in_its_own_partys_log_counts_for_nothing() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let other = endorsement("a.example", Digest::of(b"another"), "2022-04-01", true);
    // Said to be of a record of somebody else than the one whose it is.
    let of = EndorsedRecord { party: "c.example".into(), log: "c.example/log".into(), entry: 0 };
    let wrong = Statement::endorsement("a.example", at("2022-04-01"), record, of, "x", None);
    world.say("a.example", &[other, wrong]);
    let of = EndorsedRecord { party: "a.example".into(), log: "a.example/log".into(), entry: 0 };
    let own = Statement::endorsement("b.example", at("2022-04-01"), record, of, "x", None);
    world.say("b.example", &[own]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.assurance, Some(Assurance::SelfValidated), "{:#?}", answer.lines());
}

#[tokio::test]
async fn an_obligation_is_fulfilled_only_by_what_is_borne_out_as_agreed() {
    let mut world = World::new(&["a.example", "b.example", "c.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let holds = |answer: &Answer| matches!(answer.rule, Rule::AgreementHolds { .. });
    assert!(holds(&world.ask(QUESTION, &asking("self-validated"), DAY).await));
    let answer = world.ask(QUESTION, &asking("endorsed"), DAY).await;
    assert!(matches!(answer.rule, Rule::Holds { unfulfilled: Some(_), .. }), "{:?}", answer.rule);
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    let told = answer
        .reasons
        .iter()
        .any(|why| why.contains("self-validated") && why.contains("endorsed is agreed"));
    assert!(told, "{:#?}", answer.reasons);
    // Who is no party to the deal cannot fulfil it.
    world.say("c.example", &[endorsement("c.example", record, "2022-04-01", true)]);
    assert!(!holds(&world.ask(QUESTION, &asking("endorsed"), DAY).await));
    world.say("a.example", &[endorsement("a.example", record, "2022-04-01", false)]);
    let answer = world.ask(QUESTION, &asking("endorsed"), DAY).await;
    assert!(holds(&answer) && answer.assurance == Some(Assurance::Endorsed), "{answer:#?}");
    assert!(!holds(&world.ask(QUESTION, &asking("endorsed"), date(2022, 3, 20)).await));
    assert!(!holds(&world.ask(QUESTION, &asking("repeated"), DAY).await));
    world.say("a.example", &[endorsement("a.example", record, "2022-04-02", true)]);
    assert!(holds(&world.ask(QUESTION, &asking("repeated"), DAY).await));
}

#[tokio::test]
async fn the_other_partys_own_record_of_the_pair_is_agreement_unless_its_newest_failed() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let own = |day: &str| Sample::new("a.example", OSA, VMMO, at(day));
    world.say("a.example", &[statement(&own("2022-03-05"))]);
    let answer = world.ask(QUESTION, &asking("endorsed"), DAY).await;
    let Rule::AgreementHolds { record, .. } = &answer.rule else { panic!("{:?}", answer.rule) };
    assert_eq!(record.assured_by[0].deed, Deed::Validated);
    assert!(!matches!(
        world.ask(QUESTION, &asking("repeated"), DAY).await.rule,
        Rule::AgreementHolds { .. }
    ));
    world.say("a.example", &[statement(&Sample { passed: false, ..own("2022-04-01") })]);
    let answer = world.ask(QUESTION, &asking("endorsed"), DAY).await;
    assert!(!matches!(answer.rule, Rule::AgreementHolds { .. }), "{:?}", answer.rule);
}

#[tokio::test]
async fn two_parties_that_validated_the_pair_bear_each_other_out_without_an_agreement() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let own = |day: &str| Sample::new("a.example", OSA, VMMO, at(day));
    world.say("a.example", &[statement(&own("2022-03-05"))]);
    let before = world.ask(QUESTION, &[], date(2022, 3, 3)).await;
    assert_eq!(before.assurance, Some(Assurance::SelfValidated), "a.example had not said so yet");
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.assurance, Some(Assurance::Endorsed), "{:#?}", answer.lines());
    assert_eq!(answer.assured_by.iter().map(|by| by.deed).collect::<Vec<_>>(), [Deed::Validated]);
    // Whose newest record says that it failed bears nothing out.
    world.say("a.example", &[statement(&Sample { passed: false, ..own("2022-04-01") })]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_ne!(answer.assurance, Some(Assurance::Endorsed), "{:#?}", answer.lines());
}

#[tokio::test]
async fn a_party_whose_key_the_agreement_has_endorses_with_that_key_only() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    world.say("a.example", &[endorsement("a.example", record, "2022-04-01", true)]);
    let own = world.party("a.example").public.record.to_string();
    let stranger = world.party("b.example").public.record.to_string();
    for (key, holds) in [(own, true), (stranger, false)] {
        let mut deal = asking("endorsed");
        deal[0].parties[0].key = Some(key);
        let answer = world.ask(QUESTION, &deal, DAY).await;
        assert_eq!(matches!(answer.rule, Rule::AgreementHolds { .. }), holds, "{:?}", answer.rule);
    }
}

pub fn unknown(subject: Digest) -> Vec<u8> {
    format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{{\"digest\":{{\"sha256\":\"{subject}\"}}}}],\
         \"predicateType\":\"https://hospitium.example/recall/v7\",\"predicate\":{{}}}}"
    )
    .into_bytes()
}

pub fn append(world: &mut World, name: &str, entry: Vec<u8>) {
    let folder = world.log(name);
    let party = world.party(name);
    Log::open(&folder, party).expect("opens").append(&[entry]).expect("appended");
}

#[tokio::test]
async fn kinds_that_are_not_known_are_kept_and_passed_over_and_what_names_a_record_is_told() {
    let mut world = World::new(&["b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let sign = |world: &mut World, payload| {
        let key = &world.party("b.example").record;
        Envelope::sign(payload, &[key]).to_bytes()
    };
    let entry = sign(&mut world, unknown(Digest::of(b"something else")));
    append(&mut world, "b.example", entry);
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let log = &rebuilt.logs[0];
    assert_eq!((log.unknown, log.refused, log.unread), (1, 0, 0));
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert!(answer.certain && answer.warnings.is_empty(), "{:?}", answer.warnings);
    let entry = sign(&mut world, unknown(record));
    append(&mut world, "b.example", entry);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert!(!answer.certain);
    assert!(answer.warnings[0].contains("entry 2 of b.example/log names b.example/log entry 0"));
    assert!(answer.warnings[0].contains("recall/v7"), "{:?}", answer.warnings);
}

#[tokio::test]
async fn a_key_that_the_one_before_did_not_hand_over_is_told_and_nothing_of_it_taken_in() {
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let named = VerifierKey::for_records("b.example", new.public()).expect("named");
    let old = world.party("b.example").public.record.clone();
    let change =
        Statement::key_change("b.example", at("2022-04-01"), KeyRole::Record, old, named, "x");
    let failed = Sample { passed: false, ..sample("2022-05-01") };
    for said in [change, statement(&failed)] {
        let entry = Envelope::sign(said.to_bytes().expect("written"), &[&new]).to_bytes();
        append(&mut world, "b.example", entry);
    }
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::Validated, "what stood before stays");
    assert!(!answer.certain);
    assert!(answer.warnings[0].contains("1 entries of b.example/log announce another key"));
}

#[tokio::test]
async fn a_change_of_a_key_that_did_not_sign_it_is_told_though_the_party_signed_it() {
    let mut world = World::new(&["b.example"]);
    let named = || {
        let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
        VerifierKey::for_records("b.example", key.public()).expect("named")
    };
    let change = Statement::key_change(
        "b.example",
        at("2022-04-01"),
        KeyRole::Record,
        named(),
        named(),
        "lost",
    );
    world.say("b.example", &[statement(&sample("2022-03-01")), change]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert!(!answer.certain);
    assert!(answer.warnings[0].contains("1 entries of b.example/log announce another key"));
}

#[tokio::test]
async fn an_answer_says_how_old_the_heads_are_that_it_rests_on() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    world.say(
        "a.example",
        &[statement(&Sample::new("a.example", OSA_510, VMMO_2, at("2022-05-01")))],
    );
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(
        answer.heads,
        ["b.example/log, 1 entries, not cosigned, its newest record of 2022-03-01T12:00:00Z"]
    );
}

#[tokio::test]
async fn what_a_mirror_refused_is_loud_in_every_answer() {
    use hospitium_ledger::{Bounds, PullError, pull};

    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let copy = world.folder.path().join("copy");
    let source = |world: &World| world.sources().remove(0);
    let take = |world: &World| {
        let LogSource { folder, policy } = source(world);
        pull(&copy, &folder, &policy, Timestamp::now(), Bounds::default(), &mut |_, _| {})
    };
    take(&world).expect("copied");
    let plain = world.folder.path().join("plain");
    let copied = std::process::Command::new("cp").arg("-r").arg(&copy).arg(&plain).status();
    assert!(copied.expect("runs").success());
    // The log is made anew, with another record in the place of the first.
    std::fs::remove_dir_all(world.log("b.example")).expect("removed");
    std::fs::remove_dir_all(world.folder.path().join("b.example/signed")).expect("removed");
    world.say("b.example", &[statement(&Sample { passed: false, ..sample("2022-03-01") })]);
    assert!(matches!(take(&world), Err(PullError::Fork { .. })));
    let of_copy = LogSource { folder: LogFolder::new(&copy), ..source(&world) };
    let mut catalog = database::catalog().await.expect("opens");
    let clean = LogSource { folder: LogFolder::new(&plain), ..of_copy.clone() };
    catalog.rebuild(&[clean]).await.expect("rebuilds");
    let mark = catalog.mark().await.expect("reads");
    catalog.rebuild(&[of_copy]).await.expect("rebuilds");
    assert_ne!(catalog.mark().await.expect("reads"), mark, "who keeps a view makes it anew");
    let reply = catalog.ask(QUESTION, &products(), &[], DAY).await.expect("answers");
    let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
    assert_eq!(answer.verdict, Word::Validated, "frozen as of the last good head");
    assert!(answer.warnings[0].contains("b.example/log was forked"), "{:?}", answer.warnings);
    assert!(!answer.certain, "its other branch may have a withdrawal");
    let (products, deal) = (products(), [deal()]);
    let desk = Desk::new(&catalog, &products, &deal, DAY).await.expect("is ready");
    let plan = desk.plan(&deal[0]).await.expect("is made");
    assert!(plan.doubts().any(|why| why.contains("was forked")), "{:?}", plan.obligations);
    let kept = catalog.refused_heads().await.expect("reads");
    assert_eq!((kept.len(), kept[0].seen_size, kept[0].found_size), (1, 1, 1));
}

#[tokio::test]
async fn an_entry_of_an_unknown_kind_that_names_an_endorsement_leaves_the_answer_uncertain() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let made = world.say("a.example", &[endorsement("a.example", record, "2022-04-01", true)]);
    assert!(world.ask(QUESTION, &asking("repeated"), DAY).await.certain);
    let key = &world.party("a.example").record;
    let entry = Envelope::sign(unknown(made[0]), &[key]).to_bytes();
    append(&mut world, "a.example", entry);
    let answer = world.ask(QUESTION, &asking("repeated"), DAY).await;
    assert!(!answer.certain);
    let words = &answer.warnings[0];
    assert!(words.contains("entry 1 of a.example/log") && words.contains("recall/v7"), "{words}");
}

#[tokio::test]
async fn an_endorsement_ends_with_its_partys_own_later_failure_of_the_pair() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let own = |day: &str, passed| {
        statement(&Sample { passed, ..Sample::new("a.example", OSA, VMMO, at(day)) })
    };
    // A failure of before the endorsement does not end it.
    let endorsed = endorsement("a.example", record, "2022-04-01", true);
    world.say("a.example", &[own("2022-03-20", false), endorsed]);
    let repeated = |answer: &Answer| answer.assurance == Some(Assurance::Repeated);
    let holds = |answer: &Answer| matches!(answer.rule, Rule::AgreementHolds { .. });
    let answer = world.ask(QUESTION, &asking("repeated"), DAY).await;
    assert!(holds(&answer) && repeated(&answer), "{answer:#?}");
    world.say("a.example", &[own("2022-04-02", false)]);
    let answer = world.ask(QUESTION, &asking("repeated"), DAY).await;
    assert!(!holds(&answer) && !repeated(&answer), "{:?}", answer.rule);
    let earlier = world.ask(QUESTION, &asking("repeated"), date(2022, 4, 1)).await;
    assert!(holds(&earlier) && repeated(&earlier), "it was, on that day: {:?}", earlier.rule);
    // It passes again: then the endorsement, which was never taken back, stands again.
    world.say("a.example", &[own("2022-04-03", true)]);
    assert!(repeated(&world.ask(QUESTION, &asking("repeated"), DAY).await));
}

#[tokio::test]
async fn a_cosignature_counts_from_its_own_day_on() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let mut sources = world.sources();
    let witness = world.party("a.example");
    let made = hospitium_ledger::Witness::new(witness)
        .cosign(&sources[0].folder, &sources[0].policy.logs[0], at("2022-04-10"))
        .expect("cosigned");
    let key = witness.public.witness.clone();
    let text = world.party("b.example").public.policy();
    let text = text.replace("quorum none", &format!("witness a {key}\nquorum a"));
    let policy = Policy::parse("policy", text.as_bytes()).expect("reads");
    let folder = world.log("b.example");
    let mut log = Log::open(&folder, world.party("b.example")).expect("opens");
    log.accept(&made.line, &policy, Timestamp::now()).expect("accepted");
    drop(log);
    sources[0].policy = policy;
    let mut catalog = database::catalog().await.expect("opens");
    catalog.rebuild(&sources).await.expect("rebuilds");
    for (day, word) in [
        (date(2022, 4, 9), Assurance::SelfValidated),
        (date(2022, 4, 10), Assurance::Witnessed),
        (DAY, Assurance::Witnessed),
    ] {
        for deal in [asking("self-validated"), asking("witnessed")] {
            let reply = catalog.ask(QUESTION, &products(), &deal, day).await.expect("answers");
            let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
            assert_eq!(answer.assurance, Some(word), "{day}");
            let holds = matches!(answer.rule, Rule::AgreementHolds { .. });
            let asked = deal[0].clauses[0].assurance;
            assert_eq!(holds, word >= asked, "{day} {:?}", answer.rule);
        }
    }
}

#[tokio::test]
async fn under_a_deal_only_a_certificate_that_meets_it_is_shown_as_covering_more() {
    let mut world = World::new(&["a.example", "b.example"]);
    let wide = Sample { vcpus: 8, run: "wide".into(), ..sample("2022-03-01") };
    let records = world.say("b.example", &[statement(&wide), statement(&sample("2022-03-02"))]);
    // The narrow one alone was repeated.
    world.say("a.example", &[endorsement("a.example", records[1], "2022-04-01", true)]);
    let question = "osa 5.2 on vmmo 1, 8 vcpu";
    let answer = world.ask(question, &asking("repeated"), DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
    assert!(answer.limits.iter().any(|limit| limit.contains("8 vCPUs")), "{:?}", answer.limits);
    assert_eq!(answer.assurance, Some(Assurance::Repeated));
    // Without a deal the wide one is shown, and what is told of assurance is its own.
    let answer = world.ask(question, &[], DAY).await;
    let shown = answer.certificate.as_ref().map(|certified| certified.record.entry);
    assert_eq!((answer.verdict, shown), (Word::Validated, Some(0)));
    assert_eq!(answer.assurance, Some(Assurance::SelfValidated));
    // Repeated as well, it covers what is asked under the deal, too.
    world.say("a.example", &[endorsement("a.example", records[0], "2022-04-02", true)]);
    let answer = world.ask(question, &asking("repeated"), DAY).await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert_eq!(answer.assurance, Some(Assurance::Repeated));
}
