//! Hosts that lie, fall silent or lose their machine while a check runs: played from what was recorded of an honest one,
//! so no machine is needed. None of it says anything about the pair, and none of it may pass.

use std::path::PathBuf;

use hospitium_host::{Ended, HostError};
use hospitium_suite::studio::{Replayed, Studio};
use hospitium_suite::tape::{Entry, Reply, Transcripts};
use hospitium_suite::{Check, Fault, SeamFault};
use serde_json::{Value as Json, json};

struct Played {
    studio: Studio,
    _folder: tempfile::TempDir,
}

impl Played {
    fn new() -> Self {
        let recorded =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts/linux-qemu.json.xz");
        let folder = tempfile::tempdir().expect("a folder");
        let transcripts = Transcripts::read(&recorded).unwrap_or_else(|e| panic!("{e}"));
        Self { studio: Studio::new(transcripts, folder.path()), _folder: folder }
    }

    fn check(&self, id: &str) -> &'static Check {
        self.studio.checks().find(|check| check.id == id).unwrap_or_else(|| panic!("no {id}"))
    }

    /// Plays a check with what this does to the value that is told by the questions of this name, from the `from`-th on.
    fn with(&self, id: &str, ask: &str, from: usize, alter: impl Fn(&mut Json)) -> Replayed {
        let mut count = 0;
        let mut each = |_: usize, entry: &Entry, reply: &mut Reply| {
            let Reply::Told(told) = reply else { return false };
            let is = entry.ask == ask && {
                count += 1;
                count > from
            };
            if is {
                alter(told);
            }
            is
        };
        self.studio
            .play_altered(self.check(id), &mut each)
            .unwrap_or_else(|| panic!("{id} asks {ask}"))
    }
}

#[test]
fn a_host_that_contradicts_itself_is_no_witness() {
    let played = Played::new();
    let one_thread_less = |look: &mut Json| {
        look["vcpu_threads"]["Ok"]["value"].as_array_mut().expect("threads").pop();
    };
    let seen = played.with("cpu.count", "look", 0, one_thread_less);
    assert_eq!(seen.word, "error", "{}", seen.why);
    assert!(seen.why.contains("2 vCPUs, and 1 threads"), "{}", seen.why);
    let too_much = |look: &mut Json| look["balloon"]["Ok"]["value"] = "1 GiB".into();
    let seen = played.with("mem.balloon", "look", 0, too_much);
    assert_eq!(seen.word, "error", "{}", seen.why);
    assert!(seen.why.contains("contradicts itself"), "{}", seen.why);
    let twice = |look: &mut Json| {
        let devices = look["devices"]["Ok"]["value"].as_array_mut().expect("devices");
        devices.push(devices[0].clone());
    };
    let seen = played.with("ident.pci-inventory", "look", 0, twice);
    assert_eq!(seen.word, "error", "{}", seen.why);
    assert!(seen.why.contains("two PCI devices at 0000:"), "{}", seen.why);
}

#[test]
fn what_a_host_hides_that_it_showed_at_first_is_an_error_and_no_check_makes_do_without_it() {
    let played = Played::new();
    let unseen = || json!({ "Err": { "by": "host", "why": "somebody closed it" } });
    // Each of these checks goes on without it on a host that never shows it.
    let hidden = [
        ("net.mac-ip", "look", "nics"),
        ("ident.smbios", "look", "machine_type"),
        ("ident.smbios", "look", "smbios"),
        ("ident.hypervisor-sig", "look", "cpu_model"),
        ("ident.hypervisor-sig", "look", "cpu_type"),
        ("clk.rtc-base", "look", "hardware_clock"),
        ("clk.drift-load", "process", "cpu_time"),
        ("rng.unique-after-restore", "process", "pid"),
    ];
    for (id, ask, what) in hidden {
        let seen = played.with(id, ask, 0, |told| told[what] = unseen());
        assert_eq!(seen.word, "error", "{id} without {what}: {}", seen.why);
        assert!(seen.why.contains("no longer gives"), "{id} without {what}: {}", seen.why);
        assert!(seen.why.contains("somebody closed it"), "{id} without {what}: {}", seen.why);
    }
}

/// The host's wall clock, set by so many seconds.
fn set(clock: &mut Json, by: i64) {
    let seconds = clock["wall"]["secs_since_epoch"].as_i64().expect("a time");
    clock["wall"]["secs_since_epoch"] = json!(seconds + by);
}

#[test]
fn a_clock_of_the_host_that_is_set_while_a_check_runs_is_no_failure_of_the_guest() {
    let played = Played::new();
    let reads_twice = ["clk.source", "clk.tsc-frequency", "clk.drift-load", "clk.after-pause"];
    for id in reads_twice {
        for (by, word) in [(3600, "forward"), (-3600, "back")] {
            let seen = played.with(id, "host clock", 1, |clock| set(clock, by));
            assert_eq!(seen.word, "error", "{id}: {}", seen.why);
            let wanted = format!("wall clock was set {word} by 3600.0 s");
            assert!(seen.why.contains(&wanted), "{id}: {}", seen.why);
        }
        // Drift, and a clock that is brought right slowly, are none.
        let seen = played.with(id, "host clock", 1, |clock| {
            let nanos = clock["wall"]["nanos_since_epoch"].as_i64().expect("a time");
            clock["wall"]["nanos_since_epoch"] = json!((nanos + 100_000_000).min(999_999_999));
        });
        assert!(!seen.why.contains("was set"), "{id}: {}", seen.why);
    }
}

#[test]
fn an_event_that_never_comes_ends_every_check_and_none_hangs_or_breaks() {
    let played = Played::new();
    let silent = Fault::Seam(SeamFault::HideEvents(|_| true));
    let (mut noticed, mut wrong) = (Vec::new(), Vec::new());
    for check in played.studio.checks() {
        let seen = played.studio.play(check, Some(silent));
        if seen.word == "panic" || (seen.word != "pass" && seen.why.is_empty()) {
            wrong.push(format!("{}: {} {}", check.id, seen.word, seen.why));
        }
        if seen.word != "pass" {
            noticed.push(check.id);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    for id in
        ["power.acpi-button", "wdt.expire", "crash.host-notified", "boot.reboot-xn", "stor.enospc"]
    {
        assert!(noticed.contains(&id), "{id} passes without its event; those notice: {noticed:?}");
    }
}

#[test]
fn a_driver_that_loses_its_machine_in_the_middle_of_a_check_is_an_error_with_that_reason() {
    let played = Played::new();
    let ended = Ended::Lost { why: "the VMM closed its control connection".into() };
    let lost = HostError::Ended { doing: "asking".into(), ended };
    let lost = serde_json::to_value(lost).expect("a form");
    let (mut tried, mut wrong) = (0, Vec::new());
    for check in played.studio.checks() {
        // All looks and calls from the second half of the check on.
        let mut questions = 0;
        played.studio.play_altered(check, &mut |_, entry, _| {
            questions += usize::from(entry.ask == "look" || entry.ask == "power");
            false
        });
        let mut count = 0;
        let seen = played.studio.play_altered(check, &mut |_, entry, reply| {
            let calls = entry.ask == "look" || entry.ask == "power";
            count += usize::from(calls);
            // The first is the clone's own start; the last is what is listened to after the check.
            let is = calls && count > 1 && count >= questions / 2;
            if is {
                *reply = Reply::Failed(lost.clone());
            }
            is
        });
        let Some(seen) = seen.filter(|seen| seen.misfit.is_none()) else { continue };
        tried += 1;
        let named = seen.why.contains("closed its control connection");
        // A check may fail by what it saw before; what it may not do is pass, hang or break.
        if !matches!(seen.word, "error" | "fail") || (seen.word == "error" && !named) {
            wrong.push(format!("{}: {} {}", check.id, seen.word, seen.why));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried} checks were tried");
}
