//! Plain QEMU, as the other side; and what VMMs take of memory while a run goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// An init that powers off at once: reboot(LINUX_REBOOT_CMD_POWER_OFF), no libc.
const INIT: &str = r#"
static long call(long n, long a, long b, long c, long d) {
    long r;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return r;
}
void _start(void) {
    call(169, 0xfee1dead, 672274793, 0x4321fedc, 0);
    for (;;) {}
}
"#;

/// One file in the newc form of cpio, and the trailer.
fn cpio(name: &str, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, mode, data) in [(name, 0o100_755, content), ("TRAILER!!!", 0, &[][..])] {
        let fields = [1, mode, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
        out.extend_from_slice(b"070701");
        fields.iter().for_each(|n| out.extend_from_slice(format!("{n:08x}").as_bytes()));
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn quiet(command: &mut Command) -> Result<()> {
    let out = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// Boots the package's kernel to power-off by plain QEMU, three times; the median.
pub fn bare_kernel(package: &Path, scratch: &Path) -> Result<Duration> {
    let tree = scratch.join("kernel");
    let _ = std::fs::remove_dir_all(&tree);
    quiet(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree))?;
    let mut kernels = std::fs::read_dir(tree.join("boot"))?.flatten().map(|entry| entry.path());
    let kernel = kernels
        .find(|p| p.to_string_lossy().contains("vmlinuz"))
        .context("the package holds no kernel")?;
    let (source, init) = (scratch.join("init.c"), scratch.join("init"));
    std::fs::write(&source, INIT)?;
    quiet(Command::new("gcc").args(["-O1", "-static", "-nostdlib", "-o"]).arg(&init).arg(&source))?;
    let initrd = scratch.join("init.cpio");
    std::fs::write(&initrd, cpio("init", &std::fs::read(&init)?))?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        quiet(
            Command::new("qemu-system-x86_64")
                .args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "2"])
                .args(["-nodefaults", "-display", "none", "-serial", "null", "-no-reboot"])
                .args(["-append", "console=ttyS0 loglevel=5 no_timer_check", "-kernel"])
                .arg(&kernel)
                .arg("-initrd")
                .arg(&initrd),
        )?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[1])
}

/// What the bare boot is told: all modules but the last are the image's own, and at its end it is over.
const USER_DATA: &str = "#cloud-config\nruncmd:\n  - [poweroff]\n";
/// The longest that a bare boot of an image may take.
const LIMIT: Duration = Duration::from_secs(300);

/// cloud-init's drive (NoCloud) that powers the machine off as soon as cloud-init has finished.
fn seed(scratch: &Path) -> Result<PathBuf> {
    let (user, meta) = (scratch.join("user-data"), scratch.join("meta-data"));
    std::fs::write(&user, USER_DATA)?;
    std::fs::write(&meta, "instance-id: bare-boot\n")?;
    let seed = scratch.join("seed.img");
    let _ = std::fs::remove_file(&seed);
    quiet(
        Command::new("mformat")
            .args(["-C", "-f", "1440", "-v", "CIDATA", "-i"])
            .arg(&seed)
            .arg("::"),
    )?;
    quiet(Command::new("mcopy").arg("-i").arg(&seed).arg(&user).arg(&meta).arg("::"))?;
    Ok(seed)
}

/// Boots the cloud-init image until cloud-init has finished and powers it off, once.
pub fn bare_disk(image: &Path, scratch: &Path) -> Result<Duration> {
    let overlay = scratch.join("bare.qcow2");
    let _ = std::fs::remove_file(&overlay);
    quiet(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .arg(image)
            .arg(&overlay),
    )?;
    let seed = seed(scratch)?;
    let begun = Instant::now();
    let mut vm = Command::new("qemu-system-x86_64")
        .args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "2"])
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial"])
        .arg(format!("file:{}", scratch.join("bare.log").display()))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=qcow2", overlay.display()))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw,readonly=on", seed.display()))
        .stdin(Stdio::null())
        .spawn()
        .context("running qemu-system-x86_64")?;
    loop {
        if let Some(status) = vm.try_wait()? {
            ensure!(status.success(), "plain QEMU with {}: {status}", image.display());
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > LIMIT {
            vm.kill()?;
            vm.wait()?;
            bail!(
                "{} did not boot and power off within {} s by plain QEMU; its console is in {}",
                image.display(),
                LIMIT.as_secs(),
                scratch.join("bare.log").display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Watches the memory of one run's VMMs until it is told to stop.
pub struct WatchMemory {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(f64, BTreeMap<usize, f64>)>,
}

impl WatchMemory {
    /// Begins. Only VMMs that descend from this process count: other runs may be going on.
    pub fn start(ancestor: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            // The booted machine's most, alone; and for each number of clones at once, their most.
            let (mut one, mut many) = (0.0_f64, BTreeMap::new());
            while !stop.load(Ordering::Relaxed) {
                let seen = vmms(ancestor);
                let (boots, clones): (Vec<_>, Vec<_>) =
                    seen.iter().partition(|(name, _)| name.split(',').next() == Some("boot"));
                match (&boots[..], &clones[..]) {
                    ([(_, pss)], []) => one = one.max(*pss),
                    // The machine that they are copies of shares pages with them.
                    ([], [_, ..]) => {
                        let sum: f64 = clones.iter().map(|(_, pss)| pss).sum();
                        let most = many.entry(clones.len()).or_insert(0.0_f64);
                        *most = most.max(sum);
                    }
                    _ => {}
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (one, many)
        });
        Self { over, thread }
    }

    /// Ends: KiB of the booted machine, KiB of all clones, and how many these were: eight if so many
    /// were ever seen at once, else the next more, else the most there were.
    pub fn stop(self) -> Result<(f64, f64, usize)> {
        self.over.store(true, Ordering::Relaxed);
        let Ok((one, many)) = self.thread.join() else {
            bail!("the watch over memory ended early")
        };
        ensure!(one > 0.0, "the booted machine was never seen alone");
        let (count, sum) = many
            .range(8..)
            .next()
            .or_else(|| many.last_key_value())
            .context("no clone was ever seen")?;
        Ok((one, *sum, *count))
    }
}

/// Parents of all processes.
fn parents() -> BTreeMap<u32, u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name stands in brackets and may hold anything; state and parent follow it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect()
}

/// Name and proportional memory in KiB of every VMM below this process.
fn vmms(ancestor: u32) -> Vec<(String, f64)> {
    let parents = parents();
    let below = |id: u32| {
        std::iter::successors(Some(id), |id| parents.get(id).copied().filter(|p| *p > 1))
            .any(|id| id == ancestor)
    };
    let ids = parents.keys().filter(|id| below(**id));
    ids.filter_map(|id| vmm(&PathBuf::from(format!("/proc/{id}")))).collect()
}

fn vmm(process: &Path) -> Option<(String, f64)> {
    let line = std::fs::read(process.join("cmdline")).ok()?;
    let words: Vec<String> =
        line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    if !words.first()?.contains("qemu-system") || !words.iter().any(|w| w == "-sandbox") {
        return None;
    }
    let at = words.iter().position(|w| w == "-name")?;
    let memory = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let pss = memory.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    let pss = pss.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((words.get(at + 1)?.clone(), pss))
}
