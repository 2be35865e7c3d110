//! Processes: this one's place in the system, and children.

use hospitium_wire::Refusal;

use super::block;
use super::clock::Deadline;
use super::sys::{self, EAGAIN, EINTR, Fd, POLLIN, Poll};
use crate::failure::{Failure, Result};
use crate::pattern::Pattern;

const KILL: usize = 9;
/// Most words of a command line.
const WORDS: usize = 128;
/// Most processes of one load.
const LOADERS: u32 = 256;
/// Longest load in ms.
const LONGEST_LOAD_MS: u32 = 3_600_000;
/// How much of a file the load goes over, in bytes.
const LOAD_SPAN: u64 = 4 << 20;
/// Files that a child closes; more are never open.
const FILES: usize = 64;

/// True if this is process 1.
pub fn is_init() -> bool {
    sys::plain(sys::GETPID, [0; 6]) == Ok(1)
}

/// struct sigaction of the kernel, with the default or no action.
fn set_signal(signal: usize, handler: usize) {
    // Handler, flags, restorer, and a mask of 8 bytes.
    let action = [handler, 0, 0, 0, 0];
    let at = action.as_ptr() as usize;
    // SAFETY: a struct sigaction to read, with the size of its mask.
    let _ = unsafe { sys::call(sys::SIGACTION, [signal, at, 0, 8, 0, 0]) };
}

/// Hang-ups, broken pipes and terminal stops (SIGHUP, SIGPIPE, SIGTTIN, SIGTTOU).
const IGNORED: [usize; 4] = [1, 13, 21, 22];

/// The lines that the probe talks over may go away and come back.
pub fn ignore_signals() {
    const IGNORE: usize = 1;
    IGNORED.into_iter().for_each(|signal| set_signal(signal, IGNORE));
}

/// The probe has to survive the memory shortages that it makes; its children need not.
pub fn protect_from_oom(protect: bool) {
    let (new, old): (&[u8], &[u8]) = if protect { (b"-1000", b"-17") } else { (b"0", b"0") };
    if sys::write_file("/proc/self/oom_score_adj", new).is_err() {
        // Before 2.6.36.
        let _ = sys::write_file("/proc/self/oom_adj", old);
    }
}

/// A second process: `None` in it, its number in the first.
pub fn fork() -> Result<Option<usize>> {
    match sys::plain(sys::FORK, [0; 6])? {
        0 => Ok(None),
        child => Ok(Some(child)),
    }
}

/// A second process that does a part of the probe's work and does not outlive it.
pub fn fork_worker() -> Result<Option<usize>> {
    const PARENT_DEATH_SIGNAL: usize = 1;
    let child = fork()?;
    if child.is_none() {
        let _ = sys::plain(sys::PRCTL, [PARENT_DEATH_SIGNAL, KILL, 0, 0, 0, 0]);
    }
    Ok(child)
}

/// How a process ended: exit code, or 128 + signal.
fn ended(child: usize) -> Option<i32> {
    const NO_HANG: usize = 1;
    let mut status = 0_i32;
    let at = core::ptr::from_mut(&mut status) as usize;
    // SAFETY: an int to write; resource usage is not asked for.
    match unsafe { sys::call(sys::WAIT4, [child, at, NO_HANG, 0, 0, 0]) } {
        Ok(0) => None,
        Ok(_) if status & 0x7F == 0 => Some(status >> 8 & 0xFF),
        Ok(_) => Some(128 + (status & 0x7F)),
        Err(failure) if failure.is(&[EINTR]) => None,
        // It is not ours (any more).
        Err(_) => Some(-1),
    }
}

/// Buries children that have ended; process 1 also those whose parent is gone.
pub fn reap() {
    const ANY: i32 = -1;
    const NO_HANG: usize = 1;
    // SAFETY: nothing to write to.
    while unsafe { sys::call(sys::WAIT4, [sys::arg(ANY), 0, NO_HANG, 0, 0, 0]) }
        .is_ok_and(|child| child != 0)
    {}
}

/// Waits for a child. `None` if it has not ended in time.
pub fn wait(child: usize, deadline: Deadline) -> Option<i32> {
    loop {
        match ended(child) {
            None if deadline.passed() => return None,
            None => sys::sleep_ms(2),
            code => return code,
        }
    }
}

/// Ends a child and buries it.
pub fn kill(child: usize) {
    let _ = sys::plain(sys::KILL, [child, KILL, 0, 0, 0, 0]);
    wait(child, Deadline::after_ms(1000));
}

/// Leaves the login that started this: its shell gets its prompt back.
pub fn detach() {
    match fork() {
        Ok(None) => {}
        Ok(Some(_)) => sys::exit(0),
        Err(_) => return,
    }
    let _ = sys::plain(sys::SETSID, [0; 6]);
    if let Ok(null) = sys::open("/dev/null", sys::O_RDWR, 0) {
        for number in 0..3 {
            let _ = sys::plain(sys::DUP2, [null.arg(), number, 0, 0, 0, 0]);
        }
    }
}

fn close_from(first: usize) {
    for number in first..FILES {
        drop(Fd::from_call(number));
    }
}

/// Both ends of a pipe, to read and to write, neither of which blocks or is passed on to
/// programs.
fn pipe() -> Result<(Fd, Fd)> {
    const SET_FD_FLAGS: usize = 2;
    const CLOSE_ON_EXEC: usize = 1;
    const SET_STATUS_FLAGS: usize = 4;
    let mut ends = [0_i32; 2];
    // SAFETY: two ints to write.
    unsafe { sys::call(sys::PIPE, [ends.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) }?;
    let [from, to] = ends.map(|end| Fd::from_call(end as usize));
    for end in [&from, &to] {
        sys::plain(sys::FCNTL, [end.arg(), SET_FD_FLAGS, CLOSE_ON_EXEC, 0, 0, 0])?;
    }
    let arguments = [from.arg(), SET_STATUS_FLAGS, sys::arg(sys::O_NONBLOCK), 0, 0, 0];
    sys::plain(sys::FCNTL, arguments)?;
    Ok((from, to))
}

/// Runs a program and waits for it: exit code (-1 if the limit was reached and it was killed),
/// and the first output. The words are NUL-ended; a program without a slash is looked for in the
/// usual folders. Programs that it leaves behind in the background are not waited for.
pub fn run<'b>(words: &[u8], limit_ms: u32, out: &'b mut [u8]) -> Result<(i32, &'b [u8])> {
    if words.first().is_none_or(|&byte| byte == 0) || words.last() != Some(&0) {
        return Err(Failure::invalid("execve"));
    }
    let mut vector = [core::ptr::null(); WORDS + 1];
    let texts = words.split_inclusive(|&byte| byte == 0);
    for (n, word) in texts.enumerate() {
        let too_many = Failure::refused(Refusal::TooLong, "execve");
        *vector[..WORDS].get_mut(n).ok_or(too_many)? = word.as_ptr();
    }
    let deadline = Deadline::after_ms(limit_ms);
    let (output, output_end) = pipe()?;
    let (trouble, trouble_end) = pipe()?;
    let Some(child) = fork()? else { become_program(words, &vector, &output_end, &trouble_end) };
    drop((output_end, trouble_end));
    let mut used = 0;
    let code = loop {
        // Asked before the output is emptied, so that nothing of an ended program is missed.
        let code = ended(child);
        let open = drain(&output, out, &mut used);
        if let Some(code) = code {
            break code;
        }
        if deadline.passed() {
            // The whole session, of which the child is the leader.
            let _ = sys::plain(sys::KILL, [child.wrapping_neg(), KILL, 0, 0, 0, 0]);
            kill(child);
            drain(&output, out, &mut used);
            break -1;
        }
        if open {
            let mut file = [Poll::new(output.number(), POLLIN)];
            sys::poll(&mut file, deadline.left_ms(5));
        } else {
            // It has closed its output, and `poll` would return at once.
            sys::sleep_ms(2);
        }
    };
    let mut errno = [0; 4];
    if sys::read(&trouble, &mut errno) == Ok(4) {
        return Err(Failure::errno(i32::from_le_bytes(errno), "execve"));
    }
    Ok((code, &out[..used]))
}

/// Takes what is in the pipe, and keeps what fits; false once nothing holds the other end.
/// Bounded, because a program may write for ever.
fn drain(output: &Fd, out: &mut [u8], used: &mut usize) -> bool {
    let mut rest = [0; 1024];
    for _ in 0..64 {
        let full = *used == out.len();
        let room = if full { &mut rest[..] } else { &mut out[*used..] };
        match sys::read(output, room) {
            Ok(0) => return false,
            Ok(count) if !full => *used += count,
            Ok(_) => {}
            Err(failure) if failure.is(&[EINTR]) => {}
            Err(failure) => return failure.is(&[EAGAIN]),
        }
    }
    true
}

/// The child's part of `run`.
fn become_program(words: &[u8], vector: &[*const u8], output: &Fd, trouble: &Fd) -> ! {
    const DEFAULT: usize = 0;
    const FOLDERS: [&str; 6] =
        ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/sbin/", "/usr/local/bin/"];
    let environment = [
        c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".as_ptr(),
        c"HOME=/".as_ptr(),
        c"LANG=C".as_ptr(),
        c"TERM=dumb".as_ptr(),
        core::ptr::null(),
    ];
    let _ = sys::plain(sys::SETSID, [0; 6]);
    IGNORED.into_iter().for_each(|signal| set_signal(signal, DEFAULT));
    protect_from_oom(false);
    if let Ok(null) = sys::open("/dev/null", sys::O_RDONLY, 0) {
        let _ = sys::plain(sys::DUP2, [null.arg(), 0, 0, 0, 0, 0]);
    }
    for number in [1, 2] {
        let _ = sys::plain(sys::DUP2, [output.arg(), number, 0, 0, 0, 0]);
    }
    for number in (3..FILES).filter(|&number| number != trouble.arg()) {
        drop(Fd::from_call(number));
    }
    let execute = |path: usize| {
        let arguments = [path, vector.as_ptr() as usize, environment.as_ptr() as usize, 0, 0, 0];
        // SAFETY: a NUL-ended path, and two vectors of NUL-ended texts that end with a null.
        match unsafe { sys::call(sys::EXECVE, arguments) } {
            Ok(_) => 0,
            Err(failure) => failure.code,
        }
    };
    let program = words.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut errno = hospitium_wire::errno::ENOENT;
    if program.contains(&b'/') {
        errno = execute(words.as_ptr() as usize);
    } else {
        let mut path = [0_u8; 512];
        for folder in FOLDERS {
            let (start, end) = (folder.len(), folder.len() + program.len());
            if end < path.len() {
                path[..start].copy_from_slice(folder.as_bytes());
                path[start..end].copy_from_slice(program);
                path[end] = 0;
                match execute(path.as_ptr() as usize) {
                    hospitium_wire::errno::ENOENT => {}
                    other => errno = other,
                }
            }
        }
    }
    let _ = sys::write_all(trouble, &errno.to_le_bytes());
    sys::exit(127)
}

/// Starts processes that compute, and one that writes and reads a file or device over and over.
pub fn load(cpu: u32, io_path: &str, milliseconds: u32, room: &mut [u8]) -> Result<()> {
    let milliseconds = milliseconds.min(LONGEST_LOAD_MS);
    if cpu > LOADERS {
        return Err(Failure::invalid("load"));
    }
    let area = block::Area { path: io_path, offset: 0, length: LOAD_SPAN, direct: false };
    if !io_path.is_empty() {
        // So that a path that does not work is told, not lost with the child.
        let create = if io_path.starts_with("/dev/") { 0 } else { sys::O_CREAT };
        sys::open(io_path, sys::O_RDWR | create, 0o644)?;
        if fork_worker()?.is_none() {
            close_from(3);
            let deadline = Deadline::after_ms(milliseconds);
            let mut seed = 0;
            while !deadline.passed() {
                // A medium that fails or is too small is a load nevertheless.
                let _ = area.write(seed, true, room);
                let _ = area.read(room);
                seed += 1;
            }
            sys::exit(0)
        }
    }
    for number in 0..cpu {
        if fork_worker()?.is_none() {
            close_from(3);
            let deadline = Deadline::after_ms(milliseconds);
            let pattern = Pattern::seeded(number.into());
            let mut n = 0;
            while !deadline.passed() {
                for _ in 0..100_000 {
                    n = core::hint::black_box(pattern.word(n));
                }
            }
            sys::exit(0)
        }
    }
    Ok(())
}
