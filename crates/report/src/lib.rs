//! A run as something to look at: an HTML page, JUnit XML, JSON and Markdown.
//!
//! In comes a [`Bundle`], read and judged again; out come four documents that say the same. All
//! that a guest or a file had a hand in is bounded and escaped. No document fetches anything.

pub mod diff;
mod html;
mod json;
mod junit;
mod markdown;
mod outcome;
mod summary;
pub mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hospitium_evidence::Bundle;

pub use diff::{Diff, NothingInCommon, diff};
pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use outcome::{Outcome, Tally, goes_on};
pub use summary::headline;

const PAGE: &str = "report.html";

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The page's template failed.
    #[error("cannot lay out the page")]
    Page(#[from] askama::Error),
    /// The XML writer failed.
    #[error("cannot write the JUnit XML")]
    Xml(#[source] io::Error),
    /// The JSON writer failed.
    #[error("cannot write the JSON")]
    Json(#[from] serde_json::Error),
    /// The system refused.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes `report.html`, `junit.xml`, `report.json` and `report.md` into `folder`, which is made
/// if it is not there, and gives their paths in this order. What was there before is replaced. With
/// `since`, all but the JUnit XML tell first what changed since an earlier run.
///
/// # Errors
/// If one cannot be made or written.
pub fn write_all(
    bundle: &Bundle,
    since: Option<&Diff>,
    folder: &Path,
) -> Result<[PathBuf; 4], ReportError> {
    fs::create_dir_all(folder).map_err(refused(folder))?;
    let documents = [
        (PAGE, html(bundle, since)?),
        ("junit.xml", junit(bundle)?),
        ("report.json", json(bundle, since)?),
        ("report.md", markdown(bundle, since)),
    ];
    let mut paths = [const { PathBuf::new() }; 4];
    for (path, (name, text)) in paths.iter_mut().zip(documents) {
        *path = put(folder, name, &text)?;
    }
    Ok(paths)
}

/// Writes `report.html` alone, and gives its path.
///
/// # Errors
/// If it cannot be made or written.
pub fn write_html(bundle: &Bundle, folder: &Path) -> Result<PathBuf, ReportError> {
    put(folder, PAGE, &html(bundle, None)?)
}

/// Whole or not at all: a page that a browser shows may be replaced while the run goes on.
fn put(folder: &Path, name: &str, text: &str) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    hospitium_files::replace(&path, text.as_bytes()).map_err(refused(&path))?;
    Ok(path)
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    let path = path.to_owned();
    |source| ReportError::Write { path, source }
}
