//! Consoles, displays and keyboards of a Linux guest.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestKind;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_wire::{Flags, errno};
use tokio::time::Instant;

use super::{LinuxSystem, read};
use crate::ask::Terminals;
use crate::{Done, SessionError, Told};

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
                Err(SessionError::Guest { code: errno::ETIMEDOUT, .. }) => break,
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
