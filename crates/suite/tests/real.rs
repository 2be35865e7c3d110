//! Every check on a real machine: it passes or is skipped with a reason, and its fault turns it red.
//!
//! `HOSPITIUM_ONLY` narrows it to checks whose id begins so, for working on one; `HOSPITIUM_ON` names another guest
//! than the first test kernel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_guest::Guest;
use hospitium_host::{Defect, EventKind, Host, Isolation, WorkDir, alter};
use hospitium_host_qemu::{Qemu, QemuOptions};
use hospitium_model::{
    ByteSize, Expectations, Finding, MachineSpec, Observations, Subsystem, Verdict,
};
use hospitium_suite::{
    Check, CheckError, Fault, Lab, LabParts, Origin, SeamFault, Sink, StandardOptions, boot, check,
    checks, standard_machine,
};
use hospitium_system::diagnosed;
use hospitium_system::tap::Asked;
use tokio::task::JoinSet;

/// The kernel package that the tests boot; set-up fetches it.
fn kernel() -> PathBuf {
    if let Some(other) = std::env::var_os("HOSPITIUM_ON") {
        return other.into();
    }
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS");
    let first = named.as_deref().and_then(|all| std::env::split_paths(all).next());
    first.expect(
        "HOSPITIUM_TEST_KERNELS names no kernel package; run the tests by `cargo xtask test`",
    )
}

async fn host(cache: &Path) -> Arc<dyn Host> {
    let options =
        QemuOptions { cache: Some(cache.to_owned()), ..QemuOptions::new("qemu-system-x86_64") };
    Arc::new(Qemu::open(options).await.expect("QEMU is there; `cargo xtask setup` installs it"))
}

/// Host and guest, and the machine that fits both.
async fn standard(cache: &Path) -> (Arc<dyn Host>, Arc<dyn Guest>, MachineSpec) {
    let host = host(cache).await;
    let guest: Arc<dyn Guest> =
        Arc::from(hospitium_guest::open(&kernel(), cache).unwrap_or_else(|e| panic!("{e}")));
    let machine = standard_machine(&*guest, &*host, &StandardOptions::default());
    (host, guest, machine)
}

/// Boots the machine and saves it. `declared` is what the checks believe; `real` is what boots.
async fn lab(
    host: &Arc<dyn Host>,
    guest: &Arc<dyn Guest>,
    declared: &MachineSpec,
    real: &MachineSpec,
    folder: &Path,
) -> Arc<Lab> {
    lab_expecting(hospitium_suite::EXPECTATIONS, host, guest, (declared, real), folder).await
}

/// The same, with other expectations.
async fn lab_expecting(
    expectations: &str,
    host: &Arc<dyn Host>,
    guest: &Arc<dyn Guest>,
    (declared, real): (&MachineSpec, &MachineSpec),
    folder: &Path,
) -> Arc<Lab> {
    let dir = WorkDir { name: "boot".into(), folder: folder.join("boot") };
    let saved = folder.join("saved");
    std::fs::create_dir_all(&dir.folder).expect("a folder");
    std::fs::create_dir_all(&saved).expect("a folder");
    let sink = Sink::nowhere();
    let limit = Duration::from_secs(if guest.facts().manages_devices { 500 } else { 120 });
    let booted =
        boot(&**host, &**guest, real, &dir, limit, &sink).await.unwrap_or_else(|e| panic!("{e}"));
    let snapshot = booted.machine.saving().expect("it can be saved").snapshot(&saved).await;
    let snapshot = snapshot.unwrap_or_else(|e| panic!("{e}"));
    eprintln!("ready after {:.0} ms", booted.facts.ready_ms);
    Arc::new(Lab::new(LabParts {
        host: host.clone(),
        guest: guest.clone(),
        declared: declared.clone(),
        origin: Origin::Saved(Box::new(snapshot)),
        isolation: Isolation::Fork,
        boot: booted.facts,
        folder: folder.to_owned(),
        expectations: Expectations::from_toml(expectations).expect("reads"),
        seed: 2009,
        sink,
    }))
}

/// Runs one check in a clone of its own and says how it ended and how long it took.
async fn run(
    lab: &Arc<Lab>,
    check: &'static Check,
    fault: Option<Fault>,
) -> (Result<Observations, String>, Duration) {
    let begun = Instant::now();
    let name = format!("{}{}", check.id().file_name(), if fault.is_some() { "-red" } else { "" });
    let result = match lab.cell(&name, check, fault).await {
        Err(error) => Err(error.chain()),
        Ok(mut cell) => {
            let seen = match tokio::time::timeout(check.limit, (check.run)(&mut cell)).await {
                Ok(Err(CheckError::Unable(why))) => Err(why.to_string()),
                Ok(seen) => {
                    let seen = diagnosed(seen, cell.machine(), &cell.console).await;
                    seen.map_err(|error| error.to_string())
                }
                Err(late) => {
                    let late = diagnosed(Err(late), cell.machine(), &cell.console).await;
                    let limit = check.limit;
                    late.map_err(|error| format!("not done after {limit:?}: {error}"))
                }
            };
            let _ = cell.finish().await;
            seen
        }
    };
    (result, begun.elapsed())
}

fn word(result: &Result<Observations, String>) -> (String, String) {
    match result {
        Ok(seen) => {
            let verdict = seen.judge();
            (verdict.word().to_owned(), verdict.reason().to_owned())
        }
        Err(error) => ("error".to_owned(), error.clone()),
    }
}

/// What every check is tried on.
struct Trials {
    scratch: tempfile::TempDir,
    host: Arc<dyn Host>,
    guest: Arc<dyn Guest>,
    declared: MachineSpec,
    /// Of the machine as it is declared.
    honest: Arc<Lab>,
}

impl Trials {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a folder");
        let (host, guest, declared) = standard(&scratch.path().join("cache")).await;
        let honest = lab(&host, &guest, &declared, &declared, &scratch.path().join("honest")).await;
        let first = honest.cell("first", &checks::CANARY, None).await.expect("a clone");
        honest.learn(&first).await.expect("it can be looked at");
        first.finish().await.expect("it ends");
        Self { scratch, host, guest, declared, honest }
    }

    /// A lab of its own for a machine that may be another than the declared one.
    async fn another(&self, real: &MachineSpec, name: &str) -> Arc<Lab> {
        lab(&self.host, &self.guest, &self.declared, real, &self.scratch.path().join(name)).await
    }

    /// Runs the check with its fault.
    async fn faulty(&self, check: &'static Check) -> (Result<Observations, String>, Duration) {
        let name = check.id().file_name();
        if let Fault::Machine(alter) = check.fault {
            let mut altered = self.declared.clone();
            alter(&mut altered);
            run(&self.another(&altered, &name).await, check, Some(check.fault)).await
        } else if let Fault::Defect(defect) = check.fault
            && defect().needs_boot()
        {
            let host = self.host.with_defects(&[defect()]).expect("a defect");
            let folder = self.scratch.path().join(&name);
            let lab = lab(&host, &self.guest, &self.declared, &self.declared, &folder).await;
            run(&lab, check, Some(check.fault)).await
        } else {
            run(&self.honest, check, Some(check.fault)).await
        }
    }

    /// Runs the check as it is and with its fault; what is wrong with it, if something is.
    async fn tries(&self, check: &'static Check) -> Option<String> {
        if let Some(skip) = check.needs.iter().find_map(|need| need.missing(&self.honest)) {
            assert!(matches!(&skip, Verdict::Skip { reason, .. } if !reason.is_empty()));
            eprintln!("{:<34} skip   {}", check.id, skip.reason());
            return None;
        }
        let (seen, took) = run(&self.honest, check, None).await;
        let (green, why) = word(&seen);
        let (red, time) = self.faulty(check).await;
        let (red, because) = word(&red);
        eprintln!(
            "{:<34} {green:<6} {:>6} ms  with its fault: {red:<6} {:>6} ms  {}",
            check.id,
            took.as_millis(),
            time.as_millis(),
            if red == "fail" { "" } else { &because }
        );
        if green != "pass" {
            eprintln!("    {why}");
        }
        if let (Ok(seen), true) = (&seen, std::env::var_os("HOSPITIUM_ONLY").is_some()) {
            for f in &seen.findings {
                eprintln!(
                    "    {}: guest {:?} host {:?}",
                    f.what,
                    f.guest.as_ref().map(ToString::to_string),
                    f.host.as_ref().map(ToString::to_string)
                );
            }
            seen.notes.iter().for_each(|n| eprintln!("    ({n})"));
        }
        (green != "pass" || red != "fail")
            .then(|| format!("{}: {green} ({why}), with its fault {red} ({because})", check.id))
    }
}

/// Whether a check compares clocks: it is tried while nothing else runs.
fn is_timed(check: &Check) -> bool {
    matches!(check.id().subsystem(), Subsystem::Clk | Subsystem::Irq)
}

/// Tries all checks of which that is true and that `HOSPITIUM_ONLY` lets through, so many at once.
async fn try_all(at_once: usize, wanted: fn(&Check) -> bool) {
    let only = std::env::var("HOSPITIUM_ONLY").unwrap_or_default();
    let checks = checks::all().into_iter();
    let mut checks = checks.filter(|check| check.id.starts_with(&only) && wanted(check)).peekable();
    if checks.peek().is_none() {
        return;
    }
    let trials = Arc::new(Trials::new().await);
    let mut wrong = Vec::new();
    let mut running = JoinSet::new();
    loop {
        for check in checks.by_ref().take(at_once - running.len()) {
            let trials = trials.clone();
            running.spawn(async move { trials.tries(check).await });
        }
        match running.join_next().await {
            Some(tried) => wrong.extend(tried.expect("the check was tried")),
            None => break,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With their faults, many checks do nothing but wait, so four run at a time.
#[tokio::test(flavor = "multi_thread")]
async fn every_check_holds_on_a_real_machine_and_is_turned_red_by_its_fault() {
    try_all(4, |check| !is_timed(check)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_of_clocks_holds_on_a_real_machine_and_is_turned_red_by_its_fault() {
    try_all(1, is_timed).await;
}

/// Hanging in a restart is what these checks are there to find: it is a failure, not the lab's error.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_come_up_again_has_failed() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (host, guest, machine) = standard(&scratch.path().join("cache")).await;
    // No guest boots in so short a time.
    let hasty = ["value = 240000", "value = 180000"].into_iter().fold(
        hospitium_suite::EXPECTATIONS.to_owned(),
        |text, usual| {
            assert!(text.contains(usual), "no check waits {usual} any more");
            text.replace(usual, "value = 400")
        },
    );
    let folder = scratch.path().join("hasty");
    let lab = lab_expecting(&hasty, &host, &guest, (&machine, &machine), &folder).await;
    let ids = ["boot.reboot-xn", "power.reset-in-boot", "crash.recovers"];
    for check in checks::all().into_iter().filter(|check| ids.contains(&check.id)) {
        let (seen, took) = run(&lab, check, None).await;
        let (verdict, why) = word(&seen);
        eprintln!("{:<34} {verdict:<6} {:>6} ms  {why}", check.id, took.as_millis());
        assert_eq!(verdict, "fail", "{}: {why}", check.id);
        let what = if check.id == "boot.reboot-xn" { "restarts" } else { "came up again" };
        assert!(why.contains(what), "{}: {why}", check.id);
    }
}

/// Of what the guest reads, it reads something else.
fn another_digest(_: &Asked, told: &mut serde_json::Value) {
    told["digest"] = "0".repeat(64).into();
}

/// Alterations that once left a check green, each with what the check says of it now.
#[tokio::test(flavor = "multi_thread")]
async fn what_once_was_not_noticed_is_now() {
    let trials = Trials::new().await;
    let nothing = |size: &mut ByteSize| *size = ByteSize::default();
    let another = |look: &mut hospitium_host::Look| {
        alter(&mut look.generation_id, |id| *id = "00000000-0000-4000-8000-000000000000".into());
    };
    let cases = [
        // The harness gave each clone entropy before it drew, and never asked who protects them.
        (
            "rng.unique-after-restore",
            Fault::Guest("reseeds_on_generation", |_, told| *told = false.into()),
            "kernels that reseeded for their generation id: guest saw 0",
        ),
        // Only the hypervisor was asked for the id.
        ("ident.generation-id", Fault::Seam(SeamFault::Look(another)), "id of a clone"),
        (
            "ident.generation-id",
            Fault::Guest("generation_id", |_, told| *told = serde_json::Value::Null),
            "no such device",
        ),
        ("ident.generation-id", Fault::StaleClone, "they differ"),
        // The lower bound was below nothing.
        ("mem.overhead", Fault::Seam(SeamFault::Overhead(nothing)), "besides the guest's"),
        // Only timers were looked at.
        (
            "irq.spread",
            Fault::Defect(|| Defect::DeadCable { nic: hospitium_suite::device::NIC.into() }),
            "once steered to",
        ),
        // Warnings of the kernel are of severity 4, and only worse ones were looked for.
        (
            "boot.console-clean",
            Fault::Guest("log", |_, told| {
                let warning =
                    "[    1.2] WARNING: CPU: 0 PID: 1 at kernel/smp.c:912 smp_call+0x1/0x2";
                if let Some(lines) = told.as_array_mut() {
                    lines.push(serde_json::json!({"level": 4, "text": warning}));
                }
            }),
            "WARNING: CPU",
        ),
        // A guest that crashes on its way up and is reset came up all the same.
        (
            "boot.reboot-xn",
            Fault::Seam(SeamFault::RepeatEvents(|kind| matches!(kind, EventKind::Reset { .. }))),
            "boots begun in one restart",
        ),
        // The guest's digest was that of what it was about to write.
        (
            "stor.hot-add-remove/virtio",
            Fault::Guest("read_back", another_digest),
            "digest of what was written",
        ),
        ("stor.sector-4k", Fault::Guest("read_back", another_digest), "digest of what was written"),
        (
            "stor.resize-online",
            Fault::Guest("read_back", another_digest),
            "digest of what is in the new part",
        ),
        ("stor.enospc", Fault::Guest("read_back", another_digest), "digest of what was written"),
    ];
    for (id, fault, says) in cases {
        let check = checks::all().into_iter().find(|check| check.id == id).expect("a check");
        let (seen, took) = run(&trials.honest, check, Some(fault)).await;
        let (verdict, why) = word(&seen);
        eprintln!("{id:<34} {verdict:<6} {:>6} ms  {why}", took.as_millis());
        assert_eq!(verdict, "fail", "{id}: {why}");
        assert!(why.contains(says), "{id}: {why}");
    }
}

check! {
    /// The guest's processors are counted, whatever its machine lived through.
    pub FORGETFUL = "cpu.count", tier: Reads, needs: [], fault: Fault::StaleClone, lives: [FORGETFUL_MIGRATED = MIGRATE];
    async fn forgetful(cell) {
        let online = cell.system().online().await?.map(|cpus| cpus.len());
        let seen = cell.look().await?.vcpus?.map(|vcpus| vcpus.len());
        Ok(Observations::of([Finding::same("online vCPUs", online, seen)]))
    }
}

/// What a machine loses on its way is found by the checks whose machine goes on as another, and by no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_loses_on_its_way_is_found_by_the_checks_under_life_cycles_alone() {
    let trials = Trials::new().await;
    let all = checks::all();
    let lived = all.iter().filter(|check| !check.life.is_empty());
    let bases: BTreeSet<_> = lived.clone().filter_map(|check| check.id.split('/').next()).collect();
    let plain = all.iter().filter(|check| bases.contains(check.id));
    let lost = Some(Fault::Seam(SeamFault::LostOnTheWay));
    for (check, expected) in plain.map(|c| (c, "pass")).chain(lived.map(|c| (c, "fail"))) {
        let (seen, took) = run(&trials.honest, check, lost).await;
        let (verdict, why) = word(&seen);
        eprintln!("{:<38} {verdict:<6} {:>6} ms  {why}", check.id, took.as_millis());
        assert_eq!(verdict, expected, "{}: {why}", check.id);
    }
    assert_eq!(word(&run(&trials.honest, &FORGETFUL, None).await.0).0, "pass");
    let (verdict, why) = word(&run(&trials.honest, &FORGETFUL_MIGRATED, None).await.0);
    assert_eq!(verdict, "error");
    assert!(why.contains("before its machine had lived through"), "{why}");
}
