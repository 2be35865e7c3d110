//! Two signed heads of one log that do not go together, kept in one file: the proof that is shown to others.

use std::path::{Path, PathBuf};

use hospitium_model::Digest;

use crate::files::{self, Access, FileError};
use crate::note::{CHECKPOINT_LIMIT, Checkpoint};
use crate::text::to_base64;

/// What leads the proof of consistency that does not hold.
const PROOF: &str = "what the log's files give as the consistency proof:";
/// The most bytes of a file: two heads and 64 hashes.
const LIMIT: u64 = 2 * CHECKPOINT_LIMIT + (8 << 10);

/// Files of one name that are kept, at most.
const MOST: usize = 16;

/// One of the files whose names begin so, if there are enough of them.
fn enough(folder: &Path, name: &str) -> Option<PathBuf> {
    let begins = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str());
        file.is_some_and(|file| file.starts_with(name))
    };
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.filter(begins).nth(MOST - 1)
}

/// Keeps both heads, and the proof that does not hold if there is one, in a file whose name begins so. The same two are kept
/// once.
pub fn keep(
    folder: &Path,
    name: &str,
    old: &Checkpoint,
    new: &Checkpoint,
    proof: &[[u8; 32]],
) -> Result<PathBuf, FileError> {
    // One proof is enough; whoever has the log's key could make more of them for ever.
    if let Some(known) = enough(folder, name) {
        return Ok(known);
    }
    let digest = Digest::of(new.as_bytes()).short();
    let path = folder.join(format!("{name}-{digest}"));
    let mut bytes = [old.as_bytes(), b"\n", new.as_bytes()].concat();
    if !proof.is_empty() {
        bytes.extend(format!("\n{PROOF}\n").into_bytes());
    }
    for hash in proof {
        bytes.extend(to_base64(hash).into_bytes());
        bytes.push(b'\n');
    }
    files::put_durably(&path, &bytes, Access::Public)?;
    Ok(path)
}

/// Two heads that were kept, as they are in the file. Verify them before they are believed.
pub fn read(path: &Path) -> Option<(Checkpoint, Checkpoint)> {
    let bytes = files::read(path, LIMIT).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    // A note's text and its signatures are parted by an empty line, and so are the two notes.
    let mut parts = text.split("\n\n");
    let mut head = || {
        let (text, lines) = (parts.next()?, parts.next()?);
        Checkpoint::parse(format!("{text}\n\n{}\n", lines.trim_end_matches('\n')).as_bytes()).ok()
    };
    Some((head()?, head()?))
}
