//! Each word of an answer, and the rule that gives it.

use hospitium_ledger::Statement;
use hospitium_model::{ByteSize, Digest};
use jiff::civil::date;

use super::*;
use crate::{Rule, Ruling, Word};

async fn one(samples: &[Sample], agreements: &[Agreement], question: &str) -> Answer {
    let mut world = World::new(&["b.example"]);
    let statements: Vec<_> = samples.iter().map(statement).collect();
    world.say("b.example", &statements);
    world.ask(question, agreements, DAY).await
}

#[tokio::test]
async fn what_a_certificate_covers_is_validated() {
    let answer = one(&[sample("2022-03-01")], &[], "osa 5.2 on vmmo 1, 4 vcpu, 8 GiB").await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert!(answer.rule_words.contains("12 months after the validation"), "{}", answer.rule_words);
    let certificate = answer.certificate.expect("is there");
    assert_eq!(certificate.place, "b.example/log entry 0");
    assert_eq!(certificate.record.validated, date(2022, 3, 1));
    assert!(certificate.tested.iter().any(|line| line == "1 to 4 vCPUs"));
    assert!(answer.nearest.is_empty());
}

#[tokio::test]
async fn what_is_asked_beyond_the_envelope_is_a_limit_each() {
    let question = "osa 5.2 on vmmo 1, 8 vcpu, 16 GiB, uefi, nvme, e1000";
    let answer = one(&[sample("2022-03-01")], &[], question).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    assert_eq!(answer.limits.len(), 5, "{:#?}", answer.limits);
}

#[tokio::test]
async fn of_several_valid_certificates_the_one_that_covers_the_question_is_shown() {
    let large = Sample { vcpus: 16, memory: ByteSize::gib(32), ..sample("2022-03-01") };
    let answer = one(&[large, sample("2022-04-01")], &[], "osa 5.2 on vmmo 1, 12 vcpu").await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert_eq!(answer.certificate.expect("is there").record.entry, 0);
}

#[tokio::test]
async fn emulation_and_waivers_are_limits() {
    let emulated = Sample { emulated: true, ..sample("2022-03-01") };
    let answer = one(&[emulated], &[], QUESTION).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    assert!(answer.limits.iter().any(|limit| limit.contains("emulation")));
    let waived = Sample { waived: Some(at("2022-09-01")), ..sample("2022-03-01") };
    let answer = one(&[waived], &[], QUESTION).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    assert!(answer.limits.iter().any(|limit| limit.contains("waived until 2022-09-01")));
}

#[tokio::test]
async fn a_cell_that_failed_beside_one_that_passed_is_a_limit() {
    let run = || "one-run".to_owned();
    let good = Sample { run: run(), ..sample("2022-03-01") };
    let bad = Sample { run: run(), passed: false, vcpus: 64, ..sample("2022-03-01") };
    for agreements in [vec![], vec![deal()]] {
        let answer = one(&[good.clone(), bad.clone()], &agreements, QUESTION).await;
        assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
        assert!(answer.limits.iter().any(|limit| limit.contains("64 vCPUs")));
    }
}

#[tokio::test]
async fn a_certificate_whose_time_is_over_is_lapsed() {
    let answer = one(&[sample("2021-03-01")], &[], QUESTION).await;
    assert_eq!(answer.verdict, Word::Lapsed);
    assert!(answer.rule_words.contains("2022-03-01"), "{}", answer.rule_words);
    assert!(answer.certificate.is_some());
}

#[tokio::test]
async fn an_agreements_formula_decides_for_the_party_that_owes_it() {
    // Twelve months by the certificate, six by the deal.
    let made = sample("2021-11-01");
    assert_eq!(one(std::slice::from_ref(&made), &[], QUESTION).await.verdict, Word::Validated);
    let answer = one(&[made], &[deal()], QUESTION).await;
    assert_eq!(answer.verdict, Word::Lapsed);
    assert!(answer.rule_words.contains("The deal"), "{}", answer.rule_words);
    let answer = one(&[sample("2022-05-01")], &[deal()], QUESTION).await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert!(answer.rule_words.contains("2022-11-01"), "{}", answer.rule_words);
    let support = &answer.support.first().expect("is there").words;
    assert!(support.iter().any(|words| words.contains("B (+1 555)")), "{support:?}");
}

#[tokio::test]
async fn what_an_agreement_does_not_take_is_a_limit() {
    let emulated = Sample { emulated: true, ..sample("2022-05-01") };
    let answer = one(&[emulated], &[deal()], QUESTION).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    assert!(answer.limits.iter().any(|limit| limit.contains("does not fulfil")));
}

#[tokio::test]
async fn the_newest_record_decides_and_a_failure_is_failed() {
    let bad = Sample { passed: false, ..sample("2022-04-01") };
    let answer = one(&[sample("2022-03-01"), bad.clone()], &[], QUESTION).await;
    assert_eq!(answer.verdict, Word::Failed);
    assert!(answer.reasons[0].contains("cpu.count/v0"), "{:?}", answer.reasons);
    assert_eq!(one(std::slice::from_ref(&bad), &[deal()], QUESTION).await.verdict, Word::Failed);
    let answer = one(&[bad, sample("2022-05-01")], &[], QUESTION).await;
    assert_eq!(answer.verdict, Word::Validated);
}

#[tokio::test]
async fn what_is_owed_and_undelivered_is_pending_and_what_can_be_no_more_is_not_validated() {
    let world = World::new(&["b.example"]);
    let on = async |day| world.ask(QUESTION, &[deal()], day).await;
    // The deal is of January, and has it done within six months.
    let answer = on(DAY).await;
    assert_eq!(answer.verdict, Word::Pending, "{:#?}", answer.lines());
    assert!(matches!(answer.rule, Rule::Pending { late: false, .. }), "{:?}", answer.rule);
    assert!(answer.rule_words.contains("be done by 2022-07-01"), "{}", answer.rule_words);
    let late = on(date(2022, 8, 1)).await;
    assert!(matches!(late.rule, Rule::Pending { late: true, .. }), "{:?}", late.rule);
    let before = on(date(2021, 12, 31)).await;
    assert_eq!(before.verdict, Word::Planned, "{:#?}", before.lines());
    let over = DEAL.replace("made = 2022-01-01", "made = 2022-01-01\nends = 2022-08-31");
    let over = read_agreement("deal", &over).expect("reads");
    let answer = world.ask(QUESTION, &[over], date(2022, 9, 1)).await;
    assert_eq!(answer.verdict, Word::NotValidated, "{:#?}", answer.lines());
    assert!(matches!(answer.rule, Rule::NeverDelivered { .. }), "{:?}", answer.rule);
}

#[tokio::test]
async fn a_pass_falls_with_a_record_that_it_names_and_that_is_not_there_or_is_another() {
    use hospitium_ledger::statement::{Record, Resource, WaiverRecord};
    let until = at("2022-09-01");
    let pass = |names: Digest| {
        let mut statement = statement(&Sample { waived: Some(until), ..sample("2022-03-01") });
        let Record::Validation(validation) = &mut statement.record else { panic!("a validation") };
        validation.hospitium.waivers[0].record = Some(names);
        statement
    };
    let any = pass(Digest::of(b"nothing"));
    let guest = any.subject[0].sha256().expect("has one");
    let waiver = |check: &str, until| {
        let waiver = WaiverRecord {
            format: 1,
            party: "b.example".into(),
            issued: at("2022-02-01"),
            check: check.parse().expect("an id"),
            reason: "known".into(),
            until,
            by: "the board".into(),
            host: None,
        };
        Statement::waiver(Resource::of("guest", guest), waiver)
    };
    let told = async |waiver: Option<Statement>| {
        let mut world = World::new(&["b.example"]);
        let named = match waiver {
            Some(waiver) => world.say("b.example", &[waiver])[0],
            None => Digest::of(b"nothing"),
        };
        world.say("b.example", &[pass(named)]);
        world.ask(QUESTION, &[deal()], DAY).await
    };
    let good = told(Some(waiver("cpu.count/v0", until))).await;
    assert_eq!(good.verdict, Word::ValidatedWithLimits, "{:#?}", good.lines());
    for (bad, why) in [
        (None, "the log does not have it"),
        (Some(waiver("cpu.topology", until)), "it waives something else"),
        (Some(waiver("cpu.count/v0", at("2022-08-01"))), "it ended earlier"),
    ] {
        let answer = told(bad).await;
        assert_eq!(answer.verdict, Word::NotValidated, "{:#?}", answer.lines());
        assert!(answer.set_aside[0].contains(why), "{:?}", answer.set_aside);
    }
}

#[tokio::test]
async fn what_an_agreement_leaves_out_is_excluded_whatever_records_say() {
    let exclusion = |more: &str| {
        let text = format!(
            "{DEAL}\n[[exclusion]]\nwhat = \"NVMe disks\"\nwords = \"No driver is supported\"\n{more}"
        );
        read_agreement("deal", &text).expect("reads")
    };
    let nvme = exclusion("buses = [\"nvme\"]");
    let question = "osa 5.2 on vmmo 1, nvme";
    let made = [sample("2022-05-01")];
    let answer = one(&made, std::slice::from_ref(&nvme), question).await;
    assert_eq!(answer.verdict, Word::Excluded, "{:#?}", answer.lines());
    assert_eq!(
        answer.rule_words,
        "By the terms of The deal NVMe disks is left out. No driver is supported."
    );
    let ruling = answer.ruling();
    let kept = serde_json::to_vec(&ruling).expect("is written");
    assert_eq!(Ruling::from_json(&kept), Ok(ruling));
    // Only what is asked for, of the pair that is meant, and what says what of a machine it is about.
    let holds =
        async |agreement: Agreement, question| one(&made, &[agreement], question).await.verdict;
    assert_eq!(holds(nvme.clone(), QUESTION).await, Word::Validated);
    let other = exclusion("buses = [\"nvme\"]\nguests = [\"osa6\"]");
    assert_eq!(holds(other, question).await, Word::ValidatedWithLimits, "a limit: not tested");
    let of_pair = exclusion("vcpus-above = 2\nguests = [\"osa5.2\"]\nhosts = [\"vmmo1\"]");
    assert_eq!(holds(of_pair.clone(), "osa 5.2 on vmmo 1, 4 vcpu").await, Word::Excluded);
    assert_eq!(holds(of_pair, "osa 5.2 on vmmo 1, 2 vcpu").await, Word::Validated);
    assert_eq!(holds(exclusion(""), question).await, Word::ValidatedWithLimits);
    // Another deal that does not leave it out decides by its own terms.
    let deals = [nvme, deal()];
    let answer = one(&made, &deals, question).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
    assert!(answer.reasons.iter().any(|why| why.contains("NVMe disks is left out")));
    let text = format!("{DEAL}\n[[exclusion]]\nwhat = \"x\"\nwords = \"y\"\nhosts = [\"vmmo1\"]");
    let error = read_agreement("deal", &text).expect_err("says nothing of machines").to_string();
    assert!(error.contains("vcpus-above"), "{error}");
}

#[tokio::test]
async fn what_nobody_speaks_of_is_unknown_and_never_no() {
    let world = World::new(&["b.example"]);
    let answer = world.ask("osa 6 on vmmo 2", &[deal()], DAY).await;
    assert_eq!(answer.verdict, Word::Unknown);
    assert!(
        answer.rule_words.contains("no statement that it does not work"),
        "{}",
        answer.rule_words
    );
}

#[tokio::test]
async fn a_record_of_later_is_not_known_yet() {
    assert_eq!(one(&[sample("2022-07-01")], &[], QUESTION).await.verdict, Word::Unknown);
}

async fn noticed(notice: impl Fn(Digest) -> Statement) -> Vec<Answer> {
    let mut world = World::new(&["b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    world.say("b.example", &[notice(record)]);
    let mut answers = Vec::new();
    for day in [date(2022, 3, 31), date(2022, 4, 2), date(2022, 5, 2)] {
        answers.push(world.ask(QUESTION, &[], day).await);
    }
    answers
}

#[tokio::test]
async fn a_withdrawal_makes_it_not_validated_from_its_day_on() {
    let withdraw = |r| Statement::withdrawal("b.example", at("2022-04-01"), r, "a wrong disk");
    let answers = noticed(withdraw).await;
    let words: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
    assert_eq!(words, [Word::Validated, Word::NotValidated, Word::NotValidated]);
    assert!(answers[1].set_aside[0].contains("a wrong disk"), "{:?}", answers[1].set_aside);
}

#[tokio::test]
async fn a_suspension_holds_until_it_ends() {
    let until = Some(at("2022-05-01"));
    let suspend = |r| Statement::suspension("b.example", at("2022-04-01"), r, "looked into", until);
    let answers = noticed(suspend).await;
    let words: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
    assert_eq!(words, [Word::Validated, Word::NotValidated, Word::Validated]);
}

#[tokio::test]
async fn another_party_cannot_withdraw_what_it_did_not_say() {
    let mut world = World::new(&["a.example", "b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    world.say(
        "a.example",
        &[Statement::withdrawal("a.example", at("2022-04-01"), record, "we do not like it")],
    );
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
}

#[tokio::test]
async fn parties_that_contradict_each_other_are_both_shown() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-05-01"))]);
    let bad = Sample { passed: false, ..Sample::new("a.example", OSA, VMMO, at("2022-04-01")) };
    world.say("a.example", &[statement(&bad)]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::Failed, "without an agreement, the more careful word");
    let says: Vec<_> = answer.conflict.iter().map(|s| (s.party.as_str(), s.says)).collect();
    assert_eq!(says, [("b.example", "passed"), ("a.example", "failed")]);
    // By the deal, the word of the one who owes it counts; the other's is a limit.
    let answer = world.ask(QUESTION, &[deal()], DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
    assert!(answer.limits.iter().any(|limit| limit.contains("a.example says that it failed")));
    assert_eq!(answer.conflict.len(), 2);
}

#[tokio::test]
async fn the_nearest_versions_of_both_sides_are_told_with_their_distance() {
    let mut world = World::new(&["b.example"]);
    let of = |guest, host| statement(&Sample::new("b.example", guest, host, at("2022-03-01")));
    world.say("b.example", &[of(OSA, VMMO_2), of(OSA_510, VMMO)]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::Unknown);
    let near: Vec<_> = answer.nearest.iter().map(|n| (n.guest.as_str(), n.host.as_str())).collect();
    assert_eq!(near, [("Osa 5.2", "Vmmo 2"), ("Osa 5.10", "Vmmo 1")]);
    assert!(answer.nearest[0].why.contains("1 version of the host later"));
    // A record is no nearer than its product: 5.10 comes two releases before 6, not after it.
    let answer = world.ask("osa 6 on vmmo 1", &[], DAY).await;
    assert_eq!(answer.nearest.len(), 1);
    assert!(answer.nearest[0].why.contains("1 version of the guest earlier"));
}

#[tokio::test]
async fn another_architecture_is_not_answered_with_this_one() {
    let answer = one(&[sample("2022-03-01")], &[], "osa 5.2 i386 on vmmo 1").await;
    assert_eq!(answer.verdict, Word::Unknown, "{:#?}", answer.lines());
    assert!(answer.set_aside.iter().any(|why| why.contains("x86_64")));
}

#[tokio::test]
async fn what_may_mean_several_products_gives_candidates_and_no_verdict() {
    let world = World::new(&["b.example"]);
    let catalog = world.catalog().await;
    let reply = catalog.ask("osa 5 on vmmo 1", &products(), &[], DAY).await.expect("replies");
    let Reply::Unclear { sides, .. } = reply else { panic!("{reply:?}") };
    let shorts: Vec<_> = sides[0].candidates.iter().map(|(short, _)| short.as_str()).collect();
    assert_eq!((sides.len(), sides[0].side), (1, "guest"));
    assert!(shorts.contains(&"osa5.2") && shorts.contains(&"osa5.10"), "{shorts:?}");
}

#[tokio::test]
async fn a_record_without_a_product_id_is_found_by_its_name() {
    let mut world = World::new(&["b.example"]);
    let bare = Sample::new("b.example", ("osa 5.2", ""), ("vmmo 1 (TCG)", ""), at("2022-03-01"));
    let odd = Sample::new("b.example", ("Homebrew", ""), ("Vmmo 1", VMMO.1), at("2022-03-01"));
    world.say("b.example", &[statement(&bare), statement(&odd)]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
    assert_eq!(world.ask("homebrew on vmmo 1", &[], DAY).await.verdict, Word::Validated);
}

#[tokio::test]
async fn a_version_covers_the_builds_of_it_that_records_name() {
    let mut world = World::new(&["b.example"]);
    let of = |name| statement(&Sample::new("b.example", (name, ""), VMMO, at("2022-03-01")));
    world.say("b.example", &[of("kern 6.12.117+deb-amd64"), of("kern 6.1.50"), of("kern 6.1.51")]);
    let answer = world.ask("kern 6.12 on vmmo 1", &[], DAY).await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert_eq!(answer.guest, "kern 6.12.117+deb-amd64");
    let catalog = world.catalog().await;
    let reply = catalog.ask("kern 6.1 on vmmo 1", &products(), &[], DAY).await.expect("replies");
    let Reply::Unclear { sides, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(sides[0].candidates[0].0, "kern 6.1.50");
    assert_eq!(sides[0].candidates[1].0, "kern 6.1.51");
}

#[tokio::test]
async fn of_two_runs_on_one_day_the_later_entry_counts() {
    let run = |name: &str, passed| Sample { run: name.into(), passed, ..sample("2022-05-01") };
    for (first, second, word) in [
        (run("z", true), run("a", false), Word::Failed),
        (run("a", false), run("z", true), Word::Validated),
        (run("z", false), run("a", true), Word::Validated),
    ] {
        let both = [first, second];
        assert_eq!(one(&both, &[], QUESTION).await.verdict, word);
        assert_eq!(one(&both, &[deal()], QUESTION).await.verdict, word);
    }
}

#[tokio::test]
async fn what_an_agreement_carries_forward_is_validated_and_says_what_was_tested() {
    let terms = "[validity]\ncarry-forward = { guests = \"major\" }\n";
    let carrying = DEAL
        .replace("within = \"6 months\"", "within = \"6 months\"\nlater = { guests = \"major\" }")
        .replace("[validity]\n", terms);
    let carrying = [read_agreement("deal", &carrying).expect("reads")];
    let record = sample("2022-05-01");
    let answer = one(std::slice::from_ref(&record), &carrying, "osa 5.10 on vmmo 1").await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.lines());
    assert!(
        answer.rule_words.contains("What was tested is Osa 5.2 on Vmmo 1"),
        "{}",
        answer.rule_words
    );
    assert!(answer.reasons.iter().any(|why| why.contains("later version")), "{:?}", answer.reasons);
    // Not by a deal that carries nothing, and not beyond the major version.
    let answer = one(std::slice::from_ref(&record), &[deal()], "osa 5.10 on vmmo 1").await;
    assert_eq!(answer.verdict, Word::Unknown);
    let answer = one(&[record], &carrying, "osa 6 on vmmo 1").await;
    assert_eq!(answer.verdict, Word::Unknown);
}

#[tokio::test]
async fn what_was_issued_later_than_the_day_is_not_known_on_it() {
    let run = |passed| Sample { run: "r".into(), passed, ..sample("2022-03-01") };
    let later =
        Sample { issued: Some(at("2022-05-01")), waived: Some(at("2022-12-01")), ..run(true) };
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&run(false)), statement(&later)]);
    let on = |day| world.ask(QUESTION, &[], day);
    assert_eq!(on(date(2022, 4, 1)).await.verdict, Word::Failed, "waived in May only");
    assert_eq!(on(DAY).await.verdict, Word::ValidatedWithLimits);
    // A pass that is recorded later, and one that says an earlier day further on in the log.
    let late = Sample { issued: Some(at("2022-05-01")), ..sample("2022-03-01") };
    let backdated = Sample { issued: Some(at("2022-03-02")), ..sample("2022-03-01") };
    for said in [vec![late.clone()], vec![late, backdated]] {
        let mut world = World::new(&["b.example"]);
        world.say("b.example", &said.iter().map(statement).collect::<Vec<_>>());
        assert_eq!(world.ask(QUESTION, &[], date(2022, 4, 1)).await.verdict, Word::Unknown);
        assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
    }
}

#[tokio::test]
async fn a_pass_that_does_not_meet_the_terms_of_a_deal_is_no_fulfilment_and_says_why() {
    let nothing = "strength = 0\ncosigners = 0";
    for (terms, why) in [
        ("strength = 2\ncosigners = 0", "does not say what its run covers"),
        ("strength = 0\ncosigners = 1", "nobody has cosigned"),
    ] {
        let strict = [read_agreement("deal", &DEAL.replace(nothing, terms)).expect("reads")];
        let answer = one(&[sample("2022-05-01")], &strict, QUESTION).await;
        assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
        assert!(answer.limits.iter().any(|limit| limit.contains("does not fulfil")));
        assert!(answer.reasons.iter().any(|reason| reason.contains(why)), "{:?}", answer.reasons);
    }
    // The key of the deal is another party's of the same name; then the party's own.
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-05-01"))]);
    let own = world.party("b.example").public.record.to_string();
    let foreign = World::new(&["b.example"]).party("b.example").public.record.to_string();
    for (key, word) in [(foreign, Word::ValidatedWithLimits), (own, Word::Validated)] {
        let keyed = DEAL.replace("desk = \"+1 555\"", &format!("key = \"{key}\""));
        let keyed = [read_agreement("deal", &keyed).expect("reads")];
        let answer = world.ask(QUESTION, &keyed, DAY).await;
        assert_eq!(answer.verdict, word, "{:#?}", answer.lines());
    }
}

#[tokio::test]
async fn a_fulfilment_ends_with_the_waiver_that_it_rests_on() {
    let waived = Sample { waived: Some(at("2022-06-10")), ..sample("2022-05-01") };
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&waived)]);
    let on = |day| world.ask(QUESTION, std::slice::from_ref(&DEALS[0]), day);
    assert_eq!(on(date(2022, 6, 10)).await.verdict, Word::ValidatedWithLimits);
    assert_eq!(on(date(2022, 6, 11)).await.verdict, Word::Lapsed);
}

static DEALS: std::sync::LazyLock<[Agreement; 1]> = std::sync::LazyLock::new(|| [deal()]);

#[tokio::test]
async fn the_newest_of_more_than_256_names_of_a_pair_decides() {
    let named = |n: u32| ("Osa 5.2", format!("Vmmo 1 build {n}"));
    let mut said: Vec<Sample> = (0..300)
        .map(|n| {
            let (guest, host) = named(n);
            let host = (host.as_str(), VMMO.1);
            Sample {
                run: n.to_string(),
                ..Sample::new("b.example", (guest, OSA.1), host, at("2022-03-01"))
            }
        })
        .collect();
    said.push(Sample {
        passed: false,
        ..Sample::new("b.example", OSA, ("Vmmo 1 last", VMMO.1), at("2022-05-01"))
    });
    assert_eq!(one(&said, &[], QUESTION).await.verdict, Word::Failed);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_leaves_the_answer_uncertain() {
    let mut world = World::new(&["b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    assert!(world.ask(QUESTION, &[], DAY).await.certain);
    let withdrawal = Statement::withdrawal("b.example", at("2022-04-01"), record, "y");
    let text = String::from_utf8(withdrawal.to_bytes().expect("written")).expect("text");
    let newer = text.replace("\"format\":1", "\"format\":2").into_bytes();
    let folder = world.log("b.example");
    let party = world.party("b.example");
    let entry = hospitium_ledger::dsse::Envelope::sign(newer, &[&party.record]).to_bytes();
    Log::open(&folder, party).expect("opens").append(&[entry]).expect("appended");
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert!(!answer.certain);
    assert!(answer.warnings.iter().any(|warning| warning.contains("cannot be read here")));
}

#[tokio::test]
async fn a_suspension_that_was_lifted_suspends_no_more() {
    let mut world = World::new(&["b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let suspension = Statement::suspension("b.example", at("2022-04-01"), record, "x", None);
    let lifting = Statement::lifting("b.example", at("2022-05-01"), record, "nothing found");
    world.say("b.example", &[suspension, lifting]);
    let on = |day| world.ask(QUESTION, &[], day);
    assert_eq!(on(date(2022, 4, 15)).await.verdict, Word::NotValidated);
    assert_eq!(on(DAY).await.verdict, Word::Validated);
}
