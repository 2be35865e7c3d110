//! Verification of a certificate with its evidence, as `hospitium verify` does it, beside `sha256sum` over
//! the same evidence.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_ledger::{Algorithm, EvidenceFound, Given, LogFolder, Party, Policy, SUFFIX};
use jiff::Timestamp;

use crate::Measured;
use crate::machines::Bench;

/// How often each side is done.
const TIMES: usize = 31;

/// Certifies the full run of a kernel guest that the benches share, and verifies what came out.
pub fn verify(bench: &Bench) -> Result<Measured> {
    let run = bench.kernel_folder()?;
    let scratch = bench.scratch.join("verify");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)
            .with_context(|| format!("removing {}", scratch.display()))?;
    }
    let folder = scratch.join("party");
    let party = Party::init(&folder, "vendor.example", Algorithm::Ed25519)?;
    let certified = Command::new(&bench.hospitium)
        .current_dir(xtask::root())
        .arg("certify")
        .args([&run, Path::new("--party"), &folder, Path::new("--out"), &scratch])
        .stdout(Stdio::null())
        .status()
        .context("running hospitium")?;
    // 1: a check failed; that is no matter here.
    ensure!(matches!(certified.code(), Some(0 | 1)), "the run was not certified: {certified}");
    let files = std::fs::read_dir(&scratch)?.collect::<Result<Vec<_>, _>>()?;
    let mut files = files.iter().map(std::fs::DirEntry::path);
    let certificate = files
        .find(|path| path.extension().is_some_and(|name| name == SUFFIX))
        .context("no certificate came out")?;
    let policy_text = party.public.policy();
    let policy_file = scratch.join("policy");
    std::fs::write(&policy_file, &policy_text)?;
    let policy = Policy::parse("policy", policy_text.as_bytes())?;
    let log = LogFolder::new(&folder.join("log"));
    let evidence = run.join("evidence");
    let given = Given {
        policy: &policy,
        evidence: Some(&evidence),
        log: Some(&log),
        now: Timestamp::now(),
    };
    let explained = hospitium_ledger::verify(&certificate, given)?;
    let sound = matches!(explained.evidence, EvidenceFound::Sound { .. });
    ensure!(sound, "the evidence of our own run does not bear out its certificate");

    let ours = median(|| {
        black_box(hospitium_ledger::verify(&certificate, given)?);
        Ok(())
    })?;
    let command = median(|| {
        // 1: authentic, and the pair failed; that is no matter here.
        let ended = Command::new(&bench.hospitium)
            .arg("verify")
            .arg(&certificate)
            .args([Path::new("--policy"), &policy_file, Path::new("--evidence"), &evidence])
            .stdout(Stdio::null())
            .status()?;
        ensure!(matches!(ended.code(), Some(0 | 1)), "hospitium verify: {ended}");
        Ok(())
    })?;
    let hashed = median(|| {
        let all = "find \"$0\" -type f -print0 | xargs -0 sha256sum > /dev/null";
        let ended = Command::new("sh").args(["-c", all]).arg(&evidence).status()?;
        ensure!(ended.success(), "sha256sum: {ended}");
        Ok(())
    })?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measured {
        what: format!(
            "a certificate verified offline with its evidence and a copy of the log, in process, full suite on a kernel guest (median of {TIMES})"
        ),
        ours: format!("{:.1} ms", ms(ours)),
        other: format!(
            "{:.1} ms for `sha256sum` over the evidence, its process included",
            ms(hashed)
        ),
        ratio: ms(ours) / ms(hashed).max(1e-6),
        bar: "< 50 ms",
        reached: ms(ours) < 50.0,
        bound: format!(
            "digests of the evidence's files, and its verdicts judged again; the whole command `hospitium verify` takes {:.1} ms",
            ms(command)
        ),
    })
}

fn median(mut what: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        what()?;
        times.push(began.elapsed());
    }
    times.sort();
    times.get(TIMES / 2).copied().context("nothing was measured")
}
