//! Where things are in a bundle, which names are good, and how large anything may be.

/// The manifest, written last.
pub const MANIFEST: &str = "manifest.json";
/// The run's record.
pub const RUN: &str = "run.json";
/// Folder of the cells.
pub const CELLS: &str = "cells";
/// A cell's record.
pub const CELL: &str = "cell.json";
/// The checks that a cell is to run.
pub const PLAN: &str = "plan.json";
/// Folder of a cell's check records.
pub const CHECKS: &str = "checks";
/// A cell's timeline.
pub const TIMELINE: &str = "timeline.jsonl";
/// A cell's console, escaped.
pub const CONSOLE_LOG: &str = "console.log";
/// A cell's console, as it came.
pub const CONSOLE_RAW: &str = "console.raw";
/// Start of the name of a file that is still being written.
pub use hospitium_files::PARTIAL;

/// How large anything in a bundle may be. A writer stays below, a reader refuses what is above.
pub mod limit {
    /// Files in a bundle.
    pub const FILES: usize = 20_000;
    /// Bytes of one file.
    pub const FILE: u64 = 64 << 20;
    /// Bytes of all files of a folder.
    pub const FOLDER: u64 = 2 << 30;
    /// Bytes of all files of an archive, unpacked. The reader holds them in memory.
    pub const ARCHIVE: u64 = 512 << 20;
    /// Bytes of a packed archive.
    pub const PACKED: u64 = 512 << 20;
    /// Base-2 logarithm of the largest zstd window.
    pub const WINDOW_LOG: u32 = 24;
    /// Bytes of `manifest.json`.
    pub const MANIFEST: u64 = 8 << 20;
    /// Bytes of any other JSON record.
    pub const RECORD: u64 = 4 << 20;
    /// Cells in a run.
    pub const CELLS: usize = 1_000;
    /// Bytes of a `timeline.jsonl`.
    pub const TIMELINE: u64 = 32 << 20;
    /// Bytes of one line of it.
    pub const TIMELINE_LINE: usize = 16 << 10;
    /// Bytes of the start of a console that are kept.
    pub const CONSOLE_HEAD: u64 = 4 << 20;
    /// Bytes of the end of a console that are kept besides.
    pub const CONSOLE_TAIL: usize = 256 << 10;
    /// Bytes of a path.
    pub const PATH: usize = 220;
    /// Components of a path.
    pub const DEPTH: usize = 6;
    /// Bytes of a component.
    pub const COMPONENT: usize = 100;
    /// Bytes of a cell's name.
    pub const CELL_NAME: usize = 64;
}

/// Why a name is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing, or nothing between two slashes.
    #[error("it has an empty part")]
    Empty,
    /// Longer than [`limit`] says.
    #[error("it is too long or too deep")]
    TooLong,
    /// Starts with a slash.
    #[error("it is absolute")]
    Absolute,
    /// `.`, `..`, or a name that starts with a dot.
    #[error("a part of it starts with a dot")]
    Dot,
    /// Something else than ASCII letters, digits and `. _ + -`.
    #[error("it has a character other than letters, digits and \". _ + -\"")]
    Character,
}

/// Checks a path within a bundle: relative, forward slashes, no `..`, plain ASCII.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_path(path: &str) -> Result<(), NameFault> {
    if path.len() > limit::PATH || path.split('/').count() > limit::DEPTH {
        return Err(NameFault::TooLong);
    }
    if path.starts_with('/') {
        return Err(NameFault::Absolute);
    }
    path.split('/').try_for_each(check_component)
}

/// Checks a cell's name: one component, at most [`limit::CELL_NAME`] bytes.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_cell_name(name: &str) -> Result<(), NameFault> {
    if name.len() > limit::CELL_NAME {
        return Err(NameFault::TooLong);
    }
    check_component(name)
}

fn check_component(part: &str) -> Result<(), NameFault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    match part.as_bytes() {
        [] => Err(NameFault::Empty),
        [b'.', ..] => Err(NameFault::Dot),
        bytes if bytes.len() > limit::COMPONENT => Err(NameFault::TooLong),
        bytes if !bytes.iter().copied().all(plain) => Err(NameFault::Character),
        _ => Ok(()),
    }
}

/// The path of a file of a cell.
pub fn in_cell(cell: &str, name: &str) -> String {
    format!("{CELLS}/{cell}/{name}")
}

/// A hostile name, fit for a message.
pub fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(80).flat_map(char::escape_default).collect();
    if name.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for (bad, fault) in [
            ("", NameFault::Empty),
            ("a//b", NameFault::Empty),
            ("a/", NameFault::Empty),
            ("/etc/passwd", NameFault::Absolute),
            ("..", NameFault::Dot),
            ("a/../../b", NameFault::Dot),
            ("cells/.hidden", NameFault::Dot),
            ("a\\b", NameFault::Character),
            ("a\nb", NameFault::Character),
            ("a\u{202e}b", NameFault::Character),
            ("C:x", NameFault::Character),
            (&"x".repeat(101), NameFault::TooLong),
            (&"x/".repeat(9), NameFault::TooLong),
        ] {
            assert_eq!(check_path(bad), Err(fault), "{bad:?}");
        }
        assert_eq!(check_path("cells/a-b/checks/stor.hot-add-remove+virtio.json"), Ok(()));
        assert_eq!(check_cell_name("a/b"), Err(NameFault::Character));
    }
}
