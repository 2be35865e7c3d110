//! The hypervisor's process of a machine: known by its number and the time of its start, so that it is not
//! taken for another.

use std::path::{Path, PathBuf};

use hospitium_host::local::ProcessId;
use hospitium_model::Inability;
use hospitium_model::escaped;
use serde::{Deserialize, Serialize};

/// No more lines of what a VMM said are read.
const SAID_LINES: usize = 2000;
/// No more bytes either.
const SAID_BYTES: u64 = 1 << 20;

/// A process that runs a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vmm {
    #[serde(flatten)]
    process: ProcessId,
    /// The file that it writes its errors to, if that can be seen.
    log: Option<PathBuf>,
}

impl Vmm {
    /// Its number.
    pub(crate) const fn pid(&self) -> u32 {
        self.process.pid
    }

    /// The process of this number, if there is one.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let log = std::fs::read_link(format!("/proc/{pid}/fd/2")).ok();
        let log = log.filter(|log| log.is_absolute() && Path::is_file(log));
        Some(Self { process: ProcessId::of(pid)?, log })
    }

    /// Ends it if it is still the one that it was; says whether it did.
    pub(crate) fn kill(&self) -> bool {
        let is_qemu = || {
            let command = self.process.command();
            command.split(|byte| *byte == 0).any(|word| word.starts_with(b"guest=hospitium-"))
        };
        self.process.kill_if(is_qemu) == Some(true)
    }

    /// Lines that it wrote, escaped. Libvirt writes the command and its own lines there too: those are left out.
    /// Nor is `in_order` that libvirt's signal ended it.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub(crate) fn said(&self, in_order: bool) -> Result<Vec<String>, Inability> {
        use std::io::Read as _;
        let unseen = |why: &str| {
            Inability::of_host(format!("what the machine's VMM writes is not seen: {why}"))
        };
        let Some(log) = &self.log else {
            let why = "its standard error is no file that we may look at, as with libvirt's virtlogd, which reads a pipe";
            return Err(unseen(why));
        };
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(log).and_then(|file| file.take(SAID_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(said(&String::from_utf8_lossy(&bytes), in_order)),
            Err(error) => Err(unseen(&format!("{}: {error}", log.display()))),
        }
    }

    /// The command that it was started by.
    pub(crate) fn command(&self) -> Vec<String> {
        let command = self.process.command();
        let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| escaped(&String::from_utf8_lossy(word), 4000)).collect()
    }
}

/// What follows the last command in a domain's log that libvirt began.
fn said(log: &str, in_order: bool) -> Vec<String> {
    let mut own = Vec::new();
    let mut in_command = false;
    for line in log.lines() {
        // `2026-11-30 08:26:28.8+0000: starting up libvirt version: …`, then variables and the command, each line
        // but the last ending in a backslash (libvirt, qemu_process.c, qemuLogOperation).
        if line.contains("+0000: starting up libvirt version: ") {
            own.clear();
            in_command = true;
            continue;
        }
        if in_command {
            in_command = line.ends_with('\\');
            continue;
        }
        let libvirts = line.contains("+0000: shutting down, reason=")
            || line.contains("+0000: Domain id=") && line.contains(" is tainted: ")
            || line.starts_with("char device redirected to ")
            || in_order && line.contains(": terminating on signal 15 from pid ");
        if !libvirts {
            own.push(escaped(line, 300));
        }
    }
    own.truncate(SAID_LINES);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_a_vmm_of_ours_is_left_alone() {
        let own = Vmm::of(std::process::id()).expect("we are there");
        assert!(!own.kill());
        assert!(Vmm::of(u32::MAX).is_none());
    }

    #[test]
    fn a_vmm_whose_words_cannot_be_read_is_not_one_that_said_nothing() {
        let process = ProcessId::of(std::process::id()).expect("we are there");
        let of = |log: Option<PathBuf>| Vmm { process: process.clone(), log }.said(true);
        let piped = of(None).expect_err("a pipe");
        assert!(piped.why.contains("virtlogd"), "{piped}");
        let closed = of(Some("/proc/no-such-log".into())).expect_err("not there");
        assert!(closed.why.contains("/proc/no-such-log"), "{closed}");
    }

    #[test]
    fn what_libvirt_writes_is_not_what_the_vmm_said() {
        let log = "2026-11-30 08:26:28.8+0000: starting up libvirt version: 9.0.0\nLC_ALL=C \\\n\
            /usr/bin/qemu \\\n-msg timestamp=on\nold\n\
            2026-11-30 08:26:38.8+0000: starting up libvirt version: 9.0.0\nLC_ALL=C \\\n-S\n\
            2026-11-30 08:26:39.4+0000: Domain id=2 is tainted: custom-argv\n\
            2026-11-30T08:26:28Z qemu: warning: \u{1b}x\n2026-11-30 08:27:00.1+0000: shutting down, reason=destroyed\n";
        assert_eq!(said(log, false), ["2026-11-30T08:26:28Z qemu: warning: \\x1bx"]);
        let end = "2026-11-30T09:30:48Z qemu-system-x86_64: terminating on signal 15 from pid 7 (libvirtd)";
        assert!(said(end, true).is_empty() && !said(end, false).is_empty());
        assert!(said("", false).is_empty());
    }
}
