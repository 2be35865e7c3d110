//! Requests to a served catalog at a fixed rate, whether the ones before were answered or not, while new entries are
//! copied and taken in and a run is followed; and the most memory that the server has meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_catalog::Catalog;
use hospitium_ledger::{Bounds, LogFolder, pull};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::million::{Million, Who, copy, day};
use crate::run::Written;
use crate::served::{Served, text};
use crate::synthetic::source;
use crate::times::Times;
use crate::{Measured, http, page};

/// Requests in a second.
const RATE: u32 = 200;
/// For how long.
const SECONDS: u32 = 20;
/// How often new entries come, and how many.
const SYNC: Duration = Duration::from_secs(2);
const NEW: u64 = 200;
/// Guests and hosts that the deal is about.
const DEAL: (usize, usize) = (12, 8);
/// Browsers that follow the run.
const FOLLOWERS: usize = 4;

/// Serves and asks; writes the numbers into the page.
pub fn run() -> Result<()> {
    let hospitium = xtask::build()?;
    let scratch = xtask::setup::cache()?.join("bench/requests");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&hospitium, &scratch))?;
    std::fs::remove_dir_all(&scratch)?;
    page::show(&measured);
    page::write("requests", &measured, None)
}

async fn measure(hospitium: &Path, scratch: &Path) -> Result<Vec<Measured>> {
    let million = Arc::new(Million::open().await?);
    if scratch.exists() {
        std::fs::remove_dir_all(scratch)?;
    }
    std::fs::create_dir_all(scratch)?;
    let (db, deal, runs) =
        (scratch.join("both.db"), scratch.join("deal.toml"), scratch.join("runs"));
    let (published, copied) = (scratch.join("published"), scratch.join("copy"));
    copy(&million.database(None), &db)?;
    copy(&million.log(Who::Partner), &published)?;
    copy(&million.log(Who::Partner), &copied)?;
    std::fs::write(&deal, million.deal_text(DEAL))?;
    let run = Written::begin(&runs.join("live"))?;
    let as_of = day().to_string();
    let (vendor, ours, theirs) =
        (million.log(Who::Vendor), million.policy(Who::Vendor), million.policy(Who::Partner));
    let arguments = [
        "--db",
        text(&db)?,
        "--log",
        text(&vendor)?,
        "--log",
        text(&copied)?,
        "--policy",
        text(&ours)?,
        "--policy",
        text(&theirs)?,
        "--agreement",
        text(&deal)?,
        "--runs",
        text(&runs)?,
        "--as-of",
        &as_of,
    ];
    let served = Served::start(hospitium, &arguments)?;
    let paths = Arc::new(paths(&million, &served.address).await?);
    let idle = asked(&served.address, &paths, SECONDS / 4).await?;

    let (end, ended) = watch::channel(false);
    let following: Vec<_> = (0..FOLLOWERS)
        .map(|_| tokio::spawn(followed(served.address.clone(), ended.clone())))
        .collect();
    let writing = tokio::spawn(run.until(ended.clone()));
    let syncing = tokio::spawn(synced(Arc::clone(&million), db, published, copied, ended));
    let times = asked(&served.address, &paths, SECONDS).await?;
    end.send_replace(true);
    writing.await??;
    let syncs = syncing.await??;
    let mut told = 0;
    for following in following {
        told += following.await??;
    }
    ensure!(
        told > 0 && syncs > 0,
        "{told} bytes of the run, {syncs} syncs: nothing went on beside"
    );
    let peak = served.peak_memory()?;
    let (p50, p99, p99_idle) = (times.median(), times.percentile(99), idle.percentile(99));
    let records = million.records + million.count(Who::Partner);
    Ok(vec![
        Measured {
            what: format!(
                "{RATE} requests a second for {SECONDS} s to `hospitium serve` with {records} certificates and a deal \
                 about {} pairs, p99 of {} (median {p50:.1} ms), while {NEW} entries are copied and taken in every {} s and {FOLLOWERS} \
                 browsers follow a run",
                DEAL.0 * DEAL.1,
                times.len(),
                SYNC.as_secs()
            ),
            ours: format!("{p99:.1} ms"),
            other: format!(
                "{p99_idle:.1} ms with nothing else going on (median {:.1} ms)",
                idle.median()
            ),
            ratio: p99 / p99_idle.max(1e-6),
            bar: "< 50 ms",
            reached: p99 < 50.0,
            bound: "the CPUs, which the requests share with the sync and with who asks".into(),
        },
        Measured {
            what: format!("peak memory of that server, {records} certificates"),
            ours: format!("{} MiB", peak >> 20),
            other: "200 MiB".into(),
            ratio: peak as f64 / f64::from(200 << 20),
            bar: "≤ 200 MiB",
            reached: peak <= 200 << 20,
            bound: "products, and the cache of each of the database's connections".into(),
        },
    ])
}

/// What is asked for: questions most of all, then pages.
async fn paths(million: &Million, address: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for number in 0..60 {
        let pair = |pairs: &[_], at: usize| -> Result<(String, String)> {
            let (guest, host): &(crate::synthetic::Named, crate::synthetic::Named) =
                pairs.get(at * 7919 % pairs.len().max(1)).context("no pair")?;
            Ok((guest.2.clone(), host.2.clone()))
        };
        let (guest, host) = pair(&million.tried, number)?;
        let (near_guest, near_host) = pair(&million.untried, number)?;
        let question = |guest: &str, host: &str| format!("{guest} on {host}").replace(' ', "+");
        paths.extend([
            format!("/api/v1/ask?q={}", question(&guest, &host)),
            format!("/api/v1/ask?q={}", question(&near_guest, &near_host)),
            format!("/pairs/{guest}/{host}"),
            format!("/products/{guest}"),
            format!("/search?q={}", question(&guest, &host)),
            "/certificates".to_owned(),
            "/".to_owned(),
        ]);
    }
    // What is no page here is not measured.
    let mut sound = Vec::new();
    for path in &paths {
        if http::get(address, path, "").await?.status == 200 {
            sound.push(path.clone());
        }
    }
    ensure!(
        sound.len() * 10 >= paths.len() * 9,
        "only {} of {} pages are there",
        sound.len(),
        paths.len()
    );
    Ok(sound)
}

/// Asks at the fixed rate: each time is counted from when the request was due.
async fn asked(address: &str, paths: &Arc<Vec<String>>, seconds: u32) -> Result<Times> {
    let begin = Instant::now();
    let mut asking = Vec::new();
    for number in 0..RATE * seconds {
        let due = begin + Duration::from_secs(1) * number / RATE;
        tokio::time::sleep_until(due.into()).await;
        let (address, paths) = (address.to_owned(), Arc::clone(paths));
        asking.push(tokio::spawn(async move {
            let place = usize::try_from(number)? * 31 % paths.len().max(1);
            let path = paths.get(place).context("no page")?;
            http::page(&address, path).await?;
            Ok::<_, anyhow::Error>(due.elapsed())
        }));
    }
    let mut times = Times::default();
    for asking in asking {
        times.push(asking.await??);
    }
    Ok(times)
}

/// Follows the run as its page does. Gives how many bytes came.
async fn followed(address: String, mut ended: watch::Receiver<bool>) -> Result<u64> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(&address).await?;
    let request = format!("GET /runs/live/events HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut told, mut chunk) = (0, vec![0; 1 << 14]);
    loop {
        tokio::select! {
            got = stream.read(&mut chunk) => match got? {
                0 => return Ok(told),
                got => told += got as u64,
            },
            () = async { drop(ended.wait_for(|ended| *ended).await) } => return Ok(told),
        }
    }
}

/// New entries of the partner: appended to its log, copied from there, and taken in. Gives how often.
async fn synced(
    million: Arc<Million>,
    db: std::path::PathBuf,
    published: std::path::PathBuf,
    copied: std::path::PathBuf,
    mut ended: watch::Receiver<bool>,
) -> Result<u32> {
    let mut catalog = Catalog::open(&db.to_string_lossy()).await?;
    let mut next = million.count(Who::Partner);
    let mut rounds = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(SYNC) => {}
            () = async { drop(ended.wait_for(|ended| *ended).await) } => return Ok(rounds),
        }
        let from = source(million.party(Who::Partner), &published)?;
        let to = LogFolder::new(&copied);
        let worker = Arc::clone(&million);
        let (published, copied) = (published.clone(), copied.clone());
        let until = next + NEW;
        let pulled = tokio::task::spawn_blocking(move || {
            worker.recipe(Who::Partner)?.append(&published, next..until)?;
            let bounds = Bounds::default();
            let now = Timestamp::now();
            pull(&copied, &from.folder, &from.policy, now, bounds, &mut |_, _| {})?;
            Ok::<_, anyhow::Error>(from.policy)
        });
        let policy = pulled.await??;
        next = until;
        let vendor = million.source(Who::Vendor)?.look(Timestamp::now());
        let partner = hospitium_catalog::LogSource { folder: to, policy }.look(Timestamp::now());
        let taken = catalog.take_in(vec![vendor, partner], Timestamp::now()).await?;
        let came: u64 = taken.logs.iter().map(|log| log.validations).sum();
        ensure!(came == NEW, "{came} of {NEW} entries came in");
        rounds += 1;
    }
}
