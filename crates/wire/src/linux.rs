//! What the harness can ask of a probe in Linux only.

use serde::{Deserialize, Serialize};

/// Kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the kinds' own names")]
pub enum Node {
    Block,
    Character,
}

/// A request that only Linux can answer. Paths are of the guest. Slots are numbers below 8 that name something
/// held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinuxRequest<'a> {
    /// → `Done`, also if it is there already.
    MakeNode {
        /// Path.
        path: &'a str,
        /// Kind.
        node: Node,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// → `Done`.
    Mount {
        /// Device or pseudo file system.
        source: &'a str,
        /// Where.
        target: &'a str,
        /// File-system type.
        kind: &'a str,
        /// `MS_*`.
        flags: u64,
        /// Options.
        data: &'a str,
    },
    /// → `Done`.
    Unmount {
        /// Where.
        target: &'a str,
    },
    /// Loads a kernel module from a file → `Done`, also if it is loaded already.
    LoadModule {
        /// Path.
        path: &'a str,
        /// Parameters.
        parameters: &'a str,
    },
    /// → `Done`.
    UnloadModule {
        /// Module name.
        name: &'a str,
    },
    /// Any ioctl whose argument is a plain buffer → `Ioctl`.
    Ioctl {
        /// Device.
        path: &'a str,
        /// Request number.
        request: u64,
        /// Argument in, at most 1024 bytes.
        argument: &'a [u8],
    },
    /// Opens an input device and keeps it in a slot → `Done`.
    InputOpen {
        /// Slot.
        slot: u8,
        /// `/dev/input/event0`.
        path: &'a str,
    },
    /// Events since the last time, waiting at most `limit_ms` for the first → `Input`.
    InputRead {
        /// Slot.
        slot: u8,
        /// Limit.
        limit_ms: u32,
    },
    /// From now on, powers off when the power button's input device reports KEY_POWER → `Done`.
    /// Writes `power button pressed` to the console first.
    ObeyPowerButton {
        /// Its input device.
        path: &'a str,
    },
    /// Opens a watchdog, sets its time-out and does not pet it → `Count` of the seconds in force.
    WatchdogArm {
        /// `/dev/watchdog`.
        path: &'a str,
        /// Seconds.
        seconds: u32,
    },
    /// Writes the magic `V` and closes it → `Done`.
    WatchdogDisarm,
    /// The kernel's log from byte `offset` on → `Data`; empty at the end. `EPIPE` if the kernel has dropped the
    /// oldest lines since the answer before, so that the offset means nothing any more.
    KernelLog {
        /// First byte.
        offset: u32,
    },
    /// From now on acts as this release of the kernel does, an empty one ends that: what came later is
    /// refused as that release would refuse it (no such file, no such ioctl, no such clock). For
    /// trying a harness against the interfaces of an old kernel → `Done`.
    ActAs {
        /// `2.6.18`.
        release: &'a str,
    },
}

impl LinuxRequest<'_> {
    /// How many there are.
    pub const COUNT: u8 = 13;

    /// Which one it is, from 0: its number on the wire and its bit in [`Verbs`](crate::Verbs).
    pub const fn number(&self) -> u8 {
        match self {
            Self::MakeNode { .. } => 0,
            Self::Mount { .. } => 1,
            Self::Unmount { .. } => 2,
            Self::LoadModule { .. } => 3,
            Self::UnloadModule { .. } => 4,
            Self::Ioctl { .. } => 5,
            Self::InputOpen { .. } => 6,
            Self::InputRead { .. } => 7,
            Self::ObeyPowerButton { .. } => 8,
            Self::WatchdogArm { .. } => 9,
            Self::WatchdogDisarm => 10,
            Self::KernelLog { .. } => 11,
            Self::ActAs { .. } => 12,
        }
    }
}
