//! The report as JUnit XML, a test suite a cell, for continuous-integration servers.

use std::io::{self, Write};

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{CheckRecord, Verdict};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::ReportError;
use crate::outcome::{Outcome, Tally, is_canary};
use crate::words::{self, visible};

/// Longest reason in a message.
const REASON: usize = 4_000;

/// One test case, however it came about.
struct Case {
    class: String,
    name: String,
    seconds: f64,
    end: End,
    text: String,
}

enum End {
    Passed,
    Skipped(String),
    Failed(&'static str, String),
    Error(&'static str, String),
}

/// The report as JUnit XML.
///
/// A fail and a flaky check are `failure`s; an error and a check that did not run are `error`s of
/// type `error` and `miss`; a canary that passes and unsound evidence are `error`s.
///
/// # Errors
/// If the XML writer fails.
pub fn junit(bundle: &Bundle) -> Result<String, ReportError> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write_document(&mut writer, bundle).map_err(ReportError::Xml)?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write_document<W: Write>(writer: &mut Writer<W>, bundle: &Bundle) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites: Vec<(String, f64, Option<&Cell>, Vec<Case>)> = bundle
        .cells
        .iter()
        .map(|cell| {
            let record = &cell.record;
            let name = format!("{} on {} ({})", record.guest.name, record.host.name, record.name);
            (legal(&name), record.timings.total_ms / 1e3, Some(cell), cases(cell))
        })
        .collect();
    let problems: Vec<Case> = bundle
        .problems
        .iter()
        .map(|problem| Case {
            class: "evidence".into(),
            name: problem.path(),
            seconds: 0.0,
            end: End::Error("evidence", problem.to_string()),
            text: String::new(),
        })
        .collect();
    if !problems.is_empty() {
        suites.push(("evidence".into(), 0.0, None, problems));
    }
    let of = |test: fn(&End) -> bool| {
        suites.iter().flat_map(|(.., cases)| cases).filter(|case| test(&case.end)).count()
    };
    let attributes = counts(of(|_| true), of(is_failure), of(is_error), of(is_skip));
    let started = bundle.run.started.to_string();
    let name = legal(&format!("hospitium {}", bundle.run.id));
    writer
        .create_element("testsuites")
        .with_attribute(("name", name.as_str()))
        .with_attributes(attributes.iter().map(|(key, value)| (*key, value.as_str())))
        .write_inner_content(|writer| {
            suites.iter().try_for_each(|(name, seconds, cell, cases)| {
                write_suite(writer, name, *seconds, &started, *cell, cases)
            })
        })?;
    Ok(())
}

fn write_suite<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    seconds: f64,
    started: &str,
    cell: Option<&Cell>,
    cases: &[Case],
) -> io::Result<()> {
    let of = |test: fn(&End) -> bool| cases.iter().filter(|case| test(&case.end)).count();
    let attributes = counts(cases.len(), of(is_failure), of(is_error), of(is_skip));
    let time = format!("{seconds:.3}");
    writer
        .create_element("testsuite")
        .with_attributes([("name", name), ("timestamp", started), ("time", &time)])
        .with_attributes(attributes.iter().map(|(key, value)| (*key, value.as_str())))
        .write_inner_content(|writer| {
            if let Some(cell) = cell {
                write_properties(writer, cell)?;
            }
            cases.iter().try_for_each(|case| write_case(writer, case))
        })?;
    Ok(())
}

fn write_properties<W: Write>(writer: &mut Writer<W>, cell: &Cell) -> io::Result<()> {
    let record = &cell.record;
    let mut properties = vec![
        ("guest.sha256".to_owned(), record.guest.digest.to_string()),
        ("host.vmm.sha256".into(), record.host.vmm.to_string()),
        ("host.accelerator".into(), record.host.accelerator.used.name().to_owned()),
        ("host.accelerator.how".into(), legal(&record.host.accelerator.how)),
        ("canary.failed".into(), record.canary_failed.to_string()),
        ("checks".into(), Tally::of(&cell.checks).words()),
    ];
    let inputs = record.inputs.iter();
    properties.extend(
        inputs.map(|input| (legal(&format!("input.{}", input.role)), input.sha256.to_string())),
    );
    writer.create_element("properties").write_inner_content(|writer| {
        properties.iter().try_for_each(|(name, value)| {
            let property = writer.create_element("property");
            property.with_attributes([("name", name.as_str()), ("value", value)]).write_empty()?;
            Ok(())
        })
    })?;
    Ok(())
}

fn write_case<W: Write>(writer: &mut Writer<W>, case: &Case) -> io::Result<()> {
    let time = format!("{:.3}", case.seconds);
    let element = writer.create_element("testcase").with_attributes([
        ("classname", case.class.as_str()),
        ("name", &case.name),
        ("time", &time),
    ]);
    let (tag, kind, message) = match &case.end {
        End::Passed => {
            element.write_empty()?;
            return Ok(());
        }
        End::Skipped(why) => ("skipped", "", why),
        End::Failed(kind, why) => ("failure", *kind, why),
        End::Error(kind, why) => ("error", *kind, why),
    };
    let message = legal(message);
    element.write_inner_content(|writer| {
        let mut inner = writer.create_element(tag).with_attribute(("message", message.as_str()));
        if !kind.is_empty() {
            inner = inner.with_attribute(("type", kind));
        }
        if case.text.is_empty() {
            inner.write_empty()?;
        } else {
            inner.write_text_content(BytesText::new(&legal_lines(&case.text)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn counts(
    all: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
) -> [(&'static str, String); 4] {
    [
        ("tests", all.to_string()),
        ("failures", failures.to_string()),
        ("errors", errors.to_string()),
        ("skipped", skipped.to_string()),
    ]
}

fn is_failure(end: &End) -> bool {
    matches!(end, End::Failed(..))
}

fn is_error(end: &End) -> bool {
    matches!(end, End::Error(..))
}

fn is_skip(end: &End) -> bool {
    matches!(end, End::Skipped(_))
}

fn cases(cell: &Cell) -> Vec<Case> {
    let whole = |name: &str, end| Case {
        class: "cell".into(),
        name: name.into(),
        seconds: 0.0,
        end,
        text: String::new(),
    };
    let mut cases = Vec::new();
    if let Some(why) = &cell.record.failure {
        cases.push(whole("runs", End::Error("cell", why.clone())));
    }
    cases.push(whole(
        "canary fails",
        if cell.record.canary_failed {
            End::Passed
        } else {
            let why = "the canary did not fail: the cell's other verdicts prove nothing";
            End::Error("canary", why.into())
        },
    ));
    let checks = cell.checks.iter().filter(|check| !is_canary(check));
    cases.extend(checks.map(case));
    cases
}

fn case(check: &CheckRecord) -> Case {
    let reason = check.verdict.reason().to_owned();
    let end = match (Outcome::of(check), &check.verdict) {
        (Outcome::Flaky, _) => {
            let (failed, of) = check.flaky().unwrap_or_default();
            End::Failed("flaky", format!("flaky {failed} of {of}: {reason}"))
        }
        (_, Verdict::Pass) => End::Passed,
        (_, Verdict::Skip { why, .. }) => End::Skipped(format!("{}: {reason}", why.words())),
        (_, Verdict::Fail { .. }) => End::Failed("fail", reason),
        (_, Verdict::Error { .. }) => End::Error("error", reason),
        (_, Verdict::Miss { .. }) => End::Error("miss", reason),
    };
    let text =
        if matches!(end, End::Passed | End::Skipped(_)) { String::new() } else { details(check) };
    Case {
        class: check.id.subsystem().prefix().to_owned(),
        name: check.id.to_string(),
        seconds: check.took_ms / 1e3,
        end,
        text,
    }
}

/// Both observations and the console, for a reader who has only this.
fn details(check: &CheckRecord) -> String {
    let mut lines = vec![check.requirement.clone()];
    for finding in &check.observations.findings {
        lines.push(format!(
            "{}: guest saw {}; host saw {}; {}",
            finding.what,
            words::witnessed(finding.guest.as_ref(), finding.guest_source, &finding.unit),
            words::witnessed(finding.host.as_ref(), finding.host_source, &finding.unit),
            words::rule(finding)
        ));
    }
    lines.extend(check.console.iter().rev().take(40).rev().cloned());
    lines.join("\n")
}

/// Foreign text on one line, without characters that XML 1.0 (section 2.2) does not have.
fn legal(text: &str) -> String {
    visible(text, REASON)
}

fn legal_lines(text: &str) -> String {
    text.lines().map(legal).collect::<Vec<_>>().join("\n")
}
