//! What a cache promises: whole entries only, bounded, safe with others.

use hospitium_host::{Snapshot, SnapshotFile};
use hospitium_model::{Accelerator, Boot, MachineSpec};
use hospitium_suite::BootFacts;

use super::*;

fn cache(most: ByteSize) -> (tempfile::TempDir, SnapshotCache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = SnapshotCache::open(folder.path(), most, Reapers::from([])).expect("opens");
    (folder, cache)
}

fn parts(n: u8) -> KeyParts {
    KeyParts {
        format: 1,
        host_kind: "fake".into(),
        host_version: "1".into(),
        vmm: Digest::of(&[n]),
        firmware: vec![],
        accelerator: Accelerator::Tcg,
        cpu_model: String::new(),
        kernel: None,
        guest: Digest::of(b"guest"),
        machine: MachineSpec::new(ByteSize::mib(64), Boot::Nothing),
    }
}

async fn fill(cache: &SnapshotCache, n: u8, size: usize) -> Held {
    let parts = parts(n);
    let key = parts.digest().expect("has a JSON form");
    let Found::Miss { reservation, .. } = cache.find(key).await.expect("usable") else {
        panic!("there is one already");
    };
    let state = vec![n; size];
    std::fs::write(reservation.snapshot_folder().join("state"), &state).expect("writes");
    let snapshot = Snapshot {
        format: 1,
        host_kind: "fake".into(),
        vmm: parts.vmm,
        folder: PathBuf::new(),
        spec: parts.machine.clone(),
        files: vec![SnapshotFile {
            name: "state".into(),
            size: size as u64,
            sha256: Some(Digest::of(&state)),
            modified: None,
        }],
        private: serde_json::Value::Null,
    };
    let entry = Entry {
        key,
        declared: parts.machine.clone(),
        parts,
        inputs: vec![],
        booted: jiff::Timestamp::UNIX_EPOCH,
        boot: BootFacts::default(),
        snapshot,
        files: vec![],
    };
    reservation.keep(entry, None).await.expect("kept")
}

fn key(n: u8) -> Digest {
    parts(n).digest().expect("has a JSON form")
}

#[tokio::test]
async fn what_was_kept_is_found_and_may_be_used_by_many() {
    let (_folder, cache) = cache(DEFAULT_SIZE);
    let made = fill(&cache, 1, 100).await;
    let Ok(Found::Hit(again)) = cache.find(key(1)).await else { panic!("it is there") };
    assert_eq!(made.entry(), again.entry());
    assert_eq!(again.entry().snapshot.folder, again.folder().join("snapshot"));
}

#[tokio::test]
async fn a_partial_entry_is_made_again() {
    let (_folder, cache) = cache(DEFAULT_SIZE);
    let Ok(Found::Miss { reservation, dropped: None }) = cache.find(key(1)).await else {
        panic!("it is empty");
    };
    std::fs::write(reservation.snapshot_folder().join("state"), b"half").expect("writes");
    drop(reservation);
    let Ok(Found::Miss { dropped: Some(why), reservation }) = cache.find(key(1)).await else {
        panic!("a partial one was taken for whole");
    };
    assert!(why.contains("never finished"), "{why}");
    assert!(!reservation.snapshot_folder().join("state").exists(), "nothing of it is left");
}

#[tokio::test]
async fn an_altered_entry_is_dropped_with_a_word() {
    for (damage, word) in
        [(b"x".repeat(100), "altered"), (b"short".to_vec(), "5 bytes"), (Vec::new(), "0 bytes")]
    {
        let (_folder, cache) = cache(DEFAULT_SIZE);
        let held = fill(&cache, 1, 100).await;
        std::fs::write(held.folder().join("snapshot/state"), damage).expect("writes");
        drop(held);
        let Ok(Found::Miss { dropped: Some(why), .. }) = cache.find(key(1)).await else {
            panic!("an altered one was taken for whole");
        };
        assert!(why.contains(word), "{why}");
    }
}

#[tokio::test]
async fn a_description_that_is_not_of_this_key_is_dropped() {
    for text in ["", "{}", "[1", "{\"key\": 5}"] {
        let (_folder, cache) = cache(DEFAULT_SIZE);
        let held = fill(&cache, 1, 10).await;
        std::fs::write(held.folder().join("entry.json"), text).expect("writes");
        drop(held);
        assert!(matches!(cache.find(key(1)).await, Ok(Found::Miss { dropped: Some(_), .. })));
    }
    let (_folder, cache) = cache(DEFAULT_SIZE);
    let one = fill(&cache, 1, 10).await;
    let two = fill(&cache, 2, 10).await;
    std::fs::copy(two.folder().join("entry.json"), one.folder().join("entry.json"))
        .expect("copies");
    drop(one);
    let Ok(Found::Miss { dropped: Some(why), .. }) = cache.find(key(1)).await else {
        panic!("another's description was taken for its own");
    };
    assert!(why.contains("not what its name says"), "{why}");
}

#[tokio::test]
async fn the_least_recently_used_goes_first_and_what_is_in_use_stays() {
    let (_folder, cache) = cache(ByteSize::mib(3));
    let held = fill(&cache, 1, 1 << 20).await;
    for n in 2..5 {
        drop(fill(&cache, n, 1 << 20).await);
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    for n in [1, 3] {
        let lock = std::fs::File::options().write(true).open(cache.lock_path(key(n)));
        lock.and_then(|file| file.set_modified(old)).expect("its time is set");
    }
    assert!(cache.trim().expect("trims") >= 1);
    let left: Vec<Digest> = cache.list().expect("lists").iter().map(|l| l.key).collect();
    assert!(left.contains(&key(1)), "in use");
    assert!(!left.contains(&key(3)), "used longest ago");
    drop(held);
    cache.clear().expect("clears");
    assert!(cache.list().expect("lists").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_want_the_same_make_it_once() {
    let (_folder, cache) = cache(DEFAULT_SIZE);
    let Ok(Found::Miss { reservation, .. }) = cache.find(key(1)).await else {
        panic!("it is empty")
    };
    let second = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.find(key(1)).await })
    };
    let early = tokio::time::timeout(std::time::Duration::from_millis(150), async {
        while !second.is_finished() {
            tokio::task::yield_now().await;
        }
    });
    assert!(early.await.is_err(), "the second must wait for the first");
    drop(reservation);
    assert!(matches!(second.await.expect("ends"), Ok(Found::Miss { .. })));
}
