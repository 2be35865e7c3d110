//! Graphics and console.

use std::time::Duration;

use hospitium_model::{Capability, Finding, GuestKind, Observations, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::{Flags, Request};

use super::{load, read};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&SERIAL, &FRAMEBUFFER, &INPUT];

check! {
    /// What the guest writes to its serial console arrives at the host, and what the host writes at the guest.
    pub SERIAL = "con.serial-two-way", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadDevice { .. } | Request::Echo { .. }, OwnedReply::Data(data)) = (request, reply) {
                data.clear();
            }
        });
    async fn serial(cell) {
        let there = format!("hospitium-{:016x}", cell.pattern(0).word(0));
        let back = format!("hospitium-{:016x}", cell.pattern(1).word(0));
        let from = cell.console.line_count();
        let line = format!("\n{there}\n");
        cell.guest.write_file("/dev/console", line.as_bytes(), Flags::default()).await?;
        let seen = cell.sees(&there, from, Duration::from_secs(10)).await;
        let host = if seen { there.clone() } else { "nothing".to_owned() };
        let mut all = Observations::of([Finding::same("guest to host", there, host)]);
        let text = match cell.lab().guest().facts().kind {
            // On a whole system a login waits on the console and would take the words away.
            GuestKind::Disk => {
                all.note("host to guest goes over the probe's channel: a login listens on the console");
                cell.guest.echo(back.as_bytes()).await?
            }
            GuestKind::Kernel => {
                cell.console.write(format!("{back}\n").as_bytes()).await?;
                cell.guest.read_device("/dev/ttyS0", 256, Duration::from_secs(5)).await?
            }
        };
        let text = String::from_utf8_lossy(&text);
        all.push(Finding::same("host to guest", text.trim(), back));
        Ok(all)
    }
}

/// What the guest's display is, by its own account.
async fn display_mode(cell: &mut Cell) -> Result<String, CheckError> {
    let size = read::text_if_there(&cell.guest, "/sys/class/graphics/fb0/virtual_size").await?;
    Ok(match size {
        Some(size) => format!("frame buffer {}", size.replace(',', " × ")),
        None => "VGA text".to_owned(),
    })
}

check! {
    /// The display shows what the guest draws, and changes when the guest draws something else.
    pub FRAMEBUFFER = "con.framebuffer-alive", tier: Reads,
        needs: [Need::Display, Need::Host(Capability::Screenshot)],
        fault: Fault::Seam(SeamFault::BlackScreen);
    async fn framebuffer(cell) {
        let mode = display_mode(cell).await?;
        let before = cell.display()?.screenshot().await?;
        let text = "\r\nHospitium draws on this display.\r\n".repeat(8);
        let tty = ["/dev/tty1", "/dev/tty0"];
        let mut written = 0;
        for path in tty {
            if cell.guest.write_file(path, text.as_bytes(), Flags::default()).await.is_ok() {
                written = text.len();
                break;
            }
        }
        let mut after = before.clone();
        // The VGA emulation redraws on its own clock.
        for _ in 0..20 {
            after = cell.display()?.screenshot().await?;
            if after != before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cell.keep_picture("display", after.png()?);
        Ok(Observations::of([
            Finding::recorded("mode").inside(Value::from(mode)).outside(Value::from(format!("{} × {}", after.width, after.height))),
            Finding::guest_is("bytes drawn", written, text.len()),
            Finding::host_between("colours", "", after.colours() as f64, 2.0, 65536.0),
            Finding::host_is("the picture changed", before != after, true),
        ]))
    }
}

/// Linux input event codes (input-event-codes.h): EV_KEY, and the codes of the keys typed.
const EV_KEY: u16 = 1;
const KEYS: [(&str, u16); 3] = [("h", 35), ("o", 24), ("s", 31)];

check! {
    /// Keys typed at the machine's keyboard arrive in the guest, in order.
    pub INPUT = "con.input", tier: Reversible, needs: [Need::Host(Capability::SendKeys), Need::Driver("keyboard")],
        fault: Fault::Seam(SeamFault::Ignore(Call::SendKey));
    async fn input(cell) {
        for name in ["keyboard", "usb-input"] {
            load::driver(cell, name).await?;
        }
        let mut slots = 0;
        let mut keyboards: Vec<Value> = Vec::new();
        for name in read::names(&cell.guest, "/sys/class/input").await? {
            if !name.starts_with("event") || slots == 6 {
                continue;
            }
            let device = read::text(&cell.guest, &format!("/sys/class/input/{name}/device/name")).await?;
            if device.to_ascii_lowercase().contains("keyboard") {
                cell.guest.input_open(slots, &format!("/dev/input/{name}")).await?;
                keyboards.push(device.into());
                slots += 1;
            }
        }
        for (key, _) in KEYS {
            cell.display()?.send_key(key).await?;
        }
        let mut codes = Vec::new();
        for round in 0..20 {
            for slot in 0..slots {
                let events = cell.guest.input_read(slot, Duration::from_millis(if round == 0 { 0 } else { 100 })).await?;
                codes.extend(events.iter().filter(|e| e.kind == EV_KEY && e.value == 1).map(|e| e.code));
            }
            if codes.len() >= KEYS.len() {
                break;
            }
        }
        let typed: Vec<u16> = KEYS.iter().map(|(_, code)| *code).collect();
        Ok(Observations::of([
            Finding::same("key codes", codes, typed),
            Finding::recorded("keyboards").inside(Value::from(Value::List(keyboards))),
        ]))
    }
}
