//! Synthetic certificates: every pair of some products is tried once a night, and one run in fifty fails. The same
//! recipe makes the same certificates, but for the keys that sign them.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use hospitium_catalog::LogSource;
use hospitium_catalog::sample::Sample;
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{Log, LogFolder, Party, Policy};
use hospitium_products::{ProductKind, Products};
use jiff::{Timestamp, ToSpan as _};

/// Records that are signed and appended at once.
const AT_ONCE: u64 = 10_000;
/// Products of each kind that are tried, at most.
const PRODUCTS: usize = 60;

/// Name, product id and short id.
pub type Named = (String, String, String);

/// Guests on hosts, as many as there are products with clear short ids.
pub fn pairs(products: &Products) -> Vec<(Named, Named)> {
    let of = |kind| -> Vec<Named> {
        let clear = products.iter().filter(|p| p.kind == kind && p.edition.is_none());
        clear
            .filter(|p| {
                let found = products.search_kind(p.short(), Some(kind));
                found.decided && found.candidates.first().is_some_and(|c| c.product.id == p.id)
            })
            .map(|p| (p.name.clone(), p.id.to_string(), p.short().to_owned()))
            .take(PRODUCTS)
            .collect()
    };
    let guests = of(ProductKind::Guest);
    let hosts = of(ProductKind::Host);
    guests
        .iter()
        .flat_map(|guest| hosts.iter().map(move |host| (guest.clone(), host.clone())))
        .collect()
}

/// A party's log, trusted with the party's own keys.
pub fn source(party: &Party, folder: &Path) -> Result<LogSource> {
    Ok(LogSource {
        folder: LogFolder::new(folder),
        policy: Policy::parse("policy", party.public.policy().as_bytes())?,
    })
}

/// What the certificates of a log are made from.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// Who signs them.
    pub party: &'a Party,
    /// What is tried every night.
    pub pairs: &'a [(Named, Named)],
    /// The first night.
    pub start: Timestamp,
    /// Checks in each certificate.
    pub checks: usize,
}

impl<'a> Recipe<'a> {
    /// So many records, the last of them of last night.
    pub fn until_now(
        party: &'a Party,
        pairs: &'a [(Named, Named)],
        records: u64,
        checks: usize,
    ) -> Result<Self> {
        Self::until(Timestamp::now(), party, pairs, records, checks)
    }

    /// So many records, the last of them of the night before this time.
    pub fn until(
        end: Timestamp,
        party: &'a Party,
        pairs: &'a [(Named, Named)],
        records: u64,
        checks: usize,
    ) -> Result<Self> {
        let nights = i64::try_from(records.div_ceil((pairs.len() as u64).max(1)))?;
        let start = end.checked_sub((nights * 24).hours())?;
        Ok(Self { party, pairs, start, checks })
    }

    /// Signs and appends the records of these numbers.
    pub fn append(&self, folder: &Path, numbers: Range<u64>) -> Result<()> {
        let mut log = Log::open(folder, self.party)?;
        let mut next = numbers.start;
        while next < numbers.end {
            let until = (next + AT_ONCE).min(numbers.end);
            let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
            let share = (until - next).div_ceil(threads).max(1);
            let made: Result<Vec<Vec<Vec<u8>>>> = std::thread::scope(|scope| {
                let shares: Vec<_> = (next..until)
                    .step_by(usize::try_from(share)?)
                    .map(|from| {
                        scope.spawn(move || {
                            let numbers = from..(from + share).min(until);
                            numbers.map(|n| self.one(n)).collect::<Result<Vec<_>>>()
                        })
                    })
                    .collect();
                let join = |share: std::thread::ScopedJoinHandle<'_, Result<Vec<Vec<u8>>>>| {
                    share.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
                };
                shares.into_iter().map(join).collect()
            });
            log.append(&made?.concat())?;
            next = until;
        }
        Ok(())
    }

    /// The record of this number, signed.
    pub fn one(&self, n: u64) -> Result<Vec<u8>> {
        let pairs = self.pairs.len().max(1) as u64;
        let (night, at) = (n / pairs, n % pairs);
        let (guest, host) = self.pairs.get(usize::try_from(at)?).context("no pair")?;
        let ended = self.start.checked_add((i64::try_from(night)? * 24).hours())?;
        let ended = ended.checked_add(i64::try_from(at)?.seconds())?;
        let party = self.party.public.name.as_str();
        let sample = Sample {
            passed: !n.is_multiple_of(50),
            run: format!("run-{n}"),
            checks: self.checks,
            ..Sample::new(party, (&guest.0, &guest.1), (&host.0, &host.1), ended)
        };
        let statement = sample.statement().context("no statement")?;
        Ok(Envelope::sign(statement.to_bytes()?, &[&self.party.record]).to_bytes())
    }
}
