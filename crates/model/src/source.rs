//! Where an observed value was read.
//!
//! A witness is worth as much as the place that it looked at. The places are few and have stable names, which
//! stand in evidence: a value that the harness configured, computed or remembers has none, so it can be an
//! expectation and never a witness.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place inside the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestSource {
    /// An interface of the guest's kernel: a system call, a pseudo file, a registry key.
    Kernel,
    /// A CPU register, read by an instruction: CPUID, the time-stamp counter.
    Register,
    /// A device, read through its driver: the content of a disk, bytes of a connection, the hardware clock.
    Device,
    /// Memory that firmware or device wrote, read as bytes: ACPI and SMBIOS tables, the e820 map.
    Memory,
    /// What the guest prints on its console.
    Console,
    /// What the guest left on a medium, read after it ended: a crash dump, a file of its own.
    Dump,
}

/// A place outside of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostSource {
    /// The hypervisor's own answer, or an event that it told.
    Hypervisor,
    /// The machine's process, as the host's operating system shows it.
    Process,
    /// Files of the machine on the host, besides the media of disks.
    Files,
    /// A cable that ends outside of the machine: Ethernet frames, a serial line, keys and pictures of its display.
    Wire,
    /// A disk's medium, read without asking the hypervisor.
    Medium,
    /// The host's own clock.
    Clock,
    /// The physical machine: its CPU, its vulnerabilities, its memory.
    Hardware,
}

/// A value and the place that it was read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen<T, S> {
    /// What was seen.
    pub value: T,
    /// Where.
    pub source: S,
}

/// Seen from inside.
pub type Inside<T> = Seen<T, GuestSource>;

/// Seen from outside.
pub type Outside<T> = Seen<T, HostSource>;

impl<T, S> Seen<T, S> {
    /// What follows from the value alone was seen at the same place.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Seen<U, S> {
        Seen { value: of(self.value), source: self.source }
    }

    /// The same by reference.
    pub fn as_ref(&self) -> Seen<&T, S>
    where
        S: Copy,
    {
        Seen { value: &self.value, source: self.source }
    }
}

impl GuestSource {
    /// A value that was read here.
    pub fn saw<T>(self, value: T) -> Inside<T> {
        Seen { value, source: self }
    }

    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Kernel, Self::Register, Self::Device, Self::Memory, Self::Console, Self::Dump];

    /// For a person: "guest's kernel".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Kernel => "kernel interface",
            Self::Register => "CPU register",
            Self::Device => "device",
            Self::Memory => "memory",
            Self::Console => "console",
            Self::Dump => "offline dump",
        }
    }
}

impl HostSource {
    /// A value that was read here.
    pub fn saw<T>(self, value: T) -> Outside<T> {
        Seen { value, source: self }
    }

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hypervisor,
        Self::Process,
        Self::Files,
        Self::Wire,
        Self::Medium,
        Self::Clock,
        Self::Hardware,
    ];

    /// For a person: "hypervisor's answer".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor's answer",
            Self::Process => "VMM's process",
            Self::Files => "host's files",
            Self::Wire => "wire",
            Self::Medium => "medium, from outside",
            Self::Clock => "host's clock",
            Self::Hardware => "physical machine",
        }
    }
}

impl fmt::Display for GuestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl fmt::Display for HostSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
