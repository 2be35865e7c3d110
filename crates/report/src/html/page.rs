//! The page as a whole: the answer, the matrix, what did not pass.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hospitium_evidence::Bundle;
use hospitium_model::Digest;

use super::cell::CellView;
use super::changes::Changes;
use super::check::CheckView;
use super::picture::Pictures;
use crate::Diff;
use crate::outcome::{Outcome, Tally, goes_on, of_cell};
use crate::summary::{headline, problems, warnings};
use crate::words::{self, visible};

const CSS: &str = include_str!("../../templates/style.css");
const JS: &str = include_str!("../../templates/extras.js");

/// Problems and rows of lists that are shown.
const ROWS: usize = 300;

/// What `page.html` shows.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Page {
    css: &'static str,
    js: &'static str,
    policy: String,
    /// Set while the run goes on: the page loads itself again.
    goes_on: bool,
    run_id: String,
    headline: String,
    warnings: Vec<String>,
    problems: Vec<String>,
    problem_count: usize,
    bar: Vec<Segment>,
    tally: Vec<(Outcome, usize)>,
    changes: Option<Changes>,
    matrix: Matrix,
    troubles: Vec<Trouble>,
    trouble_count: usize,
    cells: Vec<CellView>,
    facts: Vec<(&'static str, String)>,
    manifest: String,
}

/// A piece of the proportion bar, in thousandths of its width.
struct Segment {
    outcome: Outcome,
    x: usize,
    width: usize,
}

/// Guests down, hosts across.
struct Matrix {
    hosts: Vec<String>,
    rows: Vec<(String, Vec<Vec<MatrixCell>>)>,
}

struct MatrixCell {
    anchor: String,
    name: String,
    /// Shown beside the mark only if guest and host alone do not tell the cell.
    ambiguous: bool,
    outcome: Outcome,
    passed: usize,
    apply: usize,
    rest: String,
    accelerator: &'static str,
}

/// A line of "what did not pass".
struct Trouble {
    cell: String,
    /// The start of the reason; all of it is with the check.
    reason: String,
    check: CheckView,
}

impl Page {
    pub fn of(bundle: &Bundle, since: Option<&Diff>) -> Self {
        let tally = Tally::of_cells(&bundle.cells);
        let goes_on = goes_on(bundle);
        let mut pictures = Pictures::of(bundle);
        let cells: Vec<CellView> = bundle
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| CellView::of(bundle, index, cell, &mut pictures))
            .collect();
        let mut troubles: Vec<Trouble> = cells
            .iter()
            .flat_map(|cell| cell.groups.iter().map(move |group| (cell, group)))
            .flat_map(|(cell, group)| group.checks.iter().map(move |check| (cell, check)))
            .filter(|(_, check)| check.outcome.wants_attention())
            .filter(|(_, check)| !goes_on || check.outcome != Outcome::Miss)
            .map(|(cell, check)| Trouble {
                cell: cell.title.clone(),
                reason: visible(&check.reason, 280),
                check: check.clone(),
            })
            .collect();
        troubles.sort_by_key(|trouble| trouble.check.outcome);
        let trouble_count = troubles.len();
        troubles.truncate(ROWS);
        let problems = problems(bundle);
        let problem_count = problems.len();
        Self {
            css: CSS,
            js: JS,
            policy: policy(),
            goes_on,
            run_id: visible(&bundle.run.id, 64),
            headline: headline(bundle),
            warnings: warnings(bundle),
            problems: problems.iter().take(ROWS).map(ToString::to_string).collect(),
            problem_count,
            bar: bar(&tally),
            tally: counted(&tally),
            changes: since.map(|diff| Changes::of(bundle, diff)),
            matrix: matrix(bundle),
            troubles,
            trouble_count,
            cells,
            facts: facts(bundle),
            manifest: bundle.digest.to_string(),
        }
    }
}

/// Everything is forbidden but our own style and script, by digest, and pictures within the page.
fn policy() -> String {
    let source = |text: &str| {
        format!("'sha256-{}'", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; \
         base-uri 'none'; form-action 'none'",
        source(CSS),
        source(JS)
    )
}

/// The outcomes that there are, passes first.
fn counted(tally: &Tally) -> Vec<(Outcome, usize)> {
    let order = [
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Flaky,
        Outcome::Error,
        Outcome::Miss,
        Outcome::Skip,
    ];
    let counts = order.into_iter().map(|outcome| (outcome, tally.count(outcome)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn bar(tally: &Tally) -> Vec<Segment> {
    let all = tally.all().max(1);
    let mut x = 0;
    let mut segments = Vec::new();
    for (outcome, count) in counted(tally) {
        // One failure among thousands is still to be seen.
        let width = (count * 1000 / all).max(6);
        segments.push(Segment { outcome, x, width });
        x += width;
    }
    // What was rounded comes off, or goes to, the widest.
    if let Some(at) = (0..segments.len()).max_by_key(|at| segments[*at].width) {
        segments[at].width = (segments[at].width + 1000).saturating_sub(x);
        let mut x = 0;
        for segment in &mut segments {
            segment.x = x;
            x += segment.width;
        }
    }
    segments
}

fn matrix(bundle: &Bundle) -> Matrix {
    let mut hosts: Vec<String> = Vec::new();
    let mut guests: Vec<String> = Vec::new();
    for cell in &bundle.cells {
        for (names, name) in
            [(&mut hosts, &cell.record.host.name), (&mut guests, &cell.record.guest.name)]
        {
            let name = visible(name, 80);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let rows = guests.into_iter().map(|guest| {
        let columns = hosts.iter().map(|host| {
            let here: Vec<_> = bundle
                .cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| {
                    visible(&cell.record.guest.name, 80) == guest
                        && visible(&cell.record.host.name, 80) == *host
                })
                .collect();
            let ambiguous = here.len() > 1;
            here.into_iter()
                .map(|(index, cell)| {
                    let tally = Tally::of(&cell.checks);
                    let rest = counted(&tally).into_iter().filter(|(o, _)| *o != Outcome::Pass);
                    let rest: Vec<_> = rest.map(|(o, n)| format!("{n} {}", o.counted())).collect();
                    MatrixCell {
                        anchor: format!("c{index}"),
                        name: visible(&cell.record.name, 64),
                        ambiguous,
                        outcome: of_cell(bundle, cell),
                        passed: tally.count(Outcome::Pass),
                        apply: tally.apply(),
                        rest: rest.join(", "),
                        accelerator: cell.record.host.accelerator.used.name(),
                    }
                })
                .collect()
        });
        let columns = columns.collect();
        (guest, columns)
    });
    let rows = rows.collect();
    Matrix { hosts, rows }
}

/// Limits of a definition that are shown.
const LIMITS: usize = 40;

fn facts(bundle: &Bundle) -> Vec<(&'static str, String)> {
    let run = &bundle.run;
    let mut facts = vec![
        ("Run", visible(&run.id, 64)),
        ("Began", run.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
    ];
    if let Some(ended) = run.ended {
        let ms = ended.duration_since(run.started).as_millis_f64();
        facts.push(("Took", words::duration(ms)));
    }
    facts.push(("Hospitium", visible(&run.hospitium, 40)));
    facts.push(("Suite", format!("sha256:{}", run.suite.short())));
    facts.push(("Required", words::plural(run.required.len(), "check")));
    facts.push(("Seed", run.seed.to_string()));
    if let Some(of) = &run.definition {
        let name = format!("{}, {}, sha256:{}", of.name, of.format, of.sha256.short());
        facts.push(("Machine of", visible(&name, 200)));
        facts.extend(of.limits.iter().take(LIMITS).map(|limit| ("Limit", visible(limit, 300))));
        let more = of.limits.len().saturating_sub(LIMITS);
        if more > 0 {
            facts.push(("Limit", format!("{more} more; run.json has them")));
        }
    }
    facts
}
