//! The numbers as a table on the terminal and as a page.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use xtask::setup::Lab;

use crate::Measured;

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

/// Where the part of a bench ends on a page.
const END: &str = "<!-- measured: end -->\n";

/// Where the part of a bench begins: what stands between is written anew, all else is a person's and stays.
fn begin(name: &str) -> String {
    format!("<!-- measured: cargo xtask bench {name} -->\n")
}

/// Writes what this bench measured into its part of docs/benchmarks.md.
pub fn write(name: &str, all: &[Measured], lab: Option<&Lab>) -> Result<()> {
    write_part(&xtask::root().join("docs/benchmarks.md"), name, &part(all, lab)?)
}

/// Writes this text into a bench's part of a page.
pub fn write_part(path: &Path, name: &str, part: &str) -> Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    std::fs::write(path, put(&old, name, part))
        .with_context(|| format!("writing {}", path.display()))
}

/// The page with this bench's part replaced; where there is none yet, it comes last.
fn put(old: &str, name: &str, part: &str) -> String {
    let begin = begin(name);
    let marked = format!("{begin}\n{}\n{END}", part.trim_end_matches('\n').to_owned() + "\n");
    let found = old.find(&begin).and_then(|at| Some((at, at + old[at..].find(END)? + END.len())));
    match found {
        Some((at, end)) => format!("{}{marked}{}", &old[..at], &old[end..]),
        None if old.is_empty() => marked,
        None => format!("{}\n\n{marked}", old.trim_end_matches('\n')),
    }
}

/// When and where it was measured, and a line for each number.
fn part(all: &[Measured], lab: Option<&Lab>) -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().next().and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut part = String::new();
    write!(
        part,
        "{}: {cpus} CPUs, {}, {} GiB, Linux {}",
        line("date", &["-u", "+%Y-%m-%d"]),
        model.trim_start_matches([' ', '\t', ':']),
        // What firmware and kernel keep to themselves is not in MemTotal.
        kib.unwrap_or(0).div_ceil(1 << 20),
        line("uname", &["-r"])
    )?;
    if let Some(lab) = lab {
        let kernel = lab.kernels.last().and_then(|p| p.file_stem()).unwrap_or_default();
        let kernel = kernel.to_string_lossy();
        write!(
            part,
            "; {} under TCG; guests {}, Debian 12, 512 MiB and 2 vCPUs each",
            line("qemu-system-x86_64", &["--version"]),
            kernel.split('_').next().unwrap_or_default(),
        )?;
    }
    part.push_str(".\n\n| what | ours | against | ratio | bar | reached | what bounds it |\n|---|---|---|---|---|---|---|\n");
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
    fn a_bench_replaces_its_own_part_of_the_page_and_nothing_else() {
        let both = put(&put("above\n", "one", "1\n"), "two", "2\n");
        let mended = put(&both, "one", "3\n");
        assert_eq!(mended, both.replace("\n1\n", "\n3\n"));
        assert!(mended.starts_with("above\n") && mended.contains("\n2\n"));
        assert_eq!(put(&mended, "two", "2\n"), mended, "the same again changes nothing");
    }
}
