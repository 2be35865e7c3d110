//! Benches: each runs both sides in one go and prints the ratio. Nothing here asserts a time.

mod machine;
mod page;
mod peer;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::setup::{self, Lab};

/// One number: two sides measured side by side, and the bar.
pub struct Measured {
    /// What is compared.
    pub what: String,
    /// Our side, in words with its unit.
    pub ours: String,
    /// The other side.
    pub other: String,
    /// Ours divided by the other, or the other way round where more is better.
    pub ratio: f64,
    /// What the ratio is to be: `≤ 5`.
    pub bar: &'static str,
    /// Reached?
    pub reached: bool,
    /// What bounds it.
    pub bound: &'static str,
}

/// The benches by name, in their order.
const NAMES: [&str; 4] = ["kernel", "memory", "disk", "autopkgtest"];

/// Runs the benches of these names, or all.
pub fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("no bench {unknown:?}; there are {}", NAMES.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let lab = setup::everything()?;
    let hospitium = crate::build()?;
    let scratch = setup::cache()?.join("bench");
    std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let mut all = Vec::new();
    if wanted("kernel") {
        all.extend(kernel(&hospitium, &lab, &scratch)?);
    }
    if wanted("memory") {
        all.push(memory(&hospitium, &lab, &scratch)?);
    }
    if wanted("disk") {
        all.extend(disk(&hospitium, &lab, &scratch)?);
    }
    if wanted("autopkgtest") {
        all.push(peer::autopkgtest(&hospitium, &lab, &scratch)?);
    }
    page::show(&all);
    // A page of some of the numbers would pass for all of them.
    if names.is_empty() {
        page::write(&crate::root().join("docs/benchmarks.md"), &all)
    } else {
        Ok(())
    }
}

/// A run of ours: how long it took from start to result, and the record of its only cell.
pub struct Run {
    /// From start to result.
    pub took: Duration,
    cell: Value,
}

impl Run {
    /// A timing of the cell in milliseconds; none if it did not happen.
    pub fn ms(&self, name: &str) -> Option<f64> {
        self.cell["timings"][name].as_f64()
    }

    /// Times of all clones in milliseconds, shortest first.
    pub fn clones(&self) -> Vec<f64> {
        let list = self.cell["timings"]["clones_ms"].as_array();
        let mut all: Vec<f64> = list.into_iter().flatten().filter_map(Value::as_f64).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// Runs `hospitium run` with these arguments into a new folder below `scratch`.
pub fn ours(hospitium: &Path, scratch: &Path, name: &str, arguments: &[&str]) -> Result<Run> {
    let out = scratch.join(name);
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    let begun = Instant::now();
    let status = Command::new(hospitium)
        .args(["run", "--host", "qemu", "--accelerator", "tcg", "--out"])
        .arg(&out)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("running hospitium")?;
    let took = begun.elapsed();
    // 1: some check failed, which is no matter for how long it takes.
    ensure!(matches!(status.code(), Some(0 | 1)), "hospitium run {arguments:?}: {status}");
    Ok(Run { took, cell: cell(&out)? })
}

fn cell(out: &Path) -> Result<Value> {
    let cells = out.join("evidence/cells");
    let first =
        std::fs::read_dir(&cells).with_context(|| format!("reading {}", cells.display()))?.next();
    let path = first.context("the run has no cell")??.path().join("cell.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Suite, clones, warm run and overhead on a kernel guest.
fn kernel(hospitium: &Path, lab: &Lab, scratch: &Path) -> Result<Vec<Measured>> {
    let package = lab.kernels.last().context("no kernel")?;
    let guest = package.to_string_lossy().into_owned();
    let bare = machine::bare_kernel(package, scratch)?;
    let cold = ours(hospitium, scratch, "cold", &["--guest", &guest, "--no-cache"])?;
    let suite = cold.took.as_secs_f64() / bare.as_secs_f64();
    // The first fills the cache; the second is the warm one.
    let quick =
        ["--guest", &guest, "--check", "cpu", "--check", "life.pause-resume", "--jobs", "1"];
    let first = ours(hospitium, scratch, "first", &quick)?;
    let warm = ours(hospitium, scratch, "warm", &quick)?;
    let clones = warm.clones();
    let median = clones.get(clones.len() / 2).copied().unwrap_or(f64::NAN);
    let overhead =
        cold.ms("harness_cpu_ms").unwrap_or(f64::NAN) / cold.ms("vmm_cpu_ms").unwrap_or(f64::NAN);
    Ok(vec![
        Measured {
            what: "full suite on a kernel guest, to one bare boot-to-poweroff of the same kernel by plain QEMU".into(),
            ours: seconds(cold.took),
            other: seconds(bare),
            ratio: suite,
            bar: "≤ 5",
            reached: suite <= 5.0,
            bound: "its own boot, and the checks that must boot again (boot.reboot-xn, power.reset-in-boot, crash.recovers), on the machine's cores",
        },
        Measured {
            what: "a clone ready to answer, to 150 ms".into(),
            ours: format!("{median:.0} ms median of {}", clones.len()),
            other: "150 ms".into(),
            ratio: median / 150.0,
            bar: "≤ 1",
            reached: median <= 150.0,
            bound: "starting the VMM's process, and the guest's first instructions being translated anew",
        },
        Measured {
            what: "a run with the machine in the cache, to the same run without".into(),
            ours: format!("{}, boot: {}", seconds(warm.took), warm.ms("boot_ms").map_or("none".into(), |ms| format!("{ms:.0} ms"))),
            other: seconds(first.took),
            ratio: warm.took.as_secs_f64() / first.took.as_secs_f64(),
            bar: "no boot",
            reached: warm.ms("boot_ms").is_none(),
            bound: "the checks themselves, and reading the guest's package",
        },
        Measured {
            what: "CPU time of the harness, to that of the virtual machines".into(),
            ours: format!("{:.1} s", cold.ms("harness_cpu_ms").unwrap_or(f64::NAN) / 1e3),
            other: format!("{:.1} s", cold.ms("vmm_cpu_ms").unwrap_or(f64::NAN) / 1e3),
            ratio: overhead,
            bar: "< 0.1",
            reached: overhead < 0.1,
            bound: "digests of inputs, memory streams and evidence",
        },
    ])
}

/// Memory of eight clones at once.
fn memory(hospitium: &Path, lab: &Lab, scratch: &Path) -> Result<Measured> {
    let guest = lab.kernels.last().context("no kernel")?.to_string_lossy().into_owned();
    let watch = machine::WatchMemory::start();
    let long = [
        "clk.drift-load",
        "wdt.expire",
        "clk.after-pause",
        "net.link-flap",
        "stor.hot-add-remove/usb",
        "irq.tick-rate",
        "clk.tsc-frequency",
        "clk.monotonic-smp",
        "cpu.offline-online",
        "clk.after-migrate",
    ];
    let mut arguments = vec!["--guest", guest.as_str(), "--no-cache", "--jobs", "8"];
    for check in long {
        arguments.extend(["--check", check]);
    }
    ours(hospitium, scratch, "memory", &arguments)?;
    let (one, eight, count) = watch.stop();
    let ratio = eight / one * 8.0 / count.max(1) as f64;
    Ok(Measured {
        what: format!(
            "memory (PSS) of {count} clones of a 512 MiB guest, scaled to eight, to that of the booted machine"
        ),
        ours: format!("{:.0} MiB", eight / 1024.0),
        other: format!("{:.0} MiB", one / 1024.0),
        ratio,
        bar: "≤ 3",
        reached: ratio <= 3.0,
        bound: "each clone's translated code and what it has written since",
    })
}

/// The full suite on a whole distribution.
fn disk(hospitium: &Path, lab: &Lab, scratch: &Path) -> Result<Vec<Measured>> {
    let bare = machine::bare_disk(&lab.login_system, scratch)?;
    let guest: PathBuf = lab.system.clone();
    let run =
        ours(hospitium, scratch, "disk", &["--guest", &guest.to_string_lossy(), "--no-cache"])?;
    let ratio = run.took.as_secs_f64() / bare.as_secs_f64();
    let clones = run.clones();
    let median = clones.get(clones.len() / 2).copied().unwrap_or(f64::NAN);
    let boot = run.ms("boot_ms").unwrap_or(f64::NAN);
    Ok(vec![
        Measured {
            what: "full suite on Debian 12 (cloud-init), to one bare boot-to-poweroff of Debian 12 by plain QEMU".into(),
            ours: seconds(run.took),
            other: seconds(bare),
            ratio,
            bar: "≤ 2",
            reached: ratio <= 2.0,
            bound: "four more boots in the checks that restart the guest; cloud-init's own time in the first",
        },
        Measured {
            what: "a clone ready to answer, to the disk guest's boot".into(),
            ours: format!("{median:.0} ms median of {}, others running beside it", clones.len()),
            other: format!("{:.1} s", boot / 1e3),
            ratio: median / boot,
            bar: "≤ 0.01",
            reached: median / boot <= 0.01,
            bound: "three machines at once on the machine's cores",
        },
    ])
}
