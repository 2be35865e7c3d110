//! What goes into the catalog and what does not.

use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::KeyRole;
use hospitium_ledger::{SecretKey, Statement, VerifierKey};

use super::*;
use crate::{CatalogError, Word};

/// Some of everything.
fn some(world: &mut World) {
    let records = world
        .say("b.example", &[statement(&sample("2022-03-01")), statement(&sample("2022-04-01"))]);
    let at = at("2022-05-01");
    let withdrawn = Statement::withdrawal("b.example", at, records[0], "a wrong disk");
    let suspended = Statement::suspension("b.example", at, records[1], "looked into", None);
    world.say("b.example", &[withdrawn, suspended]);
    let other = Sample::new("a.example", OSA_510, VMMO_2, at);
    world.say("a.example", &[statement(&other)]);
}

/// The promises that hold in any database.
async fn promises(address: &str, again: &str) {
    let mut world = World::new(&["a.example", "b.example"]);
    some(&mut world);
    let mut catalog = Catalog::open(address).await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    assert_eq!(rebuilt.logs.iter().map(|log| log.validations).sum::<u64>(), 3);
    assert_eq!(rebuilt.logs.iter().map(|log| log.others).sum::<u64>(), 2);
    let digest = catalog.digest().await.expect("reads");
    // Twice over the old one, and in another database, with the logs in another order.
    catalog.rebuild(&world.sources()).await.expect("rebuilds");
    assert_eq!(catalog.digest().await.expect("reads"), digest);
    let mut sources = world.sources();
    sources.reverse();
    let mut other = Catalog::open(again).await.expect("opens");
    other.rebuild(&sources).await.expect("rebuilds");
    assert_eq!(other.digest().await.expect("reads"), digest);
    // One that fails leaves the old.
    let twice: Vec<_> = world.sources().into_iter().chain(world.sources()).collect();
    let refused = catalog.rebuild(&twice).await;
    assert!(matches!(refused, Err(CatalogError::Twice { .. })), "{refused:?}");
    assert_eq!(catalog.digest().await.expect("reads"), digest);
    // And so does one that fails when half of the old is gone.
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    let hide = rename("key_changes", "hidden");
    sqlx::query(&hide).execute(&catalog.pool).await.expect("renamed");
    let failed = catalog.rebuild(&world.sources()).await;
    assert!(matches!(failed, Err(CatalogError::Database { .. })), "{failed:?}");
    let show = rename("hidden", "key_changes");
    sqlx::query(&show).execute(&catalog.pool).await.expect("renamed");
    assert_eq!(catalog.digest().await.expect("reads"), digest);
    let reply = catalog.ask("osa 5.10 on vmmo 2", &products(), &[], DAY).await.expect("replies");
    let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
    assert_eq!(answer.verdict, Word::Validated);
    // Another record is another content.
    world.say("a.example", &[statement(&Sample::new("a.example", OSA, VMMO_2, at("2022-05-02")))]);
    catalog.rebuild(&world.sources()).await.expect("rebuilds");
    assert_ne!(catalog.digest().await.expect("reads"), digest);
}

#[tokio::test]
async fn deleted_and_rebuilt_from_the_same_logs_it_is_the_same() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("a catalog%20 with ?odd# name.db");
    promises(path.to_str().expect("text"), "sqlite::memory:").await;
    assert!(path.exists());
}

#[tokio::test]
async fn every_database_keeps_the_same_content() {
    let address = database::address().await.expect("made");
    promises(&address, "sqlite::memory:").await;
}

#[tokio::test]
async fn in_what_order_a_database_puts_letters_is_of_no_weight() {
    // In bytes the hyphen comes first; in the order of a dictionary it does not count.
    let mut world = World::new(&["ab.example", "a-z.example"]);
    for party in ["ab.example", "a-z.example"] {
        let sample = Sample::new(party, OSA, VMMO, at("2022-03-01"));
        world.say(party, &[statement(&sample)]);
    }
    let mut memory = Catalog::open("sqlite::memory:").await.expect("opens");
    memory.rebuild(&world.sources()).await.expect("rebuilds");
    let catalog = world.catalog().await;
    let digest = catalog.digest().await.expect("reads");
    assert_eq!(digest, memory.digest().await.expect("reads"));
    let origins: Vec<String> =
        catalog.log_rows().await.expect("reads").into_iter().map(|log| log.origin).collect();
    assert_eq!(origins, ["a-z.example/log", "ab.example/log"]);
}

#[tokio::test]
async fn a_record_under_a_strangers_key_is_left_out_and_reported() {
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let stranger = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let bytes = statement(&sample("2022-04-01")).to_bytes().expect("written");
    let forged = Envelope::sign(bytes, &[&stranger]).to_bytes();
    let foreign = Sample::new("a.example", OSA, VMMO, at("2022-04-01"));
    let folder = world.log("b.example");
    let party = world.party("b.example");
    let foreign =
        Envelope::sign(statement(&foreign).to_bytes().expect("written"), &[&party.record]);
    let mut log = Log::open(&folder, party).expect("opens");
    log.append(&[forged, b"no record at all".to_vec(), foreign.to_bytes()]).expect("appended");
    drop(log);
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let log = &rebuilt.logs[0];
    assert_eq!((log.validations, log.refused, log.damaged), (1, 3, 0));
    let entries: Vec<_> = log.refusals.iter().map(|refusal| refusal.entry).collect();
    assert_eq!(entries, [1, 2, 3]);
    assert!(log.refusals[2].why.contains("speaks for a.example"), "{:?}", log.refusals);
}

#[tokio::test]
async fn a_damaged_record_is_left_out_and_reported_and_the_others_stay() {
    let mut world = World::new(&["b.example"]);
    let days = ["2022-03-01", "2022-03-02", "2022-03-03"];
    let statements: Vec<_> = days.iter().map(|day| statement(&sample(day))).collect();
    world.say("b.example", &statements);
    let tile = world.log("b.example").join("tile/entries/000.p/3");
    let mut bytes = std::fs::read(&tile).expect("reads");
    let second = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[second + 100] ^= 1;
    std::fs::write(&tile, bytes).expect("written");
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let log = &rebuilt.logs[0];
    assert_eq!((log.validations, log.refused, log.damaged), (2, 1, 1));
    assert_eq!(log.refusals[0].entry, 1);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::Validated);
    assert!(answer.warnings[0].contains("1 entries of b.example/log are damaged"));
}

#[tokio::test]
async fn damage_that_shows_late_leaves_nothing_behind_of_what_was_taken_in_before() {
    let mut world = World::new(&["b.example"]);
    // More than are handed over at once, and the damaged one of a pair that no other is of.
    let of = |n: u64| match n {
        1050 => statement(&Sample::new("b.example", OSA_510, VMMO_2, at("2022-03-01"))),
        n => statement(&Sample { run: format!("run-{n}"), ..sample("2022-03-01") }),
    };
    world.say("b.example", &(0..=1050).map(of).collect::<Vec<_>>());
    let tile = world.log("b.example").join("tile/entries/004.p/27");
    let mut bytes = std::fs::read(&tile).expect("reads");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    std::fs::write(&tile, bytes).expect("written");
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    assert_eq!((rebuilt.logs[0].validations, rebuilt.logs[0].damaged), (1050, 1));
    let numbers = catalog.numbers().await.expect("counts");
    assert_eq!((numbers.records, numbers.pairs), (1050, 1));
    let machines = sqlx::query("SELECT id FROM machines").fetch_all(&catalog.pool).await;
    assert_eq!(machines.expect("reads").len(), 1);
    let reply = catalog.ask(QUESTION, &products(), &[], DAY).await.expect("replies");
    assert!(matches!(reply, Reply::Answer(answer) if answer.verdict == Word::Validated));
}

#[tokio::test]
async fn what_a_party_signed_and_did_not_log_leaves_no_name_behind() {
    let mut world = World::new(&["a.example", "b.example"]);
    let of_a = Sample::new("a.example", OSA, VMMO, at("2022-03-01"));
    world.say("a.example", &[statement(&of_a)]);
    world.say("b.example", &[statement(&sample("2022-03-01")), statement(&sample("2022-03-02"))]);
    let other = statement(&Sample::new("b.example", OSA_510, VMMO_2, at("2022-03-02")));
    let party = world.party("b.example");
    let other = Envelope::sign(other.to_bytes().expect("written"), &[&party.record]).to_bytes();
    let tile = world.log("b.example").join("tile/entries/000.p/2");
    let mut bytes = std::fs::read(&tile).expect("reads");
    bytes.truncate(2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    bytes.extend(u16::try_from(other.len()).expect("fits").to_be_bytes());
    bytes.extend(other);
    std::fs::write(&tile, bytes).expect("written");
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let taken: Vec<_> = rebuilt.logs.iter().map(|log| (log.validations, log.damaged)).collect();
    assert_eq!(taken, [(1, 0), (1, 1)]);
    let subjects = catalog.subjects().await.expect("reads");
    let names: Vec<_> = subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, [OSA.0, VMMO.0]);
    let numbers = catalog.numbers().await.expect("counts");
    assert_eq!((numbers.records, numbers.pairs), (2, 1));
}

#[tokio::test]
async fn a_changed_key_holds_from_the_next_entry_on_and_the_old_one_no_longer() {
    let mut world = World::new(&["b.example"]);
    let folder = world.log("b.example");
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let named = VerifierKey::for_records("b.example", new.public()).expect("named");
    let party = world.party("b.example");
    let old = party.public.record.clone();
    let change = Statement::key_change(
        "b.example",
        at("2022-03-02"),
        KeyRole::Record,
        old,
        named,
        "the old one is three years old",
    );
    let sign = |key: &SecretKey, statement: &Statement| {
        Envelope::sign(statement.to_bytes().expect("written"), &[key]).to_bytes()
    };
    // In the batch in which the key changes, and in several that are verified meanwhile.
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for _ in 0..70 {
        entries.push(sign(&party.record, &statement(&sample("2022-03-01"))));
    }
    entries.push(sign(&party.record, &change));
    entries.push(sign(&new, &statement(&sample("2022-03-03"))));
    let late = sign(&party.record, &statement(&sample("2022-03-04")));
    entries.push(late.clone());
    let good = sign(&new, &statement(&sample("2022-03-05")));
    entries.extend(std::iter::repeat_n(good, 1500));
    entries.push(late);
    let mut log = Log::open(&folder, party).expect("opens");
    log.append(&entries).expect("appended");
    drop(log);
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let log = &rebuilt.logs[0];
    assert_eq!((log.validations, log.others, log.refused), (1571, 1, 2), "{:?}", log.refusals);
    let refused: Vec<_> = log.refusals.iter().map(|refusal| refusal.entry).collect();
    assert_eq!(refused, [72, 1573]);
}

#[tokio::test]
async fn a_log_that_the_policy_does_not_trust_is_refused() {
    let mut world = World::new(&["a.example", "b.example"]);
    some(&mut world);
    let mut sources = world.sources();
    sources[0].policy = sources[1].policy.clone();
    let mut catalog = database::catalog().await.expect("opens");
    let rebuilt = catalog.rebuild(&sources).await.expect("rebuilds");
    assert_eq!((rebuilt.logs.len(), rebuilt.frozen.len()), (1, 1));
    assert!(rebuilt.frozen[0].detail.contains("does not trust the log \"a.example/log\""));
}

#[tokio::test]
async fn hostile_names_are_data_everywhere() {
    let mut world = World::new(&["b.example"]);
    let names = [
        "'; DROP TABLE records; --",
        "<script>alert(1)</script>",
        "a\u{1b}[31m\u{0}\u{202e}|b\n=cmd",
        "$1 ?1 :name @x",
    ];
    let say =
        |name: &&str| statement(&Sample::new("b.example", (name, ""), VMMO, at("2022-03-01")));
    let statements: Vec<_> = names.iter().map(say).collect();
    world.say("b.example", &statements);
    let catalog = world.catalog().await;
    assert_eq!(catalog.count().await.expect("counts"), 4);
    let desk = products();
    for question in [
        "'; DROP TABLE records; -- on vmmo 1",
        "<script>alert(1)</script> on vmmo 1",
        "\u{0}\u{1b}[31m on \u{202e}",
        "$1 on ' OR 1=1",
    ] {
        let reply = catalog.ask(question, &desk, &[], DAY).await;
        if let Ok(Reply::Answer(answer)) = reply {
            let all: String = answer.lines().into_iter().map(|(_, line)| line).collect();
            assert!(!(answer.headline() + &all).chars().any(char::is_control));
        }
    }
    assert_eq!(catalog.count().await.expect("counts"), 4);
    let (mut csv, mut md, mut json, mut xml) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    catalog.export_csv(DAY, &mut csv).await.expect("written");
    catalog.export_markdown(DAY, &mut md).await.expect("written");
    catalog.export_json(DAY, &mut json).await.expect("written");
    catalog.export_osinfo(DAY, &mut xml).await.expect("written");
    let md = String::from_utf8(md).expect("text");
    assert!(!md.contains("<script>") && !md.contains('\u{1b}'));
    assert_eq!(md.lines().count(), 2 + 2 + 4);
    let json: serde_json::Value = serde_json::from_slice(&json).expect("is JSON");
    assert_eq!(json["records"].as_array().map(Vec::len), Some(4));
    assert_eq!(String::from_utf8(csv).expect("text").matches("\r\n").count(), 5);
}

#[tokio::test]
async fn osinfo_deployments_are_the_pairs_that_stand_valid() {
    let mut world = World::new(&["a.example", "b.example"]);
    some(&mut world);
    let bad = Sample { passed: false, ..Sample::new("b.example", OSA, VMMO_2, at("2022-05-01")) };
    world.say("b.example", &[statement(&bad)]);
    let catalog = world.catalog().await;
    let mut xml = Vec::new();
    catalog.export_osinfo(DAY, &mut xml).await.expect("written");
    let xml = String::from_utf8(xml).expect("text");
    assert_eq!(xml.matches("<deployment ").count(), 1, "{xml}");
    let os = xml.find("<os id=\"http://a.example/osa/5.10\"/>").expect("has the guest");
    let platform = xml.find("<platform id=\"http://b.example/vmmo/2\"/>").expect("has the host");
    let devices = xml.find("<devices>").expect("has what was tried");
    assert!(os < platform && platform < devices);
    // virtio's disk and network adapter behind PCI Express, by the ids that osinfo-db has.
    for id in ["1af4/1041", "1af4/1042"] {
        let device = format!("<device id=\"http://pcisig.com/pci/{id}\"/>");
        assert!(xml[devices..].contains(&device), "{xml}");
    }
}

#[tokio::test]
async fn addresses_that_name_no_database_are_refused_without_their_password() {
    for bad in ["", "mysql://me:secret@host/db"] {
        let refused = Catalog::open(bad).await.map(|_| ()).expect_err("is refused").to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn exports_say_how_each_record_stands() {
    let mut world = World::new(&["a.example", "b.example"]);
    some(&mut world);
    let mut csv = Vec::new();
    world.catalog().await.export_csv(DAY, &mut csv).await.expect("written");
    let csv = String::from_utf8(csv).expect("text");
    let stands: Vec<_> = csv.lines().skip(1).filter_map(|line| line.split(',').nth(7)).collect();
    assert_eq!(stands, ["valid", "withdrawn", "suspended"], "{csv}");
}

#[tokio::test]
async fn an_older_or_forked_copy_does_not_replace_what_was_taken_in_and_is_kept_as_proof() {
    let mut world = World::new(&["b.example"]);
    let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
    let older = world.folder.path().join("older");
    let copied =
        std::process::Command::new("cp").arg("-r").arg(world.log("b.example")).arg(&older).status();
    assert!(copied.expect("runs").success());
    let back = Statement::withdrawal("b.example", at("2022-04-01"), record, "a wrong disk");
    world.say("b.example", &[back]);
    let mut catalog = world.catalog().await;
    let digest = catalog.digest().await.expect("reads");
    let mut sources = world.sources();
    sources[0].folder = LogFolder::new(&older);
    let refused = catalog.rebuild(&sources).await.expect("rebuilds");
    assert!(refused.frozen[0].why.contains("shows 1 entries"), "{refused:?}");
    // Another history of the same size.
    let forked = world.folder.path().join("forked");
    std::fs::remove_dir_all(world.folder.path().join("b.example/signed")).expect("removed");
    let said = [statement(&sample("2022-03-01")), statement(&sample("2022-05-01"))];
    let party = world.party("b.example");
    let mut log = Log::open(&forked, party).expect("opens");
    Certificate::issue(&mut log, party, &said).expect("issued");
    drop(log);
    sources[0].folder = LogFolder::new(&forked);
    let refused = catalog.rebuild(&sources).await.expect("rebuilds");
    assert!(refused.frozen[0].why.contains("was forked"), "{refused:?}");
    assert_eq!(refused.frozen[0].entries, Some(2), "it is as it was");
    let kept = catalog.refused_heads().await.expect("reads");
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter().all(|head| head.origin == "b.example/log" && head.seen_size == 2),
        "{kept:?}"
    );
    let taken = catalog.rebuild(&world.sources()).await.expect("the true one is still taken");
    assert!(taken.frozen.is_empty());
    assert_eq!(catalog.digest().await.expect("reads"), digest);
    // The older head turns out to be of the same tree, and is forgotten; the fork never is.
    let kept = catalog.refused_heads().await.expect("reads");
    assert_eq!(kept.iter().map(|head| head.found_size).collect::<Vec<_>>(), [2], "{kept:?}");
}
