//! Frames over a byte stream: one request out, the answer with its number in.

use std::time::Duration;

use hospitium_host::ByteStream;
use hospitium_wire::{Decoder, Envelope, Greeting, MAX_FRAME, PROTOCOL, Reply, Request, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::reply::OwnedReply;

/// Bytes that may come in one call before its answer. Late answers to earlier questions are a
/// few hundred frames of some 100 bytes at most.
const MOST_BYTES: u64 = 1 << 20;
/// Times a request that only reads is sent again after a broken frame.
const MOST_RESENDS: u32 = 3;
/// First and longest distance of questions that are asked over and over.
const OFTEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// When a request may be sent again, under a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Never: it changes something, and may have been done already.
    Never,
    /// When a broken frame came, which may have been the answer.
    IfBroken,
    /// Over and over until an answer comes.
    Often,
}

/// Why no answer came.
#[derive(Debug)]
pub enum Fault {
    /// Time is up; so many frames were broken.
    NoAnswer {
        /// Broken frames.
        broken: u64,
    },
    /// Too many bytes without it.
    Flood {
        /// Bytes.
        bytes: u64,
    },
    /// The stream ended.
    Closed,
    /// The stream failed.
    Io(std::io::Error),
    /// The request does not fit a frame.
    TooLong,
    /// A greeting by a probe that speaks another version of the protocol.
    Foreign {
        /// Its version.
        protocol: u16,
    },
}

impl Fault {
    /// For the timeline.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoAnswer { broken: 0 } => "no answer",
            Self::NoAnswer { .. } => "no whole answer",
            Self::Flood { .. } => "flooded",
            Self::Closed => "channel closed",
            Self::Io(_) => "channel failed",
            Self::TooLong => "not sent, too long",
            Self::Foreign { .. } => "another protocol",
        }
    }
}

/// The stream with what was read from it and not yet looked at. A call that is cancelled leaves
/// it in order: a half-sent frame is ended by the delimiter that leads the next, and a late answer is
/// told by its number.
pub struct Link {
    stream: Box<dyn ByteStream>,
    decoder: Box<Decoder>,
    chunk: Vec<u8>,
    at: usize,
    filled: usize,
    seq: u32,
}

/// What the next frame was.
enum Heard {
    Answer(OwnedReply),
    Other,
    Broken,
}

impl Link {
    /// Begins at a random number, as another harness may have talked to this probe before.
    pub fn new(stream: Box<dyn ByteStream>) -> Self {
        Self {
            stream,
            decoder: Box::new(Decoder::new()),
            chunk: vec![0; 8192],
            at: 0,
            filled: 0,
            seq: super::fresh_number() as u32,
        }
    }

    /// Sends the request and waits for its answer.
    pub async fn exchange(
        &mut self,
        request: &Request<'_>,
        limit: Duration,
        resend: Resend,
    ) -> Result<OwnedReply, Fault> {
        let now = Instant::now();
        // So far away that it does not matter, where the sum is no time at all.
        let end = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400 * 365));
        let (mut sent, mut broken, mut bytes, mut pause) = (0, 0, 0, OFTEN.0);
        let first = self.seq.wrapping_add(1);
        'send: loop {
            self.seq = self.seq.wrapping_add(1);
            sent += 1;
            let written = timeout_at(end, self.send(request)).await;
            written.map_err(|_| Fault::NoAnswer { broken })??;
            let until = if resend == Resend::Often { end.min(Instant::now() + pause) } else { end };
            pause = (pause * 3 / 2).min(OFTEN.1);
            loop {
                match timeout_at(until, self.hear(first, sent, &mut bytes)).await {
                    Ok(Ok(Heard::Answer(reply))) => return Ok(reply),
                    Ok(Ok(Heard::Other)) => {}
                    Ok(Ok(Heard::Broken)) => {
                        broken += 1;
                        if resend == Resend::IfBroken && sent <= MOST_RESENDS {
                            continue 'send;
                        }
                    }
                    Ok(Err(fault)) => return Err(fault),
                    Err(_) if Instant::now() >= end => return Err(Fault::NoAnswer { broken }),
                    Err(_) => continue 'send,
                }
            }
        }
    }

    async fn send(&mut self, request: &Request<'_>) -> Result<(), Fault> {
        let mut frame = [0; MAX_FRAME];
        let message = Envelope { seq: self.seq, body: request.clone() };
        let frame = encode(&message, &mut frame).map_err(|_| Fault::TooLong)?;
        self.stream.write_all(&[0]).await.map_err(lost)?;
        self.stream.write_all(frame).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)
    }

    /// Reads up to the end of the next frame. Numbers from `first` on, `sent` of them, are ours.
    async fn hear(&mut self, first: u32, sent: u32, bytes: &mut u64) -> Result<Heard, Fault> {
        loop {
            while self.at < self.filled {
                let byte = self.chunk[self.at];
                self.at += 1;
                *bytes += 1;
                if *bytes > MOST_BYTES {
                    return Err(Fault::Flood { bytes: *bytes });
                }
                let Some(frame) = self.decoder.push(byte) else {
                    continue;
                };
                let Ok(frame) = frame else { return Ok(Heard::Broken) };
                let is_ours = |seq: u32| seq.wrapping_sub(first) < sent;
                return match Decoder::message::<Envelope<Reply<'_>>>(frame) {
                    Ok(Envelope { seq, body }) if is_ours(seq) => Ok(Heard::Answer(body.into())),
                    Ok(_) => Ok(Heard::Other),
                    Err(_) => match Greeting::read(frame) {
                        Some(Greeting { seq, protocol, .. })
                            if is_ours(seq) && protocol != PROTOCOL =>
                        {
                            Err(Fault::Foreign { protocol })
                        }
                        _ => Ok(Heard::Broken),
                    },
                };
            }
            let got = self.stream.read(&mut self.chunk).await.map_err(lost)?;
            if got == 0 {
                return Err(Fault::Closed);
            }
            (self.at, self.filled) = (0, got);
        }
    }
}

/// A VMM that is killed with bytes unread resets the connection instead of closing it.
fn lost(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::NotConnected => Fault::Closed,
        _ => Fault::Io(error),
    }
}
