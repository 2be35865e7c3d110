//! The live view: a line a cell, with what boots and which checks run, and how long is left.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hospitium_run::{Observer, RunEvent};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Paint, longer, safe, time, word, wrapped};

/// The live view, on standard error.
pub struct Live {
    paint: Paint,
    bars: MultiProgress,
    total: ProgressBar,
    cells: Mutex<BTreeMap<String, Line>>,
}

/// A cell's line.
struct Line {
    bar: ProgressBar,
    title: String,
    running: Vec<String>,
    counts: BTreeMap<&'static str, usize>,
}

/// Cells that have a line; of more, the total tells.
const LINES: usize = 12;
/// Running checks that are named in a line.
const NAMED: usize = 3;

impl Live {
    /// With colours if `paint` has them.
    pub fn new(paint: Paint) -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(0));
        total.set_style(
            style("{bar:24} {pos}/{len} checks  {elapsed_precise}{msg}").progress_chars("━╸─"),
        );
        Self { paint, bars, total, cells: Mutex::default() }
    }

    fn above(&self, text: &str) {
        // The terminal may have gone away; the evidence has it all.
        let _ = self.bars.println(text);
    }

    fn cell(&self, name: &str, change: impl FnOnce(&mut Line)) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = cells.get_mut(name) {
            change(line);
        }
    }

    /// A line for each cell, in the order of the matrix.
    fn add(&self, name: &str) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = if cells.len() < LINES {
            self.bars.insert_before(&self.total, ProgressBar::new_spinner())
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(style("{spinner} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        let line =
            Line { bar, title: name.to_owned(), running: Vec::new(), counts: BTreeMap::new() };
        line.says(&self.paint.dim("waits"));
        cells.insert(name.into(), line);
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template of ours that is not good shows as the usual bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Line {
    fn says(&self, what: &str) {
        self.bar.set_message(format!("{}  {what}", self.title));
    }

    fn counts(&self, paint: Paint) -> String {
        let order = ["pass", "fail", "flaky", "error", "miss", "skip"];
        let shown = order.iter().filter_map(|word| {
            let count = self.counts.get(word)?;
            Some(paint.verdict(word, &format!("{count} {word}")))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn running(&self, paint: Paint) {
        let mut names = self.running.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if self.running.len() > NAMED {
            names += &format!(" and {} more", self.running.len() - NAMED);
        }
        let counts = self.counts(paint);
        let gap = if counts.is_empty() || names.is_empty() { "" } else { "  " };
        self.says(&format!("{counts}{gap}{}", paint.dim(&names)));
    }
}

impl Observer for Live {
    fn tell(&self, event: &RunEvent) {
        let paint = self.paint;
        match event {
            RunEvent::Recovered { run, words } => {
                let run = run.as_ref().map_or_else(|| "?".into(), |run| run.display().to_string());
                self.above(&format!(
                    "An earlier run was cut off ({}): {}",
                    safe(&run),
                    safe(words)
                ));
            }
            RunEvent::RunStarted { checks, cells, .. } => {
                cells.iter().for_each(|cell| self.add(cell));
                self.total.set_length(*checks as u64);
                self.total.enable_steady_tick(Duration::from_millis(500));
            }
            RunEvent::CellStarted { cell, guest, host, .. } => self.cell(cell, |line| {
                line.title = format!("{} on {}", paint.bold(&safe(guest)), safe(host));
                line.says("gets ready");
            }),
            RunEvent::Booting { cell, expected_ms } => self.cell(cell, |line| {
                let about =
                    expected_ms.map(|ms| format!(" (about {})", time(ms))).unwrap_or_default();
                line.says(&format!("boots{about}"));
            }),
            RunEvent::Ready { cell, cached, took_ms, .. } => self.cell(cell, |line| {
                let how = if *cached {
                    "ready from the cache".into()
                } else {
                    format!("booted in {}", time(*took_ms))
                };
                line.says(&how);
            }),
            RunEvent::Note { cell, words } => {
                self.above(&format!("{} {cell}: {}", paint.verdict("miss", "note"), safe(words)));
            }
            RunEvent::CheckStarted { cell, id, attempt, .. } => self.cell(cell, |line| {
                let shown =
                    if *attempt > 1 { format!("{id} (attempt {attempt})") } else { id.to_string() };
                line.running.retain(|running| !is(running, id.as_str()));
                line.running.push(shown);
                line.running(paint);
            }),
            RunEvent::Repetition { cell, id, done, of, failed } => self.cell(cell, |line| {
                let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
                let bad = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
                let shown = format!("{id} ({done}{of}{bad})");
                line.running.retain(|running| !is(running, id.as_str()));
                line.running.push(shown);
                line.running(paint);
            }),
            RunEvent::CheckEnded { cell, id, verdict, flaky, took_ms, .. } => {
                let word = word(verdict, *flaky);
                let canary = id.as_str().starts_with("canary.");
                if matches!(word, "fail" | "flaky" | "error") && !canary {
                    let flaky =
                        flaky.map(|(k, n)| format!(" {k} of {n} times")).unwrap_or_default();
                    let reason: String = verdict.reason().chars().take(400).collect();
                    self.above(&format!(
                        "{} {}  {}\n{}",
                        paint.verdict(word, &format!("{word}{flaky}")),
                        paint.bold(id.as_str()),
                        paint.dim(&format!("{cell}, {}", time(*took_ms))),
                        wrapped(&reason, "    "),
                    ));
                }
                self.cell(cell, |line| {
                    line.running.retain(|running| !is(running, id.as_str()));
                    if !canary {
                        *line.counts.entry(word).or_default() += 1;
                    }
                    line.running(paint);
                });
            }
            RunEvent::Progress { done, left_ms, slow, .. } => {
                self.total.set_position(*done as u64);
                let left = left_ms.filter(|ms| *ms >= 1000.0);
                let mut words =
                    left.map(|ms| format!(", about {} left", time(ms))).unwrap_or_default();
                if let [first, more @ ..] = slow.as_slice() {
                    let more = match more.len() {
                        0 => String::new(),
                        more => format!(" (and {more} more)"),
                    };
                    words += &format!("; {}{more}", longer(first));
                }
                self.total.set_message(words);
            }
            RunEvent::CellEnded { cell, failure } => self.cell(cell, |line| {
                let counts = line.counts(paint);
                line.bar.set_style(style("{msg}"));
                match failure {
                    Some(_) => {
                        let mark = paint.verdict("fail", "✗");
                        line.bar.finish_with_message(format!("{mark} {}  {counts}", line.title));
                    }
                    None => {
                        let mark = paint.verdict("pass", "✓");
                        line.bar.finish_with_message(format!("{mark} {}  {counts}", line.title));
                    }
                }
            }),
            RunEvent::RunEnded { .. } => {
                self.total.finish_and_clear();
            }
        }
    }
}

fn is(running: &str, id: &str) -> bool {
    running == id || running.strip_prefix(id).is_some_and(|rest| rest.starts_with(" ("))
}
