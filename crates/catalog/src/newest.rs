//! Of each machine configuration of a pair, what was said of it last. Only that decides (the rule is
//! `hospitium_plan::obligation::speaking`), and a pair that is tried every night has thousands of
//! records: reading them all for each answer would be nearly all of its time.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_model::standing::{AssuredBy, Deed};
use hospitium_plan::obligation::{Endorsed, Trial};
use jiff::civil::Date;
use sqlx::Row as _;

use crate::doubt::Doubts;
use crate::pair::{Judged, Stands};
use crate::record::{Stored, end_of};
use crate::store::{COLUMNS, stored};
use crate::{Catalog, CatalogError};

/// A guest and a host, by their numbers among the subjects.
pub type Pair = (i64, i64);

/// Pairs in one statement.
const PAIRS: usize = 64;
/// Records of a machine that are looked at for one that counts, at most.
const LOOKED_AT: i64 = 512;
/// By how much more is read of a pair where nothing that was read counts.
const FURTHER: i64 = 8;
/// Rows of one pair, at most, and of one statement: a machine that is tried with one guest on one host in
/// every way that covers the usual machine at strength 3 has 149 (docs/covering.md). Where there are more,
/// that is said, and nothing of the pair is called validated.
#[cfg(not(test))]
const ROWS: usize = 16_384;
#[cfg(test)]
const ROWS: usize = 1100;

/// Records of each machine that are read at first, with all others of their days, where they are to be
/// told from each other only: the newest run.
pub const SPEAKING: i64 = 1;
/// The same for an answer: of the certificates before the newest run's, which are valid for months, one
/// may cover more.
pub const DECIDING: i64 = 4;

/// The newest first; of one day, what stands further on in a log.
pub fn in_order(mut judged: Vec<Judged>) -> Vec<Judged> {
    judged.sort_by(|a, b| {
        let key = |j: &Judged| (j.record.validated, j.record.entry);
        key(b).cmp(&key(a)).then_with(|| a.record.log.cmp(&b.record.log))
    });
    judged
}

/// What was said last of pairs.
#[derive(Debug, Default)]
pub struct Last {
    /// Of each, the newest first.
    pub judged: BTreeMap<Pair, Vec<Judged>>,
    /// Those of which there is more that may decide than was looked at.
    pub cut: BTreeSet<Pair>,
}

impl Last {
    /// What was said of these pairs together, and whether there is more.
    pub fn of(&mut self, pairs: &[Pair]) -> (Vec<Judged>, bool) {
        let cut = pairs.iter().any(|pair| self.cut.contains(pair));
        let judged = pairs.iter().filter_map(|pair| self.judged.remove(pair)).flatten();
        let mut judged = in_order(judged.collect());
        drop_disagreeing(&mut judged);
        bear_out(&mut judged);
        (judged, cut)
    }
}

/// Drops the endorsements of parties that have said since, by their newest records of the pair, that it failed.
fn drop_disagreeing(judged: &mut [Judged]) {
    let mut failed: Vec<(String, String, String, u64, Date)> = Vec::new();
    for Judged { record, .. } in judged.iter().filter(|of| of.counts() && !of.record.passed()) {
        let newer = |of: &Judged| {
            of.record.party == record.party
                && of.record.arch == record.arch
                && of.counts()
                && of.record.validated > record.validated
        };
        if !judged.iter().any(newer) {
            let Stored { party, arch, log, entry, validated, .. } = record;
            failed.push((party.clone(), arch.clone(), log.clone(), *entry, *validated));
        }
    }
    for Judged { record, .. } in judged.iter_mut().filter(|of| !of.record.endorsed.is_empty()) {
        let arch = &record.arch;
        record.endorsed.retain(|by| {
            !failed.iter().any(|(party, of_arch, log, entry, day)| {
                *party == by.party
                    && of_arch == arch
                    && Endorsed::is_before(&by.at, by.known, (log, *entry, *day))
            })
        });
    }
}

/// What of a record decides whether its party agrees with another's.
struct Agrees {
    party: String,
    arch: String,
    validated: Date,
    emulated: bool,
    /// The profile, if it names one and holds.
    profile: Option<String>,
    at: String,
}

impl Agrees {
    fn of(Judged { record, stands }: &Judged) -> Self {
        let Stored { party, arch, validated, emulated, .. } = record;
        let (party, arch, at) = (party.clone(), arch.clone(), record.place());
        let profile = record.detail.profile.clone().filter(|_| matches!(stands, Stands::Valid));
        Self { party, arch, validated: *validated, emulated: *emulated, profile, at }
    }
}

/// Works out how far others bear out each record of a pair, by all that is said of the pair: who repeated other machines
/// of the same run, and whose own newest records of it hold.
fn bear_out(judged: &mut [Judged]) {
    let mut repeated: Vec<(String, Trial)> = Vec::new();
    for Judged { record, .. } in judged.iter().filter(|of| of.counts() && of.record.passed()) {
        let by = record.endorsed.iter().filter(|by| by.repeated);
        repeated.extend(by.map(|by| (by.party.clone(), record.trial())));
    }
    let mut of_parties: BTreeMap<String, Vec<Agrees>> = BTreeMap::new();
    for of in judged.iter().filter(|of| of.counts()).map(Agrees::of) {
        of_parties.entry(of.party.clone()).or_default().push(of);
    }
    for Judged { record, .. } in judged.iter_mut().filter(|of| of.record.passed()) {
        let mut own: Vec<AssuredBy> = Vec::new();
        for (party, said) in of_parties.iter().filter(|(party, _)| **party != record.party) {
            // What was emulated says nothing of what ran on hardware.
            let speaks = |of: &&Agrees| of.arch == record.arch && (record.emulated || !of.emulated);
            let Some(day) = said.iter().filter(speaks).map(|of| of.validated).max() else {
                continue;
            };
            let mut newest = said.iter().filter(speaks).filter(|of| of.validated == day);
            // By the same profile: a record of one check bears out no other.
            let same = |of: &Agrees| of.profile.is_some() && of.profile == record.detail.profile;
            if let (true, Some(first)) = (newest.clone().all(same), newest.next()) {
                let (party, at) = (party.clone(), first.at.clone());
                own.push(AssuredBy { deed: Deed::Validated, party, at, part: None });
            }
        }
        record.assure(&repeated, own);
    }
}

impl Catalog {
    /// The pairs of these guests with these hosts of which there is a record, all of them: the newest
    /// record may be of any.
    pub(crate) async fn met(
        &self,
        guests: &[i64],
        hosts: &[i64],
    ) -> Result<Vec<Pair>, CatalogError> {
        // Two names: whether there is a record, shows when it is looked for.
        if let ([guest], [host]) = (guests, hosts) {
            return Ok(vec![(*guest, *host)]);
        }
        let wanted: BTreeSet<i64> = hosts.iter().copied().collect();
        let mut met = Vec::new();
        for guest in guests {
            let hosts = self.partners("guest", *guest).await?;
            met.extend(hosts.into_iter().filter(|host| wanted.contains(host)).map(|h| (*guest, h)));
        }
        Ok(met)
    }

    /// How what was said last of these pairs stands, of each machine in each log by itself: all records of
    /// the last days on which there are so many. Whole days: which of two runs of a day is the newer, its
    /// time does not decide, and a run may have tried a machine with several images of a product. Where
    /// nothing that was said of a machine counts, it is looked for further back. Each pair's come newest first.
    pub(crate) async fn judged(
        &self,
        pairs: &[Pair],
        as_of: Date,
        mut so_many: i64,
        doubts: &Doubts,
    ) -> Result<Last, CatalogError> {
        let mut last = Last::default();
        let mut wanted: Vec<Pair> = pairs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        while !wanted.is_empty() {
            let mut further = Vec::new();
            let mut chunks: Vec<&[Pair]> = wanted.chunks(PAIRS).collect();
            while let Some(some) = chunks.pop() {
                let (said, more) = self.last_said(some, as_of, so_many, doubts).await?;
                if let (true, [_, _, ..]) = (more, some) {
                    // What one has too many of is not to be missing of another.
                    let (one, other) = some.split_at(some.len() / 2);
                    chunks.extend([one, other]);
                    continue;
                }
                last.cut.extend(some.iter().filter(|_| more));
                for (pair, of_machines) in said {
                    let unsettled = |said: &Vec<Judged>| {
                        said.len() >= usize::try_from(so_many).unwrap_or(usize::MAX)
                            && !said.iter().any(Judged::counts)
                    };
                    if of_machines.values().any(unsettled) {
                        if so_many < LOOKED_AT {
                            further.push(pair);
                            continue;
                        }
                        last.cut.insert(pair);
                    }
                    let all = of_machines.into_values().flatten().collect();
                    last.judged.insert(pair, in_order(all));
                }
            }
            wanted = further;
            so_many = so_many.saturating_mul(FURTHER).min(LOOKED_AT);
        }
        Ok(last)
    }

    /// The records of each machine of these pairs, so far back; and whether there are more of them than are
    /// read, of which the newest are given.
    async fn last_said(
        &self,
        pairs: &[Pair],
        as_of: Date,
        so_many: i64,
        doubts: &Doubts,
    ) -> Result<(BTreeMap<Pair, BTreeMap<i64, Vec<Judged>>>, bool), CatalogError> {
        // Of one length or another, so that the database knows the statement from the last time. No
        // subject has the number that fills it up.
        let length = if pairs.len() == 1 { 1 } else { PAIRS };
        let filled = pairs.iter().copied().chain(std::iter::repeat((-1, -1))).take(length);
        let mark = |at: usize| format!("(${}, ${})", 2 * at + 4, 2 * at + 5);
        let marks: Vec<String> = (0..length).map(mark).collect();
        // Both databases name the columns of VALUES so. A day has 86,400 s.
        let sql = format!(
            "{COLUMNS}, r.guest, r.host, r.machine FROM (VALUES {}) AS p \
             JOIN machines m ON m.guest = p.column1 AND m.host = p.column2 \
             JOIN records r ON r.machine = m.id AND r.known <= $1 AND r.ended >= COALESCE(\
             (SELECT e.ended / 86400 * 86400 FROM records e WHERE e.machine = m.id \
             AND e.known <= $1 ORDER BY e.ended DESC LIMIT 1 OFFSET $2), -9223372036854775807) \
             JOIN logs l ON l.id = r.log JOIN subjects g ON g.id = r.guest \
             JOIN subjects h ON h.id = r.host ORDER BY r.ended DESC, r.entry DESC LIMIT $3",
            marks.join(", ")
        );
        let mut query = sqlx::query(&sql).bind(end_of(as_of)).bind(so_many - 1);
        query = query.bind(i64::try_from(ROWS).unwrap_or(i64::MAX).saturating_add(1));
        for (guest, host) in filled {
            query = query.bind(guest).bind(host);
        }
        let failed = || CatalogError::database("find what was said last of a pair");
        let mut rows = query.fetch_all(&self.pool).await.map_err(failed())?;
        let more = rows.len() > ROWS;
        rows.truncate(ROWS);
        let records = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        let notices = self.notices_of(&records.iter().collect::<Vec<_>>()).await?;
        let mut said: BTreeMap<Pair, BTreeMap<i64, Vec<Judged>>> = BTreeMap::new();
        for (row, mut record) in rows.iter().zip(records) {
            notices.complete(&mut record, as_of, doubts);
            let number = |column: usize| row.try_get::<i64, _>(column).map_err(failed());
            let (pair, machine) = ((number(17)?, number(18)?), number(19)?);
            let stands = notices.stands(&record, as_of);
            let of_machine = said.entry(pair).or_default().entry(machine).or_default();
            of_machine.push(Judged { record, stands });
        }
        Ok((said, more))
    }
}
