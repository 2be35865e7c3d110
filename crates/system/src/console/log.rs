//! What a console printed: the first and the last of it, as bytes and as lines.

use std::collections::VecDeque;
use std::time::Instant;

use crate::text::visible;
use crate::trace::LastLines;

/// Bytes kept of the beginning, and as many of the end.
const KEPT: usize = 4 << 20;
/// Lines kept, the latest ones. Reports take theirs from the raw log.
const KEPT_LINES: usize = 20_000;
/// Bytes of text of the lines kept; escapes can make a line four times longer than it came.
const KEPT_TEXT: usize = 16 << 20;
/// A line longer than this is cut into several.
const LONGEST_LINE: usize = 4096;

/// The log of one console.
pub struct Log {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes that came in all.
    pub total: u64,
    lines: VecDeque<String>,
    text: usize,
    first_line: u64,
    current: Vec<u8>,
    /// When the last byte came.
    pub last_byte: Instant,
    /// Nothing more will come.
    pub ended: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
            lines: VecDeque::new(),
            text: 0,
            first_line: 0,
            current: Vec::new(),
            last_byte: Instant::now(),
            ended: false,
        }
    }
}

impl Log {
    /// Takes what was read.
    pub fn take(&mut self, bytes: &[u8], now: Instant) {
        self.total += bytes.len() as u64;
        self.last_byte = now;
        let into_head = bytes.len().min(KEPT - self.head.len());
        self.head.extend_from_slice(&bytes[..into_head]);
        self.tail.extend(&bytes[into_head..]);
        let over = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..over);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (mut rest, ends) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            while self.current.len() + rest.len() > LONGEST_LINE {
                let (fits, over) = rest.split_at(LONGEST_LINE - self.current.len());
                self.current.extend_from_slice(fits);
                self.end_line();
                rest = over;
            }
            self.current.extend_from_slice(rest);
            if ends {
                self.end_line();
            }
        }
    }

    /// The stream ended; what was begun is a line.
    pub fn end(&mut self) {
        self.ended = true;
        if !self.current.is_empty() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = visible(&self.current);
        self.text += line.len();
        self.lines.push_back(line);
        while self.lines.len() > KEPT_LINES || self.text > KEPT_TEXT {
            self.text -= self.lines.pop_front().map_or(0, |line| line.len());
            self.first_line += 1;
        }
        self.current.clear();
    }

    /// Whole lines so far.
    pub fn line_count(&self) -> u64 {
        self.first_line + self.lines.len() as u64
    }

    /// Whole lines from the `from`-th on that are still kept, with their numbers.
    pub fn lines_since(&self, from: u64) -> Vec<(u64, String)> {
        self.numbered(from).map(|(n, line)| (n, line.clone())).collect()
    }

    fn numbered(&self, from: u64) -> impl Iterator<Item = (u64, &String)> {
        let pass = usize::try_from(from.saturating_sub(self.first_line)).unwrap_or(usize::MAX);
        (self.first_line + pass as u64..).zip(self.lines.iter().skip(pass))
    }

    /// The first line from the `from`-th on that is wanted, the unfinished one included.
    pub fn find(&self, from: u64, wanted: &dyn Fn(&str) -> bool) -> Option<(u64, String)> {
        let whole = self.numbered(from).find(|(_, line)| wanted(line));
        if let Some((n, line)) = whole {
            return Some((n, line.clone()));
        }
        let current = visible(&self.current);
        let here = self.line_count();
        (here >= from && !self.current.is_empty() && wanted(&current)).then_some((here, current))
    }

    /// The last lines, the unfinished one included.
    pub fn last(&self, most: usize) -> LastLines {
        let mut lines: Vec<String> = self.lines.iter().rev().take(most).rev().cloned().collect();
        if !self.current.is_empty() {
            lines.push(visible(&self.current));
        }
        LastLines(lines)
    }

    /// The bytes as they came, the middle left out if there were too many.
    pub fn raw(&self) -> Vec<u8> {
        let mut raw = self.head.clone();
        let dropped = self.total - self.head.len() as u64 - self.tail.len() as u64;
        if dropped > 0 {
            raw.extend_from_slice(format!("\n[{dropped} bytes left out here]\n").as_bytes());
        }
        let (a, b) = self.tail.as_slices();
        raw.extend_from_slice(a);
        raw.extend_from_slice(b);
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(chunks: &[&[u8]]) -> Log {
        let mut log = Log::default();
        for chunk in chunks {
            log.take(chunk, Instant::now());
        }
        log
    }

    #[test]
    fn a_line_survives_being_read_in_pieces() {
        let log = log(&[b"Kernel \x1b[3", b"1mpanic\x1b[0m", b"\r\nnext"]);
        assert_eq!(log.lines_since(0), [(0, "Kernel panic".to_owned())]);
        assert_eq!(log.last(5).0, ["Kernel panic", "next"]);
    }

    #[test]
    fn a_flood_without_a_line_end_stays_bounded() {
        let mut log = Log::default();
        let block = vec![1; 1 << 20];
        for _ in 0..30 {
            log.take(&block, Instant::now());
        }
        log.take(b"the end\n", Instant::now());
        assert!(log.lines.len() <= KEPT_LINES);
        assert!(log.lines.iter().map(String::len).sum::<usize>() <= KEPT_TEXT);
        let raw = log.raw();
        assert!(raw.len() < 2 * KEPT + 100);
        assert!(raw.ends_with(b"the end\n"));
        let told = format!("[{} bytes left out here]", log.total - 2 * KEPT as u64);
        assert!(raw.windows(told.len()).any(|w| w == told.as_bytes()));
    }

    #[test]
    fn many_short_lines_keep_their_numbers() {
        let mut log = Log::default();
        for n in 0..KEPT_LINES + 10 {
            log.take(format!("{n}\n").as_bytes(), Instant::now());
        }
        assert_eq!(log.line_count(), KEPT_LINES as u64 + 10);
        assert_eq!(log.lines_since(0)[0], (10, "10".to_owned()));
        assert_eq!(log.lines_since(20_005)[0], (20_005, "20005".to_owned()));
    }
}
