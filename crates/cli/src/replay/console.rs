//! The guest's console on the person's terminal. What the guest prints may be crafted: of control
//! sequences only those for colour are passed on.

use std::io::Write;

use hospitium_system::Console;

use super::keyboard::{Keyboard, Raw};
use crate::out::note;

/// Ctrl-] leaves, as with telnet and virsh.
const LEAVE: u8 = 0x1d;

/// Why the console was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The person left it.
    ByKey,
    /// The machine or the input ended.
    AtEnd,
}

/// Connects the person with the console until Ctrl-].
pub async fn attach(console: &Console, keyboard: &mut Keyboard, from: u64) -> (Left, u64) {
    note!("The console; Ctrl-] leaves it.");
    let raw = Raw::begin();
    let mut filter = Filter::default();
    let mut seen = from;
    let left = loop {
        let total = console.total();
        if total > seen {
            let bytes = console.raw();
            let new = usize::try_from(total - seen).unwrap_or(usize::MAX).min(bytes.len());
            show(&filter.pass(&bytes[bytes.len() - new..]));
            seen = total;
        }
        tokio::select! {
            typed = keyboard.keys() => {
                let Some(mut keys) = typed else { break Left::AtEnd };
                let leave = keys.iter().position(|&key| key == LEAVE);
                if let Some(at) = leave {
                    keyboard.unread(keys.split_off(at + 1));
                    keys.pop();
                }
                if console.write(&keys).await.is_err() {
                    break Left::AtEnd;
                }
                if leave.is_some() {
                    break Left::ByKey;
                }
            }
            changed = console.changed(seen) => {
                if changed.is_err() {
                    break Left::AtEnd;
                }
            }
        }
    };
    drop(raw);
    note!("");
    (left, seen)
}

fn show(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A terminal that went away has nobody before it.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Takes everything out of a guest's bytes that a terminal could take for a command, colours left in.
#[derive(Debug, Default)]
pub struct Filter {
    state: State,
    sequence: Vec<u8>,
    /// The first byte of a character of two bytes that could be a C1 control.
    pending: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// `ESC [ …`, up to a byte from `@` to `~` (ECMA-48, 5.4).
    Sequence,
    /// `ESC ]`, `ESC P` and the like, up to BEL or `ESC \`.
    String,
    StringEscape,
}

/// The longest colour sequence that is passed on.
const LONGEST: usize = 32;

impl Filter {
    /// What of these bytes may be shown.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.take(byte, &mut shown);
        }
        shown
    }

    fn take(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, shown),
            State::Escape => {
                self.sequence.clear();
                self.state = match byte {
                    b'[' => State::Sequence,
                    b']' | b'P' | b'X' | b'^' | b'_' => State::String,
                    0x1b => State::Escape,
                    _ => State::Text,
                };
            }
            State::Sequence => match byte {
                b'm' => {
                    if self.sequence.len() <= LONGEST {
                        shown.extend(b"\x1b[");
                        shown.append(&mut self.sequence);
                        shown.push(b'm');
                    }
                    self.state = State::Text;
                }
                b'0'..=b'9' | b';' | b':' => {
                    if self.sequence.len() <= LONGEST {
                        self.sequence.push(byte);
                    }
                }
                0x1b => self.state = State::Escape,
                0x40..=0x7e => self.state = State::Text,
                // Whatever else is in it, it is no colour.
                _ => self.sequence = vec![b'0'; LONGEST + 1],
            },
            State::String => match byte {
                0x07 => self.state = State::Text,
                0x1b => self.state = State::StringEscape,
                _ => {}
            },
            State::StringEscape => {
                self.state = if byte == b'\\' { State::Text } else { State::String };
            }
        }
    }

    fn text(&mut self, byte: u8, shown: &mut Vec<u8>) {
        if std::mem::take(&mut self.pending) {
            // U+0080 to U+009F are controls.
            if matches!(byte, 0x80..=0x9f) {
                return;
            }
            shown.push(0xc2);
        }
        match byte {
            0x1b => self.state = State::Escape,
            0xc2 => self.pending = true,
            b'\n' | b'\r' | b'\t' | 0x08 | 0x20..=0x7e | 0x80.. => shown.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(parts: &[&[u8]]) -> Vec<u8> {
        let mut filter = Filter::default();
        parts.iter().flat_map(|part| filter.pass(part)).collect()
    }

    #[test]
    fn text_and_colours_pass() {
        for good in [&b"login: \r\n\x1b[1;32mroot\x1b[0m\t#\x08 \xc3\xa9 \xc2\xa7"[..], b"\x1b[m"] {
            assert_eq!(filtered(&[good]), good);
        }
    }

    #[test]
    fn commands_to_the_terminal_do_not_pass() {
        for (bad, rest) in [
            (&b"a\x1b[2Jb"[..], &b"ab"[..]),
            (b"a\x1b]0;title\x07b", b"ab"),
            (b"a\x1b]52;c;aGk=\x1b\\b", b"ab"),
            (b"a\x1bP+q\x1b\\b", b"ab"),
            (b"a\x1bcb", b"ab"),
            (b"a\x1b[6nb", b"ab"),
            (b"a\x1b[?25hb", b"ab"),
            (b"a\x1b[>4;1mb", b"ab"),
            (b"a\xc2\x9b2Jb", b"a2Jb"),
            (b"a\x07\x0eb", b"ab"),
            (b"a\x1b\x1b[2Jb", b"ab"),
        ] {
            assert_eq!(filtered(&[bad]), rest, "{}", bad.escape_ascii());
            let single: Vec<&[u8]> = bad.chunks(1).collect();
            assert_eq!(filtered(&single), rest, "byte by byte: {}", bad.escape_ascii());
        }
    }

    #[test]
    fn an_endless_sequence_is_not_kept() {
        let mut filter = Filter::default();
        filter.pass(b"\x1b[");
        filter.pass(&vec![b'1'; 1 << 20]);
        assert!(filter.sequence.len() <= LONGEST + 1);
        assert_eq!(filter.pass(b"mok"), b"ok");
    }
}
