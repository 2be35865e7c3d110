//! A request of TSANet Connect, read from a file that anybody may have written. Whatever is of the wrong kind is left out,
//! too long is cut, and both are told by the field's name.

use std::collections::BTreeSet;
use std::io::{self, Read};

use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields;
use super::published::SECTION;
use crate::text::{Address, CaseId, LINE_LIMIT, Line, TEXT_LIMIT, Text};

/// The most bytes of a file.
pub const LARGEST: u64 = 8 << 20;
/// The most things that are told of one file.
pub const TOLD: usize = 100;

/// The fields that are published. Those that are not read here mean nothing to a case.
const KNOWN: &[&str] = &[
    "id",
    "submitCompanyName",
    "submitCompanyId",
    "submitterCaseNumber",
    "receiveCompanyName",
    "receiveCompanyId",
    "receiverCaseNumber",
    "summary",
    "description",
    "direction",
    "priority",
    "status",
    "token",
    "createdAt",
    "updatedAt",
    "deletedAt",
    "responded",
    "respondBy",
    "feedbackRequested",
    "reminderSent",
    "priorityNote",
    "escalationInstructions",
    "testCase",
    "customFields",
    "submittedBy",
    "submitterContactDetails",
    "receiverContactDetails",
    "caseNotes",
    "caseResponses",
];

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
    /// Too large.
    #[error("the file has more than {} MiB; a request of TSANet Connect is far smaller", LARGEST >> 20)]
    TooLarge,
    /// No JSON.
    #[error("the file is no JSON: {0}")]
    Json(String),
    /// Another kind of JSON.
    #[error(
        "the file has {0} where one request of TSANet Connect is expected, as GET /v1/collaboration-requests/TOKEN gives it"
    )]
    Kind(String),
    /// Nothing names the request.
    #[error("the request has neither id nor token, so nobody could tell it from another one")]
    Nameless,
}

/// Things that a person has to know, at most [`TOLD`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    lines: Vec<String>,
    more: usize,
}

impl Told {
    /// Tells it.
    pub fn tell(&mut self, words: impl AsRef<str>) {
        match self.lines.len() < TOLD {
            true => self.lines.push(printable(words.as_ref(), 500)),
            false => self.more += 1,
        }
    }

    /// All that was told.
    pub fn lines(self) -> Vec<String> {
        let Self { mut lines, more } = self;
        if more > 0 {
            lines.push(format!("{more} more of that kind are not told"));
        }
        lines
    }
}

/// A person with an address, as far as both can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The name.
    pub name: Option<Line>,
    /// The mail address.
    pub address: Option<Address>,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is called in what was heard.
    pub part: Line,
    /// Whose, as the company's name.
    pub company: Option<Line>,
    /// By whom there.
    pub person: Option<Line>,
    /// Its words.
    pub text: Text,
    /// When.
    pub at: Option<Timestamp>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What it is called in what was heard.
    pub part: Line,
    /// Its type, as it stands there.
    pub kind: Line,
    /// The receiver's case number.
    pub number: Option<Line>,
    /// The engineer.
    pub engineer: Person,
    /// Its words.
    pub text: Option<Text>,
    /// When.
    pub at: Option<Timestamp>,
}

/// A request, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it is called in what was heard.
    pub name: Line,
    /// The submitter's name there.
    pub submitter: Option<Line>,
    /// The receiver's name there.
    pub receiver: Option<Line>,
    /// The submitter's case number.
    pub submitter_number: Option<Line>,
    /// The receiver's case number.
    pub receiver_number: Option<Line>,
    /// The problem in one line.
    pub summary: Option<Line>,
    /// The problem in full, without the line that this program puts behind it.
    pub description: Option<Text>,
    /// `OUTBOUND`, or another word.
    pub direction: Option<Line>,
    /// How urgent it is.
    pub priority: Option<Line>,
    /// Where it stands.
    pub status: Option<Line>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was changed last.
    pub updated: Option<Timestamp>,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// How to escalate at the submitter.
    pub escalation: Option<Text>,
    /// A trial.
    pub test: bool,
    /// The submitter's engineer.
    pub submitter_engineer: Person,
    /// Notes, in the file's order.
    pub notes: Vec<Note>,
    /// Answers, in the file's order.
    pub responses: Vec<Response>,
    /// Custom fields: section, name, value.
    pub fields: Vec<(String, String, Text)>,
    /// What was left out or cut.
    pub told: Told,
}

impl Request {
    /// A custom field of ours.
    pub fn ours(&self, name: &str) -> Option<&Text> {
        let found =
            self.fields.iter().find(|(section, field, _)| section == SECTION && field == name);
        found.map(|(_, _, value)| value)
    }

    /// A custom field of ours that has one line.
    pub fn our_line(&self, name: &str) -> Option<Line> {
        line_of(self.ours(name)?.as_str()).map(|(line, _)| line)
    }

    /// The case at the sender's desk, if this program wrote the file.
    pub fn case(&self) -> Option<CaseId> {
        self.ours(fields::CASE)?.as_str().parse().ok()
    }

    /// The customer: our field, or the one that TSANet Connect's forms have.
    pub fn customer(&self) -> Option<Line> {
        let there = || {
            let found = self.fields.iter().find(|(_, name, _)| name == "Customer Company");
            line_of(found?.2.as_str()).map(|(line, _)| line)
        };
        self.our_line(fields::CUSTOMER).or_else(there)
    }
}

/// Reads a request: one object, or a list of one.
///
/// # Errors
/// If it is too large, no JSON, no single request, or nothing names it.
pub fn read(from: impl Read) -> Result<Request, ReadError> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge);
    }
    // Its parser stops at a depth of 128.
    let json = |error: serde_json::Error| ReadError::Json(printable(&error.to_string(), 200));
    match serde_json::from_slice(&bytes).map_err(json)? {
        Value::Object(object) => request(&object),
        Value::Array(list) => match list.as_slice() {
            [Value::Object(object)] => request(object),
            _ => Err(ReadError::Kind(format!("a list of {}", list.len()))),
        },
        other => Err(ReadError::Kind(kind(&other).to_owned())),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A line of foreign text, and whether it was cut.
fn line_of(text: &str) -> Option<(Line, bool)> {
    let text = text.trim();
    let line = printable(text, LINE_LIMIT).parse().ok()?;
    Some((line, text.chars().nth(LINE_LIMIT).is_some()))
}

/// Lines of foreign text, and whether they were cut.
pub fn text_of(text: &str) -> Option<(Text, bool)> {
    let clean = text.lines().map(|line| printable(line, usize::MAX)).collect::<Vec<_>>().join("\n");
    let cut = clean.chars().nth(TEXT_LIMIT).is_some();
    let clean: String = clean.chars().take(TEXT_LIMIT).collect();
    Some((clean.parse().ok()?, cut))
}

/// An object of the file, with its place.
struct Object<'v, 't> {
    map: &'v Map<String, Value>,
    place: String,
    told: &'t mut Told,
}

impl<'v> Object<'v, '_> {
    fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, wanted: &str, found: &Value) {
        let found = kind(found);
        self.told.tell(format!("{}{name} is {found}, not {wanted}: left out", self.place));
    }

    fn raw(&mut self, name: &str) -> Option<&'v str> {
        let value = self.get(name)?;
        if value.as_str().is_none() {
            self.wrong(name, "a text", value);
        }
        value.as_str().filter(|text| !text.trim().is_empty())
    }

    fn read<T>(
        &mut self,
        name: &str,
        most: usize,
        of: impl FnOnce(&str) -> Option<(T, bool)>,
    ) -> Option<T> {
        let raw = self.raw(name)?;
        let Some((read, cut)) = of(raw) else {
            self.told
                .tell(format!("{}{name} has no words that can be shown: left out", self.place));
            return None;
        };
        if cut {
            self.told.tell(format!("{}{name} is cut after {most} characters", self.place));
        }
        Some(read)
    }

    fn line(&mut self, name: &str) -> Option<Line> {
        self.read(name, LINE_LIMIT, line_of)
    }

    fn text(&mut self, name: &str) -> Option<Text> {
        self.read(name, TEXT_LIMIT, text_of)
    }

    fn time(&mut self, name: &str) -> Option<Timestamp> {
        let raw = self.raw(name)?;
        let time = raw.parse().ok();
        if time.is_none() {
            let shown = printable(raw, 40);
            self.told
                .tell(format!("{}{name} is {shown:?}, which is no time: left out", self.place));
        }
        time
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        if value.as_u64().is_none() {
            self.wrong(name, "a whole number", value);
        }
        value.as_u64()
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        if value.as_bool().is_none() {
            self.wrong(name, "a truth value", value);
        }
        value.as_bool()
    }

    fn address(&mut self, name: &str) -> Option<Address> {
        let raw = self.raw(name)?;
        let address = raw.trim().parse().ok();
        if address.is_none() {
            let shown = printable(raw, 60);
            self.told.tell(format!(
                "{}{name} is {shown:?}, which is no mail address: left out",
                self.place
            ));
        }
        address
    }

    fn person(&mut self, name: &str, address: &str) -> Person {
        Person { name: self.line(name), address: self.address(address) }
    }

    /// The objects of a list.
    fn list(&mut self, name: &str) -> Vec<(usize, &'v Map<String, Value>)> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(list) = value.as_array() else {
            self.wrong(name, "a list", value);
            return Vec::new();
        };
        let mut objects = Vec::new();
        for (place, value) in list.iter().enumerate() {
            match value.as_object() {
                Some(object) => objects.push((place, object)),
                None => self.wrong(&format!("{name}[{place}]"), "an object", value),
            }
        }
        objects
    }

    /// An object in a field.
    fn inner(&mut self, name: &str) -> Option<&'v Map<String, Value>> {
        let value = self.get(name)?;
        if value.as_object().is_none() {
            self.wrong(name, "an object", value);
        }
        value.as_object()
    }
}

fn request(map: &Map<String, Value>) -> Result<Request, ReadError> {
    let mut told = Told::default();
    let unknown: Vec<_> = map.keys().filter(|name| !KNOWN.contains(&name.as_str())).collect();
    if !unknown.is_empty() {
        let names: Vec<_> = unknown.iter().take(10).map(|name| printable(name, 40)).collect();
        told.tell(format!(
            "{} fields are not known and left out: {}",
            unknown.len(),
            names.join(", ")
        ));
    }
    let mut it = Object { map, place: String::new(), told: &mut told };
    let (id, token) = (it.number("id"), it.raw("token"));
    let fields = custom_fields(&mut it);
    let case = fields.iter().find(|(section, name, _)| section == SECTION && name == fields::CASE);
    let name = match (id, token, case) {
        (Some(id), ..) => format!("request {id}"),
        // Who has the token may ask for it: it does not stand in a case.
        (None, Some(token), _) => {
            format!("request with the token sha256:{}", Digest::of(token.as_bytes()).short())
        }
        // Written by this program, and never brought to the service.
        (None, None, Some((_, _, case))) => format!("file of {case}"),
        (None, None, None) => return Err(ReadError::Nameless),
    };
    let name = line_of(&name).map(|(name, _)| name).ok_or(ReadError::Nameless)?;
    let description = it.raw("description").map(fields::undescribed).map(str::to_owned);
    let description =
        description.and_then(|raw| it.read("description", TEXT_LIMIT, |_| text_of(&raw)));
    let submitter_engineer = contact(&mut it);
    let notes = notes(&mut it);
    let responses = responses(&mut it);
    Ok(Request {
        name,
        submitter: it.line("submitCompanyName"),
        receiver: it.line("receiveCompanyName"),
        submitter_number: it.line("submitterCaseNumber"),
        receiver_number: it.line("receiverCaseNumber"),
        summary: it.line("summary"),
        description,
        direction: it.line("direction"),
        priority: it.line("priority"),
        status: it.line("status"),
        created: it.time("createdAt"),
        updated: it.time("updatedAt"),
        deleted: it.time("deletedAt"),
        escalation: it.text("escalationInstructions"),
        test: it.flag("testCase").unwrap_or_default(),
        submitter_engineer,
        notes,
        responses,
        fields,
        told,
    })
}

/// The submitter's engineer: whom it names to be reached, else who sent the request.
fn contact(it: &mut Object<'_, '_>) -> Person {
    let named = it.inner("submitterContactDetails");
    if let Some(map) = named {
        let place = "submitterContactDetails.".to_owned();
        let person = Object { map, place, told: &mut *it.told }.person("name", "email");
        if person != Person::default() {
            return person;
        }
    }
    let Some(map) = it.inner("submittedBy") else { return Person::default() };
    let mut by = Object { map, place: "submittedBy.".to_owned(), told: &mut *it.told };
    let names = [by.line("firstName"), by.line("lastName")];
    let name = names.iter().flatten().map(Line::as_str).collect::<Vec<_>>().join(" ");
    Person { name: line_of(&name).map(|(name, _)| name), address: by.address("email") }
}

/// What a part is called: by its number, else by its content. One that is there twice counts once.
fn part(what: &str, it: &mut Object<'_, '_>, seen: &mut BTreeSet<String>) -> Option<Line> {
    let name = match it.number("id") {
        Some(id) => format!("{what} {id}"),
        None => {
            let content = serde_json::to_vec(it.map).unwrap_or_default();
            format!("{what} sha256:{}", Digest::of(&content).short())
        }
    };
    if !seen.insert(name.clone()) {
        it.told.tell(format!("{name} is there twice: the first one counts"));
        return None;
    }
    line_of(&name).map(|(name, _)| name)
}

fn notes(it: &mut Object<'_, '_>) -> Vec<Note> {
    let (mut notes, mut seen) = (Vec::new(), BTreeSet::new());
    for (place, map) in it.list("caseNotes") {
        let mut it = Object { map, place: format!("caseNotes[{place}]."), told: &mut *it.told };
        let Some(part) = part("note", &mut it, &mut seen) else { continue };
        let (summary, description) = (it.line("summary"), it.text("description"));
        let mut words = match (summary, description) {
            (Some(summary), Some(text))
                if super::said::first_line(text.as_str()).trim() == summary.as_str() =>
            {
                text.to_string()
            }
            (Some(summary), Some(text)) => format!("{summary}\n{text}"),
            (Some(summary), None) => summary.to_string(),
            (None, Some(text)) => text.to_string(),
            (None, None) => {
                it.told.tell(format!("{part} has no words: left out"));
                continue;
            }
        };
        // Any other word may mean that it was taken back.
        if let Some(status) = it.line("status").filter(|status| status.as_str() != "ENTERED") {
            words = format!("[{status}] {words}");
        }
        let Some((text, cut)) = text_of(&words) else { continue };
        if cut {
            it.told.tell(format!("{part} is cut after {TEXT_LIMIT} characters"));
        }
        let person = it.line("creatorName").or_else(|| it.line("creatorUsername"));
        let (company, at) = (it.line("companyName"), it.time("createdAt"));
        notes.push(Note { part, company, person, text, at });
    }
    notes
}

fn responses(it: &mut Object<'_, '_>) -> Vec<Response> {
    let (mut responses, mut seen) = (Vec::new(), BTreeSet::new());
    for (place, map) in it.list("caseResponses") {
        let mut it = Object { map, place: format!("caseResponses[{place}]."), told: &mut *it.told };
        let Some(part) = part("response", &mut it, &mut seen) else { continue };
        let Some(kind) = it.line("type") else {
            it.told.tell(format!("{part} has no type: left out"));
            continue;
        };
        // Where the words of a rejection or a question stand in a response is not published.
        let words = ["nextSteps", "reason", "requestedInformation"];
        let text = words.into_iter().find_map(|name| it.text(name));
        let engineer = it.person("engineerName", "engineerEmail");
        let (number, at) = (it.line("caseNumber"), it.time("createdAt"));
        responses.push(Response { part, kind, number, engineer, text, at });
    }
    responses
}

fn custom_fields(it: &mut Object<'_, '_>) -> Vec<(String, String, Text)> {
    let mut fields = Vec::new();
    for (place, map) in it.list("customFields") {
        let mut it = Object { map, place: format!("customFields[{place}]."), told: &mut *it.told };
        let (section, name) =
            (it.line("section"), it.line("fieldName").or_else(|| it.line("label")));
        let Some(value) = it.text("value") else { continue };
        let section = section.map_or_else(String::new, |section| section.to_string());
        if let Some(name) = name {
            fields.push((section, name.to_string(), value));
        }
    }
    fields
}
