//! The task that is the peer: frames in, services, frames out, books.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::cable::{Cable, FrameStream};
use crate::pcap::PcapWriter;
use crate::stack::Stack;
use crate::stats::{Books, Way};
use crate::{CableFault, Source};

/// While the cable carries nothing, connections are looked after this often.
const IDLE: Duration = Duration::from_secs(1);

/// What a peer's handle asks of its task.
pub(crate) enum Command {
    Replug(Box<dyn FrameStream>),
    Unplug,
    Source(Source),
    Ping {
        to: Ipv4Addr,
        length: usize,
        answer: oneshot::Sender<Duration>,
    },
    Frame(Vec<u8>),
    /// All before it has been done, and frames up to now are in the books and in the capture.
    Settle(oneshot::Sender<()>),
}

/// What task and handle share.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Books>);

impl Shared {
    pub fn books(&self) -> MutexGuard<'_, Books> {
        // The books are counters and lists: whatever was written down before a panic is right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer itself.
pub(crate) struct Task {
    pub cable: Cable,
    pub stacks: Vec<Stack>,
    pub source: Source,
    pub capture: Option<PcapWriter>,
    pub shared: Arc<Shared>,
    pub changed: watch::Sender<u64>,
    pub commands: mpsc::Receiver<Command>,
    pub started: Instant,
}

impl Task {
    /// Until the handle is dropped.
    pub async fn run(mut self) {
        loop {
            self.work();
            let delay = self.delay();
            let timer = async {
                match delay {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                passed = self.cable.pass() => if let Err(fault) = passed {
                    self.unplug(fault);
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = timer => {}
            }
        }
    }

    /// Everything that can be done without waiting.
    fn work(&mut self) {
        let now = self.started.elapsed();
        let shared = Arc::clone(&self.shared);
        let mut books = shared.books();
        let before = (books.stats.frames_from_guest, books.stats.frames_to_guest);
        let fault = loop {
            let at = match self.cable.take_frame() {
                Ok(Some(at)) => at,
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            };
            let bytes = self.cable.frame(at.clone());
            capture(&mut self.capture, &mut books, bytes);
            let Way::Stack(vlan) = books.receive(bytes, now) else {
                continue;
            };
            // Identifier 0 is a priority tag: the frame belongs to no VLAN.
            let own = vlan.filter(|&id| id != 0);
            let at = if vlan.is_some() { self.cable.untag(at) } else { at };
            if let Some(stack) = self.stacks.iter_mut().find(|stack| stack.vlan == own) {
                stack.take(&mut self.cable, at, now);
            }
        };
        let unplugged = fault.is_some();
        if let Some(fault) = fault {
            self.cable.replug(None);
            books.stats.fault = Some(fault);
        }
        for stack in &mut self.stacks {
            stack.work(&mut self.cable, &mut books, self.source, now);
        }
        let (cable, to_file) = (&mut self.cable, &mut self.capture);
        cable.see_output(|frame| {
            capture(to_file, &mut books, frame);
            books.send(frame, now);
        });
        books.stats.dropped_to_guest = self.cable.dropped;
        let after = (books.stats.frames_from_guest, books.stats.frames_to_guest);
        drop(books);
        if before != after || unplugged {
            self.tell();
        }
    }

    /// Wakes whoever waits.
    fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn delay(&mut self) -> Option<Duration> {
        if self.cable.is_full() {
            return Some(IDLE);
        }
        let now = self.started.elapsed();
        self.stacks.iter_mut().filter_map(|stack| stack.delay(now)).min()
    }

    fn unplug(&mut self, fault: CableFault) {
        self.cable.replug(None);
        self.shared.books().stats.fault = Some(fault);
        self.tell();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Replug(stream) => {
                self.cable.replug(Some(stream));
                let mut books = self.shared.books();
                books.stats.plugged += 1;
                books.stats.fault = None;
                drop(books);
                self.tell();
            }
            Command::Unplug => self.unplug(CableFault::Closed),
            Command::Source(source) => self.source = source,
            Command::Ping { to, length, answer } => {
                let now = self.started.elapsed();
                if let Some(stack) = self.stacks.first_mut() {
                    stack.ping(to, length, answer, now);
                }
            }
            Command::Frame(bytes) => {
                self.cable.output().queue(bytes.len(), None, |room| room.copy_from_slice(&bytes));
            }
            Command::Settle(done) => {
                if let Some(Err(why)) = self.capture.as_mut().map(PcapWriter::flush) {
                    self.shared.books().stats.capture_ended.get_or_insert(why);
                }
                // Nobody may be waiting any more.
                let _told = done.send(());
            }
        }
    }
}

fn capture(file: &mut Option<PcapWriter>, books: &mut Books, bytes: &[u8]) {
    let Some(writer) = file else { return };
    match writer.frame(bytes) {
        Ok(()) => books.stats.captured += 1,
        Err(why) => {
            books.stats.capture_ended = Some(why);
            // Its buffer is written when it is dropped.
            *file = None;
        }
    }
}
