//! `hospitium diff`: what changed from one run to another.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_evidence::{Bundle, ReadError};
use hospitium_report::diff::{CellDiff, CheckChange};
use hospitium_report::{Diff, diff};

use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::places;
use crate::view::{Paint, safe};

pub const EXIT_CODES: &str = "\
Exit codes:
  0  no regression: whatever passed before passes now
  1  a regression: a check passed before and does not now, or was not run
  2  the runs cannot be compared";

/// Rows of a list that are shown.
const SHOWN: usize = 30;

#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The run before: its folder, its evidence folder, or a packed bundle (.tar.zst)
    #[arg(value_hint = ValueHint::AnyPath)]
    pub before: PathBuf,
    /// The run now
    #[arg(value_hint = ValueHint::AnyPath)]
    pub after: PathBuf,
    /// One JSON object (docs/diff.md)
    #[arg(long)]
    pub json: bool,
}

/// `hospitium diff`.
pub fn run(arguments: &DiffArguments) -> Result<End> {
    let (before, after) = (open(&arguments.before)?, open(&arguments.after)?);
    let found = compared(&before, &after)?;
    if arguments.json {
        out!("{}", serde_json::to_string_pretty(&found).context("cannot write the JSON")?);
    } else {
        for (side, path) in [(&found.before, &arguments.before), (&found.after, &arguments.after)] {
            if !side.sound {
                note!(
                    "warning: something is wrong with the evidence of {}; \
                     `hospitium verify {}` says what",
                    safe(&side.run),
                    path.display()
                );
            }
        }
        out!("{}", text(&found, Paint::stdout()).trim_end());
    }
    Ok(if found.regressions() == 0 { End::Good } else { End::Bad })
}

/// Compares two runs that were read.
pub fn compared(before: &Bundle, after: &Bundle) -> Result<Diff> {
    diff(before, after).map_err(|error| {
        Usage::because(error, "the runs cannot be compared", "name two runs of one guest or host")
    })
}

/// Reads a run that has ended.
pub fn open(run: &Path) -> Result<Bundle> {
    let evidence = places::evidence(run)?;
    match Bundle::open(&evidence) {
        Err(ReadError::Unfinished) => Err(Usage::error(
            format!("the run {} has not ended", run.display()),
            "wait for its end; if it was killed, the next `hospitium run` closes its evidence",
        )),
        opened => {
            opened.with_context(|| format!("the evidence {} cannot be read", evidence.display()))
        }
    }
}

/// As people read it, what matters most first.
fn text(diff: &Diff, paint: Paint) -> String {
    let mut text = String::new();
    let began = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    for (what, side) in [("before", &diff.before), ("now", &diff.after)] {
        let _ = writeln!(text, "{what:<8}  {}  {}", safe(&side.run), began(side.started));
    }
    for cell in &diff.cells {
        let how = cell.matched.words().map(|words| format!(" ({words})")).unwrap_or_default();
        let _ = writeln!(text, "compared  {}{how}", safe(&cell.title));
    }
    for (what, cells) in [("gone", &diff.only_before), ("new", &diff.only_after)] {
        for cell in cells {
            let word = if what == "gone" {
                paint.verdict("fail", "gone    ")
            } else {
                format!("{what:<8}")
            };
            let _ = writeln!(
                text,
                "{word}  {} ({} checks passed in it)",
                safe(&cell.title),
                cell.passed
            );
        }
    }
    let rows = |of: fn(&CellDiff) -> &Vec<CheckChange>| verdicts(diff, of, paint);
    section(&mut text, paint, "Regressions", rows(|cell| &cell.regressions));
    section(&mut text, paint, "Mended", rows(|cell| &cell.mends));
    section(&mut text, paint, "Ended otherwise", rows(|cell| &cell.others));
    let findings = each(diff, |cell| {
        let rows = cell.findings.iter().map(|change| {
            let (before, after) = change.words();
            format!("{}  {}: {before} → {after}", change.check, change.what())
        });
        rows.collect()
    });
    section(&mut text, paint, "Findings of passes", findings);
    let times = each(diff, |cell| {
        cell.timings.iter().map(|change| format!("{}  {}", change.what(), change.words())).collect()
    });
    section(&mut text, paint, "Times, by a factor of 2 and a second or more", times);
    let input = |change: &hospitium_report::diff::InputChange| {
        let (before, after) = change.words();
        format!("{}  {before} → {after}", change.what())
    };
    let mut inputs: Vec<String> = diff.inputs.iter().map(input).collect();
    inputs.extend(each(diff, |cell| cell.inputs.iter().map(input).collect()));
    section(&mut text, paint, "Inputs", inputs);
    let word = if diff.regressions() == 0 { "pass" } else { "fail" };
    let _ = writeln!(text, "\n{}", paint.verdict(word, &diff.headline()));
    text
}

/// The rows of all cells, each with its cell where there are several.
fn each(diff: &Diff, rows: impl Fn(&CellDiff) -> Vec<String>) -> Vec<String> {
    let several = diff.cells.len() > 1;
    let of = |cell: &CellDiff| if several { format!("  [{}]", cell.after) } else { String::new() };
    let all = diff.cells.iter().flat_map(|cell| {
        let of = of(cell);
        rows(cell).into_iter().map(move |row| row + &of)
    });
    all.collect()
}

fn verdicts(diff: &Diff, of: fn(&CellDiff) -> &Vec<CheckChange>, paint: Paint) -> Vec<String> {
    each(diff, |cell| {
        let rows = of(cell).iter().map(|change| {
            let word = change.after.map_or("miss", hospitium_report::Outcome::word);
            let words = paint.verdict(word, &format!("{:<18}", change.words()));
            match change.why() {
                why if why.is_empty() => format!("{words}  {}", change.check),
                why => format!("{words}  {}: {why}", change.check),
            }
        });
        rows.collect()
    })
}

fn section(text: &mut String, paint: Paint, title: &str, rows: Vec<String>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", paint.bold(&format!("{title} ({})", rows.len())));
    for row in rows.iter().take(SHOWN) {
        let _ = writeln!(text, "  {row}");
    }
    if rows.len() > SHOWN {
        let _ = writeln!(text, "  and {} more; --json has them all", rows.len() - SHOWN);
    }
}
