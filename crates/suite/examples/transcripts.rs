//! Records the transcripts of all checks that apply to a guest on the installed QEMU: `transcripts GUEST FILE [PREFIX]`.
//! With a prefix, only checks whose id begins so are recorded again, and the file keeps the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_host::{Machine, Snapshot, WorkDir};
use hospitium_host_qemu::{Qemu, QemuOptions};
use hospitium_model::Expectations;
use hospitium_suite::studio::{Recorded, record};
use hospitium_suite::tape::{FORMAT, Pair, Transcript, Transcripts};
use hospitium_suite::{
    BootFacts, EXPECTATIONS, Lab, LabParts, Origin, Sink, StandardOptions, boot, checks,
    standard_machine,
};

type Failure = Box<dyn std::error::Error>;

/// How often a check is tried whose transcript is to be one of a pass.
const TRIES: usize = 4;

/// Seed of all patterns.
const SEED: u64 = 2009;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [guest, file, rest @ ..] = &arguments[..] else {
        return Err("usage: transcripts GUEST FILE [PREFIX]".into());
    };
    let only = rest.first().map_or("", String::as_str);
    let scratch = tempfile::tempdir()?;
    all(Path::new(guest), Path::new(file), only, scratch.path()).await
}

/// Boots the guest and saves it.
async fn boot_and_save(blank: LabParts) -> Result<(Snapshot, BootFacts), Failure> {
    let dir = WorkDir { name: "boot".into(), folder: blank.folder.join("boot") };
    let saved = blank.folder.join("saved");
    std::fs::create_dir_all(&dir.folder)?;
    std::fs::create_dir_all(&saved)?;
    let limit = Duration::from_secs(600);
    let booted =
        boot(&*blank.host, &*blank.guest, &blank.declared, &dir, limit, &blank.sink).await?;
    let machine: &dyn Machine = &*booted.machine;
    Ok((machine.saving()?.snapshot(&saved).await?, booted.facts))
}

async fn all(guest: &Path, file: &Path, only: &str, scratch: &Path) -> Result<(), Failure> {
    let cache = scratch.join("cache");
    let options =
        QemuOptions { cache: Some(cache.clone()), ..QemuOptions::new("qemu-system-x86_64") };
    let host: Arc<dyn hospitium_host::Host> = Arc::new(Qemu::open(options).await?);
    let guest: Arc<dyn hospitium_guest::Guest> = Arc::from(hospitium_guest::open(guest, &cache)?);
    let declared = standard_machine(&*guest, &*host, &StandardOptions::default());
    let expectations = Expectations::from_toml(EXPECTATIONS)?;
    let parts =
        |folder: &Path, snapshot: &Snapshot, boot: &BootFacts| -> Result<LabParts, Failure> {
            std::fs::create_dir_all(folder)?;
            Ok(LabParts {
                host: host.clone(),
                guest: guest.clone(),
                declared: declared.clone(),
                origin: Origin::Saved(Box::new(snapshot.clone())),
                isolation: host.isolation(),
                boot: boot.clone(),
                folder: folder.to_owned(),
                expectations: expectations.clone(),
                seed: SEED,
                sink: Sink::nowhere(),
            })
        };
    let nothing = Snapshot {
        format: 0,
        host_kind: String::new(),
        vmm: hospitium_model::Digest::of(b""),
        folder: PathBuf::new(),
        spec: declared.clone(),
        files: Vec::new(),
        private: serde_json::Value::Null,
    };
    let (snapshot, facts) = boot_and_save(parts(scratch, &nothing, &BootFacts::default())?).await?;
    eprintln!("ready after {:.0} ms", facts.ready_ms);
    // The boot's own console is in its lines.
    let facts = BootFacts { console_raw: Vec::new(), command: Vec::new(), ..facts };
    let lab = Arc::new(Lab::new(parts(scratch, &snapshot, &facts)?));
    let first = lab.cell("first", &checks::CANARY, None).await?;
    lab.learn(&first).await?;
    first.finish().await?;
    let (before, mut kept) = match only {
        "" => (None, Vec::new()),
        _ => {
            let Transcripts { pair, checks, .. } = Transcripts::read(file)?;
            (Some(pair), checks)
        }
    };
    kept.retain(|transcript| !transcript.check.starts_with(only));
    let (mut system, mut log_position, mut failed) = (None, None, Vec::new());
    let mut recorded = Vec::new();
    for check in checks::all() {
        if !check.id.starts_with(only) || check.needs.iter().any(|n| n.missing(&lab).is_some()) {
            recorded.extend(kept.iter().find(|known| known.check == check.id).cloned());
            continue;
        }
        let mut why = String::new();
        for _ in 0..TRIES {
            let begun = Instant::now();
            // What a check leaves does not stand in the next one's way.
            let folder = tempfile::tempdir_in(scratch)?;
            match record(parts(folder.path(), &snapshot, &facts)?, check, log_position.clone())
                .await
            {
                Ok(Recorded { transcript, system: of, log_position: at })
                    if transcript.seen.judge().word() == "pass" =>
                {
                    log_position = log_position.or(at);
                    let (entries, took) = (transcript.entries.len(), begun.elapsed());
                    eprintln!("{:<34} {entries:>5} questions {:>7} ms", check.id, took.as_millis());
                    system = Some(of);
                    recorded.push(transcript);
                    why.clear();
                    break;
                }
                Ok(recorded) => why = recorded.transcript.seen.judge().reason().to_owned(),
                Err(error) => why = error.chain(),
            }
        }
        if !why.is_empty() {
            eprintln!("{:<34} {why}", check.id);
            failed.push(format!("{}: {why}", check.id));
        }
    }
    let system = system.ok_or("no check was recorded")?;
    let pair = Pair::of(&lab, system);
    let places = [(scratch.display().to_string(), "/lab")];
    let places: Vec<(String, &str)> =
        places.into_iter().chain(std::env::var("HOME").ok().map(|home| (home, "/home"))).collect();
    let transcripts = match before {
        None => Transcripts { format: FORMAT, pair, checks: recorded },
        // Those that are kept rest on what their boot showed, and the new ones on this one.
        Some(before) => {
            let is_new = |check: &Transcript| check.check.starts_with(only);
            for transcript in recorded.iter_mut().filter(|check| is_new(check)) {
                transcript.pair = Some(Box::new(pair.clone()));
            }
            Transcripts { format: FORMAT, pair: before, checks: recorded }
        }
    };
    transcripts.write(file, &places)?;
    eprintln!("{}: {} bytes", file.display(), std::fs::metadata(file)?.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}
