//! What is taken in bit by bit is what a rebuild from nothing has.

use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{EndorsedRecord, KeyRole, WaiverRecord};
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::Digest;

use super::*;
use crate::Rebuilt;

async fn take_in(catalog: &mut Catalog, sources: &[LogSource]) -> Rebuilt {
    let now = Timestamp::now();
    let logs = sources.iter().map(|source| source.look(now)).collect();
    catalog.take_in(logs, now).await.expect("taken in")
}

/// Whether the catalog is what a rebuild from nothing gives.
async fn is_rebuilt(catalog: &Catalog, sources: &[LogSource]) {
    let mut anew = Catalog::open("sqlite::memory:").await.expect("opens");
    anew.rebuild(sources).await.expect("rebuilds");
    let digest = |catalog: Catalog| async move { catalog.digest().await.expect("reads") };
    assert_eq!(digest(catalog.clone()).await, digest(anew.clone()).await);
    let (ours, theirs) = (catalog.numbers().await, anew.numbers().await);
    assert_eq!(ours.expect("counted"), theirs.expect("counted"));
}

fn append(world: &mut World, name: &str, entry: Vec<u8>) {
    let folder = world.log(name);
    let party = world.party(name);
    Log::open(&folder, party).expect("opens").append(&[entry]).expect("appended");
}

#[tokio::test]
async fn new_entries_are_taken_in_alone_and_the_rows_are_those_of_a_rebuild() {
    let mut world = World::new(&["a.example", "b.example"]);
    let mut catalog = database::catalog().await.expect("opens");
    // The first time there is nothing to go on from.
    let first = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    world.say("a.example", &[statement(&Sample::new("a.example", OSA, VMMO_2, at("2022-03-02")))]);
    let sources = world.sources();
    assert!(take_in(&mut catalog, &sources).await.logs.iter().all(|log| log.known == 0));
    is_rebuilt(&catalog, &sources).await;
    let mut known = [1, 1];
    // A name that the second log has first, and the first one later; a record that rests on one that comes later.
    let named = |party: &str, day: &str| Sample::new(party, OSA_510, VMMO, at(day));
    let of = EndorsedRecord { party: "b.example".into(), log: "b.example/log".into(), entry: 0 };
    let waived = Sample { waived: Some(at("2022-12-01")), ..sample("2022-04-03") };
    let steps: Vec<(&str, Vec<Statement>)> = vec![
        ("b.example", vec![statement(&named("b.example", "2022-03-03"))]),
        ("a.example", vec![statement(&named("a.example", "2022-03-04"))]),
        ("b.example", vec![Statement::withdrawal("b.example", at("2022-04-01"), first, "x")]),
        (
            "a.example",
            vec![Statement::endorsement("a.example", at("2022-04-02"), first, of, "y", None)],
        ),
        ("b.example", vec![statement(&waived), statement(&sample("2022-04-04"))]),
        (
            "b.example",
            (0..300)
                .map(|n| statement(&Sample { run: n.to_string(), ..sample("2022-04-05") }))
                .collect(),
        ),
        ("a.example", vec![]),
    ];
    for (party, said) in steps {
        if !said.is_empty() {
            world.say(party, &said);
        }
        let sources = world.sources();
        let taken = take_in(&mut catalog, &sources).await;
        let of = |place: usize| taken.logs[place].known;
        assert_eq!([of(0), of(1)], known, "only what is new is read");
        known[usize::from(party == "b.example")] += said.len() as u64;
        is_rebuilt(&catalog, &sources).await;
    }
    let answer = catalog.ask("osa 5.10 on vmmo 1", &products(), &[], DAY).await.expect("answers");
    let Reply::Answer(answer) = answer else { panic!("{answer:?}") };
    assert_eq!(answer.verdict, crate::Word::Validated);
}

#[tokio::test]
async fn a_key_that_changed_before_holds_for_what_comes_after() {
    let mut world = World::new(&["b.example"]);
    let mut catalog = database::catalog().await.expect("opens");
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    take_in(&mut catalog, &world.sources()).await;
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let named = VerifierKey::for_records("b.example", new.public()).expect("named");
    let old = world.party("b.example").public.record.clone();
    let change =
        Statement::key_change("b.example", at("2022-04-01"), KeyRole::Record, old, named, "x");
    world.say("b.example", &[change]);
    take_in(&mut catalog, &world.sources()).await;
    let sign = |key: &SecretKey, day: &str| {
        Envelope::sign(statement(&sample(day)).to_bytes().expect("written"), &[key]).to_bytes()
    };
    append(&mut world, "b.example", sign(&new, "2022-04-02"));
    let taken = take_in(&mut catalog, &world.sources()).await;
    assert_eq!((taken.logs[0].known, taken.logs[0].validations, taken.logs[0].refused), (2, 1, 0));
    // What the old key signs now is refused, and counted on.
    let stale = {
        let key = &world.party("b.example").record;
        sign(key, "2022-04-03")
    };
    append(&mut world, "b.example", stale);
    append(&mut world, "b.example", b"no record at all".to_vec());
    for refused in [2, 2] {
        let taken = take_in(&mut catalog, &world.sources()).await;
        assert_eq!(taken.logs[0].refused, refused);
        is_rebuilt(&catalog, &world.sources()).await;
    }
}

#[tokio::test]
async fn a_pass_that_fell_stands_again_once_what_it_rests_on_is_logged() {
    let mut world = World::new(&["b.example"]);
    let mut catalog = database::catalog().await.expect("opens");
    let guest = hospitium_ledger::statement::Resource::of("Osa 5.2", Digest::of(b"Osa 5.2"));
    let waiver = WaiverRecord {
        format: 1,
        party: "b.example".into(),
        issued: at("2022-02-01"),
        check: "cpu.count/v0".parse().expect("an id"),
        reason: "known".into(),
        until: at("2022-12-01"),
        by: "the release team".into(),
        host: None,
    };
    let waiver = Statement::waiver(guest, waiver);
    let entry = {
        let key = &world.party("b.example").record;
        Envelope::sign(waiver.to_bytes().expect("written"), &[key]).to_bytes()
    };
    let mut waived = statement(&Sample { waived: Some(at("2022-12-01")), ..sample("2022-03-01") });
    if let hospitium_ledger::statement::Record::Validation(validation) = &mut waived.record {
        validation.hospitium.waivers[0].record = Some(Digest::of(&entry));
    }
    world.say("b.example", &[waived]);
    let asked = |catalog: Catalog| async move {
        let reply = catalog.ask(QUESTION, &products(), &[], DAY).await.expect("answers");
        let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
        answer.verdict
    };
    take_in(&mut catalog, &world.sources()).await;
    assert_eq!(asked(catalog.clone()).await, crate::Word::NotValidated);
    append(&mut world, "b.example", entry);
    let taken = take_in(&mut catalog, &world.sources()).await;
    assert_eq!(taken.logs[0].known, 1);
    assert_eq!(asked(catalog.clone()).await, crate::Word::ValidatedWithLimits);
    is_rebuilt(&catalog, &world.sources()).await;
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_is_read_whole() {
    let mut world = World::new(&["a.example", "b.example"]);
    let mut catalog = database::catalog().await.expect("opens");
    world.say("b.example", &[statement(&sample("2022-03-01")), statement(&sample("2022-03-02"))]);
    take_in(&mut catalog, &world.sources()).await;
    // Another log.
    world.say("a.example", &[statement(&Sample::new("a.example", OSA, VMMO_2, at("2022-03-02")))]);
    let taken = take_in(&mut catalog, &world.sources()).await;
    assert!(taken.logs.iter().all(|log| log.known == 0));
    // Other keys in the policy.
    let mut sources = world.sources();
    let stranger = sources[0].policy.signers.clone();
    sources[1].policy.signers.extend(stranger);
    sources[1].policy.signers[0].until = Some(0);
    let taken = take_in(&mut catalog, &sources).await;
    assert!(taken.logs.iter().all(|log| log.known == 0));
    assert_eq!(taken.logs[1].refused, 1, "the second entry is not the key's any more");
    is_rebuilt(&catalog, &sources).await;
    // New entries that are not those of the head.
    take_in(&mut catalog, &world.sources()).await;
    world.say("b.example", &[statement(&sample("2022-03-03"))]);
    let tile = world.log("b.example").join("tile/entries/000.p/3");
    let mut bytes = std::fs::read(&tile).expect("reads");
    let last = bytes.len() - 50;
    bytes[last] ^= 1;
    std::fs::write(&tile, bytes).expect("written");
    let taken = take_in(&mut catalog, &world.sources()).await;
    assert_eq!((taken.logs[1].known, taken.logs[1].damaged), (0, 1));
    is_rebuilt(&catalog, &world.sources()).await;
    // As long as it is damaged, it is read whole.
    assert_eq!(take_in(&mut catalog, &world.sources()).await.logs[1].known, 0);
}
