//! What it means that somebody cannot do what a check wants of them.

use std::sync::atomic::Ordering;

use hospitium_model::{Inability, Unable, Verdict};

use super::Cell;
use crate::FacetKind;

impl Cell {
    /// From now on the guest has been through something: what it cannot show is known before.
    pub(super) fn acts(&self) {
        self.acted.store(true, Ordering::Relaxed);
    }

    /// A facet, its name in the reason why it is not there.
    pub(super) fn given<'a, T: ?Sized>(
        &self,
        kind: FacetKind,
        facet: Result<&'a T, Inability>,
    ) -> Result<&'a T, Inability> {
        facet.map_err(|Inability { by, why }| Inability {
            by,
            why: format!("it has no facet for {}: {why}", kind.words()),
        })
    }

    /// The verdict on a check that ended because somebody could not do or show something.
    ///
    /// What a host cannot is known before a check begins, and the check's needs skip it then. Which drivers and
    /// interfaces a guest has is known from asking it, until something is done to its machine. Who says so later could
    /// turn a failure into a skip: that is an error.
    pub fn on_inability(&self, why: &Inability) -> Verdict {
        let known_before = match why.by {
            Unable::Host => false,
            Unable::Machine | Unable::Guest => !self.acted.load(Ordering::Relaxed),
        };
        if known_before {
            return why.clone().skip();
        }
        Verdict::Error {
            reason: format!(
                "in the middle of the check it showed that {why}; this was not said before the check began, so it is no \
                 reason to skip it"
            ),
        }
    }
}
