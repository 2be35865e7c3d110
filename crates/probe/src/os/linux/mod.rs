//! Linux on x86, 32 and 64 bits, by system calls that 2.6.18 has, with a fallback where a newer one is better.

pub mod block;
mod channel;
pub mod clock;
pub mod clock_scan;
mod config;
mod console;
pub mod cpu;
pub mod device;
pub mod entropy;
pub mod files;
mod handover;
mod init;
pub mod input;
pub mod kcore;
pub mod log;
mod log_copy;
pub mod memory;
pub mod module;
pub mod net;
mod older;
mod own;
pub mod power;
pub mod process;
#[cfg(freestanding)]
mod runtime;
mod start;
mod sys;
mod vdso;

pub use channel::Channel;
pub use net::Connection;
pub use own::Own;

use hospitium_wire::Os;

use crate::dispatch::State;
use crate::failure::Result;

/// The operating system that this is for.
pub const OS: Os = Os::Linux;
pub use sys::ARCH;

/// What is looked after between requests: waits at most a second until the channel has
/// something, buries ended children, and obeys the power button.
pub fn idle(state: &mut State, channel: &Channel<'_>) {
    let button = state.own.power_button.as_ref().map_or(-1, input::Device::number);
    channel.wait(button);
    process::reap();
    let Some(device) = &state.own.power_button else {
        return;
    };
    match device.power_key_pressed() {
        Ok(true) => {
            console::say(&["power button pressed"]);
            power::perform(hospitium_wire::PowerAction::Off);
        }
        Ok(false) => {}
        // Unplugged.
        Err(_) => state.own.power_button = None,
    }
}

/// Kernel name, release, version and machine, each ended by a NUL.
pub fn uname(out: &mut [u8]) -> Result<&[u8]> {
    // struct new_utsname: six fields of 65 bytes; the node name is the second.
    const FIELD: usize = 65;
    let mut names = [0_u8; 6 * FIELD];
    sys::uname(&mut names)?;
    let mut used = 0;
    for field in [0, 2, 3, 4] {
        let name = &names[field * FIELD..(field + 1) * FIELD];
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(FIELD - 1);
        out[used..used + length].copy_from_slice(&name[..length]);
        out[used + length] = 0;
        used += length + 1;
    }
    Ok(&out[..used])
}
