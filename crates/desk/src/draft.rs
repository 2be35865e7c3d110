//! A case before it is offered. It is at one desk only, and may be changed and thrown away.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::apply::apply;
use crate::case::Case;
use crate::event::{Deed, Event, Opening};
use crate::facts::Attachment;
use crate::fault::Illegal;
use crate::opened::open;
use crate::people::Side;
use crate::text::Line;

/// A case before it is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What it is to be opened with.
    pub opening: Opening,
    /// Its files.
    pub files: Vec<Attachment>,
    /// When it was begun.
    pub opened: Timestamp,
    /// Who began it.
    pub person: Option<Line>,
}

impl Draft {
    fn event(&self, deed: Deed) -> Event {
        Event { at: self.opened, by: Side::Submitter, person: self.person.clone(), deed }
    }

    /// The case that it makes, in the state `draft`.
    ///
    /// # Errors
    /// If a case cannot be opened so.
    pub fn case(&self) -> Result<Case, Illegal> {
        let mut case = open(&self.event(Deed::Opened { opening: Box::new(self.opening.clone()) }))?;
        for attachment in &self.files {
            case = apply(&case, &self.event(Deed::Attached { attachment: attachment.clone() }))?;
        }
        Ok(case)
    }
}
