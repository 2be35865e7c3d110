//! Powering off, restarting, halting, crashing and suspending.

use hospitium_wire::PowerAction;

use super::{console, files, process, sys};

// include/uapi/linux/reboot.h.
const MAGIC: [usize; 2] = [0xFEE1_DEAD, 0x2812_1969];
const RESTART: usize = 0x0123_4567;
const HALT: usize = 0xCDEF_0123;
const POWER_OFF: usize = 0x4321_FEDC;

/// How long the system's own shutdown may take to be asked for. A system on an emulator that shares its CPUs has taken more than
/// 10 s.
const ASK_MS: u32 = 120_000;

fn reboot(how: usize) {
    let _ = sys::plain(sys::REBOOT, [MAGIC[0], MAGIC[1], how, 0, 0, 0]);
}

/// Restarts without ceremony.
#[cfg(freestanding)]
pub fn restart_now() {
    reboot(RESTART);
}

/// Does it. Returns after a suspend, or if nothing worked, or while an orderly shutdown is under
/// way.
pub fn perform(action: PowerAction) {
    match action {
        PowerAction::Off => orderly(POWER_OFF, &[b"-h", b"-P", b"now"]),
        PowerAction::Reboot => orderly(RESTART, &[b"-r", b"now"]),
        PowerAction::Halt => orderly(HALT, &[b"-H", b"-h", b"now"]),
        PowerAction::Crash => {
            // Not flushed before: a crash does not ask.
            let _ = sys::write_file("/proc/sysrq-trigger", b"c");
        }
        PowerAction::Suspend => {
            files::sync();
            let _ = sys::write_file("/sys/power/state", b"mem");
        }
    }
}

/// Process 1 has nothing to stop before. A distribution does, and is asked to. Only one that cannot be asked goes down without
/// that: behind the back of one that was asked, file systems and programs would lose their disks while they still use
/// them.
fn orderly(how: usize, words: &[&[u8]]) {
    files::sync();
    if !process::is_init() {
        for program in [b"/sbin/shutdown".as_slice(), b"/usr/sbin/shutdown"] {
            match ask(program, words) {
                Asked::Taken => return,
                Asked::Unknown => {
                    console::say(&[
                        "hospitium-probe: the system does not say whether it shuts down",
                    ]);
                    return;
                }
                Asked::Refused => {}
            }
        }
        console::say(&["hospitium-probe: the system's own shutdown does not work"]);
    }
    reboot(how);
}

/// What became of asking a system to shut down.
enum Asked {
    Taken,
    /// The program is not there, or failed.
    Refused,
    /// The program has not come to its end. What it asked for may be under way.
    Unknown,
}

/// Runs a program with these words.
fn ask(program: &[u8], words: &[&[u8]]) -> Asked {
    let mut line = [0; 64];
    let mut used = 0;
    for word in core::iter::once(&program).chain(words) {
        line[used..used + word.len()].copy_from_slice(word);
        used += word.len() + 1;
    }
    let mut output = [0; 256];
    match process::run(&line[..used], ASK_MS, &mut output) {
        Ok((0, _)) => Asked::Taken,
        // It was killed at the limit.
        Ok((-1, _)) => Asked::Unknown,
        Ok(_) | Err(_) => Asked::Refused,
    }
}
