//! One JSON object for each event, on standard output.

use std::io::Write;

use hospitium_run::{Observer, RunEvent};

/// Events for programs.
pub struct Json;

impl Observer for Json {
    fn tell(&self, event: &RunEvent) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // A reader that went away is told nothing; the run and its evidence go on.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
