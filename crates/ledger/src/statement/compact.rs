//! Makes a record fit an entry of the log: what both witnesses saw, shortened step by step. All of it
//! is in the evidence, which the record names by digest.

use hospitium_model::{Finding, Holds, Rule, Value};

use super::validation::CheckLine;

/// How much is left out. Each step does more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Long values are shortened.
    Values,
    /// Findings that are not judged are left out.
    NotJudged,
    /// Of those that hold, only the first is kept.
    FirstOnly,
    /// Only findings that do not hold are kept.
    Failures,
    /// None is kept.
    None,
}

/// The steps, least first.
pub const STEPS: [Step; 5] =
    [Step::Values, Step::NotJudged, Step::FirstOnly, Step::Failures, Step::None];

/// The most characters of a text in a record.
pub const TEXT: usize = 300;

/// Shortens a check's line.
pub fn apply(line: &CheckLine, step: Step) -> CheckLine {
    let mut line = line.clone();
    let before = line.findings.len();
    let holds = |finding: &Finding| matches!(finding.judge(), Holds::Yes);
    let fails = |finding: &Finding| matches!(finding.judge(), Holds::No(_));
    match step {
        Step::Values => {}
        Step::NotJudged => line.findings.retain(|f| !matches!(f.rule, Rule::Recorded)),
        Step::FirstOnly => {
            let first = line.findings.iter().position(holds);
            let mut at = 0;
            line.findings.retain(|finding| {
                at += 1;
                fails(finding) || Some(at - 1) == first
            });
        }
        Step::Failures => line.findings.retain(fails),
        Step::None => line.findings.clear(),
    }
    let most = if step == Step::Values { 120 } else { 60 };
    for finding in &mut line.findings {
        finding.what = cut(&finding.what, 80);
        for value in [&mut finding.guest, &mut finding.host].into_iter().flatten() {
            shorten(value, most);
        }
        match &mut finding.rule {
            Rule::SameAs { expected } | Rule::GuestIs { expected } | Rule::HostIs { expected } => {
                shorten(expected, most);
            }
            Rule::Each { guest_expected, host_expected } => {
                shorten(guest_expected, most);
                shorten(host_expected, most);
            }
            _ => {}
        }
    }
    line.left_out += before - line.findings.len();
    line
}

/// Cuts a text, with a mark where it was cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::Text(text) => *text = cut(text, most),
        Value::List(list) => {
            let whole = list.len();
            list.truncate(8);
            list.iter_mut().for_each(|value| shorten(value, most / 2));
            if whole > list.len() {
                list.push(Value::Text(format!("… {} more", whole - list.len())));
            }
        }
        _ => {}
    }
}
