//! The demo: the first answer first. What takes long and is not needed for it (a whole Debian system, the half
//! of hospitium that knows of deals) is made beside it, at the lowest priority.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use xtask::image::Variant;
use xtask::{cargo, root, setup, target};

use crate::deal;

/// Up to so many processors everything waits for the first report.
const FEW: usize = 4;

/// Validates two Debian kernels and one Debian system on the installed QEMU, each kind in a run of its own under
/// `out`, and fulfils the example agreement with them.
pub fn demo(out: &Path) -> Result<()> {
    // As the tests have it: digests, signatures and compression are optimised there too, and all else waits for
    // machines.
    println!("Building what runs guests (a first time takes a minute or two)");
    let first = cargo_build(&["--no-default-features"], false);
    let first = Beside::start("cargo build --package hospitium --no-default-features", first)?;
    setup::packages_of_demo()?;
    let image = || Beside::start("building the image of Debian 12", whole_system()?);
    // On few processors even the lowest priority takes from what the first report waits for.
    let few = std::thread::available_parallelism().map_or(1, usize::from) <= FEW;
    let early = if few { None } else { Some(image()?) };
    let kernels = setup::kernels()?;
    first.finish()?;
    let image = early.map_or_else(image, Ok)?;
    let hospitium = target().join("debug/hospitium");
    // The whole takes its place when it is built, at whatever moment that is.
    let validator = target().join("debug/hospitium-run");
    let copied = std::fs::copy(&hospitium, &validator);
    copied.with_context(|| format!("copying {}", hospitium.display()))?;
    let rest = || Beside::start("cargo build --package hospitium", cargo_build(&[], true));
    let early = if few { None } else { Some(rest()?) };

    let out = if out.is_absolute() { out.to_owned() } else { root().join(out) };
    if out.exists() {
        // A demo is for looking at; the last one makes room.
        std::fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    println!("\nTwo kernels first: they boot in seconds. A whole Debian is made ready meanwhile.");
    let kernels: Vec<_> = kernels.iter().map(PathBuf::as_path).collect();
    let of_kernels = out.join("kernels");
    let mut failed = run(&validator, &kernels, &of_kernels)?;

    println!("\nNow a whole Debian system, as soon as its image is made.");
    image.finish()?;
    let rest = early.map_or_else(rest, Ok)?;
    let of_system = out.join(Variant::CloudInit.name());
    // By the name of its definition, which knows the image that set-up has built.
    failed |= run(&validator, &[Path::new(Variant::CloudInit.name())], &of_system)?;
    println!("\nWhat it is worth, with all of hospitium, as soon as that is built.");
    rest.finish()?;
    deal::fulfil(&hospitium, &[&of_kernels, &of_system], &root().join("runs/parties"))?;
    println!("\nOpen these in a browser:");
    for run in [of_kernels, of_system] {
        println!("  {}", run.join("report.html").display());
    }
    if failed {
        println!(
            "Some checks failed: that is what these guests do on this QEMU. The reports say why."
        );
    }
    Ok(())
}

/// Runs these guests on the installed QEMU; whether some check failed.
fn run(hospitium: &Path, guests: &[&Path], out: &Path) -> Result<bool> {
    let mut command = Command::new(hospitium);
    // What it certifies has to have booted lately.
    command
        .current_dir(root())
        .arg("run")
        .args(["--on", "qemu", "--fresh-boot"])
        .arg("--out")
        .arg(out);
    for guest in guests {
        command.arg(guest);
    }
    let status = command.status().context("running hospitium")?;
    // 1 says that some check failed, which is a finding and not a failure of the demo.
    ensure!(matches!(status.code(), Some(0 | 1)), "hospitium run: {status}");
    Ok(status.code() == Some(1))
}

fn cargo_build(features: &[&str], behind: bool) -> Command {
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "hospitium"]).args(features);
    if behind { at_lowest_priority(&command) } else { command }
}

/// This program once more, to build the image of the system.
fn whole_system() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.arg("image");
    Ok(at_lowest_priority(&command))
}

/// The same command, where nothing else wants the processors.
fn at_lowest_priority(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    nice
}

/// Something that is done beside; it ends with us.
struct Beside {
    what: &'static str,
    child: Child,
}

impl Beside {
    fn start(what: &'static str, mut command: Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| what.to_owned())?;
        Ok(Self { what, child })
    }

    /// Waits for its end.
    fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("waiting: {}", self.what))?;
        ensure!(status.success(), "{}: {status}", self.what);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Something else failed, or it has ended by itself: then there is nobody to end.
        if matches!(self.child.try_wait(), Ok(None)) {
            let all: Vec<String> = family(self.child.id()).iter().map(u32::to_string).collect();
            let _ = Command::new("kill").arg("-TERM").args(all).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

/// A process and all that it has started and that are still its own.
fn family(head: u32) -> Vec<u32> {
    let parent = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse::<u32>().ok()
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        Some((process, parent(status)?))
    });
    let parents: Vec<(u32, u32)> = processes.collect();
    let mut family = vec![head];
    let mut next = 0;
    while let Some(one) = family.get(next).copied() {
        family.extend(
            parents.iter().filter(|(_, parent)| *parent == one).map(|(process, _)| process),
        );
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_lowest_priority_a_command_is_the_same() {
        let mut command = Command::new("env");
        command.arg("-u").arg("UNTOLD").env("TOLD", "a b").env_remove("PATH_TO_NOWHERE");
        command.current_dir("/");
        let nice = at_lowest_priority(&command);
        let words: Vec<_> = nice.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(words, ["-n", "19", "env", "-u", "UNTOLD"]);
        assert_eq!(nice.get_current_dir(), Some(Path::new("/")));
        assert_eq!(nice.get_envs().count(), 2);
    }

    #[test]
    fn what_fails_beside_is_told_and_what_is_not_waited_for_ends() {
        let failed = Beside::start("a test", Command::new("false")).expect("starts");
        let error = failed.finish().expect_err("it failed").to_string();
        assert!(error.starts_with("a test: "), "{error}");
        let mut long = Command::new("sh");
        long.args(["-c", "sleep 600 & wait"]);
        let left = Beside::start("another", long).expect("starts");
        let all = loop {
            let all = family(left.child.id());
            if all.len() > 1 {
                break all;
            }
            std::thread::yield_now();
        };
        drop(left);
        let running = |process: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            status.is_ok_and(|status| !status.contains("State:\tZ"))
        };
        while all.iter().any(running) {
            std::thread::yield_now();
        }
    }
}
