//! The timeline: where what happens in a cell is written down, with the moment that counts as zero.

use std::time::Instant;

use hospitium_host::Event;
use hospitium_model::{TimelineEvent, TimelineSource};
use hospitium_system::Trace;

/// Where timeline events go, with the moment that counts as zero.
#[derive(Clone)]
pub struct Sink {
    start: Instant,
    out: Option<tokio::sync::mpsc::UnboundedSender<TimelineEvent>>,
}

impl Sink {
    /// Events go to `out`, their times counted from `start`.
    pub fn new(start: Instant, out: tokio::sync::mpsc::UnboundedSender<TimelineEvent>) -> Self {
        Self { start, out: Some(out) }
    }

    /// Events go nowhere.
    pub fn nowhere() -> Self {
        Self { start: Instant::now(), out: None }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> f64 {
        self.ms(Instant::now())
    }

    /// A moment in milliseconds since the start.
    pub fn ms(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64() * 1e3
    }

    /// Writes an event down as of now.
    pub fn say(&self, machine: &str, source: TimelineSource, text: impl Into<String>) {
        self.say_at(Instant::now(), machine, source, text);
    }

    /// Takes what a machine's console and probe say to here.
    pub fn trace(&self, machine: &str) -> Trace {
        let (sink, machine) = (self.clone(), machine.to_owned());
        Trace::new(move |source, line| sink.say(&machine, source, line))
    }

    /// Writes an event down as of `at`.
    pub fn say_at(
        &self,
        at: Instant,
        machine: &str,
        source: TimelineSource,
        text: impl Into<String>,
    ) {
        if let Some(out) = &self.out {
            // A closed receiver means that the run is over; nobody is left to tell.
            let _ = out.send(TimelineEvent {
                at_ms: self.ms(at),
                machine: machine.to_owned(),
                source,
                text: text.into(),
            });
        }
    }
}

/// Writes a machine's events into the timeline.
pub(crate) fn forward_events(sink: &Sink, machine: &str, events: &[Event]) {
    for event in events {
        let text = format!("{:?}", event.kind);
        sink.say_at(event.at, machine, TimelineSource::Machine, text);
    }
}
