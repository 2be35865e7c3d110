//! The cable: frames led by their length on a byte stream, with bounded buffers both ways.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest frame that is taken, in bytes: more than any MTU of QEMU's devices makes.
pub const LONGEST_FRAME: usize = 65_535;

/// Bytes that are read before they are looked at. Holds more than one longest frame.
const INPUT: usize = 256 << 10;
/// While so many bytes wait to be sent, the stack sends nothing new of its own.
const OUTPUT_SOFT: usize = 512 << 10;
/// While so many bytes wait to be sent, answers are dropped as a full switch drops them.
const OUTPUT_HARD: usize = 2 << 20;
/// Bytes of the length before a frame.
const LEAD: usize = 4;

/// A stream of frames.
pub trait FrameStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> FrameStream for T {}

/// Why a cable no longer carries frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CableFault {
    /// The other side closed it, as a VMM does that ends.
    #[error("the other side closed it")]
    Closed,
    /// A frame's length is more than [`LONGEST_FRAME`].
    #[error("a frame of {0} bytes was announced; {LONGEST_FRAME} is the longest")]
    TooLong(u32),
    /// Reading or writing failed.
    #[error("it failed: {0}")]
    Io(String),
}

/// A plugged or unplugged cable.
pub(crate) struct Cable {
    stream: Option<Box<dyn FrameStream>>,
    input: Box<[u8]>,
    /// What was read and not yet taken.
    unread: Range<usize>,
    output: Vec<u8>,
    written: usize,
    /// Where in `output` the frames begin that nobody has looked at.
    unseen: usize,
    /// Answers that were dropped because the other side does not read.
    pub dropped: u64,
}

impl Cable {
    pub fn new(stream: Box<dyn FrameStream>) -> Self {
        Self {
            stream: Some(stream),
            input: vec![0; INPUT].into(),
            unread: 0..0,
            output: Vec::new(),
            written: 0,
            unseen: 0,
            dropped: 0,
        }
    }

    /// Unplugs what is plugged and plugs in this. Bytes in flight are lost.
    pub fn replug(&mut self, stream: Option<Box<dyn FrameStream>>) {
        self.stream = stream;
        self.unread = 0..0;
        self.output.clear();
        self.written = 0;
        self.unseen = 0;
    }

    /// The next whole frame, as its place for [`Self::frame`].
    pub fn take_frame(&mut self) -> Result<Option<Range<usize>>, CableFault> {
        let waiting = &self.input[self.unread.clone()];
        let Some(lead) = waiting.first_chunk::<LEAD>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*lead);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > LONGEST_FRAME {
            return Err(CableFault::TooLong(announced));
        }
        if waiting.len() < LEAD + length {
            return Ok(None);
        }
        let start = self.unread.start + LEAD;
        self.unread.start = start + length;
        Ok(Some(start..start + length))
    }

    /// The bytes of a frame taken before anything else was read.
    pub fn frame(&self, at: Range<usize>) -> &[u8] {
        &self.input[at]
    }

    /// A frame with its 802.1Q tag taken out: the addresses move up to the type.
    pub fn untag(&mut self, at: Range<usize>) -> Range<usize> {
        self.input.copy_within(at.start..at.start + 12, at.start + 4);
        at.start + 4..at.end
    }

    /// The frame, and where an answer goes.
    pub fn frame_and_output(&mut self, at: Range<usize>) -> (&[u8], Outgoing<'_>) {
        let outgoing = Outgoing {
            output: &mut self.output,
            written: self.written,
            dropped: &mut self.dropped,
        };
        (&self.input[at], outgoing)
    }

    /// Where a frame goes.
    pub fn output(&mut self) -> Outgoing<'_> {
        Outgoing { output: &mut self.output, written: self.written, dropped: &mut self.dropped }
    }

    /// True if the stack should wait until the other side has read.
    pub fn is_full(&self) -> bool {
        self.output.len() - self.written > OUTPUT_SOFT || self.stream.is_none()
    }

    /// Shows each frame that was queued since the last call.
    pub fn see_output(&mut self, mut see: impl FnMut(&[u8])) {
        while let Some(lead) = self.output.get(self.unseen..).and_then(<[u8]>::first_chunk::<LEAD>)
        {
            let start = self.unseen + LEAD;
            let end = start + u32::from_be_bytes(*lead) as usize;
            see(&self.output[start..end]);
            self.unseen = end;
        }
    }

    /// Reads and writes what can be; returns after some of either. Never returns while unplugged.
    /// Can be cancelled.
    pub async fn pass(&mut self) -> Result<(), CableFault> {
        let Some(stream) = &mut self.stream else {
            return std::future::pending().await;
        };
        if self.written > OUTPUT_SOFT || self.written == self.output.len() {
            self.output.drain(..self.written);
            self.unseen -= self.written;
            self.written = 0;
        }
        if self.unread.start > 0 {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let (input, unread) = (&mut self.input, &mut self.unread);
        let (output, written) = (&self.output, &mut self.written);
        poll_fn(|cx| {
            let mut passed = false;
            if *written < output.len() {
                match Pin::new(&mut **stream).poll_write(cx, &output[*written..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(CableFault::Closed)),
                    Poll::Ready(Ok(count)) => {
                        *written += count;
                        passed = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                    Poll::Pending => {}
                }
            }
            let mut room = ReadBuf::new(&mut input[unread.end..]);
            match Pin::new(&mut **stream).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if room.filled().is_empty() => {
                    return Poll::Ready(Err(CableFault::Closed));
                }
                Poll::Ready(Ok(())) => {
                    unread.end += room.filled().len();
                    passed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                Poll::Pending => {}
            }
            if passed { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
}

fn fault(error: &io::Error) -> CableFault {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => CableFault::Closed,
        kind => CableFault::Io(kind.to_string()),
    }
}

/// The queue of frames to the guest.
pub(crate) struct Outgoing<'a> {
    output: &'a mut Vec<u8>,
    written: usize,
    dropped: &'a mut u64,
}

impl Outgoing<'_> {
    /// Queues a frame of this length that `fill` writes, with an 802.1Q tag put in if one is given.
    /// `fill` is called even if the frame is dropped, since its result is wanted.
    pub fn queue<R>(self, length: usize, tag: Option<u16>, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = self.output.len();
        self.output.resize(start + LEAD + length, 0);
        let result = fill(&mut self.output[start + LEAD..]);
        if start - self.written > OUTPUT_HARD || length > LONGEST_FRAME - LEAD {
            self.output.truncate(start);
            *self.dropped += 1;
            return result;
        }
        let mut total = length;
        if let Some(tag) = tag
            && length >= 12
        {
            let [high, low] = tag.to_be_bytes();
            let after = start + LEAD + 12;
            self.output.splice(after..after, [0x81, 0x00, high, low]);
            total += 4;
        }
        let lead = u32::try_from(total).unwrap_or(u32::MAX).to_be_bytes();
        self.output[start..start + LEAD].copy_from_slice(&lead);
        result
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn cable_with(bytes: &[u8]) -> (Cable, tokio::io::DuplexStream) {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        far.write_all(bytes).await.expect("writes");
        let mut cable = Cable::new(Box::new(near));
        cable.pass().await.expect("passes");
        (cable, far)
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let (mut cable, mut far) = cable_with(&[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0]).await;
        let at = cable.take_frame().expect("good").expect("whole");
        assert_eq!(cable.frame(at), [1, 2, 3]);
        let empty = cable.take_frame().expect("good").expect("whole");
        assert!(cable.frame(empty).is_empty());
        assert_eq!(cable.take_frame(), Ok(None));
        far.write_all(&[0, 1, 9]).await.expect("writes");
        cable.pass().await.expect("passes");
        let at = cable.take_frame().expect("good").expect("whole");
        assert_eq!(cable.frame(at), [9]);
    }

    #[tokio::test]
    async fn a_frame_too_long_is_refused_before_it_is_read() {
        let (mut cable, _far) = cable_with(&[0, 1, 0, 0]).await;
        assert_eq!(cable.take_frame(), Err(CableFault::TooLong(65_536)));
    }

    #[tokio::test]
    async fn what_nobody_reads_is_dropped_and_not_kept() {
        let (near, _far) = tokio::io::duplex(64);
        let mut cable = Cable::new(Box::new(near));
        for _ in 0..1000 {
            cable.output().queue(60_000, None, |_| ());
        }
        assert!(cable.dropped > 900 && cable.is_full());
        assert!(cable.output.len() < OUTPUT_HARD + 2 * LONGEST_FRAME);
    }

    #[tokio::test]
    async fn a_tag_goes_in_and_out_between_the_addresses_and_the_type() {
        let plain: Vec<u8> = (0..20).collect();
        let (near, _far) = tokio::io::duplex(64);
        let mut cable = Cable::new(Box::new(near));
        cable.output().queue(20, Some(5), |bytes| bytes.copy_from_slice(&plain));
        let mut tagged = Vec::new();
        cable.see_output(|frame| tagged.extend(frame));
        assert_eq!(tagged[12..16], [0x81, 0, 0, 5]);
        let lead = (tagged.len() as u32).to_be_bytes();
        let (mut cable, _far) = cable_with(&[&lead[..], &tagged].concat()).await;
        let at = cable.take_frame().expect("good").expect("whole");
        let at = cable.untag(at);
        assert_eq!(cable.frame(at), plain);
    }
}
