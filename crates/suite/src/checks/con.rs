//! Graphics and console.

use std::time::Duration;

use hospitium_host::Screenshot;
use hospitium_model::{Capability, Finding, HostSource, Inside, Observations};

use super::wait::until;
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&SERIAL, &SERIAL_MIGRATED, &SERIAL_BACK, &FRAMEBUFFER, &INPUT];

/// How long a line may take from one side to the other.
const LINE: Duration = Duration::from_secs(10);
/// How long what was drawn may take to be seen: displays are redrawn on a clock of their own.
const REDRAW: Duration = Duration::from_secs(2);
/// How long keys may be on their way.
const TYPED: Duration = Duration::from_secs(10);

/// What comes in on the serial line while this is written to it from outside. Whoever listens there goes on
/// afterwards, come what may.
async fn heard(cell: &mut Cell, words: &str) -> Result<Inside<String>, CheckError> {
    cell.system().listen().await?;
    let written = cell.console.write(format!("{words}\n").as_bytes()).await;
    let heard = match written {
        Ok(()) => cell.system().hear(LINE).await.map_err(CheckError::from),
        Err(error) => Err(error.into()),
    };
    cell.system().stop_listening().await?;
    Ok(heard?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

check! {
    /// What the guest writes to its serial console arrives at the host, and what the host writes at the guest.
    pub SERIAL = "con.serial-two-way", tier: Reads, needs: [],
        fault: Fault::Guest("hear", |_, told| *told = Vec::<u8>::new().into()),
        lives: [SERIAL_MIGRATED = MIGRATE, SERIAL_BACK = MIGRATE_BACK];
    async fn serial(cell) {
        let there = format!("hospitium-{:016x}", cell.pattern(0).word(0));
        let back = format!("hospitium-{:016x}", cell.pattern(1).word(0));
        cell.live().await?;
        let from = cell.console.line_count();
        let written = cell.system().say(&there).await?.map(|bytes| bytes > there.len());
        let seen = cell.sees(&there, from, LINE).await;
        let seen = HostSource::Wire.saw(if seen { there.clone() } else { "nothing".to_owned() });
        let heard = heard(cell, &back).await?;
        Ok(Observations::of([
            Finding::each("a line that the guest writes", written, true, seen, there),
            Finding::guest_is("a line that is written to it", heard, back),
        ]))
    }
}

/// Pixels in which two pictures differ; all where their sizes do.
fn changed(before: &Screenshot, after: &Screenshot) -> usize {
    if (before.width, before.height) != (after.width, after.height) {
        return after.rgb.len() / 3;
    }
    let pixels = before.rgb.chunks_exact(3).zip(after.rgb.chunks_exact(3));
    pixels.filter(|(before, after)| before != after).count()
}

check! {
    /// The display shows what the guest draws, and changes when the guest draws something else.
    pub FRAMEBUFFER = "con.framebuffer-alive", tier: Reads,
        needs: [Need::Display, Need::Host(Capability::Screenshot), Need::Facet(FacetKind::Display)],
        fault: Fault::Seam(SeamFault::BlackScreen);
    async fn framebuffer(cell) {
        let mode = cell.system().display().await?;
        let word = cell.pattern(0).word(0);
        let text = format!("\r\nHospitium draws {word:016x} on this display.\r\n").repeat(8);
        let before = cell.display()?.screenshot().await?;
        let drawn = cell.system().draw(&text).await?;
        // A letter has more than one pixel, and a cursor that blinks fewer than these are.
        let least = text.len();
        let ask = async || Ok(cell.display()?.screenshot().await?);
        let after = until(REDRAW, ask, |now| changed(&before, now) >= least).await?;
        cell.keep_picture("display", after.png()?);
        let pixels = HostSource::Wire.saw(changed(&before, &after) >= least);
        let colours = HostSource::Wire.saw(after.colours() as f64);
        let size = HostSource::Wire.saw(format!("{} × {}", after.width, after.height));
        let mut seen = Observations::of([
            Finding::each("bytes drawn, and as many pixels changed", drawn, text.len(), pixels, true),
            Finding::host_between("colours", "", colours, 2.0, 65536.0),
            Finding::recorded("mode").inside(mode).outside(size),
        ]);
        seen.note(format!("{} pixels changed", changed(&before, &after)));
        Ok(seen)
    }
}

/// Keys, by their names and their codes in the guest (Linux input-event-codes.h).
const KEYS: [(&str, u16); 3] = [("h", 35), ("o", 24), ("s", 31)];

check! {
    /// Keys typed at the machine's keyboard arrive in the guest, in order.
    pub INPUT = "con.input", tier: Reversible,
        needs: [Need::Host(Capability::SendKeys), Need::Driver("keyboard"), Need::Facet(FacetKind::Display)],
        fault: Fault::Seam(SeamFault::Ignore(Call::SendKey));
    async fn input(cell) {
        for name in ["keyboard", "usb-input"] {
            cell.system().load_driver(name).await?;
        }
        let keyboards = cell.system().open_keyboards().await?;
        for (key, _) in KEYS {
            cell.display()?.send_key(key).await?;
        }
        let codes = cell.system().keys(KEYS.len(), TYPED).await?;
        let typed: Vec<u16> = KEYS.iter().map(|(_, code)| *code).collect();
        let seen = Observations::of([
            Finding::guest_is("key codes", codes, typed),
            Finding::recorded("keyboards").inside(keyboards),
        ]);
        Ok(seen.only_one_witness("keys are typed from outside; what arrives of them, only the guest sees"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_changed_by_a_cursor_is_told_from_one_that_was_drawn_on() {
        let shot = |rgb: Vec<u8>| Screenshot { width: 4, height: 1, rgb };
        let black = shot(vec![0; 12]);
        let mut cursor = black.clone();
        cursor.rgb[3] = 200;
        assert_eq!(changed(&black, &black), 0);
        assert_eq!(changed(&black, &cursor), 1);
        assert_eq!(changed(&black, &Screenshot { width: 2, height: 2, rgb: vec![0; 12] }), 4);
    }
}
