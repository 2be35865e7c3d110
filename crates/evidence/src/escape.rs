//! Makes what a guest printed harmless to look at.
//!
//! Terminal escapes, other control characters, bytes that are no UTF-8, and characters that turn
//! or hide text are written as `\x1b` or `\u{202e}`. What came is in `console.raw`.

/// Turns console bytes into harmless lines, piece by piece.
#[derive(Debug, Default)]
pub struct ConsoleText {
    /// The start of a character, or a carriage return, whose rest has not come yet.
    held: Vec<u8>,
}

impl ConsoleText {
    /// The harmless text of the next bytes. Up to three bytes may be held back for the next call.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let keep = incomplete(&all);
        self.held = all.split_off(all.len() - keep);
        escape_bytes(&all)
    }

    /// What was held back.
    pub fn finish(&mut self) -> String {
        escape_bytes(&std::mem::take(&mut self.held))
    }
}

/// How many bytes at the end may be the start of something.
fn incomplete(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    (1..=bytes.len().min(3))
        .find(|n| {
            let tail = &bytes[bytes.len() - n..];
            tail[0] >= 0xc0 && std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none())
        })
        .unwrap_or(0)
}

/// Harmless text of several lines: `\n` and `\r\n` end a line, a tab stays.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut chars = chunk.valid().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' if chars.peek() == Some(&'\n') => {}
                '\n' => out.push('\n'),
                c => push(&mut out, c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Harmless text of one line: line ends are escaped as well.
pub fn escape_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\t' => out.push('\t'),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        c => hospitium_model::push_escaped(out, c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_turns_are_shown_not_done() {
        assert_eq!(escape_bytes(b"a\x1b[2Jb\r\nc\rd\x00"), "a\\x1b[2Jb\nc\\rd\\x00");
        assert_eq!(escape_bytes("x\u{202e}y\u{9b}".as_bytes()), "x\\u{202e}y\\u{9b}");
        assert_eq!(escape_bytes(b"\xff\xfe ok"), "\\xff\\xfe ok");
        assert_eq!(escape_line("a\nb"), "a\\nb");
    }

    #[test]
    fn text_cut_anywhere_gives_the_same_lines() {
        let all = "größe\r\n日本\r\n\u{1f600}\rx".as_bytes();
        let whole = escape_bytes(all);
        for cut in 0..=all.len() {
            let mut text = ConsoleText::default();
            let mut got = text.push(&all[..cut]);
            got += &text.push(&all[cut..]);
            got += &text.finish();
            assert_eq!(got, whole, "cut at {cut}");
        }
    }
}
