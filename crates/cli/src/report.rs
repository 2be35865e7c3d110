//! `hospitium report`, and `hospitium verify` of a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_evidence::{Bundle, ReadError, so_far};

use crate::args::{ReportArguments, ReportFormat};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::places;
use crate::view::safe;

/// Reads the evidence and writes all four documents into `folder`.
pub fn write_all(evidence: &Path, folder: &Path) -> Result<[PathBuf; 4]> {
    let bundle = Bundle::open(evidence).context("the evidence cannot be read")?;
    Ok(hospitium_report::write_all(&bundle, None, folder)?)
}

/// `hospitium report`.
pub fn report(arguments: &ReportArguments) -> Result<End> {
    let evidence = places::evidence(&arguments.run)?;
    // Kept until the documents are written: the bundle is read from there.
    let now = tempfile::tempdir().context("cannot make a folder for what the run has so far")?;
    let bundle = match Bundle::open(&evidence) {
        Err(ReadError::Unfinished) => so_far(&evidence, now.path())
            .map_err(Into::into)
            .and_then(|_| Ok(Bundle::open(now.path())?)),
        opened => opened.map_err(anyhow::Error::from),
    };
    let bundle =
        bundle.with_context(|| format!("the evidence {} cannot be read", evidence.display()))?;
    let since = match &arguments.against {
        Some(earlier) => {
            if arguments.format == Some(ReportFormat::Junit) {
                return Err(Usage::error(
                    "JUnit XML has no place for what changed, so --against has no effect on it",
                    "leave out --against, or choose another --format",
                ));
            }
            Some(crate::diff::compared(&crate::diff::open(earlier)?, &bundle)?)
        }
        None => None,
    };
    let since = since.as_ref();
    let Some(format) = arguments.format else {
        let usual = if arguments.run.is_dir() { arguments.run.clone() } else { PathBuf::from(".") };
        for path in
            hospitium_report::write_all(&bundle, since, arguments.out.as_deref().unwrap_or(&usual))?
        {
            out!("{}", path.display());
        }
        return Ok(soundness(&bundle));
    };
    let text = match format {
        ReportFormat::Html => hospitium_report::html(&bundle, since)?,
        ReportFormat::Junit => hospitium_report::junit(&bundle)?,
        ReportFormat::Json => hospitium_report::json(&bundle, since)?,
        ReportFormat::Md => hospitium_report::markdown(&bundle, since),
    };
    match arguments.out.as_deref().filter(|out| *out != Path::new("-")) {
        Some(out) => {
            std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?
        }
        None => std::io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .context("cannot write to standard output")?,
    }
    Ok(soundness(&bundle))
}

/// Writes `report.html` of what a run that goes on has finished until now; its path.
pub fn write_so_far(evidence: &Path, folder: &Path) -> Result<PathBuf> {
    let now = tempfile::tempdir().context("cannot make a folder for what the run has so far")?;
    so_far(evidence, now.path())?;
    let bundle = Bundle::open(now.path())?;
    Ok(hospitium_report::write_html(&bundle, folder)?)
}

fn soundness(bundle: &Bundle) -> End {
    if hospitium_report::goes_on(bundle) {
        note!("note: the run still goes on; this is what it has until now");
        return End::Unfinished;
    }
    if bundle.is_sound() {
        return End::Good;
    }
    note!(
        "warning: something is wrong with this evidence ({} problems); the report says what",
        bundle.problems.len()
    );
    End::Bad
}

/// `hospitium verify RUN`: reads the evidence with distrust and says what is wrong with it.
pub fn verify(run: &Path, json: bool) -> Result<End> {
    let evidence = places::evidence(run)?;
    let bundle = Bundle::open(&evidence)
        .with_context(|| format!("the evidence {} cannot be read", evidence.display()))?;
    for problem in &bundle.problems {
        if json {
            out!("{}", serde_json::to_string(problem).context("cannot write a problem")?);
        } else {
            out!("problem: {}", safe(&problem.to_string()));
        }
    }
    if !json {
        let files = bundle.files().count();
        let checks: usize = bundle.cells.iter().map(|cell| cell.checks.len()).sum();
        out!("run       {}", safe(&bundle.run.id));
        out!("evidence  sha256:{}", bundle.digest);
        out!("holds     {files} files, {} cells, {checks} checks", bundle.cells.len());
        if let Some(why) = &bundle.run.cut_off {
            out!("cut off   {}", safe(why));
        }
        match bundle.problems.len() {
            0 => out!(
                "sound: every file is what the manifest says, every verdict follows from its observations"
            ),
            n => out!("{n} problems: do not rely on it"),
        }
    }
    Ok(if bundle.is_sound() { End::Good } else { End::Bad })
}
