//! A small site for tests: two products on two hosts, a deal, a log with a pass, a failure, and names
//! that would be markup.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hospitium_catalog::LogSource;
use hospitium_catalog::sample::{Sample, database};
use hospitium_evidence::{BundleWriter, CellWriter};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{Algorithm, Certificate, Log, LogFolder, Party, Policy, Statement};
use hospitium_model::{
    CheckRecord, Digest, EVIDENCE_FORMAT, PlannedCheck, RunRecord, Tier, Verdict, read_agreement,
};
use hospitium_products::{Builder, Definitions};
use jiff::Timestamp;
use jiff::civil::date;
use tower::ServiceExt as _;

use crate::{Site, Sources};

const PRODUCTS: &str = r#"
line = [
  { name = "osa", title = "Osa", ids = ["http://a.example/osa/"] },
  { name = "vmmo", title = "Vmmo", kind = "host", ids = ["http://b.example/vmmo/"] },
]
[[product]]
id = "http://a.example/osa/5.2"
source = "A"
name = "Osa 5.2"
short-ids = ["osa5.2"]
line = "osa"
release = "5.2"
facts = [{ what = "release-date", value = 2020-05-21 }]
[[product]]
id = "http://b.example/vmmo/1"
source = "B"
name = "Vmmo 1"
short-ids = ["vmmo1"]
kind = "host"
line = "vmmo"
release = "1"
facts = [{ what = "release-date", value = 2020-10-01 }]
[[product]]
id = "http://b.example/vmmo/2"
source = "B"
name = "Vmmo 2"
short-ids = ["vmmo2"]
kind = "host"
line = "vmmo"
release = "2"
facts = [{ what = "release-date", value = 2021-10-22 }]
"#;

const DEAL: &str = r#"
format = 1
id = "deal"
title = "The deal"
made = 2022-01-01
party = [{ name = "a.example", title = "A" }, { name = "b.example", title = "B" }]
[[clause]]
id = "osa-on-vmmo"
party = "b.example"
guests = ["osa5.2"]
hosts = ["vmmo1", "vmmo2"]
within = "6 months"
[validity]
until = "validated + 6 months"
[validation]
strength = 0
cosigners = 0
"#;

pub const OSA: (&str, &str) = ("Osa 5.2", "http://a.example/osa/5.2");
pub const VMMO: (&str, &str) = ("Vmmo 1", "http://b.example/vmmo/1");
const VMMO_2: (&str, &str) = ("Vmmo 2", "http://b.example/vmmo/2");
/// A guest's name that would run.
pub const HOSTILE: &str =
    "<script>document.title='run by'</script><img src=x onerror=alert(1)>\" onload=\"x";
/// The name of a run that goes on.
pub const RUN: &str = "20260101-000000";

/// A site, and the folder of its log.
pub struct World {
    pub site: Arc<Site>,
    pub folder: tempfile::TempDir,
    /// The names of its records, oldest first.
    pub records: Vec<String>,
}

/// Makes the site, as of 2022-06-01.
pub async fn world() -> World {
    let at = |day: &str| -> Timestamp { format!("{day}T12:00:00Z").parse().expect("is a time") };
    let passed = Sample::new("b.example", OSA, VMMO, at("2022-02-01"));
    let failed =
        Sample { passed: false, ..Sample::new("b.example", OSA, VMMO_2, at("2022-03-01")) };
    let hostile = Sample::new("b.example", (HOSTILE, ""), VMMO, at("2022-04-01"));
    let statements: Vec<_> =
        [passed, failed, hostile].iter().map(|s| s.statement().expect("is one")).collect();
    world_of(tempfile::tempdir().expect("made"), &statements, |_| Vec::new()).await
}

/// Makes a site of what `b.example` says, and says later of the records that these became, as of the same day.
/// Evidence may be in the folder `evidence`.
pub async fn world_of(
    folder: tempfile::TempDir,
    statements: &[Statement],
    later: impl FnOnce(&[Digest]) -> Vec<Statement>,
) -> World {
    let bytes = |said: Vec<Statement>| {
        said.iter().map(|said| said.to_bytes().expect("written")).collect::<Vec<_>>()
    };
    world_of_bytes(folder, statements, |records| bytes(later(records))).await
}

/// The same, with what it signs later as bytes: they may be what this program cannot read.
pub async fn world_of_bytes(
    folder: tempfile::TempDir,
    statements: &[Statement],
    later: impl FnOnce(&[Digest]) -> Vec<Vec<u8>>,
) -> World {
    let home = folder.path().join("b.example");
    let party = Party::init(&home, "b.example", Algorithm::Ed25519).expect("made");
    let mut builder = Builder::empty();
    builder.add_definitions(Definitions::read("products", PRODUCTS).expect("reads"));
    let mut log = Log::open(&home.join("log"), &party).expect("opens");
    let made = Certificate::issue(&mut log, &party, statements).expect("issued");
    let records: Vec<Digest> = made.iter().map(Certificate::record).collect();
    let later = later(&records);
    if !later.is_empty() {
        let sign = |payload| Envelope::sign(payload, &[&party.record]).to_bytes();
        let entries: Vec<Vec<u8>> = later.into_iter().map(sign).collect();
        log.append(&entries).expect("appended");
    }
    let source = LogSource {
        folder: LogFolder::new(&home.join("log")),
        policy: Policy::parse("policy", party.public.policy().as_bytes()).expect("reads"),
    };
    let mut catalog = database::catalog().await.expect("opens");
    catalog.rebuild(std::slice::from_ref(&source)).await.expect("rebuilds");
    let sources = Sources {
        products: builder.finish().expect("finishes"),
        agreements: vec![read_agreement("deal", DEAL).expect("reads")],
        logs: vec![source],
        evidence: vec![folder.path().join("evidence")]
            .into_iter()
            .filter(|folder| folder.is_dir())
            .collect(),
        runs: Some(folder.path().join("runs")),
        as_of: Some(date(2022, 6, 1)),
        base: Some("https://catalog.example".to_owned()),
    };
    let records = records.iter().map(ToString::to_string).collect();
    World { site: Arc::new(Site::new(catalog, sources)), folder, records }
}

impl World {
    /// What the server answers.
    pub async fn ask(&self, request: Request<Body>) -> Response<Body> {
        let router = crate::serve::router(Arc::clone(&self.site));
        router.oneshot(request).await.expect("never fails")
    }

    /// The status and the body of a GET.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("is a request");
        let response = self.ask(request).await;
        (response.status(), text(response).await)
    }
}

/// A body as text.
pub async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.expect("reads");
    String::from_utf8(bytes.to_vec()).expect("is text")
}

/// The record of a run of two cells.
pub fn record() -> RunRecord {
    RunRecord {
        format: EVIDENCE_FORMAT,
        id: "20260101-000000-abcd".into(),
        hospitium: "0.1.0".into(),
        suite: Digest::of(b"suite"),
        started: jiff::Timestamp::now(),
        ended: None,
        seed: 1,
        required: Vec::new(),
        profile: None,
        cells: vec!["cell-a".into(), "cell-b".into()],
        cut_off: None,
        order: Vec::new(),
        not_started: Vec::new(),
        definition: None,
    }
}

/// Begins a run in the folder of runs.
pub fn begin(world: &World, name: &str) -> (BundleWriter, CellWriter) {
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

/// Ends a check.
pub fn ended(cell: &CellWriter, id: &str, verdict: Verdict) {
    let planned = PlannedCheck {
        id: id.parse().expect("is an id"),
        requirement: "It works.".into(),
        tier: Tier::Disruptive,
    };
    let record = CheckRecord { took_ms: 12.0, ..planned.without_run(verdict) };
    cell.check(&record).expect("written");
}

/// Ends a run.
pub fn finish(cell: CellWriter, writer: BundleWriter) {
    drop(cell);
    let ended = Some(jiff::Timestamp::now());
    let over = RunRecord { ended, cells: vec!["cell-a".into()], ..record() };
    writer.finish(&over).expect("written");
}
