//! Events of a machine.

use std::time::{Duration, Instant, SystemTime};

use hospitium_model::ByteSize;
use serde::{Deserialize, Serialize};

use crate::Ended;

/// An event of a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, by the wall clock of the host.
    pub host_time: SystemTime,
    /// How exactly `host_time` is known: it lies at most this far from the truth.
    pub uncertainty: Duration,
    /// When it was seen here.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The vCPUs began to run.
    Resumed,
    /// The vCPUs stopped.
    Paused,
    /// The machine was reset, by the guest or from outside.
    Reset {
        /// True if the guest asked for it.
        by_guest: bool,
    },
    /// The machine powered off.
    PoweredOff {
        /// True if the guest did it.
        by_guest: bool,
    },
    /// The power button was pressed.
    PowerButton,
    /// The guest's kernel told that it panicked.
    Crashed,
    /// The guest went to sleep.
    Suspended,
    /// The watchdog expired.
    Watchdog {
        /// The action taken, by its own name.
        action: String,
    },
    /// A device was let go of.
    DeviceRemoved {
        /// Its id.
        id: String,
    },
    /// The guest refused to let go of a device.
    DetachRefused {
        /// Its id.
        id: String,
    },
    /// A drive's tray moved.
    Tray {
        /// The drive.
        id: String,
        /// Open or closed.
        open: bool,
    },
    /// A disk had an I/O error.
    DiskError {
        /// The disk.
        id: String,
        /// There was no room.
        no_space: bool,
    },
    /// The balloon has a new size.
    Balloon {
        /// Memory in the guest's hands.
        actual: ByteSize,
    },
    /// Memory was hot-plugged and the guest reported on it, or the like; the event's own name.
    Other {
        /// Name.
        name: String,
    },
    /// The VMM is gone.
    Died(Ended),
}

/// A class of events. A host tells of all events of a class or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventClass {
    /// The vCPUs began to run, or stopped.
    Running,
    /// The machine was reset.
    Reset,
    /// The machine powered off.
    PowerOff,
    /// The power button was pressed.
    PowerButton,
    /// The guest's kernel panicked.
    Crash,
    /// The guest went to sleep.
    Suspend,
    /// The watchdog expired.
    Watchdog,
    /// The guest let go of a device, or refused to.
    Removal,
    /// A drive's tray moved.
    Tray,
    /// A disk had an I/O error.
    DiskError,
    /// The balloon has a new size.
    Balloon,
    /// The machine is no more.
    End,
}

impl EventClass {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Running,
        Self::Reset,
        Self::PowerOff,
        Self::PowerButton,
        Self::Crash,
        Self::Suspend,
        Self::Watchdog,
        Self::Removal,
        Self::Tray,
        Self::DiskError,
        Self::Balloon,
        Self::End,
    ];
}

impl EventKind {
    /// Its class; none for events that no check counts on.
    pub const fn class(&self) -> Option<EventClass> {
        Some(match self {
            Self::Resumed | Self::Paused => EventClass::Running,
            Self::Reset { .. } => EventClass::Reset,
            Self::PoweredOff { .. } => EventClass::PowerOff,
            Self::PowerButton => EventClass::PowerButton,
            Self::Crashed => EventClass::Crash,
            Self::Suspended => EventClass::Suspend,
            Self::Watchdog { .. } => EventClass::Watchdog,
            Self::DeviceRemoved { .. } | Self::DetachRefused { .. } => EventClass::Removal,
            Self::Tray { .. } => EventClass::Tray,
            Self::DiskError { .. } => EventClass::DiskError,
            Self::Balloon { .. } => EventClass::Balloon,
            Self::Died(_) => EventClass::End,
            Self::Other { .. } => return None,
        })
    }
}
