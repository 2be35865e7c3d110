//! What is finished outlives a killed harness, a full disk and a flood; nothing is overwritten.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{begin, cell, check, event, good, planned, run};
use hospitium_evidence::{
    Bundle, BundleWriter, Problem, ReadError, Recovered, WriteError, limit, recover, so_far,
};
use hospitium_model::{Finding, GuestSource, HostSource, Observations, PlannedCheck, Verdict};
use tempfile::tempdir;

const CHILD: &str = "HOSPITIUM_TEST_BUNDLE";

/// This test program again, running only `test`, in a shell that first does `before`.
fn child(test: &str, folder: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    let program = std::env::current_exe().expect("its own path");
    command
        .arg("-c")
        .arg(format!("{before} exec \"$0\" --exact {test} --ignored --nocapture"))
        .arg(program)
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn folder() -> PathBuf {
    std::env::var_os(CHILD).expect("run by its parent test").into()
}

fn many() -> Vec<PlannedCheck> {
    (0..5000).map(|n| planned(&format!("stor.n{n}"))).collect()
}

#[test]
#[ignore = "the child of another test"]
fn child_writes_until_it_is_ended() {
    let writer = BundleWriter::create(&folder(), &run()).expect("begins");
    let one = writer.cell("one").expect("a cell");
    one.record(&cell("one")).expect("its record");
    one.plan(&many()).expect("its plan");
    for n in 0..5000 {
        one.check(&check(&format!("stor.n{n}"))).expect("a check");
        one.timeline(&event(&format!("check {n}"))).expect("an event");
        one.console(b"a line of the console\n").expect("console");
    }
}

#[test]
fn what_is_finished_survives_kill_9_and_the_rest_is_missed() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    let mut harness = child("child_writes_until_it_is_ended", &folder, "").spawn().expect("starts");
    let until = Instant::now() + Duration::from_secs(60);
    let finished = || fs::read_dir(folder.join("cells/one/checks")).map_or(0, Iterator::count);
    while finished() < 50 {
        assert!(Instant::now() < until, "the child writes nothing");
        std::thread::yield_now();
    }
    assert!(matches!(recover(&folder), Err(WriteError::InUse { .. })));
    harness.kill().expect("kills");
    harness.wait().expect("ends");
    // As a kill in the middle of a line, or of a record, leaves it.
    let timeline = folder.join("cells/one/timeline.jsonl");
    let mut text = fs::read(&timeline).expect("reads");
    text.extend(b"{\"at_ms\":3.0,\"mach");
    fs::write(&timeline, text).expect("writes");
    fs::write(folder.join("cells/one/checks/.partial-mem.size.json"), "{\"id\"").expect("writes");

    assert!(matches!(Bundle::open(&folder), Err(ReadError::Unfinished)));
    let Recovered { kept, missed, not_started } = recover(&folder).expect("recovers");
    assert!(kept >= 49 && kept + missed == 5000 && not_started == 0, "{kept} + {missed}");
    let bundle = Bundle::open(&folder).expect("opens");
    let unexpected = |p: &&Problem| !matches!(p, Problem::CanaryUnproven { .. });
    assert_eq!(bundle.problems.iter().filter(unexpected).count(), 0, "{:?}", bundle.problems);
    assert!(bundle.run.cut_off.is_some() && bundle.run.ended.is_none());
    let one = &bundle.cells[0];
    let passed = one.checks.iter().filter(|c| c.verdict == Verdict::Pass).count();
    let missing = one.checks.iter().filter(|c| matches!(c.verdict, Verdict::Miss { .. })).count();
    assert_eq!((passed, missing), (kept, missed));
    assert_eq!(one.record.required_not_run[0].as_str(), "cpu.count");
    assert!(one.timeline.len() + 1 >= kept);
    assert!(matches!(recover(&folder), Err(WriteError::Complete { .. })));
}

#[test]
fn cells_that_never_began_are_named() {
    let dir = tempdir().expect("a folder");
    let mut two = run();
    two.cells.push("two".into());
    two.cells.push("three".into());
    let writer = BundleWriter::create(dir.path(), &two).expect("begins");
    let one = writer.cell("one").expect("a cell");
    one.record(&cell("one")).expect("its record");
    let begun_without_record = writer.cell("two").expect("a cell");
    drop((writer, one, begun_without_record));
    let recovered = recover(dir.path()).expect("recovers");
    assert_eq!(recovered.not_started, 2);
    let bundle = Bundle::open(dir.path()).expect("opens");
    assert_eq!(bundle.run.not_started, ["two", "three"]);
    assert_eq!(bundle.run.cells, ["one"]);
}

#[test]
#[ignore = "the child of another test"]
fn child_fills_the_disk() {
    let writer = BundleWriter::create(&folder(), &run()).expect("begins");
    let one = writer.cell("one").expect("a cell");
    one.record(&cell("one")).expect("its record");
    one.plan(&[planned("cpu.count")]).expect("its plan");
    one.check(&check("cpu.count")).expect("a check");
    let error = (0..1000)
        .find_map(|n| one.file(&format!("f{n}"), &vec![1; 16 << (10 + n % 4)]).err())
        .expect("no room at last");
    println!("TOLD: {error}");
    let WriteError::Full { kept, path, .. } = &error else { panic!("{error:?}") };
    assert!(*kept >= 4 && !path.exists());
    let flood = one.console(&vec![b'x'; 1 << 20]).expect_err("no room either");
    assert!(matches!(flood, WriteError::Full { .. }), "{flood:?}");
}

fn fills(before: &str, folder: &Path, after: &str) {
    let output = child("child_fills_the_disk", folder, before).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("no room left") && text.contains("are kept whole"), "{text}");
    assert!(text.contains(after), "{text}");
}

#[test]
fn a_file_size_limit_is_told_and_what_was_finished_is_kept() {
    let dir = tempdir().expect("a folder");
    let folder = dir.path().join("run");
    // The limit counts blocks of 512 bytes; the signal that comes with it is left aside.
    fills("trap '' XFSZ; ulimit -f 128;", &folder, "");
    recover(&folder).expect("recovers");
    let bundle = Bundle::open(&folder).expect("opens");
    assert_eq!(bundle.cells[0].checks[0].verdict, Verdict::Pass);
}

#[test]
fn a_full_disk_is_told_and_what_was_finished_is_kept() {
    let dir = tempdir().expect("a folder");
    let small = dir.path().join("small");
    let kept = dir.path().join("kept");
    fs::create_dir_all(&small).expect("a folder");
    let can = Command::new("unshare").args(["-rm", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!(
            "a file system of its own cannot be mounted here; the limit's test stands for it"
        );
        return;
    }
    // In a mount namespace of its own, so that nothing is left mounted.
    let script = format!(
        "if [ -z \"$INNER\" ]; then exec env INNER=1 unshare -rm sh -c '\
           mount -t tmpfs -o size=512k none {small} && \"$0\" --exact child_fills_the_disk --ignored --nocapture \
           && cp -r {small}/run {kept}' \"$0\"; fi;",
        small = small.display(),
        kept = kept.display(),
    );
    fills(&script, &small.join("run"), "");
    recover(&kept).expect("recovers");
    let bundle = Bundle::open(&kept).expect("opens");
    assert_eq!(bundle.cells[0].checks[0].verdict, Verdict::Pass);
}

#[test]
fn two_runs_in_one_folder_and_a_second_run_over_a_first_are_refused() {
    let dir = tempdir().expect("a folder");
    let (writer, one) = begin(dir.path());
    let error = BundleWriter::create(dir.path(), &run()).expect_err("refused");
    assert!(matches!(error, WriteError::InUse { .. }), "{error}");
    drop((writer, one));
    let error = BundleWriter::create(dir.path(), &run()).expect_err("refused");
    assert!(matches!(error, WriteError::NotEmpty { .. }), "{error}");
}

#[test]
fn names_that_lead_elsewhere_are_not_written() {
    let dir = tempdir().expect("a folder");
    let (writer, one) = begin(&dir.path().join("run"));
    assert!(matches!(writer.cell("../x"), Err(WriteError::Name { .. })));
    assert!(matches!(one.file("../../../x", b""), Err(WriteError::Name { .. })));
    assert!(matches!(one.file("checks/x.json", b""), Err(WriteError::Reserved { .. })));
    assert!(matches!(one.file("big", &vec![0; (64 << 20) + 1]), Err(WriteError::TooLarge { .. })));
}

#[test]
fn a_record_that_could_not_be_read_back_is_not_written() {
    let dir = tempdir().expect("a folder");
    let (_writer, one) = begin(dir.path());
    let mut record = check("cpu.count");
    record.observations = Observations::of([Finding::within(
        "offset",
        "ms",
        GuestSource::Kernel.saw(1.0),
        HostSource::Hypervisor.saw(2.0),
        f64::NAN,
    )]);
    assert!(matches!(one.check(&record), Err(WriteError::NotReadable { .. })));
}

#[test]
fn nothing_is_written_after_the_end() {
    let dir = tempdir().expect("a folder");
    let (writer, one) = begin(dir.path());
    writer.finish(&run()).expect("finishes");
    assert!(matches!(one.check(&check("cpu.count")), Err(WriteError::Complete { .. })));
    assert!(matches!(one.console(b"late"), Err(WriteError::Complete { .. })));
}

#[test]
fn a_flood_on_console_and_timeline_is_bounded_and_its_end_kept() {
    let dir = tempdir().expect("a folder");
    let (writer, one) = begin(dir.path());
    let megabyte = vec![0x1b; 1 << 20];
    for _ in 0..20 {
        one.console(&megabyte).expect("console");
    }
    one.console(b"\nthe last line\n").expect("console");
    let long = "\u{1b}\"".repeat(1 << 20);
    for _ in 0..9000 {
        one.timeline(&event(&long)).expect("an event");
    }
    one.finish(&cell("one")).expect("ends");
    writer.finish(&run()).expect("finishes");
    let raw = fs::metadata(dir.path().join("cells/one/console.raw")).expect("is there").len();
    assert_eq!(raw, limit::CONSOLE_HEAD);
    let bundle = Bundle::open(dir.path()).expect("opens");
    let console = bundle.console("one");
    assert!(console.ends_with("\nthe last line\n"));
    assert!(console.contains("bytes of the console are not kept here"));
    let timeline = &bundle.cells[0].timeline;
    assert!(timeline.last().is_some_and(|e| e.text.contains("timeline is full")), "{timeline:?}");
}

#[test]
fn recovery_of_what_is_no_run_says_so() {
    let dir = tempdir().expect("a folder");
    assert!(matches!(recover(&dir.path().join("none")), Err(WriteError::NoRun { .. })));
    assert!(matches!(recover(dir.path()), Err(WriteError::NoRun { .. })));
    good(&dir.path().join("good"));
    assert!(matches!(recover(&dir.path().join("good")), Err(WriteError::Complete { .. })));
}

#[test]
fn a_run_that_goes_on_can_be_read_without_touching_it() {
    let dir = tempdir().expect("a folder");
    let (folder, copy) = (dir.path().join("run"), dir.path().join("copy"));
    let writer = BundleWriter::create(&folder, &run()).expect("begins");
    let one = writer.cell("one").expect("a cell");
    one.record(&cell("one")).expect("its record");
    one.plan(&many()).expect("its plan");
    one.check(&check("stor.n0")).expect("a check");
    fs::write(folder.join("cells/one/checks/.partial-stor.n1.json"), "{").expect("writes");

    let Recovered { kept, missed, .. } = so_far(&folder, &copy).expect("copies");
    assert_eq!((kept, missed), (1, 4999));
    let bundle = Bundle::open(&copy).expect("opens");
    assert!(bundle.run.ended.is_none() && bundle.run.cut_off.is_none(), "it goes on");
    assert_eq!(bundle.cells[0].checks.iter().filter(|c| c.verdict == Verdict::Pass).count(), 1);

    // It goes on to its end as if nothing had been.
    one.check(&check("stor.n1")).expect("another check");
    drop(one);
    drop(writer);
    assert!(matches!(Bundle::open(&folder), Err(ReadError::Unfinished)));
    // Nobody holds its lock any more: it was cut off.
    fs::remove_dir_all(&copy).expect("removed");
    assert_eq!(so_far(&folder, &copy).expect("copies").kept, 2);
    assert!(Bundle::open(&copy).expect("opens").run.cut_off.is_some());
    recover(&folder).expect("recovers");
    assert!(matches!(so_far(&folder, &copy), Err(WriteError::Complete { .. })));
    assert!(matches!(so_far(&dir.path().join("none"), &copy), Err(WriteError::NoRun { .. })));
}
