//! Checks on a whole system, where others than the probe run too: a login listens on the console.
//!
//! `HOSPITIUM_TEST_LOGIN_SYSTEM` names the image. `HOSPITIUM_ONLY` adds the checks whose ids begin with one of its
//! words, for working on them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hospitium_guest::Guest;
use hospitium_guest::disk::{Definition, DiskGuest};
use hospitium_host::{Host, Isolation, WorkDir};
use hospitium_host_qemu::{Qemu, QemuOptions};
use hospitium_model::Expectations;
use hospitium_suite::{
    Check, Fault, Lab, LabParts, Origin, Sink, StandardOptions, boot, checks, standard_machine,
};

/// Emulated, and beside other tests.
const LIMIT: Duration = Duration::from_secs(400);

async fn lab(folder: &Path) -> Arc<Lab> {
    let image = std::env::var_os("HOSPITIUM_TEST_LOGIN_SYSTEM")
        .expect("HOSPITIUM_TEST_LOGIN_SYSTEM names no image; run the tests by `cargo xtask test`");
    let definition =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/debian-12-login.toml");
    let definition = Definition::read(&definition).expect("a definition");
    let cache = folder.join("cache");
    let guest = DiskGuest::new(Path::new(&image), definition, &cache).expect("a guest");
    let guest: Arc<dyn Guest> = Arc::new(guest);
    let options = QemuOptions { cache: Some(cache), ..QemuOptions::new("qemu-system-x86_64") };
    let host: Arc<dyn Host> = Arc::new(Qemu::open(options).await.expect("QEMU is installed"));
    let declared = standard_machine(&*guest, &*host, &StandardOptions::default());
    let dir = WorkDir { name: "boot".into(), folder: folder.join("boot") };
    let saved = folder.join("saved");
    std::fs::create_dir_all(&dir.folder).expect("a folder");
    std::fs::create_dir_all(&saved).expect("a folder");
    let sink = Sink::nowhere();
    let booted = boot(&*host, &*guest, &declared, &dir, LIMIT, &sink).await;
    let booted = booted.unwrap_or_else(|e| panic!("{e}"));
    eprintln!("ready after {:.0} ms", booted.facts.ready_ms);
    let saving = booted.machine.saving().expect("QEMU saves machines");
    let snapshot = saving.snapshot(&saved).await.unwrap_or_else(|e| panic!("{e}"));
    Arc::new(Lab::new(LabParts {
        host,
        guest,
        declared,
        origin: Origin::Saved(Box::new(snapshot)),
        isolation: Isolation::Fork,
        boot: booted.facts,
        folder: folder.to_owned(),
        expectations: Expectations::from_toml(hospitium_suite::EXPECTATIONS).expect("reads"),
        seed: 2009,
        sink,
    }))
}

/// Runs the check in a clone; its verdict's word, and whether the login still answers afterwards.
async fn tries(lab: &Arc<Lab>, check: &'static Check, fault: Option<Fault>) -> (String, bool) {
    let name = format!("{}{}", check.id().file_name(), if fault.is_some() { "-red" } else { "" });
    let mut cell = lab.cell(&name, check, fault).await.unwrap_or_else(|e| panic!("{}", e.chain()));
    let seen = (check.run)(&mut cell).await.unwrap_or_else(|e| panic!("{}", e.chain()));
    for f in &seen.findings {
        eprintln!("    {}: guest {:?} host {:?}", f.what, f.guest, f.host);
    }
    let verdict = seen.judge();
    eprintln!("{} {} {}", check.id, verdict.word(), verdict.reason());
    let from = cell.console.line_count();
    let typed = cell.console.write(b"\n").await;
    let asks = typed.is_ok() && cell.sees("login:", from, Duration::from_secs(20)).await;
    cell.finish().await.expect("ends");
    (verdict.word().to_owned(), asks)
}

fn find(id: &str) -> &'static Check {
    checks::all().into_iter().find(|check| check.id == id).expect("is there")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a whole distribution; cargo xtask test runs it"]
async fn words_typed_at_the_serial_port_are_heard_beside_a_login_which_then_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = lab(folder.path()).await;
    let check = find("con.serial-two-way");
    assert_eq!(tries(&lab, check, None).await, ("pass".to_owned(), true));
    assert_eq!(tries(&lab, check, Some(check.fault)).await, ("fail".to_owned(), true));
    let Ok(only) = std::env::var("HOSPITIUM_ONLY") else { return };
    let wanted = |check: &&Check| only.split_whitespace().any(|start| check.id.starts_with(start));
    for check in checks::all().into_iter().filter(wanted) {
        match check.needs.iter().find_map(|need| need.missing(&lab)) {
            Some(skip) => eprintln!("{} skip {}", check.id, skip.reason()),
            None => drop(tries(&lab, check, None).await),
        }
    }
}
