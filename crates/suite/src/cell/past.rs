//! All that the machines of a cell said and told: of the one that it is now, and of those that it went on from.

use std::time::Duration;

use hospitium_host::{Ended, Event};
use hospitium_model::Inability;
use hospitium_system::Console;

use super::Cell;
use crate::CheckError;

/// How long the last of a console may take to come from a machine that has ended.
const DRAINED: Duration = Duration::from_secs(1);

/// What the machines said and told that a cell's machine went on from.
#[derive(Default)]
pub(super) struct Past {
    /// Lines on their consoles, counted on from one to the next.
    console: Vec<(u64, String)>,
    lines: u64,
    said: Vec<String>,
    /// Why what one of them said is not seen.
    unheard: Option<Inability>,
    events: Vec<Event>,
    /// How those ended that did not end as they should.
    broken: Vec<Ended>,
}

impl Cell {
    /// The machine is left for another, which goes on as it: its last words are kept, and how it ended.
    ///
    /// # Errors
    /// It cannot be ended.
    pub(super) async fn leave(&mut self) -> Result<(), CheckError> {
        self.note_events();
        let ended = self.machine.finish().await?;
        drained(&self.console).await;
        let past = &mut self.past;
        if !ended.expected() {
            past.broken.push(ended);
        }
        let before = past.lines;
        let lines = self.console.lines_since(0).into_iter();
        past.console.extend(lines.map(|(n, line)| (before + n, line)));
        past.lines = before + self.console.line_count();
        match self.machine.said() {
            Ok(said) => past.said.extend(said),
            Err(why) => past.unheard = Some(why),
        }
        past.events.extend(self.machine.events());
        Ok(())
    }

    /// How many lines the console has had, those of the machines before included.
    pub(crate) fn lines_so_far(&self) -> u64 {
        self.past.lines + self.console.line_count()
    }

    /// Lines on the console from the `from`-th on, as far as they are kept.
    pub(crate) fn lines_since(&self, from: u64) -> Vec<String> {
        let past = self.past.console.iter().filter(|(n, _)| *n >= from);
        let now = self.console.lines_since(from.saturating_sub(self.past.lines));
        past.map(|(_, line)| line.clone()).chain(now.into_iter().map(|(_, line)| line)).collect()
    }

    /// Lines that the hypervisor wrote of the machine and of those before.
    ///
    /// # Errors
    /// What it wrote of one of them is not seen.
    pub(crate) fn said(&self) -> Result<Vec<String>, Inability> {
        if let Some(why) = &self.past.unheard {
            return Err(why.clone());
        }
        let now = self.machine.said()?;
        Ok(self.past.said.iter().cloned().chain(now).collect())
    }

    /// Events of the machine and of those before, oldest first.
    pub(crate) fn all_events(&self) -> Vec<Event> {
        self.past.events.iter().cloned().chain(self.machine.events()).collect()
    }

    /// How those of the machines before ended that did not end as they should.
    pub(crate) fn broken_before(&self) -> &[Ended] {
        &self.past.broken
    }
}

/// Waits until all that a machine said is read, which has ended.
async fn drained(console: &Console) {
    let end = async {
        while !console.ended() {
            if console.changed(console.total()).await.is_err() {
                return;
            }
        }
    };
    // One that stays open although its machine has ended says nothing more.
    let _ = tokio::time::timeout(DRAINED, end).await;
}
