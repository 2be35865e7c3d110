//! Agreements as a person names them: files, and those that the configuration has.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hospitium_model::{Agreement, LARGEST_AGREEMENT, read_agreement};

use crate::config;
use crate::failure::Usage;

/// Reads an agreement by its path or name; gives its path, too.
pub fn open(named: &str) -> Result<(PathBuf, Agreement)> {
    let path = Path::new(named);
    if path.is_file() {
        return Ok((path.to_owned(), read(path)?));
    }
    let configured = config::held().agreements()?;
    let is_called = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == named);
    if let Some(path) = configured.iter().find(is_called) {
        return Ok((path.clone(), read(path)?));
    }
    for path in &configured {
        // One that cannot be read is told of when it is meant.
        if let Some(deal) = read(path).ok().filter(|deal| deal.id == named) {
            return Ok((path.clone(), deal));
        }
    }
    let known: Vec<_> = configured.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let next = match known.is_empty() {
        true => "name a file, or list agreements in hospitium.toml (docs/command-line.md); \
                 docs/agreements.md has their form"
            .to_owned(),
        false => format!("name a file, or one that the configuration has: {}", known.join(", ")),
    };
    Err(Usage::error(
        format!(
            "there is no agreement {named:?}: neither a file nor one that the configuration has"
        ),
        next,
    ))
}

fn read(path: &Path) -> Result<Agreement> {
    let doing = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).with_context(doing)?;
    if size.len() > LARGEST_AGREEMENT as u64 {
        return Err(Usage::error(
            format!("{} is larger than any agreement: {} bytes", path.display(), size.len()),
            "name the agreement's own file",
        ));
    }
    let text = std::fs::read_to_string(path).with_context(doing)?;
    Ok(read_agreement(&path.display().to_string(), &text)?)
}

/// Opens the agreements that are named, or all that the configuration has; none if it has none.
pub fn open_all(named: Vec<String>) -> Result<Vec<Agreement>> {
    match named.is_empty() {
        true => config::held().agreements()?.iter().map(|path| read(path)).collect(),
        false => named.iter().map(|named| Ok(open(named)?.1)).collect(),
    }
}

/// The agreements that are named, or all that the configuration has.
pub fn named_or_all(named: Vec<String>) -> Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(named);
    }
    let all = config::held().agreements()?;
    match all.is_empty() {
        true => Err(Usage::error(
            "no agreement is named, and the configuration has none",
            "name a file: hospitium agreement check FILE; or list agreements in hospitium.toml",
        )),
        false => Ok(all.iter().map(|path| path.display().to_string()).collect()),
    }
}
