//! A place in a text where it is not as it should be, shown with the line and a caret.

use crate::text::printable;
use std::fmt;

/// What is wrong with a text, and where. Nothing in it reaches a terminal unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError {
    file: String,
    line: usize,
    column: usize,
    excerpt: String,
    /// Characters of the line that the excerpt leaves out at its beginning.
    skipped: usize,
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
        // A long line is shown from shortly before the place.
        let skipped = (column + 20).saturating_sub(EXCERPT);
        let rest = shown.char_indices().nth(skipped).map_or("", |(at, _)| &shown[at..]);
        Self {
            file: printable(file, 300),
            line,
            column,
            excerpt: printable(rest, EXCERPT),
            skipped,
            what: printable(&what.into(), 400),
        }
    }

    /// The line, from 1; 0 if not known.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1; 0 if not known.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
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
                write!(
                    f,
                    "\n{:w$} | {:c$}^",
                    "",
                    "",
                    w = number.len(),
                    c = self.column - 1 - self.skipped
                )?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for FormError {}

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
    fn a_long_line_is_shown_from_shortly_before_the_place() {
        let text = format!("{}!{}", "é".repeat(200), "a".repeat(200));
        let shown = FormError::at_offset("f", &text, 400, "here").to_string();
        let (line, caret) = (shown.lines().nth(1), shown.lines().nth(2));
        let place = line.and_then(|line| line.chars().position(|c| c == '!'));
        assert!(place.is_some_and(|at| at < 110), "{shown}");
        assert_eq!(caret.and_then(|line| line.chars().position(|c| c == '^')), place);
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

    #[test]
    fn what_turns_parts_or_hides_text_is_shown_as_a_point() {
        for hidden in
            "\u{61c}\u{2028}\u{2029}\u{ad}\u{3164}\u{115f}\u{fff9}\u{180e}\u{200b}\u{e0041}\u{202e}"
                .chars()
        {
            assert_eq!(printable(&format!("a{hidden}b"), 9), "a·b", "{hidden:?}");
        }
        assert_eq!(printable("Ünïcödé 漢字", 20), "Ünïcödé 漢字");
    }
}
