//! The numbers as a table on the terminal and as a page.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Measured;
use crate::setup::Lab;

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

/// What stands between these is written anew; all else on the page is a person's and stays.
const BEGIN: &str = "<!-- measured: written by cargo xtask bench -->\n";
const END: &str = "<!-- measured: end -->\n";
const INTRODUCTION: &str = "# What was measured\n\n`cargo xtask bench` measures and, when all of it is run, \
     writes the part between the two marks. Both sides of each line ran in one go on one machine, so the \
     ratio is what to look at. Where a bar is not reached, it says so.\n\n";

/// Writes the measured part of the page, and leaves the explanations as they are.
pub fn write(path: &Path, all: &[Measured], lab: &Lab) -> Result<()> {
    write_part(path, &part(all, lab)?)
}

/// Puts this text between the marks of a page.
pub fn write_part(path: &Path, part: &str) -> Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let page = put(&old, part);
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

/// The page with its measured part replaced; a page without marks gets it in front.
fn put(old: &str, part: &str) -> String {
    let marked = format!("{BEGIN}\n{part}\n{END}");
    match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{marked}{}", &old[..begin], &old[end + END.len()..])
        }
        _ if old.is_empty() => format!("{INTRODUCTION}{marked}"),
        _ => format!("{INTRODUCTION}{marked}\n{old}"),
    }
}

fn part(all: &[Measured], lab: &Lab) -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().next().and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = lab.kernels.last().and_then(|p| p.file_stem()).unwrap_or_default();
    let mut part = String::new();
    writeln!(part, "- Date: {}", line("date", &["-u", "+%Y-%m-%d"]))?;
    writeln!(
        part,
        "- Machine: {cpus} CPUs, {}, {} GiB; Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        kib.unwrap_or(0) >> 20,
        line("uname", &["-r"])
    )?;
    writeln!(part, "- Hypervisor: {} under TCG", line("qemu-system-x86_64", &["--version"]))?;
    writeln!(part, "- Guests: {}, Debian 12; 512 MiB and 2 vCPUs each", kernel.to_string_lossy())?;
    let peer = line("dpkg-query", &["-W", "-f", "${Version}", "autopkgtest"]);
    writeln!(part, "- autopkgtest {peer}\n")?;
    part.push_str("| what | ours | against | ratio | bar | reached | what bounds it |\n|---|---|---|---|---|---|---|\n");
    for m in all {
        let reached = if m.reached { "yes" } else { "**no**" };
        writeln!(
            part,
            "| {} | {} | {} | {:.3} | {} | {reached} | {} |",
            m.what, m.ours, m.other, m.ratio, m.bar, m.bound
        )?;
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_around_the_measured_part_stay() {
        let old = format!("above\n{BEGIN}\nold\n{END}below\n");
        assert_eq!(put(&old, "new"), format!("above\n{BEGIN}\nnew\n{END}below\n"));
        assert!(put("by hand\n", "new").ends_with("by hand\n"));
    }
}
