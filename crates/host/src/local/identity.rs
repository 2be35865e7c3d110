//! Which process it is: its number alone comes to mean another one.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// How long a process that was killed takes to be gone, in seconds.
const GONE: i64 = 5;

/// A process, known by what no other has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of /proc/PID/stat (proc_pid_stat(5)).
    started: u64,
    /// The boot that it was in.
    boot: String,
}

/// Identifies this boot of the physical machine.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, can hold anything; what follows its last ')' can't.
    let rest = &stat[stat.rfind(')')? + 2..];
    rest.split(' ').nth(19)?.parse().ok()
}

impl ProcessId {
    /// The process of this number, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: started(pid)?, boot: boot_id() })
    }

    /// The command that it was started by: words that end in a zero byte. Empty if it is gone.
    pub fn command(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default()
    }

    /// Kills it if it is still the one that it was and `is_ours` says so too, and waits until it is gone. None if it
    /// was not killed, else whether it was gone in time.
    pub fn kill_if(&self, is_ours: impl FnOnce() -> bool) -> Option<bool> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        // Held from here on, so that the number can't come to mean another process.
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let same = self.boot == boot_id() && started(self.pid) == Some(self.started);
        if !same || !is_ours() {
            return None;
        }
        pidfd_send_signal(&process, Signal::KILL).ok()?;
        let mut gone = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: GONE, tv_nsec: 0 };
        Some(rustix::event::poll(&mut gone, Some(&limit)).is_ok_and(|ready| ready > 0))
    }
}
