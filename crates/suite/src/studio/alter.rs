//! One value of a transcript altered: what is tried of each number, text, list, answer, event and line.
//!
//! Nothing here knows the types of answers. What is tried may not be of the answer's type; then the play says so, and the
//! alteration does not count.

use hospitium_host::EventKind;
use serde_json::{Value, json};

use crate::tape::{Heard, MachineTape, Pair, Reply, Told, Transcript};

/// Where something is altered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The reply to this question, by its place among the entries.
    Reply(usize),
    /// An event of a machine.
    Event(usize, usize),
    /// A part of what came on a machine's console.
    Console(usize, usize),
    /// What was known of guest and boot before the check.
    Facts,
}

/// What is played in place of what was recorded.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// This reply.
    Reply(Reply),
    /// The reply with this value at this pointer.
    Part(String, Value),
    /// The same, and all later replies to the same question that told the same there.
    FromHereOn(String, Value),
    /// The next reply comes in its place.
    Lost,
    /// It comes twice.
    Twice,
    /// A machine tells this by itself.
    Machine(Box<MachineTape>),
    /// This was known before.
    Facts(Box<Pair>),
}

/// One alteration.
#[derive(Debug, Clone)]
pub(crate) struct Alteration {
    pub(crate) how: String,
    pub(crate) change: Change,
    /// JSON pointer of the one part that it is about.
    pub(crate) about: Option<String>,
}

impl Alteration {
    pub(crate) fn new(how: &str, change: Change) -> Self {
        Self { how: how.to_owned(), change, about: None }
    }
}

/// A value that is altered in several ways.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) place: Place,
    /// JSON pointer within a reply's, event's or fact's form; empty for the whole.
    pub(crate) pointer: String,
    pub(crate) alterations: Vec<Alteration>,
}

/// An error in the place of an answer.
pub(crate) const ERROR: &str = "an error";
/// An answer that is too late.
pub(crate) const LATE: &str = "late";

/// A line that is trouble wherever it is.
const TROUBLE: &str = "[    1.000000] general protection fault: a line that was added";

/// So many alterations of a value are tried in all later replies to the same question, too. Not all are of its type.
const LASTING: usize = 3;

/// A list of numbers that is longer is one value: random bytes, what a slot holds.
const BYTES: usize = 8;

/// The values in `value` that can be altered, each with what may stand in its place.
pub(crate) fn values(value: &Value) -> Vec<(String, Vec<Other>)> {
    let mut all = Vec::new();
    walk(value, &mut String::new(), &mut all);
    all
}

/// What may stand in the place of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Other {
    pub(crate) how: String,
    pub(crate) value: Value,
    /// Which part it is about, if only one is left out or twice: its name within the value.
    pub(crate) about: Option<String>,
}

fn walk(value: &Value, at: &mut String, all: &mut Vec<(String, Vec<Other>)>) {
    let others = others(value);
    if !others.is_empty() {
        all.push((at.clone(), others));
    }
    let mut step = |name: &str, value: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(value, at, all);
        at.truncate(length);
    };
    match value {
        Value::Object(object) if is_time(value) || object.contains_key("Err") => {}
        Value::Object(object) => {
            // Where a value was read is no value.
            let seen = object.len() == 2 && object.contains_key("value");
            for (name, value) in object.iter().filter(|(name, _)| !(seen && *name == "source")) {
                step(name, value);
            }
        }
        Value::Array(list) if list.len() > BYTES && list.iter().all(Value::is_number) => {}
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| step(&n.to_string(), value));
        }
        _ => {}
    }
}

/// A duration or a moment, whose parts are no values of their own.
fn is_time(value: &Value) -> bool {
    let has = |name| value.get(name).is_some_and(Value::is_number);
    has("secs") && has("nanos") || has("secs_since_epoch") && has("nanos_since_epoch")
}

/// What may stand in the place of a value, its parts left alone.
fn others(value: &Value) -> Vec<Other> {
    let mut others: Vec<(&str, Value)> = Vec::new();
    let mut parts: Vec<Other> = Vec::new();
    match value {
        Value::Null => {
            others.push(("some text", "something".into()));
            others.push(("some number", 1.into()));
            others.push(("some list", json!([1])));
        }
        Value::Bool(holds) => others.push(("flipped", (!holds).into())),
        Value::Number(number) => {
            if let Some(n) = number.as_i64() {
                let more = [("+1", n.checked_add(1)), ("-1", n.checked_sub(1))];
                let times = [("doubled", 2), ("a thousand times as much", 1000)];
                let times = times.map(|(how, times)| (how, n.checked_mul(times)));
                let all = more.into_iter().chain(times).chain([("zero", Some(0))]);
                others.extend(all.filter_map(|(how, n)| Some((how, n?.into()))));
            } else if let Some(n) = number.as_u64() {
                let all = [("-1", n - 1), ("halved", n / 2), ("zero", 0)];
                others.extend(all.map(|(how, n)| (how, n.into())));
            } else if let Some(n) = number.as_f64() {
                let all = [("+1", n + 1.0), ("-1", n - 1.0), ("doubled", n * 2.0), ("zero", 0.0)];
                others.extend(all.map(|(how, n)| (how, n.into())));
                others.push(("a thousand times as much", (n * 1000.0).into()));
            }
        }
        Value::String(text) => {
            others.push(("emptied", "".into()));
            others.push(("its first character changed", changed(text, false).into()));
            others.extend(one_less(text).map(|less| ("its number one less", less.into())));
            others.push(("its last character changed", changed(text, true).into()));
            if let Some((_, last)) = text.rsplit_once('x').filter(|_| is_picture(text)) {
                let pixels = runs(text).map(|(count, _)| count).sum::<u64>();
                others.push(("black", format!("{pixels}x000000").into()));
                others.push(("of one colour", format!("{pixels}x{last}").into()));
            }
            others.push(("none", Value::Null));
        }
        Value::Array(list) => {
            if let (Some(first), Some(last)) = (list.first(), list.last()) {
                others.push(("emptied", json!([])));
                let mut part = |how: &str, value: Vec<Value>, about: usize| {
                    let about = Some(about.to_string());
                    parts.push(Other { how: how.to_owned(), value: value.into(), about });
                };
                let end = list.len() - 1;
                part("its first left out", list[1..].to_vec(), 0);
                part("its last left out", list[..end].to_vec(), end);
                part("its last twice", [&list[..], std::slice::from_ref(last)].concat(), end);
                if list.len() > BYTES && list.iter().all(Value::is_number) {
                    let mut zeros = list.clone();
                    zeros.fill(0.into());
                    others.push(("zeros", zeros.into()));
                    let mut one = list.clone();
                    one[0] = (first.as_i64().unwrap_or_default() ^ 1).into();
                    others.push(("its first changed", one.into()));
                }
            }
            let line = json!({ "level": 2, "text": TROUBLE });
            let more = match list.first() {
                Some(Value::String(_)) => vec![TROUBLE.into()],
                Some(Value::Object(first)) if first.contains_key("text") => vec![line],
                Some(Value::Number(_)) => vec![4711.into()],
                Some(_) => Vec::new(),
                None => vec![TROUBLE.into(), line, 4711.into()],
            };
            for more in more {
                others.push(("one added", [&list[..], &[more]].concat().into()));
            }
        }
        Value::Object(object) if is_time(value) => {
            let name = if object.contains_key("secs") { "secs" } else { "secs_since_epoch" };
            let seconds = value[name].as_u64().unwrap_or_default();
            let with = |seconds: u64| {
                let mut other = value.clone();
                other[name] = seconds.into();
                other
            };
            others.push(("an hour longer", with(seconds.saturating_add(3600))));
            if name == "secs" {
                others.push(("zero", json!({ "secs": 0, "nanos": 0 })));
                let nanos = value["nanos"].as_u64().unwrap_or_default();
                let all = (seconds.saturating_mul(1_000_000_000) + nanos).saturating_mul(2);
                let parts = (all / 1_000_000_000, all % 1_000_000_000);
                others.push(("doubled", json!({ "secs": parts.0, "nanos": parts.1 })));
            } else {
                others.push(("an hour shorter", with(seconds.saturating_sub(3600))));
            }
        }
        Value::Object(object) => {
            if object.contains_key("Ok") && object.len() == 1 {
                let unseen = json!({ "Err": { "by": "host", "why": "it was altered" } });
                others.push(("unseen", unseen));
            } else if !object.contains_key("value") {
                others.push(("none", Value::Null));
                for name in object.keys() {
                    let mut other = object.clone();
                    other.remove(name);
                    let how = format!("{name} left out");
                    parts.push(Other { how, value: other.into(), about: Some(name.clone()) });
                }
            }
        }
    }
    let mut kept: Vec<Other> = Vec::new();
    let whole =
        others.into_iter().map(|(how, value)| Other { how: how.to_owned(), value, about: None });
    for other in whole.chain(parts) {
        if other.value != *value && !kept.iter().any(|known| known.value == other.value) {
            kept.push(other);
        }
    }
    kept
}

/// Runs of pixels, as a picture is written.
fn runs(text: &str) -> impl Iterator<Item = (u64, &str)> {
    text.split(' ').filter_map(|run| {
        let (count, colour) = run.split_once('x')?;
        Some((count.parse().ok()?, colour))
    })
}

fn is_picture(text: &str) -> bool {
    text.split(' ').take(3).all(|run| {
        run.split_once('x').is_some_and(|(count, colour)| {
            colour.len() == 6 && count.bytes().all(|b| b.is_ascii_digit()) && !count.is_empty()
        })
    })
}

/// The text with one letter or digit changed into another of its kind, the first or the last.
fn changed(text: &str, last: bool) -> String {
    let good = |c: &u8| c.is_ascii_alphanumeric();
    let at = match last {
        false => text.bytes().position(|c| good(&c)),
        true => text.bytes().rposition(|c| good(&c)),
    };
    let Some(at) = at else { return format!("{text}x") };
    let other = match text.as_bytes()[at] {
        b'9' => '8',
        b'f' => 'e',
        b'F' => 'E',
        b'z' => 'y',
        b'Z' => 'Y',
        other => char::from(other + 1),
    };
    let mut text = text.to_owned();
    text.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
    text
}

/// A quantity, such as `512 MiB`, with a number that is one less.
fn one_less(text: &str) -> Option<String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(format!("{}{unit}", number.checked_sub(1)?))
}

/// The variants that a type has, from what its reader says of one that it has not.
pub(crate) fn variants(misfit: &str) -> Vec<String> {
    let Some((_, all)) = misfit.split_once("expected one of ").or(misfit.split_once("expected `"))
    else {
        return Vec::new();
    };
    let all = if all.starts_with('`') { all.to_owned() } else { format!("`{all}") };
    all.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The same reply with `other` at a place of it.
pub(crate) fn with(value: &Value, pointer: &str, other: Value) -> Value {
    let mut altered = value.clone();
    if let Some(place) = altered.pointer_mut(pointer) {
        *place = other;
    }
    altered
}

/// Errors that may stand in the place of an answer: of a guest's system, a host, a facet and a cable.
fn errors() -> [Value; 4] {
    let why = "it was altered";
    [
        json!({ "unreadable": { "what": "the answer", "text": why } }),
        json!({ "refused": { "doing": "answering", "why": why } }),
        json!({ "by": "host", "why": why }),
        json!({ "broken": why }),
    ]
}

/// What comes in the place of an answer that is late: whoever asks has a limit.
fn too_late() -> [Value; 3] {
    let limit = json!({ "secs": 30, "nanos": 0 });
    let no_answer = json!({ "doing": "answering", "limit": limit, "console": [] });
    [
        json!({ "session": { "no-answer": no_answer } }),
        json!({ "timed-out": { "what": "an answer", "limit": limit } }),
        json!({ "timed-out": "an answer did not come" }),
    ]
}

/// What is answered at once, by the harness itself.
const AT_ONCE: &[&str] = &["facet", "observes", "said"];

/// What is altered of a reply as a whole. `same` are the entries of the same question, in order.
pub(crate) fn of_reply(transcript: &Transcript, n: usize, same: &[usize]) -> Vec<Leaf> {
    let entry = &transcript.entries[n];
    let leaf = |pointer: &str, alterations: Vec<Alteration>| Leaf {
        place: Place::Reply(n),
        pointer: pointer.to_owned(),
        alterations,
    };
    let alteration = Alteration::new;
    let instead = |how, error| alteration(how, Change::Reply(Reply::Failed(error)));
    let mut leaves = vec![leaf("", errors().map(|error| instead(ERROR, error)).into())];
    if !AT_ONCE.contains(&entry.ask.as_str()) {
        leaves.push(leaf("(late)", too_late().map(|error| instead(LATE, error)).into()));
    }
    let place_of = same.iter().position(|other| *other == n).unwrap_or_default();
    if let Some(next) = same.get(place_of + 1)
        && transcript.entries[*next].reply != entry.reply
    {
        leaves.push(leaf("(lost)", vec![alteration("lost", Change::Lost)]));
        leaves.push(leaf("(repeated)", vec![alteration("repeated", Change::Twice)]));
    }
    leaves
}

/// Replies to the same question at another time, or of another machine, in the place of this one.
pub(crate) fn of_another_time(transcript: &Transcript, n: usize) -> Leaf {
    let entry = &transcript.entries[n];
    let mut others: Vec<&Reply> = Vec::new();
    for other in transcript.entries.iter().filter(|other| other.ask == entry.ask) {
        let told = matches!(&other.reply, Reply::Told(told) if !told.is_null());
        if told && other.reply != entry.reply && !others.contains(&&other.reply) {
            others.push(&other.reply);
        }
    }
    // The first of them and the last.
    let middle = 2..others.len().saturating_sub(2).max(2).min(others.len().max(2));
    if middle.end <= others.len() {
        others.drain(middle);
    }
    let how = "told at another time or by another machine";
    let altered =
        others.into_iter().map(|reply| Alteration::new(how, Change::Reply(reply.clone())));
    Leaf { place: Place::Reply(n), pointer: "(another)".into(), alterations: altered.collect() }
}

/// What is altered of the values in a reply. `lasting` tells of a pointer whether a later reply to the same question tells
/// the same there.
pub(crate) fn of_values(told: &Value, n: usize, lasting: impl Fn(&str) -> bool) -> Vec<Leaf> {
    // That nothing is told is all that there is to tell of what was done.
    if told.is_null() {
        return Vec::new();
    }
    let leaf = |(pointer, others): (String, Vec<Other>)| {
        let lasts = lasting(&pointer);
        let all = others.iter().filter(|other| lasts && other.about.is_none());
        let lasting: Vec<Other> = all.take(LASTING).cloned().collect();
        let mut altered: Vec<Alteration> = others
            .into_iter()
            .map(|Other { how, value, about }| Alteration {
                how,
                change: Change::Part(pointer.clone(), value),
                about: about.map(|part| format!("{pointer}/{part}")),
            })
            .collect();
        for Other { how, value, .. } in lasting {
            let how = format!("{how}, from here on");
            altered.push(Alteration::new(&how, Change::FromHereOn(pointer.clone(), value)));
        }
        Leaf { place: Place::Reply(n), alterations: altered, pointer }
    };
    values(told).into_iter().map(leaf).collect()
}

/// Parts of a reply that are seen or unseen, each with the reply in which it is unseen.
pub(crate) fn sights(told: &Value) -> Vec<(String, Value)> {
    let fields = told.as_object().into_iter().flatten();
    let seen = fields.filter(|(_, value)| value.get("Ok").is_some());
    seen.map(|(name, _)| {
        let pointer = format!("/{name}");
        let unseen = json!({ "Err": { "by": "host", "why": "it was altered" } });
        (pointer.clone(), with(told, &pointer, unseen))
    })
    .collect()
}

/// A list by its pointer, and alterations of its parts: pointer, what is done, and the altered value.
pub(crate) type LongList = (String, Vec<(String, String, Value)>);

/// Long lists in a reply. Of each: its pointer, and what is altered of all of its elements at once, as the pointer within
/// an element, how, and the whole reply.
pub(crate) fn long_lists(told: &Value) -> Vec<LongList> {
    let mut lists = Vec::new();
    find_lists(told, &mut String::new(), &mut lists);
    let altered = |pointer: String| {
        let elements =
            told.pointer(&pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut at_once: Vec<(String, String, Value)> = Vec::new();
        for (n, element) in elements.iter().enumerate() {
            for (inner, others) in values(element) {
                for Other { how, value: other, .. } in others {
                    let place = format!("{pointer}/{n}{inner}");
                    match at_once.iter_mut().find(|(i, h, _)| *i == inner && *h == how) {
                        Some((_, _, all)) => {
                            if let Some(place) = all.pointer_mut(&place) {
                                *place = other;
                            }
                        }
                        None => at_once.push((inner.clone(), how, with(told, &place, other))),
                    }
                }
            }
        }
        (pointer, at_once)
    };
    lists.into_iter().map(altered).collect()
}

fn find_lists(value: &Value, at: &mut String, lists: &mut Vec<String>) {
    let mut step = |name: &str, value: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        find_lists(value, at, lists);
        at.truncate(length);
    };
    match value {
        Value::Array(list) if list.len() > BYTES && list.iter().all(Value::is_number) => {}
        Value::Array(list) if list.len() > BYTES => lists.push(at.clone()),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| step(&n.to_string(), value));
        }
        Value::Object(object) => object.iter().for_each(|(name, value)| step(name, value)),
        _ => {}
    }
}

/// What is altered of what machines tell by themselves.
pub(crate) fn of_events(transcript: &Transcript, late_us: u64) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (m, machine) in transcript.machines.iter().enumerate() {
        for (n, told) in machine.events.iter().enumerate() {
            let other = |how: &str, edit: &dyn Fn(&mut Vec<Told>)| {
                let mut altered = machine.clone();
                edit(&mut altered.events);
                Alteration::new(how, Change::Machine(Box::new(altered)))
            };
            let mut whole = vec![
                other("dropped", &|events| drop(events.remove(n))),
                other("late", &|events| events[n].delay_us += late_us),
                other("twice", &|events| events.insert(n, events[n].clone())),
            ];
            let form = serde_json::to_value(&told.kind).unwrap_or_default();
            for (pointer, others) in values(&form) {
                for Other { how, value, .. } in others {
                    let kind = serde_json::from_value::<EventKind>(with(&form, &pointer, value));
                    if let Ok(kind) = kind {
                        let how = format!("{pointer} {how}");
                        whole.push(other(&how, &|events| events[n].kind = kind.clone()));
                    }
                }
            }
            let hour = std::time::Duration::from_secs(3600);
            let leaf = |pointer: &str, alterations| Leaf {
                place: Place::Event(m, n),
                pointer: pointer.to_owned(),
                alterations,
            };
            leaves.push(leaf("", whole));
            let times = vec![
                other("an hour later", &|events| events[n].host_time += hour),
                other("an hour earlier", &|events| events[n].host_time -= hour),
            ];
            leaves.push(leaf("/host_time", times));
        }
        leaves.extend(more_events(transcript, m, machine));
    }
    leaves
}

/// After so many of the last questions an event is added.
const LATE_EVENTS: usize = 12;

/// Events that did not happen, and all of a kind that did and are not told.
fn more_events(transcript: &Transcript, m: usize, machine: &MachineTape) -> Vec<Leaf> {
    let leaf = |n: usize, how: String, events: Vec<Told>| {
        let altered = MachineTape { events, ..machine.clone() };
        let alterations = vec![Alteration::new(&how, Change::Machine(Box::new(altered)))];
        Leaf { place: Place::Event(m, n), pointer: "(all)".into(), alterations }
    };
    let mut leaves = Vec::new();
    for (n, told) in machine.events.iter().enumerate() {
        if machine.events[..n].iter().any(|before| before.kind == told.kind) {
            continue;
        }
        let others = machine.events.iter().filter(|other| other.kind != told.kind).cloned();
        leaves.push(leaf(n, "all of this kind dropped".into(), others.collect()));
    }
    let own = |n: &usize| transcript.entries[*n].machine as usize == m;
    let last = (0..transcript.entries.len()).rev().find(own).filter(|_| m > 0);
    // In the midst, and towards the end, where what was to happen has happened.
    let took_time = asked(transcript, m);
    let late = took_time.len().saturating_sub(LATE_EVENTS).max(took_time.len() * 2 / 3);
    let places = middle(transcript, m)
        .into_iter()
        .chain(took_time.get(late..).unwrap_or_default().iter().copied());
    let time = machine.events.last();
    for (after, time) in places.filter_map(|after| Some((after, time?))) {
        let kinds = [
            EventKind::Reset { by_guest: true },
            EventKind::Reset { by_guest: false },
            EventKind::Crashed,
            EventKind::PoweredOff { by_guest: false },
        ];
        for kind in kinds {
            let told =
                Told { after: after.min(last.unwrap_or(after)), delay_us: 0, kind, ..time.clone() };
            let how = format!("{:?} added after question {after}", told.kind);
            let mut events = machine.events.clone();
            events.push(told);
            leaves.push(leaf(events.len() - 1, how, events));
        }
    }
    leaves
}

/// The question in the middle of those that a machine was asked, and that took it time.
pub(crate) fn middle(transcript: &Transcript, m: usize) -> Option<usize> {
    let own = asked(transcript, m);
    own.get(own.len() * 2 / 3).copied()
}

/// The questions that a machine was asked, and that took it time.
fn asked(transcript: &Transcript, m: usize) -> Vec<usize> {
    let at_once = |ask: &str| matches!(ask, "facet" | "observes" | "said");
    let own = |n: &usize| {
        let entry = &transcript.entries[*n];
        m > 0 && entry.machine as usize == m && !at_once(&entry.ask)
    };
    (0..transcript.entries.len()).filter(own).collect()
}

/// What is altered of one part of a console.
pub(crate) fn of_console(machine: &MachineTape, m: usize, n: usize, late_us: u64) -> Leaf {
    let other = |how: &str, edit: &dyn Fn(&mut Vec<Heard>)| {
        let mut altered = machine.clone();
        edit(&mut altered.console);
        Alteration::new(how, Change::Machine(Box::new(altered)))
    };
    let text = &machine.console[n].text;
    let alterations = vec![
        other("dropped", &|parts| drop(parts.remove(n))),
        other("late", &|parts| parts[n].delay_us += late_us),
        other("its first character changed", &|parts| parts[n].text = changed(text, false)),
        other("its last character changed", &|parts| parts[n].text = changed(text, true)),
    ];
    Leaf { place: Place::Console(m, n), pointer: String::new(), alterations }
}

/// A console without some of its parts.
pub(crate) fn without(machine: &MachineTape, parts: std::ops::Range<usize>) -> Change {
    let mut altered = machine.clone();
    altered.console.drain(parts);
    Change::Machine(Box::new(altered))
}

/// Trouble on a console once this entry was asked.
pub(crate) fn trouble(machine: &MachineTape, m: usize, after: usize) -> Leaf {
    let mut altered = machine.clone();
    let at = altered.console.iter().position(|part| part.after > after);
    let at = at.unwrap_or(altered.console.len());
    let text = format!("\r\n{TROUBLE}\r\n");
    altered.console.insert(at, Heard { after, delay_us: 0, text });
    let change = Change::Machine(Box::new(altered));
    let alterations = vec![Alteration::new("trouble added", change)];
    Leaf { place: Place::Console(m, at), pointer: "(added)".into(), alterations }
}

/// What is altered of what was known before the check.
pub(crate) fn of_facts(pair: &Pair) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let boot = serde_json::to_value(&pair.boot).unwrap_or_default();
    let guest = serde_json::to_value(&pair.guest).unwrap_or_default();
    for (root, form) in [("/boot", &boot), ("/guest", &guest)] {
        for (pointer, others) in values(form) {
            let altered = others.into_iter().filter_map(|Other { how, value, about }| {
                let form = with(form, &pointer, value);
                let mut pair = pair.clone();
                match root {
                    "/boot" => pair.boot = serde_json::from_value(form).ok()?,
                    _ => pair.guest = serde_json::from_value(form).ok()?,
                }
                let about = about.map(|part| format!("{root}{pointer}/{part}"));
                Some(Alteration { how, change: Change::Facts(Box::new(pair)), about })
            });
            let pointer = format!("{root}{pointer}");
            leaves.push(Leaf { place: Place::Facts, pointer, alterations: altered.collect() });
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_place_of_a_value_is_another_of_its_kind() {
        let all = |value: Value| -> Vec<Value> {
            others(&value).into_iter().map(|other| other.value).collect()
        };
        assert_eq!(all(json!(2)), [json!(3), json!(1), json!(4), json!(2000), json!(0)]);
        assert_eq!(all(json!(true)), [json!(false)]);
        assert!(all(json!("512 MiB")).contains(&json!("612 MiB")));
        assert!(all(json!("512 MiB")).contains(&json!("511 MiB")));
        assert!(all(json!(u64::MAX)).contains(&json!(0)));
        assert!(all(json!([1, 2])).contains(&json!([1, 2, 2])));
    }

    #[test]
    fn every_value_of_an_answer_is_found_and_where_it_was_read_is_not_one() {
        let told = json!({ "value": { "a": [{ "b": 1 }], "took": { "secs": 1, "nanos": 2 } }, "source": "kernel" });
        let pointers: Vec<String> = values(&told).into_iter().map(|(pointer, _)| pointer).collect();
        for wanted in ["/value/a", "/value/a/0/b", "/value/took"] {
            assert!(pointers.iter().any(|pointer| pointer == wanted), "{pointers:?}");
        }
        assert!(
            !pointers.iter().any(|p| p.contains("source") || p.contains("secs")),
            "{pointers:?}"
        );
    }

    #[test]
    fn the_variants_of_a_type_are_read_from_its_complaint() {
        let two = "unknown variant `x`, expected `Bios` or `Uefi`";
        assert_eq!(variants(two), ["Bios", "Uefi"]);
        let three = "unknown variant `x`, expected one of `A`, `B`, `C` at line 1";
        assert_eq!(variants(three), ["A", "B", "C"]);
        assert!(variants("invalid type").is_empty());
    }
}
