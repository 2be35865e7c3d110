//! How long a witness takes to cosign a head: over HTTP, with the head on the medium before the answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_ledger::{AddCheckpoint, Algorithm, Log, Party};

use crate::http;
use crate::served::{Served, text};
use crate::times::Times;
use crate::{Measured, page};

/// Entries of the log before.
const BEFORE: u64 = 100_000;
/// Heads that are cosigned.
const HEADS: usize = 200;

/// Cosigns; writes the number into the page.
pub fn run() -> Result<()> {
    let hospitium = xtask::build()?;
    let scratch = xtask::setup::cache()?.join("bench/witness");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let party = |name: &str| Party::init(&scratch.join(name), name, Algorithm::Ed25519);
    let (vendor, _witness) = (party("vendor.example")?, party("witness.example")?);
    let policy = scratch.join("policy");
    std::fs::write(&policy, vendor.public.policy())?;
    let witness = scratch.join("witness.example");
    let arguments = ["--witness", text(&witness)?, "--witness-policy", text(&policy)?];
    let served = Served::start(&hospitium, &arguments)?;
    let mut log = Log::open(&scratch.join("log"), &vendor)?;
    let entries: Vec<_> = (0..BEFORE).map(|n| format!("entry {n}").into_bytes()).collect();
    log.append(&entries)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut times, mut flushes) = (Times::default(), Times::default());
    let mut old = 0;
    for number in 0..=HEADS {
        let head = log.checkpoint().head().clone();
        let proof = match old {
            0 => Vec::new(),
            old => log.folder().tree(&head).consistency(old)?,
        };
        let body = AddCheckpoint::encode(old, &proof, log.checkpoint());
        let began = Instant::now();
        let answer = runtime.block_on(http::post(
            &served.address,
            "/witness/add-checkpoint",
            "",
            (&body, 0, &[]),
        ))?;
        let took = began.elapsed();
        ensure!(answer.status == 200, "not cosigned: {} {}", answer.status, answer.text());
        // The first one has no head before it.
        if number > 0 {
            times.push(took);
            flushes.push(flush(&scratch, answer.text().as_bytes())?);
        }
        old = head.size;
        log.append(&[format!("head {number}").into_bytes()])?;
    }
    let (p99, flushed) = (times.percentile(99), flushes.percentile(99));
    let measured = [Measured {
        what: format!(
            "a witness answers `add-checkpoint` over HTTP, p99 of {HEADS} (median {:.2} ms), a log of {BEFORE} entries",
            times.median()
        ),
        ours: format!("{p99:.2} ms"),
        other: format!("{flushed:.2} ms for writing and flushing one small file, p99"),
        ratio: p99 / flushed.max(1e-6),
        bar: "< 10 ms",
        reached: p99 < 10.0,
        bound: "the medium: the head is flushed before the signature is given away".into(),
    }];
    drop(served);
    std::fs::remove_dir_all(&scratch)?;
    page::show(&measured);
    page::write("witness", &measured, None)
}

/// How long it takes to get such a file onto the medium, and nothing else.
fn flush(folder: &std::path::Path, bytes: &[u8]) -> Result<Duration> {
    let path = folder.join("flushed");
    let began = Instant::now();
    let mut file = std::fs::File::create(&path).context("making a file to flush")?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    Ok(began.elapsed())
}
