//! What console and probe say, on its way to the timeline and into errors.

use std::fmt;
use std::sync::Arc;

use hospitium_model::TimelineSource;

use crate::text::short;

/// Takes what happens on console and probe channel to the timeline: one short, escaped line each.
#[derive(Clone)]
pub struct Trace(Arc<Sink>);

type Sink = dyn Fn(TimelineSource, &str) + Send + Sync;

impl Trace {
    /// Calls `sink` for each line.
    pub fn new(sink: impl Fn(TimelineSource, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn console(&self, line: &str) {
        (self.0)(TimelineSource::Console, line);
    }

    pub(crate) fn probe(&self, line: &str) {
        (self.0)(TimelineSource::Probe, line);
    }
}

/// The last lines of a console, escaped. As text they follow a message, each on its own line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastLines(pub Vec<String>);

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; the console shows nothing");
        }
        f.write_str("; the console's last lines:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  | {}", short(line, 200)))
    }
}
