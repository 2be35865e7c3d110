//! Why an exchange broke off.

use hospitium_desk::exchange::MessageError;
use hospitium_desk::store::StoreError;

use crate::caller::CallError;

/// Why an exchange broke off. What was stored before is stored.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The other desk.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message or receipt.
    #[error(transparent)]
    Message(#[from] MessageError),
}
