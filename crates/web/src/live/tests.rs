//! What live runs promise: a run that is being written is followed, one whose process is gone is shown
//! so, one that is over says so, and what a guest prints stays text.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures_util::StreamExt as _;
use hospitium_evidence::{BundleWriter, CellWriter};
use hospitium_model::{
    CheckRecord, Digest, EVIDENCE_FORMAT, PlannedCheck, RunRecord, Tier, TimelineEvent,
    TimelineSource, Verdict,
};
use tokio::time::{Duration, timeout};

use crate::sample::{World, world};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}";

fn record() -> RunRecord {
    RunRecord {
        format: EVIDENCE_FORMAT,
        id: "20260101-000000-abcd".into(),
        hospitium: "0.1.0".into(),
        suite: Digest::of(b"suite"),
        started: jiff::Timestamp::now(),
        ended: None,
        seed: 1,
        required: Vec::new(),
        cells: vec!["cell-a".into(), "cell-b".into()],
        cut_off: None,
        not_started: Vec::new(),
    }
}

fn begin(world: &World, name: &str) -> (BundleWriter, CellWriter) {
    let folder = world.folder.path().join("runs").join(name).join("evidence");
    let writer = BundleWriter::create(&folder, &record()).expect("made");
    let cell = writer.cell("cell-a").expect("made");
    let plan = ["cpu.count", "stor.flush-durable", "net.link"].map(|id| PlannedCheck {
        id: id.parse().expect("is an id"),
        requirement: "It works.".into(),
        tier: Tier::Disruptive,
    });
    cell.plan(&plan).expect("written");
    (writer, cell)
}

fn ended(cell: &CellWriter, id: &str, verdict: Verdict) {
    let planned = PlannedCheck {
        id: id.parse().expect("is an id"),
        requirement: "It works.".into(),
        tier: Tier::Disruptive,
    };
    let record = CheckRecord { took_ms: 12.0, ..planned.without_run(verdict) };
    cell.check(&record).expect("written");
}

fn say(cell: &CellWriter, machine: &str, text: &str) {
    let event = TimelineEvent {
        at_ms: 1.0,
        machine: machine.into(),
        source: TimelineSource::Harness,
        text: text.into(),
    };
    cell.timeline(&event).expect("written");
}

/// What comes of events, until one holds these words.
async fn until(stream: &mut axum::body::BodyDataStream, words: &str) -> String {
    let mut all = String::new();
    while !all.contains(words) {
        let next = timeout(Duration::from_secs(20), stream.next()).await;
        let chunk = next.expect("comes in time").expect("does not end before").expect("is sound");
        all.push_str(&String::from_utf8_lossy(&chunk));
    }
    all
}

async fn listen(world: &World, name: &str, last: Option<&str>) -> axum::body::BodyDataStream {
    let mut request = Request::get(format!("/runs/{name}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = world.ask(request.body(Body::empty()).expect("is a request")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn a_run_that_grows_is_followed_to_its_end_by_many() {
    let world = world().await;
    let (writer, cell) = begin(&world, "one");
    say(&cell, "stor.flush-durable", "the clone answers");
    let mut first = listen(&world, "one", None).await;
    let mut second = listen(&world, "one", None).await;
    let seen = until(&mut first, "\"running\":[\"stor.flush-durable\"]").await;
    assert!(seen.contains("\"stage\":\"running\""), "{seen}");
    ended(&cell, "cpu.count", Verdict::Pass);
    for listener in [&mut first, &mut second] {
        until(listener, "\"id\":\"cpu.count\",\"verdict\":\"pass\"").await;
    }
    say(&cell, "stor.flush-durable", "ended; its VMM took 3 ms of CPU time");
    ended(&cell, "stor.flush-durable", Verdict::Fail { reason: "lost".into() });
    let seen = until(&mut first, "\"reason\":\"lost\"").await;
    let id = seen.lines().rev().find_map(|line| line.strip_prefix("id: ")).expect("has an id");
    // Whoever comes again with what it had seen last is told nothing twice.
    let mut again = listen(&world, "one", Some(id)).await;
    let silence = timeout(Duration::from_millis(1500), again.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    drop(cell);
    let over =
        RunRecord { ended: Some(jiff::Timestamp::now()), cells: vec!["cell-a".into()], ..record() };
    writer.finish(&over).expect("written");
    for listener in [&mut first, &mut second, &mut again] {
        let end = until(listener, "\"stage\":\"finished\"").await;
        assert!(end.contains("event: over"), "{end}");
        let after = timeout(Duration::from_secs(5), listener.next()).await.expect("ends");
        assert!(after.is_none(), "{after:?}");
    }
}

#[tokio::test]
async fn a_run_whose_process_is_gone_is_shown_as_killed() {
    let world = world().await;
    let (writer, cell) = begin(&world, "gone");
    let (_, page) = world.get("/runs/gone").await;
    assert!(page.contains("This run goes on."), "{page}");
    assert!(page.contains("http-equiv=\"refresh\""));
    // Its lock ends with it.
    drop((cell, writer));
    let (_, page) = world.get("/runs/gone").await;
    assert!(page.contains("not brought to an end"), "{page}");
    assert!(!page.contains("http-equiv=\"refresh\""));
    let mut events = listen(&world, "gone", None).await;
    let end = until(&mut events, "\"stage\":\"killed\"").await;
    assert!(end.contains("event: over"), "{end}");
    let (_, list) = world.get("/runs").await;
    assert!(list.contains("killed") && list.contains("/runs/gone"), "{list}");
}

#[tokio::test]
async fn what_a_guest_prints_stays_text() {
    let world = world().await;
    let (_writer, cell) = begin(&world, "hostile");
    cell.console(format!("{HOSTILE}\u{1b}[2J\r\n").as_bytes()).expect("written");
    ended(&cell, "cpu.count", Verdict::Fail { reason: HOSTILE.into() });
    say(&cell, "boot", HOSTILE);
    let (status, page) = world.get("/runs/hostile").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(page.contains("&#60;img"), "{page}");
    let mut events = listen(&world, "hostile", None).await;
    until(&mut events, "\"stage\":\"running\"").await;
}

#[tokio::test]
async fn a_half_written_or_monstrous_bundle_does_no_harm() {
    let world = world().await;
    let (_writer, cell) = begin(&world, "odd");
    let folder = world.folder.path().join("runs/odd/evidence/cells/cell-a");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
    write("checks/cpu.count.json", b"{\"id\": \"cpu.co");
    write("checks/.partial-x.json", b"{}");
    write("cell.json", b"not JSON");
    write("timeline.jsonl", &vec![b'x'; 5 << 20]);
    let huge = std::fs::File::create(folder.join("plan.json")).expect("made");
    huge.set_len(1 << 40).expect("grows");
    let (status, _) = world.get("/runs/odd").await;
    assert_eq!(status, StatusCode::OK);
    drop(cell);
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder_of_runs() {
    let world = world().await;
    std::fs::create_dir_all(world.folder.path().join("runs")).expect("made");
    std::fs::write(world.folder.path().join("run.json"), "{}").expect("written");
    for name in ["..", "%2e%2e", "..%2f..", "%2Fetc", "none", "a%00b", &"x".repeat(300)] {
        for rest in ["", "/events", "/report"] {
            let (status, _) = world.get(&format!("/runs/{name}{rest}")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{name}{rest}");
        }
    }
}

#[tokio::test]
async fn a_report_has_an_origin_of_its_own_and_no_script() {
    let world = world().await;
    let (writer, cell) = begin(&world, "done");
    drop(cell);
    writer.finish(&RunRecord { cells: vec!["cell-a".into()], ..record() }).expect("written");
    let beside = world.folder.path().join("runs/done/report.html");
    std::fs::write(beside, "<script>alert(1)</script>").expect("written");
    let request = Request::get("/runs/done/report").body(Body::empty()).expect("is a request");
    let response = world.ask(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("is text");
    assert!(policy.contains("sandbox") && !policy.contains("script-src"), "{policy}");
}
