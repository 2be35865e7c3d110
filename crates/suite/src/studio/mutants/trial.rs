//! All alterations of one check's transcript.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_host::Look;
use hospitium_model::{Finding, Observations, Rule};
use serde::Deserialize as _;
use serde_json::Value;

use super::super::alter::{self, Alteration, Change, Leaf, Place};
use super::super::{Replayed, Studio};
use super::{Class, Kind, Score, Survivor, judged, red};
use crate::Check;
use crate::tape::{Entry, Indexed, Otherwise, Reply};

/// So many parts of a console are first dropped at once: if that changes nothing, none of them is read.
const AT_ONCE: usize = 16;

/// What an alteration led to.
enum Outcome {
    /// The check no longer passes.
    Noticed(Vec<String>),
    /// It passes, and this of what it reports changed.
    Passed(Vec<String>),
    /// The host's answers contradicted each other. No check gets to see them: the cell asks again, and then gives up.
    Disbelieved,
    /// It asked what was not recorded.
    Stray,
    /// The alteration is not of the answer's type.
    Misfit(String),
}

/// A part of a reply: all within a pointer, or in the elements of the list there all that has this pointer in them.
struct Part {
    within: String,
    inner: Option<String>,
}

impl Part {
    fn holds(&self, pointer: &str) -> bool {
        let Some(rest) = pointer.strip_prefix(self.within.as_str()) else { return false };
        let Some(inner) = &self.inner else { return rest.is_empty() || rest.starts_with('/') };
        let Some(rest) = rest.strip_prefix('/') else { return false };
        rest.find('/').map_or("", |at| &rest[at..]) == inner
    }
}

/// An alteration with which the check passes.
struct Passed {
    how: String,
    changed: Vec<String>,
    about: Option<String>,
}

/// What became of the alterations of one value.
struct Tried {
    kind: Kind,
    place: Place,
    pointer: String,
    noticed: usize,
    /// What they changed of what the check reports.
    reached: BTreeSet<String>,
    passed: Vec<Passed>,
}

impl Tried {
    fn is_read(&self) -> bool {
        self.noticed > 0 || !self.reached.is_empty()
    }
}

struct Trial<'s> {
    studio: &'s Studio,
    check: &'static Check,
    tape: &'s Indexed,
    base: Observations,
    score: Score,
    facts_read: bool,
}

/// Alters all that the check's transcript holds, one thing at a time.
pub(super) fn of(studio: &Studio, check: &'static Check) -> Score {
    let base = studio.play(check, None);
    let mut score = Score { check: check.id, ..Score::default() };
    let (Some(tape), Some(seen)) = (studio.tape(check), base.seen) else {
        score.panics.push(format!("as recorded: {} {}", base.word, base.why));
        return score;
    };
    score.findings = judged(&seen);
    let facts_read = base.facts_read;
    let mut trial = Trial { studio, check, tape, base: seen, score, facts_read };
    trial.own_fault();
    trial.all();
    trial.score
}

/// An entry's reply with another value at a pointer.
fn part(entry: &Entry, pointer: &str, other: &Value) -> Reply {
    match &entry.reply {
        Reply::Told(told) => Reply::Told(alter::with(told, pointer, other.clone())),
        Reply::Failed(error) => Reply::Failed(alter::with(error, pointer, other.clone())),
        Reply::Never => Reply::Never,
    }
}

fn place_of(place: &Place, change: &Change, tape: &Indexed) -> Otherwise {
    let entries = &tape.transcript.entries;
    match (change, place) {
        (Change::Part(pointer, other), Place::Reply(n)) => {
            Otherwise::Replies(vec![(*n, part(&entries[*n], pointer, other))])
        }
        (Change::FromHereOn(pointer, other), Place::Reply(n)) => {
            let now = told_at(&entries[*n], pointer);
            let later = tape.same_as(*n).iter().filter(|later| *later >= n);
            let same = later.filter(|later| told_at(&entries[**later], pointer) == now);
            Otherwise::Replies(same.map(|n| (*n, part(&entries[*n], pointer, other))).collect())
        }
        (Change::Reply(reply), Place::Reply(n)) => Otherwise::Replies(vec![(*n, reply.clone())]),
        (Change::Lost, Place::Reply(n)) => Otherwise::Lost(*n),
        (Change::Twice, Place::Reply(n)) => Otherwise::Twice(*n),
        (Change::Machine(tape), Place::Event(m, _) | Place::Console(m, _)) => {
            Otherwise::Machine(*m, (**tape).clone())
        }
        (Change::Facts(pair), _) => Otherwise::Facts(pair.clone()),
        (change, place) => unreachable!("{change:?} at {place:?}"),
    }
}

/// Whether an altered answer of the host contradicts itself.
fn contradicts(otherwise: &Otherwise, tape: &Indexed) -> bool {
    let Otherwise::Replies(replies) = otherwise else { return false };
    replies.iter().any(|(n, reply)| {
        let Reply::Told(told) = reply else { return false };
        let look = tape.transcript.entries[*n].ask.starts_with("look");
        look && Look::deserialize(told).is_ok_and(|look| look.contradiction().is_some())
    })
}

fn told_at<'e>(entry: &'e Entry, pointer: &str) -> Option<&'e Value> {
    match &entry.reply {
        Reply::Told(told) => told.pointer(pointer),
        _ => None,
    }
}

impl Trial<'_> {
    /// The fault that the check names, where it can be played, and what it turns red.
    fn own_fault(&mut self) {
        let played = self.studio.play(self.check, Some(self.check.fault));
        self.score.plays += 1;
        if let Some(seen) = &played.seen {
            self.score.red.extend(red(seen));
        }
    }

    fn all(&mut self) {
        let late = u64::try_from(crate::tape::LATE.as_micros()).unwrap_or(u64::MAX);
        let transcript = &self.tape.transcript;
        for n in 0..transcript.entries.len() {
            self.reply(n);
        }
        let mut leaves = alter::of_events(transcript, late);
        if self.facts_read {
            leaves.extend(alter::of_facts(self.studio.pair(self.check)));
        }
        for (m, machine) in transcript.machines.iter().enumerate() {
            let parts = machine.console.len();
            for from in (0..parts).step_by(AT_ONCE) {
                let group = from..(from + AT_ONCE).min(parts);
                let place = Place::Console(m, from);
                let change = alter::without(machine, group.clone());
                match self.try_one(&place, &change) {
                    Outcome::Passed(changed) if changed.is_empty() => {
                        self.score.unread += group.len();
                    }
                    _ => leaves.extend(group.map(|n| alter::of_console(machine, m, n, late))),
                }
            }
            if parts > 0 {
                let change = alter::without(machine, 0..parts);
                let alterations = vec![Alteration::new("nothing on it", change)];
                leaves.push(Leaf {
                    place: Place::Console(m, 0),
                    pointer: "(all)".into(),
                    alterations,
                });
            }
            // While the check runs, on machines that have a console.
            if let Some(middle) = alter::middle(transcript, m) {
                leaves.push(alter::trouble(machine, m, middle));
            }
        }
        let (facts, others): (Vec<Leaf>, Vec<Leaf>) =
            leaves.into_iter().partition(|leaf| leaf.place == Place::Facts);
        others.into_iter().for_each(|leaf| self.leaves(vec![leaf]));
        self.leaves(facts);
    }

    /// Alters one reply. Of many that tell the same one after the other, the first two and the last two are altered.
    fn reply(&mut self, n: usize) {
        let transcript = &self.tape.transcript;
        let same = self.tape.same_as(n);
        let entry = &transcript.entries[n];
        let at = same.iter().position(|other| *other == n).unwrap_or_default();
        let tells = |at: usize| same.get(at).map(|n| &transcript.entries[*n].reply);
        let around = (at.saturating_sub(2)..at).chain(at + 1..at + 3);
        if at >= 2 && around.into_iter().all(|other| tells(other) == Some(&entry.reply)) {
            return;
        }
        let mut leaves = alter::of_reply(transcript, n, same);
        leaves.push(alter::of_another_time(transcript, n));
        if let Reply::Failed(error) = &entry.reply {
            leaves.extend(alter::of_values(error, n, |_| false));
        }
        if let Reply::Told(told) = &entry.reply {
            let unread = self.unread(n, told);
            let later = same.get(at + 1..).unwrap_or_default();
            let values = alter::of_values(told, n, |pointer| {
                let now = told.pointer(pointer);
                later.iter().any(|later| told_at(&transcript.entries[*later], pointer) == now)
            });
            let (kept, left): (Vec<Leaf>, Vec<Leaf>) = values
                .into_iter()
                .partition(|leaf| !unread.iter().any(|part| part.holds(&leaf.pointer)));
            self.score.unread += left.iter().map(|leaf| leaf.alterations.len()).sum::<usize>();
            leaves.extend(kept);
        }
        self.leaves(leaves);
    }

    /// Parts of a reply of which it shows at once that the check does not read them.
    fn unread(&mut self, n: usize, told: &Value) -> Vec<Part> {
        let mut unread = Vec::new();
        let changes_nothing = |trial: &mut Self, reply: Value| {
            let change = Change::Reply(Reply::Told(reply));
            match trial.try_one(&Place::Reply(n), &change) {
                Outcome::Passed(changed) => changed.is_empty(),
                Outcome::Misfit(_) => true,
                // What the check would have made of it was not seen.
                Outcome::Noticed(_) | Outcome::Stray | Outcome::Disbelieved => false,
            }
        };
        for (pointer, reply) in alter::sights(told) {
            if changes_nothing(self, reply) {
                unread.push(Part { within: pointer, inner: None });
            }
        }
        for (list, at_once) in alter::long_lists(told) {
            if unread.iter().any(|part| part.holds(&list)) {
                continue;
            }
            let mut inner: BTreeMap<String, bool> = BTreeMap::new();
            for (pointer, _, reply) in at_once {
                let known = inner.entry(pointer).or_insert(true);
                *known = *known && changes_nothing(self, reply);
            }
            let same = inner.into_iter().filter(|(_, nothing)| *nothing);
            unread.extend(same.map(|(inner, _)| Part { within: list.clone(), inner: Some(inner) }));
        }
        unread
    }

    fn try_one(&mut self, place: &Place, change: &Change) -> Outcome {
        let otherwise = place_of(place, change, self.tape);
        let contradicts = contradicts(&otherwise, self.tape);
        let played = self.studio.play_otherwise(self.check, Some(otherwise), None);
        self.score.plays += 1;
        let Replayed { word, why, seen, stray, misfit, .. } = played;
        if let Some(misfit) = misfit {
            return Outcome::Misfit(misfit);
        }
        if stray.is_some() {
            // The check had come to its end before something was asked that nobody recorded.
            self.score.red.extend(seen.iter().flat_map(red));
            return Outcome::Stray;
        }
        let changed = seen.as_ref().map(|seen| changes(&self.base, seen)).unwrap_or_default();
        if contradicts {
            return Outcome::Disbelieved;
        }
        if word == "pass" {
            return Outcome::Passed(changed);
        }
        if word == "panic" {
            self.score.panics.push(format!("{}: {why}", self.at(place, "")));
        }
        if let Some(seen) = &seen {
            self.score.red.extend(red(seen));
        }
        Outcome::Noticed(changed)
    }

    /// Tries all alterations of the values of one place, then says what those are that were not noticed.
    fn leaves(&mut self, leaves: Vec<Leaf>) {
        let tried: Vec<Tried> = leaves.into_iter().map(|leaf| self.leaf(leaf)).collect();
        let reads = |part: &str| {
            let within = |tried: &&Tried| {
                tried.pointer.strip_prefix(part).is_some_and(|r| r.is_empty() || r.starts_with('/'))
            };
            tried.iter().filter(within).any(Tried::is_read)
        };
        for leaf in &tried {
            *self.score.noticed.entry(leaf.kind).or_default() += leaf.noticed;
            let class = self.class(&leaf.reached, leaf.noticed);
            let at = self.at(&leaf.place, &leaf.pointer);
            for Passed { how, changed, about } in &leaf.passed {
                // One part of many that is left out counts if the check reads that part.
                let counts = match about {
                    Some(part) if changed.is_empty() => reads(part),
                    _ => leaf.is_read(),
                };
                if counts {
                    let (at, how, changed) = (at.clone(), how.clone(), changed.clone());
                    let survivor = Survivor { check: self.check.id, at, how, class, changed };
                    self.score.survivors.push((leaf.kind, survivor));
                } else {
                    self.score.unread += 1;
                }
            }
        }
    }

    fn leaf(&mut self, leaf: Leaf) -> Tried {
        let Leaf { place, pointer, alterations } = leaf;
        let kind = kind(&place, &pointer);
        let mut pending: Vec<Alteration> = alterations;
        pending.reverse();
        let (noticed, reached, passed) = (0, BTreeSet::new(), Vec::new());
        let mut tried = Tried { kind, place, pointer, noticed, reached, passed };
        let mut errors = BTreeSet::new();
        while let Some(Alteration { how, change, about }) = pending.pop() {
            // Of several forms of an error one is of the answer's type.
            let is_error = how == alter::ERROR || how == alter::LATE;
            if is_error && errors.contains(&how) {
                continue;
            }
            let outcome = self.try_one(&tried.place, &change);
            if is_error && !matches!(outcome, Outcome::Misfit(_)) {
                errors.insert(how.clone());
            }
            match outcome {
                Outcome::Noticed(changed) => {
                    tried.noticed += 1;
                    tried.reached.extend(changed);
                }
                Outcome::Passed(changed) => {
                    tried.reached.extend(changed.iter().cloned());
                    tried.passed.push(Passed { how, changed, about });
                }
                Outcome::Disbelieved => self.score.disbelieved += 1,
                Outcome::Stray => self.score.strays += 1,
                // What is not of the type does not count; a type of few variants says which it has.
                Outcome::Misfit(text) if how == "its first character changed" => {
                    pending.extend(self.variants(&tried.place, &tried.pointer, &text));
                }
                Outcome::Misfit(_) => {}
            }
        }
        tried
    }

    fn variants(&self, place: &Place, pointer: &str, misfit: &str) -> Vec<Alteration> {
        let Place::Reply(n) = place else { return Vec::new() };
        let Reply::Told(told) = &self.tape.transcript.entries[*n].reply else { return Vec::new() };
        let now = told.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let others = alter::variants(misfit).into_iter().filter(|other| other != now).take(3);
        let altered = others.map(|other| {
            let change = Change::Part(pointer.to_owned(), other.as_str().into());
            Alteration::new(&format!("{other} in its place"), change)
        });
        altered.collect()
    }

    fn at(&self, place: &Place, pointer: &str) -> String {
        let transcript = &self.tape.transcript;
        match place {
            Place::Reply(n) => {
                let entry = &transcript.entries[*n];
                format!("{} #{n} {pointer}", entry.ask)
            }
            Place::Event(m, n) => {
                let kind = transcript.machines[*m].events.get(*n).map(|told| &told.kind);
                format!("event #{n} of {}: {kind:?} {pointer}", transcript.machines[*m].name)
            }
            Place::Console(m, n) => {
                let machine = &transcript.machines[*m];
                let text = machine.console.get(*n).map_or("", |part| part.text.as_str());
                let text: String = text.chars().take(60).flat_map(char::escape_default).collect();
                format!("console #{n} of {}: {text} {pointer}", machine.name)
            }
            Place::Facts => format!("facts {pointer}"),
        }
    }

    /// What the findings that a value reaches say of its survivors.
    fn class(&self, reached: &BTreeSet<String>, noticed: usize) -> Option<Class> {
        let rules: BTreeMap<&str, &Rule> =
            self.base.findings.iter().map(|f| (f.what.as_str(), &f.rule)).collect();
        let mut judged = reached.iter().filter_map(|what| rules.get(what.as_str()));
        let all_recorded = reached
            .iter()
            .all(|what| rules.get(what.as_str()).is_none_or(|rule| **rule == Rule::Recorded));
        let tolerant = |rule: &&Rule| {
            matches!(
                rule,
                Rule::Within { .. }
                    | Rule::GuestBetween { .. }
                    | Rule::HostBetween { .. }
                    | Rule::Recorded
            )
        };
        if all_recorded && noticed == 0 {
            return Some(Class::Recorded);
        }
        let tolerated = !all_recorded && judged.all(tolerant);
        tolerated.then_some(Class::Tolerated)
    }
}

fn kind(place: &Place, pointer: &str) -> Kind {
    match place {
        // The whole of a reply that is one value is a value, too; its errors are told apart by their leaf.
        Place::Reply(_) if pointer.is_empty() || pointer.starts_with('(') => Kind::Reply,
        Place::Reply(_) => Kind::Value,
        Place::Event(..) => Kind::Event,
        Place::Console(..) => Kind::Console,
        Place::Facts => Kind::Fact,
    }
}

/// What differs between what a check reports: names of findings, and its notes as one.
fn changes(base: &Observations, now: &Observations) -> Vec<String> {
    let form = |finding: &Finding| format!("{finding:?}");
    let missing = |these: &Observations, those: &Observations| -> Vec<String> {
        let there: BTreeSet<String> = those.findings.iter().map(form).collect();
        let gone = these.findings.iter().filter(|finding| !there.contains(&form(finding)));
        gone.map(|finding| finding.what.clone()).collect()
    };
    let mut all = missing(base, now);
    all.extend(missing(now, base));
    if base.notes != now.notes || base.one_witness != now.one_witness {
        all.push("(notes)".into());
    }
    all.sort();
    all.dedup();
    all
}
