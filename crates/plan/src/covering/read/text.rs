//! Places in a text, and errors that point at them.

use std::fmt;

use super::super::model::{MOST_PARAMETERS, MOST_VALUES};
use super::MOST_BYTES;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The file's name, as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there, or what was expected.
    pub message: String,
    /// The line.
    pub text: String,
}

/// Columns of a line that an error shows.
const SHOWN: usize = 120;

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        // A long line is shown from shortly before the place.
        let skip = (self.column + 20).saturating_sub(SHOWN);
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = self.text.chars().skip(skip).take(SHOWN).map(printable).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin} |\n{number} | {}", text.trim_end())?;
        write!(f, "{margin} | {}^", " ".repeat((self.column - 1).saturating_sub(skip)))
    }
}

impl std::error::Error for ReadError {}

/// A text with its file's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl<'a> Source<'a> {
    /// A text that is not too large.
    pub fn new(file: &'a str, text: &'a str) -> Result<Self, ReadError> {
        let source = Self { file, text: text.strip_prefix('\u{feff}').unwrap_or(text) };
        if text.len() <= MOST_BYTES {
            return Ok(source);
        }
        let small = Self { file, text: "" };
        let bytes = text.len();
        Err(small.error(0, format!("a model of {bytes} bytes; at most {MOST_BYTES} are read")))
    }

    /// Is there room for one parameter more, with values so written? Said before anything is made
    /// of them, since looking for names among too many takes long.
    pub fn room_for(&self, line: &str, parameters: usize, values: &str) -> Result<(), ReadError> {
        let values = values.split(',').count();
        if parameters < MOST_PARAMETERS && values <= MOST_VALUES {
            return Ok(());
        }
        let message = format!(
            "a model has at most {MOST_PARAMETERS} parameters, with {MOST_VALUES} values in all"
        );
        Err(self.error_in(line, message))
    }

    /// An error at this byte of the text.
    pub fn error(&self, at: usize, message: impl Into<String>) -> ReadError {
        let at = (0..=at.min(self.text.len())).rev().find(|&b| self.text.is_char_boundary(b));
        let (before, after) = self.text.split_at(at.unwrap_or(0));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count() + 1;
        let rest = after.find('\n').unwrap_or(after.len());
        let text = format!("{}{}", &before[start..], &after[..rest]);
        ReadError { file: self.file.to_owned(), line, column, message: message.into(), text }
    }

    /// Where this part of the text begins. The part must be of it.
    pub fn at(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    /// An error at a part of the text.
    pub fn error_in(&self, part: &str, message: impl Into<String>) -> ReadError {
        self.error(self.at(part), message)
    }
}
