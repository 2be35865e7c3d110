//! The suite, clones, memory and the cache, on real guests.

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use xtask::setup::Lab;

use crate::{Measured, cpu, machine};

/// The folder of the full run of the kernel guest, under the scratch folder.
const KERNEL_SUITE: &str = "kernel-suite";
/// What machines of both sides have.
const SIZE: [&str; 4] = ["--memory", "512 MiB", "--vcpus", "2"];
/// Short checks that each have a clone of their own.
const SHORT: [&str; 6] = [
    "life.pause-resume",
    "stor.rw-integrity",
    "stor.readonly",
    "clk.rtc-base",
    "net.mac-ip",
    "rng.device",
];

/// What the benches share; the two full runs are made once.
pub struct Bench {
    /// The command line, built optimised.
    pub hospitium: PathBuf,
    /// Kernels and images.
    pub lab: Lab,
    /// For what benches leave behind.
    pub scratch: PathBuf,
    kernel: OnceCell<Run>,
    disk: OnceCell<Run>,
}

/// A run of ours: how long it took from start to result, and the record of its only cell.
pub struct Run {
    /// From start to result.
    pub took: Duration,
    /// CPU time of all machines, those included that went on as others, and of all that helped them.
    machines: Duration,
    /// How long the check took that took longest.
    longest: Duration,
    cell: Value,
    /// Checks that reached a verdict about the pair.
    pub judged: u64,
    /// Checks that came to no end, or did not get to run.
    pub lost: u64,
}

impl Run {
    /// A timing of the cell in milliseconds; none if it did not happen.
    pub fn ms(&self, name: &str) -> Option<f64> {
        self.cell["timings"][name].as_f64()
    }

    /// A timing that a run that booted must have.
    fn needed(&self, name: &str) -> Result<f64> {
        self.ms(name).with_context(|| format!("the cell's record has no {name}"))
    }

    /// Median and 95th percentile of the clones' times in milliseconds, and how many they are.
    fn clones(&self) -> Result<(f64, f64, usize)> {
        let list = self.cell["timings"]["clones_ms"].as_array();
        let mut all: Vec<f64> = list.into_iter().flatten().filter_map(Value::as_f64).collect();
        all.sort_by(f64::total_cmp);
        let at = |share: usize| all.get((all.len() * share / 100).min(all.len().saturating_sub(1)));
        let (Some(median), Some(p95)) = (at(50), at(95)) else { bail!("the run made no clone") };
        Ok((*median, *p95, all.len()))
    }

    /// Its time, and what is to be known to compare it.
    pub fn text(&self) -> String {
        let lost = match self.lost {
            0 => String::new(),
            n => format!(", {n} came to no end"),
        };
        format!("{:.1} s ({} checks{lost})", self.took.as_secs_f64(), self.judged)
    }
}

impl Bench {
    pub fn new(hospitium: PathBuf, lab: Lab, scratch: PathBuf) -> Result<Self> {
        // Nothing that an earlier run left may make this one faster.
        let cache = scratch.join("cache");
        if cache.exists() {
            std::fs::remove_dir_all(&cache)
                .with_context(|| format!("removing {}", cache.display()))?;
        }
        Ok(Self { hospitium, lab, scratch, kernel: OnceCell::new(), disk: OnceCell::new() })
    }

    fn newest_kernel(&self) -> Result<&Path> {
        self.lab.kernels.last().map(PathBuf::as_path).context("set-up left no kernel package")
    }

    /// Runs `hospitium run` with these arguments into a new folder. `watch` is told its process.
    pub fn ours(
        &self,
        name: &str,
        guest: &str,
        arguments: &[&str],
        watch: &mut dyn FnMut(u32),
    ) -> Result<Run> {
        let out = self.scratch.join(name);
        if out.exists() {
            std::fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
        }
        let path = self.scratch.join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        let begun = Instant::now();
        let mut child = Command::new(&self.hospitium)
            .current_dir(xtask::root())
            .args(["run", guest, "--on", "qemu", "--accelerator", "tcg", "--cache"])
            .arg(self.scratch.join("cache"))
            .arg("--out")
            .arg(&out)
            .args(SIZE)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("running hospitium")?;
        watch(child.id());
        let (status, used) = cpu::used_by(|| child.wait().context("waiting for hospitium"))?;
        let took = begun.elapsed();
        // 1 and 3: checks failed or came to no end. The first is no matter here, the second is counted.
        ensure!(
            matches!(status.code(), Some(0 | 1 | 3)),
            "hospitium run of {guest}: {status}; see {}",
            path.display()
        );
        let report = &read(&out.join("report.json"))?["cells"][0];
        let count = |name: &str| report["counts"][name].as_u64().unwrap_or(0);
        let checks = report["checks"].as_array().into_iter().flatten();
        let longest = checks.filter_map(|check| check["took_ms"].as_f64()).fold(0.0, f64::max);
        let cell = cell(&out)?;
        let own = cell["timings"]["harness_cpu_ms"].as_f64();
        let own = own.with_context(|| "the cell's record has no harness_cpu_ms")?;
        Ok(Run {
            took,
            machines: used.saturating_sub(Duration::from_secs_f64(own / 1e3)),
            longest: Duration::from_secs_f64(longest / 1e3),
            cell,
            judged: count("pass") + count("fail") + count("flaky"),
            lost: count("error") + count("miss"),
        })
    }

    fn kernel(&self) -> Result<&Run> {
        if self.kernel.get().is_none() {
            let guest = self.newest_kernel()?.to_string_lossy().into_owned();
            let run = self.ours(KERNEL_SUITE, &guest, &["--no-cache"], &mut |_| ())?;
            let _ = self.kernel.set(run);
        }
        self.kernel.get().context("the kernel guest's run is lost")
    }

    /// The folder of the full run of the kernel guest.
    pub fn kernel_folder(&self) -> Result<PathBuf> {
        self.kernel()?;
        Ok(self.scratch.join(KERNEL_SUITE))
    }

    fn disk(&self) -> Result<&Run> {
        if self.disk.get().is_none() {
            let guest = defined("debian-12", &self.lab.system);
            let run = self.ours("disk-suite", &guest, &["--no-cache"], &mut |_| ())?;
            let _ = self.disk.set(run);
        }
        self.disk.get().context("the disk guest's run is lost")
    }

    /// The full suite beside what bounds it, and beside one bare boot-to-poweroff of the same guest.
    pub fn suite(&self) -> Result<Vec<Measured>> {
        let (kernel, disk) = ("a kernel guest", "Debian 12 with cloud-init");
        let bare_kernel = machine::bare_kernel(self.newest_kernel()?, &self.scratch)?;
        let bare_disk = machine::bare_disk(&self.lab.system, &self.scratch)?;
        Ok(vec![
            against_floor(kernel, self.kernel()?)?,
            against_floor(disk, self.disk()?)?,
            against_boot(kernel, self.kernel()?, bare_kernel),
            against_boot(disk, self.disk()?, bare_disk),
        ])
    }

    /// A clone, alone and among others, on both guests.
    pub fn clone(&self) -> Result<Vec<Measured>> {
        let mut quiet = vec!["--no-cache", "--jobs", "1"];
        SHORT.iter().for_each(|check| quiet.extend(["--check", check]));
        let kernel = self.newest_kernel()?.to_string_lossy().into_owned();
        let (median, p95, count) =
            self.ours("kernel-quiet", &kernel, &quiet, &mut |_| ())?.clones()?;
        let (busy, busy_p95, busy_count) = self.kernel()?.clones()?;
        let disk = defined("debian-12", &self.lab.system);
        let run = self.ours("disk-quiet", &disk, &quiet, &mut |_| ())?;
        let (disk_median, disk_p95, disk_count) = run.clones()?;
        let boot = run.needed("boot_ms")?;
        Ok(vec![
            Measured {
                what: format!("a clone of a kernel guest ready to answer, one at a time, to 100 ms (in the full suite, others beside it: {busy:.0} ms median, {busy_p95:.0} ms p95 of {busy_count})"),
                ours: format!("{median:.0} ms median, {p95:.0} ms p95 of {count}"),
                other: "100 ms".into(),
                ratio: median / 100.0,
                bar: "≤ 1",
                reached: median <= 100.0,
                bound: "taking in the state, and translating the guest's first instructions anew".into(),
            },
            Measured {
                what: "a clone of Debian 12 ready to answer, one at a time, to its boot in the same run".into(),
                ours: format!("{disk_median:.0} ms median, {disk_p95:.0} ms p95 of {disk_count}"),
                other: format!("{:.1} s", boot / 1e3),
                ratio: disk_median / boot,
                bar: "≤ 0.01",
                reached: disk_median / boot <= 0.01,
                bound: "as above: what a clone takes does not grow with the guest".into(),
            },
        ])
    }

    /// A run from the cache beside the same run with it left out.
    pub fn warm(&self) -> Result<Measured> {
        let guest = self.newest_kernel()?.to_string_lossy().into_owned();
        let mut checks = Vec::new();
        SHORT.iter().for_each(|check| checks.extend(["--check", check]));
        let without: Vec<&str> = checks.iter().copied().chain(["--no-cache"]).collect();
        // The first leaves the machine in the cache; of the two compared, both find the guest unpacked.
        self.ours("fill", &guest, &checks, &mut |_| ())?;
        let cold = self.ours("cold", &guest, &without, &mut |_| ())?;
        let warm = self.ours("warm", &guest, &checks, &mut |_| ())?;
        let booted = cold.needed("boot_ms")?;
        let boot =
            warm.ms("boot_ms").map_or("no boot".into(), |ms| format!("booted in {ms:.0} ms"));
        Ok(Measured {
            what: "a run with the machine in the cache, to the same run that boots".into(),
            ours: format!("{}, {boot}", warm.text()),
            other: format!("{}, booted in {booted:.0} ms", cold.text()),
            ratio: warm.took.as_secs_f64() / cold.took.as_secs_f64(),
            bar: "no boot",
            reached: warm.ms("boot_ms").is_none(),
            bound: "the checks themselves, and reading what went in to know that it is the same"
                .into(),
        })
    }

    /// The harness's CPU time, in all, beside the digests of what goes in and beside the machines'.
    pub fn overhead(&self) -> Result<Vec<Measured>> {
        let run = self.kernel()?;
        let harness = run.needed("harness_cpu_ms")? / 1e3;
        let bound =
            "scanning memory and dumps, which checks promise; starting and asking VMMs; evidence";
        let mut all = vec![Measured {
            what: "CPU time of the harness, full suite on a kernel guest, to 2 s".into(),
            ours: format!("{harness:.1} s"),
            other: "2 s".into(),
            ratio: harness / 2.0,
            bar: "≤ 1",
            reached: harness <= 2.0,
            bound: bound.into(),
        }];
        let (inputs, size) = self.inputs()?;
        let hash = || {
            let ended = Command::new("sha256sum").args(&inputs).stdout(Stdio::null()).status()?;
            ensure!(ended.success(), "sha256sum: {ended}");
            Ok(())
        };
        let ((), hashed) = cpu::used_by(hash)?;
        let hashed = hashed.as_secs_f64();
        all.push(Measured {
            what: "the same, to `sha256sum` over what goes in".into(),
            ours: format!("{harness:.1} s"),
            other: format!("{hashed:.2} s for {} MiB", size >> 20),
            ratio: harness / hashed,
            bar: "≤ 2",
            reached: harness <= hashed * 2.0,
            bound: bound.into(),
        });
        for (guest, run) in [("a kernel guest", run), ("Debian 12", self.disk()?)] {
            let (harness, vmm) = (run.needed("harness_cpu_ms")? / 1e3, run.machines.as_secs_f64());
            all.push(Measured {
                what: format!(
                    "CPU time of the harness to that of the virtual machines, full suite on {guest}"
                ),
                ours: format!("{harness:.1} s"),
                other: format!("{vmm:.1} s"),
                ratio: harness / vmm,
                bar: "< 0.1",
                reached: harness / vmm < 0.1,
                bound: bound.into(),
            });
        }
        Ok(all)
    }

    /// Files that go into a run of the kernel guest, and their size.
    fn inputs(&self) -> Result<(Vec<PathBuf>, u64)> {
        let vmm = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join("qemu-system-x86_64"))
            .find(|path| path.is_file())
            .context("no qemu-system-x86_64 is on PATH")?;
        let inputs = vec![self.newest_kernel()?.to_owned(), self.hospitium.clone(), vmm];
        let sizes = inputs.iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        let size = sizes.sum::<Result<u64>>()?;
        Ok((inputs, size))
    }

    /// Memory of eight clones at once beside one machine's.
    pub fn memory(&self) -> Result<Measured> {
        // Checks that take long, so that eight clones live at the same time.
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
        let mut arguments = vec!["--no-cache", "--jobs", "8"];
        long.iter().for_each(|check| arguments.extend(["--check", check]));
        let guest = self.newest_kernel()?.to_string_lossy().into_owned();
        let mut watch = None;
        let run = self.ours("memory", &guest, &arguments, &mut |id| {
            watch = Some(machine::WatchMemory::start(id));
        });
        let (one, clones, count) = watch.context("hospitium did not start")?.stop()?;
        run?;
        let ratio = clones / one;
        Ok(Measured {
            what: format!(
                "memory (PSS, most seen) of {count} clones of one 512 MiB kernel guest at once, to that of the booted machine alone"
            ),
            ours: format!("{:.0} MiB", clones / 1024.0),
            other: format!("{:.0} MiB", one / 1024.0),
            ratio,
            bar: "≤ 2",
            // More clones than asked for can only be harder; fewer show nothing.
            reached: count >= 8 && ratio <= 2.0,
            bound: if count >= 8 {
                "each clone's translated code, and what it has written since".into()
            } else {
                format!("only {count} clones were seen at once, so that nothing is said of eight")
            },
        })
    }
}

/// A guest definition of ours with the image that set-up built.
pub fn defined(name: &str, image: &Path) -> String {
    format!("guests/{name}.toml+{}", image.display())
}

fn read(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

fn cell(out: &Path) -> Result<Value> {
    let cells = out.join("evidence/cells");
    let first =
        std::fs::read_dir(&cells).with_context(|| format!("reading {}", cells.display()))?.next();
    read(&first.context("the run has no cell")??.path().join("cell.json"))
}

/// A run beside the larger of its critical path and its machines' CPU time over the CPUs that there are.
fn against_floor(guest: &str, run: &Run) -> Result<Measured> {
    let boot = run.needed("boot_ms")? / 1e3;
    let path = boot + run.needed("snapshot_ms")? / 1e3 + run.longest.as_secs_f64();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = run.machines.as_secs_f64() / cpus as f64;
    let floor = path.max(shared);
    let ratio = run.took.as_secs_f64() / floor;
    Ok(Measured {
        what: format!(
            "full suite on {guest}, nothing cached, to the larger of its critical path ({path:.1} s: the boot, and the check that took longest) and its machines' CPU time over {cpus} CPUs ({shared:.1} s)"
        ),
        ours: run.text(),
        other: format!("{floor:.1} s"),
        ratio,
        bar: "≤ 1.15",
        reached: run.lost == 0 && ratio <= 1.15,
        bound: format!(
            "the first boot, {boot:.1} s, keeps one CPU busy and nothing can run beside it"
        ),
    })
}

/// A run beside one bare boot: a figure, no bar.
fn against_boot(guest: &str, run: &Run, bare: Duration) -> Measured {
    Measured {
        what: format!(
            "full suite on {guest}, nothing cached, to one bare boot-to-poweroff of the same by plain QEMU"
        ),
        ours: run.text(),
        other: format!("{:.1} s", bare.as_secs_f64()),
        ratio: run.took.as_secs_f64() / bare.as_secs_f64(),
        bar: "none, a figure",
        reached: run.lost == 0,
        bound: "the checks that must boot again and the windows that must pass".into(),
    }
}
