//! What new entries cost a catalog: at once many, and a few, with none, some and a million entries in it already.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hospitium_catalog::Catalog;
use jiff::Timestamp;

use crate::million::{Million, Who, copy};
use crate::synthetic::source;
use crate::{Measured, page};

/// Entries that come at once.
const MANY: u64 = 20_000;
/// Entries that come where little was said.
const FEW: u64 = 100;
/// How often few come.
const TIMES: u64 = 5;

/// How long they took.
struct Took {
    before: u64,
    many: Duration,
    few: Duration,
}

/// Takes in; writes the numbers into the page.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure())?;
    page::show(&measured);
    page::write("take-in", &measured, None)
}

async fn measure() -> Result<Vec<Measured>> {
    let million = Million::open().await?;
    let scratch = xtask::setup::cache()?.join("bench/take-in");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let mut all = Vec::new();
    for (who, filled) in [(Who::Partner, false), (Who::Partner, true), (Who::Vendor, true)] {
        let took = taken(&million, &scratch, who, filled).await?;
        println!(
            "{:>8} entries before: {MANY} in {:.2} s, {:.0}/s; {FEW} in {:.1} ms",
            took.before,
            took.many.as_secs_f64(),
            rate(took.many),
            took.few.as_secs_f64() * 1e3
        );
        all.push(took);
    }
    std::fs::remove_dir_all(&scratch)?;
    let [first, some, most] = all.as_slice() else { anyhow::bail!("not three sizes") };
    let slowest = all.iter().map(|took| rate(took.many)).fold(f64::INFINITY, f64::min);
    let grown = most.few.as_secs_f64() / some.few.as_secs_f64().max(1e-9);
    Ok(vec![
        Measured {
            what: format!(
                "{MANY} new entries taken in, every one verified: the slowest of catalogs with {}, {} and {} entries",
                first.before, some.before, most.before
            ),
            ours: format!("{slowest:.0} entries/s"),
            other: format!("{:.0} entries/s into the empty one", rate(first.many)),
            ratio: slowest / rate(first.many),
            bar: "> 10,000 entries/s",
            reached: slowest > 10_000.0,
            bound: "signatures, then the rows and their indexes in the database".into(),
        },
        Measured {
            what: format!(
                "{FEW} new entries taken in with {} entries there, to the same with {} there (median of {TIMES})",
                most.before, some.before
            ),
            ours: format!("{:.1} ms", most.few.as_secs_f64() * 1e3),
            other: format!("{:.1} ms", some.few.as_secs_f64() * 1e3),
            ratio: grown,
            bar: "≤ 2",
            reached: grown <= 2.0,
            bound: "pages of the database's indexes, of which a larger catalog touches more".into(),
        },
    ])
}

fn rate(time: Duration) -> f64 {
    MANY as f64 / time.as_secs_f64().max(1e-9)
}

async fn taken(million: &Million, scratch: &Path, who: Who, filled: bool) -> Result<Took> {
    let (log, db) = (scratch.join("log"), scratch.join("catalog.db"));
    let before = if filled { million.count(who) } else { 0 };
    match filled {
        true => {
            copy(&million.log(who), &log)?;
            copy(&million.database(Some(who)), &db)?;
        }
        false => std::fs::create_dir_all(&log)?,
    }
    let recipe = million.recipe(who)?;
    let mut catalog = Catalog::open(&db.to_string_lossy()).await?;
    let mut next = before;
    let mut steps = Vec::new();
    for count in std::iter::once(MANY).chain(std::iter::repeat_n(FEW, TIMES as usize)) {
        recipe.append(&log, next..next + count)?;
        next += count;
        let began = Instant::now();
        let looked = source(million.party(who), &log)?.look(Timestamp::now());
        let taken = catalog.take_in(vec![looked], Timestamp::now()).await?;
        steps.push(began.elapsed());
        let came: u64 = taken.logs.iter().map(|log| log.validations).sum();
        let known: u64 = taken.logs.iter().map(|log| log.known).sum();
        ensure!(came == count && known == next - count, "{came} of {count} entries came in");
    }
    drop(catalog);
    let (many, few) = steps.split_at(1);
    let mut few = few.to_vec();
    few.sort();
    let few = few.get(few.len() / 2).copied().unwrap_or_default();
    let took = Took { before, many: many.iter().sum(), few };
    std::fs::remove_dir_all(&log)?;
    for ending in ["", "-wal", "-shm"] {
        let file = scratch.join(format!("catalog.db{ending}"));
        if file.exists() {
            std::fs::remove_file(file)?;
        }
    }
    Ok(took)
}
