//! What was said of records later: suspensions and withdrawals, of many records at once. To ask for each
//! record takes longer than everything else in an answer.

use std::collections::{HashMap, HashSet};

use hospitium_ledger::{NoticeDays, NoticeKind, in_force};
use jiff::civil::Date;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::doubt::Doubts;
use crate::pair::{Stands, stands};
use crate::record::{EndorsedBy, IssueOf, NoticeRow, OfUnknownKind, Stored, day, last_day};
use crate::{Catalog, CatalogError};

/// Records in one query: as many as a page of the API has. Two values for each stay below both databases'
/// bounds on parameters.
const RECORDS: usize = 500;

/// What was said of records later, and what became of what they rest on.
#[derive(Debug, Default)]
pub struct Notices {
    /// Of records, by the log that they stand in and their digest.
    said: HashMap<(i64, String), Vec<NoticeRow>>,
    /// Why a record falls with what it rests on, by its log and entry.
    fallen: HashMap<(i64, i64), String>,
    /// Endorsements of records, by their digest, each with its own digest.
    endorsed: HashMap<String, Vec<Endorsement>>,
    /// Known issues of records, by their digest, each with its own digest.
    issues: HashMap<String, Vec<Issue>>,
    /// Entries of unknown kinds that name a record, by its log and digest.
    unknown: HashMap<(i64, String), Vec<OfUnknownKind>>,
}

/// An endorsement as it is kept.
#[derive(Debug)]
struct Endorsement {
    digest: String,
    /// Whose record it says that it endorses.
    of_party: String,
    by: EndorsedBy,
}

/// A known issue as it is kept.
#[derive(Debug)]
struct Issue {
    digest: String,
    log_id: i64,
    /// The day from which it is known.
    known: Date,
    of: IssueOf,
}

impl Notices {
    /// Takes in a row: a notice, the record's digest, its log.
    fn take(&mut self, row: &AnyRow) -> Result<(), sqlx::Error> {
        self.said.entry((row.try_get(5)?, row.try_get(4)?)).or_default().push(notice(row)?);
        Ok(())
    }

    /// What was said of this record, in its order, and of what it rests on.
    pub fn of(&self, record: &Stored) -> Vec<NoticeRow> {
        let about = |digest: String| self.said.get(&(record.log_id, digest)).into_iter().flatten();
        about(record.digest.clone()).cloned().collect()
    }

    /// The same of each record that it rests on.
    pub fn of_rests<'a>(&'a self, record: &'a Stored) -> impl Iterator<Item = Vec<NoticeRow>> + 'a {
        rests_on(record).filter_map(|digest| {
            let said = self.said.get(&(record.log_id, digest))?;
            let told = said.iter().map(|notice| NoticeRow {
                reason: format!("what it rests on was taken back: {}", notice.reason),
                ..notice.clone()
            });
            Some(told.collect())
        })
    }

    /// Adds to a record who endorsed it, as that stands on a day, what names it and is not known here, and whether what rests on it
    /// is certain. An endorsement that was taken back does not count, nor does a party's of its own record.
    pub fn complete(&self, record: &mut Stored, as_of: Date, doubts: &Doubts) {
        let all = self.endorsed.get(&record.digest).into_iter().flatten();
        let counts = |endorsement: &&Endorsement| {
            let Endorsement { digest, of_party, by } = *endorsement;
            let said = self.said.get(&(by.log_id, digest.clone()));
            let days: Vec<_> = said.into_iter().flatten().map(NoticeRow::days).collect();
            by.known <= as_of
                && by.party != record.party
                && *of_party == record.party
                && in_force(&days, as_of).is_none()
        };
        let counting: Vec<&Endorsement> = all.filter(counts).collect();
        record.endorsed = counting.iter().map(|endorsement| endorsement.by.clone()).collect();
        record.cosigned.retain(|(_, day)| *day <= as_of);
        record.assure(&[], Vec::new());
        let all = self.issues.get(&record.digest).into_iter().flatten();
        let stands = |issue: &&Issue| {
            let said = self.said.get(&(issue.log_id, issue.digest.clone()));
            let days: Vec<_> = said.into_iter().flatten().map(NoticeRow::days).collect();
            issue.known <= as_of && in_force(&days, as_of).is_none()
        };
        record.known_issues = all.filter(stands).map(|issue| issue.of.clone()).collect();
        let names = std::iter::once(record.digest.clone()).chain(rests_on(record));
        let unknown = |place: (i64, String)| self.unknown.get(&place).into_iter().flatten();
        let own = names.flat_map(|digest| unknown((record.log_id, digest)));
        // What bears a record out may be taken back, too.
        let of_endorsements =
            counting.iter().flat_map(|e| unknown((e.by.log_id, e.digest.clone())));
        record.unknown = own.chain(of_endorsements).cloned().collect();
        record.uncertain = doubts.of_record(record);
    }

    /// How a record stands on a day, by what was said of it and of what it rests on.
    pub fn stands(&self, record: &Stored, as_of: Date) -> Stands {
        let own = stands(record, &self.of(record), as_of);
        if !own.counts() {
            return own;
        }
        let mut rests = self.of_rests(record).map(|said| stands(record, &said, as_of));
        let rests = rests.find(|rests| !rests.counts());
        let entry = i64::try_from(record.entry).unwrap_or(i64::MAX);
        let fallen = || self.fallen.get(&(record.log_id, entry)).filter(|_| record.passed());
        rests.or_else(|| fallen().map(|why| Stands::Fallen { why: why.clone() })).unwrap_or(own)
    }
}

/// The records that this one rests on. Where a waiver is taken back, or an earlier run, so is the pass that counts
/// on it; a failure stands by itself.
fn rests_on(record: &Stored) -> impl Iterator<Item = String> + '_ {
    record.detail.rests_on.iter().filter(|_| record.passed()).map(ToString::to_string)
}

impl Catalog {
    /// What was said of these records, and of those that they rest on, each by its own log.
    pub(crate) async fn notices_of(&self, records: &[&Stored]) -> Result<Notices, CatalogError> {
        let failed = || CatalogError::database("find records' notices");
        let places: HashSet<(i64, String)> = records
            .iter()
            .flat_map(|record| {
                let all = std::iter::once(record.digest.clone()).chain(rests_on(record));
                all.map(|digest| (record.log_id, digest))
            })
            .collect();
        let mut places: Vec<_> = places.into_iter().collect();
        let mut found =
            Notices { endorsed: self.endorsements_of(records).await?, ..Notices::default() };
        found.issues = self.issues_of(records).await?;
        // An endorsement and a known issue may be taken back, too.
        let endorsements = found.endorsed.values().flatten();
        places.extend(endorsements.map(|e| (e.by.log_id, e.digest.clone())));
        let issues = found.issues.values().flatten();
        places.extend(issues.map(|issue| (issue.log_id, issue.digest.clone())));
        found.unknown = self.unknown_of(&places).await?;
        for some in places.chunks(RECORDS) {
            let mark = |at: usize| format!("(${}, ${})", 2 * at + 1, 2 * at + 2);
            let marks: Vec<String> = (0..some.len()).map(mark).collect();
            // Both databases name the columns of VALUES so.
            let sql = format!(
                "SELECT n.kind, n.issued, n.until, n.reason, n.about, n.log FROM (VALUES {}) AS r \
                 JOIN notices n ON n.log = r.column1 AND n.about = r.column2 ORDER BY n.entry",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for (log, digest) in some {
                query = query.bind(*log).bind(digest.clone());
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                found.take(&row).map_err(failed())?;
            }
        }
        let resting: Vec<_> =
            records.iter().filter(|record| rests_on(record).next().is_some()).collect();
        for some in resting.chunks(RECORDS) {
            let mark = |at: usize| format!("(${}, ${})", 2 * at + 1, 2 * at + 2);
            let marks: Vec<String> = (0..some.len()).map(mark).collect();
            let sql = format!(
                "SELECT f.log, f.entry, f.why FROM (VALUES {}) AS r \
                 JOIN fallen f ON f.log = r.column1 AND f.entry = r.column2",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for record in some {
                let entry = i64::try_from(record.entry).unwrap_or(i64::MAX);
                query = query.bind(record.log_id).bind(entry);
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                let column = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
                let why = row.try_get(2).map_err(failed())?;
                found.fallen.insert((column(0)?, column(1)?), why);
            }
        }
        Ok(found)
    }
}

impl Catalog {
    /// The endorsements of these records, by the digests of these.
    async fn endorsements_of(
        &self,
        records: &[&Stored],
    ) -> Result<HashMap<String, Vec<Endorsement>>, CatalogError> {
        let said = Said {
            doing: "find records' endorsements",
            table: "endorsements",
            columns: "t.about, t.digest, t.of_party, t.known, t.log, l.party, l.origin, t.entry, t.signed_with, t.how",
            read: endorsement,
            digest: |endorsement| &endorsement.digest,
        };
        self.said_of(records, said).await
    }

    /// The known issues of these records, by the digests of these.
    async fn issues_of(
        &self,
        records: &[&Stored],
    ) -> Result<HashMap<String, Vec<Issue>>, CatalogError> {
        let said = Said {
            doing: "find records' known issues",
            table: "known_issues",
            columns: "t.about, t.digest, t.known, t.log, l.party, l.origin, t.entry, t.words, t.workaround, t.fixes",
            read: issue,
            digest: |issue| &issue.digest,
        };
        self.said_of(records, said).await
    }

    /// What is said of these records in any log, by the digests of these.
    async fn said_of<T>(
        &self,
        records: &[&Stored],
        Said { doing, table, columns, read, digest }: Said<T>,
    ) -> Result<HashMap<String, Vec<T>>, CatalogError> {
        let failed = || CatalogError::database(doing);
        let mut found: HashMap<String, Vec<T>> = HashMap::new();
        for some in records.chunks(RECORDS) {
            let marks: Vec<String> = (1..=some.len()).map(|at| format!("(${at})")).collect();
            let sql = format!(
                "SELECT {columns} FROM (VALUES {}) AS r JOIN {table} t ON t.about = r.column1 \
                 JOIN logs l ON l.id = t.log ORDER BY t.log, t.entry",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for record in some {
                query = query.bind(record.digest.clone());
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                let (about, one) = read(&row).map_err(failed())?;
                let all = found.entry(about).or_default();
                // A record may have been asked for twice.
                if !all.iter().any(|known| digest(known) == digest(&one)) {
                    all.push(one);
                }
            }
        }
        Ok(found)
    }

    /// The entries of unknown kinds that name these records, each in its own log.
    async fn unknown_of(
        &self,
        places: &[(i64, String)],
    ) -> Result<HashMap<(i64, String), Vec<OfUnknownKind>>, CatalogError> {
        let failed = || CatalogError::database("find entries of unknown kinds");
        let mut found: HashMap<(i64, String), Vec<OfUnknownKind>> = HashMap::new();
        for some in places.chunks(RECORDS) {
            let mark = |at: usize| format!("(${}, ${})", 2 * at + 1, 2 * at + 2);
            let marks: Vec<String> = (0..some.len()).map(mark).collect();
            let sql = format!(
                "SELECT u.log, u.about, u.entry, u.kind, l.origin FROM (VALUES {}) AS r \
                 JOIN unknown_kinds u ON u.log = r.column1 AND u.about = r.column2 \
                 JOIN logs l ON l.id = u.log ORDER BY u.entry",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for (log, digest) in some {
                query = query.bind(*log).bind(digest.clone());
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                let read = || -> Result<_, sqlx::Error> {
                    let entry: i64 = row.try_get(2)?;
                    let entry = u64::try_from(entry).unwrap_or_default();
                    let of = OfUnknownKind { log: row.try_get(4)?, entry, kind: row.try_get(3)? };
                    Ok(((row.try_get(0)?, row.try_get(1)?), of))
                };
                let (place, of) = read().map_err(failed())?;
                found.entry(place).or_default().push(of);
            }
        }
        Ok(found)
    }
}

/// A table of what any log says of records, each row by the digest of the record that it is about.
struct Said<T> {
    doing: &'static str,
    table: &'static str,
    /// Of the table `t` and of its log `l`, as `read` wants them.
    columns: &'static str,
    /// Reads a row, and which record it is about.
    read: fn(&AnyRow) -> Result<(String, T), sqlx::Error>,
    /// The digest of the entry that says it.
    digest: fn(&T) -> &str,
}

/// Reads an endorsement, and which record it is of.
fn endorsement(row: &AnyRow) -> Result<(String, Endorsement), sqlx::Error> {
    let (origin, entry): (String, i64) = (row.try_get(6)?, row.try_get(7)?);
    let how: String = row.try_get(9)?;
    let by = EndorsedBy {
        log_id: row.try_get(4)?,
        party: row.try_get(5)?,
        at: format!("{origin} entry {entry}"),
        key: row.try_get(8)?,
        repeated: how == REPEATED,
        known: day(row.try_get(3)?),
    };
    let endorsement = Endorsement { digest: row.try_get(1)?, of_party: row.try_get(2)?, by };
    Ok((row.try_get(0)?, endorsement))
}

/// Reads a known issue, and which record it is of.
fn issue(row: &AnyRow) -> Result<(String, Issue), sqlx::Error> {
    let (origin, entry): (String, i64) = (row.try_get(5)?, row.try_get(6)?);
    let of = IssueOf {
        party: row.try_get(4)?,
        at: format!("{origin} entry {entry}"),
        text: row.try_get(7)?,
        workaround: row.try_get(8)?,
        fixes: row.try_get(9)?,
    };
    let (digest, known) = (row.try_get(1)?, day(row.try_get(2)?));
    Ok((row.try_get(0)?, Issue { digest, log_id: row.try_get(3)?, known, of }))
}

/// The words by which endorsements are kept.
pub const REPEATED: &str = "repeated";
pub const REVIEWED: &str = "reviewed";

/// The words by which kinds of notices are kept.
pub const KINDS: [(&str, NoticeKind); 3] = [
    ("suspension", NoticeKind::Suspension),
    ("lifting", NoticeKind::Lifting),
    ("withdrawal", NoticeKind::Withdrawal),
];

fn kind_of(word: &str) -> NoticeKind {
    let found = KINDS.iter().find(|(known, _)| *known == word);
    found.map_or(NoticeKind::Withdrawal, |(_, kind)| *kind)
}

impl NoticeRow {
    /// What of it decides whether it is in force.
    pub fn days(&self) -> NoticeDays {
        NoticeDays { kind: self.kind, issued: self.issued, until: self.until }
    }
}

/// Reads a notice's kind, days and reason.
fn notice(row: &AnyRow) -> Result<NoticeRow, sqlx::Error> {
    let (kind, until): (String, i64) = (row.try_get(0)?, row.try_get(2)?);
    Ok(NoticeRow {
        kind: kind_of(&kind),
        issued: day(row.try_get(1)?),
        until: (until != i64::MAX).then(|| last_day(until)),
        reason: row.try_get(3)?,
    })
}
