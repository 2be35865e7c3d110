//! Disks and drives.

use async_trait::async_trait;
use hospitium_model::{Bus, Digest, Pattern};
use serde::{Deserialize, Serialize};

use crate::{BlockInfo, Done, PatternDone, Told};

/// What a disk is told by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedDisk {
    /// Its serial number.
    pub serial: String,
    /// Its size in bytes, by which it is told where the guest shows no serial number.
    pub size: u64,
    /// The bus that it is on.
    pub bus: Bus,
}

/// A disk or drive as the guest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestDisk {
    /// The guest's name: `vda`.
    pub name: String,
    /// By which it is opened.
    pub path: String,
    /// The serial number that the guest reads; none if its kernel shows none.
    pub serial: Option<String>,
}

/// A range of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte, a multiple of 4096.
    pub offset: u64,
    /// Bytes, a multiple of 4096.
    pub length: u64,
}

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Through the page cache, and flushed to the medium before the answer.
    Flushed,
    /// Past the page cache, so that it reaches the hypervisor, and not flushed.
    Unflushed,
}

/// What is in a drive of changeable media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveContent {
    /// Nothing.
    Empty,
    /// A disc whose first bytes have this digest.
    Disc(Digest),
}

/// Disks and drives.
#[async_trait]
pub trait Disks {
    /// One look for the disk: by its serial number, else by a size that no other disk has. None if it is not
    /// there, or does not open yet.
    async fn disk(&self, wanted: &WantedDisk) -> Told<Option<GuestDisk>>;

    /// The disks that are there and open, without those among `known`: what has been plugged in since then.
    async fn disks_besides(&self, known: &[GuestDisk]) -> Told<Vec<GuestDisk>>;

    /// One look for the optical drive: the one with this serial number, else the only one.
    async fn drive(&self, serial: &str) -> Told<Option<GuestDisk>>;

    /// Whether the guest still lists it.
    async fn lists(&self, disk: &GuestDisk) -> Told<bool>;

    /// Size, sectors, whether it takes writes.
    async fn block(&self, disk: &GuestDisk) -> Told<BlockInfo>;

    /// Writes a pattern; digest of what was written.
    async fn write(
        &self,
        disk: &GuestDisk,
        span: Span,
        pattern: Pattern,
        how: Write,
    ) -> Told<PatternDone>;

    /// Reads past the guest's cache.
    async fn read_back(&self, disk: &GuestDisk, span: Span) -> Told<PatternDone>;

    /// Gives blocks back. Unable where the guest's system knows no such thing.
    async fn discard(&self, disk: &GuestDisk, span: Span) -> Done;

    /// What is in the drive: its first `length` bytes.
    async fn content(&self, drive: &GuestDisk, length: u64) -> Told<DriveContent>;
}
