//! The report as one self-contained page that works without JavaScript.
//!
//! Rust prepares what is shown ([`page`], [`changes`], [`cell`], [`check`], [`timeline`],
//! [`picture`]); the
//! templates under `templates/` lay it out and escape it. The page's content security policy lets
//! in its own style and its own script by their digests, pictures that it carries, and nothing else.

mod cell;
mod changes;
mod check;
mod page;
mod picture;
mod timeline;

use askama::Template as _;
use hospitium_evidence::Bundle;

use crate::{Diff, ReportError};

/// The report as one HTML page, with what changed since an earlier run at its top if that is given.
///
/// # Errors
/// If the page cannot be laid out.
pub fn html(bundle: &Bundle, since: Option<&Diff>) -> Result<String, ReportError> {
    Ok(page::Page::of(bundle, since).render()?)
}
