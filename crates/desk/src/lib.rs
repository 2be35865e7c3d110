//! Joint support: a case between two vendors whose customer runs the one's system on the other's hypervisor.
//!
//! In come [`Event`]s; [`open`] and [`apply`] make a [`Case`] of them, purely: the same events give the same
//! case, at both vendors. What is not legal is an [`Illegal`] that lists what is, and changes nothing.
//!
//! [`bridge`] carries cases over to a case exchange that has no desks, and back.
//!
//! docs/desk.md has the states, what a person types, and the format of messages.

mod account;
mod apply;
mod aside;
mod asked;
mod beside;
pub mod bridge;
mod calendar;
mod case;
mod clocks;
mod draft;
mod event;
pub mod exchange;
pub mod export;
mod facts;
mod fault;
pub mod folder;
mod freeze;
mod laps;
mod legal;
mod office;
mod opened;
mod outcome;
pub mod owed;
mod peers;
mod people;
mod places;
mod ran;
mod reply;
#[cfg(any(test, feature = "sample"))]
#[doc(hidden)]
#[allow(missing_docs, reason = "for tests, here and in the rooms above")]
pub mod sample;
pub mod sign_in;
mod span;
pub mod store;
#[cfg(test)]
mod tests;
mod text;
mod timing;
mod vault;

pub use account::{Account, AccountError, Login, PASSWORD, Role, hash_password, is_password};
pub use apply::apply;
pub use aside::Aside;
pub use asked::{Asked, Typed, asked};
pub use calendar::{Calendar, CalendarError};
pub use case::{
    Attached, Case, ClockName, Escalation, IDLE_CLOSED, IDLE_WARNED, LONGEST_PAUSE, Lap, Pause,
    REOPENED_WITHIN, State, WARNED_BEFORE,
};
pub use clocks::{Reading, Standing, by_itself, clocks, next_due};
pub use draft::Draft;
pub use event::{CaseLink, Channel, Deed, DeedKind, Event, Opening, Terms};
pub use facts::{
    Attachment, Classification, Configuration, Driver, FrozenRule, FrozenVerdict, Grade,
    LARGEST_ATTACHMENT, Problem, Topic, VerdictWord,
};
pub use fault::{Fault, Illegal, Next};
pub use freeze::{freeze, unknown};
pub use laps::MOST;
pub use legal::{hindrance, legal};
pub use office::{Office, OfficeError};
pub use opened::open;
pub use outcome::{
    Action, Confirmation, DeclineReason, Feedback, Layer, Minutes, MinutesError, Note, Outcome,
    Place, Reproduction, ReproductionResult, Shown, Visibility, WaitFor,
};
pub use peers::{DeskAddress, KnownPeer, PartyKeys, PeersError, read_peers, write_address};
pub use people::{
    Both, Consent, Customer, Engineer, EngineerError, Entitled, Entitlement, Holder, Shareable,
    Side,
};
pub use places::{Place as FilePlace, Places};
pub use ran::{Ran, RanCell, RanCheck};
pub use reply::reply;
pub use span::until;
pub use text::{Address, CaseId, LINE_LIMIT, Line, PartyName, TEXT_LIMIT, Text, TextError};
pub use vault::{Added, Vault, VaultError};
