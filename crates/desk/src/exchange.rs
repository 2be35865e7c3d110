//! The exchange between two desks: signed messages in two chains, one of each vendor, which both desks merge in
//! the same order.

mod chain;
mod heard;
mod message;
mod receipt;
mod receive;
mod thread;

pub use chain::{Voided, merge};
pub(crate) use heard::followed_by;
pub use message::{
    Heard, Link, MESSAGE_TYPE, Message, MessageError, Sealed, TOLERANCE, sign_message,
    verify_message,
};
pub use receipt::{RECEIPT_TYPE, Receipt, WANTS, sign_receipt, verify_receipt};
pub(crate) use receive::check_next;
pub use receive::{Refusal, Taken, case_of};
pub use thread::{Divergence, HELD, Outgoing, PostError, Thread, Vouched};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::Pair;
