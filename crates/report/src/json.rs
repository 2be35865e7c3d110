//! The report as one JSON document for programs. docs/evidence.md lists its fields.

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{CellRecord, CheckRecord, Holds, RunRecord, Verdict};
use serde_json::{Value, json};

use crate::outcome::{Outcome, Tally, goes_on, is_canary, of_cell};
use crate::summary::{headline, warnings};
use crate::words;
use crate::{Diff, ReportError};

/// Version of the document's shape. Fields are added without changing it, never taken away.
const FORMAT: u32 = 1;

/// The report as one JSON document.
///
/// # Errors
/// If it cannot be serialised.
pub fn json(bundle: &Bundle, since: Option<&Diff>) -> Result<String, ReportError> {
    let RunRecord { id, hospitium, suite, started, ended, seed, required, .. } = &bundle.run;
    let problems: Vec<Value> = bundle
        .problems
        .iter()
        .map(|problem| json!({"path": problem.path(), "text": problem.to_string()}))
        .collect();
    let mut document = json!({
        "format": FORMAT,
        "headline": headline(bundle),
        "warnings": warnings(bundle),
        "evidence": {
            "manifest_sha256": bundle.digest,
            "sound": bundle.is_sound(),
            "problems": problems,
        },
        "run": {
            "id": id,
            "hospitium": hospitium,
            "suite": suite,
            "started": started,
            "ended": ended,
            "seed": seed,
            "required": required,
            "goes_on": goes_on(bundle),
            "cut_off": bundle.run.cut_off,
            "not_started": bundle.run.not_started,
        },
        "counts": counts(&Tally::of_cells(&bundle.cells)),
        "cells": bundle.cells.iter().map(|c| cell(bundle, c)).collect::<Vec<_>>(),
    });
    if let Some(diff) = since {
        document["changed_since"] = serde_json::to_value(diff)?;
    }
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn counts(tally: &Tally) -> Value {
    let mut counts: serde_json::Map<_, _> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.word().to_owned(), tally.count(outcome).into()))
        .collect();
    counts.insert("all".into(), tally.all().into());
    counts.into()
}

fn cell(bundle: &Bundle, cell: &Cell) -> Value {
    let CellRecord { name, guest, host, machine, inputs, timings, failure, .. } = &cell.record;
    json!({
        "name": name,
        "outcome": of_cell(bundle, cell).word(),
        "counts": counts(&Tally::of(&cell.checks)),
        "guest": guest,
        "host": host,
        "accelerator": host.accelerator,
        "machine": machine,
        "inputs": inputs,
        "observed": cell.record.observed,
        "booted": cell.record.booted,
        "timings": timings,
        "failure": failure,
        "canary_failed": cell.record.canary_failed,
        "required_not_run": cell.record.required_not_run,
        "checks": cell.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn check(check: &CheckRecord) -> Value {
    let findings: Vec<Value> = check
        .observations
        .findings
        .iter()
        .map(|finding| {
            let (holds, why) = match finding.judge() {
                Holds::Yes => (Some(true), None),
                Holds::No(why) => (Some(false), Some(why)),
                Holds::NotJudged => (None, None),
            };
            json!({
                "what": finding.what,
                "unit": finding.unit,
                "guest": finding.guest,
                "guest_source": finding.guest_source,
                "host": finding.host,
                "host_source": finding.host_source,
                "rule": finding.rule,
                "rule_words": words::rule(finding),
                "holds": holds,
                "why": why,
            })
        })
        .collect();
    let skipped_by = match &check.verdict {
        Verdict::Skip { why, .. } => Some(why),
        _ => None,
    };
    json!({
        "id": check.id,
        "subsystem": check.id.subsystem(),
        "requirement": check.requirement,
        "tier": check.tier.number(),
        "canary": is_canary(check),
        "outcome": Outcome::of(check).word(),
        "reason": check.verdict.reason(),
        "skipped_by": skipped_by,
        "flaky": check.flaky().map(|(failed, of)| json!({"failed": failed, "of": of})),
        "attempts": check.attempts.iter().map(Verdict::word).collect::<Vec<_>>(),
        "repeats": check.repeats,
        "one_witness": check.observations.one_witness,
        "findings": findings,
        "notes": check.observations.notes,
        "started_ms": check.started_ms,
        "took_ms": check.took_ms,
        "clone": check.clone,
        "artifacts": check.artifacts,
    })
}
