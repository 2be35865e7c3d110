//! `hospitium agreement cells --model FILE`: rows that cover a model of another tool, without an agreement.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result};
use hospitium_plan::covering::{
    CoverError, CoveringArray, FormError, Generator, MOST_BYTES, Model, read_acts, read_casa,
    read_pict, read_pict_rows, verify,
};
use serde_json::json;

use crate::failure::{End, Usage};
use crate::json::print;
use crate::out::{note, out};
use crate::view::safe;

/// Makes the rows, verifies them by the other code, and prints them as PICT does.
pub fn cells(
    file: &Path,
    strength: Option<u32>,
    given: Option<&Path>,
    as_json: bool,
) -> Result<End> {
    let model = read(file)?;
    let mut generator = Generator::new(&model);
    if let Some(strength) = strength.and_then(|strength| usize::try_from(strength).ok()) {
        generator = generator.strength(strength);
    }
    if let Some(given) = given {
        let rows = read_pict_rows(&given.display().to_string(), &text(given)?, &model);
        generator = generator.given(rows.map_err(|error| not_read(error, given))?);
    }
    let array = generator.generate().map_err(|error| {
        let next = match &error {
            CoverError::Strength { .. } => "give another --strength",
            CoverError::Unsatisfiable { .. } => "take one of these constraints out of the model",
            _ => "change the model as it says",
        };
        Usage::because(error, format!("{} cannot be covered", file.display()), next)
    })?;
    let coverage =
        verify(&model, array.strength, &array.rows).context("the rows cannot be verified")?;
    anyhow::ensure!(
        coverage.is_complete(),
        "the rows were verified and do not cover the model; this is a bug of hospitium"
    );
    match as_json {
        true => object(&model, &array),
        false => table(&model, &array),
    }
    for rejected in &array.rejected {
        let because = safe(&rejected.because.join("; "));
        note!("left out: given row {} breaks {because}", rejected.row + 1);
    }
    note!(
        "{} rows (no array has fewer than {}) cover {} combinations at strength {}; {} more cannot be",
        array.rows.len(),
        array.lower_bound,
        coverage.covered,
        array.strength,
        coverage.infeasible
    );
    Ok(End::Good)
}

/// A model in the form that its text has.
fn read(file: &Path) -> Result<Model> {
    let (name, text) = (file.display().to_string(), text(file)?);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let is_casa = text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_whitespace());
    let model = if is_casa && !first.is_empty() {
        let beside = file.with_extension("constraints");
        let rules = beside.is_file().then(|| self::text(&beside)).transpose()?;
        let beside = beside.display().to_string();
        read_casa((&name, &text), rules.as_deref().map(|rules| (beside.as_str(), rules)))
    } else if first.starts_with('[') {
        read_acts(&name, &text)
    } else {
        read_pict(&name, &text)
    };
    model.map_err(|error| not_read(error, file))
}

fn not_read(error: FormError, file: &Path) -> anyhow::Error {
    Usage::because(
        error,
        format!("{} is not read", file.display()),
        "give a model of PICT, ACTS or CASA, and rows as PICT prints them: docs/covering.md",
    )
}

fn text(file: &Path) -> Result<String> {
    let doing = || format!("{} cannot be read", file.display());
    let opened = std::fs::File::open(file).map_err(|error| {
        Usage::because(error, doing(), "name a file that is there: --model FILE")
    })?;
    let mut text = String::new();
    opened.take(MOST_BYTES as u64 + 1).read_to_string(&mut text).with_context(doing)?;
    Ok(text)
}

/// A row's values; `~` is before one that the system is to refuse.
fn named<'a>(model: &'a Model, row: &'a [usize]) -> impl Iterator<Item = String> + 'a {
    row.iter().enumerate().map(|(parameter, value)| {
        let values = model.parameters().get(parameter).map(|of| of.values());
        let negative = values.and_then(|all| all.get(*value)).is_some_and(|v| v.is_negative());
        let mark = if negative { "~" } else { "" };
        format!("{mark}{}", model.value_name(parameter, *value))
    })
}

/// Tab-separated, as PICT prints it.
fn table(model: &Model, array: &CoveringArray) {
    let names: Vec<String> = model.parameters().iter().map(|of| safe(of.name())).collect();
    out!("{}", names.join("\t"));
    for row in &array.rows {
        let values: Vec<String> = named(model, row).map(|value| safe(&value)).collect();
        out!("{}", values.join("\t"));
    }
}

fn object(model: &Model, array: &CoveringArray) {
    let names: Vec<&str> = model.parameters().iter().map(|of| of.name()).collect();
    let rows: Vec<Vec<String>> = array.rows.iter().map(|row| named(model, row).collect()).collect();
    print(
        "hospitium-covering/1",
        json!({
            "strength": array.strength, "parameters": names, "rows": rows, "given": array.given,
            "rejected": array.rejected, "lower_bound": array.lower_bound,
            "combinations": array.tuples, "infeasible": array.infeasible,
        }),
    );
}
