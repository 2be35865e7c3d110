//! A daemon of one's own, for tests: on a socket in a folder of its own, ended by its process id.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A daemon that starts takes a second; on a busy computer more.
const START: Duration = Duration::from_secs(60);
/// The user that a daemon of root's runs as: libvirt wants one with a name, and this one is everywhere
/// (Debian Policy 9.2.2).
const NOBODY: u32 = 65_534;

/// A libvirt daemon in session mode. Ends when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Child,
    folder: TempDir,
    over: Arc<AtomicBool>,
}

impl Daemon {
    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    /// What went wrong, with what the daemon said.
    pub fn start() -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("hospitium-libvirtd-").tempdir();
        let folder = folder.map_err(|error| format!("making a folder: {error}"))?;
        let base = folder.path();
        let root = rustix::process::geteuid().is_root();
        let made = (|| {
            for name in ["run", "config", "cache", "config/libvirt"] {
                std::fs::create_dir(base.join(name))?;
            }
            // What VMMs say goes straight into files, without another daemon.
            std::fs::write(base.join("config/libvirt/qemu.conf"), "stdio_handler = \"file\"\n")?;
            let socket = base.join("run");
            let text = format!(
                "unix_sock_dir = \"{}\"\nauth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n",
                socket.display()
            );
            std::fs::write(base.join("libvirtd.conf"), text)?;
            if root {
                for name in ["", "run", "config", "config/libvirt", "cache", "libvirtd.conf"] {
                    std::os::unix::fs::lchown(base.join(name), Some(NOBODY), Some(NOBODY))?;
                }
            }
            std::fs::File::create(base.join("log"))
        })();
        let log = made.map_err(|error| format!("making a daemon's files: {error}"))?;
        let mut command = Command::new("libvirtd");
        command
            .arg("-f")
            .arg(base.join("libvirtd.conf"))
            .arg("-p")
            .arg(base.join("run/pid"))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", base)
            .env("XDG_RUNTIME_DIR", base.join("run"))
            .env("XDG_CONFIG_HOME", base.join("config"))
            .env("XDG_CACHE_HOME", base.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let process = command
            .spawn()
            .map_err(|error| format!("libvirtd (Debian: libvirt-daemon): {error}"))?;
        let over = Arc::new(AtomicBool::new(false));
        reap(over.clone());
        let mut daemon = Self { process, folder, over };
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(daemon.socket()).is_err() {
            let ended = daemon.process.try_wait().is_ok_and(|ended| ended.is_some());
            if ended || started.elapsed() > START {
                let said = std::fs::read_to_string(daemon.folder.path().join("log"));
                return Err(format!("libvirtd did not start: {}", said.unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/libvirt-sock")
    }

    /// The connection to it.
    pub fn uri(&self) -> String {
        format!("qemu:///session?socket={}", self.socket().display())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it. Its machines go on.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        self.over.store(true, Ordering::SeqCst);
    }
}

/// VMMs are orphans from their start, and a daemon that ends one waits until its parent has taken note. Where process
/// 1 takes a second for it, as in many containers, so would each machine's end: here we are the parent.
fn reap(over: Arc<AtomicBool>) {
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_err() {
        return;
    }
    let own = std::process::id();
    let work = move || {
        while !over.load(Ordering::SeqCst) {
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
                let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
                if is_dead_vmm(&stat, own) {
                    let _ =
                        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let _ = std::thread::Builder::new().name("reaper".into()).spawn(work);
}

/// Whether /proc/PID/stat (proc_pid_stat(5)) is that of a dead QEMU whose parent is this process.
fn is_dead_vmm(stat: &str, parent: u32) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else { return false };
    let mut words = after.split_whitespace();
    before.contains("(qemu-system")
        && words.next() == Some("Z")
        && words.next() == Some(parent.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_vmms_of_ours_are_taken_note_of() {
        assert!(is_dead_vmm("7 (qemu-system-x86) Z 42 1", 42));
        for other in ["7 (qemu-system-x86) S 42 1", "7 (qemu-system-x86) Z 4 1", "7 (a) Z 42 1", ""]
        {
            assert!(!is_dead_vmm(other, 42), "{other}");
        }
    }
}
