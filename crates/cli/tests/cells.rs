//! The machine configurations that a deal promises: planned, counted from the log, run as a plan says.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::path::Path;

use common::{Place, kernel, says};
use evidence::{Run, failing, passing};
use hospitium_model::{Bus, ChannelKind, Digest, MachineRow, NicModel};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

/// A deal over the kernels of set-up, with a machine of few values.
const DEAL: &str = r#"
format = 1
id = "small"
title = "A small deal"
made = 2026-01-01
party = [{ name = "vendor.example", title = "The vendor" }, { name = "other.example", title = "The other" }]
[[clause]]
id = "kernels"
party = "vendor.example"
guests = ["Linux 6.1", "Linux 6.12"]
hosts = ["QEMU 7.2", "QEMU 10.0"]
within = "12 months"
[validation]
strength = 2
cosigners = 0
emulation = true
[validation.machines]
chipset = ["modern", "legacy"]
firmware = ["bios"]
disk = ["virtio", "ide"]
nic = ["virtio", "e1000"]
vcpus = [1, 2]
memory = ["512 MiB"]
nodes = [1]
channel = ["virtio", "serial"]
"#;

/// A place with the deal.
fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("small.toml"), DEAL).expect("written");
    place
}

/// `agreement cells` for the kernel guest, with more arguments.
fn planned(place: &Place, out: &str, more: &[&str]) -> (String, Value) {
    let kernel = kernel().to_string_lossy().into_owned();
    let usual = ["agreement", "cells", "small.toml", &kernel, "--accelerator", "tcg"];
    let arguments = [&usual[..], &["--out", out], more].concat();
    let said = says(place, 0, &arguments, &[]);
    (said, read(&place.path(out)))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON")
}

fn write(path: &Path, value: &Value) {
    std::fs::write(path, serde_json::to_vec(value).expect("JSON")).expect("written");
}

/// Evidence of a run of the plan's guest on its host on this machine, which ended an hour ago.
fn ran(plan: &Value, row: MachineRow, base: Run) -> Run {
    let digest = |side: &str| -> Digest {
        plan["pairs"][0][side]["digest"].as_str().expect("told").parse().expect("a digest")
    };
    let mut run = base.on(row.disk, row.nic);
    let now = Timestamp::now();
    run.record.started = now - 2.hours();
    run.record.ended = Some(now - 1.hour());
    run.cell.guest.digest = digest("guest");
    run.cell.host.vmm = digest("host");
    run.cell.guest.product = plan["pairs"][0]["guest"]["product"].as_str().map(str::to_owned);
    let spec = &mut run.cell.machine;
    spec.chipset = row.chipset;
    spec.firmware = row.firmware;
    (spec.cpus.sockets, spec.cpus.cores) = (row.vcpus, 1);
    spec.memory.size = row.memory;
    for channel in &mut spec.channels {
        channel.kind = row.channel;
    }
    run
}

fn rows(plan: &Value) -> Vec<MachineRow> {
    let rows = plan["pairs"][0]["rows"].as_array().expect("rows").iter();
    rows.map(|row| serde_json::from_value(row["machine"].clone()).expect("a row")).collect()
}

#[test]
fn the_promised_rows_are_planned_and_what_is_not_here_is_told() {
    let place = place();
    let (said, plan) = planned(&place, "plan.json", &[]);
    let pairs = plan["pairs"].as_array().expect("a list");
    assert_eq!(pairs.len(), 1, "one guest and one host are here: {said}");
    let rows = rows(&plan);
    assert!((4..=6).contains(&rows.len()), "{rows:?}");
    // Every two values that can be meet in a row.
    let all = plan["pairs"][0]["space"]["infeasible"].to_string();
    assert!(all.contains("ICH9"), "{all}");
    for (chipset, disk) in [("modern", "virtio"), ("legacy", "virtio"), ("legacy", "ide")] {
        let met = rows.iter().any(|row| {
            let words = row.words();
            words[0] == chipset && words[2] == disk
        });
        assert!(met, "{chipset} with {disk} is in no row: {said}");
    }
    assert!(!rows.iter().any(|row| row.words()[0] == "modern" && row.disk == Bus::Ide));
    for told in [
        "feasible 2-way combinations",
        "chipset=modern disk=ide",
        "not here  kernels/",
        "no host here is QEMU",
        "name one with --on",
        "run them: hospitium run --plan plan.json",
    ] {
        assert!(said.contains(told), "{told:?} is not told: {said}");
    }
}

#[test]
fn the_same_deal_and_log_give_the_same_plan() {
    let place = place();
    planned(&place, "one.json", &["--as-of", "2026-11-20"]);
    planned(&place, "two.json", &["--as-of", "2026-11-20"]);
    let bytes = |name| std::fs::read(place.path(name)).expect("there");
    assert_eq!(bytes("one.json"), bytes("two.json"));
}

#[test]
fn a_row_that_the_log_has_is_not_run_again_and_one_that_failed_is() {
    let place = place();
    let (_, plan) = planned(&place, "plan.json", &[]);
    let all = rows(&plan);
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    ran(&plan, all[0], passing()).write(&place.path("good/evidence"));
    let bad = passing().with(failing("stor.flush-durable"));
    ran(&plan, all[1], bad).write(&place.path("bad/evidence"));
    let certify = |run: &str, code| {
        let mut arguments = vec!["certify", run, "--party", "vendor", "--plan", "plan.json"];
        arguments.extend(["--agreement", "small.toml", "--host", "QEMU 7.2"]);
        says(&place, code, &arguments, &[]);
    };
    certify("good", 0);
    certify("bad", 1);
    let (said, next) = planned(&place, "next.json", &["--log", "vendor/log", "--party", "vendor"]);
    let left = rows(&next);
    assert!(said.contains("and 1 that the log has"), "{said}");
    let done = &next["pairs"][0]["done"];
    assert_eq!(done.as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!(done[0]["machine"], plan["pairs"][0]["rows"][0]["machine"]);
    assert!(left.len() < all.len() && !left.contains(&all[0]), "{said}");
    // The machine that failed is no row that the log has, and the pair stands failed by it.
    let plan =
        ["agreement", "plan", "small.toml", "--log", "vendor/log", "--party", "vendor", "--why"];
    let failed = says(&place, 1, &plan, &[]);
    assert!(failed.contains("failed") && failed.contains(&all[1].words().join(" ")), "{failed}");
    // Of another party's records none count.
    let deal = DEAL.replacen("party = \"vendor.example\"", "party = \"other.example\"", 1);
    std::fs::write(place.path("small.toml"), deal).expect("written");
    let (_, other) = planned(&place, "other.json", &["--log", "vendor/log", "--party", "vendor"]);
    assert_eq!(rows(&other).len(), all.len());
}

#[test]
fn a_plan_that_is_not_ours_is_refused_before_anything_starts() {
    let place = place();
    let (_, plan) = planned(&place, "plan.json", &[]);
    let refused = |name: &str, more: &[&str], words: &[&str]| {
        let usual = ["run", "--accelerator", "tcg", "--plan", name];
        says(&place, 2, &[&usual[..], more].concat(), words);
        assert!(!place.path("runs").exists(), "{name} left a run behind");
    };
    let changed = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut other = plan.clone();
        change(&mut other);
        write(&place.path("other.json"), &other);
        refused("other.json", &[], words);
    };
    let huge = std::fs::File::create(place.path("huge.json")).expect("made");
    huge.set_len(1 << 30).expect("sparse");
    refused("huge.json", &[], &["huge.json cannot be used as a plan", "at most", "next:"]);
    refused("gone.json", &[], &["cannot read the plan gone.json", "next:"]);
    std::fs::write(place.path("bad.json"), "{\"format\": 1, \"pairs\": \u{1b}[2J")
        .expect("written");
    refused(
        "bad.json",
        &[],
        &["bad.json cannot be used as a plan", "agreement cells AGREEMENT --out"],
    );
    changed(&|p| p["format"] = json!(2), &["format 2", "make it again"]);
    changed(
        &|p| p["pairs"][0]["rows"][0]["machine"]["vcpus"] = json!(64),
        &["row 1 is not of its space: 64 is no value of vcpus", "make the plan again"],
    );
    changed(
        &|p| {
            p["pairs"][0]["rows"][0]["machine"]["chipset"] = json!("modern");
            p["pairs"][0]["rows"][0]["machine"]["disk"] = json!("ide");
        },
        &["chipset=modern disk=ide cannot be", "ICH9"],
    );
    changed(&|p| p["pairs"][0]["program"] = json!("/bin/sh"), &["unknown field `program`"]);
    let zero = "0".repeat(64);
    changed(
        &|p| p["pairs"][0]["guest"]["digest"] = json!(zero),
        &["the plan is for the guest", "000000", "found here is"],
    );
    changed(
        &|p| p["pairs"][0]["host"]["digest"] = json!(zero),
        &["the plan is for the host", "000000", "--on"],
    );
    changed(
        &|p| p["pairs"][0]["guest"]["origin"] = json!("/no/such/kernel.deb"),
        &["/no/such/kernel.deb", "next:"],
    );
    changed(&|p| p["pairs"][0]["rows"] = json!([]), &["the plan has no cells to run", "next:"]);
    changed(&|p| p["pairs"] = json!([]), &["the plan has no cells to run"]);
    // What a plan says of machines is not said twice.
    refused("plan.json", &["--disk", "sata"], &["--plan", "--disk"]);
}

/// The machines of a run's cells, by their evidence.
fn machines(place: &Place, run: &str) -> Vec<MachineRow> {
    let cells = place.path(run).join("evidence/cells");
    let mut found: Vec<MachineRow> = std::fs::read_dir(cells)
        .expect("cells")
        .map(|cell| {
            let record = read(&cell.expect("listed").path().join("cell.json"));
            let spec = serde_json::from_value(record["machine"].clone()).expect("a machine");
            MachineRow::of(&spec).expect("a row")
        })
        .collect();
    found.sort_by_key(|row| row.words());
    found
}

#[test]
fn a_plan_is_run_row_by_row_on_the_machines_that_it_names() {
    let place = place();
    let (_, mut plan) = planned(&place, "plan.json", &[]);
    let mut two = rows(&plan)[..2].to_vec();
    plan["pairs"][0]["rows"].as_array_mut().expect("rows").truncate(2);
    write(&place.path("two.json"), &plan);
    let run = ["run", "--accelerator", "tcg", "--plan", "two.json", "--check", "cpu.count"];
    says(&place, 0, &[&run[..], &["--out", "done"]].concat(), &[]);
    two.sort_by_key(|row| row.words());
    assert_eq!(machines(&place, "done"), two);
    assert_eq!(read(&place.path("done/plan.json"))["pairs"], plan["pairs"], "it keeps its plan");
    place.wait_no_machines();
}

#[test]
fn the_machine_has_what_was_asked_for() {
    let place = place();
    let kernel = kernel().to_string_lossy().into_owned();
    let asked = ["--chipset", "legacy", "--disk", "ide", "--nic", "e1000", "--channel", "serial"];
    let run = ["run", "--accelerator", "tcg", &kernel, "--check", "cpu.count"];
    says(&place, 0, &[&run[..], &asked, &["--vcpus", "1", "--out", "done"]].concat(), &[]);
    let [row] = machines(&place, "done")[..] else { panic!("one cell") };
    assert_eq!(row.words()[0], "legacy");
    assert_eq!((row.disk, row.nic, row.vcpus), (Bus::Ide, NicModel::E1000, 1));
    assert_eq!(row.channel, ChannelKind::Serial);
    place.wait_no_machines();
}
