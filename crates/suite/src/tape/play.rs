//! Answers a check's questions from a transcript.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::Event;
use hospitium_system::tap::{Answer, Asked, Misfit, Tap};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::transcript::{Entry, MachineTape, Pair, Reply, Transcript};
use crate::Gives;

/// Arguments by which questions are not told apart: they differ from run to run, or say how long to wait.
const LEFT_OUT: &[&str] = &["limit", "entropy"];

/// Longer than anybody waits.
pub(crate) const LATE: Duration = Duration::from_secs(4 * 3600);

/// The arguments by which a question is told from others of its name.
pub(crate) fn told_apart_by(arguments: &Value) -> Value {
    match arguments {
        Value::Object(all) if all.is_empty() => Value::Null,
        Value::Object(all) => {
            let kept = all.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
            let kept: serde_json::Map<String, Value> =
                kept.map(|(name, value)| (name.clone(), value.clone())).collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        other => other.clone(),
    }
}

fn key(machine: u32, ask: &str, with: &Value) -> String {
    format!("{machine} {ask} {with}")
}

/// A transcript, ready to be played any number of times.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) transcript: Transcript,
    /// Entries of the same question, in order.
    same: HashMap<String, Vec<usize>>,
}

impl Indexed {
    pub(crate) fn new(transcript: Transcript) -> Arc<Self> {
        let mut same: HashMap<String, Vec<usize>> = HashMap::new();
        for (n, entry) in transcript.entries.iter().enumerate() {
            same.entry(key(entry.machine, &entry.ask, &entry.with)).or_default().push(n);
        }
        Arc::new(Self { transcript, same })
    }

    /// The entries that ask the same as this one, in order.
    pub(crate) fn same_as(&self, n: usize) -> &[usize] {
        let entry = &self.transcript.entries[n];
        self.same.get(&key(entry.machine, &entry.ask, &entry.with)).map_or(&[], Vec::as_slice)
    }
}

/// What is played otherwise than it was recorded.
#[derive(Debug, Clone)]
pub(crate) enum Otherwise {
    /// What the host gives of its machines.
    Gives(Gives),
    /// These entries' replies.
    Replies(Vec<(usize, Reply)>),
    /// This entry's reply is passed over: the next to the same question comes in its place.
    Lost(usize),
    /// This entry's reply comes twice.
    Twice(usize),
    /// What this machine tells by itself.
    Machine(usize, MachineTape),
    /// What was known of guest and boot before.
    Facts(Box<Pair>),
}

/// Answers a check's questions from a transcript.
pub struct Player {
    tape: Arc<Indexed>,
    otherwise: Option<Otherwise>,
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// How many of the same question were asked, by their first entry.
    asked: HashMap<usize, usize>,
    /// The entries that answer the questions that are under way.
    chosen: HashMap<(u32, &'static str, u32), usize>,
    /// When entries were asked first.
    begun: HashMap<usize, Instant>,
    stray: Option<String>,
    misfit: Option<Misfit>,
    facts_read: bool,
}

impl Player {
    pub(crate) fn new(tape: Arc<Indexed>, otherwise: Option<Otherwise>) -> Arc<Self> {
        let (moved, _) = watch::channel(());
        Arc::new(Self { tape, otherwise, state: Mutex::default(), moved })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first question that the transcript does not answer.
    pub(crate) fn stray(&self) -> Option<String> {
        self.state().stray.clone()
    }

    /// The check looks at what was known before.
    pub(crate) fn reads_facts(&self) {
        self.state().facts_read = true;
    }

    /// Whether it did.
    pub(crate) fn facts_read(&self) -> bool {
        self.state().facts_read
    }

    /// An altered answer that is not of its type.
    pub(crate) fn misfit(&self) -> Option<Misfit> {
        self.state().misfit.clone()
    }

    /// What a machine tells by itself.
    pub(crate) fn machine(&self, number: u32) -> Option<&MachineTape> {
        match &self.otherwise {
            Some(Otherwise::Machine(n, tape)) if *n == number as usize => Some(tape),
            _ => self.tape.transcript.machines.get(number as usize),
        }
    }

    /// Tells when a question was asked.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// When something happens that did so long after an entry was asked; none if that was not asked yet.
    pub(crate) fn due(&self, after: usize, delay_us: u64) -> Option<Instant> {
        let begun = self.state().begun.get(&after).copied();
        begun.map(|begun| begun + Duration::from_micros(delay_us))
    }

    /// The events of a machine up to now, and when the next one is due.
    pub(crate) fn events(&self, machine: u32) -> (Vec<Event>, Option<Instant>) {
        let now = Instant::now();
        let (mut events, mut next) = (Vec::new(), None);
        for told in self.machine(machine).map_or(&[][..], |machine| &machine.events) {
            match self.due(told.after, told.delay_us) {
                Some(due) if due <= now => events.push(Event {
                    host_time: told.host_time,
                    uncertainty: told.uncertainty,
                    at: std::time::Instant::now(),
                    kind: told.kind.clone(),
                }),
                Some(due) => next = Some(next.map_or(due, |next: Instant| next.min(due))),
                None => {}
            }
        }
        (events, next)
    }

    fn entry(&self, n: usize) -> &Entry {
        &self.tape.transcript.entries[n]
    }

    /// The entry that answers this question; the last of its kind answers all that come after it.
    fn choose(&self, asked: &Asked) -> Option<usize> {
        let with = told_apart_by(&asked.arguments);
        let wanted = key(asked.machine, asked.name, &with);
        let Some(all) = self.tape.same.get(&wanted) else {
            self.state().stray.get_or_insert(wanted);
            return None;
        };
        let mut state = self.state();
        let count = state.asked.entry(all[0]).or_default();
        let mut at = *count;
        *count += 1;
        let place = |n: usize| all.iter().position(|entry| *entry == n);
        match self.otherwise {
            Some(Otherwise::Lost(n)) if place(n).is_some_and(|lost| at >= lost) => at += 1,
            Some(Otherwise::Twice(n)) if place(n).is_some_and(|twice| at > twice) => at -= 1,
            _ => {}
        }
        Some(all[at.min(all.len() - 1)])
    }
}

#[async_trait]
impl Tap for Player {
    async fn begins(&self, asked: &Asked) {
        let Some(n) = self.choose(asked) else { return };
        {
            let mut state = self.state();
            state.chosen.insert((asked.machine, asked.name, asked.nth), n);
            state.begun.entry(n).or_insert_with(Instant::now);
        }
        self.moved.send_replace(());
        let entry = self.entry(n);
        if entry.reply == Reply::Never {
            return std::future::pending().await;
        }
        sleep(Duration::from_micros(entry.took_us)).await;
    }

    fn instead(&self, asked: &Asked) -> Option<Answer> {
        let chosen = self.state().chosen.remove(&(asked.machine, asked.name, asked.nth));
        let n = match chosen {
            Some(n) => n,
            // What takes no time begins only here.
            None => {
                let n = self.choose(asked)?;
                self.state().begun.entry(n).or_insert_with(Instant::now);
                self.moved.send_replace(());
                n
            }
        };
        let altered = match &self.otherwise {
            Some(Otherwise::Replies(all)) => all.iter().find(|(at, _)| *at == n),
            _ => None,
        };
        let reply = altered.map_or(&self.entry(n).reply, |(_, reply)| reply);
        match reply.clone() {
            Reply::Told(told) => Some(Ok(told)),
            Reply::Failed(error) => Some(Err(error)),
            Reply::Never => None,
        }
    }

    fn misfit(&self, _asked: &Asked, misfit: &Misfit) {
        self.state().misfit.get_or_insert_with(|| misfit.clone());
    }
}
