//! The numbers as a table on the terminal and as a page.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Measured;

/// Prints the table.
pub fn show(all: &[Measured]) {
    for m in all {
        let mark = if m.reached { "reached" } else { "NOT reached" };
        println!(
            "\n{}\n  {}  against  {}  =  {:.3}   bar {}: {mark}",
            m.what, m.ours, m.other, m.ratio, m.bar
        );
    }
}

fn line(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

/// Writes the page.
pub fn write(path: &Path, all: &[Measured]) -> Result<()> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mut page = String::from(
        "# What was measured\n\nWritten by `cargo xtask bench`. Both sides of each line ran in one go on one machine, \
         so the ratio is what to look at. Where a bar is not reached, it says so.\n\n",
    );
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(page, "- Date: {}", line("date", &["-u", "+%Y-%m-%d"]))?;
    writeln!(
        page,
        "- Machine: {cpus} CPUs, {}; {}",
        model.trim_start_matches([' ', '\t', ':']),
        memory.lines().next().unwrap_or_default()
    )?;
    writeln!(page, "- Hypervisor: {} under TCG\n", line("qemu-system-x86_64", &["--version"]))?;
    page.push_str("| what | ours | against | ratio | bar | reached | what bounds it |\n|---|---|---|---|---|---|---|\n");
    for m in all {
        let reached = if m.reached { "yes" } else { "**no**" };
        writeln!(
            page,
            "| {} | {} | {} | {:.3} | {} | {reached} | {} |",
            m.what, m.ours, m.other, m.ratio, m.bar, m.bound
        )?;
    }
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}
