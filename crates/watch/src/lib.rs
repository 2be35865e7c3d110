//! The room that looks out: what has been released since the last look, and what that obliges to.
//!
//! In come sources that a person names ([`Source`]): osinfo-db and endoflife.date, a Debian suite's
//! package indexes, feeds, folders; beside them what is known here, what was known at the last look
//! ([`State`]), agreements, and what the logs hold. Out goes a [`Look`]: which releases are new and
//! who says so, which obligations they create by which rule and until when, and what holds for a
//! shorter time because of them; and an overlay, a file of definitions with which
//! `hospitium agreement plan` knows the same.
//!
//! It stands apart from `hospitium-products`, which reads what is given and remembers nothing, and
//! from `hospitium-plan`, which computes and reads nothing: this room goes to the network and keeps
//! a file from one look to the next. Nobody but the command line knows of it.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod archive;
mod databases;
mod debian;
mod error;
mod feed;
mod images;
mod look;
mod oblige;
mod overlay;
mod place;
mod release;
mod source;
mod state;

pub use debian::Signature;
pub use debian::list::{List, read as read_list};
pub use debian::packages::{Package, read as read_packages};
pub use error::WatchError;
pub use feed::read as read_feed;
pub use look::{Change, Look, News, Seen, look};
pub use oblige::{Deal, Moved, Obliged, Owed};
pub use overlay::write as write_overlay;
pub use release::{Found, Release};
pub use source::{Ground, Options, Source};
pub use state::State;
