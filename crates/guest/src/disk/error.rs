//! Why a disk guest cannot be made ready or entered.

use std::path::PathBuf;
use std::time::Duration;

use hospitium_model::{Bus, ByteSize, Firmware, span};

use crate::image::ImageError;
use hospitium_system::{ConsoleError, LastLines};

/// Why a disk guest cannot be made ready or entered.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Its image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The definition is not there or cannot be read.
    #[error("the guest definition {} cannot be read", path.display())]
    DefinitionUnreadable {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The definition is not of the form.
    #[error("{} is no guest definition", path.display())]
    DefinitionForm {
        /// Which.
        path: PathBuf,
        /// Cause, with line and column.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The definition can be read and makes no sense.
    #[error("the guest definition {} has {why}", path.display())]
    DefinitionSense {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It names no image.
    #[error("the guest definition {} names no image; {next}", path.display())]
    NoImage {
        /// Which.
        path: PathBuf,
        /// What to do.
        next: String,
    },
    /// It does not boot with this firmware.
    #[error(
        "{guest} boots with {can:?} and not with {asked:?}; choose another firmware for the machine"
    )]
    Firmware {
        /// Guest.
        guest: String,
        /// The machine's.
        asked: Firmware,
        /// The guest's.
        can: Vec<Firmware>,
    },
    /// Its system disk cannot be on this bus.
    #[error(
        "the system disk of {guest} can be on {can:?} and not on {asked:?}; choose another bus for it"
    )]
    Bus {
        /// Guest.
        guest: String,
        /// The machine's.
        asked: Bus,
        /// The guest's.
        can: Vec<Bus>,
    },
    /// Not enough memory.
    #[error("{guest} needs {needed} of memory to start, and the machine has {has}")]
    Memory {
        /// Guest.
        guest: String,
        /// The least.
        needed: ByteSize,
        /// The machine's.
        has: ByteSize,
    },
    /// Logging in stopped at a step.
    #[error("logging in on the console stopped at step {step}, \"wait for {wait}\"")]
    Login {
        /// Number, from 1.
        step: usize,
        /// What was waited for.
        wait: String,
        /// Cause, with the last lines.
        #[source]
        source: ConsoleError,
    },
    /// The password is wrong, or the account is locked.
    #[error(
        "the guest refused the login of {user:?} on its console; check user and password in its definition{last}"
    )]
    LoginRefused {
        /// User.
        user: String,
        /// The last lines.
        last: LastLines,
    },
    /// Logged in, and the probe could not be started.
    #[error("logged in, but the probe could not be started: {why}{last}")]
    Start {
        /// What the shell said.
        why: String,
        /// The last lines.
        last: LastLines,
    },
    /// cloud-init did not start the probe, and there are no credentials to log in with.
    #[error(
        "the guest shows a login prompt, and within {} cloud-init has not started the probe; \
         is cloud-init installed in the image and enabled? If not, give a user and password in a guest \
         definition ([login]), and it is done by logging in{last}",
        span(*.waited)
    )]
    NoCloudInit {
        /// How long, from the prompt on.
        waited: Duration,
        /// The last lines.
        last: LastLines,
    },
}
