//! Reads a policy line by line, and says where a line breaks a rule.

use std::collections::{BTreeMap, BTreeSet};

use super::{Group, Member, POLICY_LIMIT, Policy, PolicyWitness, Quorum};
use crate::keys::KeySpan;
use crate::text::{decimal, shown};
use crate::vkey::{Purpose, VerifierKey};

/// What our own lines begin with; a comment to others.
const OURS: &str = "#hospitium:";
/// The most logs, witnesses, groups and signers, each. (The specification asks for 32 at least.)
const MOST: usize = 1_000;

/// A line that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    origin: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    /// From 1.
    pub column: usize,
    text: String,
    width: usize,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { origin, line, column, text, width, message } = self;
        if *line == 0 {
            return write!(f, "{origin}: {message}");
        }
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let indent = " ".repeat(column - 1);
        let carets = "^".repeat((*width).max(1));
        write!(
            f,
            "{origin}:{line}:{column}: {message}\n{blank} |\n{gutter} | {text}\n{blank} | {indent}{carets}"
        )
    }
}

impl std::error::Error for PolicyError {}

/// A word of a line and where it begins, in characters of the line as it is shown.
#[derive(Clone, Copy)]
struct Word<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl Word<'_> {
    fn text(&self) -> String {
        shown(&String::from_utf8_lossy(self.bytes))
    }
}

struct Line<'a> {
    origin: &'a str,
    number: usize,
    bytes: &'a [u8],
    words: Vec<Word<'a>>,
}

impl Line<'_> {
    /// The line as it can be shown: one character for each byte that is not printable ASCII, cut
    /// where it becomes unwieldy.
    fn shown(&self) -> String {
        let plain = |b: &u8| if (0x20..0x7f).contains(b) { char::from(*b) } else { '?' };
        let text: String = self.bytes.iter().take(200).map(plain).collect();
        text.trim_end().to_owned()
    }

    fn error(&self, at: usize, width: usize, message: impl Into<String>) -> PolicyError {
        PolicyError {
            origin: self.origin.to_owned(),
            line: self.number,
            column: at.min(200) + 1,
            text: self.shown(),
            width: width.min(200 - at.min(199)),
            message: message.into(),
        }
    }

    fn at(&self, word: Word<'_>, message: impl Into<String>) -> PolicyError {
        self.error(word.start, word.bytes.len(), message)
    }

    /// Where the next word would be.
    fn after(&self, message: impl Into<String>) -> PolicyError {
        let end = self.words.last().map_or(0, |word| word.start + word.bytes.len() + 1);
        self.error(end, 1, message)
    }

    fn word(&self, at: usize, due: &str) -> Result<Word<'_>, PolicyError> {
        self.words.get(at).copied().ok_or_else(|| self.after(format!("{due} is due here")))
    }

    fn most(&self, count: usize) -> Result<(), PolicyError> {
        match self.words.get(count) {
            Some(word) => Err(self.at(*word, "nothing more is due on this line")),
            None => Ok(()),
        }
    }

    /// The URL in this place, if there is one; without a slash at its end.
    fn url(&self, at: usize) -> Result<Option<String>, PolicyError> {
        let Some(word) = self.words.get(at).copied() else { return Ok(None) };
        let text = std::str::from_utf8(word.bytes).ok().filter(|text| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let plain = |b: u8| b.is_ascii_graphic() && !b"<>\"\\^`{|}?#".contains(&b);
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
        });
        let message = "a URL begins with https:// or http://, and has no query";
        let text = text.ok_or_else(|| self.at(word, message))?;
        Ok(Some(text.trim_end_matches('/').to_owned()))
    }

    fn key(&self, at: usize) -> Result<VerifierKey, PolicyError> {
        let word = self.word(at, "a verifier key (name+id+key)")?;
        let text =
            std::str::from_utf8(word.bytes).map_err(|_| self.at(word, "the key is no UTF-8"))?;
        text.parse::<VerifierKey>().map_err(|error| {
            let source = std::error::Error::source(&error);
            let why = source.map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
            self.at(word, why)
        })
    }
}

#[derive(Default)]
struct Reading {
    logs: Vec<VerifierKey>,
    witnesses: Vec<PolicyWitness>,
    signers: Vec<KeySpan>,
    groups: Vec<Group>,
    names: BTreeMap<Vec<u8>, Member>,
    used: BTreeSet<Vec<u8>>,
    quorum: Option<Quorum>,
    urls: BTreeMap<String, String>,
}

pub fn parse(origin: &str, bytes: &[u8]) -> Result<Policy, PolicyError> {
    let whole = |message: String| PolicyError {
        origin: origin.to_owned(),
        line: 0,
        column: 0,
        text: String::new(),
        width: 0,
        message,
    };
    if bytes.len() as u64 > POLICY_LIMIT {
        return Err(whole(format!("a policy has at most {POLICY_LIMIT} bytes")));
    }
    let mut reading = Reading::default();
    let ended = bytes.is_empty() || bytes.ends_with(b"\n");
    let count = bytes.split(|byte| *byte == b'\n').count();
    for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = Line { origin, number, bytes, words: words(bytes) };
        if let Some(at) = bytes.iter().position(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            let message = "control characters other than tab and newline are not allowed";
            return Err(line.error(at, 1, message));
        }
        if number == count && !ended {
            return Err(
                line.after("the file has to end with a newline: it may have been cut short")
            );
        }
        reading.line(&line)?;
    }
    let Some(quorum) = reading.quorum else {
        let message = "there is no quorum line; add `quorum none` to ask for no cosignature, or \
                       `quorum NAME`";
        return Err(whole(message.to_owned()));
    };
    let Reading { logs, witnesses, signers, groups, urls, .. } = reading;
    Ok(Policy { logs, witnesses, signers, groups, quorum, urls })
}

fn words(bytes: &[u8]) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = 0;
    for part in bytes.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !part.is_empty() {
            words.push(Word { bytes: part, start });
        }
        start += part.len() + 1;
    }
    words
}

impl Reading {
    fn line(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let Some(first) = line.words.first().copied() else { return Ok(()) };
        match first.bytes {
            b"log" => self.log(line),
            b"witness" => self.witness(line),
            b"group" => self.group(line),
            b"quorum" => self.quorum(line),
            bytes if bytes.starts_with(OURS.as_bytes()) => self.ours(line, first),
            bytes if bytes.starts_with(b"#") => Ok(()),
            _ => {
                Err(line
                    .at(first, "a line is `log`, `witness`, `group`, `quorum`, or a comment (#)"))
            }
        }
    }

    fn full(&self, line: &Line<'_>, count: usize) -> Result<(), PolicyError> {
        let full = count >= MOST;
        if full {
            Err(line.error(0, 1, format!("there are more than {MOST} of these")))
        } else {
            Ok(())
        }
    }

    fn log(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let key = line.key(1)?;
        line.most(3)?;
        self.full(line, self.logs.len())?;
        let word = line.word(1, "a verifier key")?;
        if key.purpose() != Purpose::Note {
            return Err(line.at(word, "a log's key is of type 0x01 (Ed25519) here"));
        }
        let same = |other: &VerifierKey| other.key() == key.key() || other.name() == key.name();
        if self.logs.iter().any(same) {
            return Err(line.at(word, "this log is listed already, by its key or its name"));
        }
        if let Some(url) = line.url(2)? {
            self.urls.insert(key.name().to_owned(), url);
        }
        self.logs.push(key);
        Ok(())
    }

    fn name<'l>(&self, line: &'l Line<'_>) -> Result<Word<'l>, PolicyError> {
        let name = line.word(1, "a name")?;
        if name.bytes == b"none" {
            return Err(line.at(name, "\"none\" has a meaning of its own and names nothing else"));
        }
        if self.names.contains_key(name.bytes) {
            return Err(line.at(name, format!("{:?} is defined already", name.text())));
        }
        Ok(name)
    }

    fn witness(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let name = self.name(line)?;
        let key = line.key(2)?;
        line.most(4)?;
        self.full(line, self.witnesses.len())?;
        let word = line.word(2, "a verifier key")?;
        if key.purpose() != Purpose::Cosignature {
            let message = "a witness's key is of type 0x04 (Ed25519 cosignature); this may be its \
                           log's or its records' key";
            return Err(line.at(word, message));
        }
        if self.witnesses.iter().any(|other| other.key.key() == key.key()) {
            return Err(line.at(word, "this key is another witness's already"));
        }
        let url = line.url(3)?;
        self.names.insert(name.bytes.to_vec(), Member::Witness(self.witnesses.len()));
        self.witnesses.push(PolicyWitness { name: name.text(), key, url });
        Ok(())
    }

    fn member(&self, line: &Line<'_>, word: Word<'_>) -> Result<Member, PolicyError> {
        self.names.get(word.bytes).copied().ok_or_else(|| {
            let message = format!("{:?} is not defined on a line above", word.text());
            line.at(word, message)
        })
    }

    fn group(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let name = self.name(line)?;
        self.full(line, self.groups.len())?;
        let threshold = line.word(2, "`all`, `any` or a number")?;
        line.word(3, "at least one member")?;
        let mut members = Vec::new();
        for word in line.words.iter().skip(3) {
            members.push(self.member(line, *word)?);
            if !self.used.insert(word.bytes.to_vec()) {
                let message = format!("{:?} is a member of a group already", word.text());
                return Err(line.at(*word, message));
            }
        }
        let number = std::str::from_utf8(threshold.bytes).ok().and_then(decimal);
        let least = match threshold.bytes {
            b"all" => Some(members.len()),
            b"any" => Some(1),
            _ => number.and_then(|n| usize::try_from(n).ok()),
        };
        let least = least.filter(|n| (1..=members.len()).contains(n)).ok_or_else(|| {
            let message = format!("`all`, `any`, or a number from 1 to {} is due", members.len());
            line.at(threshold, message)
        })?;
        self.names.insert(name.bytes.to_vec(), Member::Group(self.groups.len()));
        self.groups.push(Group { name: name.text(), least, members });
        Ok(())
    }

    fn quorum(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let name = line.word(1, "the name of a witness or group, or `none`,")?;
        line.most(2)?;
        if self.quorum.is_some() {
            return Err(line.error(0, 6, "there is a quorum line already"));
        }
        self.quorum = Some(match name.bytes {
            b"none" => Quorum::None,
            _ => Quorum::Of(self.member(line, name)?),
        });
        Ok(())
    }

    fn ours(&mut self, line: &Line<'_>, first: Word<'_>) -> Result<(), PolicyError> {
        if first.bytes != b"#hospitium:signer" {
            return Err(line
                .at(first, "the only line of this form is `#hospitium:signer KEY [until=ENTRY]`"));
        }
        let key = line.key(1)?;
        let until = match line.words.get(2) {
            None => None,
            Some(word) => {
                let number = word.bytes.strip_prefix(b"until=");
                let number = number.and_then(|n| std::str::from_utf8(n).ok()).and_then(decimal);
                let due = "`until=` and the number of the last entry that the key may have signed";
                Some(number.ok_or_else(|| line.at(*word, format!("{due} is due")))?)
            }
        };
        line.most(3)?;
        self.full(line, self.signers.len())?;
        let word = line.word(1, "a verifier key")?;
        if key.purpose() == Purpose::Cosignature {
            return Err(line.at(word, "this is a witness's key, not one that signs records"));
        }
        if self.signers.iter().any(|other| other.key.key() == key.key()) {
            return Err(line.at(word, "this key is listed already"));
        }
        self.signers.push(KeySpan { key, from: 0, until });
        Ok(())
    }
}
