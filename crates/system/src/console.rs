//! A machine's console: read for ever, kept within bounds, waited on, written to.

mod log;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hospitium_host::ByteStream;
use hospitium_model::span;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;

use self::log::Log;
use crate::trace::{LastLines, Trace};

/// Lines passed on to the timeline; a guest that prints more is flooding it.
const TRACED_LINES: u64 = 20_000;
/// More than this is a flood: the log keeps no more. A talkative boot prints a few hundred KiB.
const FLOOD: u64 = 8 << 20;

/// A handle on a console. Clones share it. The stream is read until it ends or the last handle
/// is dropped, whether anyone looks or not, so that the guest never waits for the harness.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
    reader: Arc<AbortOnDrop>,
}

struct Shared {
    log: Mutex<Log>,
    changed: watch::Sender<u64>,
    writer: tokio::sync::Mutex<WriteHalf<Box<dyn ByteStream>>>,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The console's stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleClosed;

/// Waiting on a console, or writing to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The line did not come.
    #[error("waited {} for {what} on the console{last}", span(*.limit))]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
        /// The last lines instead.
        last: LastLines,
    },
    /// The stream ended first.
    #[error("the console ended while waiting for {what}{last}")]
    Closed {
        /// For what.
        what: String,
        /// The last lines.
        last: LastLines,
    },
    /// Could not be written.
    #[error("while writing to the console")]
    Write(#[source] std::io::Error),
}

impl Console {
    /// Begins to read `stream`. Must be called within a Tokio runtime. Every line, made
    /// [visible](crate::text::visible), goes to `trace` too, up to a bound.
    pub fn start(stream: Box<dyn ByteStream>, trace: Option<Trace>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let shared = Arc::new(Shared {
            log: Mutex::new(Log::default()),
            changed: watch::Sender::new(0),
            writer: tokio::sync::Mutex::new(writer),
        });
        let task = tokio::spawn(read(reader, Arc::clone(&shared), trace));
        Self { shared, reader: Arc::new(AbortOnDrop(task)) }
    }

    /// Waits for a line, from the `from`-th on, for which `wanted` is true; the line not yet ended
    /// counts too, so that a prompt can be waited for. Returns the number of the line and its text.
    /// `what` says in the error what was waited for.
    pub async fn wait_line(
        &self,
        what: &str,
        from: u64,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(u64, String), ConsoleError> {
        let search = async {
            let mut changed = self.shared.changed.subscribe();
            let mut from = from;
            loop {
                changed.borrow_and_update();
                {
                    let log = self.log();
                    if let Some(found) = log.find(from, &wanted) {
                        return Ok(found);
                    }
                    from = from.max(log.line_count());
                    if log.ended {
                        return Err(ConsoleClosed);
                    }
                }
                if changed.changed().await.is_err() {
                    return Err(ConsoleClosed);
                }
            }
        };
        match tokio::time::timeout(limit, search).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(ConsoleClosed)) => {
                Err(ConsoleError::Closed { what: what.to_owned(), last: self.last_lines(12) })
            }
            Err(_) => Err(ConsoleError::TimedOut {
                what: what.to_owned(),
                limit,
                last: self.last_lines(12),
            }),
        }
    }

    /// Waits until anything new is there; an error if the stream has ended.
    pub async fn changed(&self, seen: u64) -> Result<(), ConsoleClosed> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            {
                let log = self.log();
                if log.total > seen {
                    return Ok(());
                }
                if log.ended {
                    return Err(ConsoleClosed);
                }
            }
            changed.changed().await.map_err(|_| ConsoleClosed)?;
        }
    }

    /// Number of lines so far; the number of the line that comes next.
    pub fn line_count(&self) -> u64 {
        self.log().line_count()
    }

    /// Whole lines from the `from`-th on that are still kept, with their numbers.
    pub fn lines_since(&self, from: u64) -> Vec<(u64, String)> {
        self.log().lines_since(from)
    }

    /// The last `most` lines, the unfinished one included.
    pub fn last_lines(&self, most: usize) -> LastLines {
        self.log().last(most)
    }

    /// The bytes as they came. Beyond 8 MiB the middle is left out and a line says so.
    pub fn raw(&self) -> Vec<u8> {
        self.log().raw()
    }

    /// Bytes that came in all.
    pub fn total(&self) -> u64 {
        self.log().total
    }

    /// Time since the last byte, or since the start.
    pub fn silent_for(&self) -> Duration {
        self.log().last_byte.elapsed()
    }

    /// True if the guest has printed more than anything sensible (8 MiB).
    pub fn flooded(&self) -> bool {
        self.total() > FLOOD
    }

    /// True if the stream has ended.
    pub fn ended(&self) -> bool {
        self.log().ended || self.reader.0.is_finished()
    }

    /// Writes to the console, as a person at the keyboard would.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), ConsoleError> {
        let mut writer = self.shared.writer.lock().await;
        writer.write_all(bytes).await.map_err(ConsoleError::Write)?;
        writer.flush().await.map_err(ConsoleError::Write)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log()
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(
    mut reader: ReadHalf<Box<dyn ByteStream>>,
    shared: Arc<Shared>,
    trace: Option<Trace>,
) {
    let mut buffer = vec![0; 1 << 16];
    let mut traced = 0;
    loop {
        // An error on reading a console means what an end means: nothing more will come.
        let got = reader.read(&mut buffer).await.unwrap_or(0);
        let from = {
            let mut log = shared.log();
            let from = log.line_count();
            if got == 0 {
                log.end();
            } else {
                log.take(&buffer[..got], Instant::now());
            }
            from
        };
        if let Some(trace) = &trace
            && traced <= TRACED_LINES
        {
            let lines = shared.log().lines_since(from);
            for (_, line) in lines {
                traced += 1;
                match traced {
                    ..=TRACED_LINES => trace.console(&line),
                    _ => {
                        trace.console(
                            "(the console prints too much; its further lines are not shown here)",
                        );
                        break;
                    }
                }
            }
        }
        shared.changed.send_modify(|n| *n += 1);
        if got == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Console, tokio::io::DuplexStream) {
        let (ours, guest) = tokio::io::duplex(1 << 16);
        (Console::start(Box::new(ours), None), guest)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_line_and_a_prompt_can_be_waited_for() {
        let (console, mut guest) = pair();
        guest.write_all(b"one\r\n\x1b[1mtwo\x1b[0m\r\nlogin: ").await.expect("written");
        let (n, line) = console.wait_line("two", 0, SOON, |l| l == "two").await.expect("comes");
        assert_eq!((n, line.as_str()), (1, "two"));
        let (n, _) = console
            .wait_line("a prompt", n + 1, SOON, |l| l.ends_with("login: "))
            .await
            .expect("comes");
        assert_eq!(n, 2);
        console.write(b"root\n").await.expect("written");
        let mut typed = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut guest, &mut typed).await.expect("read");
        assert_eq!(&typed, b"root\n");
    }

    #[tokio::test]
    async fn waiting_in_vain_shows_the_last_lines() {
        let (console, mut guest) = pair();
        guest.write_all(b"hello\nstuck here\n").await.expect("written");
        console.wait_line("text", 0, SOON, |l| l == "stuck here").await.expect("comes");
        let limit = Duration::from_millis(10);
        let error = console.wait_line("a prompt", 0, limit, |_| false).await.expect_err("nothing");
        let text = error.to_string();
        assert!(text.contains("a prompt") && text.contains("stuck here"), "{text}");
        drop(guest);
        let error = console.wait_line("a prompt", 0, SOON, |_| false).await.expect_err("ended");
        assert!(matches!(error, ConsoleError::Closed { .. }));
    }

    #[tokio::test]
    async fn a_flood_of_the_timeline_is_cut() {
        let count = Arc::new(Mutex::new(0_u64));
        let seen = Arc::clone(&count);
        let trace = Trace::new(move |_, _| *seen.lock().expect("no panic") += 1);
        let (ours, mut guest) = tokio::io::duplex(1 << 16);
        let console = Console::start(Box::new(ours), Some(trace));
        let block = b"x\n".repeat(1 << 14);
        for _ in 0..4 {
            guest.write_all(&block).await.expect("written");
        }
        drop(guest);
        let end = console.wait_line("the end", 0, SOON, |_| false).await;
        assert!(matches!(end, Err(ConsoleError::Closed { .. })));
        assert_eq!(*count.lock().expect("no panic"), TRACED_LINES + 1);
    }
}
