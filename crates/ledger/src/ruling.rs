//! What a verified certificate is worth, as the rule that decides it: the same words as those of a catalog.

use hospitium_model::standing::{AssuredBy, Deed, OfRecord, Rule, Until};

use crate::explain::{Explained, Standing};
use crate::standing::{day_of, last_day};

impl Explained {
    /// The rule by which it stands so. It says nothing of what an agreement asks for: only a catalog knows
    /// of those.
    pub fn rule(&self) -> Rule {
        let Some(validation) = self.validation() else {
            let what = match self.standing {
                Standing::Notice(what) => what,
                _ => "no validation",
            };
            return Rule::NoCertificate { what: what.to_owned() };
        };
        let validity = &validation.hospitium.validity;
        let record = OfRecord {
            certificate: format!("{} entry {}", self.log.origin, self.log.index),
            party: self.party.clone(),
            validated: day_of(validity.from),
            assured_by: self.assured_by(),
        };
        let until =
            || Until { day: Some(last_day(validity.until)), because: validity.decided_by.clone() };
        match self.standing.clone() {
            Standing::Valid { .. } => {
                Rule::Holds { record, until: until(), unfulfilled: None, wider_shown: false }
            }
            Standing::Lapsed { .. } => Rule::Lapsed { record, until: until() },
            Standing::NotYet { .. } => Rule::NotYet { record },
            Standing::Failed => Rule::Failed { record },
            Standing::Suspended { at, until, reason, .. } => {
                let until = until.map(last_day);
                Rule::Suspended { record, since: day_of(at), until, reason }
            }
            Standing::Withdrawn { at, reason, .. } => {
                Rule::Withdrawn { record, on: day_of(at), reason }
            }
            Standing::Fallen { what, why } => Rule::Fallen { record, what, why },
            Standing::Notice(what) => Rule::NoCertificate { what: what.to_owned() },
        }
    }

    /// Other parties that bear it out, as far as it shows by itself: those that have cosigned its log. Endorsements stand
    /// in the other parties' logs, which a catalog reads.
    pub fn assured_by(&self) -> Vec<AssuredBy> {
        let domain = |by: &str| by.split('/').next().unwrap_or_default().to_owned();
        let others = self.cosigned.iter().map(|cosigned| domain(&cosigned.by));
        let mut others: Vec<_> = others.filter(|party| *party != self.party).collect();
        others.sort();
        others.dedup();
        let cosigned =
            |party| AssuredBy { deed: Deed::Cosigned, party, at: String::new(), part: None };
        others.into_iter().map(cosigned).collect()
    }
}
