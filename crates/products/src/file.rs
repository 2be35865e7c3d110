//! Reading files of others: no more than a bound, in an order that does not change.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::ProductsError;

/// Most files in a collection; osinfo-db has about a thousand.
const MOST_FILES: usize = 50_000;

/// Deepest folder in a collection; osinfo-db's is three down.
const DEEPEST: usize = 8;

/// The text of a file of at most `limit` bytes; what is not UTF-8 becomes U+FFFD.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String, ProductsError> {
    let cause = |cause| ProductsError::Read { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(cause)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(cause)?;
    if bytes.len() as u64 > limit {
        return Err(ProductsError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The files below a folder that end in one of these, in the order of their names. Links to
/// folders are not followed, so nothing goes in circles.
pub(crate) fn below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, ProductsError> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut seen = 0_usize;
    while let Some((folder, depth)) = folders.pop() {
        let cause = |cause| ProductsError::Read { path: folder.clone(), cause };
        for entry in std::fs::read_dir(&folder).map_err(cause)? {
            let entry = entry.map_err(cause)?;
            seen += 1;
            if seen > MOST_FILES {
                return Err(ProductsError::TooMany { path: folder, limit: MOST_FILES });
            }
            let path = entry.path();
            let is_folder = entry.file_type().map_err(cause)?.is_dir();
            let fits = |ending: &&str| path.extension().is_some_and(|e| e == *ending);
            if is_folder && depth < DEEPEST {
                folders.push((path, depth + 1));
            } else if !is_folder && endings.iter().any(fits) && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path within its collection, as text.
pub(crate) fn within(folder: &Path, path: &Path) -> String {
    crate::error::printable(&path.strip_prefix(folder).unwrap_or(path).to_string_lossy(), 300)
}
