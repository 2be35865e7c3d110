//! Memory held for a while.

use core::ops::Deref;

use super::sys;
use crate::failure::{Failure, Result};
use crate::pattern::{Pattern, Tally};

const READ_WRITE: usize = 1 | 2;
const SHARED: usize = 1;
const PRIVATE: usize = 2;
const ANONYMOUS: usize = 0x20;

/// Fresh pages, all zero.
fn map(length: usize, kind: usize) -> Result<*mut u8> {
    let nowhere = sys::arg(-1);
    sys::plain(sys::MMAP, [0, length, READ_WRITE, kind | ANONYMOUS, nowhere, 0])
        .map(|address| address as *mut u8)
}

/// Lets pages go.
///
/// # Safety
///
/// They came from `map` (or mmap) with this length, and nothing refers to them any more.
unsafe fn unmap(address: *mut u8, length: usize) {
    // SAFETY: the caller's word.
    let _ = unsafe { sys::call(sys::MUNMAP, [address as usize, length, 0, 0, 0, 0]) };
}

/// Memory filled with a pattern, until it is dropped.
pub struct Held {
    address: *mut u8,
    length: usize,
}

impl Held {
    /// Takes memory and writes the pattern to all of it, so that every page is really there.
    pub fn filled(length: u64, seed: u64) -> Result<Self> {
        let length = usize::try_from(length).map_err(|_| Failure::invalid("mmap"))?;
        let held = Self { address: map(length, PRIVATE)?, length };
        // SAFETY: just mapped, readable and writable, and nothing else refers to it.
        let bytes = unsafe { core::slice::from_raw_parts_mut(held.address, held.length) };
        Pattern::seeded(seed).fill(0, bytes);
        Ok(held)
    }

    /// Digest of what it holds now.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new();
        // SAFETY: mapped and readable as long as this is not dropped.
        tally.add(unsafe { core::slice::from_raw_parts(self.address, self.length) });
        tally
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: ours, with this length, and this is the end of it.
        unsafe { unmap(self.address, self.length) };
    }
}

/// A value that child processes share with their parent.
pub struct Shared<T>(*mut T);

impl<T: Default> Shared<T> {
    /// A fresh one.
    pub fn new() -> Result<Self> {
        let address = map(size_of::<T>(), SHARED)?.cast::<T>();
        // SAFETY: just mapped, aligned to a page, and large enough.
        unsafe { address.write(T::default()) };
        Ok(Self(address))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped and initialised until this is dropped; what children change are atomics.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: ours, with this length, and this is the end of it.
        unsafe { unmap(self.0.cast(), size_of::<T>()) };
    }
}

/// A file's contents, read-only, until this is dropped.
pub struct FileMap {
    address: *mut u8,
    length: usize,
}

impl FileMap {
    /// Maps the first `length` bytes of a file.
    pub fn of(fd: &sys::Fd, length: usize) -> Result<Self> {
        let address = sys::plain(sys::MMAP, [0, length, 1, PRIVATE, fd.arg(), 0])?;
        Ok(Self { address: address as *mut u8, length })
    }

    /// Maps `length` bytes of a file from `offset` on, a multiple of the page size. What is written there by
    /// others shows.
    fn shared(fd: &sys::Fd, offset: usize, length: usize) -> Result<Self> {
        let address = sys::plain(sys::MMAP, [0, length, 1, SHARED, fd.arg(), offset])?;
        Ok(Self { address: address as *mut u8, length })
    }

    /// Where it is.
    pub fn arg(&self) -> usize {
        self.address as usize
    }
}

/// The size of a page of x86.
const PAGE: usize = 4096;

/// Copies from `offset` of `/dev/mem` on, through a mapping. What lies above the last page of RAM, as the tables of
/// a PC's firmware do, can be mapped and not read (drivers/char/mem.c, read_mem and mmap_mem).
pub fn copy_physical<'b>(fd: &sys::Fd, offset: u64, out: &'b mut [u8]) -> Result<&'b [u8]> {
    let offset = usize::try_from(offset).map_err(|_| Failure::invalid("mmap"))?;
    let (first, into) = (offset & !(PAGE - 1), offset & (PAGE - 1));
    let map = FileMap::shared(fd, first, (into + out.len()).next_multiple_of(PAGE))?;
    for (n, byte) in out.iter_mut().enumerate() {
        // SAFETY: within what is mapped, which a device may write to at any time: hence volatile.
        *byte = unsafe { map.address.add(into + n).read_volatile() };
    }
    Ok(out)
}

impl Drop for FileMap {
    fn drop(&mut self) {
        // SAFETY: ours, with this length, and this is the end of it.
        unsafe { unmap(self.address, self.length) };
    }
}
