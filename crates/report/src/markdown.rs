//! The report as Markdown, for a pull request or a wiki: the matrix, what failed, what was skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hospitium_evidence::Bundle;
use hospitium_model::{CheckRecord, Verdict};

use crate::Diff;
use crate::outcome::{Outcome, Tally, goes_on, is_canary, of_cell};
use crate::summary::{headline, problems, warnings};
use crate::words::{self, short_digests, visible};

/// Rows of a table; the rest is in the other documents.
const ROWS: usize = 200;

/// The report as Markdown (GitHub's dialect, no HTML).
pub fn markdown(bundle: &Bundle, since: Option<&Diff>) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_to(&mut out, bundle, since);
    out
}

fn write_to(out: &mut String, bundle: &Bundle, since: Option<&Diff>) -> std::fmt::Result {
    writeln!(out, "# Validation run {}\n", text(&bundle.run.id))?;
    writeln!(out, "**{}**\n", text(&headline(bundle)))?;
    for warning in warnings(bundle) {
        writeln!(out, "> ⚠ {}\n", text(&warning))?;
    }
    let problems = problems(bundle);
    if !problems.is_empty() {
        writeln!(out, "> ⚠ The evidence is not sound:\n>")?;
        for problem in problems.iter().take(ROWS) {
            writeln!(out, "> - {}", text(&problem.to_string()))?;
        }
        writeln!(out)?;
    }
    if let Some(diff) = since {
        changes(out, diff)?;
    }
    writeln!(out, "| guest | host | cell | | pass | fail | flaky | error | miss | skip |")?;
    writeln!(out, "|---|---|---|---|--:|--:|--:|--:|--:|--:|")?;
    for cell in &bundle.cells {
        let tally = Tally::of(&cell.checks);
        let outcome = of_cell(bundle, cell);
        write!(
            out,
            "| {} | {} | {} | {} {} |",
            text(&cell.record.guest.name),
            text(&cell.record.host.name),
            text(&cell.record.name),
            outcome.sign(),
            outcome.word()
        )?;
        for outcome in [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Flaky,
            Outcome::Error,
            Outcome::Miss,
            Outcome::Skip,
        ] {
            write!(out, " {} |", tally.count(outcome))?;
        }
        writeln!(out)?;
    }
    for cell in &bundle.cells {
        if let Some(of) = words::boot_of(&cell.record, bundle.run.started) {
            let name = text(&cell.record.name);
            writeln!(out, "\n{name}: no boot, the snapshot came from the cache{of}.")?;
        }
    }
    if let Some(of) = &bundle.run.definition {
        writeln!(out, "\nThe machine is built after {} ({}).", text(&of.name), text(&of.format))?;
        for limit in of.limits.iter().take(40) {
            writeln!(out, "- limit: {}", text(limit))?;
        }
    }
    troubles(out, bundle)?;
    repeated(out, bundle)?;
    skips(out, bundle)?;
    writeln!(
        out,
        "\nEvidence: manifest SHA-256 `{}`; hospitium {}.",
        bundle.digest,
        text(&bundle.run.hospitium)
    )
}

fn changes(out: &mut String, diff: &Diff) -> std::fmt::Result {
    writeln!(out, "## Changed since {}\n", text(&diff.before.run))?;
    writeln!(out, "{}\n", text(&diff.headline()))?;
    let several = diff.cells.len() > 1;
    let rows = diff.cells.iter().flat_map(|cell| {
        let verdicts = cell.regressions.iter().chain(&cell.mends).chain(&cell.others);
        verdicts.map(move |change| (cell, change))
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        writeln!(out, "| check | | reason |\n|---|---|---|")?;
    }
    for (cell, change) in rows.iter().take(ROWS) {
        let of = if several { format!(" {}", text(&cell.after)) } else { String::new() };
        let (words, why) = (change.words(), text(&change.why()));
        writeln!(out, "| `{}`{of} | {words} | {why} |", change.check)?;
    }
    more(out, rows.len())?;
    for gone in diff.only_before.iter().take(ROWS) {
        writeln!(out, "\nNot run again: {} ({} passed)", text(&gone.title), gone.passed)?;
    }
    writeln!(out)
}

fn troubles(out: &mut String, bundle: &Bundle) -> std::fmt::Result {
    let mut rows: Vec<_> = bundle
        .cells
        .iter()
        .flat_map(|cell| cell.checks.iter().map(move |check| (cell, check, Outcome::of(check))))
        .filter(|(_, check, outcome)| outcome.wants_attention() && !is_canary(check))
        .filter(|(_, _, outcome)| !goes_on(bundle) || *outcome != Outcome::Miss)
        .collect();
    rows.sort_by_key(|(_, _, outcome)| *outcome);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What did not pass\n")?;
    writeln!(out, "| | check | cell | reason |\n|---|---|---|---|")?;
    for (cell, check, outcome) in rows.iter().take(ROWS) {
        let flaky = check.flaky().filter(|_| *outcome == Outcome::Flaky);
        let word = flaky.map_or_else(
            || outcome.word().to_owned(),
            |(failed, of)| format!("flaky {failed} of {of}"),
        );
        writeln!(
            out,
            "| {} {word} | `{}` | {} | {} |",
            outcome.sign(),
            check.id,
            text(&cell.record.name),
            text(&short_digests(reason(check)))
        )?;
    }
    more(out, rows.len())
}

fn repeated(out: &mut String, bundle: &Bundle) -> std::fmt::Result {
    let checks = bundle.cells.iter().flat_map(|cell| cell.checks.iter().map(move |c| (cell, c)));
    let rows: Vec<_> =
        checks.filter_map(|(cell, c)| Some((cell, c, c.repeats.as_ref()?))).collect();
    let Some((_, _, first)) = rows.first() else { return Ok(()) };
    writeln!(out, "\n## Repeated {}\n", text(&first.asked))?;
    writeln!(out, "| check | cell | | |\n|---|---|---|---|")?;
    for (cell, check, repeats) in rows.iter().take(ROWS) {
        let (often, took) = (words::repeated(repeats), words::repetitions_took(repeats));
        writeln!(out, "| `{}` | {} | {often} | {took} |", check.id, text(&cell.record.name))?;
    }
    more(out, rows.len())
}

/// The reason of the verdict, or that of the first attempt which failed.
fn reason(check: &CheckRecord) -> &str {
    let reasons = std::iter::once(&check.verdict).chain(&check.attempts).map(Verdict::reason);
    reasons.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default()
}

fn skips(out: &mut String, bundle: &Bundle) -> std::fmt::Result {
    let mut skips: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for cell in &bundle.cells {
        for check in &cell.checks {
            if let Verdict::Skip { why, reason } = &check.verdict {
                let key = (check.id.as_str(), why.words(), reason.as_str());
                skips.entry(key).or_default().push(&cell.record.name);
            }
        }
    }
    if skips.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Skipped\n")?;
    writeln!(out, "| check | why | reason | cells |\n|---|---|---|---|")?;
    for ((id, why, reason), cells) in skips.iter().take(ROWS) {
        writeln!(out, "| `{id}` | {why} | {} | {} |", text(reason), text(&cells.join(", ")))?;
    }
    more(out, skips.len())
}

fn more(out: &mut String, rows: usize) -> std::fmt::Result {
    match rows.saturating_sub(ROWS) {
        0 => Ok(()),
        left => writeln!(out, "\n…and {left} more."),
    }
}

/// Foreign text in which nothing is markup, a mention or a link.
fn text(foreign: &str) -> String {
    let mut out = String::new();
    for c in visible(foreign, 400).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            ':' => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // GitHub makes a link of what starts with it.
            '.' if out.ends_with("www") => out.push_str("&#46;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_is_markup() {
        assert_eq!(
            text("<b>|x|\n@you [a](http://b)"),
            r"&lt;b&gt;\|x\|⟨LF⟩&#64;you \[a\](http&#58;//b)"
        );
    }
}
