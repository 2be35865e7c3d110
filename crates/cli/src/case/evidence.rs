//! A run's evidence as a file of a case.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use hospitium_desk::{Attachment, Classification, LARGEST_ATTACHMENT, Line, Ran};
use hospitium_evidence::Bundle;

use super::place::Place;
use crate::failure::Usage;
use crate::places;

/// Keeps a run's evidence, packed, and gives the attachment with what it says. Evidence that something is wrong with is
/// refused.
pub fn packed(
    place: &Place,
    run: &Path,
    classification: Classification,
    redaction: Option<Line>,
) -> Result<(Attachment, Ran)> {
    let evidence = places::evidence(run)?;
    let archive = match evidence.is_dir() {
        true => hospitium_evidence::pack(&evidence)
            .with_context(|| format!("the evidence {} is not packed", evidence.display()))?,
        false => evidence,
    };
    // What is attached is what is read.
    let bundle = Bundle::open(&archive)
        .with_context(|| format!("the evidence {} cannot be read", archive.display()))?;
    if let Some(problem) = bundle.problems.first() {
        return Err(Usage::error(
            format!("something is wrong with the evidence {}: {problem}", archive.display()),
            format!("see all of it: hospitium verify {}", run.display()),
        ));
    }
    let ran = Ran::of(&bundle).context("the run cannot stand in a case")?;
    let file =
        File::open(&archive).with_context(|| format!("{} cannot be read", archive.display()))?;
    let (sha256, size) = place.office.vault.put(file, LARGEST_ATTACHMENT)?;
    let name = format!("{}.tar.zst", ran.run).parse().context("the run's name")?;
    let run = Some(Box::new(ran.clone()));
    Ok((Attachment { sha256, size, name, classification, redaction, run }, ran))
}
