//! Every check without a machine: played from what was recorded of a real guest, it sees what it saw then.

use std::path::PathBuf;

use hospitium_host::{EventClass, EventKind};
use hospitium_model::Finding;
use hospitium_suite::studio::{Accident, Studio};
use hospitium_suite::tape::Transcripts;
use hospitium_suite::{FacetKind, Fault, Need, SeamFault, SightKind};
use serde_json::Value as Json;

/// What `cargo xtask transcripts` records.
fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts/linux-qemu.json.xz")
}

fn form(finding: &Finding) -> Json {
    serde_json::to_value(finding).expect("a finding has a form")
}

/// The same but for the last bit of numbers with a fraction, which JSON does not keep.
fn alike(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= a.abs().max(b.abs()) * 1e-12,
            _ => one == other,
        },
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let same = |(name, value)| other.get(name).is_some_and(|other| alike(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

#[test]
fn every_check_that_is_played_sees_what_it_saw_when_it_was_recorded() {
    let scratch = tempfile::tempdir().expect("a folder");
    let transcripts = Transcripts::read(&recorded()).unwrap_or_else(|e| panic!("{e}"));
    let studio = Studio::new(transcripts, scratch.path());
    let mut wrong = studio.outdated();
    for check in studio.checks() {
        let played = studio.play(check, None);
        if let Some(stray) = &played.stray {
            wrong.push(format!("{}: it asks what was not asked: {stray}", check.id));
        } else if played.word != "pass" {
            wrong.push(format!("{}: {} {}", check.id, played.word, played.why));
        } else {
            let then = studio.recorded(check).map(|seen| &seen.findings[..]).unwrap_or_default();
            let now = played.seen.as_ref().map(|seen| &seen.findings[..]).unwrap_or_default();
            let other = then.iter().zip(now).filter(|(then, now)| !alike(&form(then), &form(now)));
            wrong.extend(
                other.map(|(then, now)| format!("{}: {now:?}, and then {then:?}", check.id)),
            );
            if then.len() != now.len() {
                wrong.push(format!("{}: {} findings, not {}", check.id, now.len(), then.len()));
            }
        }
    }
    let again = "if checks ask otherwise now, record again by `cargo xtask transcripts`";
    assert!(wrong.is_empty(), "{}\n{again}", wrong.join("\n"));
}

/// All that a host may say that it does not give of a machine.
fn all_needs() -> Vec<Need> {
    let of_machine = |kind: &FacetKind| !matches!(kind, FacetKind::Cloning | FacetKind::Witness);
    let facets = FacetKind::ALL.into_iter().filter(of_machine).map(Need::Facet);
    let sights = SightKind::OF_LOOK.map(Need::Sight);
    facets.chain(sights).chain(EventClass::ALL.map(Need::Events)).collect()
}

fn without(needs: Vec<Need>) -> Option<Fault> {
    Some(Fault::Seam(SeamFault::Without(needs.leak())))
}

#[test]
fn no_host_turns_a_check_into_a_skip_in_its_middle_and_what_a_check_wants_is_declared() {
    let scratch = tempfile::tempdir().expect("a folder");
    let transcripts = Transcripts::read(&recorded()).unwrap_or_else(|e| panic!("{e}"));
    let studio = Studio::new(transcripts, scratch.path());
    let (mut late, mut wrong) = (0, Vec::new());
    for check in studio.checks() {
        let (declared, others): (Vec<Need>, Vec<Need>) =
            all_needs().into_iter().partition(|need| check.needs.contains(need));
        let played = studio.play_without(check, others.leak());
        if played.late || played.word == "skip" {
            wrong.push(format!("{} needs what it does not declare: {}", check.id, played.why));
        }
        for need in declared {
            let played = studio.play(check, without(vec![need]));
            late += usize::from(played.late);
            if matches!(played.word, "pass" | "skip") {
                let word = played.word;
                wrong.push(format!("{} without {need:?}: {word} {}", check.id, played.why));
            }
        }
    }
    assert!(late > 0, "no check was kept from what it wants");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a check may bring such an event about by itself.
fn may_mean(check: &str, event: &EventKind) -> bool {
    let restarts = [
        "boot.reboot-xn",
        "power.reset-in-boot",
        "crash.host-notified",
        "crash.recovers",
        "wdt.expire",
    ];
    let ends = [
        "power.acpi-button",
        "power.guest-shutdown",
        "stor.rw-integrity",
        "stor.flush-durable",
        "life.snapshot-revert",
        "iso.memory-zeroed",
        "wdt.expire",
    ];
    match event {
        EventKind::Reset { .. } => restarts.contains(&check),
        EventKind::PoweredOff { .. } => ends.contains(&check),
        EventKind::Crashed => check.starts_with("crash.") && check != "crash.host-dump",
        EventKind::Watchdog { .. } => check == "wdt.expire",
        EventKind::DiskError { id, .. } => check == "stor.enospc" && id == "cramped",
        _ => false,
    }
}

#[test]
fn what_nobody_asked_for_fails_a_check_whatever_else_it_saw() {
    let scratch = tempfile::tempdir().expect("a folder");
    let transcripts = Transcripts::read(&recorded()).unwrap_or_else(|e| panic!("{e}"));
    let studio = Studio::new(transcripts, scratch.path());
    let events = [
        EventKind::Reset { by_guest: true },
        EventKind::PoweredOff { by_guest: false },
        EventKind::Crashed,
        EventKind::Watchdog { action: "none".into() },
        EventKind::DiskError { id: "another".into(), no_space: false },
        EventKind::Suspended,
        EventKind::Other { name: "BLOCK_IMAGE_CORRUPTED".into() },
    ];
    let accidents: Vec<Accident> = events
        .into_iter()
        .map(Accident::Event)
        .chain([
            Accident::Line("[   99.0] EXT4-fs error (device vda1): seeded fault"),
            Accident::Logged("[   99.0] EXT4-fs error (device vda1): seeded fault"),
            Accident::Complaint("qemu-system-x86_64: a seeded fault"),
        ])
        .collect();
    let (mut tried, mut wrong) = (0, Vec::new());
    for check in studio.checks() {
        for accident in &accidents {
            if matches!(accident, Accident::Event(kind) if may_mean(check.id, kind)) {
                continue;
            }
            for last in [false, true] {
                // Resets and consoles of machines that a check boots are its own to judge.
                let boots = matches!(check.id, "boot.no-device" | "iso.memory-zeroed");
                let left = matches!(
                    accident,
                    Accident::Event(EventKind::Reset { .. })
                        | Accident::Line(_)
                        | Accident::Logged(_)
                );
                if boots && left {
                    continue;
                }
                let Some(played) = studio.play_with(check, accident, last) else { continue };
                tried += 1;
                if matches!(played.word, "pass" | "skip") {
                    wrong.push(format!(
                        "{}: {} with {accident:?} (last: {last})",
                        check.id, played.word
                    ));
                }
            }
        }
    }
    assert!(tried > studio.checks().count() * accidents.len(), "{tried} plays");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
