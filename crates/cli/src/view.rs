//! What a person or a program sees while a run goes on.

mod json;
mod live;
mod plain;
mod so_far;

use std::io::IsTerminal;
use std::sync::Arc;

use hospitium_model::Verdict;
use hospitium_run::{Observer, Slow};

pub use json::Json;
pub use live::Live;
pub use plain::Plain;
pub use so_far::SoFar;

/// The view that fits: events for programs, a live view on a terminal, else plain lines.
pub fn fitting(json: bool, verbose: bool) -> Arc<dyn Observer> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if json {
        Arc::new(Json)
    } else if std::io::stderr().is_terminal() && !set("CI") && !dumb && !verbose {
        Arc::new(Live::new(Paint::stderr()))
    } else {
        Arc::new(Plain::new(Paint::stderr(), verbose))
    }
}

/// Colours, where they can be shown and are wanted (no-color.org).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// For standard error.
    pub fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && Self::wanted())
    }

    /// For standard output.
    pub fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && Self::wanted())
    }

    fn wanted() -> bool {
        std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What matters.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A verdict's word, or any text, in the verdict's colour.
    pub fn verdict(self, word: &str, text: &str) -> String {
        let code = match word {
            "pass" => "32",
            "fail" => "1;31",
            "flaky" | "error" => "1;33",
            "miss" => "33",
            _ => "2",
        };
        self.with(code, text)
    }
}

/// `3.4 s`, `2 min 5 s`.
pub fn time(ms: f64) -> String {
    let seconds = ms / 1e3;
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 99.5 {
        format!("{seconds:.0} s")
    } else {
        let minutes = (seconds / 60.0).floor();
        format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).floor())
    }
}

/// `stor.enospc takes longer than usual (1 min 5 s, usually 20 s)`.
fn longer(slow: &Slow) -> String {
    let what = if slow.what == "boot" { "the boot" } else { &slow.what };
    let (now, usual) = (time(slow.running_ms), time(slow.usual_ms));
    format!("{what} takes longer than usual ({now}, usually {usual})")
}

/// A text in lines of at most 96 characters, cut between words, each led by `lead`.
pub fn wrapped(text: &str, lead: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut length = 0;
        for word in safe(line).split(' ') {
            // What indents a line has no width of its own here: the lead does that.
            if word.is_empty() && length == 0 {
                continue;
            }
            let wide = word.chars().count();
            if length == 0 || length + 1 + wide > 96 {
                if !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(lead);
                length = wide;
            } else {
                out.push(' ');
                length += 1 + wide;
            }
            out.push_str(word);
        }
    }
    out
}

/// The word for a verdict with its overlay.
pub fn word(verdict: &Verdict, flaky: Option<(usize, usize)>) -> &'static str {
    if flaky.is_some() { "flaky" } else { verdict.word() }
}

/// Foreign text without anything that a terminal could take for a command, on one line.
pub fn safe(text: &str) -> String {
    hospitium_model::printable(text, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_text_cannot_command_the_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\nc\u{7}";
        let shown = safe(hostile);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }

    #[test]
    fn long_texts_are_cut_between_words() {
        let text = wrapped(&"four ".repeat(40), "  ");
        assert!(
            text.lines().count() == 3 && text.lines().all(|l| l.starts_with("  four")),
            "{text}"
        );
        assert_eq!(wrapped("a\nb", "| "), "| a\n| b");
        assert_eq!(wrapped("a\n  b  c", "| "), "| a\n| b  c");
    }

    #[test]
    fn what_overruns_is_named_with_what_it_usually_takes() {
        let of = |what: &str| {
            let cell = "c".to_owned();
            longer(&Slow { cell, what: what.into(), running_ms: 125_000.0, usual_ms: 20_000.0 })
        };
        assert_eq!(
            of("stor.enospc"),
            "stor.enospc takes longer than usual (2 min 5 s, usually 20 s)"
        );
        assert!(of("boot").starts_with("the boot takes"));
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(time(94.0), "0.1 s");
        assert_eq!(time(42_400.0), "42 s");
        assert_eq!(time(125_000.0), "2 min 5 s");
    }
}
