//! Bytes of a guest made fit for a person's eyes: one line, no controls, no tricks.

use std::fmt::Write as _;

/// A line of a guest as it may be shown: terminal sequences are taken out, other control
/// characters and characters that reorder text are written as escapes (`\x07`, `\u{202e}`),
/// bytes that are not UTF-8 become `\xNN`. Markup is left to whoever writes markup.
pub fn visible(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len());
    let stripped = strip_sequences(line);
    for chunk in stripped.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_visible(&mut out, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same for text, cut to about `most` characters.
pub fn short(text: &str, most: usize) -> String {
    hospitium_model::escaped(&text.replace('\t', " "), most)
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\t' => out.push(' '),
        c => hospitium_model::push_escaped(out, c),
    }
}

/// Takes out carriage returns and the escape sequences of ECMA-48: CSI (`ESC [` … final), strings
/// (`ESC ]`, `P`, `X`, `^`, `_` … up to BEL or ST) and two-character ones.
fn strip_sequences(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\r' => {}
            0x1b => rest = after_sequence(tail),
            _ => out.push(byte),
        }
    }
    out
}

fn after_sequence(tail: &[u8]) -> &[u8] {
    match tail.split_first() {
        Some((b'[', parameters)) => {
            let used = parameters.iter().take_while(|b| (0x20..0x40).contains(*b)).count();
            let rest = &parameters[used..];
            match rest.first() {
                Some(0x40..=0x7e) => &rest[1..],
                _ => rest,
            }
        }
        Some((b']' | b'P' | b'X' | b'^' | b'_', string)) => {
            let end = string.iter().position(|&b| b == 0x07 || b == 0x1b);
            match end {
                Some(at) if string[at] == 0x07 => &string[at + 1..],
                Some(at) if string.get(at + 1) == Some(&b'\\') => &string[at + 2..],
                Some(at) => &string[at..],
                // Without its end it would swallow what a person should see.
                None => string,
            }
        }
        Some((0x20..=0x2f, two)) => two.get(1..).unwrap_or_default(),
        Some((0x30..=0x7e, rest)) => rest,
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_are_taken_out() {
        assert_eq!(visible(b"\x1b[31;1mred\x1b[0m plain\r"), "red plain");
        assert_eq!(visible(b"\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y"), "xy");
        assert_eq!(visible(b"a\x1b(Bb\x1bc"), "ab");
    }

    #[test]
    fn what_is_left_of_controls_is_escaped() {
        assert_eq!(visible(b"a\x07b\x00c\x9b"), "a\\x07b\\x00c\\x9b");
        assert_eq!(visible("x\u{202e}y\u{9b}31m".as_bytes()), "x\\u{202e}y\\u{9b}31m");
    }

    #[test]
    fn no_input_can_put_an_escape_character_through() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let line = [0x1b, first, second, 0x1b, b'[', second, b'm', b'z'];
                let shown = visible(&line);
                assert!(shown.chars().all(|c| !c.is_control()), "{line:?} gave {shown:?}");
            }
        }
    }

    #[test]
    fn an_unfinished_string_does_not_hide_the_line() {
        assert_eq!(visible(b"\x1b]Kernel panic"), "Kernel panic");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(short("abcdef", 3), "abc…");
        assert_eq!(short("ab\n", 3), "ab\\x0a");
    }
}
