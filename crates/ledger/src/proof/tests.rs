//! Promises of proofs, and of the file that carries one.

use proptest::prelude::*;

use super::*;
use crate::key::{Algorithm, SecretKey};
use crate::tree::{Frontier, leaf_hash, node_hash};
use crate::vkey::{Purpose, VerifierKey};

fn head(size: u64, root: Hash) -> Head {
    Head { origin: "vendor.example/log".into(), size, root }
}

fn proof() -> TlogProof {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let name = VerifierKey::new("vendor.example/log", Purpose::Note, key.public()).expect("named");
    let checkpoint = Checkpoint::sign(&head(3, [9; 32]), &name, &key).expect("signed");
    TlogProof { extra: Some(b"entry".to_vec()), index: 2, hashes: vec![[1; 32]], checkpoint }
}

#[test]
fn a_proof_survives_its_file() {
    let proof = proof();
    let bytes = proof.to_bytes();
    let read = TlogProof::parse(&bytes).expect("reads");
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!((read.extra, read.index, read.hashes), (proof.extra, proof.index, proof.hashes));
}

#[test]
fn the_specifications_example_reads_as_far_as_it_is_printed() {
    // c2sp.org/tlog-proof has its signatures shortened; lines before the checkpoint are whole. (Its
    // extra data lacks padding there, and so is left out here.)
    let text = "c2sp.org/tlog-proof@v1\nindex 73894\n\
                gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
                B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\n\
                example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n\
                \u{2014} example.com/fancylog hI2DJwAAAAAA\n";
    let read = TlogProof::parse(text.as_bytes()).expect("reads");
    assert_eq!((read.index, read.hashes.len()), (73_894, 2));
    assert_eq!(read.checkpoint.head().size, 109_482);
}

#[test]
fn malformed_files_are_refused_with_the_line() {
    let good = String::from_utf8(proof().to_bytes()).expect("text");
    for (from, to, what) in [
        ("@v1", "@v2", "first line"),
        ("extra ZW50cnk=", "extra ZW50cnk", "line 2"),
        ("index 2", "index 02", "line 3"),
        ("index 2", "index -2", "line 3"),
        ("index 2", "index 18446744073709551616", "line 3"),
        ("index 2\n", "", "line 3"),
        ("AQEB", "AQE", "line 4"),
        ("\n3\n", "\n03\n", "checkpoint"),
        ("\n3\n", "\n18446744073709551615\n", "checkpoint"),
        ("CQkJ", "C", "checkpoint"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let told = TlogProof::parse(bad.as_bytes()).expect_err(from).to_string();
        assert!(told.contains(what), "{from} → {to}: {told}");
    }
    let many = good.replacen(
        "index 2\n",
        &format!("index 2\n{}", format!("{}\n", to_base64(&[1; 32])).repeat(65)),
        1,
    );
    assert!(TlogProof::parse(many.as_bytes()).is_err());
    let huge = vec![b'a'; usize::try_from(PROOF_LIMIT).expect("fits") + 1];
    assert_eq!(TlogProof::parse(&huge).err(), Some(ProofError::TooLarge));
}

#[test]
fn sizes_at_the_end_of_the_numbers_are_refused_without_a_panic() {
    for size in [0, 1, MAX_SIZE, MAX_SIZE + 1, u64::MAX - 1, u64::MAX] {
        for index in [0, 1, size / 2, size.saturating_sub(1), size] {
            for length in [0, 1, 40, 64, 65, 1000] {
                let hashes = vec![[1; 32]; length];
                let _ = check_inclusion(&hashes, &head(size, [2; 32]), index, [3; 32]);
                let (old, new) = (head(index, [4; 32]), head(size, [2; 32]));
                assert!(size == index || check_consistency(&hashes, &old, &new).is_err());
            }
        }
    }
}

#[test]
fn heads_of_two_logs_are_never_consistent() {
    let old = head(1, [5; 32]);
    let new = Head { origin: "other.example/log".into(), ..old.clone() };
    assert!(check_consistency(&[], &old, &old).is_ok());
    assert!(check_consistency(&[], &old, &new).is_err());
}

/// RFC 6962 section 2.1.1, PATH(m, D[n]), word by word.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) =
        if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    proof.push(sibling);
    proof
}

fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

proptest! {
    #[test]
    fn proofs_by_the_definition_hold_and_bent_ones_do_not(
        size in 1_usize..300, at in 0_usize..300, bend in 0_usize..4000
    ) {
        let at = at % size;
        let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(0, *leaf, &mut |_| {}));
        let head = head(size as u64, frontier.root());
        let mut proof = path(at, &leaves);
        prop_assert!(check_inclusion(&proof, &head, at as u64, leaves[at]).is_ok());
        let mut longer = proof.clone();
        longer.push([0; 32]);
        prop_assert!(check_inclusion(&longer, &head, at as u64, leaves[at]).is_err());
        if let Some(last) = proof.len().checked_sub(1) {
            prop_assert!(check_inclusion(&proof[..last], &head, at as u64, leaves[at]).is_err());
            let byte = bend % (32 * proof.len());
            proof[byte / 32][byte % 32] ^= 1;
            prop_assert!(check_inclusion(&proof, &head, at as u64, leaves[at]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..400)) {
        let _ = TlogProof::parse(&bytes);
        let mut near = b"c2sp.org/tlog-proof@v1\nindex ".to_vec();
        near.extend(bytes);
        let _ = TlogProof::parse(&near);
    }
}
