//! All alterations of one check's transcript.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_model::{Finding, Observations, Rule};
use serde_json::Value;

use super::super::alter::{self, Alteration, Change, Leaf, Place};
use super::super::{Replayed, Studio};
use super::{Class, Kind, Score, Survivor, judged, red};
use crate::Check;
use crate::tape::{Indexed, Otherwise, Reply};

/// So many parts of a console are first dropped at once: if that changes nothing, none of them is read.
const AT_ONCE: usize = 16;

/// What an alteration led to.
enum Outcome {
    /// The check no longer passes.
    Noticed(Vec<String>),
    /// It passes, and this of what it reports changed.
    Passed(Vec<String>),
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

fn place_of(place: &Place, change: &Change) -> Otherwise {
    match (change, place) {
        (Change::Reply(reply), Place::Reply(n)) => Otherwise::Reply(*n, reply.clone()),
        (Change::Lost, Place::Reply(n)) => Otherwise::Lost(*n),
        (Change::Twice, Place::Reply(n)) => Otherwise::Twice(*n),
        (Change::Machine(tape), Place::Event(m, _) | Place::Console(m, _)) => {
            Otherwise::Machine(*m, (**tape).clone())
        }
        (Change::Facts(pair), _) => Otherwise::Facts(pair.clone()),
        (change, place) => unreachable!("{change:?} at {place:?}"),
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
            leaves.extend(alter::of_facts(self.studio.pair()));
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
            // In the middle of the check, on machines that have a console.
            let own: Vec<usize> = (0..transcript.entries.len())
                .filter(|n| transcript.entries[*n].machine as usize == m && m > 0)
                .collect();
            if let Some(middle) = own.get(own.len() / 2) {
                leaves.push(alter::trouble(machine, m, *middle));
            }
        }
        for leaf in leaves {
            self.leaf(leaf);
        }
    }

    /// Alters one reply. Of replies that tell the same one after the other, the first and the last are altered.
    fn reply(&mut self, n: usize) {
        let transcript = &self.tape.transcript;
        let same = self.tape.same_as(n);
        let entry = &transcript.entries[n];
        let at = same.iter().position(|other| *other == n).unwrap_or_default();
        let tells = |at: usize| same.get(at).map(|n| &transcript.entries[*n].reply);
        if at > 0 && tells(at - 1) == Some(&entry.reply) && tells(at + 1) == Some(&entry.reply) {
            return;
        }
        let mut leaves = alter::of_reply(transcript, n, same);
        if let Reply::Told(told) = &entry.reply {
            let unread = self.unread(n, told);
            let values = alter::of_values(told, n);
            let (kept, left): (Vec<Leaf>, Vec<Leaf>) = values.into_iter().partition(|leaf| {
                !unread.iter().any(|part| part.holds(&leaf.pointer))
            });
            self.score.unread += left.iter().map(|leaf| leaf.alterations.len()).sum::<usize>();
            leaves.extend(kept);
        }
        for leaf in leaves {
            self.leaf(leaf);
        }
    }

    /// Parts of a reply of which it shows at once that the check does not read them.
    fn unread(&mut self, n: usize, told: &Value) -> Vec<Part> {
        let mut unread = Vec::new();
        let changes_nothing = |trial: &mut Self, reply: Value| {
            let change = Change::Reply(Reply::Told(reply));
            match trial.try_one(&Place::Reply(n), &change) {
                Outcome::Passed(changed) => changed.is_empty(),
                Outcome::Misfit(_) => true,
                Outcome::Noticed(_) | Outcome::Stray => false,
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
        let otherwise = place_of(place, change);
        let played = self.studio.play_otherwise(self.check, Some(otherwise), None);
        self.score.plays += 1;
        let Replayed { word, why, seen, stray, misfit, .. } = played;
        if let Some(misfit) = misfit {
            return Outcome::Misfit(misfit);
        }
        if stray.is_some() {
            return Outcome::Stray;
        }
        let changed = seen.as_ref().map(|seen| changes(&self.base, seen)).unwrap_or_default();
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

    /// Tries all alterations of one value, then says what those are that were not noticed.
    fn leaf(&mut self, leaf: Leaf) {
        let Leaf { place, pointer, alterations } = leaf;
        let kind = self.kind(&place, &pointer);
        let mut pending: Vec<Alteration> = alterations;
        pending.reverse();
        let (mut noticed, mut reached) = (0, BTreeSet::new());
        let mut passed: Vec<(String, Vec<String>)> = Vec::new();
        let mut strays = 0;
        let mut failed_already = false;
        while let Some(Alteration { how, change }) = pending.pop() {
            // Of several forms one is of the answer's type.
            let is_error = how == alter::ERROR || how == alter::LATE;
            if is_error && failed_already {
                continue;
            }
            match self.try_one(&place, &change) {
                Outcome::Noticed(changed) => {
                    noticed += 1;
                    reached.extend(changed);
                    failed_already |= is_error;
                }
                Outcome::Passed(changed) => {
                    reached.extend(changed.iter().cloned());
                    failed_already |= is_error;
                    passed.push((how, changed));
                }
                Outcome::Stray => {
                    strays += 1;
                    failed_already |= is_error;
                }
                // What is not of the type does not count; a type of few variants says which it has.
                Outcome::Misfit(text) if how == "its first character changed" => {
                    pending.extend(self.variants(&place, &pointer, &text));
                }
                Outcome::Misfit(_) => {}
            }
        }
        self.score.strays += strays;
        if noticed == 0 && reached.is_empty() {
            self.score.unread += passed.len();
            return;
        }
        *self.score.noticed.entry(kind).or_default() += noticed;
        let class = self.class(&reached, noticed);
        let at = self.at(&place, &pointer);
        for (how, changed) in passed {
            let check = self.check.id;
            self.score.survivors.push((kind, Survivor { check, at: at.clone(), how, class, changed }));
        }
    }

    fn variants(&self, place: &Place, pointer: &str, misfit: &str) -> Vec<Alteration> {
        let Place::Reply(n) = place else { return Vec::new() };
        let Reply::Told(told) = &self.tape.transcript.entries[*n].reply else { return Vec::new() };
        let now = told.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let others = alter::variants(misfit).into_iter().filter(|other| other != now).take(3);
        let altered = others.map(|other| {
            let reply = Reply::Told(alter::with(told, pointer, other.as_str().into()));
            Alteration { how: format!("{other} in its place"), change: Change::Reply(reply) }
        });
        altered.collect()
    }

    fn kind(&self, place: &Place, pointer: &str) -> Kind {
        match place {
            Place::Reply(_) if pointer.is_empty() || pointer.starts_with('(') => {
                // The whole of a reply that is one value is a value, too; its errors are told apart by their leaf.
                Kind::Reply
            }
            Place::Reply(_) => Kind::Value,
            Place::Event(..) => Kind::Event,
            Place::Console(..) => Kind::Console,
            Place::Facts => Kind::Fact,
        }
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
        let tolerated = noticed > 0 && !all_recorded && judged.all(tolerant);
        tolerated.then_some(Class::Tolerated)
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
