//! From the first instruction to the main loop.

use core::cell::UnsafeCell;
use core::ffi::CStr;

use super::config::{Config, Source};
use super::{Channel, console, handover, init, older, process};
use crate::dispatch::State;
use crate::serve::{Line, serve};

/// Everything that the probe ever holds, in `.bss`.
struct Room {
    state: UnsafeCell<State>,
    line: UnsafeCell<Line>,
    config: UnsafeCell<Config>,
}

// SAFETY: the probe has one thread, and `entry` is the only one to touch this, once.
unsafe impl Sync for Room {}

static ROOM: Room = Room {
    state: UnsafeCell::new(State::new()),
    line: UnsafeCell::new(Line::new()),
    config: UnsafeCell::new(Config::new()),
};

/// The C library's entry, in builds that have one.
#[cfg(not(freestanding))]
#[unsafe(no_mangle)]
extern "C" fn main(count: usize, arguments: *const *const core::ffi::c_char) -> i32 {
    // SAFETY: the C library calls this once, with its arguments.
    unsafe { entry(count, arguments) }
}

/// Reads the command line and begins.
///
/// # Safety
///
/// Called once, with the process's argument count and vector.
pub unsafe extern "C" fn entry(count: usize, arguments: *const *const core::ffi::c_char) -> ! {
    // SAFETY: this is the only use of the three, and it happens once.
    let (state, line, config) =
        unsafe { (&mut *ROOM.state.get(), &mut *ROOM.line.get(), &mut *ROOM.config.get()) };
    // SAFETY: the process's own arguments, which are read again only below.
    let handed_over = unsafe { handover::is_asked_for(count, arguments) };
    if handed_over {
        // Before it is deleted with the rest of the initrd.
        config.load(handover::CONFIG);
        // SAFETY: the process's own arguments, with the environment behind them.
        unsafe { handover::begin(count, arguments) };
    }
    let is_init = process::is_init();
    let (mut daemon, mut channel) = (false, None);
    // The kernel passes words of its own command line to process 1.
    for number in 1..if is_init || handed_over { 0 } else { count } {
        // SAFETY: the vector holds `count` pointers to NUL-ended strings that stay for ever.
        let argument: &'static CStr = unsafe { CStr::from_ptr(*arguments.add(number)) };
        match argument.to_str() {
            Ok("--daemon") => daemon = true,
            Ok(path) if path.starts_with('/') => channel = Some(path),
            _ => {
                console::say(&["usage: hospitium-probe [--daemon] [CHANNEL]"]);
                super::sys::exit(2)
            }
        }
    }
    process::ignore_signals();
    if is_init {
        init::mount_all();
    }
    process::protect_from_oom(true);
    if !handed_over {
        config.load("/etc/hospitium");
    }
    if is_init {
        init::load_modules(config);
        init::bring_up_loopback();
    }
    act_as_asked(config);
    let source = match channel {
        Some(path) => Source::Path(path),
        None => Source::Config(config),
    };
    let mut channel = loop {
        match Channel::open(source) {
            Some(channel) => break channel,
            None if is_init || handed_over => console::say(&["hospitium-probe: no channel yet"]),
            None => {
                console::say(&["hospitium-probe: none of the channels appeared"]);
                super::sys::exit(1)
            }
        }
    };
    console::say(&["hospitium-probe: ready"]);
    if daemon && !is_init {
        process::detach();
    }
    serve(line, state, &mut channel)
}

/// Acts as an older kernel, if the config or the kernel's command line says so.
fn act_as_asked(config: &Config) {
    let mut room = [0; 4096];
    let line = super::files::read("/proc/cmdline", 0, &mut room).unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default();
    let in_line = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(older::WORD));
    if let Some(release) = in_line.or_else(|| config.lines("act-as ").next()) {
        match older::act_as(release) {
            Ok(()) => console::say(&["hospitium-probe: acts as Linux ", release]),
            Err(_) => console::say(&["hospitium-probe: no release: ", release]),
        }
    }
}
