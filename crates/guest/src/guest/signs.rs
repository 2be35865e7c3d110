//! Watching console and screen for a saying that a boot will not go on.

use std::time::{Duration, Instant};

use hospitium_host::{EventKind, Machine};
use hospitium_system::Console;
use hospitium_system::text::short;

use super::error::{GuestError, LAST, Seen};
use super::screen;
use super::trouble::{Kind, Sign, recognise};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// The screen is looked at when the console has been silent for so long, and as often.
const SCREEN: Duration = Duration::from_secs(4);

/// How a boot ended.
pub struct Ending {
    sign: &'static Sign,
    said: String,
    place: Seen,
}

impl Ending {
    /// As an error, with the console's last lines.
    pub fn into_error(self, begun: Instant, console: &Console) -> GuestError {
        let Self { sign: &Sign { by, means, kind, .. }, said, place } = self;
        let (waited, last) = (begun.elapsed(), console.last_lines(LAST));
        match kind {
            Kind::NotBootable => GuestError::NotBootable { waited, by, said, place, means, last },
            Kind::NoRoot => GuestError::NeedsInitrd { said, place, means, last },
            Kind::Panic => {
                GuestError::Panicked { waited, panic: format!("{said} (on the {place})"), last }
            }
            Kind::Shell => GuestError::Stopped { by, said, place, means, last },
            Kind::NoChannel => GuestError::ChannelUnseen { means, last },
        }
    }
}

/// A saying that counts if nothing follows it.
struct Pending {
    sign: &'static Sign,
    said: String,
    since: Instant,
    /// Lines that have followed.
    followed: u32,
}

impl Pending {
    fn keep(slot: &mut Option<Self>, sign: &'static Sign, said: String) {
        // What was there before keeps its time: a prompt is there for as long as it is seen.
        match slot {
            Some(there) if there.sign == sign => there.followed = 0,
            _ => *slot = Some(Self { sign, said, since: Instant::now(), followed: 0 }),
        }
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() >= self.sign.grace
    }
}

/// Waits until console or screen say that the boot will not go on. Panics on the console are left to who
/// waits for them with more patience for their text.
pub async fn until_one(machine: &dyn Machine, console: &Console) -> Ending {
    // After a reset the console shows the boots before as well.
    let again = machine.events().iter().any(|e| matches!(e.kind, EventKind::Reset { .. }));
    let mut from = if again { console.line_count() } else { 0 };
    let (mut on_console, mut on_screen) = (None::<Pending>, None::<Pending>);
    let mut looked = Instant::now();
    let mut sees = true;
    let mut seen = String::new();
    loop {
        for (number, line) in console.lines_since(from) {
            from = number + 1;
            look_at(&line, true, &mut on_console);
        }
        // The line that has not ended: a prompt.
        let unfinished = console.last_lines(1).0.pop().unwrap_or_default();
        if unfinished != seen {
            look_at(&unfinished, false, &mut on_console);
            seen = unfinished;
        }
        if let Some(Pending { sign, said, .. }) = on_console.take_if(|pending| pending.is_over()) {
            return Ending { sign, said, place: Seen::Console };
        }
        if sees && looked.elapsed() >= SCREEN && console.silent_for() >= SCREEN {
            looked = Instant::now();
            let picture = match machine.display() {
                Ok(display) => display.screenshot().await.ok(),
                Err(_) => None,
            };
            match picture {
                Some(picture) => match screen::recognise(&picture) {
                    Some(sign) => Pending::keep(&mut on_screen, sign, sign.says.to_owned()),
                    None => on_screen = None,
                },
                // No display, or none that can be asked for.
                None => sees = false,
            }
            if let Some(Pending { sign, said, .. }) = on_screen.take_if(|pending| pending.is_over())
            {
                return Ending { sign, said, place: Seen::Screen };
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the console says of a boot that will not go on, whatever followed it and however short ago that was: for
/// one of which something else shows already that it does not go on.
pub fn on_console(console: &Console) -> Option<Ending> {
    let mut pending = None;
    for (_, line) in console.lines_since(0) {
        look_at(&line, true, &mut pending);
    }
    look_at(&console.last_lines(1).0.pop().unwrap_or_default(), false, &mut pending);
    pending.map(|Pending { sign, said, .. }| Ending { sign, said, place: Seen::Console })
}

/// Takes note of a saying; whatever else is printed after one shows that the boot goes on. A line that has not
/// `ended` is looked at each time that it has grown, and is one line all the same.
fn look_at(line: &str, ended: bool, pending: &mut Option<Pending>) {
    if line.trim().is_empty() {
        return;
    }
    match recognise(line) {
        Some(sign) if matches!(sign.kind, Kind::Panic | Kind::NoRoot) => {}
        Some(sign) => Pending::keep(pending, sign, short(line.trim(), 200)),
        None => {
            if let Some(there) = pending {
                let followed = there.followed + 1;
                if followed > there.sign.lines {
                    *pending = None;
                } else if ended {
                    there.followed = followed;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_stays_one_however_much_of_what_the_harness_sends_is_echoed_behind_it() {
        let mut pending = None;
        look_at("UEFI Interactive Shell v2.2", true, &mut pending);
        for line in ["EDK II", "Mapping table", "Press ESC in 5 seconds to skip startup.nsh"] {
            look_at(line, true, &mut pending);
        }
        let mut prompt = "Shell> ".to_owned();
        while prompt.len() < 4000 {
            look_at(&prompt, false, &mut pending);
            prompt.push_str("\u{1}g\u{fffd}Lh\u{fffd}");
        }
        assert_eq!(pending.as_ref().map(|there| there.sign.says), Some("Shell>"));
        // What has no prompt before it is one line as well, until it ends.
        for echo in ["g", "g?", "g?Lh", "g?Lh?"].repeat(5) {
            look_at(echo, false, &mut pending);
        }
        assert!(pending.is_some());
    }

    #[test]
    fn a_boot_that_goes_on_takes_a_saying_back() {
        let mut pending = None;
        look_at("error: no such device: 2b4b1c8e", true, &mut pending);
        assert!(pending.is_some());
        look_at("Booting", false, &mut pending);
        assert!(pending.is_none(), "the first letters of another line are enough");

        look_at("Shell> ", false, &mut pending);
        for number in 0..9 {
            assert!(pending.is_some(), "{number}");
            look_at(&format!("[    0.{number}] Linux"), true, &mut pending);
        }
        assert!(pending.is_none());
    }
}
