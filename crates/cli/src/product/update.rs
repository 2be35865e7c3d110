//! `hospitium product update`: newer data from a source that a person names, for later runs.

use std::path::Path;

use anyhow::{Context as _, Result};
use hospitium_products::update::{Kind, kept, osinfo_version, take};
use hospitium_products::{ProductsError, Sources};
use hospitium_report::words::plural;

use super::SourceArguments;
use crate::failure::{End, Usage};
use crate::out::out;
use crate::places::product_store;
use crate::view::safe;

/// The sources with what was taken over. What a person names in the environment goes before it.
pub fn with_kept(mut sources: Sources) -> Sources {
    let Some(store) = product_store() else { return sources };
    let named = std::env::var_os("OSINFO_SYSTEM_DIR").is_some_and(|folder| !folder.is_empty());
    if let Some(osinfo) = kept(&store, Kind::Osinfo).filter(|_| !named) {
        sources.osinfo = Some(osinfo);
    }
    sources.definitions = kept(&store, Kind::Definitions);
    sources
}

/// `hospitium product update SOURCE`.
pub fn update(source: &Path, sources: SourceArguments, older: bool, json: bool) -> Result<End> {
    let store = product_store().ok_or_else(|| {
        Usage::error(
            "there is no place for newer data: neither XDG_DATA_HOME nor HOME is set",
            "set XDG_DATA_HOME to a folder",
        )
    })?;
    let in_use = sources.named().osinfo;
    let before = in_use.as_deref().and_then(osinfo_version);
    let taken = take(source, &store, in_use.as_deref(), older).map_err(|error| match error {
        error @ ProductsError::Older { .. } => {
            Usage::error(error.to_string(), "take it over all the same: --older")
        }
        error @ (ProductsError::Archive { .. }
        | ProductsError::Nothing { .. }
        | ProductsError::Form(_)) => Usage::error(
            safe(&error.to_string()),
            "name a folder or archive of osinfo-db, or a folder of definitions; nothing was changed",
        ),
        error => anyhow::Error::new(error),
    });
    let taken = taken.context("newer data is not taken over")?;
    let what = match taken.kind {
        Kind::Osinfo => "osinfo-db",
        Kind::Definitions => "definitions",
    };
    if json {
        let told = serde_json::json!({
            "kind": what, "version": taken.version, "files": taken.files,
            "products": taken.products, "folder": taken.folder,
        });
        out!("{told}");
        return Ok(End::Good);
    }
    let version = taken.version.map(|version| format!(" {version}")).unwrap_or_default();
    out!(
        "took over {what}{}: {} in {}",
        safe(&version),
        plural(taken.products, "product"),
        plural(taken.files, "file")
    );
    if let Some(before) = before.filter(|_| taken.kind == Kind::Osinfo) {
        out!("before: {}", safe(&before));
    }
    out!("later runs use it; it is kept in {}", safe(&taken.folder.to_string_lossy()));
    Ok(End::Good)
}
