//! A disk with the thread that serves it.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::nbd;
use crate::store::{Seen, Store};

/// A disk that a hypervisor is served. Dropping it ends the connection.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Mutex<Store>>,
    /// Our end of the connection, as soon as there is one.
    stream: Arc<Mutex<Option<UnixStream>>>,
    /// Where the hypervisor connects, if it does so by itself.
    listener: Option<UnixListener>,
    /// Who connects from now on is late.
    over: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    failed: Arc<Mutex<Option<String>>>,
}

impl Disk {
    /// Serves this disk in a thread of its own. Returned with it is the other end of the connection, for the hypervisor.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub fn serve(store: Store) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::start(store, Some(ours), None)?, theirs.into()))
    }

    /// Serves this disk, in a thread of its own, to the first who connects.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn serve_at(store: Store, listener: UnixListener) -> io::Result<Self> {
        Self::start(store, None, Some(listener))
    }

    fn start(
        store: Store,
        stream: Option<UnixStream>,
        listener: Option<UnixListener>,
    ) -> io::Result<Self> {
        let waiting = listener.as_ref().map(UnixListener::try_clone).transpose()?;
        let store = Arc::new(Mutex::new(store));
        let stream = Arc::new(Mutex::new(stream));
        let (failed, over) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (served, ours, why, late) =
            (store.clone(), stream.clone(), failed.clone(), over.clone());
        let work = move || {
            let served = connected(&ours, waiting.as_ref(), &late)
                .and_then(|stream| nbd::serve(&stream, &served).map_err(io::Error::other));
            if let Err(error) = served {
                *locked(&why) = Some(error.to_string());
            }
            // Nobody is to wait for an answer that does not come.
            if let Some(stream) = locked(&ours).as_ref() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        };
        let thread = std::thread::Builder::new().name("disk".into()).spawn(work)?;
        Ok(Self { store, stream, listener, over, thread: Mutex::new(Some(thread)), failed })
    }

    /// Ends the connection, or the wait for one.
    fn end(&self, how: Shutdown) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(stream) = locked(&self.stream).as_ref() {
            let _ = stream.shutdown(how);
            return;
        }
        let path = self.listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(path) = path.as_ref().and_then(|address| address.as_pathname()) {
            // What connects here is gone at once, so the thread ends.
            let _ = UnixStream::connect(path);
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    /// What came to it so far.
    pub fn seen(&self) -> Seen {
        self.store().seen()
    }

    /// Why the connection ended before its time, if it did.
    pub fn failed(&self) -> Option<String> {
        locked(&self.failed).clone()
    }

    /// Takes its power away: what was not flushed is lost.
    pub fn cut(&self) {
        self.store().cut();
    }

    /// Makes last what was written: the hypervisor has ended, and the disk has kept its power. What is still on the
    /// connection is carried out first.
    ///
    /// # Errors
    /// The image cannot be written.
    pub fn settle(&self) -> io::Result<()> {
        self.end(Shutdown::Read);
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread {
            // A panic in it would be a fault of ours; the store is whole all the same.
            let _ = thread.join();
        }
        self.store().settle()
    }

    /// Copies what a power cut would leave into an empty file.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn copy_lasting(&self, to: &File) -> io::Result<()> {
        self.store().copy_lasting(to)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.end(Shutdown::Both);
    }
}

/// The connection, once there is one.
fn connected(
    stream: &Mutex<Option<UnixStream>>,
    waiting: Option<&UnixListener>,
    late: &AtomicBool,
) -> io::Result<UnixStream> {
    if let Some(waiting) = waiting {
        let (accepted, _) = waiting.accept()?;
        let mut stream = locked(stream);
        if late.load(Ordering::SeqCst) {
            return Err(io::Error::other("it ended before anybody connected"));
        }
        *stream = Some(accepted);
    }
    match locked(stream).as_ref() {
        Some(stream) => stream.try_clone(),
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_nobody_connects_to_ends_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("disk")).expect("a socket");
        let file = || tempfile::tempfile().expect("a file");
        let store = Store::new(file(), file(), 4096, false).expect("a store");
        let disk = Disk::serve_at(store, listener).expect("served");
        disk.settle().expect("settled");
        assert_eq!(disk.seen().flushes, 0);
    }
}
