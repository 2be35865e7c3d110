//! Places in a text, and errors that point at them.

use hospitium_model::FormError;

use super::super::model::{MOST_PARAMETERS, MOST_VALUES};
use super::MOST_BYTES;

/// A text with its file's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl<'a> Source<'a> {
    /// A text that is not too large.
    pub fn new(file: &'a str, text: &'a str) -> Result<Self, FormError> {
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
    pub fn room_for(&self, line: &str, parameters: usize, values: &str) -> Result<(), FormError> {
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
    pub fn error(&self, at: usize, message: impl Into<String>) -> FormError {
        FormError::at_offset(self.file, self.text, at, message)
    }

    /// Where this part of the text begins. The part must be of it.
    pub fn at(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    /// An error at a part of the text.
    pub fn error_in(&self, part: &str, message: impl Into<String>) -> FormError {
        self.error(self.at(part), message)
    }
}
