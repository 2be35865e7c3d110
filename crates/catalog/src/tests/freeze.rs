//! A log that cannot be taken in is frozen as of its last good head, loudly, and harms no other.

use std::path::{Path, PathBuf};

use super::*;
use crate::{Rebuilt, Word};

async fn take_in(catalog: &mut Catalog, sources: &[LogSource]) -> Rebuilt {
    let now = Timestamp::now();
    let logs = sources.iter().map(|source| source.look(now)).collect();
    catalog.take_in(logs, now).await.expect("taken in")
}

/// The party makes another history of its log, of so many records, in another folder.
fn fork(world: &mut World, name: &str, records: &[Statement]) -> PathBuf {
    let forked = world.folder.path().join("forked");
    std::fs::remove_dir_all(world.folder.path().join(name).join("signed")).expect("removed");
    let party = world.party(name);
    let mut log = Log::open(&forked, party).expect("opens");
    Certificate::issue(&mut log, party, records).expect("issued");
    forked
}

fn of_a(day: &str) -> Statement {
    statement(&Sample::new("a.example", OSA, VMMO_2, at(day)))
}

fn put(sources: &mut [LogSource], place: usize, folder: &Path) {
    sources[place].folder = LogFolder::new(folder);
}

async fn answer(catalog: &Catalog, question: &str) -> Answer {
    match catalog.ask(question, &products(), &[], DAY).await.expect("answers") {
        Reply::Answer(answer) => *answer,
        Reply::Unclear { sides, .. } => panic!("unclear: {sides:?}"),
    }
}

#[tokio::test]
async fn a_forked_log_freezes_its_own_records_and_new_ones_of_the_others_come_in() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("a.example", &[of_a("2022-03-01")]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let mut sources = world.sources();
    let mut catalog = database::catalog().await.expect("opens");
    take_in(&mut catalog, &sources).await;
    let failed = Sample { passed: false, ..sample("2022-03-02") };
    let forked = fork(&mut world, "b.example", &[statement(&failed), statement(&failed)]);
    world.say("a.example", &[of_a("2022-04-01")]);
    put(&mut sources, 1, &forked);
    let taken = take_in(&mut catalog, &sources).await;
    assert_eq!(taken.logs.iter().map(|log| log.entries).collect::<Vec<_>>(), [2]);
    assert_eq!(taken.logs[0].known, 1, "the others go on from where they were");
    let frozen = &taken.frozen[0];
    assert_eq!(frozen.origin.as_deref(), Some("b.example/log"));
    assert_eq!(frozen.entries, Some(1));
    assert!(frozen.words().contains("was forked"), "{}", frozen.words());
    assert_eq!(catalog.refused_heads().await.expect("reads").len(), 1, "both heads are the proof");
    let row = &catalog.log_rows().await.expect("reads")[1];
    assert_eq!((row.size, row.frozen.is_some()), (1, true));
    assert!(row.as_of().ends_with(", frozen since"), "{}", row.as_of());
    let of_frozen = answer(&catalog, QUESTION).await;
    assert_eq!(of_frozen.verdict, Word::Validated, "as of the last good head");
    assert!(!of_frozen.certain, "what it said since is not known");
    assert!(
        of_frozen.warnings.iter().any(|words| words.contains("frozen as of its last good head"))
    );
    let other = answer(&catalog, "osa 5.2 on vmmo 2").await;
    assert_eq!((other.verdict, other.certain), (Word::Validated, true));
    assert!(
        other.warnings.iter().any(|words| words.contains("b.example/log")),
        "it is loud there, too"
    );
    // The good log again: thawed, and as if nothing had been.
    let sources = world.sources();
    let taken = take_in(&mut catalog, &sources).await;
    assert!(taken.frozen.is_empty());
    let mut anew = Catalog::open("sqlite::memory:").await.expect("opens");
    anew.rebuild(&sources).await.expect("rebuilds");
    assert_eq!(catalog.digest().await.expect("reads"), anew.digest().await.expect("reads"));
}

#[tokio::test]
async fn a_rebuild_keeps_what_was_in_of_a_frozen_log_and_fills_the_rest_anew() {
    let mut world = World::new(&["a.example", "b.example", "c.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    world
        .say("c.example", &[statement(&Sample::new("c.example", OSA_510, VMMO, at("2022-03-01")))]);
    let mut catalog = database::catalog().await.expect("opens");
    catalog.rebuild(&world.sources()).await.expect("rebuilds");
    let digest = catalog.digest().await.expect("reads");
    // Another log comes before it in the order, one is damaged as a whole, and one is forked.
    world.say("a.example", &[of_a("2022-03-01"), of_a("2022-03-02")]);
    let mut sources = world.sources();
    let forked = fork(&mut world, "b.example", &[statement(&sample("2022-05-01"))]);
    put(&mut sources, 1, &forked);
    std::fs::write(world.log("c.example").join("checkpoint"), "garbage").expect("written");
    let rebuilt = catalog.rebuild(&sources).await.expect("rebuilds");
    assert_eq!((rebuilt.logs.len(), rebuilt.frozen.len()), (1, 2), "{rebuilt:?}");
    assert_eq!(
        rebuilt.frozen.iter().map(|log| log.entries).collect::<Vec<_>>(),
        [Some(1), Some(1)]
    );
    for (question, certain) in
        [("osa 5.2 on vmmo 2", true), (QUESTION, false), ("osa 5.10 on vmmo 1", false)]
    {
        let answer = answer(&catalog, question).await;
        assert_eq!((answer.verdict, answer.certain), (Word::Validated, certain), "{question}");
    }
    let subjects = catalog.subjects().await.expect("reads");
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    // Only the frozen ones are left, and they are what they were but for the words.
    catalog.rebuild(&sources[1..]).await.expect("rebuilds");
    assert_eq!(catalog.subjects().await.expect("reads").len(), 3);
    sqlx::query("UPDATE logs SET frozen = ''").execute(&catalog.pool).await.expect("updated");
    assert_eq!(catalog.digest().await.expect("reads"), digest);
}

#[tokio::test]
async fn what_the_policy_no_longer_believes_does_not_stay() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("a.example", &[of_a("2022-03-01")]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let mut sources = world.sources();
    let mut catalog = database::catalog().await.expect("opens");
    take_in(&mut catalog, &sources).await;
    sources[1].policy = sources[0].policy.clone();
    let taken = take_in(&mut catalog, &sources).await;
    assert_eq!(taken.frozen[0].entries, None, "{:?}", taken.frozen);
    let answer = answer(&catalog, QUESTION).await;
    assert_eq!(answer.verdict, Word::Unknown);
    // Another witness is asked for now, which never cosigned what is in.
    let mut sources = world.sources();
    take_in(&mut catalog, &sources).await;
    let witness = &world.party("a.example").public.witness.clone();
    let text = world.party("b.example").public.policy();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("quorum"))
        .fold(String::new(), |all, line| all + line + "\n");
    let text = format!("{text}witness a {witness}\nquorum a\n");
    sources[1].policy = Policy::parse("policy", text.as_bytes()).expect("reads");
    let taken = take_in(&mut catalog, &sources).await;
    assert_eq!(taken.frozen[0].entries, None, "{:?}", taken.frozen);
    assert!(taken.frozen[0].why.contains("lacks cosignatures"), "{:?}", taken.frozen);
}

#[tokio::test]
async fn a_log_of_which_nothing_was_ever_in_is_told_and_comes_in_when_it_is_good() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("a.example", &[of_a("2022-03-01")]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let sources = world.sources();
    let checkpoint = world.log("b.example").join("checkpoint");
    let good = std::fs::read(&checkpoint).expect("reads");
    std::fs::remove_file(&checkpoint).expect("removed");
    let mut catalog = database::catalog().await.expect("opens");
    for _ in 0..2 {
        let taken = take_in(&mut catalog, &sources).await;
        assert_eq!((taken.logs.len(), taken.frozen[0].entries), (1, None));
        let rows = catalog.log_rows().await.expect("reads");
        assert_eq!((rows.len(), rows[1].size, rows[1].origin.as_str()), (2, 0, "b.example/log"));
        let words = rows[1].frozen_words().expect("is frozen");
        assert!(words.starts_with("nothing of the log b.example/log is taken in"), "{words}");
        let place = world.folder.path().to_str().expect("text");
        assert!(!words.contains(place), "no place of this computer is told to others: {words}");
        assert!(taken.frozen[0].detail.contains(place), "{:?}", taken.frozen);
    }
    std::fs::write(&checkpoint, good).expect("written");
    let taken = take_in(&mut catalog, &sources).await;
    assert!(taken.frozen.is_empty());
    assert_eq!(answer(&catalog, QUESTION).await.verdict, Word::Validated);
}

#[tokio::test]
async fn a_stranger_that_claims_a_logs_name_does_not_freeze_it() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("a.example", &[of_a("2022-03-01")]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let mut sources = world.sources();
    let bad = world.folder.path().join("bad");
    std::fs::create_dir(&bad).expect("made");
    let text = std::fs::read_to_string(world.log("b.example").join("checkpoint")).expect("reads");
    std::fs::write(bad.join("checkpoint"), text.replacen("\n1\n", "\n7\n", 1)).expect("written");
    sources.insert(0, LogSource { folder: LogFolder::new(&bad), ..sources[1].clone() });
    let mut catalog = database::catalog().await.expect("opens");
    let taken = take_in(&mut catalog, &sources).await;
    assert_eq!((taken.logs.len(), taken.frozen.len()), (2, 1));
    let answer = answer(&catalog, QUESTION).await;
    assert_eq!((answer.verdict, answer.certain), (Word::Validated, true));
}

#[tokio::test]
async fn a_signed_head_of_entries_that_are_not_there_ends_in_a_word_and_not_in_a_search() {
    use hospitium_ledger::{Checkpoint, Head, walk};

    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let sources = world.sources();
    let party = world.party("b.example");
    let head = Head { origin: "b.example/log".into(), size: 1 << 40, root: [7; 32] };
    let signed = Checkpoint::sign(&head, &party.public.log, &party.log).expect("signed");
    std::fs::write(world.log("b.example").join("checkpoint"), signed.as_bytes()).expect("written");
    let checked = walk(&sources[0].folder, &head, |_, _| {});
    let last = checked.problems.len() < 100 || checked.count >= 256;
    assert!(!checked.is_sound() && last, "{}", checked.count);
    let mut catalog = database::catalog().await.expect("opens");
    let taken = take_in(&mut catalog, &sources).await;
    assert!(taken.logs[0].damaged > 1 << 39, "{:?}", taken.logs[0].damaged);
}
