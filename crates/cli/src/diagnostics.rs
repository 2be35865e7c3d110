//! What the program tells of its own troubles while it works: lines on standard error, for who keeps a server or looks
//! for a fault.

use std::io::{self, Write};

use anyhow::Result;
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::args::Command;
use crate::failure::Usage;
use crate::out::note;
use crate::view::safe;

/// Says which lines are wanted: a level, or `TARGET=LEVEL` and such, one behind the other with commas.
const VARIABLE: &str = "HOSPITIUM_LOG";
/// The most characters of a line.
const LONGEST: usize = 4_000;

/// Begins to tell. A server tells of warnings, since nobody else sees them; other commands, which end with an error of
/// their own, of errors alone.
///
/// # Errors
/// If the variable says nothing that can be understood.
pub fn start(command: &Command) -> Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(wanted) if !wanted.trim().is_empty() => understood(&wanted).map_err(|why| {
            let what = format!("{VARIABLE}={:?} cannot be understood: {why}", safe(&wanted));
            let next = format!(
                "name a level: {VARIABLE}=debug, or of a part: {VARIABLE}=warn,hospitium_desk=debug"
            );
            Usage::error(what, next)
        })?,
        _ => EnvFilter::new(if serves(command) { "warn" } else { "error" }),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_timer(Clock)
        .with_writer(|| Line)
        .init();
    Ok(())
}

/// A word by itself is a level: the library would take any other one for a part of which all is wanted, and tell nothing.
fn understood(wanted: &str) -> Result<EnvFilter, String> {
    let alone = |word: &&str| !word.contains(['=', '[']);
    let words = wanted.split(',').map(str::trim).filter(alone);
    if let Some(word) = words.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!("{:?} is no level", safe(word)));
    }
    EnvFilter::try_new(wanted).map_err(|error| error.to_string())
}

fn serves(command: &Command) -> bool {
    #[cfg(feature = "deal")]
    {
        matches!(command, Command::Serve(_))
    }
    #[cfg(not(feature = "deal"))]
    {
        let _ = command;
        false
    }
}

/// UTC, to the millisecond.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{:.3}", Timestamp::now())
    }
}

/// One event, which comes whole. What stands in it may be a stranger's text.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        note!("{}", hospitium_model::printable(text.trim_end(), LONGEST));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_one_for_a_part_are_understood_and_a_misspelt_one_is_told() {
        for good in ["debug", "WARN", "off", "warn,hospitium_desk=debug", "hospitium_web=trace"] {
            assert!(understood(good).is_ok(), "{good}");
        }
        for bad in ["verbose", "warn,loud", "hospitium_desk=loud", "hospitium_desk"] {
            assert!(understood(bad).is_err(), "{bad}");
        }
    }
}
