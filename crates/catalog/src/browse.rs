//! Records as lists that people page through: the newest, those of a product, those of a name.

use std::collections::{BTreeSet, HashMap};

use hospitium_products::Product;
use jiff::civil::Date;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::in_a_line;
use crate::newest::{Pair, SPEAKING, in_order};
use crate::pair::{Judged, Stands};
use crate::record::Stored;
use crate::store::{COLUMNS, RECORDS, stored};
use crate::{Catalog, CatalogError, Desk, Rule};

/// A record in a list, as it stands on a day.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Listed {
    /// The guest's product id, empty if the record has none.
    pub guest_product: String,
    /// The host's product id, empty if the record has none.
    pub host_product: String,
    /// How it stands.
    #[serde(flatten)]
    pub stands: Stands,
    /// The rule by which it stands so, by itself.
    pub rule: Rule,
    /// The record.
    #[serde(flatten)]
    pub record: Stored,
}

/// A place in the list of all records, newest first: what comes after it is the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the run ended, in seconds since 1970.
    pub ended: i64,
    /// The log, by its number in the catalog.
    pub log: i64,
    /// The entry.
    pub entry: i64,
}

/// A pair of which there is a record, in a line.
#[derive(Debug, Clone)]
pub struct PairNow {
    /// The guest's name in the record.
    pub guest: String,
    /// The host's name in the record.
    pub host: String,
    /// The guest's product id, empty if it is no known product.
    pub guest_product: String,
    /// The host's product id, empty if it is no known product.
    pub host_product: String,
    /// The record that stands for the pair, by the rule of answers without an agreement: where some
    /// machines passed, it is of one of these. If none counts, the newest.
    pub record: Stored,
    /// How it stands.
    pub stands: Stands,
    /// The rule by which it stands so.
    pub rule: Rule,
    /// How many of the other records that speak, each of a machine, say that it failed.
    pub failed_beside: usize,
    /// The checks that failed, in any of them.
    pub failed: Vec<String>,
}

impl Catalog {
    /// So many records until a day, the newest first, after a place in that order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest_records(
        &self,
        as_of: Date,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), CatalogError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let batch = self.batch(as_of, None, (None, None), after, limit).await?;
        let next = batch.last().filter(|_| batch.len() == limit).map(|(at, _)| *at);
        Ok((batch.into_iter().map(|(_, listed)| listed).collect(), next))
    }

    /// Records whose name, the SHA-256 of their entry in hexadecimal digits, begins so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn records_named(
        &self,
        digits: &str,
        as_of: Date,
        limit: u32,
    ) -> Result<Vec<Listed>, CatalogError> {
        let digits = digits.to_ascii_lowercase();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        // All digests that begin so are at least these digits, and less than them with a `g` behind.
        let sql = format!(
            "{COLUMNS}{RECORDS} WHERE r.digest >= $1 AND r.digest < $2 ORDER BY r.digest, r.log LIMIT $3"
        );
        let rows = sqlx::query(&sql)
            .bind(digits.clone())
            .bind(format!("{digits}g"))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("find a record by its name"))?;
        self.listed(&rows, as_of).await
    }

    pub(crate) async fn listed(
        &self,
        rows: &[AnyRow],
        as_of: Date,
    ) -> Result<Vec<Listed>, CatalogError> {
        let records = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        let notices = self.notices_of(&records.iter().collect::<Vec<_>>()).await?;
        let doubts = self.doubts().await?;
        let mut listed = Vec::new();
        for (row, mut record) in rows.iter().zip(records) {
            notices.complete(&mut record, as_of, &doubts);
            let text =
                |column| row.try_get(column).map_err(CatalogError::database("read a product's id"));
            let (guest_product, host_product) = (text(13)?, text(14)?);
            let stands = notices.stands(&record, as_of);
            let rule = record.rule(&stands);
            listed.push(Listed { guest_product, host_product, stands, rule, record });
        }
        Ok(listed)
    }
}

impl Desk<'_> {
    /// Answers for a guest and a host that are each named by themselves, as a short id, a name or
    /// an id; nothing else is asked of the machine.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ask_pair(&self, guest: &str, host: &str) -> Result<crate::Reply, CatalogError> {
        let question = crate::Question {
            text: hospitium_model::printable(&format!("{guest} on {host}"), 500),
            sides: Vec::new(),
            limits: crate::Limits::default(),
        };
        let sides = (
            self.ready.subjects.side(guest, true, self.products),
            self.ready.subjects.side(host, false, self.products),
        );
        match sides {
            (Ok(guest), Ok(host)) => {
                let answer = self.answer(&question, &guest, &host).await?;
                Ok(crate::Reply::Answer(Box::new(answer)))
            }
            (guest, host) => Ok(crate::Reply::Unclear {
                question: question.text,
                sides: guest.err().into_iter().chain(host.err()).collect(),
            }),
        }
    }

    /// The pairs that agreements speak of, each side by its product's short id, in their order.
    pub fn owed_pairs(&self) -> BTreeSet<(String, String)> {
        let short = |id| self.products.get(id).map(|product| product.short().to_owned());
        let pairs = self.ready.owed_pairs();
        pairs.filter_map(|(guest, host)| Some((short(guest)?, short(host)?))).collect()
    }

    /// Guests and hosts of which there is a record, each as a product's short id or as records name
    /// it; at most so many, and how many there are.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recorded_pairs(
        &self,
        most: u32,
    ) -> Result<(Vec<(String, String)>, u64), CatalogError> {
        let pairs = self.catalog.pairs(most).await?;
        let count = self.catalog.numbers().await?.pairs;
        let key = |id: i64| {
            let product = self.ready.subjects.product(id).and_then(|id| id.parse().ok());
            let product = product.and_then(|id| self.products.get(&id));
            let name = || self.ready.subjects.name(id).unwrap_or_default();
            product.map_or_else(name, Product::short).to_owned()
        };
        Ok((pairs.into_iter().map(|(guest, host)| (key(guest), key(host))).collect(), count))
    }

    /// The pairs of which a guest or host is one side and that have a record until the desk's day,
    /// in the order of the other side's name; at most so many, and whether there are more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pairs_of(
        &self,
        guest: bool,
        product: &Product,
        most: usize,
    ) -> Result<(Vec<PairNow>, bool), CatalogError> {
        let kind = if guest { "guest" } else { "host" };
        let mut wanted = Vec::new();
        for own in self.ready.subjects.of(guest, product) {
            for other in self.catalog.partners(kind, own).await? {
                let name = self.ready.subjects.name(other).unwrap_or_default().to_owned();
                wanted.push((name, if guest { (own, other) } else { (other, own) }));
            }
        }
        wanted.sort();
        let side = |id| self.ready.subjects.product(id).unwrap_or_default().to_owned();
        let name = |id| match side(id) {
            product if product.is_empty() => {
                self.ready.subjects.name(id).unwrap_or_default().to_owned()
            }
            product => product,
        };
        // Two subjects of one product are one pair.
        let mut order: Vec<(String, String)> = Vec::new();
        let mut of_pairs: HashMap<(String, String), (Pair, Vec<Judged>, bool)> = HashMap::new();
        let mut wanted = wanted.into_iter().map(|(_, pair)| pair).peekable();
        // Pairs whose records were all made later do not fill the list.
        while order.len() < most && wanted.peek().is_some() {
            let some: Vec<Pair> = wanted.by_ref().take(most - order.len()).collect();
            let mut last =
                self.catalog.judged(&some, self.as_of, SPEAKING, &self.ready.doubts).await?;
            for pair in some {
                let (judged, cut) = last.of(&[pair]);
                if judged.is_empty() {
                    continue;
                }
                let key = (name(pair.0), name(pair.1));
                let of_pair = of_pairs.entry(key.clone()).or_insert_with(|| {
                    order.push(key);
                    (pair, Vec::new(), false)
                });
                of_pair.1.extend(judged);
                of_pair.2 |= cut;
            }
        }
        let mut pairs = Vec::new();
        for key in order {
            let Some(((guest, host), judged, cut)) = of_pairs.remove(&key) else { continue };
            let judged = in_order(judged);
            let Some((shown, failed)) = in_a_line(&judged) else { continue };
            let mut checks = shown.record.detail.failed.clone();
            for check in failed.iter().flat_map(|beside| &beside.record.detail.failed) {
                if !checks.contains(check) {
                    checks.push(check.clone());
                }
            }
            pairs.push(PairNow {
                guest: shown.record.guest.clone(),
                host: shown.record.host.clone(),
                guest_product: side(guest),
                host_product: side(host),
                stands: shown.stands.clone(),
                rule: match shown.rule() {
                    rule if cut && rule.word(false).holds() => {
                        Rule::TooMany { looked_at: judged.len() as u64 }
                    }
                    rule => rule,
                },
                failed_beside: failed.len(),
                failed: checks,
                record: shown.record.clone(),
            });
        }
        Ok((pairs, wanted.peek().is_some()))
    }
}
