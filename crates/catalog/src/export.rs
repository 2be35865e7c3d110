//! The catalog's records in other forms: CSV, JSON, Markdown, osinfo's deployments, and JUnit XML.

mod junit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use hospitium_ledger::statement::{Envelope, NAMESPACE};
use hospitium_model::{Chipset, Digest};
use hospitium_plan::obligation::{Outcome, speaking};
use jiff::civil::Date;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::record::Stored;
use crate::store::{COLUMNS, RECORDS, stored};
use crate::{Catalog, CatalogError, Rule};

/// A record as exports have it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The guest's product id, empty if the record has none.
    pub guest_product: String,
    /// The host's product id, empty if the record has none.
    pub host_product: String,
    /// `valid`, `failed`, `lapsed`, `suspended`, `withdrawn` or `fallen`, on the export's day.
    pub stands: &'static str,
    /// The rule by which it stands so, by itself.
    pub rule: Rule,
    /// The record.
    #[serde(flatten)]
    pub record: Stored,
}

/// The columns of the table for spreadsheets. A later column comes behind these.
const CSV_COLUMNS: [&str; 18] = [
    "guest",
    "guest_product",
    "host",
    "host_product",
    "arch",
    "party",
    "result",
    "stands",
    "validated",
    "until",
    "accelerator",
    "vcpus",
    "memory",
    "log",
    "entry",
    "record",
    "rule",
    "uncertain",
];

/// Records that are read at once.
const PAGE: i64 = 1000;

impl Catalog {
    /// Every record until a day, in the order of logs and entries, as it stands on that day.
    ///
    /// # Errors
    /// If the database fails, or `take` does.
    pub async fn each(
        &self,
        as_of: Date,
        mut take: impl FnMut(Line) -> std::io::Result<()>,
    ) -> Result<(), CatalogError> {
        let sql = format!(
            "{COLUMNS}{RECORDS} WHERE (r.log > $1 OR (r.log = $1 AND r.entry > $2)) \
             ORDER BY r.log, r.entry LIMIT $3"
        );
        let doubts = self.doubts().await?;
        let (mut log, mut entry) = (0_i64, -1_i64);
        loop {
            let rows = sqlx::query(&sql)
                .bind(log)
                .bind(entry)
                .bind(PAGE)
                .fetch_all(&self.pool)
                .await
                .map_err(CatalogError::database("read its records"))?;
            if rows.is_empty() {
                return Ok(());
            }
            let records = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
            let said = self.notices_of(&records.iter().collect::<Vec<_>>()).await?;
            for (row, mut record) in rows.iter().zip(records) {
                (log, entry) = (record.log_id, i64::try_from(record.entry).unwrap_or(i64::MAX));
                if !record.is_known_on(as_of) {
                    continue;
                }
                let id = |column| {
                    row.try_get::<String, _>(column)
                        .map_err(CatalogError::database("read a product's id"))
                };
                let (guest_product, host_product) = (id(13)?, id(14)?);
                said.complete(&mut record, as_of, &doubts);
                let stands = said.stands(&record, as_of);
                let (rule, stands) = (record.rule(&stands), stands.word());
                take(Line { guest_product, host_product, stands, rule, record })?;
            }
        }
    }

    /// A table for spreadsheets (RFC 4180).
    ///
    /// # Errors
    /// If the database fails, or writing does.
    pub async fn export_csv(&self, as_of: Date, out: &mut impl Write) -> Result<(), CatalogError> {
        let mut table =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut *out);
        table.write_record(CSV_COLUMNS).map_err(std::io::Error::from)?;
        self.each(as_of, |line| {
            let record = &line.record;
            let envelope = &record.detail.envelope;
            let fields = [
                record.guest.clone(),
                line.guest_product.clone(),
                record.host.clone(),
                line.host_product.clone(),
                record.arch.clone(),
                record.party.clone(),
                record.result.clone(),
                line.stands.to_owned(),
                record.validated.to_string(),
                record.until.to_string(),
                envelope.accelerator.name().to_owned(),
                envelope.vcpus_max.to_string(),
                envelope.memory_max.to_string(),
                record.log.clone(),
                record.entry.to_string(),
                record.digest.clone(),
                line.rule.words(),
                record.uncertain.clone().unwrap_or_default(),
            ];
            Ok(table.write_record(fields.map(no_formula))?)
        })
        .await?;
        table.flush()?;
        Ok(())
    }

    /// One JSON object with an array of records.
    ///
    /// # Errors
    /// If the database fails, or writing does.
    pub async fn export_json(&self, as_of: Date, out: &mut impl Write) -> Result<(), CatalogError> {
        write!(out, "{{\"format\":1,\"as_of\":\"{as_of}\",\"records\":[")?;
        let mut first = true;
        self.each(as_of, |line| {
            out.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            serde_json::to_writer(&mut *out, &line).map_err(Into::into)
        })
        .await?;
        writeln!(out, "\n]}}")?;
        Ok(())
    }

    /// A table for people.
    ///
    /// # Errors
    /// If the database fails, or writing does.
    pub async fn export_markdown(
        &self,
        as_of: Date,
        out: &mut impl Write,
    ) -> Result<(), CatalogError> {
        writeln!(out, "# Validations as of {as_of}\n")?;
        writeln!(
            out,
            "| guest | host | stands | validated | until | accelerator | said by | place | not certain, for |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
        self.each(as_of, |line| {
            let record = &line.record;
            let fields = [
                record.guest.as_str(),
                &record.host,
                line.stands,
                &record.validated.to_string(),
                &record.until.to_string(),
                record.detail.envelope.accelerator.name(),
                &record.party,
                &record.place(),
                record.uncertain.as_deref().unwrap_or_default(),
            ];
            writeln!(out, "| {} |", fields.map(markdown).join(" | "))
        })
        .await
    }

    /// osinfo-db's deployments: every guest that stands valid on a host, both with a product id, where all that
    /// says so is certain. The
    /// form is that of osinfo-db's schema, `osinfo.rng`, element `deployment`.
    ///
    /// # Errors
    /// If the database fails, or writing does.
    pub async fn export_osinfo(
        &self,
        as_of: Date,
        out: &mut impl Write,
    ) -> Result<(), CatalogError> {
        // The newest record of each party on a pair, by the day and then by its place, and the pairs
        // of which any record says that it failed.
        let mut newest: BTreeMap<(String, String, String), (Date, u64, bool)> = BTreeMap::new();
        let mut failed: BTreeMap<(String, String), Vec<Outcome>> = BTreeMap::new();
        let mut uncertain: BTreeSet<(String, String)> = BTreeSet::new();
        self.each(as_of, |line| {
            let is_id = |id: &str| id.parse::<hospitium_products::ProductId>().is_ok();
            let counts = matches!(line.stands, "valid" | "failed" | "lapsed");
            if counts && is_id(&line.guest_product) && is_id(&line.host_product) {
                if line.stands == "failed" {
                    let pair = (line.guest_product.clone(), line.host_product.clone());
                    failed.entry(pair).or_default();
                }
                if line.record.uncertain.is_some() {
                    uncertain.insert((line.guest_product.clone(), line.host_product.clone()));
                }
                let key = (line.guest_product, line.host_product, line.record.log.clone());
                let now = (line.record.validated, line.record.entry, line.stands == "valid");
                let known = newest.entry(key).or_insert(now);
                if (now.0, now.1) > (known.0, known.1) {
                    *known = now;
                }
            }
            Ok(())
        })
        .await?;
        // What was tried in records that stand valid, and all that was said of a pair that failed.
        let mut tried: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        self.each(as_of, |line| {
            if line.stands == "valid" {
                let devices = devices(&line.record.detail.envelope);
                let pair = (line.guest_product.clone(), line.host_product.clone());
                tried.entry(pair).or_default().extend(devices);
            }
            let ids = (line.guest_product.parse(), line.host_product.parse());
            let counts = matches!(line.stands, "valid" | "failed" | "lapsed");
            if let (true, (Ok(guest), Ok(host))) = (counts, ids)
                && let Some(said) = failed.get_mut(&(line.guest_product, line.host_product))
            {
                said.push(line.record.outcome(guest, host, None, &[]));
            }
            Ok(())
        })
        .await?;
        // A machine that failed and did not pass since.
        failed.retain(|_, said| {
            let voices: Vec<_> = said.iter().map(Outcome::voice).collect();
            speaking(&voices).iter().any(|at| said.get(*at).is_some_and(|o| !o.passed))
        });
        let mut pairs: BTreeMap<(String, String), bool> = BTreeMap::new();
        for ((guest, host, _), (_, _, valid)) in newest {
            let pair = (guest, host);
            let sound = valid && !failed.contains_key(&pair) && !uncertain.contains(&pair);
            *pairs.entry(pair).or_insert(true) &= sound;
        }
        let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.create_element("libosinfo").with_attribute(("version", "0.0.1")).write_inner_content(
            |xml| {
                let note = format!(" guests validated on hosts, as of {as_of} ");
                xml.write_event(Event::Comment(BytesText::new(&note)))?;
                for ((guest, host), _) in pairs.iter().filter(|(_, valid)| **valid) {
                    let pair = Digest::of(format!("{guest}\n{host}").as_bytes()).to_string();
                    let id = format!("{NAMESPACE}deployment/{pair}");
                    xml.create_element("deployment")
                        .with_attribute(("id", id.as_str()))
                        .write_inner_content(|xml| {
                            xml.create_element("os")
                                .with_attribute(("id", guest.as_str()))
                                .write_empty()?;
                            xml.create_element("platform")
                                .with_attribute(("id", host.as_str()))
                                .write_empty()?;
                            let key = (guest.clone(), host.clone());
                            let tried: Vec<_> = tried.get(&key).into_iter().flatten().collect();
                            if tried.is_empty() {
                                // The schema asks for it.
                                xml.create_element("devices").write_empty()?;
                                return Ok(());
                            }
                            xml.create_element("devices").write_inner_content(|xml| {
                                for id in tried {
                                    xml.create_element("device")
                                        .with_attribute(("id", id.as_str()))
                                        .write_empty()?;
                                }
                                Ok(())
                            })?;
                            Ok(())
                        })?;
                }
                Ok(())
            },
        )?;
        writeln!(out)?;
        Ok(())
    }
}

/// The devices that a record says were tried, as far as osinfo-db knows them.
fn devices(envelope: &Envelope) -> Vec<String> {
    // Words are a record's, and so may be anything.
    fn known<T: for<'a> Deserialize<'a>>(words: &[String]) -> Vec<T> {
        let word = |word: &String| serde_json::from_value(serde_json::Value::from(word.as_str()));
        words.iter().filter_map(|text| word(text).ok()).collect()
    }
    let chipset = match envelope.chipset.as_str() {
        "legacy" => Chipset::Legacy,
        _ => Chipset::Modern,
    };
    hospitium_products::osinfo_devices(
        chipset,
        &known(&envelope.disk_buses),
        &known(&envelope.nics),
    )
}

/// A field of a spreadsheet: what it would take for a formula is led by an apostrophe.
fn no_formula(field: String) -> String {
    match field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{field}"),
        false => field,
    }
}

/// Text in a cell of a Markdown table: no markup of its own.
fn markdown(text: &str) -> String {
    let mut safe = String::new();
    for c in hospitium_model::printable(text, 300).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '!' | '~' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_a_formula_nor_markup() {
        for formula in ["=HYPERLINK(\"x\")", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(no_formula(formula.into()), format!("'{formula}"));
        }
        assert_eq!(no_formula("plain".into()), "plain");
        assert_eq!(markdown("a|<b>*"), "a\\|&lt;b&gt;\\*");
    }
}
