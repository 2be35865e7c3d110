//! A console's bytes: written down as they come, or played.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hospitium_host::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{Heard, Player, Recorder};

/// Room for what nobody has read yet.
const ROOM: usize = 1 << 20;

/// A stream whose bytes are written down as they are read.
pub(crate) struct Noted {
    pub(crate) stream: Box<dyn ByteStream>,
    pub(crate) machine: u32,
    pub(crate) recorder: Arc<Recorder>,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.recorder.console(self.machine, new);
        }
        read
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A stream of what a machine's console said, each part when it is due. What is written to it goes nowhere.
pub(crate) fn played(player: Arc<Player>, machine: u32) -> Box<dyn ByteStream> {
    let (ours, mut theirs) = tokio::io::duplex(ROOM);
    tokio::spawn(async move {
        let mut moved = player.watch();
        let parts = player.machine(machine).map(|machine| machine.console.clone());
        let mut parts = parts.unwrap_or_default();
        loop {
            moved.mark_unchanged();
            let due = |part: &Heard| player.due(part.after, part.delay_us);
            let all = parts.iter().enumerate().filter_map(|(n, part)| Some((due(part)?, n)));
            let Some((at, next)) = all.min() else {
                // A console that says nothing more is no console that is closed.
                if moved.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(at) => {
                    let part = parts.remove(next);
                    if theirs.write_all(part.text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                _ = moved.changed() => {}
            }
        }
    });
    Box::new(ours)
}

/// A stream on which nothing comes.
pub(crate) fn silent() -> Box<dyn ByteStream> {
    let (ours, theirs) = tokio::io::duplex(ROOM);
    tokio::spawn(async move {
        let _open = theirs;
        std::future::pending::<()>().await;
    });
    Box::new(ours)
}
