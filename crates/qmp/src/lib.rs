//! What QEMU's monitor answers, read.
//!
//! In goes a [`Monitor`]: a connection to the monitor of one running QEMU, whoever holds it. Out comes what
//! the seam wants to know: a [`Look`](hospitium_host::Look), events, pictures. Answers are not trusted:
//! text is escaped and cut, numbers are bounded, and what is missing is an
//! [`Inability`](hospitium_model::Inability).
//!
//! Layers, from the ground up: `monitor` · `events`, `picture`, `smbios`, `text_screen` · `look`, `inspect`.

mod events;
mod inspect;
mod look;
mod monitor;
mod picture;
mod smbios;
mod text_screen;

pub use events::{path_id, translate};
pub use inspect::inspect;
pub use look::look;
pub use monitor::Monitor;
pub use picture::parse as parse_picture;
