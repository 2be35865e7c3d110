//! Consoles, displays and keyboards of a Linux guest.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_wire::Flags;

use super::{LinuxSystem, read};
use crate::ask::Terminals;
use crate::{Done, Told};

/// The first serial port.
const SERIAL: &str = "/dev/ttyS0";
/// Keyboards that are opened at most: a session has 8 slots.
const KEYBOARDS: u8 = 6;
/// EV_KEY (Linux input-event-codes.h).
const EV_KEY: u16 = 1;

#[async_trait]
impl Terminals for LinuxSystem {
    async fn say(&self, line: &str) -> Told<usize> {
        let bytes = format!("\n{line}\n");
        self.session.write_file("/dev/console", bytes.as_bytes(), Flags::default()).await?;
        Ok(Kernel.saw(bytes.len()))
    }

    async fn listen(&self) -> Done {
        Ok(())
    }

    async fn hear(&self, limit: Duration) -> Told<Vec<u8>> {
        Ok(Device.saw(self.session.read_device(SERIAL, 256, limit).await?))
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
        let until = tokio::time::Instant::now() + limit;
        let slots = self.keyboards.load(Ordering::Relaxed);
        let mut codes = Vec::new();
        let mut wait = Duration::ZERO;
        while codes.len() < count && (wait.is_zero() || tokio::time::Instant::now() < until) {
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
