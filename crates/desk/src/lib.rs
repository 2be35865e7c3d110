//! Joint support: a case between two vendors whose customer runs the one's system on the other's hypervisor.
//!
//! In come [`Event`]s; [`open`] and [`apply`] make a [`Case`] of them, purely: the same events give the same
//! case, at both vendors. What is not legal is an [`Illegal`] that lists what is, and changes nothing.
//!
//! docs/desk.md has the states, what a person types, and the format of messages.

mod apply;
mod aside;
mod beside;
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
mod opened;
mod outcome;
mod people;
#[cfg(test)]
mod sample;
pub mod store;
#[cfg(test)]
mod tests;
mod text;
mod timing;
mod vault;

pub use apply::apply;
pub use aside::Aside;
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
pub use legal::legal;
pub use opened::open;
pub use outcome::{
    Action, Confirmation, DeclineReason, Feedback, Layer, Minutes, MinutesError, Note, Outcome,
    Place, Reproduction, ReproductionResult, Shown, Visibility, WaitFor,
};
pub use people::{
    Both, Consent, Customer, Engineer, EngineerError, Entitled, Entitlement, Holder, Shareable,
    Side,
};
pub use text::{Address, CaseId, LINE_LIMIT, Line, PartyName, TEXT_LIMIT, Text, TextError};
pub use vault::{Vault, VaultError};
