//! The catalog as JUnit XML, for continuous-integration servers: a test suite for each agreement, with its
//! obligations, and one for each party, with the pairs that it has records of.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hospitium_model::{Agreement, printable};
use hospitium_plan::obligation::{Obligation, State};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};

use super::Line;
use crate::{CatalogError, Desk};

/// Longest name in an attribute, in characters.
const NAME: usize = 200;
/// Longest message, in characters.
const MESSAGE: usize = 2000;
/// Checks and reasons that are named in one message.
const LISTED: usize = 20;

/// The kind of error of what holds by records, of whose logs something is not known here.
const UNCERTAIN: &str = "uncertain";

/// A test suite.
struct Suite {
    name: String,
    cases: Vec<Case>,
}

/// A test case: a pair or an obligation.
struct Case {
    class: String,
    name: String,
    end: End,
}

/// How it ended: but for what holds, a word of the catalog's, and the rule in words.
enum End {
    Passed,
    Skipped(&'static str, String),
    Failed(&'static str, String),
    Error(&'static str, String),
}

impl Desk<'_> {
    /// JUnit XML. What holds is passed; what is not owed yet and what was taken back is skipped; what
    /// failed, is late or holds no more is a failure; and what of an agreement cannot be understood is an
    /// error, as is what holds and is not certain.
    ///
    /// # Errors
    /// If the database fails, or writing does.
    pub async fn export_junit(&self, out: &mut impl Write) -> Result<(), CatalogError> {
        let mut suites = Vec::new();
        for agreement in self.agreements {
            let plan = self.plan(agreement).await?;
            let mut cases: Vec<Case> = plan.obligations.iter().map(of_obligation).collect();
            cases.extend(plan.problems.iter().map(|problem| Case {
                class: "agreement".to_owned(),
                name: problem.clone(),
                end: End::Error("not understood", problem.clone()),
            }));
            suites.push(Suite { name: name_of(agreement), cases });
        }
        suites.extend(self.of_parties().await?);
        let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let name = format!("hospitium catalog as of {}", self.as_of);
        let counts = counts(|| suites.iter().flat_map(|suite| &suite.cases));
        xml.create_element("testsuites")
            .with_attribute(("name", name.as_str()))
            .with_attributes(counts.iter().map(pair))
            .write_inner_content(|xml| {
                let day = format!("{}T00:00:00", self.as_of);
                suites.iter().try_for_each(|suite| write_suite(xml, suite, &day))
            })?;
        writeln!(out)?;
        Ok(())
    }

    /// Of each party and pair, the newest record that counts; the newest at all if none does.
    async fn of_parties(&self) -> Result<Vec<Suite>, CatalogError> {
        let mut newest: BTreeMap<(String, String, String), Line> = BTreeMap::new();
        self.catalog
            .each(self.as_of, |line| {
                let side = |product: &str, name: &str| match product {
                    "" => name.to_owned(),
                    id => id.to_owned(),
                };
                let record = &line.record;
                let key = (
                    record.party.clone(),
                    side(&line.guest_product, &record.guest),
                    side(&line.host_product, &record.host),
                );
                let known = newest.get(&key);
                if known.is_none_or(|known| rank(known) < rank(&line)) {
                    newest.insert(key, line);
                }
                Ok(())
            })
            .await?;
        let mut suites: Vec<Suite> = Vec::new();
        for ((party, ..), line) in newest {
            if suites.last().is_none_or(|suite| suite.name != party) {
                suites.push(Suite { name: party, cases: Vec::new() });
            }
            if let Some(suite) = suites.last_mut() {
                suite.cases.push(of_record(&line));
            }
        }
        Ok(suites)
    }
}

/// What counts before what does not; then the newest.
fn rank(line: &Line) -> (bool, jiff::civil::Date, u64) {
    let counts = matches!(line.stands, "valid" | "failed" | "lapsed");
    (counts, line.record.validated, line.record.entry)
}

fn name_of(agreement: &Agreement) -> String {
    format!("{} ({})", agreement.title, agreement.id)
}

fn of_obligation(owed: &Obligation) -> Case {
    let word = owed.state.word();
    let reasons: Vec<&str> = owed.reasons.iter().take(LISTED).map(String::as_str).collect();
    let words =
        format!("{word}, {}; {} owes it. {}", owed.state.when(), owed.party, reasons.join(" "));
    Case {
        class: owed.clause.clone(),
        name: format!("{} on {}, {}", owed.guest_name, owed.host_name, owed.arch),
        end: match owed.state {
            State::Fulfilled { .. } | State::AboutToLapse { .. } => match &owed.uncertain {
                None => End::Passed,
                Some(why) => {
                    End::Error(UNCERTAIN, format!("{word}, and that is not certain: {why}"))
                }
            },
            State::Planned { .. } | State::Due { .. } => End::Skipped(word, words),
            State::Late { .. }
            | State::Failed { .. }
            | State::Lapsed { .. }
            | State::Over { .. } => End::Failed(word, words),
        },
    }
}

fn of_record(line: &Line) -> Case {
    let record = &line.record;
    let (word, detail, why) = (line.stands, &record.detail, line.rule.words());
    let end = match (word, &record.uncertain) {
        ("valid", None) => End::Passed,
        ("valid", Some(doubt)) => {
            End::Error(UNCERTAIN, format!("{why} That is not certain: {doubt}"))
        }
        ("failed", _) => {
            let listed: Vec<&str> = detail.failed.iter().take(LISTED).map(String::as_str).collect();
            let more = detail.failed.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let checks = listed.join(", ");
            End::Failed(word, format!("{why} These checks failed: {checks}{more}."))
        }
        ("lapsed", _) => End::Failed(word, why),
        _ => End::Skipped(word, why),
    };
    let name = format!("{} on {}, {}", record.guest, record.host, record.arch);
    Case { class: record.party.clone(), name, end }
}

fn counts<'c, C: Iterator<Item = &'c Case>>(cases: impl Fn() -> C) -> [(&'static str, String); 4] {
    let of = |test: fn(&End) -> bool| cases().filter(|case| test(&case.end)).count().to_string();
    [
        ("tests", of(|_| true)),
        ("failures", of(|end| matches!(end, End::Failed(..)))),
        ("errors", of(|end| matches!(end, End::Error(..)))),
        ("skipped", of(|end| matches!(end, End::Skipped(..)))),
    ]
}

fn pair<'t>((name, value): &'t (&'static str, String)) -> (&'t str, &'t str) {
    (name, value)
}

fn write_suite<W: Write>(xml: &mut Writer<W>, suite: &Suite, day: &str) -> io::Result<()> {
    let (name, counts) = (legal(&suite.name, NAME), counts(|| suite.cases.iter()));
    xml.create_element("testsuite")
        .with_attributes([("name", name.as_str()), ("timestamp", day)])
        .with_attributes(counts.iter().map(pair))
        .write_inner_content(|xml| suite.cases.iter().try_for_each(|case| write_case(xml, case)))?;
    Ok(())
}

fn write_case<W: Write>(xml: &mut Writer<W>, case: &Case) -> io::Result<()> {
    let (class, name) = (legal(&case.class, NAME), legal(&case.name, 2 * NAME));
    let element = xml
        .create_element("testcase")
        .with_attributes([("classname", class.as_str()), ("name", name.as_str())]);
    let (tag, word, words) = match &case.end {
        End::Passed => {
            element.write_empty()?;
            return Ok(());
        }
        End::Skipped(word, words) => ("skipped", word, words),
        End::Failed(word, words) => ("failure", word, words),
        End::Error(word, words) => ("error", word, words),
    };
    element.write_inner_content(|xml| {
        let message = legal(words, MESSAGE);
        let inner = xml.create_element(tag).with_attribute(("message", message.as_str()));
        // JUnit knows no kinds of what was skipped.
        let inner = if tag == "skipped" { inner } else { inner.with_attribute(("type", *word)) };
        inner.write_empty()?;
        Ok(())
    })?;
    Ok(())
}

/// Text from records on one line, without the characters that XML 1.0 (section 2.2) does not have.
fn legal(text: &str, most: usize) -> String {
    printable(text.trim(), most).replace(['\u{fffe}', '\u{ffff}'], "·")
}
