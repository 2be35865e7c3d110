//! The VMM's process: confined, ending with us, its death always noticed and explained.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::UnshareFlags;
use tokio::io::AsyncReadExt as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use hospitium_host::{Ended, HostError};
use hospitium_model::escaped;

/// File of what a VMM says on standard error.
pub(crate) const LOG: &str = "vmm.log";

/// What is kept of a VMM's standard error: the last this many bytes in memory.
const STDERR_KEPT: usize = 16 << 10;
/// What is written of it to the machine's folder: the first this many bytes.
const STDERR_WRITTEN: u64 = 1 << 20;
/// Lines of it that are told.
const SAID_LINES: usize = 2000;

/// How far a process is kept from the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// User and group to run as; none for our own.
    pub user: Option<u32>,
    /// A supplementary group of that user's.
    pub group: Option<u32>,
    /// Whether to try for its own network, mount, IPC and host-name name spaces.
    pub namespaces: bool,
}

/// A process to be started.
pub(crate) struct Launch {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Variables set beyond a clean environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Working folder; entered before privileges are given up, so its parents need not be open to them.
    pub folder: PathBuf,
    /// Descriptors that it inherits under the numbers that they have here.
    pub inherited: Vec<OwnedFd>,
    /// How it is confined.
    pub confinement: Confinement,
}

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    pid: u32,
    pidfd: Arc<AsyncFd<OwnedFd>>,
    prospect: Arc<Prospect>,
    ended: watch::Receiver<Option<Ended>>,
    log: Log,
}

/// What the end of a process will mean if it comes in order.
pub(crate) struct Prospect {
    /// In the order in which they became known.
    meanings: Mutex<Vec<Ended>>,
    /// True while somebody reads what the process says, who may learn what its end means.
    reading: watch::Sender<bool>,
}

/// How long the last words of a process that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Prospect {
    fn new() -> Self {
        Self { meanings: Mutex::default(), reading: watch::Sender::new(false) }
    }

    /// From now on its end may mean this.
    pub(crate) fn add(&self, meaning: Ended) {
        self.meanings.lock().unwrap_or_else(PoisonError::into_inner).push(meaning);
    }

    /// Somebody begins to read, or has read all.
    pub(crate) fn reading(&self, now: bool) {
        self.reading.send_replace(now);
    }

    fn get(&self) -> Vec<Ended> {
        self.meanings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where standard error is written to; it may move while the process runs.
type Log = Arc<Mutex<PathBuf>>;

/// A child that is killed when nobody is left who would wait for it.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Of one that was waited for nothing is left to kill, and the standard library knows.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs a job on a thread that lives as long as this process. The parent-death signal is bound to
/// the *thread* that forked (prctl(2), PR_SET_PDEATHSIG), and threads of a runtime's pool come and go.
fn on_spawner(job: Job) -> io::Result<()> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let sender = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("vmm-spawner".into());
        // If the thread can't be made the receiver is dropped, and every send below fails.
        let _ = thread.spawn(move || jobs.into_iter().for_each(|job| job()));
        Mutex::new(sender)
    });
    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
    sender.send(job).map_err(|_| io::Error::other("the thread that starts processes is gone"))
}

impl Confinement {
    /// What is done between fork and exec. Only system calls: other threads' locks may be held.
    fn enter(self, parent: u32) -> io::Result<()> {
        let separate = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
        if self.namespaces {
            // Without the privilege to do it the process goes on without; `ProcessFacts` tells.
            let flags = match self.user {
                Some(_) => separate | UnshareFlags::NEWNS,
                None => separate | UnshareFlags::NEWUSER,
            };
            // SAFETY: neither the file table nor another resource shared with a sibling thread is
            // unshared, and after fork there is one thread.
            let _ = unsafe { rustix::thread::unshare_unsafe(flags) };
        }
        if let Some(id) = self.user {
            let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
            match self.group.map(rustix::fs::Gid::from_raw) {
                Some(group) => rustix::thread::set_thread_groups(&[group])?,
                None => rustix::thread::set_thread_groups(&[])?,
            }
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        // After the change of user, which clears it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get() as u32);
        if now.is_some_and(|now| now != parent) {
            return Err(io::Error::other("the parent ended"));
        }
        Ok(())
    }
}

impl Launch {
    /// Starts it. Its standard error is kept (the last of it) and written to `log` (the first of it).
    pub(crate) async fn start(self, log: &Path) -> Result<Process, HostError> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let doing = format!("starting {}", program.to_string_lossy());
        let (ends_read, ends_write) = std::io::pipe().map_err(HostError::io(&doing))?;
        let (reply, answer) = oneshot::channel();
        let parent = std::process::id();
        on_spawner(Box::new(move || {
            let _ = reply.send(self.spawn(parent, ends_write.into()).map(Owned));
        }))
        .map_err(HostError::io(&doing))?;
        let answer = answer.await.map_err(|_| io::Error::other("the spawner thread is gone"));
        let mut child = answer.and_then(|spawned| spawned).map_err(HostError::io(&doing))?;
        let pid = child.0.id();
        let pidfd = rustix::process::Pid::from_raw(pid as i32)
            .ok_or(io::ErrorKind::InvalidData.into())
            .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?))
            // SAFETY: the descriptor is owned by the `AsyncFd` and is not replaced within it.
            .and_then(|fd| Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?));
        let pidfd = Arc::new(pidfd.map_err(HostError::io(doing))?);
        let log: Log = Arc::new(Mutex::new(log.to_owned()));
        let stderr = tokio::spawn(keep_stderr(ends_read.into(), log.clone()));
        let prospect = Arc::new(Prospect::new());
        let (tell, ended) = watch::channel(None);
        tokio::spawn({
            let (pidfd, prospect) = (pidfd.clone(), prospect.clone());
            async move {
                let _ = pidfd.readable().await;
                let status = child.0.wait();
                let said = tokio::time::timeout(LAST_WORDS, stderr).await;
                let said = said.ok().and_then(Result::ok).unwrap_or_default();
                let mut reading = prospect.reading.subscribe();
                let read = reading.wait_for(|reading| !reading);
                // Who reads for longer learns nothing any more.
                let _ = tokio::time::timeout(LAST_WORDS, read).await;
                tell.send_replace(Some(ended_how(status, &said, &prospect.get())));
            }
        });
        Ok(Process { pid, pidfd, prospect, ended, log })
    }

    fn spawn(self, parent: u32, stderr: OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(self.argv.first().cloned().unwrap_or_default());
        command.args(self.argv.iter().skip(1)).env_clear().envs(self.environment);
        command.env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.current_dir(&self.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let numbers: Vec<RawFd> = self.inherited.iter().map(AsRawFd::as_raw_fd).collect();
        let confinement = self.confinement;
        // SAFETY: the closure makes system calls only: it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                for &number in &numbers {
                    // SAFETY: `inherited` is alive until `spawn` returns, so the number is open.
                    let fd = BorrowedFd::borrow_raw(number);
                    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
                }
                confinement.enter(parent)
            })
        };
        command.spawn()
    }
}

/// Reads standard error to its end; returns the last of it.
async fn keep_stderr(from: OwnedFd, log: Log) -> Vec<u8> {
    let Ok(mut from) = tokio::net::unix::pipe::Receiver::from_owned_fd(from) else {
        return Vec::new();
    };
    let mut written = 0;
    let mut kept: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let part = &buffer[..n];
        if written < STDERR_WRITTEN {
            written += n as u64;
            let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
            let _ = file.and_then(|mut file| io::Write::write_all(&mut file, part));
        }
        kept.extend_from_slice(part);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    kept
}

/// How it ended: as was to be expected if it ended in order, or was killed by us; else its status with the
/// last lines that it said.
fn ended_how(status: io::Result<ExitStatus>, said: &[u8], meanings: &[Ended]) -> Ended {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].iter().map(|line| escaped(line, 300));
    let said = last.collect::<Vec<_>>().join("; ");
    let status = match status {
        Ok(status) => status,
        Err(error) => return Ended::Lost { why: format!("its exit status is unknown: {error}") },
    };
    let killed =
        meanings.iter().find(|meaning| matches!(meaning, Ended::ByUs | Ended::Lost { .. }));
    match (status.code(), status.signal(), meanings.first(), killed) {
        (Some(0), _, Some(meaning), _) | (_, Some(9), _, Some(meaning)) => meaning.clone(),
        (Some(code), ..) => Ended::Exited { code, said },
        (_, Some(signal), ..) => Ended::Signalled { signal, said },
        _ => Ended::Lost { why: "it ended with neither an exit code nor a signal".into() },
    }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// From now on its standard error is written to another file.
    pub(crate) fn log_to(&self, log: PathBuf) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = log;
    }

    /// Lines of its standard error so far, the first of them, escaped.
    pub(crate) fn said(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.take(SAID_LINES).map(|line| escaped(line, 300)).collect()
    }

    /// What its end will mean.
    pub(crate) fn prospect(&self) -> &Arc<Prospect> {
        &self.prospect
    }

    /// From now on its end is our doing.
    pub(crate) fn expect_end(&self) {
        self.prospect.add(Ended::ByUs);
    }

    /// How it ended, if it did.
    pub(crate) fn has_ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// A receiver that changes when it ends.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Ended>> {
        self.ended.clone()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Ended {
        wait_ended(self.ended.clone()).await
    }

    /// Sends a signal; a process that has ended is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(self.pidfd.get_ref(), signal);
    }

    /// Kills it, from a task that must not keep it alive.
    pub(crate) fn killer(&self) -> impl Fn() + Send + 'static {
        let pidfd = self.pidfd.clone();
        move || {
            let _ = pidfd_send_signal(pidfd.get_ref(), Signal::KILL);
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&self) -> Ended {
        self.expect_end();
        self.signal(Signal::KILL);
        self.ended().await
    }
}

/// Waits for a process's end on its receiver.
pub(crate) async fn wait_ended(mut ended: watch::Receiver<Option<Ended>>) -> Ended {
    match ended.wait_for(Option::is_some).await {
        Ok(how) => how.clone().unwrap_or(Ended::ByUs),
        // The harness itself comes to its end, and its processes with it.
        Err(_) => Ended::ByUs,
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.expect_end();
        if self.has_ended().is_none() {
            self.signal(Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vmm_said_is_escaped_and_bounded() {
        assert_eq!(escaped("\u{1b}[2Jx\n", 9), "\\x1b[2Jx\\x0a");
        assert_eq!(escaped("aaaa", 2), "aa…");
        let said = b"a\nb\nc\n\x1b[31md\n\n";
        let words = ended_how(Ok(ExitStatus::from_raw(256)), said, &[Ended::ByUs]).to_string();
        assert_eq!(words, "exit code 1: b; c; \\x1b[31md");
    }

    #[test]
    fn an_end_means_what_was_known_of_it_only_if_it_comes_in_order() {
        let of = |raw, meanings: &[Ended]| ended_how(Ok(ExitStatus::from_raw(raw)), b"", meanings);
        assert_eq!(of(0, &[Ended::PoweredOff, Ended::ByUs]), Ended::PoweredOff);
        assert_eq!(of(9, &[Ended::PoweredOff, Ended::ByUs]), Ended::ByUs);
        let signal = |signal| Ended::Signalled { signal, said: String::new() };
        assert_eq!(of(9, &[Ended::PoweredOff]), signal(9));
        assert_eq!(of(9, &[]), signal(9));
        assert_eq!(of(11, &[Ended::ByUs]), signal(11));
        assert!(!of(0, &[]).expected());
    }
}
