//! Marks for people and for the harness that reads the console.

use super::process;
use super::sys::{self, Fd, O_NOCTTY, O_NONBLOCK, O_WRONLY};

/// Room for one line; longer ones are cut.
const LINE: usize = 512;

/// Says one line made of `parts`: process 1 on the console, others there too if they may, else
/// on standard output.
pub fn say(parts: &[&str]) {
    let mut line = [0; LINE];
    let mut used = 0;
    for byte in parts.iter().flat_map(|part| part.bytes()).take(LINE - 1) {
        line[used] = byte;
        used += 1;
    }
    line[used] = b'\n';
    let line = &line[..=used];
    if process::is_init() {
        if let Ok(console) = sys::open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK, 0) {
            let _ = sys::write_all(&console, line);
        }
        return;
    }
    let output = Fd::from_call(1);
    let _ = sys::write_all(&output, line);
    core::mem::forget(output);
}

/// A number in decimal.
pub fn decimal(number: i32, text: &mut [u8; 11]) -> &str {
    let mut rest = number.unsigned_abs();
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    core::str::from_utf8(&text[at..]).unwrap_or("?")
}
