//! Silence is part of passing: what a guest's kernel log and its console say while a check runs.
//!
//! A check can see all that it asked for while the kernel complains beside it. So what was said since its
//! beginning is looked through for marks, which are data (`silence.toml`), as are the windows in which a check
//! brings a mark about on purpose.

use std::sync::OnceLock;
use std::time::Duration;

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
    usual: Vec<Usual>,
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
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for whoever reads the table; a test wants it")
    )]
    why: String,
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

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        toml::from_str(TABLE).unwrap_or_else(|e| unreachable!("silence.toml is tested: {e}"))
    })
}

/// The lines with which something was wrong: of this system, outside the check's windows. `starved`: the machine
/// was kept from the CPUs, so what only tells of slowness does not count.
pub fn splats<'a>(
    system: OperatingSystem,
    check: &str,
    lines: impl IntoIterator<Item = &'a str>,
    starved: bool,
) -> Vec<String> {
    let table = table();
    let meant = |text: &str| {
        let of_check = |window: &&Window| match window.check.strip_suffix('*') {
            Some(start) => check.starts_with(start),
            None => check == window.check,
        };
        table.window.iter().filter(of_check).any(|w| w.text.iter().any(|t| t == text))
    };
    let of_system = |slow: bool| {
        let marks = table.mark.iter();
        marks.filter(move |mark| mark.system == system && mark.slow == slow && !meant(&mark.text))
    };
    let bears = |line: &str, mark: &Mark| line.contains(mark.text.as_str());
    let lines: Vec<&str> = lines.into_iter().collect();
    let slow = |line: &str| of_system(true).any(|mark| bears(line, mark));
    // With its complaint a kernel that was kept from the CPUs prints a trace, which is of the same cause.
    let excused = starved && lines.iter().any(|line| slow(line));
    let bad = |line: &&str| match (slow(line), excused) {
        (true, _) => !starved,
        (false, true) if line.contains(TRACE) => false,
        (false, _) => of_system(false).any(|mark| bears(line, mark)),
    };
    let shown = |line: &str| line.chars().take(SHOWN).flat_map(char::escape_default).collect();
    lines.iter().copied().filter(bad).take(LINES).map(shown).collect()
}

/// What a hypervisor of this kind said and does not say of a good machine.
pub fn complaints(host: &str, said: Vec<String>) -> Vec<String> {
    let usual = |line: &String| {
        table().usual.iter().any(|usual| usual.host == host && line.contains(&usual.text))
    };
    said.into_iter().filter(|line| !usual(line)).take(LINES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: OperatingSystem = OperatingSystem::Linux;

    #[test]
    fn the_table_reads_and_says_where_each_mark_comes_from() {
        let table: Table = toml::from_str(TABLE).expect("reads");
        assert!(table.mark.iter().all(|mark| !mark.source.is_empty() && !mark.text.is_empty()));
        assert!(table.usual.iter().all(|usual| !usual.source.is_empty() && !usual.text.is_empty()));
        for window in &table.window {
            assert!(!window.why.is_empty());
            for text in &window.text {
                assert!(table.mark.iter().any(|mark| mark.text == *text), "{text} is no mark");
            }
            let known = crate::checks::all().into_iter().any(|check| {
                let base = check.id.split('/').next().unwrap_or_default();
                base == window.check
                    || window.check.strip_suffix('*').is_some_and(|s| base.starts_with(s))
            });
            assert!(known, "{} is no check", window.check);
        }
    }

    #[test]
    fn a_splat_is_found_and_told_with_its_text() {
        let log =
            ["[   12.5] WARNING: CPU: 1 PID: 77 at net/core/dev.c:42", "[   12.6] eth0: link up"];
        assert_eq!(splats(LINUX, "net.mtu", log, false), [log[0]]);
        let hostile = ["BUG: \x1b[2J"];
        assert_eq!(splats(LINUX, "net.mtu", hostile, false), ["BUG: \\u{1b}[2J"]);
    }

    #[test]
    fn what_a_check_brings_about_on_purpose_is_no_splat_of_it() {
        let log = ["Kernel panic - not syncing: sysrq triggered crash"];
        assert!(splats(LINUX, "crash.host-notified", log, false).is_empty());
        assert_eq!(splats(LINUX, "net.mtu", log, false).len(), 1);
    }

    #[test]
    fn slowness_counts_only_where_the_machine_had_the_cpus() {
        let log = ["watchdog: BUG: soft lockup - CPU#1 stuck for 23s!"];
        assert_eq!(splats(LINUX, "cpu.count", log, false).len(), 1);
        let stall = ["rcu: INFO: rcu_preempt self-detected stall on CPU"];
        assert!(splats(LINUX, "cpu.count", stall, true).is_empty());
        assert_eq!(splats(LINUX, "cpu.count", stall, false).len(), 1);
        let traced = ["watchdog: BUG: soft lockup - CPU#1 stuck for 23s!", "Call Trace:"];
        assert!(splats(LINUX, "cpu.count", traced, true).is_empty());
        assert_eq!(splats(LINUX, "cpu.count", ["Call Trace:"], true).len(), 1);
    }
}
