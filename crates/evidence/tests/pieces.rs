//! A file of a bundle that is read piece by piece: whole, as it was signed, or cut short.

mod common;

use std::fs;
use std::sync::Arc;

use common::{begin, cell, check, good, run};
use hospitium_evidence::{Bundle, pack};
use tempfile::tempdir;

const IMAGE: &str = "cells/one/screens/boot.png";

/// A bundle with a file of several pieces.
fn with_large_file(folder: &std::path::Path, bytes: &[u8]) {
    let (writer, one) = begin(folder);
    for id in common::IDS {
        one.check(&check(id)).expect("a check");
    }
    one.file("screens/boot.png", bytes).expect("a file");
    one.finish(&cell("one")).expect("ends");
    let mut run = run();
    run.ended = Some(run.started);
    writer.finish(&run).expect("finishes");
}

fn all(bundle: &Arc<Bundle>) -> Vec<u8> {
    let mut pieces = bundle.open_path(IMAGE).expect("opens");
    let mut got = Vec::new();
    while let Some(piece) = pieces.next_piece().expect("reads") {
        assert!(piece.len() <= 64 << 10, "{} bytes at once", piece.len());
        got.extend(piece);
    }
    assert_eq!(got.len() as u64, pieces.size());
    got
}

#[test]
fn a_file_comes_whole_in_pieces_from_a_folder_and_from_an_archive() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    let bytes: Vec<u8> = (0..200_001_u32).map(|n| (n % 253) as u8).collect();
    with_large_file(&folder, &bytes);
    let packed = pack(&folder).expect("packs");
    for place in [folder, packed] {
        let bundle = Arc::new(Bundle::open(&place).expect("opens"));
        assert!(all(&bundle) == bytes, "other bytes from {}", place.display());
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_cut_short() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    with_large_file(&folder, &vec![1; 200_000]);
    let bundle = Arc::new(Bundle::open(&folder).expect("opens"));
    let mut pieces = bundle.open_path(IMAGE).expect("opens");
    pieces.next_piece().expect("reads").expect("is there");
    fs::write(folder.join(IMAGE), vec![2; 200_000]).expect("writes");
    let mut given = 0;
    let error = loop {
        match pieces.next_piece() {
            Ok(piece) => given += piece.expect("its end is no end").len(),
            Err(error) => break error,
        }
    };
    assert!(given < 200_000 - (64 << 10), "the last piece was given: {given}");
    assert!(error.to_string().contains("changed"), "{error}");
}

#[test]
fn a_file_that_is_not_as_it_was_signed_is_not_opened() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    good(&folder);
    let bundle = Arc::new(Bundle::open(&folder).expect("opens"));
    assert!(bundle.open_path(IMAGE).is_ok());
    for bytes in [&b"\x89PNG and more"[..], b"\x88PNG", b""] {
        fs::write(folder.join(IMAGE), bytes).expect("writes");
        assert!(bundle.open_path(IMAGE).is_err(), "{bytes:?}");
    }
    for path in ["../run.json", "cells/one/absent", "/etc/passwd"] {
        assert!(bundle.open_path(path).is_err(), "{path}");
    }
}
