//! Promises of the log, tampering included.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::key::Algorithm;
use crate::note::Head;
use crate::party::Party;
use crate::proof::{check_consistency, check_inclusion};
use crate::tree::leaf_hash;

pub fn party(folder: &Path) -> Party {
    Party::init(&folder.join("party"), "vendor.example", Algorithm::Ed25519).expect("a party")
}

pub fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(|n| format!("record {n}").into_bytes()).collect()
}

fn sound(folder: &LogFolder, head: &Head) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let checked = walk(folder, head, |index, entry| {
        assert_eq!(index, seen.len() as u64);
        seen.push(entry.to_vec());
    });
    assert!(checked.is_sound(), "{:?}", checked.problems);
    seen
}

#[test]
fn what_is_appended_is_read_back_in_order_and_proved() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let path = top.path().join("log");
    let mut heads = Vec::new();
    let mut size = 0;
    // Around the edges of one tile, of two, and in one go over several.
    for step in [1, 1, 253, 1, 1, 254, 1, 1, 700] {
        let mut log = Log::open(&path, &party).expect("opens");
        let done = log.append(&entries(size..size + step)).expect("appended");
        assert_eq!(done.first, size);
        size += step;
        assert_eq!(done.head.size, size);
        heads.push(done.head);
    }
    let folder = LogFolder::new(&path);
    let head = folder.checkpoint().expect("there").head().clone();
    assert_eq!(sound(&folder, &head), entries(0..size));
    let tree = folder.tree(&head);
    for index in [0, 1, 255, 256, 511, 512, 513, 1212] {
        let proof = tree.inclusion(index).expect("proved");
        let entry = tree.entry(index).expect("there");
        assert_eq!(entry, format!("record {index}").into_bytes());
        check_inclusion(&proof, &head, index, leaf_hash(&entry)).expect("holds");
        assert!(check_inclusion(&proof, &head, index ^ 1, leaf_hash(&entry)).is_err());
        assert!(check_inclusion(&proof, &head, index, leaf_hash(b"other")).is_err());
    }
    for old in &heads {
        let proof = tree.consistency(old.size).expect("proved");
        check_consistency(&proof, old, &head).expect("holds");
        let other = Head { root: [7; 32], ..old.clone() };
        assert!(check_consistency(&proof, &other, &head).is_err());
    }
    assert!(matches!(tree.inclusion(size), Err(LogError::Beyond { .. })));
}

#[test]
fn partial_tiles_go_once_the_full_one_is_there() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let path = top.path().join("log");
    let mut log = Log::open(&path, &party).expect("opens");
    log.append(&entries(0..255)).expect("appended");
    assert!(path.join("tile/0/000.p/255").is_file());
    log.append(&entries(255..257)).expect("appended");
    assert!(path.join("tile/0/000").is_file() && path.join("tile/entries/000").is_file());
    assert!(!path.join("tile/0/000.p").exists() && !path.join("tile/entries/000.p").exists());
    assert!(path.join("tile/1/000.p/1").is_file() && path.join("tile/0/001.p/1").is_file());
}

#[test]
fn a_second_writer_is_kept_out() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let path = top.path().join("log");
    let first = Log::open(&path, &party).expect("opens");
    assert!(matches!(Log::open(&path, &party), Err(LogError::InUse { .. })));
    drop(first);
    Log::open(&path, &party).expect("opens");
}

#[test]
fn entries_that_cannot_be_are_refused_and_nothing_is_appended() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let mut log = Log::open(&top.path().join("log"), &party).expect("opens");
    let largest = vec![7; ENTRY_LIMIT];
    for bad in [vec![], vec![7; ENTRY_LIMIT + 1]] {
        let refused = log.append(&[largest.clone(), bad]);
        assert!(matches!(refused, Err(LogError::EntrySize { number: 1, .. })));
    }
    assert_eq!(log.checkpoint().head().size, 0);
    log.append(std::slice::from_ref(&largest)).expect("appended");
    let (folder, head) = (log.folder(), log.checkpoint().head());
    assert_eq!(folder.tree(head).entry(0).expect("there"), largest);
}

#[test]
fn another_partys_log_is_not_continued() {
    let top = tempfile::tempdir().expect("a folder");
    let ours = party(top.path());
    let path = top.path().join("log");
    drop(Log::open(&path, &ours).expect("opens"));
    let theirs = Party::init(&top.path().join("other"), "other.example", Algorithm::Ed25519);
    let theirs = theirs.expect("made");
    let refused = Log::open(&path, &theirs);
    assert!(matches!(refused, Err(LogError::Checkpoint { .. })), "{refused:?}");
    // The same name under another key.
    let twin = Party::init(&top.path().join("twin"), "vendor.example", Algorithm::Ed25519);
    assert!(matches!(Log::open(&path, &twin.expect("made")), Err(LogError::Checkpoint { .. })));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn an_older_copy_is_not_continued_into_a_fork() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let (path, old) = (top.path().join("log"), top.path().join("old"));
    Log::open(&path, &party).expect("opens").append(&entries(0..3)).expect("appended");
    copy(&path, &old);
    Log::open(&path, &party).expect("opens").append(&entries(3..5)).expect("appended");
    let refused = Log::open(&old, &party);
    assert!(matches!(refused, Err(LogError::RolledBack { found: 3, signed: 5, .. })));
    let empty = Log::open(&top.path().join("new"), &party);
    assert!(matches!(empty, Err(LogError::RolledBack { found: 0, .. })));
    fs::remove_file(path.join("checkpoint")).expect("removed");
    assert!(matches!(Log::open(&path, &party), Err(LogError::Headless { .. })));
}

#[test]
fn every_byte_of_every_tile_and_bundle_counts() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let path = top.path().join("log");
    Log::open(&path, &party).expect("opens").append(&entries(0..600)).expect("appended");
    let folder = LogFolder::new(&path);
    let head = folder.checkpoint().expect("there").head().clone();
    for name in [
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ] {
        let at = path.join(name);
        let good = fs::read(&at).expect("there");
        for offset in [0, 1, 2, good.len() / 2, good.len() - 1] {
            let mut bent = good.clone();
            bent[offset] ^= 1;
            fs::write(&at, &bent).expect("written");
            let checked = walk(&folder, &head, |_, _| {});
            assert!(!checked.is_sound(), "{name} at {offset}");
            let told: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
            let names = told.iter().any(|text| text.contains(name) || text.contains("entry"));
            assert!(names, "{name}: {told:?}");
        }
        fs::write(&at, &good[..good.len() - 1]).expect("written");
        assert!(!walk(&folder, &head, |_, _| {}).is_sound(), "{name} cut");
        fs::remove_file(&at).expect("removed");
        assert!(!walk(&folder, &head, |_, _| {}).is_sound(), "{name} gone");
        std::os::unix::fs::symlink("/dev/zero", &at).expect("linked");
        assert!(!walk(&folder, &head, |_, _| {}).is_sound(), "{name} is a link");
        fs::remove_file(&at).expect("removed");
        fs::write(&at, &good).expect("written");
    }
    assert!(walk(&folder, &head, |_, _| {}).is_sound());
}

#[test]
fn a_tampered_tile_gives_no_proof_and_no_entry() {
    let top = tempfile::tempdir().expect("a folder");
    let party = party(top.path());
    let path = top.path().join("log");
    Log::open(&path, &party).expect("opens").append(&entries(0..600)).expect("appended");
    let folder = LogFolder::new(&path);
    let head = folder.checkpoint().expect("there").head().clone();
    let bundle = path.join("tile/entries/000");
    let good = fs::read(&bundle).expect("there");
    let text = String::from_utf8_lossy(&good).replace("record 7\0", "record 6\0");
    fs::write(&bundle, text.as_bytes()).expect("written");
    let refused = folder.tree(&head).entry(7);
    assert!(matches!(refused, Err(LogError::Damaged { .. })), "{refused:?}");
    let tile = path.join("tile/0/000");
    let mut bytes = fs::read(&tile).expect("there");
    bytes[40] ^= 1;
    fs::write(&tile, bytes).expect("written");
    let refused = folder.tree(&head).inclusion(7);
    assert!(matches!(refused, Err(LogError::Tiles { .. })), "{refused:?}");
    // Of the last tile, too: the writer does not go on from there.
    let last = path.join("tile/0/002.p/88");
    let mut bytes = fs::read(&last).expect("there");
    bytes[0] ^= 1;
    fs::write(&last, bytes).expect("written");
    let refused = Log::open(&path, &party);
    assert!(matches!(refused, Err(LogError::Tiles { .. })), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn however_it_is_cut_into_appends_the_log_is_the_same(
        steps in proptest::collection::vec(1_u64..400, 1..5)
    ) {
        let top = tempfile::tempdir().expect("a folder");
        let party = party(top.path());
        let path = top.path().join("log");
        let mut log = Log::open(&path, &party).expect("opens");
        let mut size = 0;
        for step in &steps {
            log.append(&entries(size..size + step)).expect("appended");
            size += step;
        }
        let whole = entries(0..size);
        let hashes: Vec<_> = whole.iter().map(|entry| leaf_hash(entry)).collect();
        let mut frontier = crate::tree::Frontier::default();
        hashes.iter().for_each(|hash| frontier.push(0, *hash, &mut |_| {}));
        let head = log.checkpoint().head();
        prop_assert_eq!(head.root, frontier.root());
        prop_assert_eq!(sound(log.folder(), head), whole);
    }
}
