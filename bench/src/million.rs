//! A catalog of a million certificates, made once and kept in the cache folder: a log of one party with all of them, a
//! log of another with a tenth as many, and three databases: of each log, and of both.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hospitium_catalog::{Catalog, LogSource};
use hospitium_ledger::{Algorithm, Party};
use hospitium_model::{Agreement, read_agreement};
use hospitium_products::{Products, Sources};
use jiff::Timestamp;
use jiff::civil::{Date, date};

use crate::synthetic::{Named, Recipe, pairs, source};

/// Certificates, if `HOSPITIUM_BENCH_RECORDS` says nothing else.
const RECORDS: u64 = 1_000_000;
/// Checks in each.
const CHECKS: usize = 4;
/// Of so many pairs, one is never tried.
const UNTRIED: usize = 5;
/// What the cached files are: another number makes them anew.
const FORM: u32 = 1;

/// The two parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Has all of the certificates.
    Vendor,
    /// Has a tenth as many, of the same pairs.
    Partner,
}

impl Who {
    const BOTH: [Self; 2] = [Self::Vendor, Self::Partner];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vendor => "vendor.example",
            Self::Partner => "partner.example",
        }
    }
}

/// The catalog, and what it is made of.
pub struct Million {
    folder: PathBuf,
    /// Every product that is known.
    pub products: Products,
    /// Pairs with records of both parties.
    pub tried: Vec<(Named, Named)>,
    /// Pairs without any, of products that have records.
    pub untried: Vec<(Named, Named)>,
    /// Certificates of the first party.
    pub records: u64,
    parties: [Party; 2],
}

/// The day before which the certificates end, the same in every year that this is run in.
pub fn day() -> Date {
    date(2026, 6, 30)
}

fn end() -> Result<Timestamp> {
    Ok(day().to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
}

/// How many certificates.
pub fn records() -> Result<u64> {
    match std::env::var("HOSPITIUM_BENCH_RECORDS") {
        Ok(text) => text.parse().context("HOSPITIUM_BENCH_RECORDS is no number"),
        Err(_) => Ok(RECORDS),
    }
}

impl Million {
    /// Opens what is in the cache folder, or makes it: that takes some minutes and 6 GiB.
    pub async fn open() -> Result<Self> {
        let records = records()?;
        let products = Products::load(&Sources::of_this_system())?;
        let all = pairs(&products);
        ensure!(!all.is_empty(), "no products are known; install osinfo-db");
        let (mut tried, mut untried) = (Vec::new(), Vec::new());
        for (place, pair) in all.into_iter().enumerate() {
            // A number of hosts that UNTRIED divides would leave some hosts without any record.
            let is_untried = (place + place / 60) % UNTRIED == 0;
            if is_untried { &mut untried } else { &mut tried }.push(pair);
        }
        ensure!(!tried.is_empty() && !untried.is_empty(), "there are too few products");
        let folder = xtask::setup::cache()?.join(format!("bench/certificates-{records}"));
        let mark = format!("{FORM} {records} {CHECKS} {} {}\n", tried.len(), untried.len());
        let file = folder.join("made");
        if std::fs::read_to_string(&file).ok().as_deref() != Some(mark.as_str()) {
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            make(&folder, &tried, records).await?;
            std::fs::write(&file, mark).with_context(|| format!("writing {}", file.display()))?;
        }
        let party = |who: Who| Party::open(&folder.join(who.name()));
        let parties = [party(Who::Vendor)?, party(Who::Partner)?];
        Ok(Self { folder, products, tried, untried, records, parties })
    }

    /// A party with its keys.
    pub const fn party(&self, who: Who) -> &Party {
        match who {
            Who::Vendor => &self.parties[0],
            Who::Partner => &self.parties[1],
        }
    }

    /// The folder of a party's log, which stays as it is.
    pub fn log(&self, who: Who) -> PathBuf {
        self.folder.join(who.name()).join("log")
    }

    /// A party's log, with the policy that believes it.
    pub fn source(&self, who: Who) -> Result<LogSource> {
        source(self.party(who), &self.log(who))
    }

    /// The file of that policy.
    pub fn policy(&self, who: Who) -> PathBuf {
        self.folder.join(who.name()).join("policy")
    }

    /// Certificates in a party's log.
    pub const fn count(&self, who: Who) -> u64 {
        count(self.records, who)
    }

    /// What a party's log goes on with.
    pub fn recipe(&self, who: Who) -> Result<Recipe<'_>> {
        Recipe::until(end()?, self.party(who), &self.tried, self.count(who), CHECKS)
    }

    /// The database of one party's log, or of both; it stays as it is.
    pub fn database(&self, of: Option<Who>) -> PathBuf {
        database(&self.folder, of)
    }

    /// A deal of the two parties about every pair, with the terms of the example that is shipped: what each of them
    /// validated counts, and is carried to other versions.
    pub fn deal(&self) -> Result<Agreement> {
        let text = self.deal_text((usize::MAX, usize::MAX));
        read_agreement("deal", &text).context("the deal of the bench is none")
    }

    /// The same as a file's text, of so many guests and hosts at most.
    pub fn deal_text(&self, (guests, hosts): (usize, usize)) -> String {
        let ids = |side: fn(&(Named, Named)) -> &Named, most: usize| {
            let mut ids: Vec<String> =
                self.tried.iter().map(|pair| format!("{:?}", side(pair).1)).collect();
            ids.sort();
            ids.dedup();
            ids.truncate(most);
            ids.join(", ")
        };
        let (guests, hosts) = (ids(|pair| &pair.0, guests), ids(|pair| &pair.1, hosts));
        let mut text = "format = 1\nid = \"bench\"\ntitle = \"A deal of two\"\nsummary = \"Made for a bench\"\n\
                        made = 2020-01-01\n"
            .to_owned();
        for who in Who::BOTH {
            let name = who.name();
            text += &format!("[[party]]\nname = {name:?}\ntitle = {name:?}\n");
        }
        for who in Who::BOTH {
            let name = who.name();
            text += &format!(
                "[[clause]]\nid = \"of-{}\"\nparty = {name:?}\nguests = [{guests}]\nhosts = [{hosts}]\n\
                 within = \"12 months\"\nlater = {{ guests = \"none\", hosts = \"none\" }}\n",
                name.split('.').next().unwrap_or_default()
            );
        }
        text + "[validity]\n\
                until = \"min(max(validated + 12 months, next-version + 9 months), guest-end-of-life, host-end-of-life)\"\n\
                carry-forward = { guests = \"major\", hosts = \"major\", down-level = false }\n\
                [validation]\nstrength = 0\ncosigners = 0\n\
                [[exclusion]]\nwhat = \"USB disks\"\nwords = \"Disks on USB are left out.\"\nbuses = [\"usb\"]\n"
    }
}

const fn count(records: u64, who: Who) -> u64 {
    match who {
        Who::Vendor => records,
        Who::Partner => records.div_ceil(10),
    }
}

fn database(folder: &Path, of: Option<Who>) -> PathBuf {
    folder.join(match of {
        Some(who) => format!("{}.db", who.name()),
        None => "both.db".to_owned(),
    })
}

async fn make(folder: &Path, tried: &[(Named, Named)], records: u64) -> Result<()> {
    println!("Making {records} certificates in {}, once", folder.display());
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut sources = Vec::new();
    for who in Who::BOTH {
        let home = folder.join(who.name());
        let party = Party::init(&home, who.name(), Algorithm::Ed25519)?;
        std::fs::write(home.join("policy"), party.public.policy())?;
        let log = home.join("log");
        let count = count(records, who);
        Recipe::until(end()?, &party, tried, count, CHECKS)?.append(&log, 0..count)?;
        sources.push((Some(who), vec![source(&party, &log)?]));
    }
    let both = sources.iter().flat_map(|(_, sources)| sources.clone()).collect();
    sources.push((None, both));
    for (of, sources) in sources {
        let file = database(folder, of);
        println!("Making {}", file.display());
        let mut catalog = Catalog::open(&file.to_string_lossy()).await?;
        let rebuilt = catalog.rebuild(&sources).await?;
        ensure!(rebuilt.logs.iter().all(|log| log.refused == 0), "records were left out");
    }
    Ok(())
}

/// Copies a folder or a database with the files beside it, in place of what was there.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        std::fs::remove_dir_all(to)?;
    }
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    for ending in ["", "-wal", "-shm"] {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (from, to) = (beside(from), beside(to));
        if ending.is_empty() || from.exists() {
            // It copies a log of 100,000 small files without a word of ours for each.
            let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status();
            ensure!(copied.context("running cp")?.success(), "{} is not copied", from.display());
        } else if to.exists() {
            std::fs::remove_file(&to)?;
        }
    }
    Ok(())
}
