//! Writes the sample run and its report, to look at: `cargo run --example sample -- FOLDER`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give the folder to write to")?;
    let folder = PathBuf::from(folder);
    let run = folder.join("run");
    if run.exists() {
        std::fs::remove_dir_all(&run)?;
    }
    common::write(&run);
    let bundle = hospitium_evidence::Bundle::open(&run)?;
    for problem in &bundle.problems {
        println!("{problem}");
    }
    for path in hospitium_report::write_all(&bundle, None, &folder)? {
        println!("{}", path.display());
    }
    Ok(())
}
