//! The bell: wakes the courier when there is something new, from this process or another one at the same desk.

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// A bell that many can ring, and many hear.
#[derive(Debug, Clone)]
pub struct Bell {
    rung: watch::Sender<u64>,
}

impl Default for Bell {
    fn default() -> Self {
        Self { rung: watch::channel(0).0 }
    }
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.rung.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears every ringing from now on; many at once are heard as one.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.rung.subscribe()
    }

    /// Rings whenever this file is written, for as long as the future is polled: other programs at this desk write it
    /// ([`Office::ring`](hospitium_desk::Office::ring)).
    ///
    /// # Errors
    /// If the system cannot watch the file.
    pub async fn follow(&self, file: &Path) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(file)?;
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let watching: OwnedFd = inotify::init(flags)?;
        inotify::add_watch(&watching, file, inotify::WatchFlags::CLOSE_WRITE)?;
        // SAFETY: an `OwnedFd` is open and gives the same descriptor until it is dropped, which the `AsyncFd` does last.
        let watching = unsafe { AsyncFd::register(watching) }?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        loop {
            let mut ready = watching.readable().await?;
            let read = ready.try_io(|fd| {
                inotify::Reader::new(fd.get_ref(), &mut buffer).next()?;
                Ok(())
            });
            match read {
                Ok(Ok(())) => self.ring(),
                Ok(Err(error)) => return Err(error),
                // Nothing was there after all.
                Err(_) => {}
            }
        }
    }
}
