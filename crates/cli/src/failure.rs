//! How a command ends: its exit code, and an error with its causes and the next step.

use std::process::ExitCode;

use crate::out::note;
use crate::view::safe;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All is well.
    Good,
    /// Something failed, or is wrong with what was looked at.
    Bad,
    /// No more can be said.
    Unfinished,
    /// As another program wants it.
    Code(u8),
}

/// The exit code for a command that is wrong for every revision alike: above 127, so that
/// `git bisect run` stops and does not take it for a verdict on one of them.
pub const STOPS_BISECTION: u8 = 128;

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Good => Self::SUCCESS,
            End::Bad => Self::from(1),
            End::Unfinished => Self::from(3),
            End::Code(code) => Self::from(code),
        }
    }
}

/// The command cannot be carried out as given.
#[derive(Debug)]
pub struct Usage {
    what: String,
    next: String,
}

impl Usage {
    /// What is wrong, and what to do.
    pub fn error(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { what: what.into(), next: next.into() })
    }

    /// The same, with what it comes from.
    pub fn because(
        cause: impl Into<anyhow::Error>,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> anyhow::Error {
        cause.into().context(Self { what: what.into(), next: next.into() })
    }

    /// What to do.
    #[cfg(feature = "deal")]
    pub fn next(&self) -> &str {
        &self.next
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Usage {}

/// Prints the error, its causes each on its line, and the next step; gives the exit code.
pub fn tell(error: &anyhow::Error) -> ExitCode {
    note!("{}", words(error));
    ExitCode::from(code(error))
}

/// What is printed of an error.
pub fn words(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    let mut words = format!("error: {}", indented(&told));
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Libraries differ in whether an error repeats its cause.
        if !told.contains(&cause) {
            words.push_str("\n  because: ");
            words.push_str(&indented(&cause));
            told.push_str(&cause);
        }
    }
    let usage = || error.chain().find_map(|cause| cause.downcast_ref::<Usage>());
    if let Some(usage) = error.downcast_ref::<Usage>().or_else(usage) {
        words.push_str("\n  next: ");
        words.push_str(&usage.next);
    }
    words
}

/// 2 if the command cannot be carried out as given, 3 if it was begun and came to no end.
fn code(error: &anyhow::Error) -> u8 {
    use hospitium_evidence::WriteError;
    use hospitium_run::RunError;

    match error.chain().find_map(|cause| cause.downcast_ref::<RunError>()) {
        None
        | Some(
            RunError::UnknownCheck { .. }
            | RunError::NothingSelected
            | RunError::NoCells
            | RunError::Evidence(WriteError::InUse { .. } | WriteError::NotEmpty { .. }),
        ) => 2,
        Some(_) => 3,
    }
}

/// Line by line without anything that a terminal could take for a command: errors of parsers quote what they read.
fn indented(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn an_error_that_quotes_what_it_read_gives_a_terminal_no_command() {
        let told = indented("TOML parse error\n2 | name = \"x\u{1b}]0;pwned\u{7}\u{202e}\"");
        assert!(!told.chars().any(|c| c != '\n' && c.is_control() || c == '\u{202e}'), "{told:?}");
        assert_eq!(told.lines().count(), 2);
    }
}
