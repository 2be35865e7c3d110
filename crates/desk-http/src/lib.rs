//! The exchange between two support desks over HTTP. What is said is judged in `hospitium-desk`; here is only the way.
//!
//! In comes an [`Office`](hospitium_desk::Office); out come [`routes`] for a server, an [`exchange_with`] another desk
//! that is called, a [`courier`](run) that calls them all, whenever there is something to be sent or fetched, and
//! [notices](notify) to people and programs of the desk's own vendor.
//!
//! docs/desk.md has the addresses, the proof that each request carries, and the bounds.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bell;
mod caller;
mod courier;
mod error;
mod exchange;
mod files;
pub mod notify;
mod parcel;
mod proof;
mod rate;
mod server;
#[cfg(test)]
mod tests;

pub use bell::Bell;
pub use caller::CallError;
pub use courier::{Contacts, run};
pub use error::ExchangeError;
pub use exchange::exchange_with;
pub use parcel::{PARCEL, Parcel, Reply, Unwanted};
pub use proof::{FRESH, Proof, ProofError, Request, prove, verify};
pub use server::{Limits, Server, routes};
