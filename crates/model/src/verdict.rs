//! How a check ended.

use serde::{Deserialize, Serialize};

/// The verdict on one check of one cell. None can be built without its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Both witnesses observed it and agree.
    Pass,
    /// The witnesses disagree, or what they saw is not what was expected.
    Fail {
        /// The first findings that did not hold, in words.
        reason: String,
    },
    /// Does not apply here; decided from declared facts, never from a failure.
    Skip {
        /// Who or what makes it not apply.
        why: SkipReason,
        /// In words.
        reason: String,
    },
    /// The harness or the lab failed. Says nothing about the pair.
    Error {
        /// What broke, and what to do next.
        reason: String,
    },
    /// Did not get to run.
    Miss {
        /// What kept it from running.
        reason: String,
    },
}

/// The words of [`Verdict`]s, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is a verdict's")]
pub enum VerdictWord {
    Pass,
    Fail,
    Skip,
    Error,
    Miss,
}

/// Why a check does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The guest has no such thing, by its declared facts.
    UnsupportedByGuest,
    /// The host answers the capability query with no.
    UnsupportedByHost,
    /// Possible, but the profile or the machine's configuration does not ask for it.
    NotRequired,
}

impl Verdict {
    /// The verdict of these fields, for those who read them among others: serde would keep all of what they
    /// stand in first.
    ///
    /// # Errors
    /// If a field is missing, in words.
    pub fn of_fields(
        word: VerdictWord,
        why: Option<SkipReason>,
        reason: Option<String>,
    ) -> Result<Self, &'static str> {
        let reason = || reason.ok_or("missing field `reason`");
        Ok(match word {
            VerdictWord::Pass => Self::Pass,
            VerdictWord::Fail => Self::Fail { reason: reason()? },
            VerdictWord::Skip => {
                Self::Skip { why: why.ok_or("missing field `why`")?, reason: reason()? }
            }
            VerdictWord::Error => Self::Error { reason: reason()? },
            VerdictWord::Miss => Self::Miss { reason: reason()? },
        })
    }

    /// The one word for it: `pass`, `fail`, `skip`, `error`, `miss`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { .. } => "fail",
            Self::Skip { .. } => "skip",
            Self::Error { .. } => "error",
            Self::Miss { .. } => "miss",
        }
    }

    /// The reason, empty for a pass.
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Fail { reason }
            | Self::Skip { reason, .. }
            | Self::Error { reason }
            | Self::Miss { reason } => reason,
        }
    }

    /// True if the check really ran to an end: a pass or a fail.
    pub const fn ran(&self) -> bool {
        matches!(self, Self::Pass | Self::Fail { .. })
    }
}

impl SkipReason {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::UnsupportedByGuest => "unsupported by guest",
            Self::UnsupportedByHost => "unsupported by host",
            Self::NotRequired => "not required",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_of_its_fields_is_the_one_that_serde_derives() {
        #[derive(Deserialize)]
        struct Fields {
            verdict: VerdictWord,
            why: Option<SkipReason>,
            reason: Option<String>,
        }
        for word in ["pass", "fail", "skip", "error", "miss", "Pass", ""] {
            for rest in [
                "",
                r#","reason":"r""#,
                r#","why":"not-required""#,
                r#","why":"unsupported-by-host","reason":"r""#,
            ] {
                let text = format!(r#"{{"verdict":"{word}"{rest}}}"#);
                let derived: Option<Verdict> = serde_json::from_str(&text).ok();
                let fields: Option<Fields> = serde_json::from_str(&text).ok();
                let ours = fields.and_then(|f| Verdict::of_fields(f.verdict, f.why, f.reason).ok());
                assert_eq!(ours, derived, "{text}");
            }
        }
    }
}
