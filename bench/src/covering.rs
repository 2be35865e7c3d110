//! Covering arrays beside Microsoft PICT's on the same models, both checked by our verifier.
//!
//! Models are those of the folder that `HOSPITIUM_COVERING_MODELS` names (`NAME.model` with
//! `NAME.constraints`, the form of the published benchmarks), and some that are written here.

mod models;
mod pict;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_plan::covering::{Coverage, DEFAULT_ITERATIONS, Generator, Model, verify};

use self::models::Named;
use self::pict::Pict;
use xtask::setup;

/// The other side may take this long for one model.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer is looked where the best known size is not reached at once, at strength 2.
const LONGER: u64 = 34;
/// Above this many combinations of parameters, strength 3 is left out: it takes minutes.
const MOST_TRIPLES: usize = 30_000;

/// One model at one strength, by both.
struct Line {
    name: String,
    strength: usize,
    best_known: Option<usize>,
    bound: usize,
    ours: usize,
    took: Duration,
    coverage: Coverage,
    theirs: Theirs,
}

enum Theirs {
    Rows {
        rows: usize,
        took: Duration,
        coverage: Coverage,
    },
    /// It came to no end in the time given.
    NoEnd,
    /// It refused the model, saying this.
    Refused(String),
}

/// Measures, prints a table, and writes it into docs/covering.md.
pub fn run() -> Result<()> {
    let scratch = setup::cache()?.join("bench/covering");
    std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let pict = Pict::find(&scratch)?;
    println!("PICT: {}", pict.said());
    let mut lines = Vec::new();
    for strength in [2, 3] {
        for named in models::all()? {
            let count = named.model.parameters().len();
            let sets = (0..strength).fold(1, |all, n| all * (count - n) / (n + 1));
            if strength > 2 && sets > MOST_TRIPLES {
                continue;
            }
            let line = measure(named, strength, &pict)?;
            println!("{}", text(&line));
            lines.push(line);
        }
    }
    let larger = lines.iter().filter(|line| match line.theirs {
        Theirs::Rows { rows, .. } => line.ours > rows,
        _ => false,
    });
    println!("\nLarger than PICT's: {} of {}", larger.count(), lines.len());
    crate::page::write_part(
        &xtask::root().join("docs/covering.md"),
        "covering",
        &part(&lines, &pict)?,
    )
}

fn measure(named: Named, strength: usize, pict: &Pict) -> Result<Line> {
    let Named { name, model, best_known } = named;
    let begun = Instant::now();
    let best_known = best_known.get(strength - 2).copied().flatten();
    let generator = Generator::new(&model).strength(strength);
    let doing = || format!("covering {name} at strength {strength}");
    let mut array = generator.clone().generate().with_context(doing)?;
    // What is known to be possible is worth a longer look; its time is counted, too.
    if strength == 2 && best_known.is_some_and(|known| array.rows.len() > known) {
        let longer = generator.iterations(LONGER * DEFAULT_ITERATIONS).generate();
        array = longer.with_context(doing)?;
    }
    let took = begun.elapsed();
    let coverage = checked(&model, strength, &array.rows)?;
    ensure!(coverage.is_complete(), "{name}: our own array is not one: {coverage}");
    let theirs = pict.run(&model, strength, PATIENCE)?;
    Ok(Line {
        best_known,
        bound: array.lower_bound,
        ours: array.rows.len(),
        name,
        strength,
        took,
        coverage,
        theirs,
    })
}

fn checked(model: &Model, strength: usize, rows: &[Vec<usize>]) -> Result<Coverage> {
    verify(model, strength, rows).context("verifying an array")
}

/// The cells of a line of the table.
fn cells(line: &Line) -> [String; 10] {
    let known = match line.best_known {
        Some(known) => known.to_string(),
        None => "–".into(),
    };
    let (rows, took, whole, ratio) = match &line.theirs {
        Theirs::Rows { rows, took, coverage } => (
            rows.to_string(),
            seconds(*took),
            if coverage.is_complete() { "yes".into() } else { format!("no: {coverage}") },
            format!("{:.2}", line.ours as f64 / *rows as f64),
        ),
        Theirs::NoEnd => {
            ("none".into(), format!("> {}", PATIENCE.as_secs()), "–".into(), "–".into())
        }
        Theirs::Refused(why) => (format!("refused: {why}"), "–".into(), "–".into(), "–".into()),
    };
    [
        line.name.clone(),
        line.strength.to_string(),
        line.ours.to_string(),
        rows,
        known,
        line.bound.to_string(),
        ratio,
        seconds(line.took),
        took,
        format!("{}, {whole}", if line.coverage.is_complete() { "yes" } else { "no" }),
    ]
}

fn seconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

fn text(line: &Line) -> String {
    let [name, t, ours, theirs, known, bound, ratio, took, their_time, checked] = cells(line);
    format!(
        "{name:18} t={t}  ours {ours:>5}  PICT {theirs:>5}  best known {known:>5}  bound {bound:>5}  \
         ratio {ratio}  {took} s  {their_time} s  verified {checked}"
    )
}

fn part(lines: &[Line], pict: &Pict) -> Result<String> {
    let mut part = format!("PICT: {}. Times in seconds of one CPU.\n\n", pict.said());
    part.push_str(
        "| model | t | ours | PICT | best known | lower bound | ours / PICT | our time | PICT's time | verified: ours, PICT's |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        writeln!(part, "| {} |", cells(line).join(" | "))?;
    }
    Ok(part)
}
