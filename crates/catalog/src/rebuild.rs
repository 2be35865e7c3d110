//! Builds the read model again from its logs, in one transaction: if it fails, the old one stays.

use std::collections::{BTreeSet, HashMap};

use hospitium_ledger::statement::{EndorsementExtension, KeyRole, Record, Resource};
use hospitium_ledger::{Checkpoint, Continues, Statement, continues, refused_heads};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row as _, Transaction};
use tokio::sync::mpsc;

use crate::fallen::Needs;
use crate::newest::Pair;
use crate::notices::{KINDS, REPEATED, REVIEWED};
use crate::read::{Batch, Entry, LogSource, Opened, Said};
use crate::row::{self, NAME};
use crate::schema::{CONTENT, INDEXES, insert};
use crate::{Catalog, CatalogError};

/// Rows in one statement: 12 columns of so many stay below both databases' bounds on parameters
/// (SQLite 32,766, PostgreSQL 65,535), and more saves nothing.
const ROWS: usize = 200;
/// Refused entries that are listed of each log; they are counted on.
const LISTED: u64 = 1000;
/// Tables whose rows are a log's.
const OF_LOGS: [&str; 8] = [
    "machines",
    "records",
    "notices",
    "waivers",
    "key_changes",
    "endorsements",
    "unknown_kinds",
    "refused",
];
/// Longest reason that is kept, in characters.
const REASON: usize = 1000;

/// What a rebuild took in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Each log.
    pub logs: Vec<LogSummary>,
}

/// What a rebuild took in of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// The log.
    pub origin: String,
    /// The party whose log it is.
    pub party: String,
    /// Entries that its checkpoint has.
    pub entries: u64,
    /// Validations taken in.
    pub validations: u64,
    /// Suspensions, withdrawals, waivers, endorsements and changes of key taken in.
    pub others: u64,
    /// Records of kinds that this program does not know: kept, and passed over.
    pub unknown: u64,
    /// Entries that are not those of the tree, or cannot be read. What they said is not known: a
    /// withdrawal may be among them.
    pub damaged: u64,
    /// Entries that are not believed, the damaged ones among them.
    pub refused: u64,
    /// Of these, those that the party signed and this program cannot read. A withdrawal may be among
    /// them.
    pub unread: u64,
    /// Of the refused, those that announce another key of the party, which the key before did not sign.
    pub usurped: u64,
    /// Cosignatures that do not count, as they are from the future; in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<String>,
    /// The first that are not believed.
    pub refusals: Vec<Refusal>,
}

/// An entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its index.
    pub entry: u64,
    /// Why.
    pub why: String,
}

impl Catalog {
    /// Empties the catalog and fills it from these logs. Every record is verified: the log's
    /// checkpoint and cosignatures, the record's place in the tree, its signature. What does not
    /// verify is left out and reported.
    ///
    /// # Errors
    /// If a log cannot be trusted at all, or the database fails; the catalog is unchanged then.
    pub async fn rebuild(&mut self, logs: &[LogSource]) -> Result<Rebuilt, CatalogError> {
        let now = Timestamp::now();
        let opened = logs.iter().map(|source| source.open(now)).collect::<Result<Vec<_>, _>>()?;
        self.rebuild_of(logs.iter().cloned().zip(opened).collect(), now).await
    }

    /// The same of logs whose heads were verified already: those heads are taken in, whatever stands in the
    /// logs' folders by now.
    ///
    /// # Errors
    /// As for [`rebuild`](Self::rebuild).
    pub async fn rebuild_of(
        &mut self,
        logs: Vec<(LogSource, Opened)>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let mut opened = Vec::new();
        let mut origins = BTreeSet::new();
        for (source, log) in logs {
            if !origins.insert(log.head.origin.clone()) {
                return Err(CatalogError::Twice { origin: printable(&log.head.origin, NAME) });
            }
            opened.push((log, source));
        }
        for (log, source) in &opened {
            self.note_refused(log, source).await?;
            self.continues(log, source).await?;
        }
        // The order in which they were named is of no weight.
        opened.sort_by(|(a, _), (b, _)| a.head.origin.cmp(&b.head.origin));
        let failed = || CatalogError::database("begin anew");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for (name, _) in INDEXES {
            let sql = format!("DROP INDEX IF EXISTS {name}");
            sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
        }
        for table in CONTENT.iter().map(|(table, ..)| *table).chain(["pairs"]) {
            let sql = format!("DELETE FROM {table}");
            sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
        }
        let numbered = transaction.backend_name() != "SQLite";
        let mut filling = Filling {
            transaction,
            numbered,
            subjects: HashMap::new(),
            machines: HashMap::new(),
            waiting: HashMap::new(),
            log: 0,
            known: i64::MIN,
            needs: Vec::new(),
            waivers: HashMap::new(),
        };
        let mut rebuilt = Rebuilt::default();
        for (opened, source) in opened {
            filling.remember(&opened).await?;
            filling.log += 1;
            filling.known = i64::MIN;
            rebuilt.logs.push(filling.log(source, opened, now).await?);
        }
        filling.finish().await?;
        Ok(rebuilt)
    }
}

impl Catalog {
    /// Refuses a log whose head does not continue the one that this catalog was built from before. Both
    /// heads, each with the log's own signature, are kept.
    async fn continues(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("look up a log's last head");
        let sql = "SELECT checkpoint FROM heads WHERE origin = $1";
        let query = sqlx::query(sql).bind(log.head.origin.clone());
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(failed())? else {
            return Ok(());
        };
        let text: String = row.try_get(0).map_err(failed())?;
        let folder = || source.folder.path().display().to_string();
        let old = Checkpoint::parse(text.as_bytes())
            .map_err(|source| CatalogError::Checkpoint { folder: folder(), source })?;
        let (seen, found) = (old.head().size, log.head.size);
        let origin = printable(&log.head.origin, NAME);
        let refused = match continues(&source.folder, old.head(), &log.head)
            .map_err(|source| CatalogError::Log { folder: folder(), source })?
        {
            Continues::Yes => return Ok(()),
            Continues::Older => CatalogError::Older { origin, found, seen },
            Continues::No(_) => CatalogError::Fork { origin, found, seen },
        };
        self.refuse(&log.head.origin, &old, &log.checkpoint).await?;
        Err(refused)
    }

    /// Takes in what is kept beside a copy of a log of heads that were refused there, each if the log's own key signed both.
    async fn note_refused(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        let Some(key) = source.policy.log(&log.head.origin) else { return Ok(()) };
        let is_signed = |head: &Checkpoint| head.verify_log(key).is_ok();
        for (old, new) in refused_heads(source.folder.path()) {
            if is_signed(&old) && is_signed(&new) {
                self.refuse(&log.head.origin, &old, &new).await?;
            }
        }
        Ok(())
    }

    /// Keeps two heads of a log that do not go together.
    async fn refuse(
        &self,
        origin: &str,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<(), CatalogError> {
        let text = |head: &Checkpoint| String::from_utf8_lossy(head.as_bytes()).into_owned();
        let (old, new) = (text(old), text(new));
        let digest = Digest::of(format!("{old}\n{new}").as_bytes()).to_string();
        let sql = "INSERT INTO refused_heads (digest, origin, seen, found) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (digest) DO NOTHING";
        let query = sqlx::query(sql).bind(digest).bind(origin.to_owned()).bind(old).bind(new);
        let kept = query.execute(&self.pool).await;
        kept.map_err(CatalogError::database("keep a log's heads that do not go together"))?;
        Ok(())
    }
}

struct Filling<'c> {
    transaction: Transaction<'c, Any>,
    /// Whether the database wants numbered parameters.
    numbered: bool,
    subjects: HashMap<[String; 4], i64>,
    machines: HashMap<Digest, i64>,
    /// Rows by table that wait until there are enough for a statement.
    waiting: HashMap<&'static str, Vec<Values>>,
    log: i64,
    /// The latest time at which an entry of the log says that it was made: what stands further on was
    /// not known earlier.
    known: i64,
    /// What validations rest on, which is looked up once all is taken in.
    needs: Vec<Needs>,
    /// The entries of waivers, by log and digest.
    waivers: HashMap<(i64, Digest), u64>,
}

/// The values of a row.
type Values = Vec<Bound>;

/// A value to bind.
enum Bound {
    Number(i64),
    Text(String),
}

impl Filling<'_> {
    async fn log(
        &mut self,
        source: LogSource,
        opened: Opened,
        now: Timestamp,
    ) -> Result<LogSummary, CatalogError> {
        let (give, mut take) = mpsc::channel(4);
        let folder = source.folder.path().display().to_string();
        let mut summary = LogSummary {
            origin: opened.head.origin.clone(),
            party: opened.party.clone(),
            entries: opened.head.size,
            ahead: opened.ahead.clone(),
            ..LogSummary::default()
        };
        let cosigners: Vec<&str> = opened.cosigners.iter().map(String::as_str).collect();
        let cosigners = cosigners.join(" ");
        let cosigned = opened.cosigned_at.map_or(0, Timestamp::as_second);
        let root: String = opened.head.root.iter().map(|byte| format!("{byte:02x}")).collect();
        let reader = tokio::task::spawn_blocking(move || {
            source.read(&opened, now, &mut |batch| give.blocking_send(batch).is_ok());
        });
        let subjects = number(self.subjects.len() as u64);
        let machines = number(self.machines.len() as u64);
        let mut ended = false;
        while let Some(batch) = take.recv().await {
            match batch {
                Batch::Entries(entries) => self.entries(entries, &mut summary).await?,
                Batch::Again => {
                    self.known = i64::MIN;
                    self.waiting.clear();
                    let log = self.log;
                    self.needs.retain(|needs| needs.log != log);
                    self.waivers.retain(|(of, _), _| *of != log);
                    for table in OF_LOGS {
                        let sql = format!("DELETE FROM {table} WHERE log = $1");
                        self.run(sqlx::query(&sql).bind(self.log)).await?;
                    }
                    // Those of earlier logs are kept.
                    let sql = "DELETE FROM subjects WHERE id > $1";
                    self.run(sqlx::query(sql).bind(subjects)).await?;
                    self.subjects.retain(|_, subject| *subject <= subjects);
                    self.machines.retain(|_, machine| *machine <= machines);
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
        let row = vec![
            Bound::Number(self.log),
            Bound::Text(printable(&summary.origin, NAME)),
            Bound::Text(printable(&summary.party, NAME)),
            Bound::Number(number(summary.entries)),
            Bound::Text(root),
            Bound::Number(number(summary.damaged)),
            Bound::Number(number(summary.refused)),
            Bound::Number(number(summary.unread)),
            Bound::Text(printable(&cosigners, 4 * NAME)),
            Bound::Number(cosigned),
            Bound::Number(self.known.max(0)),
            Bound::Number(number(summary.usurped)),
        ];
        self.waiting.entry("logs").or_default().push(row);
        self.take_in_all().await?;
        Ok(summary)
    }

    /// Keeps the head, which the next one has to continue.
    async fn remember(&mut self, opened: &Opened) -> Result<(), CatalogError> {
        let origin = opened.head.origin.clone();
        self.run(sqlx::query("DELETE FROM heads WHERE origin = $1").bind(origin.clone())).await?;
        let text = String::from_utf8_lossy(opened.checkpoint.as_bytes()).into_owned();
        let sql = "INSERT INTO heads (origin, checkpoint) VALUES ($1, $2)";
        self.run(sqlx::query(sql).bind(origin).bind(text)).await
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
                    summary.unread += u64::from(entry.unread);
                    summary.usurped += u64::from(entry.usurps);
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
                    let values = self.validation(*row, entry.digest);
                    let row = place.into_iter().chain(values).collect();
                    self.waiting.entry("records").or_default().push(row);
                    continue;
                }
                Said::Other { statement, by } => (statement, by.unwrap_or_default()),
            };
            let is_unknown = matches!(statement.record, Record::Unknown(_));
            *(if is_unknown { &mut summary.unknown } else { &mut summary.others }) += 1;
            if matches!(statement.record, Record::Waiver(_)) {
                self.waivers.insert((self.log, entry.digest), entry.index);
            }
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

    fn validation(&mut self, row: row::Row, digest: Digest) -> [Bound; 11] {
        let guest = self.subject(row.guest);
        let host = self.subject(row.host);
        let emulated = i64::from(row.emulated);
        let machine = self.machine((guest, host), &row.arch, emulated, &row.machine);
        [
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
        ]
    }

    fn subject(&mut self, key: [String; 4]) -> i64 {
        let next = number(self.subjects.len() as u64) + 1;
        *self.subjects.entry(key).or_insert_with_key(|key| {
            let texts = key.iter().map(|text| Bound::Text(text.clone()));
            let row = std::iter::once(Bound::Number(next)).chain(texts).collect();
            self.waiting.entry("subjects").or_default().push(row);
            next
        })
    }

    /// The number of a machine configuration of a pair in the log that is read.
    fn machine(&mut self, (guest, host): Pair, arch: &str, emulated: i64, words: &str) -> i64 {
        let numbers = [self.log, guest, host, emulated];
        // A log may have as many machines as records: only a digest of each is kept.
        let key = Digest::of(format!("{numbers:?} {} {arch}{words}", arch.len()).as_bytes());
        let next = number(self.machines.len() as u64) + 1;
        let log = self.log;
        *self.machines.entry(key).or_insert_with(|| {
            self.waiting.entry("machines").or_default().push(vec![
                Bound::Number(next),
                Bound::Number(log),
                Bound::Number(guest),
                Bound::Number(host),
                Bound::Text(arch.to_owned()),
                Bound::Number(emulated),
                Bound::Text(words.to_owned()),
            ]);
            next
        })
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

    async fn finish(mut self) -> Result<(), CatalogError> {
        let pairs = "INSERT INTO pairs (guest, host) SELECT DISTINCT guest, host FROM machines";
        self.run(sqlx::query(pairs)).await?;
        for (name, on) in INDEXES {
            self.run(sqlx::query(&format!("CREATE INDEX {name} ON {on}"))).await?;
        }
        let failed = || CatalogError::database("look up what records rest on");
        for needs in std::mem::take(&mut self.needs) {
            let waiver = |digest: &Digest| self.waivers.get(&(needs.log, *digest)).copied();
            let wrong = needs.wrong(&mut self.transaction, waiver).await.map_err(failed())?;
            if let Some(why) = wrong {
                let sql = "INSERT INTO fallen (log, entry, why) VALUES ($1, $2, $3)";
                let query = sqlx::query(sql).bind(needs.log).bind(number(needs.entry));
                self.run(query.bind(printable(&why, REASON))).await?;
            }
        }
        self.transaction.commit().await.map_err(CatalogError::database("keep what was taken in"))
    }
}

fn bound<'q>(
    sql: &'q str,
    values: impl Iterator<Item = Bound>,
) -> Query<'q, Any, AnyArguments<'q>> {
    values.fold(sqlx::query(sql), |query, value| match value {
        Bound::Number(number) => query.bind(number),
        Bound::Text(text) => query.bind(text),
    })
}

/// A record that is no validation: its table, and its values after its place.
/// It is about the first of these digests, and the second is its entry's.
fn other_record(
    statement: &Statement,
    (about, own): (Digest, Digest),
    known: i64,
    by: &str,
) -> (&'static str, Vec<Bound>) {
    let record = &statement.record;
    let about = Bound::Text(about.to_string());
    let issued = Bound::Number(statement.issued().map_or(known, Timestamp::as_second));
    let text = |text: &str| Bound::Text(printable(text, REASON));
    match record {
        Record::Suspension(notice) | Record::Withdrawal(notice) | Record::Lifting(notice) => {
            let suspension = matches!(record, Record::Suspension(_));
            let kind = statement.notice().map(|(kind, _)| kind);
            let word = KINDS.iter().find(|(_, known)| Some(*known) == kind).map_or("", |(w, _)| *w);
            let until = notice.until.filter(|_| suspension);
            let until = until.map_or(i64::MAX, Timestamp::as_second);
            let known = Bound::Number(known);
            ("notices", vec![text(word), about, known, Bound::Number(until), text(&notice.reason)])
        }
        Record::Waiver(waiver) => (
            "waivers",
            vec![
                about,
                text(&waiver.check.to_string()),
                text(waiver.host.as_deref().unwrap_or_default()),
                issued,
                Bound::Number(waiver.until.as_second()),
                text(&waiver.reason),
                text(&waiver.by),
            ],
        ),
        Record::KeyChange(change) => {
            let role = match change.role {
                KeyRole::Record => "record",
                KeyRole::Log => "log",
                KeyRole::Witness => "witness",
            };
            let (old, new) = (change.old.to_string(), change.new.to_string());
            ("key_changes", vec![text(role), issued, text(&old), text(&new), text(&change.reason)])
        }
        Record::Endorsement(endorsement) => {
            let EndorsementExtension { of, reason, repeated, .. } = &endorsement.hospitium;
            let how = if repeated.is_some() { REPEATED } else { REVIEWED };
            let run = repeated.as_ref().map(|repeated| repeated.run.as_str());
            let row = vec![
                Bound::Text(own.to_string()),
                about,
                text(&of.party),
                text(how),
                Bound::Number(known),
                text(by),
                text(run.unwrap_or_default()),
                text(reason),
            ];
            ("endorsements", row)
        }
        Record::Unknown(unknown) => ("unknown_kinds", vec![text(&unknown.kind), about]),
        Record::Validation(_) => ("refused", vec![text("a validation among other records")]),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
