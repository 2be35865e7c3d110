//! What a crafted bundle can do: be refused with its cause, or have its fault named.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use common::{check, edit_manifest, forge, good, is_pass, run, to_json};
use hospitium_evidence::{Bundle, NameFault, Problem, ReadError, limit, pack, read_bytes};
use hospitium_model::{EVIDENCE_FORMAT, Repeats, Verdict};
use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::tempdir;

fn open(folder: &Path) -> Bundle {
    Bundle::open(folder).expect("opens")
}

#[test]
fn a_good_bundle_is_sound_as_a_folder_and_packed() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    good(&folder);
    let packed = pack(&folder).expect("packs");
    for bundle in [
        open(&folder),
        open(&packed),
        read_bytes(&fs::read(&packed).expect("reads")).expect("opens"),
    ] {
        assert_eq!(bundle.problems, []);
        assert_eq!(bundle.cells[0].checks.len(), 3);
        assert_eq!(bundle.cells[0].timeline[0].text, "hello \\x1b[2J");
        assert_eq!(bundle.console("one"), "Linux version\n\\x1b[31mred\n");
        assert_eq!(bundle.read("one", "screens/boot.png", 10).expect("reads"), b"\x89PNG");
    }
}

#[test]
fn packing_twice_gives_the_same_bytes() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    good(&folder);
    let first = fs::read(pack(&folder).expect("packs")).expect("reads");
    fs::File::open(folder.join("run.json"))
        .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
        .expect("touches");
    assert_eq!(fs::read(pack(&folder).expect("packs")).expect("reads"), first);
}

#[test]
fn absent_altered_and_unlisted_files_are_named_one_by_one() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let cell = dir.path().join("cells/one");
    fs::remove_file(cell.join("screens/boot.png")).expect("removes");
    let path = cell.join("checks/cpu.count.json");
    let text = fs::read_to_string(&path).expect("reads").replace("2.0", "9.0");
    fs::write(&path, text).expect("writes");
    fs::write(cell.join("extra.txt"), "x").expect("writes");
    let bundle = open(dir.path());
    let [absent, altered, unlisted] =
        ["cells/one/screens/boot.png", "cells/one/checks/cpu.count.json", "cells/one/extra.txt"];
    assert!(bundle.problems.contains(&Problem::Absent { path: absent.into() }));
    assert!(bundle.problems.contains(&Problem::Unlisted { path: unlisted.into() }));
    let named = |p: &Problem| matches!(p, Problem::Altered { path, .. } if path == altered);
    assert!(bundle.problems.iter().any(named));
    assert!(matches!(bundle.read("one", "extra.txt", 10), Err(ReadError::NotListed { .. })));
    // An altered record is no pass any more.
    assert!(matches!(bundle.cells[0].checks[0].verdict, Verdict::Error { .. }));
}

#[test]
fn a_forged_pass_is_a_contradiction_and_no_pass() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let mut canary = check("canary.must-fail");
    canary.verdict = Verdict::Pass;
    forge(dir.path(), "cells/one/checks/canary.must-fail.json", &to_json(&canary));
    let mut empty = check("stor.flush-durable");
    empty.observations.findings.clear();
    forge(dir.path(), "cells/one/checks/stor.flush-durable.json", &to_json(&empty));
    let bundle = open(dir.path());
    let contradictions =
        bundle.problems.iter().filter(|p| matches!(p, Problem::Contradiction { .. })).count();
    assert_eq!(contradictions, 2, "{:?}", bundle.problems);
    assert_eq!(bundle.cells[0].checks.iter().filter(|c| is_pass(&c.verdict)).count(), 1);
    assert!(bundle.problems.contains(&Problem::CanaryUnproven { cell: "one".into() }));
}

#[test]
fn a_planned_or_required_check_cannot_be_left_out() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let path = "cells/one/checks/cpu.count.json";
    fs::remove_file(dir.path().join(path)).expect("removes");
    edit_manifest(dir.path(), |manifest| {
        manifest.files.remove(path);
    });
    let bundle = open(dir.path());
    let (cell, check) = ("one".to_owned(), "cpu.count".parse().expect("an id"));
    let unaccounted = Problem::Unaccounted { cell, check };
    assert!(bundle.problems.contains(&unaccounted), "{:?}", bundle.problems);
    assert!(bundle.problems.iter().any(|p| matches!(p, Problem::RequiredUnaccounted { .. })));
    assert!(matches!(bundle.cells[0].checks[0].verdict, Verdict::Error { .. }));
}

#[test]
fn a_record_under_another_name_is_misplaced() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    forge(dir.path(), "cells/one/checks/mem.size.json", &to_json(&check("cpu.count")));
    let bundle = open(dir.path());
    assert!(bundle.problems.iter().any(|p| matches!(p, Problem::Misplaced { .. })));
    assert_eq!(bundle.cells[0].checks.len(), 3);
}

#[test]
fn broken_records_are_malformed_and_files_of_no_cell_are_told() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    forge(dir.path(), "cells/one/checks/mem.size.json", b"{");
    forge(dir.path(), "cells/one/timeline.jsonl", b"{\"at_ms\":1}\n");
    forge(dir.path(), "cells/two/cell.json", b"{}");
    let bundle = open(dir.path());
    for path in
        ["cells/one/checks/mem.size.json", "cells/one/timeline.jsonl", "cells/two/cell.json"]
    {
        let named = |p: &Problem| matches!(p, Problem::Malformed { path: it, .. } if it == path);
        assert!(bundle.problems.iter().any(named), "{path}");
    }
}

#[test]
fn deeply_nested_json_is_refused() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let deep = to_json(&check("cpu.count"));
    let deep = String::from_utf8(deep).expect("UTF-8");
    let nest = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = deep.replacen("\"guest\":2", &format!("\"guest\":{nest}"), 1);
    forge(dir.path(), "cells/one/checks/cpu.count.json", deep.as_bytes());
    assert!(open(dir.path()).problems.iter().any(|p| matches!(p, Problem::Malformed { .. })));
}

#[test]
fn without_its_run_or_cell_record_there_is_nothing_to_show() {
    for path in ["run.json", "cells/one/cell.json"] {
        let dir = tempdir().expect("a folder");
        good(dir.path());
        fs::write(dir.path().join(path), "{}").expect("writes");
        let error = Bundle::open(dir.path()).expect_err("refused");
        let ReadError::Damaged { path: named, problems } = &error else { panic!("{error}") };
        assert_eq!(named, path);
        assert!(matches!(problems[0], Problem::Altered { .. }));
        assert!(error.to_string().contains("was altered"), "{error}");
        forge(dir.path(), path, b"{\"format\":1}");
        assert!(matches!(Bundle::open(dir.path()), Err(ReadError::Json { .. })));
    }
}

#[test]
fn a_later_format_is_told_from_a_broken_one() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    fs::write(dir.path().join("manifest.json"), b"{\"format\":3,\"new\":[]}").expect("writes");
    let error = Bundle::open(dir.path()).expect_err("refused");
    assert!(matches!(error, ReadError::Newer { found: 3, ours: EVIDENCE_FORMAT }), "{error}");
    good(&dir.path().join("again"));
    let mut later = run();
    later.format = 9;
    forge(&dir.path().join("again"), "run.json", &to_json(&later));
    let error = Bundle::open(&dir.path().join("again")).expect_err("refused");
    assert!(matches!(error, ReadError::Newer { found: 9, .. }), "{error}");
}

#[test]
fn a_manifest_that_leads_elsewhere_or_repeats_itself_is_refused() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let entry = format!("{{\"sha256\":\"{}\",\"size\":0}}", "0".repeat(64));
    let refused = |files: &str| {
        let text = format!("{{\"format\":1,\"files\":{{{files}}}}}");
        fs::write(dir.path().join("manifest.json"), text).expect("writes");
        Bundle::open(dir.path()).expect_err("refused")
    };
    let error = refused(&format!("\"../x\":{entry}"));
    assert!(matches!(error, ReadError::Name { fault: NameFault::Dot, .. }), "{error}");
    let error = refused(&format!("\"/etc/passwd\":{entry}"));
    assert!(matches!(error, ReadError::Name { fault: NameFault::Absolute, .. }), "{error}");
    let error = refused(&format!("\"run.json\":{entry},\"run.json\":{entry}"));
    assert!(matches!(error, ReadError::Twice { .. }), "{error}");
    assert!(matches!(refused("\"run.json\":{}"), ReadError::Json { .. }));
    assert!(matches!(refused(&format!("\"else.txt\":{entry}")), ReadError::Json { .. }));
}

#[test]
fn a_run_that_names_a_cell_elsewhere_is_refused() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let mut bad = run();
    bad.cells = vec!["../../etc".into()];
    forge(dir.path(), "run.json", &to_json(&bad));
    assert!(matches!(Bundle::open(dir.path()), Err(ReadError::Name { .. })));
    bad.cells = vec!["one".into(), "one".into()];
    forge(dir.path(), "run.json", &to_json(&bad));
    assert!(matches!(Bundle::open(dir.path()), Err(ReadError::Damaged { .. })));
}

#[test]
fn links_and_pipes_in_a_folder_are_refused() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let link = dir.path().join("cells/one/link");
    std::os::unix::fs::symlink("/etc/passwd", &link).expect("links");
    let error = Bundle::open(dir.path()).expect_err("refused");
    assert!(matches!(error, ReadError::NotAFile { kind: "symbolic link", .. }), "{error}");
    fs::remove_file(&link).expect("removes");
    let made = std::process::Command::new("mkfifo").arg(&link).status().expect("mkfifo runs");
    assert!(made.success());
    let error = Bundle::open(dir.path()).expect_err("refused");
    assert!(matches!(error, ReadError::NotAFile { kind: "pipe", .. }), "{error}");
}

#[test]
fn a_folder_without_a_manifest_is_unfinished_and_other_things_are_no_bundle() {
    let dir = tempdir().expect("a folder");
    assert!(matches!(Bundle::open(dir.path()), Err(ReadError::Unfinished)));
    assert!(matches!(Bundle::open(&dir.path().join("none")), Err(ReadError::Io { .. })));
    let file = dir.path().join("file");
    for bytes in [&b""[..], b"abc", b"PK\x03\x04 and more"] {
        fs::write(&file, bytes).expect("writes");
        assert!(matches!(Bundle::open(&file), Err(ReadError::NotABundle)));
        assert!(matches!(read_bytes(bytes), Err(ReadError::NotABundle)));
    }
}

#[test]
fn a_file_beyond_its_bound_is_refused_unread() {
    let dir = tempdir().expect("a folder");
    good(dir.path());
    let big = fs::File::create(dir.path().join("cells/one/big")).expect("makes");
    big.set_len(limit::FILE + 1).expect("a sparse file");
    assert!(matches!(Bundle::open(dir.path()), Err(ReadError::FileTooLarge { .. })));
    fs::remove_file(dir.path().join("cells/one/big")).expect("removes");
    for number in 0..=limit::FOLDER / limit::FILE {
        let big = fs::File::create(dir.path().join(format!("cells/one/{number}"))).expect("makes");
        big.set_len(limit::FILE).expect("a sparse file");
    }
    assert!(matches!(Bundle::open(dir.path()), Err(ReadError::TooLarge { .. })));
}

fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).expect("appends");
    }
    zstd::encode_all(tar.into_inner().expect("ends").as_slice(), 1).expect("compresses")
}

#[test]
fn archives_with_anything_but_plain_files_are_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let error = read_bytes(&archive(&[("r/run.json", kind, b"")])).expect_err("refused");
        assert!(matches!(error, ReadError::NotAFile { .. }), "{kind:?}: {error}");
    }
}

#[test]
fn archives_whose_names_lead_elsewhere_are_refused() {
    let plain = EntryType::Regular;
    for name in
        ["../x", "/etc/x", "r/../../x", "r/a\\b", "r/.x", "r//x", "r/\u{202e}x", "r/a\nb", "r"]
    {
        let error = read_bytes(&archive(&[(name, plain, b"x")])).expect_err("refused");
        assert!(matches!(error, ReadError::Name { .. }), "{name:?}: {error}");
    }
    let error = read_bytes(&archive(&[("r/a", plain, b"x"), ("r/a", plain, b"y")]));
    assert!(matches!(error, Err(ReadError::Twice { .. })));
    let error = read_bytes(&archive(&[("r/a", plain, b"x"), ("s/b", plain, b"y")]));
    assert!(matches!(error, Err(ReadError::NotABundle)));
    assert!(matches!(read_bytes(&archive(&[])), Err(ReadError::NotABundle)));
    assert!(matches!(
        read_bytes(&archive(&[("r/run.json", plain, b"")])),
        Err(ReadError::Unfinished)
    ));
}

#[test]
fn a_decompression_bomb_is_stopped() {
    // One file that says it has 10 GB; then padding without end behind a good archive.
    let mut header = Header::new_ustar();
    header.set_path("r/big").expect("fits");
    header.set_size(8 << 30);
    header.set_cksum();
    let bomb = zstd::encode_all(header.as_bytes().as_slice(), 1).expect("compresses");
    assert!(matches!(read_bytes(&bomb), Err(ReadError::FileTooLarge { .. })));

    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    header.set_size(1);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).expect("writes");
    let zeros = vec![0; 1 << 20];
    for _ in 0..(limit::ARCHIVE >> 20) + 64 {
        encoder.write_all(&zeros).expect("writes");
    }
    let bomb = encoder.finish().expect("ends");
    assert!(bomb.len() < 1 << 20, "it is a bomb");
    assert!(matches!(read_bytes(&bomb), Err(ReadError::TooLarge { .. })));
}

#[test]
fn a_window_beyond_the_bound_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(limit::WINDOW_LOG + 2).expect("a window");
    encoder.write_all(&vec![0; 1 << 20]).expect("writes");
    let bytes = encoder.finish().expect("ends");
    assert!(matches!(read_bytes(&bytes), Err(ReadError::Compression(_))));
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    good(&folder);
    let whole = fs::read(pack(&folder).expect("packs")).expect("reads");
    for cut in (0..whole.len()).step_by(whole.len() / 60 + 1) {
        assert!(read_bytes(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut framed = vec![0x28, 0xb5, 0x2f, 0xfd];
        framed.extend(&bytes);
        let _ = read_bytes(&framed);
        let _ = read_bytes(&zstd::encode_all(bytes.as_slice(), 1).expect("compresses"));
    }

    #[test]
    fn no_alteration_of_a_record_goes_unseen(at in any::<prop::sample::Index>(), with in any::<u8>(), which in 0..5usize) {
        let dir = tempdir().expect("a folder");
        good(dir.path());
        let path = dir.path().join([
            "run.json", "cells/one/cell.json", "cells/one/plan.json",
            "cells/one/checks/cpu.count.json", "cells/one/timeline.jsonl",
        ][which]);
        let mut bytes = fs::read(&path).expect("reads");
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        fs::write(&path, &bytes).expect("writes");
        if let Ok(bundle) = Bundle::open(dir.path()) {
            prop_assert!(!bundle.is_sound());
        }
    }

    #[test]
    fn a_forged_record_never_panics_the_reader(at in any::<prop::sample::Index>(), with in any::<u8>(), which in 0..6usize) {
        let dir = tempdir().expect("a folder");
        good(dir.path());
        let name = [
            "run.json", "cells/one/cell.json", "cells/one/plan.json",
            "cells/one/checks/cpu.count.json", "cells/one/timeline.jsonl", "manifest.json",
        ][which];
        let mut bytes = fs::read(dir.path().join(name)).expect("reads");
        let at = at.index(bytes.len());
        bytes[at] = with;
        if name == "manifest.json" {
            fs::write(dir.path().join(name), &bytes).expect("writes");
        } else {
            forge(dir.path(), name, &bytes);
        }
        let _ = Bundle::open(dir.path());
    }
}

#[test]
fn a_pass_that_its_repetitions_do_not_bear_out_is_an_error() {
    let dir = tempdir().expect("a folder");
    let mut record = check("cpu.count");
    for (passed, failed, no_end, borne_out) in
        [(50, 0, 0, true), (49, 1, 0, false), (49, 0, 1, false), (0, 0, 0, false)]
    {
        let folder = dir.path().join(format!("{passed}-{failed}-{no_end}"));
        good(&folder);
        record.repeats = Some(Repeats { passed, failed, no_end, ..Repeats::default() });
        forge(&folder, "cells/one/checks/cpu.count.json", &to_json(&record));
        let bundle = Bundle::open(&folder).expect("opens");
        let found = &bundle.cells[0].checks[0].verdict;
        assert_eq!(is_pass(found), borne_out, "{found:?}");
        assert_eq!(bundle.is_sound(), borne_out, "{:?}", bundle.problems);
    }
}
