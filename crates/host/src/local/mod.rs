//! The harness's own computer as a host: what drivers of local hypervisors share.

mod files;
mod identity;
mod saved;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use hospitium_model::{ByteSize, HostSource, Inability};
use rustix::time::{ClockId, clock_gettime};

use crate::host::{HostWitness, ImageRef, ImageStore, Load, PhysicalCpu};
use crate::{CpuUse, HostClock, HostError, Orphan, ProcessFacts, Sight};

pub use files::{copy_sparse, digest, digest_of, open, open_left, open_written};
pub use identity::{ProcessId, boot_id};
pub use saved::{INDEX, Input, check_files, digest_saved, load};

/// Looks into a folder and those within it, up to four levels below, for machines of a killed process of ours: `end`
/// ends the one whose folder it is, if it is one. Links are not followed.
pub fn end_orphans(folder: &Path, end: &dyn Fn(&Path) -> Option<Orphan>) -> Vec<Orphan> {
    fn look_in(
        folder: &Path,
        depth: u32,
        end: &dyn Fn(&Path) -> Option<Orphan>,
        ended: &mut Vec<Orphan>,
    ) {
        ended.extend(end(folder));
        let Some(depth) = depth.checked_sub(1) else { return };
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                look_in(&entry.path(), depth, end, ended);
            }
        }
    }
    let mut ended = Vec::new();
    look_in(folder, 4, end, &mut ended);
    ended
}

/// The clocks of this computer.
pub fn clock() -> HostClock {
    let mut clock = read_clocks();
    // The two are read one after the other, and on a busy computer much may come between.
    for _ in 0..8 {
        if clock.read.elapsed() < Duration::from_millis(1) {
            break;
        }
        clock = read_clocks();
    }
    clock
}

fn read_clocks() -> HostClock {
    let read = Instant::now();
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    HostClock {
        read,
        wall: SystemTime::now(),
        monotonic: seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0)),
        offset_ns: 0,
        uncertainty: Duration::ZERO,
    }
}

/// The file itself: machines run where it lies.
#[derive(Debug, Clone, Copy)]
pub struct LocalStore;

#[async_trait]
impl ImageStore for LocalStore {
    async fn put(&self, file: &Path) -> Result<ImageRef, HostError> {
        let doing = format!("looking for the image {}", file.display());
        let path = std::path::absolute(file).map_err(HostError::io(&doing))?;
        tokio::fs::metadata(&path).await.map_err(HostError::io(doing))?;
        Ok(ImageRef { path })
    }
}

/// This computer, as its Linux shows it in /proc and /sys.
#[derive(Debug, Clone, Copy)]
pub struct LocalWitness;

fn read(path: &str) -> Result<String, Inability> {
    std::fs::read_to_string(path).map_err(|error| Inability::of_host(format!("{path}: {error}")))
}

fn unreadable(path: &str) -> Inability {
    Inability::of_host(format!("{path} does not say it"))
}

#[async_trait]
impl HostWitness for LocalWitness {
    async fn load(&self) -> Load {
        // Linux Documentation/accounting/psi.rst.
        let pressure = "/proc/pressure/cpu";
        let short = read(pressure).and_then(|text| {
            let total = stalled(&text).ok_or_else(|| unreadable(pressure))?;
            Ok(HostSource::Hardware.saw(Duration::from_micros(total)))
        });
        let loadavg = "/proc/loadavg";
        let average = read(loadavg).and_then(|text| {
            let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
            first.map(|load: f64| HostSource::Hardware.saw(load)).ok_or_else(|| unreadable(loadavg))
        });
        Load { short_of_cpu: short, average }
    }

    async fn cpu(&self) -> Sight<PhysicalCpu> {
        let text = read("/proc/cpuinfo")?;
        let value = |key: &str| field(&text, key).unwrap_or_default();
        let flags = value("flags").split_whitespace().map(str::to_owned).collect();
        Ok(HostSource::Hardware.saw(PhysicalCpu { model: value("model name").to_owned(), flags }))
    }

    async fn vulnerabilities(&self) -> Sight<BTreeMap<String, String>> {
        let folder = "/sys/devices/system/cpu/vulnerabilities";
        let entries = std::fs::read_dir(folder)
            .map_err(|error| Inability::of_host(format!("{folder}: {error}")))?;
        let each = entries.flatten().filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, text.trim().to_owned()))
        });
        Ok(HostSource::Hardware.saw(each.collect()))
    }

    async fn free_memory(&self) -> Sight<ByteSize> {
        let path = "/proc/meminfo";
        let text = read(path)?;
        let kib = field(&text, "MemAvailable").and_then(|value| {
            value.split_whitespace().next().and_then(|number| number.parse::<u64>().ok())
        });
        let kib = kib.ok_or_else(|| unreadable(path))?;
        Ok(HostSource::Hardware.saw(ByteSize::bytes(kib << 10)))
    }

    async fn computer(&self) -> Sight<String> {
        Ok(HostSource::Hardware.saw(boot_id()))
    }

    async fn has_process(&self, pid: u32) -> Sight<bool> {
        Ok(HostSource::Process.saw(Path::new(&format!("/proc/{pid}")).exists()))
    }
}

/// The value of the first line `KEY : VALUE`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.trim_start();
        rest.strip_prefix(':').map(str::trim)
    })
}

/// Microseconds for which some task was stalled.
fn stalled(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// The longest that a thread of a process has waited on a run queue (Linux Documentation/scheduler/sched-stats.rst:
/// the second number, in nanoseconds).
fn longest_wait(pid: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let waits = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    });
    waits.max().map(Duration::from_nanos)
}

/// What /proc says of a process's use of the CPUs (proc_pid_stat(5)).
///
/// # Errors
/// There is no such process.
pub fn cpu_use(pid: u32) -> Result<CpuUse, HostError> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).map_err(HostError::io(format!("reading {path}")))?;
    let after_name = stat.rfind(')').map_or("", |at| &stat[at..]);
    // Fields 14 and 15, in clock ticks; the name was the second.
    let ticks: Vec<u64> =
        after_name.split(' ').skip(12).take(2).filter_map(|word| word.parse().ok()).collect();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = (ticks.len() == 2).then(|| ticks.iter().sum::<u64>());
    let time = time.map(|ticks| Duration::from_millis(ticks * 1000 / per_second));
    let unseen = |what: &str| Inability::of_host(format!("the kernel does not tell {what}"));
    Ok(CpuUse {
        time: time
            .map(|time| HostSource::Process.saw(time))
            .ok_or_else(|| unseen("a process's CPU time")),
        wait: longest_wait(pid)
            .map(|wait| HostSource::Process.saw(wait))
            .ok_or_else(|| unseen("for how long threads wait for a CPU")),
    })
}

/// What /proc says of a process (proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5)).
///
/// # Errors
/// There is no such process.
pub fn process(pid: u32) -> Result<ProcessFacts, HostError> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::read_to_string(&path).map_err(HostError::io(format!("reading {path}")))
    };
    let status = read("status")?;
    let cpu = cpu_use(pid)?;
    let saw = |name: &str, value: Option<u64>| {
        let unseen = || Inability::of_host(format!("/proc/{pid} does not show {name}"));
        value.map(|value| HostSource::Process.saw(value)).ok_or_else(unseen)
    };
    let number = |text: &str, name: &str, n: usize, radix: u32| {
        let word = field(text, name).and_then(|value| value.split_whitespace().nth(n));
        saw(name, word.and_then(|word| u64::from_str_radix(word, radix).ok()))
    };
    let small = |sight: Sight<u64>| {
        sight.map(|seen| seen.map(|value| u32::try_from(value).unwrap_or(u32::MAX)))
    };
    // Another user's memory is closed to us; the rest is not.
    let rollup = read("smaps_rollup").unwrap_or_default();
    let memory = |name: &str| {
        number(&rollup, name, 0, 10).map(|seen| seen.map(|kib| ByteSize::bytes(kib << 10)))
    };
    let own = |name: &&&str| {
        let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let theirs = link(&pid.to_string());
        theirs.is_some() && theirs != link("self")
    };
    let namespaces = ["net", "mnt", "pid", "ipc", "uts", "user"];
    Ok(ProcessFacts {
        pid: Ok(HostSource::Process.saw(pid)),
        uid: small(number(&status, "Uid", 1, 10)),
        seccomp: small(number(&status, "Seccomp", 0, 10)),
        may_gain_privileges: number(&status, "NoNewPrivs", 0, 10)
            .map(|seen| seen.map(|value| value == 0)),
        capabilities: number(&status, "CapEff", 0, 16),
        rss: memory("Rss"),
        pss: memory("Pss"),
        cpu_time: cpu.time,
        cpu_wait: cpu.wait,
        own_namespaces: Ok(HostSource::Process
            .saw(namespaces.iter().filter(own).map(|name| (*name).to_owned()).collect())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_reads_back_as_it_is() {
        let facts = process(std::process::id()).expect("we are there");
        assert_eq!(facts.uid.expect("told").value, rustix::process::geteuid().as_raw());
        assert!(facts.rss.expect("told").value.as_bytes() > 0);
        assert!(facts.own_namespaces.expect("told").value.is_empty());
        let wait = facts.cpu_wait.expect("told").value;
        let another = process(std::process::id()).expect("we are there");
        let later = another.cpu_wait.expect("told").value;
        assert!(later >= wait && later < Duration::from_secs(86_400));
        assert!(matches!(process(u32::MAX), Err(HostError::Io { .. })));
    }

    #[test]
    fn the_kernels_count_is_read_and_nonsense_is_none() {
        let text =
            "some avg10=86.72 avg60=91.53 avg300=86.29 total=2665212525\nfull avg10=0 total=7\n";
        assert_eq!(stalled(text), Some(2_665_212_525));
        for nonsense in ["", "some", "some total=", "some total=-1", "full total=3"] {
            assert_eq!(stalled(nonsense), None, "{nonsense}");
        }
    }
}

/// Resident memory of a process besides the mappings of files for which `is_guests` is true.
pub fn overhead(pid: u32, is_guests: impl Fn(&str) -> bool) -> Sight<ByteSize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    match resident_besides(&maps, is_guests) {
        Some(size) => Ok(HostSource::Process.saw(size)),
        None => Err(Inability::of_host(format!("/proc/{pid}/smaps is closed to us"))),
    }
}

/// Sums `Rss` of proc_pid_smaps(5) over the mappings that are not the guest's; none if there are no mappings.
fn resident_besides(maps: &str, is_guests: impl Fn(&str) -> bool) -> Option<ByteSize> {
    let (mut guests, mut kib, mut any) = (false, 0_u64, false);
    for line in maps.lines() {
        if let Some(rest) = line.strip_prefix("Rss:") {
            let size: u64 = rest.trim().trim_end_matches("kB").trim().parse().ok()?;
            kib = kib.saturating_add(if guests { 0 } else { size });
        } else if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            any = true;
            let path = line.split_whitespace().nth(5).unwrap_or_default();
            guests = is_guests(path.rsplit('/').next().unwrap_or_default());
        }
    }
    any.then(|| ByteSize::bytes(kib << 10))
}

/// CPU time of these threads of a process; of one that is gone nothing is told.
pub fn thread_times(pid: u32, threads: &[u32]) -> BTreeMap<u32, Duration> {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |thread: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
        // Fields 14 and 15 of proc_pid_stat(5), in clock ticks; the name was the second.
        let after_name = &stat[stat.rfind(')')?..];
        let ticks: Vec<u64> =
            after_name.split(' ').skip(12).take(2).map_while(|word| word.parse().ok()).collect();
        let all = (ticks.len() == 2).then(|| ticks.iter().sum::<u64>())?;
        Some((*thread, Duration::from_millis(all.saturating_mul(1000) / per_second)))
    };
    threads.iter().filter_map(time).collect()
}

#[cfg(test)]
mod memory_tests {
    use super::*;

    #[test]
    fn the_guest_s_own_memory_is_not_what_its_vmm_takes() {
        let maps = "7f00-7f10 rw-p 00000000 00:00 0 \nSize: 64 kB\nRss:   40 kB\nPss: 9 kB\n\
            7f20-7f30 rw-p 00000000 fe:00 7  /work/boot/memory-0\nRss:  9000 kB\n\
            7f40-7f50 r-xp 00000000 fe:00 8  /usr/bin/qemu\nRss:   2 kB\n";
        let besides = resident_besides(maps, |name| name.starts_with("memory-"));
        assert_eq!(besides, Some(ByteSize::bytes(42 << 10)));
        assert_eq!(resident_besides("", |_| false), None);
    }
}
