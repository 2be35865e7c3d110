//! The coverage of machine configurations in a certificate: counted from the rows that ran, held
//! against evidence and log, refused where it is more than they show.

mod common;

use std::path::Path;

use common::{CELL, Lab, Run, failing, now, passing};
use hospitium_evidence::{Bundle, BundleWriter};
use hospitium_ledger::statement::{
    Claim, Issue, Outcome, Record, Refused, StatementError, Validation, WaiverRecord, validation,
};
use hospitium_ledger::{Algorithm, EvidenceFound, Statement, find_waivers};
use hospitium_model::{
    Bus, ByteSize, ChannelKind, Digest, MachineRow, MachineSpace, MachineValues, NicModel,
    PlannedCheck, SpaceParameter,
};

/// A bundle of several cells.
fn write(folder: &Path, cells: &[Run]) {
    let mut record = cells[0].record.clone();
    record.cells = (0..cells.len()).map(name).collect();
    let ended = record.ended.take();
    let writer = BundleWriter::create(folder, &record).expect("begins");
    for (n, run) in cells.iter().enumerate() {
        let cell = writer.cell(&name(n)).expect("a cell");
        let mut of_cell = run.cell.clone();
        of_cell.name = name(n);
        cell.record(&of_cell).expect("its record");
        let plan: Vec<PlannedCheck> = run
            .checks
            .iter()
            .map(|check| PlannedCheck {
                id: check.id.clone(),
                requirement: check.requirement.clone(),
                tier: check.tier,
            })
            .collect();
        cell.plan(&plan).expect("its plan");
        run.checks.iter().for_each(|check| cell.check(check).expect("a check"));
        cell.console(b"Linux version\r\n").expect("console");
        cell.finish(&of_cell).expect("ends");
    }
    record.ended = ended;
    writer.finish(&record).expect("finishes");
}

fn name(n: usize) -> String {
    if n == 0 { CELL.into() } else { format!("{CELL}-{n}") }
}

fn claim() -> Claim {
    let values = MachineValues {
        firmware: vec![hospitium_model::Firmware::Bios],
        disk: vec![Bus::Virtio, Bus::Sata],
        nic: vec![NicModel::Virtio, NicModel::E1000],
        vcpus: vec![2],
        memory: vec![ByteSize::mib(256)],
        nodes: vec![1],
        channel: vec![ChannelKind::Serial],
        ..MachineValues::default()
    };
    let parameter =
        |(name, values): (&str, Vec<String>)| SpaceParameter { name: name.into(), values };
    let parameters = values.words().into_iter().map(parameter).collect();
    Claim {
        strength: 2,
        space: MachineSpace { parameters, infeasible: Vec::new() },
        earlier: Vec::new(),
    }
}

fn issue() -> Issue {
    let mut issue = Issue::new("vendor.example", now());
    issue.machines = Some(claim());
    issue
}

const ALL: [(Bus, NicModel); 4] = [
    (Bus::Virtio, NicModel::Virtio),
    (Bus::Virtio, NicModel::E1000),
    (Bus::Sata, NicModel::Virtio),
    (Bus::Sata, NicModel::E1000),
];

fn rows(of: &[(Bus, NicModel)]) -> Vec<Run> {
    of.iter().map(|(disk, nic)| passing().on(*disk, *nic)).collect()
}

fn made(folder: &Path, issue: &Issue) -> Result<(Statement, Validation), Refused> {
    let bundle = Bundle::open(folder).expect("opens");
    let statement = validation(&bundle, CELL, issue)?;
    let Record::Validation(validation) = statement.record.clone() else { panic!("another record") };
    Ok((statement, *validation))
}

#[test]
fn the_envelope_is_what_the_rows_that_passed_cover() {
    let lab = Lab::new(Algorithm::Ed25519);
    let folder = lab.path("evidence");
    write(&folder, &rows(&ALL));
    let (statement, validation) = made(&folder, &issue()).expect("a record");
    let machines = validation.hospitium.machines.as_ref().expect("a claim");
    assert_eq!((machines.rows.len(), machines.covered, machines.feasible), (4, 43, 43));
    assert_eq!(validation.hospitium.envelope.disk_buses, ["sata", "virtio"]);
    assert_eq!(validation.hospitium.envelope.nics, ["e1000", "virtio"]);
    let bytes = lab.record(&statement).to_bytes();
    let found = lab.verify_with(&bytes, &lab.policy(), Some(&folder), None).expect("accepted");
    assert!(matches!(found.evidence, EvidenceFound::Sound { .. }), "{:?}", found.evidence);
    let lines: Vec<String> = found.lines().into_iter().map(|(_, line)| line).collect();
    let told = "4 rows cover 43 of 43 feasible 2-way combinations";
    assert!(lines.iter().any(|line| line == told), "{lines:?}");
}

#[test]
fn rows_that_lack_something_or_failed_widen_nothing() {
    let lab = Lab::new(Algorithm::Ed25519);
    let some = lab.path("some");
    write(&some, &rows(&ALL[..3]));
    let (_, three) = made(&some, &issue()).expect("a record");
    let machines = three.hospitium.machines.expect("a claim");
    assert_eq!((machines.covered, machines.feasible), (42, 43));
    assert_eq!(three.hospitium.envelope.disk_buses, ["virtio"]);

    let failed = lab.path("failed");
    let mut runs = rows(&ALL);
    runs[3] = passing().with(failing("stor.flush-durable")).on(Bus::Sata, NicModel::E1000);
    write(&failed, &runs);
    let (_, one_failed) = made(&failed, &issue()).expect("a record");
    let machines = one_failed.hospitium.machines.expect("a claim");
    assert_eq!((machines.rows.len(), machines.failed.len()), (3, 1));
    assert_eq!(one_failed.hospitium.envelope.nics, ["virtio"]);
}

#[test]
fn a_claim_beyond_its_rows_is_refused_wherever_it_is_read() {
    let lab = Lab::new(Algorithm::Ed25519);
    let folder = lab.path("evidence");
    write(&folder, &rows(&ALL[..3]));
    let (statement, validation) = made(&folder, &issue()).expect("a record");
    let tampered = |change: fn(&mut Validation)| {
        let mut bad = validation.clone();
        change(&mut bad);
        Statement { record: Record::Validation(Box::new(bad)), ..statement.clone() }
    };
    let refused = tampered(|v| v.hospitium.machines.as_mut().expect("one").covered = 43);
    assert!(
        matches!(refused.to_bytes(), Err(StatementError::Contradiction(why)) if why.contains("42 of 43"))
    );
    let refused = tampered(|v| {
        v.hospitium.machines.as_mut().expect("one").rows.remove(0);
    });
    assert!(refused.to_bytes().is_err());
    // A row that never ran, counted right: the evidence shows it.
    let invented = tampered(|v| {
        let machines = v.hospitium.machines.as_mut().expect("one");
        let mut row = machines.rows[2].clone();
        row.row[3] = "e1000".into();
        row.cell = Some("one-3".into());
        machines.rows.push(row);
        machines.covered = 43;
    });
    let bytes = lab.record(&invented).to_bytes();
    let found = lab.verify_with(&bytes, &lab.policy(), Some(&folder), None).expect("accepted");
    let EvidenceFound::Contradicts { differences } = &found.evidence else {
        panic!("{:?}", found.evidence)
    };
    assert!(differences.iter().any(|d| d.contains("one-3")), "{differences:?}");
    assert!(!found.is_good());
    // And an envelope that its rows do not give.
    let wide = tampered(|v| v.hospitium.envelope.nics.push("rtl8139".into()));
    let bytes = lab.record(&wide).to_bytes();
    let found = lab.verify_with(&bytes, &lab.policy(), Some(&folder), None).expect("accepted");
    assert!(matches!(found.evidence, EvidenceFound::Contradicts { .. }));
}

#[test]
fn rows_of_earlier_records_are_looked_up_in_the_log() {
    let lab = Lab::new(Algorithm::Ed25519);
    let (first, second) = (lab.path("first"), lab.path("second"));
    write(&first, &rows(&ALL[..1]));
    let earlier = lab.record(&made(&first, &issue()).expect("a record").0).record();
    write(&second, &rows(&ALL[1..]));
    let with = |row: MachineRow| {
        let mut issue = issue();
        issue.machines.as_mut().expect("a claim").earlier = vec![(row, earlier)];
        lab.record(&made(&second, &issue).expect("a record").0).to_bytes()
    };
    let row = MachineRow::of(&rows(&ALL[..1])[0].cell.machine).expect("a row");
    let folder = lab.folder();
    let bytes = with(row);
    let good = lab.verify_with(&bytes, &lab.policy(), Some(&second), Some(&folder));
    assert!(good.expect("accepted").is_good());
    // Another row than that record's.
    let other = MachineRow { nic: NicModel::E1000, ..row };
    let bad = lab.verify_with(&with(other), &lab.policy(), Some(&second), Some(&folder));
    let bad = bad.expect("accepted");
    assert!(!bad.is_good());
    assert!(bad.lines().iter().any(|(what, line)| *what == "rests on" && line.contains("WRONG")));
    // The earlier record is withdrawn: what rests on it does, too.
    lab.record(&Statement::withdrawal("vendor.example", now(), earlier, "a wrong disk"));
    let bad = lab.verify_with(&bytes, &lab.policy(), Some(&second), Some(&folder));
    assert!(!bad.expect("accepted").is_good());
}

#[test]
fn a_waiver_of_the_log_counts_until_it_is_withdrawn() {
    let lab = Lab::new(Algorithm::Ed25519);
    let folder = lab.path("evidence");
    write(
        &folder,
        &[passing().with(failing("stor.flush-durable")).on(Bus::Virtio, NicModel::E1000)],
    );
    let plain = Issue::new("vendor.example", now());
    let (failed, record) = made(&folder, &plain).expect("a record");
    assert_eq!(record.result, Outcome::Failed);
    let guest = failed.subject[0].clone();
    let waiver = WaiverRecord {
        format: 1,
        party: "vendor.example".into(),
        issued: now(),
        check: "stor.flush-durable".parse().expect("an id"),
        reason: "the disk of this lab".into(),
        until: "2026-06-01T00:00:00Z".parse().expect("a time"),
        by: "the board".into(),
        host: Some(record.hospitium.host.name.clone()),
    };
    let entry = lab.record(&Statement::waiver(guest.clone(), waiver)).record();
    let found = |host: &str| {
        let log = lab.log();
        let keys = lab.party.public.keys();
        let digest = guest.sha256().expect("a digest");
        find_waivers(log.folder(), log.checkpoint().head(), &keys, digest, host, now())
    };
    assert!(found("another host").is_empty());
    let ended = {
        let (log, keys) = (lab.log(), lab.party.public.keys());
        let (digest, host) = (guest.sha256().expect("a digest"), &record.hospitium.host.name);
        let at = "2026-06-01T00:00:00Z".parse().expect("a time");
        find_waivers(log.folder(), log.checkpoint().head(), &keys, digest, host, at)
    };
    assert!(ended.is_empty(), "one whose time is over excuses nothing");
    let host = record.hospitium.host.name.clone();
    let waivers = found(&host);
    assert_eq!(waivers.iter().filter_map(|w| w.record).collect::<Vec<_>>(), [entry]);
    let waived = Issue { waivers, ..plain };
    let (statement, record) = made(&folder, &waived).expect("a record");
    assert_eq!(record.result, Outcome::Warned);
    assert!(record.hospitium.validity.decided_by.contains("waiver"));
    let bytes = lab.record(&statement).to_bytes();
    let check = || {
        let log = lab.folder();
        lab.verify_with(&bytes, &lab.policy(), Some(&folder), Some(&log))
            .expect("accepted")
            .is_good()
    };
    assert!(check());
    lab.record(&Statement::withdrawal("vendor.example", now(), entry, "it was a mistake"));
    assert!(found(&host).is_empty());
    assert!(!check(), "what it excused is not excused any more");
    assert_ne!(Digest::of(b""), entry);
}

#[test]
fn a_record_tells_its_machine_and_another_is_refused_or_shown_by_the_evidence() {
    let lab = Lab::new(Algorithm::Ed25519);
    let folder = lab.path("evidence");
    write(&folder, &rows(&ALL));
    for (planned, issue) in [(true, issue()), (false, Issue::new("vendor.example", now()))] {
        let (statement, validation) = made(&folder, &issue).expect("a record");
        let row = validation.row().expect("told");
        assert_eq!((row.disk, row.nic), ALL[0]);
        let other = |words: &[String]| {
            let mut bad = validation.clone();
            bad.hospitium.machine = Some(words.into());
            Statement { record: Record::Validation(Box::new(bad)), ..statement.clone() }
        };
        assert!(other(&["modern".into()]).to_bytes().is_err(), "no machine");
        let another = MachineRow { nic: NicModel::Rtl8139, ..row }.words();
        if planned {
            assert!(other(&another).to_bytes().is_err(), "it is not the one of its row");
            continue;
        }
        let bytes = lab.record(&other(&another)).to_bytes();
        let found = lab.verify_with(&bytes, &lab.policy(), Some(&folder), None).expect("accepted");
        let EvidenceFound::Contradicts { differences } = &found.evidence else {
            panic!("{:?}", found.evidence)
        };
        assert!(differences.iter().any(|d| d.starts_with("the machine: ")), "{differences:?}");
    }
}
