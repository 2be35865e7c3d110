//! Reads a cell's check records, and believes none that its observations do not bear out.

use std::collections::BTreeMap;

use hospitium_model::{
    CellRecord, CheckId, CheckRecord, Manifest, PlannedCheck, RunRecord, Subsystem, Verdict,
};

use super::read_listed;
use crate::layout::{CHECKS, PLAN, in_cell, limit};
use crate::source::Source;
use crate::{Problem, ReadError};

/// Where the records come from.
pub struct Files<'a> {
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub run: &'a RunRecord,
}

/// The checks of a cell: those planned, in that order, then any others by id.
pub fn read(
    files: &Files<'_>,
    cell: &CellRecord,
    problems: &mut Vec<Problem>,
) -> Result<Vec<CheckRecord>, ReadError> {
    let mut records = BTreeMap::new();
    let prefix = in_cell(&cell.name, &format!("{CHECKS}/"));
    let paths = files.manifest.files.keys().filter(|path| path.starts_with(&prefix));
    for path in paths {
        if let Some(record) = read_one(files, path, &prefix, problems) {
            records.insert(
                record.id.clone(),
                judged(record, files.manifest.format, &cell.name, problems),
            );
        }
    }
    let mut checks = Vec::with_capacity(records.len());
    for planned in read_plan(files, &cell.name, problems) {
        let record = records.remove(&planned.id).unwrap_or_else(|| {
            let problem =
                Problem::Unaccounted { cell: cell.name.clone(), check: planned.id.clone() };
            let path = problem.path();
            let known = problems.iter().find(|p| p.path() == path).map(ToString::to_string);
            let reason = known.unwrap_or_else(|| {
                problems.push(problem);
                "it was planned and has no record".to_owned()
            });
            blank(planned, reason)
        });
        checks.push(record);
    }
    checks.extend(records.into_values());
    account(files.run, files.manifest.format, cell, &checks, problems);
    Ok(checks)
}

fn read_one(
    files: &Files<'_>,
    path: &str,
    prefix: &str,
    problems: &mut Vec<Problem>,
) -> Option<CheckRecord> {
    let bytes = match read_listed(files.source, files.manifest, path, limit::RECORD) {
        Ok(bytes) => bytes,
        Err(ReadError::FileTooLarge { .. }) => {
            problems.push(Problem::malformed(path, "it is too large"));
            return None;
        }
        // Absent or altered is among the problems already.
        Err(_) => return None,
    };
    match serde_json::from_slice::<CheckRecord>(&bytes) {
        Ok(record) if path[prefix.len()..] == format!("{}.json", record.id.file_name()) => {
            Some(record)
        }
        Ok(record) => {
            problems.push(Problem::Misplaced { path: path.to_owned(), says: record.id });
            None
        }
        Err(error) => {
            problems.push(Problem::malformed(path, error));
            None
        }
    }
}

/// The record with a pass that does not follow from its observations, or from its repetitions, taken
/// away.
fn judged(
    mut record: CheckRecord,
    format: u32,
    cell: &str,
    problems: &mut Vec<Problem>,
) -> CheckRecord {
    let against = match (record.observations.judge_as_of(format), &record.repeats) {
        (Verdict::Pass, Some(repeats)) if !repeats.all_passed() => Some(format!(
            "of its repetitions {} passed, {} failed and {} came to no end",
            repeats.passed, repeats.failed, repeats.no_end
        )),
        (Verdict::Pass, _) => None,
        (other, _) => Some(other.reason().to_owned()),
    };
    if let Some(judged) = against.filter(|_| record.verdict == Verdict::Pass) {
        record.verdict = Verdict::Error {
            reason: format!("written down as a pass, which its observations do not give: {judged}"),
        };
        problems.push(Problem::Contradiction {
            cell: cell.to_owned(),
            check: record.id.clone(),
            judged,
        });
    }
    record
}

fn read_plan(files: &Files<'_>, cell: &str, problems: &mut Vec<Problem>) -> Vec<PlannedCheck> {
    let path = in_cell(cell, PLAN);
    let Ok(bytes) = read_listed(files.source, files.manifest, &path, limit::RECORD) else {
        // Absent or altered is among the problems already; a cell may have no plan.
        return Vec::new();
    };
    match serde_json::from_slice::<Vec<PlannedCheck>>(&bytes) {
        Ok(plan) => {
            let mut seen = std::collections::BTreeSet::new();
            plan.into_iter().filter(|planned| seen.insert(planned.id.clone())).collect()
        }
        Err(error) => {
            problems.push(Problem::malformed(&path, error));
            Vec::new()
        }
    }
}

fn blank(planned: PlannedCheck, reason: String) -> CheckRecord {
    planned.without_run(Verdict::Error { reason })
}

/// What the cell's record claims about the run as a whole has to be borne out by its checks.
fn account(
    run: &RunRecord,
    format: u32,
    cell: &CellRecord,
    checks: &[CheckRecord],
    problems: &mut Vec<Problem>,
) {
    let is_failed_canary = |check: &CheckRecord| {
        check.id.subsystem() == Subsystem::Canary
            && matches!(check.verdict, Verdict::Fail { .. })
            && check.observations.judge_as_of(format) != Verdict::Pass
            && !check.observations.findings.is_empty()
    };
    if cell.canary_failed && !checks.iter().any(is_failed_canary) {
        problems.push(Problem::CanaryUnproven { cell: cell.name.clone() });
    }
    let answers = |id: &CheckId, check: &CheckRecord| {
        (check.id == *id || check.id.base() == id.as_str())
            && (check.verdict.ran() || matches!(check.verdict, Verdict::Skip { .. }))
    };
    for id in &run.required {
        let ran = checks.iter().any(|check| answers(id, check));
        if !ran && !cell.required_not_run.contains(id) {
            problems
                .push(Problem::RequiredUnaccounted { cell: cell.name.clone(), check: id.clone() });
        }
    }
}
