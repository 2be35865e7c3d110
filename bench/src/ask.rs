//! How long a question takes in process over a million certificates, by kind of question, and how much longer where a
//! deal of two parties decides.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hospitium_catalog::{Catalog, Desk, Reply, Word};
use hospitium_model::Agreement;

use crate::million::{Million, Who, day};
use crate::times::Times;
use crate::{Measured, page};

/// Questions of each kind.
const EACH: usize = 250;

/// The kinds.
const KINDS: [&str; 4] = ["hit", "near miss", "unknown", "excluded by a deal"];

/// What was measured of one kind, and of all.
struct Asked {
    kinds: Vec<Times>,
    all: Times,
}

/// Asks with and without a deal; writes the numbers into the page.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure())?;
    page::show(&measured);
    page::write("ask", &measured, None)
}

async fn measure() -> Result<Vec<Measured>> {
    let million = Million::open().await?;
    let deal = [million.deal()?];
    let alone = asked(&million, Some(Who::Vendor), &[]).await?;
    let under = asked(&million, None, &deal).await?;
    let (mut slowest, mut more) = ((0.0, ""), (f64::MIN, ""));
    for ((kind, one), other) in KINDS.iter().zip(&alone.kinds).zip(&under.kinds) {
        let (one_ms, other_ms) = (one.median(), other.median());
        println!(
            "{kind:>20}: {one_ms:.2} ms, p99 {:.2} ms; with the deal {other_ms:.2} ms, p99 {:.2} ms",
            one.percentile(99),
            other.percentile(99)
        );
        if one_ms > slowest.0 {
            slowest = (one_ms, kind);
        }
        if other_ms - one_ms > more.0 {
            more = (other_ms - one_ms, kind);
        }
    }
    let (records, all) = (million.records, alone.all.len());
    let (median, median_under) = (alone.all.median(), under.all.median());
    Ok(vec![
        Measured {
            what: format!(
                "`ask` in process, {records} certificates, {all} questions of {} kinds: the kind with the longest \
                 median, {}",
                KINDS.len(),
                slowest.1
            ),
            ours: format!("{:.2} ms", slowest.0),
            other: format!("{median:.2} ms for all of them (p99 {:.2} ms)", alone.all.percentile(99)),
            ratio: slowest.0 / median.max(1e-6),
            bar: "< 2 ms",
            reached: slowest.0 < 2.0,
            bound: "the search for both products, and the search for near pairs where the pair is not validated"
                .into(),
        },
        Measured {
            what: format!(
                "the same with a second log of {} certificates and a deal of both parties about every pair: the kind \
                 with the largest difference, {}",
                million.count(Who::Partner),
                more.1
            ),
            ours: format!("{:.2} ms more", more.0),
            other: format!(
                "{median_under:.2} ms for all of them (p99 {:.2} ms)",
                under.all.percentile(99)
            ),
            ratio: median_under / median.max(1e-6),
            bar: "< 1 ms more",
            reached: more.0 < 1.0,
            bound: "the terms of each obligation, and the records of other versions that are carried to the pair".into(),
        },
    ])
}

async fn asked(million: &Million, of: Option<Who>, deals: &[Agreement]) -> Result<Asked> {
    let file = million.database(of);
    let catalog = Catalog::open(&file.to_string_lossy()).await?;
    let desk = Desk::new(&catalog, &million.products, deals, day()).await?;
    let (mut kinds, mut all) = (Vec::new(), Times::default());
    for kind in KINDS {
        let mut times = Times::default();
        for number in 0..EACH {
            let question = question(million, kind, number)?;
            let began = Instant::now();
            let reply = desk.ask(&question).await?;
            times.push(began.elapsed());
            ensure!(fits(&reply, kind, deals), "{question} ({kind}) is answered otherwise");
        }
        all.extend(&times);
        kinds.push(times);
    }
    Ok(Asked { kinds, all })
}

fn question(million: &Million, kind: &str, number: usize) -> Result<String> {
    let pairs = if kind == "near miss" { &million.untried } else { &million.tried };
    let (guest, host) = pairs.get(number * 7919 % pairs.len()).context("no pair")?;
    Ok(match kind {
        "unknown" => format!("nosuchsystem {number} on {}", host.2),
        "excluded by a deal" => format!("{} on {}, usb", guest.2, host.2),
        _ => format!("{} on {}, 4 vcpu, 8 GiB", guest.2, host.2),
    })
}

/// Whether it is what such a question is to be answered with: else another thing is measured.
fn fits(reply: &Reply, kind: &str, deals: &[Agreement]) -> bool {
    let Reply::Answer(answer) = reply else { return kind == "unknown" };
    match kind {
        "hit" => answer.verdict != Word::Unknown,
        "near miss" => answer.certificate.is_none() || !deals.is_empty(),
        "unknown" => answer.verdict == Word::Unknown,
        _ => (answer.verdict == Word::Excluded) != deals.is_empty(),
    }
}
