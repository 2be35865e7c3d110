//! Every check without a machine: played from what was recorded of a real guest, it sees what it saw then.

use std::path::PathBuf;

use hospitium_model::Finding;
use hospitium_suite::studio::Studio;
use hospitium_suite::tape::Transcripts;
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
