//! Holds what a certificate says of each check, both witnesses and all reasons, against its evidence.

use hospitium_evidence::Cell;
use hospitium_model::{CheckId, Verdict};

use crate::statement::compact::{STEPS, TEXT, apply, cut};
use crate::statement::{CheckLine, NOT_IN_RUN, Validation, check_line};

/// Where they differ. A record has the findings whole, or shortened by one of the steps that make it fit its
/// entry, all checks alike.
pub fn differences(cell: &Cell, validation: &Validation) -> Vec<String> {
    let ours = &validation.hospitium;
    let in_evidence = |id: &CheckId| cell.checks.iter().find(|check| check.id == *id);
    let lines: Vec<(&CheckLine, CheckLine)> = (ours.checks.iter())
        .filter_map(|line| Some((line, check_line(in_evidence(&line.id)?, line.required))))
        .collect();
    let steps = std::iter::once(None).chain(STEPS.map(Some));
    let differing = |step| -> Vec<String> {
        let by_step = |line: &CheckLine| match step {
            None => line.clone(),
            Some(step) => apply(line, step),
        };
        let differ = |(told, evidence): &(&CheckLine, CheckLine)| differ(told, by_step(evidence));
        lines.iter().filter_map(differ).collect()
    };
    let mut found: Vec<String> = Vec::new();
    for (number, step) in steps.enumerate() {
        let differing = differing(step);
        if number == 0 || differing.len() < found.len() {
            found = differing;
        }
        if found.is_empty() {
            break;
        }
    }
    for line in &ours.excluded {
        let reason = match in_evidence(&line.id).map(|check| &check.verdict) {
            Some(
                Verdict::Skip { reason, .. } | Verdict::Error { reason } | Verdict::Miss { reason },
            ) => cut(reason, TEXT),
            // Another verdict is told elsewhere.
            Some(_) => continue,
            None => NOT_IN_RUN.to_owned(),
        };
        if line.reason != reason {
            found.push(format!(
                "{}: the reason why it has no verdict is another in the evidence",
                line.id
            ));
        }
    }
    found
}

/// What of two lines of a check is another, if anything is.
fn differ(told: &CheckLine, evidence: CheckLine) -> Option<String> {
    // As it is once it was written and read, like the certificate's.
    let read = serde_json::to_vec(&evidence).and_then(|bytes| serde_json::from_slice(&bytes));
    let evidence: CheckLine = read.unwrap_or(evidence);
    // Another verdict is told elsewhere, and what was seen is then another, too.
    if told.verdict.word() != evidence.verdict.word() {
        return None;
    }
    let what = if told.findings != evidence.findings || told.left_out != evidence.left_out {
        "what both witnesses saw"
    } else if told.verdict != evidence.verdict {
        "the reason of its verdict"
    } else {
        return None;
    };
    Some(format!("{}: {what} is another in the evidence", told.id))
}
