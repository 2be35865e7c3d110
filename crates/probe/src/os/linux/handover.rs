//! Beside another's init: the probe comes in with an initrd that is not ours, starts its `/init` in its own place
//! as process 1, and follows it, in a process of its own, into the root file system that it mounts.
//!
//! An initrd leaves by moving the new root over `/` (util-linux's switch_root, klibc's run-init, systemd). A process that
//! was there before still has the old root, in which all is deleted by then; for it `/..` leads up to what was
//! mounted over it.

use core::ffi::{CStr, c_char};
use core::ptr;

use hospitium_wire::errno;

use super::clock::Deadline;
use super::sys;
use super::{console, files, process};

/// Where the builder of the initrd put us. The config is beside the program.
const FOLDER: &CStr = c"/hospitium-handover/init";
pub const CONFIG: &str = "/hospitium-handover/config";

/// Most words that the kernel passes on to an init.
const WORDS: usize = 64;
/// What an initrd's first program is called, the usual name first.
const INITS: [&CStr; 3] = [c"/init", c"/sbin/init", c"/linuxrc"];
/// How long a system may take to come up before it is entered all the same.
const UP_MS: u32 = 300_000;
/// The same for one of which nothing shows how far it is.
const UNKNOWN_MS: u32 = 60_000;

/// True if this is process 1 and was started under the name that says so.
///
/// # Safety
///
/// The process's argument vector.
pub unsafe fn is_asked_for(count: usize, arguments: *const *const c_char) -> bool {
    // SAFETY: the vector holds `count` pointers to NUL-ended strings.
    count > 0 && process::is_init() && unsafe { CStr::from_ptr(*arguments) } == FOLDER
}

/// Becomes the initrd's init in the first process, and returns in the second once the real root is there
/// and its system has come up.
///
/// # Safety
///
/// The process's argument vector, with the environment behind it; nothing else refers to it.
pub unsafe fn begin(count: usize, arguments: *const *const c_char) {
    match process::fork() {
        Ok(None) => {}
        // SAFETY: the caller's word.
        Ok(Some(_)) => unsafe { become_init(count, arguments) },
        Err(_) => {
            console::say(&[
                "hospitium-probe: no second process; the system starts without the probe",
            ]);
            // SAFETY: the caller's word.
            unsafe { become_init(count, arguments) }
        }
    }
    let _ = sys::plain(sys::SETSID, [0; 6]);
    // systemd spares processes of which the name begins so when it leaves the initrd
    // (https://systemd.io/ROOT_STORAGE_DAEMONS/).
    // SAFETY: the first argument is at least one byte long and, since the fork, this process's alone.
    unsafe { (*arguments).cast_mut().write(b'@' as c_char) };
    while !root_has_moved() {
        sys::sleep_ms(50);
    }
    let into = |call, path| sys::on_path(call, path, 0, 0);
    if into(sys::CHDIR, "/..").and_then(|_| into(sys::CHROOT, ".")).is_err() {
        console::say(&["hospitium-probe: cannot follow into the new root"]);
        sys::exit(1);
    }
    let _ = into(sys::CHDIR, "/");
    wait_until_up();
}

/// Whether something is there.
fn exists(path: &str) -> bool {
    match sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK, 0) {
        Ok(_) => true,
        Err(failure) => !failure.is(&[errno::ENOENT]),
    }
}

/// What is up there is not the initrd, nor what is left of it while it is being deleted.
fn root_has_moved() -> bool {
    !exists("/../hospitium-handover") && exists("/../etc") && exists("/../dev")
}

/// The first process's end of it.
///
/// # Safety
///
/// As `begin`.
unsafe fn become_init(count: usize, arguments: *const *const c_char) -> ! {
    let mut vector = [ptr::null(); WORDS + 1];
    let words = count.min(WORDS);
    for (n, word) in vector[..words].iter_mut().enumerate() {
        // SAFETY: there are `count` of them.
        *word = unsafe { *arguments.add(n) };
    }
    // SAFETY: the environment follows the null at the end of the arguments.
    let environment = unsafe { arguments.add(count + 1) };
    for program in INITS {
        vector[0] = program.as_ptr();
        let words = [program.as_ptr() as usize, vector.as_ptr() as usize, environment as usize];
        // SAFETY: a NUL-ended path, and two vectors of NUL-ended texts that end with a null.
        let _ = unsafe { sys::call(sys::EXECVE, [words[0], words[1], words[2], 0, 0, 0]) };
    }
    console::say(&["hospitium-probe: the initrd has no init"]);
    sys::exit(1)
}

/// Waits until the system is up, as it says itself (systemd), or until it asks for a login.
fn wait_until_up() {
    let (known, unknown) = (Deadline::after_ms(UP_MS), Deadline::after_ms(UNKNOWN_MS));
    while !known.passed() {
        let is_systemd = exists("/run/systemd/system");
        let is_up = if is_systemd { systemd_is_up() } else { asks_for_a_login() };
        if is_up || (!is_systemd && unknown.passed()) {
            return;
        }
        sys::sleep_ms(500);
    }
}

fn systemd_is_up() -> bool {
    let mut output = [0; 64];
    match process::run(b"systemctl\0is-system-running\0", 10_000, &mut output) {
        Ok((_, said)) => {
            ["running", "degraded", "maintenance"].iter().any(|up| said.starts_with(up.as_bytes()))
        }
        Err(_) => false,
    }
}

/// True if any process is a getty, of whatever make.
fn asks_for_a_login() -> bool {
    let (mut room, mut names) = ([0; 2048], [0; 2048]);
    let mut skip = 0;
    while let Ok(found @ [_, ..]) = files::list("/proc", skip, &mut room, &mut names) {
        for name in found.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            skip += 1;
            if name[0].is_ascii_digit() && is_getty(name) {
                return true;
            }
        }
    }
    false
}

fn is_getty(process: &[u8]) -> bool {
    let (mut path, mut stat) = ([0; 64], [0; 64]);
    let parts: [&[u8]; 3] = [b"/proc/", process, b"/stat"];
    let mut used = 0;
    for part in parts {
        let Some(place) = path.get_mut(used..used + part.len()) else { return false };
        place.copy_from_slice(part);
        used += part.len();
    }
    let Ok(path) = core::str::from_utf8(&path[..used]) else { return false };
    let Ok(stat) = files::read(path, 0, &mut stat) else { return false };
    stat.windows(6).any(|part| part == b"getty)")
}
