//! Puts what was read of logs into the tables, in one transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hospitium_ledger::statement::{Record, Resource};
use hospitium_ledger::{Head, KeySpan, MayBe, Needed};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row as _, Transaction};
use tokio::sync::mpsc;

use crate::CatalogError;
use crate::fallen::Needs;
use crate::newest::Pair;
use crate::read::{Batch, Entry, LogSource, Opened, Said};
use crate::row::{self, NAME};
use crate::schema::{CONTENT, INDEXES, insert};
use crate::summary::{LogSummary, Refusal};
use crate::taken::{LogsRow, believed, summary_of};
use crate::values::{Bound, REASON, Values, bound, number, other_record};

/// Rows in one statement: 12 columns of so many stay below both databases' bounds on parameters
/// (SQLite 32,766, PostgreSQL 65,535), and more saves nothing.
const ROWS: usize = 200;
/// Refused entries that are listed of each log; they are counted on.
pub const LISTED: u64 = 1000;
/// Tables whose rows are a log's.
pub const OF_LOGS: [&str; 9] = [
    "machines",
    "records",
    "notices",
    "waivers",
    "key_changes",
    "endorsements",
    "known_issues",
    "unknown_kinds",
    "refused",
];

/// What a log's part of the tables is to go on from.
#[derive(Debug, Clone)]
pub struct Before {
    /// The log's number.
    pub log: i64,
    /// Entries that are in.
    pub size: u64,
    /// Of these, the latest time at which one says that it was made.
    pub newest: i64,
    /// Of these, how many were refused, are unread, and announce a key that the one before did not sign.
    pub refused: u64,
    pub unread: u64,
    pub usurped: u64,
}

/// The numbers that the next subject and the next machine get, where the tables have some already.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    pub subject: i64,
    pub machine: i64,
}

/// The tables, being filled.
pub struct Filling<'c> {
    transaction: Transaction<'c, Any>,
    /// Whether the database wants numbered parameters.
    numbered: bool,
    /// Whether the tables have something already, which is looked up.
    resumes: bool,
    next: Next,
    subjects: HashMap<[String; 4], i64>,
    machines: HashMap<Digest, i64>,
    /// Pairs of which a record was taken in.
    met: BTreeSet<Pair>,
    /// Rows by table that wait until there are enough for a statement.
    waiting: HashMap<&'static str, Vec<Values>>,
    log: i64,
    /// The latest time at which an entry of the log says that it was made: what stands further on was
    /// not known earlier.
    known: i64,
    /// What validations rest on, which is looked up once all is taken in.
    needs: Vec<Needs>,
}

impl<'c> Filling<'c> {
    /// Fills empty tables, or goes on with numbers from these.
    pub fn new(transaction: Transaction<'c, Any>, next: Option<Next>) -> Self {
        let numbered = transaction.backend_name() != "SQLite";
        Self {
            transaction,
            numbered,
            resumes: next.is_some(),
            next: next.unwrap_or(Next { subject: 1, machine: 1 }),
            subjects: HashMap::new(),
            machines: HashMap::new(),
            met: BTreeSet::new(),
            waiting: HashMap::new(),
            log: 0,
            known: i64::MIN,
            needs: Vec::new(),
        }
    }
}

impl Filling<'_> {
    /// Takes in a whole log, under this number.
    pub async fn whole(
        &mut self,
        log: i64,
        source: LogSource,
        opened: Arc<Opened>,
        now: Timestamp,
    ) -> Result<LogSummary, CatalogError> {
        self.log = log;
        self.known = i64::MIN;
        let mut summary = summary_of(&opened);
        let logs_row = LogsRow::of(&opened);
        self.remember(&source, &opened).await?;
        let (give, mut take) = mpsc::channel(4);
        let folder = source.folder.path().display().to_string();
        let reader = tokio::task::spawn_blocking(move || {
            source.read(&opened, now, &mut |batch| give.blocking_send(batch).is_ok());
        });
        let before = self.next;
        let mut ended = false;
        while let Some(batch) = take.recv().await {
            match batch {
                Batch::Entries(entries) => self.entries(entries, &mut summary).await?,
                Batch::Again => {
                    self.forget(before).await?;
                    let LogSummary { origin, party, entries, ahead, .. } =
                        std::mem::take(&mut summary);
                    summary = LogSummary { origin, party, entries, ahead, ..LogSummary::default() };
                }
                Batch::End { damaged } => {
                    summary.damaged = damaged;
                    ended = true;
                }
            }
        }
        if reader.await.is_err() || !ended {
            return Err(CatalogError::BrokeOff { folder });
        }
        self.log_row(logs_row, &summary, "");
        self.take_in_all().await?;
        Ok(summary)
    }

    /// Takes in what a log has beyond what is in. Nothing if its entries are not those of its head: then it has to be read
    /// whole.
    pub async fn further(
        &mut self,
        source: LogSource,
        opened: Arc<Opened>,
        (before, old): (Before, Head),
        keys: Vec<KeySpan>,
        now: Timestamp,
    ) -> Result<Option<LogSummary>, CatalogError> {
        self.log = before.log;
        self.known = if before.newest > 0 { before.newest } else { i64::MIN };
        let mut summary = LogSummary {
            known: before.size,
            refused: before.refused,
            unread: before.unread,
            usurped: before.usurped,
            ..summary_of(&opened)
        };
        let logs_row = LogsRow::of(&opened);
        self.remember(&source, &opened).await?;
        let (give, mut take) = mpsc::channel(4);
        let reader = tokio::task::spawn_blocking(move || {
            let mut give = |entries| give.blocking_send(entries).is_ok();
            source.read_on(&opened, &old, keys, now, &mut give)
        });
        while let Some(entries) = take.recv().await {
            self.entries(entries, &mut summary).await?;
        }
        if !reader.await.is_ok_and(|sound| sound) {
            return Ok(None);
        }
        self.run(sqlx::query("DELETE FROM logs WHERE id = $1").bind(before.log)).await?;
        self.log_row(logs_row, &summary, "");
        self.take_in_all().await?;
        Ok(Some(summary))
    }

    /// Takes back what was taken in of the log that is read, whose first subject and machine had these numbers.
    async fn forget(&mut self, before: Next) -> Result<(), CatalogError> {
        self.known = i64::MIN;
        self.waiting.clear();
        let log = self.log;
        self.needs.retain(|needs| needs.log != log);
        for table in OF_LOGS {
            let sql = format!("DELETE FROM {table} WHERE log = $1");
            self.run(sqlx::query(&sql).bind(self.log)).await?;
        }
        // Those of earlier logs are kept.
        let sql = "DELETE FROM subjects WHERE id >= $1";
        self.run(sqlx::query(sql).bind(before.subject)).await?;
        self.subjects.retain(|_, subject| *subject < before.subject);
        self.machines.retain(|_, machine| *machine < before.machine);
        self.next = before;
        Ok(())
    }

    /// A row for a log of which nothing is taken in.
    pub async fn nothing_of(
        &mut self,
        log: i64,
        origin: &str,
        why: &str,
    ) -> Result<(), CatalogError> {
        (self.log, self.known) = (log, i64::MIN);
        let of = LogsRow { root: String::new(), cosigners: String::new(), cosigned: 0 };
        let summary = LogSummary { origin: origin.to_owned(), ..LogSummary::default() };
        self.log_row(of, &summary, why);
        // Before another log is read: what waits of one that is damaged is forgotten.
        self.take_in_all().await
    }

    /// Notes of a log that is in why nothing newer of it is.
    pub async fn freeze(&mut self, log: i64, why: &str) -> Result<(), CatalogError> {
        let sql = "UPDATE logs SET frozen = $1 WHERE id = $2";
        self.run(sqlx::query(sql).bind(printable(why, REASON)).bind(log)).await
    }

    fn log_row(&mut self, of: LogsRow, summary: &LogSummary, frozen: &str) {
        let row = vec![
            Bound::Number(self.log),
            Bound::Text(printable(&summary.origin, NAME)),
            Bound::Text(printable(&summary.party, NAME)),
            Bound::Number(number(summary.entries)),
            Bound::Text(of.root),
            Bound::Number(number(summary.damaged)),
            Bound::Number(number(summary.refused)),
            Bound::Number(number(summary.unread)),
            Bound::Text(printable(&of.cosigners, 4 * NAME)),
            Bound::Number(of.cosigned),
            Bound::Number(self.known.max(0)),
            Bound::Number(number(summary.usurped)),
            Bound::Text(printable(frozen, REASON)),
        ];
        self.waiting.entry("logs").or_default().push(row);
    }

    /// Keeps the head, which the next one has to continue.
    async fn remember(&mut self, source: &LogSource, opened: &Opened) -> Result<(), CatalogError> {
        let origin = opened.head.origin.clone();
        self.run(sqlx::query("DELETE FROM heads WHERE origin = $1").bind(origin.clone())).await?;
        let text = String::from_utf8_lossy(opened.checkpoint.as_bytes()).into_owned();
        let sql = "INSERT INTO heads (origin, checkpoint, believed) VALUES ($1, $2, $3)";
        let believed = believed(source, &opened.party);
        self.run(sqlx::query(sql).bind(origin).bind(text).bind(believed)).await
    }

    async fn entries(
        &mut self,
        entries: Vec<Entry>,
        summary: &mut LogSummary,
    ) -> Result<(), CatalogError> {
        for entry in entries {
            let place = [Bound::Number(self.log), Bound::Number(number(entry.index))];
            let said = match entry.said {
                Ok(said) => said,
                Err(why) => {
                    summary.refused += 1;
                    summary.unread += u64::from(entry.may_be == MayBe::Anything);
                    summary.usurped += u64::from(entry.may_be == MayBe::Usurpation);
                    if summary.refused <= LISTED {
                        let why = printable(&why, REASON);
                        let refusal = Refusal { entry: entry.index, why: why.clone() };
                        summary.refusals.push(refusal);
                        let row = place.into_iter().chain([Bound::Text(why)]).collect();
                        self.waiting.entry("refused").or_default().push(row);
                    }
                    continue;
                }
            };
            let (statement, by) = match said {
                Said::Validation { mut row, issued } => {
                    summary.validations += 1;
                    self.known = self.known.max(issued.as_second());
                    let all = std::mem::take(&mut row.needs);
                    if !all.is_empty() {
                        self.needs.push(Needs { log: self.log, entry: entry.index, all });
                    }
                    let values = self.validation(*row, entry.digest).await?;
                    let row = place.into_iter().chain(values).collect();
                    self.waiting.entry("records").or_default().push(row);
                    continue;
                }
                Said::Other { statement, by } => (statement, by.unwrap_or_default()),
            };
            let is_unknown = matches!(statement.record, Record::Unknown(_));
            *(if is_unknown { &mut summary.unknown } else { &mut summary.others }) += 1;
            if let Some(issued) = statement.issued() {
                self.known = self.known.max(issued.as_second());
            }
            // A notice may be about several records, and one of an unknown kind about whatever it names; every other
            // record is about one thing.
            let several = statement.notice().is_some() || is_unknown;
            let first = statement.subject.iter().find_map(Resource::sha256);
            let about = if several { statement.about() } else { first.into_iter().collect() };
            for about in about {
                let about = (about, entry.digest);
                let (table, values) = other_record(&statement, about, self.known, &by);
                let place = [Bound::Number(self.log), Bound::Number(number(entry.index))];
                let row = place.into_iter().chain(values).collect();
                self.waiting.entry(table).or_default().push(row);
            }
        }
        self.take_in().await
    }

    async fn validation(
        &mut self,
        row: row::Row,
        digest: Digest,
    ) -> Result<[Bound; 11], CatalogError> {
        let guest = self.subject(row.guest).await?;
        let host = self.subject(row.host).await?;
        let emulated = i64::from(row.emulated);
        let machine = self.machine((guest, host), &row.arch, emulated, &row.machine).await?;
        self.met.insert((guest, host));
        Ok([
            Bound::Text(digest.to_string()),
            Bound::Number(machine),
            Bound::Number(guest),
            Bound::Number(host),
            Bound::Text(row.arch),
            Bound::Text(row.result.to_owned()),
            Bound::Number(row.ended),
            Bound::Number(self.known.max(row.ended)),
            Bound::Number(row.until),
            Bound::Number(emulated),
            Bound::Text(row.detail),
        ])
    }

    async fn subject(&mut self, key: [String; 4]) -> Result<i64, CatalogError> {
        if let Some(known) = self.subjects.get(&key) {
            return Ok(*known);
        }
        if self.resumes {
            let [kind, product, name, version] = key.clone();
            let sql = "SELECT id FROM subjects WHERE name = $1 AND kind = $2 AND product = $3 \
                       AND version = $4";
            let query = sqlx::query(sql).bind(name).bind(kind).bind(product).bind(version);
            if let Some(known) = self.number_of(query).await? {
                self.subjects.insert(key, known);
                return Ok(known);
            }
        }
        let next = self.next.subject;
        self.next.subject += 1;
        let texts = key.iter().map(|text| Bound::Text(text.clone()));
        let row = std::iter::once(Bound::Number(next)).chain(texts).collect();
        self.waiting.entry("subjects").or_default().push(row);
        self.subjects.insert(key, next);
        Ok(next)
    }

    /// The number of a machine configuration of a pair in the log that is read.
    async fn machine(
        &mut self,
        (guest, host): Pair,
        arch: &str,
        emulated: i64,
        words: &str,
    ) -> Result<i64, CatalogError> {
        let numbers = [self.log, guest, host, emulated];
        // A log may have as many machines as records: only a digest of each is kept.
        let key = Digest::of(format!("{numbers:?} {} {arch}{words}", arch.len()).as_bytes());
        if let Some(known) = self.machines.get(&key) {
            return Ok(*known);
        }
        if self.resumes {
            let sql = "SELECT id FROM machines WHERE guest = $1 AND host = $2 AND log = $3 \
                       AND emulated = $4 AND arch = $5 AND words = $6";
            let query = sqlx::query(sql).bind(guest).bind(host).bind(self.log).bind(emulated);
            let query = query.bind(arch.to_owned()).bind(words.to_owned());
            if let Some(known) = self.number_of(query).await? {
                self.machines.insert(key, known);
                return Ok(known);
            }
        }
        let next = self.next.machine;
        self.next.machine += 1;
        self.waiting.entry("machines").or_default().push(vec![
            Bound::Number(next),
            Bound::Number(self.log),
            Bound::Number(guest),
            Bound::Number(host),
            Bound::Text(arch.to_owned()),
            Bound::Number(emulated),
            Bound::Text(words.to_owned()),
        ]);
        self.machines.insert(key, next);
        Ok(next)
    }

    /// The number that a query gives, if it gives one.
    async fn number_of<'q>(
        &mut self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Result<Option<i64>, CatalogError> {
        let failed = || CatalogError::database("look up what is in already");
        let connection: &mut AnyConnection = &mut self.transaction;
        let row = query.fetch_optional(connection).await.map_err(failed())?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed())
    }

    /// Takes in the rows that wait, of each table as many as make whole statements.
    async fn take_in(&mut self) -> Result<(), CatalogError> {
        for (table, columns, _) in CONTENT {
            let Some(rows) = self.waiting.get_mut(table).filter(|rows| rows.len() >= ROWS) else {
                continue;
            };
            let left = rows.split_off(rows.len() / ROWS * ROWS);
            let mut rows = std::mem::replace(rows, left).into_iter();
            let sql = insert(table, columns, ROWS, self.numbered);
            while rows.len() > 0 {
                self.run(bound(&sql, rows.by_ref().take(ROWS).flatten())).await?;
            }
        }
        Ok(())
    }

    /// Takes in all rows that wait.
    async fn take_in_all(&mut self) -> Result<(), CatalogError> {
        self.take_in().await?;
        for (table, columns, _) in CONTENT {
            let sql = insert(table, columns, 1, self.numbered);
            for row in self.waiting.remove(table).unwrap_or_default() {
                self.run(bound(&sql, row.into_iter())).await?;
            }
        }
        Ok(())
    }

    async fn run<'q>(
        &mut self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Result<(), CatalogError> {
        let connection: &mut AnyConnection = &mut self.transaction;
        query.execute(connection).await.map_err(CatalogError::database("take in records"))?;
        Ok(())
    }

    /// Ends what fills empty tables.
    pub async fn finish(mut self) -> Result<(), CatalogError> {
        let pairs = "INSERT INTO pairs (guest, host) SELECT DISTINCT guest, host FROM machines";
        self.run(sqlx::query(pairs)).await?;
        for (name, on) in INDEXES {
            self.run(sqlx::query(&format!("CREATE INDEX {name} ON {on}"))).await?;
        }
        self.settle().await
    }

    /// Ends what goes on with tables that have something already.
    pub async fn finish_further(mut self) -> Result<(), CatalogError> {
        for (guest, host) in std::mem::take(&mut self.met) {
            let sql = "INSERT INTO pairs (guest, host) VALUES ($1, $2) ON CONFLICT (guest, host) DO NOTHING";
            self.run(sqlx::query(sql).bind(guest).bind(host)).await?;
        }
        // What fell may stand again: what it rests on may have been logged after it.
        let failed = || CatalogError::database("read what fell");
        let connection: &mut AnyConnection = &mut self.transaction;
        let sql = "SELECT log, entry, needs FROM fallen";
        let rows = sqlx::query(sql).fetch_all(connection).await.map_err(failed())?;
        for row in rows {
            let (log, entry) =
                (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
            let text: String = row.try_get(2).map_err(failed())?;
            let all: Vec<(Digest, Needed)> = serde_json::from_str(&text).map_err(|error| {
                CatalogError::Row { row: format!("fallen {log} {entry}"), why: error.to_string() }
            })?;
            let entry: i64 = entry;
            self.needs.push(Needs { log, entry: u64::try_from(entry).unwrap_or_default(), all });
        }
        self.run(sqlx::query("DELETE FROM fallen")).await?;
        self.settle().await
    }

    /// Looks up what validations rest on, and keeps all.
    async fn settle(mut self) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("look up what records rest on");
        for needs in std::mem::take(&mut self.needs) {
            let wrong = needs.wrong(&mut self.transaction).await.map_err(failed())?;
            if let Some(why) = wrong {
                let sql = "INSERT INTO fallen (log, entry, why, needs) VALUES ($1, $2, $3, $4)";
                let query = sqlx::query(sql).bind(needs.log).bind(number(needs.entry));
                let all = serde_json::to_string(&needs.all).unwrap_or_default();
                self.run(query.bind(printable(&why, REASON)).bind(all)).await?;
            }
        }
        self.transaction.commit().await.map_err(CatalogError::database("keep what was taken in"))
    }
}
