//! Writes down what a check asks and is told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use hospitium_host::Event;
use hospitium_model::Observations;
use hospitium_system::LogPosition;
use hospitium_system::tap::{Answer, Asked, Tap};

use super::transcript::{Entry, Heard, MachineTape, Reply, Told, Transcript};

/// Questions by which nobody does anything: events and lines of the console are not tied to these.
const LOOKS: &[&str] = &[
    "look",
    "process",
    "events",
    "observes",
    "facet",
    "said",
    "clock",
    "log",
    "log_since",
    "lists",
    "disk",
    "disks_besides",
    "drive",
    "block",
    "content",
    "interfaces",
    "interface",
    "has_interface",
    "mac",
    "mtu",
    "carrier",
    "counters",
    "boot_id",
    "uptime",
    "interrupts",
    "usb",
    "pci",
    "total",
    "online",
    "stats",
    "transfers",
    "screenshot",
    "answers",
    "host clock",
    "host cpu",
    "host vulnerabilities",
    "host memory",
    "host has process",
    "digest on a medium",
    "bring_memory_online",
    "bring_cpus_online",
    "reseeds_by_generation",
    "vcpu_times",
    "require_driver",
    "keys",
    "hear",
    "get",
    "read_back",
    "hardware_clock",
];

/// Writes down what one check asks and is told.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<(Instant, Entry)>,
    /// Those that have no answer yet.
    open: HashMap<(u32, &'static str, u32), usize>,
    events: Vec<(u32, Event)>,
    console: Vec<(u32, Instant, Vec<u8>)>,
    /// How many entries there were when the check was over.
    over: Option<usize>,
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All events of a machine that is no more.
    pub(crate) fn events(&self, machine: u32, events: Vec<Event>) {
        self.state().events.extend(events.into_iter().map(|event| (machine, event)));
    }

    /// What came on a console now.
    pub(crate) fn console(&self, machine: u32, bytes: &[u8]) {
        self.state().console.push((machine, Instant::now(), bytes.to_vec()));
    }

    /// The check is over: what comes now is about ending its machines.
    pub(crate) fn over(&self) {
        let mut state = self.state();
        state.over = Some(state.entries.len());
    }

    /// The transcript of the check that is over. `names` are those of the machines, by their numbers.
    pub(crate) fn transcript(
        &self,
        check: &str,
        log_position: Option<LogPosition>,
        names: Vec<String>,
        seen: Observations,
    ) -> Transcript {
        let state = std::mem::take(&mut *self.state());
        let over = state.over.unwrap_or(state.entries.len());
        let tie = |at: Instant| {
            let before = state.entries.partition_point(|(begun, _)| *begun <= at);
            let did = |n: &usize| !LOOKS.contains(&state.entries[*n].1.ask.as_str());
            let after = (0..before).rev().find(did).unwrap_or(0);
            let begun = state.entries.get(after).map_or(at, |(begun, _)| *begun);
            let delay = at.saturating_duration_since(begun).as_micros();
            (after, u64::try_from(delay).unwrap_or(u64::MAX))
        };
        let mut machines: Vec<MachineTape> =
            names.into_iter().map(|name| MachineTape { name, ..MachineTape::default() }).collect();
        for (machine, event) in &state.events {
            if let Some(machine) = machines.get_mut(*machine as usize) {
                let (after, delay_us) = tie(event.at);
                let Event { host_time, uncertainty, kind, .. } = event.clone();
                machine.events.push(Told { after, delay_us, kind, host_time, uncertainty });
            }
        }
        for (machine, at, bytes) in &state.console {
            if let Some(machine) = machines.get_mut(*machine as usize) {
                let (after, delay_us) = tie(*at);
                add_lines(&mut machine.console, after, delay_us, bytes);
            }
        }
        for machine in &mut machines {
            machine.events.retain(|told| told.after < over);
            machine.console.retain(|heard| heard.after < over);
        }
        let entries = state.entries.into_iter().take(over).map(|(_, entry)| entry).collect();
        Transcript { check: check.to_owned(), pair: None, log_position, entries, machines, seen }
    }
}

/// Adds what came, cut into lines; the rest of a line that is not whole yet joins it.
fn add_lines(console: &mut Vec<Heard>, after: usize, delay_us: u64, bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
        match console.last_mut() {
            Some(last) if !last.text.ends_with('\n') && last.after == after => {
                last.text.push_str(line);
                last.delay_us = delay_us;
            }
            _ => console.push(Heard { after, delay_us, text: line.to_owned() }),
        }
    }
}

#[async_trait]
impl Tap for Recorder {
    async fn begins(&self, asked: &Asked) {
        let mut state = self.state();
        let at = state.entries.len();
        state.entries.push((Instant::now(), entry(asked)));
        state.open.insert((asked.machine, asked.name, asked.nth), at);
    }

    fn answered(&self, asked: &Asked, answer: &mut Answer) {
        let mut state = self.state();
        let reply = match answer.clone() {
            Ok(told) => Reply::Told(told),
            Err(error) => Reply::Failed(error),
        };
        match state.open.remove(&(asked.machine, asked.name, asked.nth)) {
            Some(at) => {
                let (begun, entry) = &mut state.entries[at];
                entry.took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                entry.reply = reply;
            }
            None => state.entries.push((Instant::now(), Entry { reply, ..entry(asked) })),
        }
    }
}

fn entry(asked: &Asked) -> Entry {
    Entry {
        machine: asked.machine,
        ask: asked.name.to_owned(),
        with: super::play::told_apart_by(&asked.arguments),
        took_us: 0,
        reply: Reply::Never,
    }
}
