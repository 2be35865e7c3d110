//! The run in one sentence.

use std::collections::BTreeSet;

use hospitium_evidence::{Bundle, Problem};
use hospitium_model::{CheckRecord, GuestKind};

use crate::outcome::{Outcome, Tally, goes_on, is_canary, still_runs};
use crate::words::{plural, visible};

/// The answer in a sentence: which guests on which hosts, how many checks passed, what did not.
pub fn headline(bundle: &Bundle) -> String {
    let tally = Tally::of_cells(&bundle.cells);
    let mut text = format!("{} on {}: ", guests(bundle), hosts(bundle));
    text += &match (tally.count(Outcome::Pass), tally.apply(), tally.all()) {
        (_, 0, _) => "no check ran".to_owned(),
        (1, 1, 1) => "the only check passed".to_owned(),
        (passed, apply, all) if passed == apply && apply == all => {
            format!("all {all} checks passed")
        }
        (passed, apply, _) if passed == apply => format!("all {apply} checks that apply passed"),
        (passed, _, all) => format!("{passed} of {} passed", plural(all, "check")),
    };
    for outcome in [Outcome::Skip, Outcome::Miss, Outcome::Error, Outcome::Flaky, Outcome::Fail] {
        let count = tally.count(outcome);
        if count == 0 {
            continue;
        }
        text += &format!("; {count} {}", outcome.counted());
        if matches!(outcome, Outcome::Flaky | Outcome::Fail) {
            text += &format!(": {}", names(bundle, outcome));
        }
    }
    text + "."
}

/// What else a reader has to know before anything: a run cut off, a canary that passed.
pub fn warnings(bundle: &Bundle) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(why) = &bundle.run.cut_off {
        warnings.push(format!("The run was cut off: {}.", visible(why, 400).trim_end_matches('.')));
    }
    let goes_on = goes_on(bundle);
    if goes_on {
        warnings.push(
            "The run still goes on. This is what it has until now; what has not ended counts as missed."
                .into(),
        );
    }
    if !bundle.run.not_started.is_empty() {
        let names: Vec<_> = bundle.run.not_started.iter().map(|name| visible(name, 64)).collect();
        let begun = if goes_on { "have not begun yet" } else { "never began" };
        warnings.push(format!("These cells {begun}: {}.", listed(&names, 10)));
    }
    for cell in &bundle.cells {
        let name = visible(&cell.record.name, 64);
        if let Some(why) = &cell.record.failure {
            let why = visible(why.lines().next().unwrap_or_default(), 400);
            warnings.push(format!("{name} could not be run: {why}"));
        } else if still_runs(bundle, cell) {
            warnings.push(format!("{name} still runs."));
            continue;
        } else if !cell.record.canary_failed {
            warnings.push(format!(
                "{name}: the canary did not fail, so this cell's other verdicts prove nothing."
            ));
        }
        let missing = cell.record.required_not_run.len();
        if missing > 0 {
            let checks = plural(missing, "required check");
            warnings.push(format!("{name}: {checks} did not run to an end; it cannot certify."));
        }
    }
    warnings
}

/// What is wrong with the evidence. That a canary has not failed yet is nothing wrong while its cell
/// runs, which [`warnings`] tell.
pub fn problems(bundle: &Bundle) -> Vec<&Problem> {
    let not_yet = |problem: &&Problem| match problem {
        Problem::CanaryUnproven { cell } => {
            bundle.cell(cell).is_some_and(|cell| still_runs(bundle, cell))
        }
        _ => false,
    };
    bundle.problems.iter().filter(|problem| !not_yet(problem)).collect()
}

fn guests(bundle: &Bundle) -> String {
    let all = bundle.cells.iter().map(|cell| &cell.record.guest);
    let of = |kind| {
        let names =
            all.clone().filter(|guest| guest.kind == kind).map(|guest| visible(&guest.name, 60));
        let mut seen = BTreeSet::new();
        names.filter(|name| seen.insert(name.clone())).collect::<Vec<_>>()
    };
    let mut parts = Vec::new();
    match of(GuestKind::Kernel).as_slice() {
        [] => {}
        [one] => parts.push(one.clone()),
        several => parts.push(format!("{} kernels", several.len())),
    }
    match of(GuestKind::Disk) {
        several if several.len() > 3 => parts.push(format!("{} systems", several.len())),
        few => parts.extend(few),
    }
    if parts.is_empty() { "No guest".into() } else { joined(&parts) }
}

fn hosts(bundle: &Bundle) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<_> = bundle
        .cells
        .iter()
        .map(|cell| visible(&cell.record.host.name, 60))
        .filter(|name| seen.insert(name.clone()))
        .collect();
    match names.len() {
        0 => "no host".into(),
        1..=3 => joined(&names),
        n => format!("{n} hosts"),
    }
}

/// The checks of an outcome by id, and in how many cells, the first few.
fn names(bundle: &Bundle, outcome: Outcome) -> String {
    let is = |check: &&CheckRecord| Outcome::of(check) == outcome && !is_canary(check);
    let mut names: Vec<(String, usize)> = Vec::new();
    for check in bundle.cells.iter().flat_map(|cell| &cell.checks).filter(is) {
        match names.iter_mut().find(|(name, _)| name == check.id.as_str()) {
            Some((_, count)) => *count += 1,
            None => names.push((check.id.to_string(), 1)),
        }
    }
    let words: Vec<_> = names
        .into_iter()
        .map(|(name, count)| if count == 1 { name } else { format!("{name} (in {count} cells)") })
        .collect();
    listed(&words, 3)
}

/// The first few of a list and how many more there are.
fn listed(words: &[String], most: usize) -> String {
    let left = words.len().saturating_sub(most);
    let shown = words[..words.len() - left].join(", ");
    if left == 0 { shown } else { format!("{shown} and {left} more") }
}

fn joined(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => words.concat(),
    }
}
