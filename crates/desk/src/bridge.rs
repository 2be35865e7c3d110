//! TSANet Connect, through which support organisations pass cases on: our cases in the fields that it publishes, and
//! its requests as what was heard of a vendor that has no desk. Files only; nothing here calls a service.
//!
//! docs/desk.md has the table of fields.

mod fields;
mod incoming;
mod opening;
mod outgoing;
mod published;
mod reading;
mod said;

pub use incoming::{Given, Incoming, IncomingError, incoming};
pub use opening::{Opened, OpeningError, Receiving, opening, pair};
pub use outgoing::{Answer, Carried, OutgoingError, answers, create_request, whole_case};
pub use published::{
    CaseNote, CaseResponse, Contact, CreateField, CreateRequest, Field, SECTION, Status, THROUGH,
    WholeCase,
};
pub use reading::{LARGEST, ReadError, Request, TOLD, read};

#[cfg(test)]
mod tests;
