//! Promises of a witness that is asked over the wire, with the answers that the specification names.

use proptest::prelude::*;

use super::*;
use crate::key::Algorithm;
use crate::log::Log;
use crate::note::Seen;

struct Place {
    top: tempfile::TempDir,
    party: Party,
    other: Party,
}

fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(|n| format!("record {n}").into_bytes()).collect()
}

impl Place {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let party = |name: &str| {
            Party::init(&top.path().join(name), name, Algorithm::Ed25519).expect("a party")
        };
        let (party, other) = (party("vendor.example"), party("other.example"));
        Self { top, party, other }
    }

    fn folder(&self) -> LogFolder {
        LogFolder::new(&self.top.path().join("log"))
    }

    fn grow(&self, size: u64) {
        let mut log = Log::open(self.folder().path(), &self.party).expect("opens");
        let from = log.checkpoint().head().size;
        log.append(&entries(from..size)).expect("appended");
    }

    /// The request for the log's head, from this old size on.
    fn request(&self, old: u64) -> AddCheckpoint {
        let checkpoint = self.folder().checkpoint().expect("there");
        let proof = match old.min(checkpoint.head().size) {
            0 => Vec::new(),
            size => self.folder().tree(checkpoint.head()).consistency(size).expect("proved"),
        };
        let bytes = AddCheckpoint::encode(old, &proof, &checkpoint);
        AddCheckpoint::parse(&bytes).expect("reads back")
    }

    fn ask(&self, request: &AddCheckpoint) -> Result<Cosignature, Refused> {
        let logs = [self.party.public.log.clone()];
        Witness::new(&self.other).add_checkpoint(request, &logs, Timestamp::now())
    }

    /// Forgets all that was signed, and makes a log of other entries.
    fn fork(&self, size: u64) {
        std::fs::remove_dir_all(self.folder().path()).expect("removed");
        std::fs::remove_dir_all(self.party.signed()).expect("forgotten");
        let mut log = Log::open(self.folder().path(), &self.party).expect("opens");
        log.append(&entries(100..100 + size)).expect("appended");
    }
}

#[test]
fn heads_that_continue_each_other_are_cosigned_one_after_the_other() {
    let place = Place::new();
    let mut old = 0;
    for size in [1, 2, 255, 256, 257, 600, 600] {
        place.grow(size);
        let made = place.ask(&place.request(old)).expect("cosigned");
        assert_eq!(made.before, (old > 0).then_some(old));
        let seen = made.checkpoint.cosignature(&place.other.public.witness, Timestamp::now());
        assert!(matches!(seen, Ok(Seen::At(_))), "{seen:?}");
        old = size;
    }
}

#[test]
fn another_old_size_is_told_the_right_one_and_nothing_is_cosigned() {
    let place = Place::new();
    place.grow(5);
    assert!(matches!(place.ask(&place.request(3)), Err(Refused::Conflict(0))));
    place.ask(&place.request(0)).expect("cosigned");
    place.grow(9);
    for old in [0, 4, 6] {
        assert!(matches!(place.ask(&place.request(old)), Err(Refused::Conflict(5))), "{old}");
    }
    assert!(matches!(place.ask(&place.request(10)), Err(Refused::Shrinks { old: 10, new: 9 })));
    place.ask(&place.request(5)).expect("cosigned");
}

#[test]
fn a_fork_is_refused_and_both_heads_of_one_size_are_kept() {
    let place = Place::new();
    place.grow(5);
    place.ask(&place.request(0)).expect("cosigned");
    place.fork(5);
    let error = place.ask(&place.request(5)).expect_err("refused");
    assert!(matches!(&error, Refused::Inconsistent(why) if why.contains("forked")), "{error}");
    place.fork(9);
    let error = place.ask(&place.request(5)).expect_err("refused");
    assert!(matches!(error, Refused::Inconsistent(_)), "{error}");
    let kept = std::fs::read_dir(place.other.witnessed()).expect("listed");
    let kept =
        kept.filter(|e| e.as_ref().expect("listed").file_name().to_string_lossy().contains("fork"));
    assert_eq!(kept.count(), 1, "of the larger head, anybody could have made up the proof");
}

#[test]
fn a_proof_that_is_bent_cut_or_too_many_is_refused() {
    let place = Place::new();
    place.grow(100);
    place.ask(&place.request(0)).expect("cosigned");
    place.grow(300);
    let good = place.request(100);
    let with = |proof: Vec<crate::note::Hash>| AddCheckpoint { proof, ..place.request(100) };
    let mut bent = good.proof.clone();
    bent[0][0] ^= 1;
    let mut long = good.proof.clone();
    long.push([0; 32]);
    let short = good.proof[1..].to_vec();
    for proof in [bent, long, short, Vec::new()] {
        assert!(matches!(place.ask(&with(proof)), Err(Refused::Inconsistent(_))));
    }
    place.ask(&good).expect("the right one is cosigned");
    let error = place.ask(&AddCheckpoint { proof: vec![[0; 32]], ..place.request(300) });
    assert!(error.is_err(), "a proof between one head and itself is empty");
}

#[test]
fn a_log_that_is_not_watched_and_a_head_that_it_has_not_signed_are_refused() {
    let place = Place::new();
    place.grow(5);
    let request = place.request(0);
    let witness = Witness::new(&place.other);
    let error = witness.add_checkpoint(&request, &[], Timestamp::now());
    assert!(matches!(error, Err(Refused::Unknown(_))), "{error:?}");
    let impostor =
        Party::init(&place.top.path().join("impostor"), "vendor.example", Algorithm::Ed25519)
            .expect("a party");
    let error = witness.add_checkpoint(&request, &[impostor.public.log], Timestamp::now());
    assert!(matches!(error, Err(Refused::Unsigned(_))), "{error:?}");
    let text = String::from_utf8(request.checkpoint.as_bytes().to_vec()).expect("text");
    let bent = Checkpoint::parse(text.replacen("\n5\n", "\n6\n", 1).as_bytes()).expect("a note");
    let error = place.ask(&AddCheckpoint { checkpoint: bent, old: 0, proof: Vec::new() });
    assert!(matches!(error, Err(Refused::Unsigned(_))), "{error:?}");
}

#[test]
fn what_strangers_put_under_a_checkpoint_is_not_remembered() {
    let place = Place::new();
    place.grow(5);
    let mut request = place.request(0);
    let line = "\u{2014} stranger.example/witness AAAAAAAA\n";
    request.checkpoint = request.checkpoint.with_line(line).expect("a line");
    let made = place.ask(&request).expect("cosigned");
    let kept = String::from_utf8(made.checkpoint.as_bytes().to_vec()).expect("text");
    assert!(!kept.contains("stranger") && kept.contains("other.example/witness"), "{kept}");
}

#[test]
fn requests_have_one_form() {
    let place = Place::new();
    place.grow(5);
    let good = AddCheckpoint::encode(0, &[], &place.request(0).checkpoint);
    let good = String::from_utf8(good).expect("text");
    assert!(good.starts_with("old 0\n\nvendor.example/log\n5\n"), "{good}");
    let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    for (from, to) in [
        ("old 0\n", "old 00\n".to_owned()),
        ("old 0\n", "old -1\n".to_owned()),
        ("old 0\n", "old 0\r\n".to_owned()),
        ("old 0\n", "0\n".to_owned()),
        ("old 0\n", "old 0\nAAAA\n".to_owned()),
        ("old 0\n", format!("old 0\n{}", hash.repeat(64))),
        ("old 0\n\n", "old 0\n".to_owned()),
        ("vendor", "ven\ndor".to_owned()),
    ] {
        let bad = good.replacen(from, &to, 1);
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let most = good.replacen("old 0\n", &format!("old 0\n{}", hash.repeat(63)), 1);
    assert_eq!(AddCheckpoint::parse(most.as_bytes()).expect("reads").proof.len(), 63);
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(0_u8.., 0..300)) {
        let _ = AddCheckpoint::parse(&bytes);
        let led = [b"old 1\n\n".as_slice(), &bytes].concat();
        let _ = AddCheckpoint::parse(&led);
    }
}
