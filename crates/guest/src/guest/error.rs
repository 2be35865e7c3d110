//! Why a guest cannot be made ready or entered.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hospitium_host::HostError;
use hospitium_system::{LastLines, Platform, SessionError};

use crate::direct::error::DirectError;
use crate::disk::error::DiskError;
use crate::kernel::KernelError;

/// Lines of the console that an error shows.
pub(crate) const LAST: usize = 12;

/// Where something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The serial line.
    Console,
    /// The display, on which there was text.
    Screen,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Console => "serial console",
            Self::Screen => "screen",
        })
    }
}

/// Why a guest cannot be made ready or entered.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Not there, or may not be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Nothing that can be booted here.
    #[error(
        "{} is no guest: neither a kernel package (.deb), a kernel image (bzImage) nor a disk \
         image; for a kernel with its modules write KERNEL+MODULES-FOLDER, for a kernel with the initrd and the disk \
         image that it boots KERNEL+INITRD+IMAGE",
        path.display()
    )]
    Unrecognised {
        /// Which.
        path: PathBuf,
    },
    /// A kernel guest that is not as it should be.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A guest whose kernel and initrd come from outside, and that is not as it should be.
    #[error(transparent)]
    Direct(#[from] DirectError),
    /// Words for a kernel's command line, and nobody to give them to.
    #[error(
        "{} boots by its own boot loader, which nothing can be told from outside; --append goes with a kernel, or \
         with KERNEL+INITRD+IMAGE",
        path.display()
    )]
    NoAppend {
        /// Which guest.
        path: PathBuf,
    },
    /// A disk guest that is not as it should be, or that cannot be entered.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The machine has something that the guest cannot do without and has no driver for.
    #[error("{guest} has no driver for {device}, which this machine needs: {why}")]
    NoDriver {
        /// Guest.
        guest: String,
        /// Device.
        device: String,
        /// Why not.
        why: String,
    },
    /// This program carries no probe for the guest.
    #[error("{guest} is {platform}, and this hospitium was built without the probe for it; {next}")]
    NoProbeFor {
        /// Guest.
        guest: String,
        /// What it is.
        platform: Platform,
        /// What to do.
        next: &'static str,
    },
    /// The machine lacks something by which the guest is entered.
    #[error("the machine has no channel named {name:?}; add it to the machine's channels")]
    NoChannel {
        /// Which.
        name: String,
    },
    /// A file could not be made.
    #[error("while {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The kernel panicked before the probe answered.
    #[error(
        "the guest's kernel panicked {waited:.1?} after the start, before the probe answered: {panic}{last}"
    )]
    Panicked {
        /// How long it had been waited.
        waited: Duration,
        /// The panic's first line.
        panic: String,
        /// The last lines.
        last: LastLines,
    },
    /// Firmware, boot loader or system said that it will not come up.
    #[error(
        "the guest does not boot: {by} says \"{said}\" on the {place}, {waited:.1?} after the start: {means}{last}"
    )]
    NotBootable {
        /// How long it had been waited.
        waited: Duration,
        /// Whose words they are.
        by: &'static str,
        /// The words.
        said: String,
        /// Where they were read.
        place: Seen,
        /// What they mean, and what to do.
        means: &'static str,
        /// The console's last lines.
        last: LastLines,
    },
    /// A kernel that has no driver for its disk, and no initrd with one.
    #[error(
        "the guest's kernel found no root file system (\"{said}\" on the {place}): {means}{last}"
    )]
    NeedsInitrd {
        /// The words.
        said: String,
        /// Where they were read.
        place: Seen,
        /// What to do.
        means: &'static str,
        /// The console's last lines.
        last: LastLines,
    },
    /// It came up as far as a shell of last resort.
    #[error("the guest stopped on its way up: {by} says \"{said}\" on the {place}: {means}{last}")]
    Stopped {
        /// Whose words they are.
        by: &'static str,
        /// The words.
        said: String,
        /// Where they were read.
        place: Seen,
        /// What they mean.
        means: &'static str,
        /// The console's last lines.
        last: LastLines,
    },
    /// The probe runs and has nobody to talk to.
    #[error("the probe runs in the guest and sees none of its channels: {means}{last}")]
    ChannelUnseen {
        /// What it means.
        means: &'static str,
        /// The console's last lines.
        last: LastLines,
    },
    /// Nothing was printed, and nobody answered.
    #[error(
        "waited {waited:.1?} for the probe's first answer, and the guest has printed nothing on its serial line. It has \
         no console there, or it hangs before it has one: add console=ttyS0 to the kernel's line in its boot loader, \
         or give kernel and initrd (KERNEL+INITRD+IMAGE)"
    )]
    NoConsole {
        /// How long.
        waited: Duration,
    },
    /// Nobody answered.
    #[error(
        "waited {waited:.1?} for the probe's first answer, and it did not come; the console has \
         been silent for {silent:.1?}{last}"
    )]
    NoProbe {
        /// How long.
        waited: Duration,
        /// How long nothing has been printed.
        silent: Duration,
        /// The last lines.
        last: LastLines,
    },
    /// It starts over and over.
    #[error("the guest restarted {count} times in {waited:.1?}, before the probe answered{last}")]
    Rebooting {
        /// How long it had been waited.
        waited: Duration,
        /// Resets seen.
        count: u32,
        /// The last lines.
        last: LastLines,
    },
    /// It prints without end.
    #[error(
        "the guest flooded its console with {bytes} bytes in {waited:.1?}, before the probe answered{last}"
    )]
    Flooded {
        /// How long it had been waited.
        waited: Duration,
        /// Bytes.
        bytes: u64,
        /// The last lines.
        last: LastLines,
    },
    /// The machine ended.
    #[error(
        "the machine ended {waited:.1?} after the start, before the probe answered: {how}{last}"
    )]
    Ended {
        /// How long it had been waited.
        waited: Duration,
        /// How it ended.
        how: String,
        /// The last lines.
        last: LastLines,
    },
    /// The probe's channel closed although the machine lives.
    #[error("the probe's channel was closed by the hypervisor while the machine runs{last}")]
    ChannelClosed {
        /// The last lines.
        last: LastLines,
    },
    /// The probe answered wrongly.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl GuestError {
    /// An I/O error while `doing`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
