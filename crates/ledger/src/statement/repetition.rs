//! Whether one run repeated another party's: from the same inputs, every check with the same verdict.

use std::collections::BTreeMap;

use hospitium_model::{Digest, Verdict};

use super::endorsement::Repetition;
use super::validation::{CheckLine, Validation};
use crate::text::shown;

/// The role of the machine's description among the inputs. It has paths of the computer that ran it, so it is not compared
/// by digest: what was tested is.
const MACHINE: &str = "machine";

/// Why a run is no repetition of a record's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRepeated {
    /// The record's own run.
    #[error("it is the record's own run {0}, and not another one")]
    SameRun(String),
    /// Something else went in.
    #[error("its {what} is another: the record has {theirs}, and the run {ours}")]
    Input {
        /// Which.
        what: String,
        /// The record's.
        theirs: String,
        /// The run's.
        ours: String,
    },
    /// A check that the run did not run to its end.
    #[error("{check} {theirs} in the record, and the run has no verdict of it")]
    Fewer {
        /// The check.
        check: String,
        /// How it ended in the record.
        theirs: &'static str,
    },
    /// A check that ended otherwise.
    #[error("{check} {theirs} in the record, and {ours} in the run")]
    Differs {
        /// The check.
        check: String,
        /// How it ended in the record.
        theirs: &'static str,
        /// How it ended in the run.
        ours: &'static str,
    },
    /// No check to compare.
    #[error("the record has no check that ran, so that nothing can be repeated")]
    Nothing,
}

/// Compares what a run came to (`ours`, as it would be recorded) with a record, check by check.
///
/// # Errors
/// The first thing by which it is no repetition: other inputs, another machine, fewer checks, or another verdict.
pub fn repeats(theirs: &Validation, ours: &Validation) -> Result<Repetition, NotRepeated> {
    let (them, us) = (&theirs.hospitium, &ours.hospitium);
    if them.evidence.manifest == us.evidence.manifest || them.run.id == us.run.id {
        return Err(NotRepeated::SameRun(shown(&us.run.id)));
    }
    let inputs = same_inputs(theirs, ours)?;
    let of_run: BTreeMap<&str, &CheckLine> =
        us.checks.iter().map(|line| (line.id.as_str(), line)).collect();
    for line in &them.checks {
        let check = line.id.to_string();
        let Some(own) = of_run.get(line.id.as_str()) else {
            return Err(NotRepeated::Fewer { check, theirs: word(Some(line)) });
        };
        if word(Some(own)) != word(Some(line)) {
            return Err(NotRepeated::Differs {
                check,
                theirs: word(Some(line)),
                ours: word(Some(own)),
            });
        }
    }
    // What only the run has and failed is another outcome.
    let is_theirs = |line: &CheckLine| them.checks.iter().any(|of| of.id == line.id);
    let failed = |line: &&CheckLine| word(Some(line)) == FAILED && !is_theirs(line);
    if let Some(line) = us.checks.iter().find(failed) {
        let check = line.id.to_string();
        return Err(NotRepeated::Differs { check, theirs: word(None), ours: FAILED });
    }
    if them.checks.is_empty() {
        return Err(NotRepeated::Nothing);
    }
    Ok(Repetition {
        run: us.run.id.clone(),
        ended: us.run.ended,
        evidence: us.evidence.manifest,
        cell: us.evidence.cell.clone(),
        compared: them.checks.len(),
        inputs,
        machine: us.machine.clone().or_else(|| them.machine.clone()),
    })
}

const FAILED: &str = "failed";

const fn word(line: Option<&CheckLine>) -> &'static str {
    match line {
        Some(CheckLine { verdict: Verdict::Pass, .. }) => "passed",
        Some(_) => FAILED,
        None => "did not run",
    }
}

/// Whether the same went in; how many inputs were compared by digest.
fn same_inputs(theirs: &Validation, ours: &Validation) -> Result<usize, NotRepeated> {
    let (them, us) = (&theirs.hospitium, &ours.hospitium);
    let other = |what: &str, theirs: String, ours: String| NotRepeated::Input {
        what: shown(what),
        theirs: shown(&theirs),
        ours: shown(&ours),
    };
    if them.guest.digest != us.guest.digest {
        let (theirs, ours) = (them.guest.digest.short(), us.guest.digest.short());
        return Err(other("guest", theirs, ours));
    }
    let by_role = |validation: &Validation| -> BTreeMap<(String, Digest), String> {
        let pinned = validation.configuration.iter().filter_map(|input| {
            let role = input.annotations.get("role").cloned().unwrap_or_default();
            Some(((role, input.sha256()?), input.name.clone()))
        });
        pinned.filter(|((role, _), _)| role != MACHINE).collect()
    };
    let (of_record, of_run) = (by_role(theirs), by_role(ours));
    let differing = |some: &BTreeMap<(String, Digest), String>,
                     others: &BTreeMap<(String, Digest), String>| {
        let absent = some.iter().find(|(pinned, _)| !others.contains_key(pinned));
        absent.map(|((role, digest), name)| (role.clone(), format!("{name} {}", digest.short())))
    };
    let none = || "none such".to_owned();
    match (differing(&of_record, &of_run), differing(&of_run, &of_record)) {
        (None, None) => {}
        (Some((role, theirs)), ours) => {
            let ours = ours.filter(|(of, _)| *of == role).map_or_else(none, |(_, ours)| ours);
            return Err(other(&role, theirs, ours));
        }
        (None, Some((role, ours))) => return Err(other(&role, none(), ours)),
    }
    // A record's envelope may be widened to what several machines cover, so the cell's own machine is compared where
    // both tell it.
    if let (Some(theirs), Some(ours)) = (&them.machine, &us.machine)
        && theirs != ours
    {
        return Err(other("machine", theirs.join(" "), ours.join(" ")));
    }
    let (real, ours_real) = (them.envelope.accelerator, us.envelope.accelerator);
    if real != ours_real {
        return Err(other("accelerator", real.name().into(), ours_real.name().into()));
    }
    if them.machine.is_none() && them.machines.is_none() && them.envelope != us.envelope {
        let words = |validation: &Validation| serde_json::to_string(&validation.hospitium.envelope);
        let (theirs, ours) = (words(theirs), words(ours));
        return Err(other("machine", theirs.unwrap_or_default(), ours.unwrap_or_default()));
    }
    Ok(of_record.len() + 1)
}
