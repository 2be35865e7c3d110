//! Consoles, displays and keyboards of a Linux guest.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestKind;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_wire::{Flags, Refusal};
use tokio::time::Instant;

use super::{LinuxSystem, read};
use crate::ask::Terminals;
use crate::{Done, Told};

/// The first serial port.
const SERIAL: &str = "/dev/ttyS0";
/// Whatever the kernel's console is.
const CONSOLE: &str = "/dev/console";
/// Keyboards that are opened at most: a session has 8 slots.
const KEYBOARDS: u8 = 6;
/// EV_KEY (Linux input-event-codes.h).
const EV_KEY: u16 = 1;

/// The most of a line that is heard.
const LINE: usize = 256;
/// No system has more processes.
const PROCESSES: usize = 1 << 16;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LinuxSystem {
    /// Numbers of the processes that have the serial console as their standard input, but the probe's own:
    /// getty, login and shell read from there, under any init. Parents come before their children.
    async fn readers(&self) -> Done<Vec<u32>> {
        let guest = &self.session;
        let ours = read::link(guest, "/proc/self/exe").await?;
        let mut all: Vec<u32> =
            guest.list("/proc").await?.iter().filter_map(|name| name.parse().ok()).collect();
        all.sort_unstable();
        all.truncate(PROCESSES);
        let mut readers = Vec::new();
        // The first process only writes to it.
        for pid in all.into_iter().filter(|pid| *pid > 1) {
            let input = read::link(guest, &format!("/proc/{pid}/fd/0")).await?;
            if !input.is_some_and(|input| input == SERIAL || input == CONSOLE) {
                continue;
            }
            if read::link(guest, &format!("/proc/{pid}/exe")).await? != ours {
                readers.push(pid);
            }
        }
        Ok(readers)
    }

    /// Sends a signal by the shell's own `kill`, which every system has.
    async fn signal(&self, signal: &str, processes: &[u32]) -> Done {
        if processes.is_empty() {
            return Ok(());
        }
        // One that has ended meanwhile is no trouble.
        let line: String = processes.iter().map(|pid| format!("kill -{signal} {pid};")).collect();
        let limit = Duration::from_secs(10);
        self.session.run(&["/bin/sh", "-c", &line], limit).await?;
        Ok(())
    }
}

#[async_trait]
impl Terminals for LinuxSystem {
    async fn say(&self, line: &str) -> Told<usize> {
        let bytes = format!("\n{line}\n");
        self.session.write_file(CONSOLE, bytes.as_bytes(), Flags::default()).await?;
        Ok(Kernel.saw(bytes.len()))
    }

    async fn listen(&self) -> Done {
        if self.kind == GuestKind::Kernel {
            // Only the probe runs.
            return Ok(());
        }
        let readers = self.readers().await?;
        // Written down first: a question that is given up half way is put right all the same.
        locked(&self.still).clone_from(&readers);
        self.signal("STOP", &readers).await
    }

    async fn hear(&self, limit: Duration) -> Told<Vec<u8>> {
        let until = Instant::now() + limit;
        let mut heard = Vec::new();
        // Where no line discipline collects lines, they come in parts.
        while !heard.ends_with(b"\n") && heard.len() < LINE {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.session.read_device(SERIAL, LINE as u32, left).await {
                Ok(part) => heard.extend(part),
                Err(error) if error.refusal() == Some(Refusal::Timeout) => break,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Device.saw(heard))
    }

    async fn stop_listening(&self) -> Done {
        let mut readers = std::mem::take(&mut *locked(&self.still));
        // A shell that goes on before its job finds the job stopped, and takes the terminal back.
        readers.reverse();
        self.signal("CONT", &readers).await
    }

    async fn display(&self) -> Told<String> {
        let size =
            read::text_if_there(&self.session, "/sys/class/graphics/fb0/virtual_size").await?;
        Ok(Kernel.saw(match size {
            Some(size) => format!("frame buffer {}", size.replace(',', " × ")),
            None => "VGA text".to_owned(),
        }))
    }

    async fn draw(&self, text: &str) -> Told<usize> {
        for path in ["/dev/tty1", "/dev/tty0"] {
            if self.session.write_file(path, text.as_bytes(), Flags::default()).await.is_ok() {
                return Ok(Kernel.saw(text.len()));
            }
        }
        Ok(Kernel.saw(0))
    }

    async fn open_keyboards(&self) -> Told<Vec<String>> {
        let mut names = Vec::new();
        let mut slots = 0;
        for name in read::names(&self.session, "/sys/class/input").await? {
            if !name.starts_with("event") || slots == KEYBOARDS {
                continue;
            }
            let file = format!("/sys/class/input/{name}/device/name");
            let device = read::text(&self.session, &file).await?;
            if device.to_ascii_lowercase().contains("keyboard") {
                self.session.input_open(slots, &format!("/dev/input/{name}")).await?;
                names.push(device);
                slots += 1;
            }
        }
        self.keyboards.store(slots, Ordering::Relaxed);
        Ok(Kernel.saw(names))
    }

    async fn keys(&self, count: usize, limit: Duration) -> Told<Vec<u16>> {
        let until = Instant::now() + limit;
        let slots = self.keyboards.load(Ordering::Relaxed);
        let mut codes = Vec::new();
        let mut wait = Duration::ZERO;
        while codes.len() < count && (wait.is_zero() || Instant::now() < until) {
            for slot in 0..slots {
                let events = self.session.input_read(slot, wait).await?;
                codes.extend(
                    events.iter().filter(|e| e.kind == EV_KEY && e.value == 1).map(|e| e.code),
                );
            }
            if slots == 0 {
                break;
            }
            wait = Duration::from_millis(100);
        }
        Ok(Device.saw(codes))
    }
}

#[cfg(test)]
mod tests {
    use hospitium_wire::{Domain, Reply, Request};

    use super::*;
    use crate::linux::stand_in;

    /// Command lines that a guest was given.
    static RUN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    const PROCESSES: stand_in::Folders =
        &[("/proc", &["1", "2", "7", "300", "301", "302", "55", "self", "meminfo"])];

    /// A login under sysvinit (300, its shell 301, the probe 302) and a shell that busybox's init keeps on the
    /// console (7); 2 is a kernel thread, and 55 a service.
    fn guest(asked: &Request<'_>) -> Option<Reply<'static>> {
        let link = |target: &'static str| Some(Reply::Data { data: target.as_bytes() });
        match asked {
            Request::ReadLink { path } => match *path {
                "/proc/1/fd/0" | "/proc/7/fd/0" => link("/dev/console"),
                "/proc/300/fd/0" | "/proc/301/fd/0" | "/proc/302/fd/0" => link("/dev/ttyS0"),
                "/proc/55/fd/0" => link("/dev/null"),
                "/proc/self/exe" | "/proc/302/exe" => link("/run/hospitium-probe"),
                "/proc/300/exe" => link("/bin/login"),
                "/proc/7/exe" | "/proc/301/exe" => link("/bin/busybox"),
                _ => None,
            },
            Request::Run { arguments, .. } => {
                let words = arguments.split(|&byte| byte == 0).map(String::from_utf8_lossy);
                locked(&RUN).push(words.collect::<Vec<_>>().join(" ").trim().to_owned());
                Some(Reply::Exit { code: 0, output: &[] })
            }
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_line_that_does_not_come_is_nothing_heard_and_no_error() {
        let silent = |asked: &Request<'_>| match asked {
            Request::ReadDevice { path: SERIAL, .. } => {
                let (domain, code) = (Domain::Probe, Refusal::Timeout.code());
                Some(Reply::Failed { domain, code, call: "read" })
            }
            _ => None,
        };
        let system = stand_in::system(GuestKind::Kernel, &[], silent);
        assert!(system.hear(Duration::from_secs(5)).await.expect("an answer").value.is_empty());
    }

    #[tokio::test]
    async fn whoever_reads_from_the_console_holds_still_and_goes_on_children_first() {
        let system = stand_in::system(GuestKind::Disk, PROCESSES, guest);
        system.listen().await.expect("they hold still");
        system.stop_listening().await.expect("they go on");
        system.stop_listening().await.expect("nobody is left");
        let run = std::mem::take(&mut *locked(&RUN));
        assert_eq!(
            run,
            [
                "/bin/sh -c kill -STOP 7;kill -STOP 300;kill -STOP 301;",
                "/bin/sh -c kill -CONT 301;kill -CONT 300;kill -CONT 7;"
            ]
        );
    }
}
