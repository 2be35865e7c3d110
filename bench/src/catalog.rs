//! The catalog over many certificates: how long a question takes in process, and how many records a
//! second a rebuild takes in, held against verifying nothing and only hashing the same entries; how
//! long checking the log takes beside `sha256sum`, and how much memory a rebuild needs.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_catalog::{Catalog, Desk, Reply};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{Algorithm, Party, walk};
use hospitium_products::{Products, Sources};
use jiff::Timestamp;

use crate::memory::{forget_peak, peak_memory};
use crate::synthetic::{Named, Recipe, pairs, source};
use crate::{Measured, page, pages};

/// Signatures that each processor verifies for comparison.
const SIGNATURES: u64 = 20_000;
/// Checks in each certificate of the large log.
const CHECKS: usize = 4;
/// Checks in a certificate of the whole suite; of these, a fiftieth as many are taken in, for comparison.
const WHOLE_SUITE: usize = 71;
/// Questions that are asked.
const QUESTIONS: usize = 200;

/// Makes the log, rebuilds, asks, serves; writes the numbers into the page.
pub fn run() -> Result<()> {
    let records = crate::million::records()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(records))?;
    page::show(&measured);
    page::write("catalog", &measured, None)
}

async fn measure(records: u64) -> Result<Vec<Measured>> {
    let scratch = xtask::setup::cache()?.join("bench/catalog");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let products = Products::load(&Sources::of_this_system())?;
    let pairs = pairs(&products);
    ensure!(!pairs.is_empty(), "no products are known; install osinfo-db");
    let party = Party::init(&scratch.join("party"), "vendor.example", Algorithm::Ed25519)?;
    let folder = scratch.join("log");
    let began = Instant::now();
    Recipe::until_now(&party, &pairs, records, CHECKS)?.append(&folder, 0..records)?;
    println!("{records} records signed and appended in {:.1} s", began.elapsed().as_secs_f64());

    let source = source(&party, &folder)?;
    let checkpoint = source.folder.checkpoint()?;
    let head = checkpoint.verify_log(&party.public.log)?;
    let mut bytes = 0;
    // sha256sum first: what it reads from the disk, the check then finds in memory, and the better of
    // two on both sides is taken.
    let (mut hashed, mut walked) = (Duration::MAX, Duration::MAX);
    for _ in 0..2 {
        hashed = hashed.min(sha256sum(&folder)?);
        let began = Instant::now();
        bytes = 0;
        ensure!(walk(&source.folder, head, |_, entry| bytes += entry.len()).is_sound(), "the log");
        walked = walked.min(began.elapsed());
    }
    println!("log of {} MiB checked whole in {:.1} s", bytes >> 20, walked.as_secs_f64());

    let signatures = signatures(&party, pairs.first().context("no pair")?)?;
    let db = scratch.join("catalog.db");
    let mut catalog = Catalog::open(&db.to_string_lossy()).await?;
    forget_peak()?;
    let began = Instant::now();
    let rebuilt = catalog.rebuild(std::slice::from_ref(&source)).await?;
    let took = began.elapsed();
    let peak = peak_memory(std::process::id())?;
    ensure!(rebuilt.logs.iter().all(|log| log.validations == records), "records were left out");
    let rate = |time: Duration| records as f64 / time.as_secs_f64();
    let whole = whole_suites(&scratch.join("whole"), &pairs, (records / 50).max(1)).await?;

    let as_of = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let began = Instant::now();
    let desk = Desk::new(&catalog, &products, &[], as_of).await?;
    println!("desk made ready in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    let mut times = Vec::new();
    let mut searches = Vec::new();
    for number in 0..QUESTIONS {
        let Some((guest, host)) = pairs.get(number * 7919 % pairs.len()) else { continue };
        let question = format!("{} on {}, 4 vcpu, 8 GiB", guest.2, host.2);
        let began = Instant::now();
        let reply = desk.ask(&question).await?;
        times.push(began.elapsed());
        ensure!(matches!(reply, Reply::Answer(_)), "{question} is not answered");
        let began = Instant::now();
        black_box((products.search(&guest.2), products.search(&host.2)));
        searches.push(began.elapsed());
    }
    let ms = |times: &mut Vec<Duration>, part: usize| {
        times.sort();
        let at = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let (median, late) = (ms(&mut times, 50), ms(&mut times, 95));
    let searched = ms(&mut searches, 50);
    let first = pairs.first().context("no pair")?;
    let other = pairs.iter().find(|(guest, host)| guest.2 == first.0.2 && host.2 != first.1.2);
    let other = other.unwrap_or(first).1.2.clone();
    let ids = (first.0.2.as_str(), first.1.2.as_str(), other.as_str());
    let known = Products::load(&Sources::of_this_system())?;
    let served = Catalog::open(&db.to_string_lossy()).await?;
    let site = pages::pages(served, known, source.clone(), ids, records).await?;
    Ok(vec![
        Measured {
            what: format!("`ask` in process, {records} certificates (median; p95 {late:.2} ms)"),
            ours: format!("{median:.2} ms"),
            other: format!("{searched:.2} ms for finding both products only"),
            ratio: median / searched.max(1e-6),
            bar: "< 5 ms",
            reached: median < 5.0,
            bound: "the search for both products; the database answers from indexes".into(),
        },
        Measured {
            what: format!("rebuild of {records} certificates from the log, every one verified"),
            ours: format!("{:.0} records/s", rate(took)),
            other: format!(
                "{signatures:.0}/s for verifying the signatures alone, on all processors"
            ),
            ratio: rate(took) / signatures,
            bar: "> 20,000 records/s",
            reached: rate(took) > 20_000.0,
            bound: format!(
                "signatures, then JSON of {} MiB and the database; reading and hashing alone goes at {:.0}/s; \
                 certificates of {WHOLE_SUITE} checks, {:.1} KiB each: {:.0} records/s",
                bytes >> 20,
                rate(walked),
                whole.bytes as f64 / 1024.0,
                whole.rate
            ),
        },
        Measured {
            what: format!("peak memory of that rebuild of {records} certificates"),
            ours: format!("{} MiB", peak >> 20),
            other: format!("{} MiB of entries in the log", bytes >> 20),
            ratio: peak as f64 / (bytes as f64).max(1.0),
            bar: "≤ 512 MiB",
            reached: peak <= 512 << 20,
            bound: "the database's cache and the batches under way; not by the log".into(),
        },
        Measured {
            what: format!("a copy of a log of {records} entries checked whole"),
            ours: format!("{:.2} s", walked.as_secs_f64()),
            other: format!("{:.2} s for `sha256sum` over the same files", hashed.as_secs_f64()),
            ratio: walked.as_secs_f64() / hashed.as_secs_f64().max(1e-6),
            bar: "≤ 1.5",
            reached: walked.as_secs_f64() <= hashed.as_secs_f64() * 1.5,
            bound: "SHA-256 and the disk; it uses all processors, sha256sum one".into(),
        },
        site,
    ])
}

/// How a log of certificates of the whole suite is taken in.
struct Whole {
    /// Bytes of an entry.
    bytes: usize,
    /// Records in a second.
    rate: f64,
}

async fn whole_suites(scratch: &Path, pairs: &[(Named, Named)], records: u64) -> Result<Whole> {
    let party = Party::init(&scratch.join("party"), "vendor.example", Algorithm::Ed25519)?;
    let folder = scratch.join("log");
    let recipe = Recipe::until_now(&party, pairs, records, WHOLE_SUITE)?;
    recipe.append(&folder, 0..records)?;
    let source = source(&party, &folder)?;
    let mut catalog = Catalog::open(&scratch.join("catalog.db").to_string_lossy()).await?;
    let began = Instant::now();
    let rebuilt = catalog.rebuild(&[source]).await?;
    let rate = records as f64 / began.elapsed().as_secs_f64();
    ensure!(rebuilt.logs.iter().all(|log| log.validations == records), "records were left out");
    Ok(Whole { bytes: recipe.one(0)?.len(), rate })
}

/// Signatures of such records that all processors together verify in a second, and nothing else.
fn signatures(party: &Party, pair: &(Named, Named)) -> Result<f64> {
    let bytes = Recipe::until_now(party, std::slice::from_ref(pair), 1, CHECKS)?.one(0)?;
    let envelope = Envelope::parse_entry(&bytes)?;
    let key = &party.public.record;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    (0..SIGNATURES)
                        .all(|_| black_box(&envelope).verify_among(std::iter::once(key)).is_ok())
                })
            })
            .collect();
        let good = all.into_iter().all(|thread| thread.join().unwrap_or(false));
        ensure!(good, "a signature of our own does not hold");
        Ok(())
    })?;
    Ok((threads as u64 * SIGNATURES) as f64 / began.elapsed().as_secs_f64())
}

/// How long `sha256sum` takes over the files of a log.
fn sha256sum(folder: &Path) -> Result<Duration> {
    let began = Instant::now();
    let command = "find \"$0\" -type f -path '*/tile/*' -print0 | xargs -0 sha256sum > /dev/null";
    let ended = Command::new("sh").args(["-c", command]).arg(folder).status()?;
    ensure!(ended.success(), "sha256sum: {ended}");
    Ok(began.elapsed())
}
