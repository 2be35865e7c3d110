//! Promises of a copy: it grows with its log, and takes nothing else.

use std::cell::Cell;
use std::process::Command;

use super::super::tests::{entries, party};
use super::super::{Log, walk};
use super::*;
use crate::fault;
use crate::party::Party;

struct Place {
    top: tempfile::TempDir,
    party: Party,
    policy: Policy,
}

impl Place {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let party = party(top.path());
        let text = format!("log {}\nquorum none\n", party.public.log);
        let policy = Policy::parse("policy", text.as_bytes()).expect("a policy");
        Self { top, party, policy }
    }

    fn log(&self) -> LogFolder {
        LogFolder::new(&self.top.path().join("log"))
    }

    fn copy(&self) -> LogFolder {
        LogFolder::new(&self.top.path().join("copy"))
    }

    /// Appends so that the log has this many entries.
    fn grow(&self, size: u64) {
        let mut log = Log::open(self.log().path(), &self.party).expect("opens");
        let from = log.checkpoint().head().size;
        log.append(&entries(from..size)).expect("appended");
    }

    fn pull_from(&self, source: &dyn Source) -> Result<Pulled, PullError> {
        let (now, bounds) = (Timestamp::now(), Bounds::default());
        pull(self.copy().path(), source, &self.policy, now, bounds, &mut |_, _| {})
    }

    fn pull(&self) -> Result<Pulled, PullError> {
        self.pull_from(&self.log())
    }

    /// The copy is whole, has so many entries, and is served as the log is.
    fn assert_has(&self, size: u64) {
        let copy = self.copy();
        let head = copy.checkpoint().expect("a checkpoint").head().clone();
        assert_eq!(head.size, size);
        let mut seen = Vec::new();
        let checked = walk(&copy, &head, |_, entry| seen.push(entry.to_vec()));
        assert!(checked.is_sound(), "{:?}", checked.problems);
        assert_eq!(seen, entries(0..size));
    }
}

/// Every file below a folder, but for the checkpoint and those of the keeper.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                add(&path, all);
            } else {
                all.insert(path.clone(), std::fs::read(&path).expect("read"));
            }
        }
    }
    let mut all = BTreeMap::new();
    add(&folder.join("tile"), &mut all);
    all.into_iter()
        .map(|(path, bytes)| (path.strip_prefix(folder).expect("below").to_owned(), bytes))
        .collect()
}

/// A log's files with one of them altered on the way, or one gone.
struct Altered<'a> {
    log: &'a LogFolder,
    path: &'a str,
    with: Option<Vec<u8>>,
}

impl Source for Altered<'_> {
    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
        if path == self.path { Ok(self.with.clone()) } else { self.log.get(path, limit) }
    }
}

#[test]
fn a_copy_grows_with_its_log_around_every_edge() {
    let place = Place::new();
    let mut before = None;
    for size in [0, 1, 2, 255, 256, 257, 512, 513, 5_000] {
        place.grow(size);
        let pulled = place.pull().expect("pulled");
        assert_eq!((pulled.before, pulled.trusted.head.size), (before, size));
        place.assert_has(size);
        before = Some(size);
    }
    // Once more: nothing to do.
    assert_eq!(place.pull().expect("pulled").before, Some(5_000));
    let (log, copy) = (files(place.log().path()), files(place.copy().path()));
    for (path, bytes) in &log {
        assert!(copy.get(path) == Some(bytes), "{} differs", path.display());
    }
}

#[test]
fn a_stale_head_leaves_no_stain_and_a_fork_is_refused_with_both_heads_kept() {
    let place = Place::new();
    place.grow(3);
    place.pull().expect("pulled");
    let older = std::fs::read(place.log().at(CHECKPOINT)).expect("read");
    place.grow(300);
    place.pull().expect("pulled");
    let log = place.log();
    let error = place.pull_from(&Altered { log: &log, path: CHECKPOINT, with: Some(older) });
    assert!(matches!(error, Err(PullError::Stale { found: 3, seen: 300 })), "{error:?}");
    assert!(refused_heads(place.copy().path()).is_empty());
    place.assert_has(300);
    // The same party signs other entries.
    std::fs::remove_dir_all(log.path()).expect("removed");
    std::fs::remove_dir_all(place.party.signed()).expect("forgotten");
    let fork = |size: u64| {
        let mut log = Log::open(place.log().path(), &place.party).expect("opens");
        let from = log.checkpoint().head().size;
        log.append(&entries(from + 7..size + 7)).expect("appended");
    };
    // A head of fewer entries that the copy does not begin with is as much a proof.
    fork(200);
    let error = place.pull();
    let Err(PullError::Shorter { found: 200, seen: 300, kept }) = error else {
        panic!("{error:?}")
    };
    let kept = std::fs::read_to_string(kept).expect("kept");
    assert_eq!(kept.matches("vendor.example/log\n").count(), 2, "{kept}");
    assert_eq!(refused_heads(place.copy().path()).len(), 1);
    place.assert_has(300);
    fork(300);
    assert!(matches!(place.pull(), Err(PullError::Fork { size: 300, .. })));
    fork(700);
    let before = files(place.copy().path());
    let error = place.pull();
    assert!(
        matches!(error, Err(PullError::Root { before: Some(300), kept: Some(_) })),
        "{error:?}"
    );
    assert_eq!(files(place.copy().path()), before, "nothing of it is taken");
    place.assert_has(300);
}

#[test]
fn an_entry_that_is_not_the_logs_is_not_taken() {
    let place = Place::new();
    place.grow(600);
    let log = place.log();
    let bundle = "tile/entries/001";
    let mut altered = log.get(bundle, BUNDLE_LIMIT).expect("read").expect("there");
    altered[5] ^= 1;
    let error = place.pull_from(&Altered { log: &log, path: bundle, with: Some(altered) });
    assert!(matches!(error, Err(PullError::Root { before: None, kept: None })), "{error:?}");
    for with in [Some(Vec::new()), Some(vec![0xff; 100]), None] {
        let error = place.pull_from(&Altered { log: &log, path: bundle, with });
        assert!(matches!(error, Err(PullError::Bundle { .. })), "{error:?}");
    }
    assert!(files(place.copy().path()).is_empty(), "nothing is left");
    place.pull().expect("the log itself is taken");
    place.assert_has(600);
}

#[test]
fn a_source_that_breaks_off_leaves_the_copy_and_the_next_time_it_goes_on() {
    struct Breaks<'a>(&'a LogFolder, Cell<u32>);
    impl Source for Breaks<'_> {
        fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
            let left = self.1.get();
            if left == 0 {
                return Err(SourceError { what: path.to_owned(), source: "gone".into() });
            }
            self.1.set(left - 1);
            self.0.get(path, limit)
        }
    }
    let place = Place::new();
    place.grow(10);
    place.pull().expect("pulled");
    place.grow(6_000);
    let log = place.log();
    // One checkpoint and 24 bundles.
    for after in 0..25 {
        let error = place.pull_from(&Breaks(&log, Cell::new(after)));
        assert!(matches!(error, Err(PullError::Source(_))), "{after}: {error:?}");
        place.assert_has(10);
    }
    place.pull_from(&Breaks(&log, Cell::new(25))).expect("pulled");
    place.assert_has(6_000);
}

#[test]
fn a_copy_takes_no_other_log_and_no_more_than_its_bound() {
    let place = Place::new();
    place.grow(300);
    let (now, mut silent) = (Timestamp::now(), |_, _| {});
    let small = Bounds { bytes: 1_000 };
    let error = pull(place.copy().path(), &place.log(), &place.policy, now, small, &mut silent);
    assert!(matches!(error, Err(PullError::TooMuch { limit: 1_000 })), "{error:?}");
    let other = Place::new();
    other.grow(1);
    let error = place.pull_from(&other.log());
    assert!(matches!(error, Err(PullError::Head(_))), "signed by another key: {error:?}");
    let folder = other.top.path().join("other");
    let other_party =
        Party::init(&folder.join("party"), "other.example", crate::key::Algorithm::Ed25519)
            .expect("a party");
    let log = folder.join("log");
    Log::open(&log, &other_party).expect("opens").append(&entries(0..1)).expect("appended");
    let text = format!("log {}\nquorum none\n", other_party.public.log);
    let policy = Policy::parse("policy", text.as_bytes()).expect("a policy");
    place.pull().expect("pulled");
    let log = LogFolder::new(&log);
    let error = pull(place.copy().path(), &log, &policy, now, Bounds::default(), &mut silent);
    assert!(matches!(error, Err(PullError::OtherLog { .. })), "{error:?}");
    place.assert_has(300);
}

const FOLDER: &str = "HOSPITIUM_TEST_MIRROR_FOLDER";

/// Pulls once.
#[test]
#[ignore = "the child process of the test beside it"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let policy = Policy::read(&folder.join("the-policy")).expect("a policy");
    let log = LogFolder::new(&folder.join("log"));
    let now = Timestamp::now();
    pull(&folder.join("copy"), &log, &policy, now, Bounds::default(), &mut |_, _| {})
        .expect("pulled");
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_copy_that_continues() {
    let place = Place::new();
    let text = format!("log {}\nquorum none\n", place.party.public.log);
    std::fs::write(place.top.path().join("the-policy"), text).expect("written");
    place.grow(254);
    place.pull().expect("pulled");
    let first = place.top.path().join("first");
    std::fs::rename(place.copy().path(), &first).expect("renamed");
    place.grow(520);
    let mut tried = 0;
    for dies_at in 1.. {
        let _ = std::fs::remove_dir_all(place.copy().path());
        let copied = Command::new("cp").arg("-r").arg(&first).arg(place.copy().path()).status();
        assert!(copied.expect("cp runs").success());
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child
            .args(["--exact", "log::mirror::tests::child", "--ignored", "--nocapture"])
            .env(FOLDER, place.top.path())
            .env(fault::VARIABLE, dies_at.to_string());
        let done = child.output().expect("runs").status.success();
        let size = place.copy().checkpoint().expect("a checkpoint").head().size;
        assert!([254, 520].contains(&size), "died at {dies_at}: {size}");
        place.assert_has(size);
        place.pull().expect("continues");
        place.assert_has(520);
        if done {
            break;
        }
        tried += 1;
    }
    assert!(tried > 20, "only {tried} points were tried");
}
