//! What changed since an earlier run, at the top of the page.

use hospitium_evidence::Bundle;

use crate::Diff;
use crate::diff::{CellDiff, CheckChange, LoneCell};
use crate::outcome::Outcome;
use crate::words::{plural, visible};

/// Rows of a list that are shown.
const ROWS: usize = 100;

/// What `changes.html` shows.
pub struct Changes {
    pub since: String,
    pub began: String,
    pub headline: String,
    pub regressed: bool,
    pub nothing: bool,
    pub unsound: bool,
    pub notes: Vec<String>,
    pub verdicts: Vec<VerdictList>,
    pub tables: Vec<Table>,
}

/// Checks that ended otherwise.
pub struct VerdictList {
    pub title: &'static str,
    pub rows: Vec<VerdictRow>,
    pub left: usize,
}

pub struct VerdictRow {
    pub anchor: Option<String>,
    pub id: String,
    pub cell: String,
    pub outcome: Outcome,
    pub words: String,
    pub why: String,
}

/// Findings, times or inputs.
pub struct Table {
    pub title: &'static str,
    pub caption: &'static str,
    pub rows: Vec<Row>,
    pub left: usize,
}

pub struct Row {
    pub cell: String,
    pub what: String,
    pub under: String,
    pub before: String,
    pub after: String,
}

impl Changes {
    pub fn of(bundle: &Bundle, diff: &Diff) -> Self {
        let several = diff.cells.len() > 1;
        let name =
            |cell: &CellDiff| if several { visible(&cell.title, 160) } else { String::new() };
        let verdicts = |title, of: fn(&CellDiff) -> &Vec<CheckChange>| {
            let all = diff.cells.iter().flat_map(|cell| {
                of(cell).iter().map(|change| VerdictRow {
                    anchor: anchor(bundle, cell, change),
                    id: change.check.to_string(),
                    cell: name(cell),
                    outcome: change.after.unwrap_or(Outcome::Miss),
                    words: change.words(),
                    why: change.why(),
                })
            });
            let (rows, left) = bounded(all.collect());
            VerdictList { title, rows, left }
        };
        let findings = diff.cells.iter().flat_map(|cell| {
            cell.findings.iter().map(|change| {
                let (before, after) = change.words();
                row(name(cell), change.check.to_string(), change.what(), before, after)
            })
        });
        let times = diff.cells.iter().flat_map(|cell| {
            cell.timings.iter().map(|change| {
                let words = change.words();
                let (before, after) = words.split_once(" → ").unwrap_or_default();
                row(name(cell), change.what(), String::new(), before.into(), after.into())
            })
        });
        let of_run = diff.inputs.iter().map(|change| (String::new(), change));
        let of_cells = diff.cells.iter().flat_map(|cell| {
            cell.inputs.iter().map(|change| (name(cell), change)).collect::<Vec<_>>()
        });
        let inputs = of_run.chain(of_cells).map(|(cell, change)| {
            let (before, after) = change.words();
            row(cell, change.what(), String::new(), before, after)
        });
        let tables = [
            table(
                "Findings of passes",
                "Both times within their rules, and not the same",
                findings.collect(),
            ),
            table("Times", "By a factor of 2 or more, and by a second or more", times.collect()),
            table("Inputs", "What went in and is another", inputs.collect()),
        ];
        Self {
            since: visible(&diff.before.run, 64),
            began: diff.before.started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            headline: diff.headline(),
            regressed: diff.regressions() > 0,
            nothing: diff.is_empty(),
            unsound: !diff.before.sound,
            notes: notes(diff),
            verdicts: [
                verdicts("Regressions", |cell| &cell.regressions),
                verdicts("Mended", |cell| &cell.mends),
                verdicts("Ended otherwise", |cell| &cell.others),
            ]
            .into_iter()
            .filter(|list| !list.rows.is_empty())
            .collect(),
            tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        }
    }
}

fn row(cell: String, what: String, under: String, before: String, after: String) -> Row {
    Row { cell, what, under, before, after }
}

fn table(title: &'static str, caption: &'static str, rows: Vec<Row>) -> Table {
    let (rows, left) = bounded(rows);
    Table { title, caption, rows, left }
}

fn bounded<T>(mut rows: Vec<T>) -> (Vec<T>, usize) {
    let left = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    (rows, left)
}

/// Where the check stands on the page: those that are gone, and skips, do not.
fn anchor(bundle: &Bundle, cell: &CellDiff, change: &CheckChange) -> Option<String> {
    change.after.filter(|outcome| *outcome != Outcome::Skip)?;
    let at = bundle.cells.iter().position(|it| it.record.name == cell.after)?;
    Some(format!("c{at}-{}", change.check.file_name()))
}

fn notes(diff: &Diff) -> Vec<String> {
    let mut notes = Vec::new();
    for cell in &diff.cells {
        if let Some(words) = cell.matched.words() {
            let before = match cell.before == cell.after {
                true => String::new(),
                false => format!(", compared with {}", visible(&cell.before, 64)),
            };
            notes.push(format!("{}{before}: {words}.", visible(&cell.title, 160)));
        }
    }
    let lone = |cell: &LoneCell| {
        format!("{} ({} in it)", visible(&cell.title, 160), plural(cell.passed, "passed check"))
    };
    notes
        .extend(diff.only_before.iter().take(ROWS).map(|c| format!("Not run again: {}.", lone(c))));
    notes.extend(diff.only_after.iter().take(ROWS).map(|c| format!("New: {}.", lone(c))));
    notes
}
