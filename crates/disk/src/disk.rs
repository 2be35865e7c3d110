//! A disk with the thread that serves it.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::nbd;
use crate::store::{Seen, Store};

/// A disk that a hypervisor is served. Dropping it ends the connection.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Mutex<Store>>,
    stream: UnixStream,
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
        let stream = ours.try_clone()?;
        let store = Arc::new(Mutex::new(store));
        let failed = Arc::new(Mutex::new(None));
        let (served, why) = (store.clone(), failed.clone());
        let work = move || {
            if let Err(error) = nbd::serve(&ours, &served) {
                *why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
            // Nobody is to wait for an answer that does not come.
            let _ = ours.shutdown(Shutdown::Both);
        };
        let thread = std::thread::Builder::new().name("disk".into()).spawn(work)?;
        Ok((Self { store, stream, thread: Mutex::new(Some(thread)), failed }, theirs.into()))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came to it so far.
    pub fn seen(&self) -> Seen {
        self.store().seen()
    }

    /// Why the connection ended before its time, if it did.
    pub fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let _ = self.stream.shutdown(Shutdown::Read);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
