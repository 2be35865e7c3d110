//! What the person types: one reader for prompt and console alike, so that neither takes what is
//! meant for the other; and the terminal's raw mode.

use std::io::{IsTerminal, Read};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Keys as they come, until the end of the input.
pub struct Keyboard {
    keys: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Keyboard {
    /// Begins to read standard input.
    pub fn start() -> Self {
        let (typed, keys) = mpsc::channel(16);
        // A thread of its own: a read of a terminal cannot be taken back. It ends with the process.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut buffer) {
                if typed.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keys, rest: Vec::new() }
    }

    /// Whatever is typed next; `None` at the end.
    pub async fn keys(&mut self) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            self.keys.recv().await
        } else {
            Some(std::mem::take(&mut self.rest))
        }
    }

    /// Gives back what was typed too much.
    pub fn unread(&mut self, rest: Vec<u8>) {
        self.rest = rest;
    }

    /// The next line without its end; `None` at the end of the input.
    pub async fn line(&mut self) -> Option<String> {
        let mut line = std::mem::take(&mut self.rest);
        loop {
            if let Some(at) = line.iter().position(|&b| b == b'\n' || b == b'\r') {
                self.rest = line.split_off(at + 1);
                line.pop();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            match self.keys.recv().await {
                Some(more) => line.extend(more),
                None if line.is_empty() => return None,
                None => return Some(String::from_utf8_lossy(&line).into_owned()),
            }
        }
    }
}

/// The terminal passes every key on at once while this lives. Nothing on what is no terminal.
pub struct Raw(Option<Termios>);

impl Raw {
    /// Begins it.
    pub fn begin() -> Self {
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A terminal that refuses stays as it is, and the keys come line by line.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
