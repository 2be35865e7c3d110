//! The handle of a running peer.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_model::span;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::cable::{Cable, FrameStream};
use crate::pcap::PcapWriter;
use crate::stack::Stack;
use crate::stats::Books;
use crate::task::{Command, Shared, Task};
use crate::{FrameRecord, LONGEST_FRAME, Lease, PeerOptions, PeerStats, Service, Source, Transfer};

/// Commands that wait for the task at once.
const COMMANDS: usize = 16;

/// A running peer. Dropping it pulls the cable.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    commands: mpsc::Sender<Command>,
}

/// What went wrong with a peer.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerError {
    /// No network can be like that.
    #[error("the peer's options cannot be used: {what}; correct them")]
    Options {
        /// What is wrong.
        what: String,
    },
    /// The capture's file cannot be made.
    #[error("making the capture {}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        #[serde(with = "hospitium_model::io_form")]
        source: io::Error,
    },
    /// Waited too long. Says what had been seen.
    #[error("waited {} for {what}, and it did not come; seen so far: {seen}", span(*.limit))]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
        /// Frames, addresses and the state of the cable.
        seen: String,
    },
    /// The peer's task has ended, which it does only if it is broken.
    #[error("the peer ended while {doing}; this is a fault of the harness, please report it")]
    Ended {
        /// What was being done.
        doing: String,
    },
}

impl Peer {
    /// Starts a peer on this cable. To be called within a tokio runtime with time and I/O.
    pub fn start(
        frames: impl FrameStream + 'static,
        options: PeerOptions,
    ) -> Result<Self, PeerError> {
        options.check()?;
        let capture = options.capture.as_ref().map(PcapWriter::create).transpose()?;
        let shared = Arc::new(Shared::default());
        shared.books().stats.plugged = 1;
        let (changed, watching) = watch::channel(0);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let mut cable = Cable::new(Box::new(frames));
        let stacks = Stack::all(&options, seed(), &mut cable);
        let task = Task {
            cable,
            stacks,
            source: options.source,
            capture,
            shared: Arc::clone(&shared),
            changed,
            commands: receiver,
            started: Instant::now(),
        };
        tokio::spawn(task.run());
        Ok(Self { shared, changed: watching, commands })
    }

    /// What was seen so far.
    pub fn stats(&self) -> PeerStats {
        self.shared.books().stats.clone()
    }

    /// All connections so far, in the order in which they were made.
    pub fn transfers(&self) -> Vec<Transfer> {
        self.shared.books().transfers.clone()
    }

    /// The first 128 frames and the last 128.
    pub fn log(&self) -> Vec<FrameRecord> {
        self.shared.books().log()
    }

    /// What the source port sends on connections made from now on.
    pub async fn set_source(&self, source: Source) -> Result<(), PeerError> {
        self.ask(Command::Source(source), "setting the source").await?;
        self.settle().await
    }

    /// Plugs in another cable, as after a migration; addresses and connections stay.
    pub async fn replug(&self, frames: impl FrameStream + 'static) -> Result<(), PeerError> {
        self.ask(Command::Replug(Box::new(frames)), "plugging in a cable").await
    }

    /// Pulls the cable: the stream is closed.
    pub async fn unplug(&self) -> Result<(), PeerError> {
        self.ask(Command::Unplug, "pulling the cable").await?;
        self.settle().await
    }

    /// Puts a frame on the cable as it is. A frame longer than the longest is not sent.
    pub async fn send_frame(&self, frame: &[u8]) -> Result<(), PeerError> {
        if frame.len() > LONGEST_FRAME {
            let what = format!("a frame of {} bytes is longer than {LONGEST_FRAME}", frame.len());
            return Err(PeerError::Options { what });
        }
        self.ask(Command::Frame(frame.to_vec()), "sending a frame").await
    }

    /// Waits until all frames that have come are in the books and in the capture's file.
    pub async fn settle(&self) -> Result<(), PeerError> {
        let (done, wait) = oneshot::channel();
        self.ask(Command::Settle(done), "settling").await?;
        wait.await.map_err(|_| PeerError::Ended { doing: "settling".into() })
    }

    /// Asks a guest for an ICMP echo of so many bytes of payload, and gives the time that it took.
    pub async fn ping(
        &self,
        guest: Ipv4Addr,
        length: usize,
        limit: Duration,
    ) -> Result<Duration, PeerError> {
        let what = format!("an echo of {length} bytes from {guest}");
        let (answer, wait) = oneshot::channel();
        self.ask(Command::Ping { to: guest, length, answer }, "pinging the guest").await?;
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(took)) => Ok(took),
            Ok(Err(_)) => Err(PeerError::Options { what: format!("{what} cannot be asked for") }),
            Err(_) => Err(self.timed_out(what, limit)),
        }
    }

    /// Waits for a lease after the first `after` ones, and gives the latest.
    pub async fn wait_lease(&self, after: u64, limit: Duration) -> Result<Lease, PeerError> {
        let latest = |books: &Books| {
            let given = books.stats.leases_given > after;
            books.stats.leases.last().filter(|_| given).copied()
        };
        self.wait("a DHCP lease of the guest", limit, latest).await
    }

    /// Waits until the guest has sent more than `after` frames, and gives how many it has.
    pub async fn wait_guest_frame(&self, after: u64, limit: Duration) -> Result<u64, PeerError> {
        let more =
            |books: &Books| Some(books.stats.frames_from_guest).filter(|&count| count > after);
        self.wait("a frame of the guest", limit, more).await
    }

    /// Waits until the statistics are as wanted; `what` is for the error's message.
    pub async fn wait_stats(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&PeerStats) -> bool,
    ) -> Result<PeerStats, PeerError> {
        self.wait(what, limit, |books| wanted(&books.stats).then(|| books.stats.clone())).await
    }

    /// Waits for the end of the first connection of this service from the `from`-th connection on, and
    /// gives its number with it.
    pub async fn transfer_done(
        &self,
        service: Service,
        from: usize,
        limit: Duration,
    ) -> Result<(usize, Transfer), PeerError> {
        let what = format!("the end of a {service:?} connection");
        let done = |books: &Books| {
            let mut later = books.transfers.iter().copied().enumerate().skip(from);
            later.find(|(_, transfer)| transfer.service == service && transfer.end.is_some())
        };
        self.wait(&what, limit, done).await
    }

    async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl Fn(&Books) -> Option<T>,
    ) -> Result<T, PeerError> {
        let mut changed = self.changed.clone();
        let found = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = look(&self.shared.books()) {
                    return Ok(found);
                }
                let ended = || PeerError::Ended { doing: format!("waiting for {what}") };
                changed.changed().await.map_err(|_| ended())?;
            }
        };
        match tokio::time::timeout(limit, found).await {
            Ok(found) => found,
            Err(_) => Err(self.timed_out(what.into(), limit)),
        }
    }

    async fn ask(&self, command: Command, doing: &str) -> Result<(), PeerError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| PeerError::Ended { doing: doing.into() })
    }

    fn timed_out(&self, what: String, limit: Duration) -> PeerError {
        let stats = self.stats();
        let cable = match &stats.fault {
            None => "the cable is plugged in".to_owned(),
            Some(fault) => format!("the cable is out: {fault}"),
        };
        let seen = format!(
            "{} frames from {} stations, {} to them, {} leases, {} with wrong checksums, {} malformed; {cable}",
            stats.frames_from_guest,
            stats.guest_macs.len(),
            stats.frames_to_guest,
            stats.leases_given,
            stats.checksums_wrong,
            stats.malformed_from_guest,
        );
        PeerError::TimedOut { what, limit, seen }
    }
}

/// For TCP's initial sequence numbers: differs between peers, need not be secret from the guest.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one("hospitium-peer")
}
