//! What words become that are said in a case without saying what they are.

use crate::case::{Case, State};
use crate::event::Deed;
use crate::outcome::{Visibility, WaitFor};
use crate::people::{Holder, Side};
use crate::text::Text;

/// The deed that a vendor's words are: the answer to what it was asked, else a note for both vendors.
pub fn reply(case: &Case, us: Side, text: Text) -> Deed {
    let ball = case.ball();
    let ours = ball == Holder::from(us) || ball == Holder::Customer && case.owner == us;
    match &case.state {
        State::InfoRequested { .. } if ours => Deed::InfoGiven { answer: text },
        // What was to be tried is answered by what it showed.
        State::Waiting { wait, .. } if ours && !matches!(wait, WaitFor::Reproduction { .. }) => {
            Deed::Answered { text }
        }
        _ => Deed::Noted { visibility: Visibility::Both, text },
    }
}
