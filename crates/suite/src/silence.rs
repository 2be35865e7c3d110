//! Silence is part of passing: what a guest's kernel log and its console say while a check runs.
//!
//! A check can see all that it asked for while the kernel complains beside it. So what was said since its
//! beginning is looked through for marks, which are data (`silence.toml`), as are the windows in which a check
//! brings a mark about on purpose.

use std::sync::OnceLock;
use std::time::Duration;

use hospitium_host::EventKind;
use hospitium_model::OperatingSystem;
use serde::Deserialize;

/// A machine that waited for a CPU for so long was kept from the CPUs.
pub const STARVED: Duration = Duration::from_secs(5);

/// The table that ships with the suite.
const TABLE: &str = include_str!("../silence.toml");

/// The most characters of a line that are shown.
const SHOWN: usize = 200;
/// The most lines that are shown.
const LINES: usize = 8;
/// The heading of a trace (Linux arch/x86/kernel/dumpstack.c).
const TRACE: &str = "Call Trace";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mark: Vec<Mark>,
    window: Vec<Window>,
    boot: Vec<Boot>,
    usual: Vec<Usual>,
    event: Vec<Harm>,
}

/// What a system says when something is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    system: OperatingSystem,
    text: String,
    /// A machine that was kept from the CPUs says it of itself.
    #[serde(default)]
    slow: bool,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    source: String,
}

/// What a check brings about on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    /// An id, or its beginning and `*`.
    check: String,
    text: Vec<String>,
    /// It ends there; with the check, if absent.
    #[serde(default)]
    until: Option<Until>,
    /// It is about the devices that the check [breaks](crate::Cell::breaks): a line that names another is outside.
    #[serde(default)]
    device: bool,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    why: String,
}

/// Where a window ends before its check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Until {
    /// With the next boot's beginning.
    Reset,
}

/// What a system says as it begins to boot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    system: OperatingSystem,
    text: String,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    source: String,
}

/// What a hypervisor says though nothing is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual {
    /// Kind of the host.
    host: String,
    text: String,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    source: String,
}

/// An event by its own name, of those that have no kind, that means harm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Harm {
    /// Kinds of hosts.
    host: Vec<String>,
    /// How its name begins.
    name: String,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    source: String,
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        toml::from_str(TABLE).unwrap_or_else(|e| unreachable!("silence.toml is tested: {e}"))
    })
}

/// What the lines are that are looked through.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// System that said them.
    pub system: OperatingSystem,
    /// Check that ran meanwhile.
    pub check: &'a str,
    /// The machine was kept from the CPUs, so what only tells of slowness does not count.
    pub starved: bool,
    /// The first line is of a later boot than the one in which the check began.
    pub rebooted: bool,
    /// Devices whose errors the check brings about, by the guest's names.
    pub broken: &'a [String],
}

impl<'a> Heard<'a> {
    /// During this check, on a machine that had the CPUs and in one boot.
    pub const fn during(system: OperatingSystem, check: &'a str) -> Self {
        Self { system, check, starved: false, rebooted: false, broken: &[] }
    }

    /// The lines with which something was wrong: of this system, outside the check's windows.
    pub fn splats<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
        let begins = |line: &str| {
            let boots = &table().boot;
            boots.iter().any(|boot| boot.system == self.system && line.contains(&boot.text))
        };
        let mut rebooted = self.rebooted;
        let lines: Vec<(&str, Option<Bad>)> = lines
            .into_iter()
            .map(|line| {
                rebooted |= begins(line);
                (line, self.bad(line, rebooted))
            })
            .collect();
        // With its complaint a kernel that was kept from the CPUs prints a trace, which is of the same cause.
        let excused = self.starved && lines.iter().any(|(_, bad)| *bad == Some(Bad::Slow));
        let counts = |(line, bad): &(&str, Option<Bad>)| match bad {
            None => false,
            Some(Bad::Slow) => !self.starved,
            Some(Bad::Broken) => !(excused && line.contains(TRACE)),
        };
        let shown = |line: &str| line.chars().take(SHOWN).flat_map(char::escape_default).collect();
        lines.iter().filter(|line| counts(line)).take(LINES).map(|(line, _)| shown(line)).collect()
    }

    /// What a line tells of, if it has a mark outside the check's windows.
    fn bad(&self, line: &str, rebooted: bool) -> Option<Bad> {
        let marks = table().mark.iter().filter(|mark| mark.system == self.system);
        let bears = marks
            .filter(|mark| line.contains(&mark.text) && !self.meant(&mark.text, line, rebooted));
        // A line of slowness is nothing else, whatever other mark it has.
        bears.map(|mark| if mark.slow { Bad::Slow } else { Bad::Broken }).min()
    }

    /// True if the check brings this line's mark about on purpose.
    fn meant(&self, mark: &str, line: &str, rebooted: bool) -> bool {
        let of_check = |window: &&Window| match window.check.strip_suffix('*') {
            Some(start) => self.check.starts_with(start),
            None => self.check == window.check,
        };
        table().window.iter().filter(of_check).any(|window| {
            window.text.iter().any(|text| text == mark)
                && !(rebooted && window.until == Some(Until::Reset))
                && !(window.device && self.is_of_another_device(line))
        })
    }

    fn is_of_another_device(&self, line: &str) -> bool {
        device_in(line).is_some_and(|name| !self.broken.iter().any(|broken| is_on(name, broken)))
    }
}

/// What a mark tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bad {
    Slow,
    Broken,
}

/// The block device that a line of Linux names: before it stand `dev` (block/blk-core.c), `device` (fs/buffer.c before
/// 3.17) or the file system (fs/ext4/super.c, fs/xfs/xfs_message.c).
fn device_in(line: &str) -> Option<&str> {
    ["dev ", "device ", "-fs (", "XFS ("].into_iter().find_map(|before| {
        let rest = &line[line.find(before)? + before.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.is_empty())
    })
}

/// True of the disk itself and of its partitions: `vdb`, `vdb1`, `nvme0n1p1`.
fn is_on(name: &str, disk: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else { return false };
    // Between two numbers stands a `p`.
    let partition = match disk.ends_with(|c: char| c.is_ascii_digit()) {
        true => rest.strip_prefix('p'),
        false => Some(rest),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    rest.is_empty() || partition.is_some_and(is_number)
}

/// What a hypervisor of this kind said and does not say of a good machine.
pub fn complaints(host: &str, said: Vec<String>) -> Vec<String> {
    let usual = |line: &String| {
        table().usual.iter().any(|usual| usual.host == host && line.contains(&usual.text))
    };
    said.into_iter().filter(|line| !usual(line)).take(LINES).collect()
}

/// Whether an event of a host of this kind means harm, unless somebody asked for it.
pub(crate) fn is_harm(host: &str, event: &EventKind) -> bool {
    match event {
        EventKind::Reset { .. }
        | EventKind::PoweredOff { .. }
        | EventKind::Crashed
        | EventKind::Suspended
        | EventKind::Watchdog { .. }
        | EventKind::DiskError { .. } => true,
        EventKind::Died(ended) => !ended.expected(),
        EventKind::Other { name } => table()
            .event
            .iter()
            .any(|harm| harm.host.iter().any(|kind| kind == host) && name.starts_with(&harm.name)),
        EventKind::Resumed
        | EventKind::Paused
        | EventKind::PowerButton
        | EventKind::DeviceRemoved { .. }
        | EventKind::DetachRefused { .. }
        | EventKind::Tray { .. }
        | EventKind::Balloon { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(check: &str) -> Heard<'_> {
        Heard::during(OperatingSystem::Linux, check)
    }

    #[test]
    fn the_table_reads_and_says_where_each_mark_comes_from() {
        let table: Table = toml::from_str(TABLE).expect("reads");
        assert!(table.mark.iter().all(|mark| !mark.source.is_empty() && !mark.text.is_empty()));
        assert!(table.boot.iter().all(|boot| !boot.source.is_empty() && !boot.text.is_empty()));
        assert!(table.usual.iter().all(|usual| !usual.source.is_empty() && !usual.text.is_empty()));
        assert!(table.event.iter().all(|event| !event.source.is_empty() && !event.host.is_empty()));
        for window in &table.window {
            assert!(!window.why.is_empty());
            for text in &window.text {
                assert!(table.mark.iter().any(|mark| mark.text == *text), "{text} is no mark");
            }
            let known = crate::checks::all().into_iter().any(|check| {
                let base = check.id.split('/').next().unwrap_or_default();
                base == window.check
                    || check.id == window.check
                    || window.check.strip_suffix('*').is_some_and(|s| base.starts_with(s))
            });
            assert!(known, "{} is no check", window.check);
        }
    }

    #[test]
    fn a_splat_is_found_and_told_with_its_text() {
        let log =
            ["[   12.5] WARNING: CPU: 1 PID: 77 at net/core/dev.c:42", "[   12.6] eth0: link up"];
        assert_eq!(heard("net.mtu").splats(log), [log[0]]);
        let hostile = ["BUG: \x1b[2J"];
        assert_eq!(heard("net.mtu").splats(hostile), ["BUG: \\u{1b}[2J"]);
    }

    #[test]
    fn what_a_check_brings_about_on_purpose_is_no_splat_of_it() {
        let log = ["Kernel panic - not syncing: sysrq triggered crash"];
        assert!(heard("crash.host-notified").splats(log).is_empty());
        assert_eq!(heard("net.mtu").splats(log).len(), 1);
    }

    #[test]
    fn an_error_event_of_a_hypervisor_is_harm_and_news_of_it_is_not() {
        let other = |name: &str| EventKind::Other { name: name.into() };
        assert!(is_harm("qemu", &other("BLOCK_IMAGE_CORRUPTED")));
        assert!(is_harm("qemu", &other("MIGRATION failed")));
        assert!(!is_harm("qemu", &other("MIGRATION completed")));
        assert!(!is_harm("qemu", &other("RTC_CHANGE")));
        assert!(!is_harm("another", &other("BLOCK_IMAGE_CORRUPTED")));
        assert!(!is_harm("qemu", &EventKind::Died(hospitium_host::Ended::ByUs)));
        assert!(is_harm("qemu", &EventKind::Died(hospitium_host::Ended::Lost { why: "x".into() })));
    }

    #[test]
    fn slowness_counts_only_where_the_machine_had_the_cpus() {
        let starved = Heard { starved: true, ..heard("cpu.count") };
        let log = ["watchdog: BUG: soft lockup - CPU#1 stuck for 23s!"];
        assert_eq!(heard("cpu.count").splats(log).len(), 1);
        let stall = ["rcu: INFO: rcu_preempt self-detected stall on CPU"];
        assert!(starved.splats(stall).is_empty());
        assert_eq!(heard("cpu.count").splats(stall).len(), 1);
        let traced = ["watchdog: BUG: soft lockup - CPU#1 stuck for 23s!", "Call Trace:"];
        assert!(starved.splats(traced).is_empty());
        assert_eq!(starved.splats(["Call Trace:"]).len(), 1);
    }

    #[test]
    fn the_boot_after_a_crash_on_purpose_has_to_be_healthy() {
        let panic = "Kernel panic - not syncing: sysrq triggered crash";
        let again = "[    2.1] BUG: unable to handle page fault for address: 0000000000000008";
        let banner = "[    0.000000] Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org)";
        let recovers = heard("crash.recovers");
        assert!(recovers.splats([panic, "SeaBIOS", banner, "login:"]).is_empty());
        assert_eq!(recovers.splats([panic, banner, again]), [again]);
        assert_eq!(recovers.splats([panic, banner, panic]), [panic]);
        // A log of the new boot, whose first lines the kernel has dropped.
        let later = Heard { rebooted: true, ..recovers };
        assert_eq!(later.splats([again]), [again]);
    }

    #[test]
    fn an_error_on_purpose_excuses_no_other_disk() {
        let broken = ["sr0".to_owned(), "vdb".to_owned()];
        for check in ["stor.readonly", "stor.cdrom-change"] {
            let heard = Heard { broken: &broken, ..heard(check) };
            let meant = [
                "I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
                "Buffer I/O error on dev sr0, logical block 0, async page read",
                "end_request: I/O error, dev vdb, sector 2048",
                "Buffer I/O error on device vdb1, logical block 0",
                "lost page write due to I/O error",
            ];
            assert!(heard.splats(meant).is_empty());
            for other in [
                "I/O error, dev sda, sector 0 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2",
                "Buffer I/O error on dev vdbc1, logical block 0, async page read",
                "Buffer I/O error on device sr01, logical block 0",
                "EXT4-fs (vda1): I/O error while writing superblock",
                "XFS (nvme0n1p2): metadata I/O error in \"xfs_buf_ioend\"",
            ] {
                assert_eq!(heard.splats([other]).len(), 1, "{other}");
            }
        }
        assert!(is_on("nvme0n1p2", "nvme0n1") && !is_on("nvme0n12", "nvme0n1"));
    }

    #[test]
    fn a_hard_lockup_and_a_transmitter_that_stands_still_are_splats() {
        for line in [
            "Watchdog detected hard LOCKUP on cpu 1",
            "NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out 5000 ms",
        ] {
            assert_eq!(heard("cpu.count").splats([line]).len(), 1, "{line}");
        }
    }
}
