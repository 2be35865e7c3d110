//! A line for each thing that happened: for logs, and terminals that cannot do more.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hospitium_model::{Subsystem, Verdict};
use hospitium_run::{Observer, RunEvent, Slow};

use super::{Paint, longer, safe, time, word};
use crate::out::note;

/// Plain lines on standard error.
pub struct Plain {
    start: Instant,
    paint: Paint,
    verbose: bool,
    /// Cell and name of what was told to take longer than usual.
    slow: Mutex<Vec<(String, String)>>,
}

fn is(slow: &Slow, (cell, what): &(String, String)) -> bool {
    slow.cell == *cell && slow.what == *what
}

impl Plain {
    /// With colours if `paint` has them; with every beginning too if `verbose`.
    pub fn new(paint: Paint, verbose: bool) -> Self {
        Self { start: Instant::now(), paint, verbose, slow: Mutex::default() }
    }

    fn line(&self, cell: &str, text: &str) {
        let at = format!("{:7.1}", self.start.elapsed().as_secs_f64());
        let cell =
            if cell.is_empty() { String::new() } else { format!(" {}", self.paint.dim(cell)) };
        note!("{}{cell} {text}", self.paint.dim(&at));
    }
}

impl Observer for Plain {
    fn tell(&self, event: &RunEvent) {
        match event {
            RunEvent::Recovered { run, words } => {
                let run = run.as_ref().map_or_else(|| "?".into(), |run| run.display().to_string());
                self.line(
                    "",
                    &format!("an earlier run was cut off ({}): {}", safe(&run), safe(words)),
                );
            }
            RunEvent::RunStarted { folder, cells, checks, jobs, .. } => self.line(
                "",
                &format!(
                    "{} cells, {checks} checks, up to {jobs} machines at once; evidence goes to {}",
                    cells.len(),
                    folder.display()
                ),
            ),
            RunEvent::CellStarted { cell, guest, host, accelerator } => {
                self.line(
                    cell,
                    &format!("{} on {}; {}", safe(guest), safe(host), safe(accelerator)),
                );
            }
            RunEvent::Booting { cell, expected_ms } => {
                let about =
                    expected_ms.map(|ms| format!(", about {}", time(ms))).unwrap_or_default();
                self.line(cell, &format!("boots{about}"));
            }
            RunEvent::Ready { cell, cached, booted, took_ms } => {
                let day = booted.map(|at| at.strftime(" (booted %Y-%m-%d)").to_string());
                let how = if *cached {
                    format!("taken from the cache{}, no boot", day.unwrap_or_default())
                } else {
                    "booted".into()
                };
                self.line(cell, &format!("ready: {how}, {}", time(*took_ms)));
            }
            RunEvent::Note { cell, words } => self.line(cell, &format!("note: {}", safe(words))),
            RunEvent::CheckStarted { cell, id, attempt, .. } => {
                if *attempt > 1 {
                    self.line(cell, &format!("{id} failed; attempt {attempt} from the same state"));
                } else if self.verbose {
                    self.line(cell, &format!("{id} begins"));
                }
            }
            RunEvent::CheckEnded { cell, id, verdict: Verdict::Fail { .. }, .. }
                if id.subsystem() == Subsystem::Canary =>
            {
                self.line(cell, "the canary failed, as it must");
            }
            RunEvent::Repetition { cell, id, done, of, failed } => {
                // Every one where more is to be said, else each power of two and each hundred.
                if self.verbose || done.is_power_of_two() || done % 100 == 0 {
                    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
                    self.line(cell, &format!("{id}: {done}{of} repetitions, {failed} failed"));
                }
            }
            RunEvent::CheckEnded { cell, id, verdict, flaky, took_ms, .. } => {
                let word = word(verdict, *flaky);
                let shown = self.paint.verdict(word, &format!("{word:<5}"));
                let flaky =
                    flaky.map(|(k, n)| format!(", failed {k} of {n} times")).unwrap_or_default();
                let reason = match verdict.reason() {
                    "" => String::new(),
                    reason => format!(": {}", safe(reason)),
                };
                self.line(cell, &format!("{shown} {id} ({}{flaky}){reason}", time(*took_ms)));
            }
            RunEvent::Progress { slow, .. } => {
                let mut told = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
                // What has ended may be slow again, when it is run again.
                told.retain(|known| slow.iter().any(|slow| is(slow, known)));
                for slow in slow {
                    if !told.iter().any(|known| is(slow, known)) {
                        told.push((slow.cell.clone(), slow.what.clone()));
                        self.line(&slow.cell, &longer(slow));
                    }
                }
            }
            RunEvent::CellEnded { cell, failure } => match failure {
                Some(why) => self.line(cell, &format!("could not be validated: {}", safe(why))),
                None => self.line(cell, "done"),
            },
            RunEvent::RunEnded { cut_off, took_ms, .. } => match cut_off {
                Some(why) => {
                    self.line("", &format!("cut off after {}: {}", time(*took_ms), safe(why)))
                }
                None => self.line("", &format!("done in {}", time(*took_ms))),
            },
        }
    }
}
