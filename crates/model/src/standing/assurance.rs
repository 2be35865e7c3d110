//! How far others than the party that says it bear a record out.

use serde::{Deserialize, Serialize};

use super::OfRecord;
use crate::printable;

/// How far others bear a record out, the least first. A cosignature is not agreement: it says that the record is stored
/// in a log that only grows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Assurance {
    /// Its party alone says so.
    #[default]
    SelfValidated,
    /// Another party has cosigned the log that has it.
    Witnessed,
    /// Another party agrees: it reviewed the record, or has logged its own record of the pair.
    Endorsed,
    /// Another party ran it again from the pinned inputs, with the same outcome.
    Repeated,
}

impl Assurance {
    /// All, the least first.
    pub const ALL: [Self; 4] =
        [Self::SelfValidated, Self::Witnessed, Self::Endorsed, Self::Repeated];

    /// In a word.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SelfValidated => "self-validated",
            Self::Witnessed => "witnessed",
            Self::Endorsed => "endorsed",
            Self::Repeated => "repeated",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SelfValidated => "Its party alone says so.",
            Self::Witnessed => {
                "Another party has cosigned the log: the record is stored, and the log only grows. That is no agreement."
            }
            Self::Endorsed => {
                "Another party agrees: it reviewed the record, or has a record of its own of the pair."
            }
            Self::Repeated => {
                "Another party ran it again from the pinned inputs, with the same outcome."
            }
        }
    }

    /// Whether another party agrees.
    pub const fn is_mutual(self) -> bool {
        matches!(self, Self::Endorsed | Self::Repeated)
    }
}

/// What another party did about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Deed {
    /// It cosigned the log that has the record.
    Cosigned,
    /// It endorsed the record after a review.
    Reviewed,
    /// It has a record of its own of the pair, which holds.
    Validated,
    /// It endorsed the record, which counts on several machines, after it had run one of them again.
    RepeatedInPart,
    /// It endorsed the record after it had run it again.
    Repeated,
}

impl Deed {
    /// What the record is by that.
    pub const fn assurance(self) -> Assurance {
        match self {
            Self::Cosigned => Assurance::Witnessed,
            Self::Reviewed | Self::Validated | Self::RepeatedInPart => Assurance::Endorsed,
            Self::Repeated => Assurance::Repeated,
        }
    }
}

/// A party that bears a record out, and by what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssuredBy {
    /// What it did.
    pub deed: Deed,
    /// The party.
    pub party: String,
    /// Where it says so: log and entry; empty for a cosignature.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Which of the machines that the record counts on it has run again, where that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// The machines of a record that were run again, by themselves or with its run's other records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Part {
    /// Each in words.
    pub machines: Vec<String>,
    /// How many the record counts on.
    pub of: usize,
}

impl Part {
    fn words(&self) -> String {
        let Self { machines, of } = self;
        let named: Vec<String> = machines.iter().take(5).map(|m| printable(m, 200)).collect();
        let more = machines.len().saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "{} of the {of} machines that it counts on: {}{more}",
            machines.len(),
            named.join("; ")
        )
    }
}

impl AssuredBy {
    /// In a few words.
    pub fn words(&self) -> String {
        let party = printable(&self.party, 200);
        let at = printable(&self.at, 200);
        match self.deed {
            Deed::Cosigned => format!("{party} has cosigned the log"),
            Deed::Reviewed => format!("{party} reviewed it ({at})"),
            Deed::Validated => format!("{party} validated the pair itself ({at})"),
            Deed::RepeatedInPart => match &self.part {
                Some(part) => format!("{party} repeated {} ({at})", part.words()),
                None => format!("{party} repeated not all machines that it counts on ({at})"),
            },
            Deed::Repeated => format!("{party} repeated it ({at})"),
        }
    }
}

/// How far these bear a record out.
pub fn assurance(by: &[AssuredBy]) -> Assurance {
    by.iter().map(|by| by.deed.assurance()).max().unwrap_or_default()
}

/// The same in words: `repeated: other.example repeated it (other.example/log entry 3)`. All that makes it so is named.
pub fn assurance_words(by: &[AssuredBy]) -> String {
    let all = assurance(by);
    let of_all = by.iter().filter(|by| by.deed.assurance() == all);
    let named: Vec<String> = of_all.take(5).map(AssuredBy::words).collect();
    match named.as_slice() {
        // What other parties say of the pair by themselves is not always at hand, and nothing is said of it here.
        [] => format!(
            "{}: nobody else is known to have cosigned its log, reviewed it or repeated it",
            all.words()
        ),
        some => format!("{}: {}", all.words(), some.join("; ")),
    }
}

impl OfRecord {
    /// How far others bear it out.
    pub fn assurance(&self) -> Assurance {
        assurance(&self.assured_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(deed: Deed, at: &str) -> AssuredBy {
        AssuredBy { deed, party: "b.example".into(), at: at.into(), part: None }
    }

    #[test]
    fn a_cosignature_is_no_agreement_and_a_repetition_is_more_than_a_review() {
        assert_eq!(assurance(&[]), Assurance::SelfValidated);
        let cosigned = by(Deed::Cosigned, "");
        assert_eq!(assurance(std::slice::from_ref(&cosigned)), Assurance::Witnessed);
        assert!(!assurance(std::slice::from_ref(&cosigned)).is_mutual());
        let all = [by(Deed::Repeated, "b.example/log entry 3"), cosigned, by(Deed::Reviewed, "x")];
        assert_eq!(
            assurance_words(&all),
            "repeated: b.example repeated it (b.example/log entry 3)"
        );
        for deed in [Deed::Reviewed, Deed::Validated, Deed::Repeated] {
            assert!(deed.assurance().is_mutual());
        }
        assert!(Assurance::ALL.is_sorted());
    }
}
