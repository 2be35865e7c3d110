//! The pages of runs. The part that changes is the same in the page and in what is sent for it.

use askama::Template;
use hospitium_report::words::{duration, plural};

use super::look::Listed;
use super::state::{CellState, RunState, Stage};
use crate::links::{Links, encoded};
use crate::mark::Mark;
use crate::model::Frame;

/// Checks of a cell that ended lately, which are shown first.
const LATELY: usize = 12;

#[derive(Debug, Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    href: String,
    mark: Mark,
    started: String,
    ended: String,
    cells: String,
}

#[derive(Debug, Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    name: String,
    over: bool,
    events: String,
    body: String,
}

#[derive(Debug, Template)]
#[template(path = "run-state.html")]
struct Fragment {
    mark: Mark,
    words: String,
    done: usize,
    planned: usize,
    left: String,
    started: String,
    cut_off: String,
    report: String,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    title: String,
    doing: String,
    begun: bool,
    counts: Vec<(Mark, usize)>,
    progress: String,
    running: Vec<String>,
    failure: String,
    wrong: Vec<(Mark, String, String)>,
    lately: Vec<(Mark, String, String)>,
    console: Vec<String>,
}

fn frame() -> Frame {
    let links = Links { root: "/".to_owned(), ..Links::new(true, 0) };
    Frame { links, here: "runs", as_of: String::new() }
}

fn stage(stage: Stage) -> Mark {
    let (word, class, sign) = match stage {
        Stage::Running => ("running", "plan", "▶"),
        Stage::Finished => ("finished", "pass", "■"),
        Stage::CutOff => ("cut off", "flaky", "■"),
        Stage::Killed => ("killed", "fail", "✗"),
    };
    Mark { word, class, sign }
}

fn time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The list of runs.
pub fn list(listed: Vec<Listed>) -> Result<String, askama::Error> {
    let rows = listed.into_iter().map(|run| Row {
        href: format!("/runs/{}", encoded(&run.name)),
        name: run.name,
        mark: stage(run.stage),
        started: time(run.record.started),
        ended: run.record.ended.map(time).unwrap_or_default(),
        cells: plural(run.record.cells.len() + run.record.not_started.len(), "cell"),
    });
    RunsPage { frame: frame(), rows: rows.collect() }.render()
}

/// The page of a run.
pub fn run(state: &RunState) -> Result<String, askama::Error> {
    let page = RunPage {
        frame: frame(),
        name: state.name.clone(),
        over: state.is_over(),
        events: format!("/runs/{}/events?as=html", encoded(&state.name)),
        body: fragment(state)?,
    };
    page.render()
}

/// The part of the page that changes.
pub fn fragment(state: &RunState) -> Result<String, askama::Error> {
    let words = match state.stage {
        Stage::Running => "This run goes on.",
        Stage::Finished => "This run is over; its evidence is complete.",
        Stage::CutOff => "This run ended early; what had been finished is kept.",
        Stage::Killed => {
            "Nobody writes this run any more, and it was not brought to an end. `hospitium run` puts \
             it in order the next time; what had been finished is kept."
        }
    };
    let left = state.left_s.map_or_else(String::new, |left| {
        // Whole milliseconds of seconds: well within what a float holds.
        #[expect(clippy::cast_precision_loss, reason = "at most some days")]
        let ms = left as f64 * 1000.0;
        format!("about {} to go, if the rest goes as fast", duration(ms))
    });
    let page = Fragment {
        mark: stage(state.stage),
        words: words.to_owned(),
        done: state.done,
        planned: state.planned,
        left,
        started: time(state.started),
        cut_off: state.cut_off.clone().unwrap_or_default(),
        report: match state.report {
            true => format!("/runs/{}/report", encoded(&state.name)),
            false => String::new(),
        },
        cells: state.cells.iter().map(cell).collect(),
    };
    page.render()
}

fn cell(cell: &CellState) -> Cell {
    let visible = |text: &str| hospitium_report::words::visible(text, 500);
    let mut counts: Vec<(Mark, usize)> = Vec::new();
    for ended in &cell.ended {
        let mark = Mark::from(&ended.verdict);
        match counts.iter_mut().find(|(known, _)| *known == mark) {
            Some((_, count)) => *count += 1,
            None => counts.push((mark, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a check")]
    let line = |ended: &super::state::Ended| {
        let reason = visible(ended.verdict.reason());
        let took = duration(ended.took_ms as f64);
        let words = if reason.is_empty() { took } else { format!("{took} · {reason}") };
        (Mark::from(&ended.verdict), ended.id.clone(), words)
    };
    let is_wrong = |ended: &&super::state::Ended| {
        use hospitium_model::Verdict::{Error, Fail};
        matches!(ended.verdict, Fail { .. } | Error { .. })
    };
    Cell {
        title: match &cell.pair {
            Some((guest, host)) => format!("{} on {}", visible(guest), visible(host)),
            None => cell.name.clone(),
        },
        doing: visible(&cell.doing),
        begun: cell.begun,
        counts,
        progress: format!("{} of {} checks ended", cell.ended.len(), cell.planned),
        running: cell.running.clone(),
        failure: cell.failure.as_deref().map(visible).unwrap_or_default(),
        wrong: cell.ended.iter().filter(is_wrong).take(50).map(line).collect(),
        lately: cell.ended.iter().rev().take(LATELY).map(line).collect(),
        console: cell.console.clone(),
    }
}
