//! Plain QEMU, as the other side; and what VMMs take of memory while a run goes on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

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

/// Boots the image to its login prompt, presses the power button, and waits for the end.
pub fn bare_disk(image: &Path, scratch: &Path) -> Result<Duration> {
    let (overlay, log) = (scratch.join("bare.qcow2"), scratch.join("bare.log"));
    let _ = std::fs::remove_file(&overlay);
    let _ = std::fs::remove_file(&log);
    quiet(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .arg(image)
            .arg(&overlay),
    )?;
    let begun = Instant::now();
    let mut vm = Command::new("qemu-system-x86_64")
        .args([
            "-machine",
            "q35",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "512",
            "-smp",
            "2",
            "-nodefaults",
        ])
        .args(["-display", "none", "-monitor", "stdio", "-no-reboot", "-serial"])
        .arg(format!("file:{}", log.display()))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=qcow2", overlay.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("running qemu-system-x86_64")?;
    let mut monitor = vm.stdin.take().context("no monitor")?;
    let mut pressed = false;
    loop {
        if vm.try_wait()?.is_some() {
            break;
        }
        if begun.elapsed() > Duration::from_secs(300) {
            vm.kill()?;
            vm.wait()?;
            anyhow::bail!("{} did not boot and power off within 300 s", image.display());
        }
        let up = !pressed
            && String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).contains("login:");
        if up {
            monitor.write_all(b"system_powerdown\n")?;
            pressed = true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(begun.elapsed())
}

/// Watches the memory of all our VMMs until it is told to stop.
pub struct WatchMemory {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(f64, f64, usize)>,
}

impl WatchMemory {
    /// Begins.
    pub fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            // The booted machine's largest; of the largest number of clones at once, the largest sum.
            let (mut one, mut many, mut count) = (0.0_f64, 0.0_f64, 0);
            while !stop.load(Ordering::Relaxed) {
                let seen = vmms();
                if let [(name, pss)] = &seen[..]
                    && name.starts_with("boot")
                {
                    one = one.max(*pss);
                }
                let clones: Vec<f64> =
                    seen.iter().filter(|(n, _)| !n.starts_with("boot")).map(|(_, p)| *p).collect();
                if clones.len() > count {
                    (count, many) = (clones.len(), 0.0);
                }
                if clones.len() == count {
                    many = many.max(clones.iter().sum());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            (one, many, count)
        });
        Self { over, thread }
    }

    /// Ends: KiB of the booted machine, KiB of all clones at the most, and how many these were.
    pub fn stop(self) -> (f64, f64, usize) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or((f64::NAN, f64::NAN, 0))
    }
}

/// Name and proportional memory in KiB of every VMM of ours.
fn vmms() -> Vec<(String, f64)> {
    let processes =
        std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.filter_map(|process: PathBuf| vmm(&process)).collect()
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
