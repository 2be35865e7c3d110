//! What the program tells of its own troubles while it works: lines on standard error, for who keeps a server or looks
//! for a fault.

use std::io::{self, Write};

use anyhow::Result;
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
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
        Ok(wanted) => EnvFilter::try_new(&wanted).map_err(|error| {
            let what = format!("{VARIABLE}={:?} cannot be understood: {error}", safe(&wanted));
            let next = format!(
                "name a level: {VARIABLE}=debug, or of a part: {VARIABLE}=warn,hospitium_desk=debug"
            );
            Usage::error(what, next)
        })?,
        Err(_) => EnvFilter::new(if serves(command) { "warn" } else { "error" }),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_timer(Clock)
        .with_writer(|| Line)
        .init();
    Ok(())
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
