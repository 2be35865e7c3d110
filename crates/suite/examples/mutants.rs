//! The mutation score of all checks: `mutants FILE [--check PREFIX] [--all]`. Fails under the bar.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hospitium_suite::studio::Studio;
use hospitium_suite::studio::mutants::{Reasons, run, summary};
use hospitium_suite::tape::Transcripts;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let begun = Instant::now();
    match score(&arguments) {
        Ok(good) => {
            println!("{:.1} s", begun.elapsed().as_secs_f64());
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn score(arguments: &[String]) -> Result<bool, Failure> {
    let [file, rest @ ..] = arguments else {
        return Err("usage: mutants FILE [--check PREFIX] [--all]".into());
    };
    let only = rest.iter().position(|word| word == "--check").and_then(|at| rest.get(at + 1));
    let all = rest.iter().any(|word| word == "--all");
    let scratch = tempfile::tempdir()?;
    let studio = Studio::new(Transcripts::read(Path::new(file))?, scratch.path());
    let threads = std::thread::available_parallelism()?.get();
    let scores = run(&studio, only.map_or("", String::as_str), threads);
    let (text, good) = summary(&scores, &Reasons::shipped()?, all);
    print!("{text}");
    for outdated in studio.outdated() {
        println!("{outdated}; record again by `cargo xtask transcripts`");
    }
    Ok(good)
}
