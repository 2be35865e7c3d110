//! Printing that does not break off when nobody reads: a closed pipe or terminal ends no run.

use std::fmt::Arguments;
use std::io::Write;

/// A line on standard output.
pub fn line(text: Arguments<'_>) {
    // Whoever was to read it has gone away; there is nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line on standard error.
pub fn error_line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `println!` that cannot panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// `eprintln!` that cannot panic.
macro_rules! note {
    ($($text:tt)*) => { $crate::out::error_line(format_args!($($text)*)) };
}

pub(crate) use {note, out};
