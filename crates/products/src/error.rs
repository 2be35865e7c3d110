//! What can be wrong with a source of facts, and where.

use std::fmt;
use std::path::PathBuf;

/// Why facts could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProductsError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A file is larger than any such file has reason to be.
    #[error("{} is larger than {limit} bytes; such a file has a few KiB, so this is none", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// More files than any such collection has reason to have.
    #[error("{} holds more than {limit} files; name the folder of the collection itself", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The most that is read.
        limit: usize,
    },
    /// A folder that holds nothing of its kind.
    #[error("{} holds no {what}; {next}", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A file is not of its form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// An address could not be fetched.
    #[error("cannot fetch {url}: {why}; a folder of files works without a network")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// Not an address of a kind that is understood.
    #[error(
        "{text:?} is neither a folder nor an address; name a folder, file://, http:// or https://"
    )]
    Address {
        /// What was named.
        text: String,
    },
}

/// A place in a text where it is not as it should be, shown with the line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError {
    file: String,
    line: usize,
    column: usize,
    excerpt: String,
    what: String,
}

/// Longest excerpt, in characters.
const EXCERPT: usize = 100;

impl FormError {
    /// At a byte offset of the text.
    pub fn at_offset(file: &str, text: &str, offset: usize, what: impl Into<String>) -> Self {
        let offset = offset.min(text.len());
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let column =
            String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
        Self::at(file, text, line, column, what)
    }

    /// At a line and column, both from 1; 0 if not known.
    pub fn at(file: &str, text: &str, line: usize, column: usize, what: impl Into<String>) -> Self {
        let shown = line.checked_sub(1).and_then(|n| text.lines().nth(n)).unwrap_or_default();
        // A caret far to the right of what is shown would point at nothing.
        let excerpt = if column <= EXCERPT { printable(shown, EXCERPT) } else { String::new() };
        Self {
            file: printable(file, 300),
            line,
            column,
            excerpt,
            what: printable(&what.into(), 400),
        }
    }

    /// The line, from 1; 0 if not known.
    pub const fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.line > 0 && self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.what)?;
        if self.line > 0 && !self.excerpt.trim().is_empty() {
            let number = self.line.to_string();
            write!(f, "\n{number} | {}", self.excerpt)?;
            if self.column > 0 {
                write!(f, "\n{:w$} | {:c$}^", "", "", w = number.len(), c = self.column - 1)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for FormError {}

/// What can be shown on a terminal: control characters as `·`, tabs as a space.
pub(crate) fn printable(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .map(|c| match c {
            '\t' => ' ',
            '\n' => ' ',
            c if c.is_control() || is_invisible(c) => '·',
            c => c,
        })
        .collect()
}

/// Characters that turn or hide text.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_line_and_caret() {
        let text = "a = 1\nb = [\nc";
        let error = FormError::at_offset("x.toml", text, 10, "no value");
        assert_eq!(error.to_string(), "x.toml:2:5: no value\n2 | b = [\n  |     ^");
    }

    #[test]
    fn a_hostile_line_reaches_no_terminal() {
        let text = "\u{1b}]0;title\u{7}\u{202e}x";
        let shown = FormError::at_offset("f", text, 3, "bad \u{1b}[2J").to_string();
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }

    #[test]
    fn an_offset_beyond_the_text_or_inside_a_character_does_no_harm() {
        assert_eq!(FormError::at_offset("f", "é", 1, "w").line(), 1);
        assert_eq!(FormError::at_offset("f", "a\n", 99, "w").line(), 2);
    }
}
