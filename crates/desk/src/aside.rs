//! What a party keeps of a case for itself. It is no [`Event`](crate::Event), and no message can be made of
//! it, so it cannot leave.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::{Line, Text};

/// An internal note: for one's own party only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aside {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub person: Option<Line>,
    /// The note.
    pub text: Text,
}
