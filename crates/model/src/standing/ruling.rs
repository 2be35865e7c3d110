//! A rule as it decided on one day, to be kept: written down, and read back by whoever has to rely on it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Rule, Word};

/// The form of rulings that this writes, and the newest that it reads.
pub const RULE_FORMAT: u32 = 1;

/// How a pair stood on a day, and by which rule. What is read back is of a form that is known here, and its
/// word follows from its rule and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ruling {
    /// [`RULE_FORMAT`] of whoever wrote it.
    format: u32,
    /// The day for which it holds.
    as_of: Date,
    /// The answer in a word.
    word: Word,
    /// The rule that decided.
    rule: Rule,
    /// What is outside of what was tested, or has to be said with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raw {
    format: u32,
    as_of: Date,
    word: Word,
    rule: Rule,
    #[serde(default)]
    limits: Vec<String>,
}

/// Why a ruling cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulingError {
    /// It is of a later form.
    #[error(
        "the ruling is of form {0}, and this program reads up to {RULE_FORMAT}; read it with a later \
         one"
    )]
    Newer(u32),
    /// Its word is not that of its rule.
    #[error("the ruling says {said:?}, and its rule, {rule}, gives {gives:?}; it was altered")]
    Other {
        /// The word that it says.
        said: &'static str,
        /// The rule's name.
        rule: &'static str,
        /// The word that follows.
        gives: &'static str,
    },
    /// It cannot be read at all.
    #[error("this is no ruling: {0}")]
    Unreadable(String),
}

impl Ruling {
    /// Of a rule that decided for a day, with the limits of what holds.
    pub fn new(as_of: Date, rule: Rule, limits: Vec<String>) -> Self {
        let word = rule.word(!limits.is_empty());
        Self { format: RULE_FORMAT, as_of, word, rule, limits }
    }

    /// Reads one from its JSON form.
    ///
    /// # Errors
    /// If it is of a later form, of none at all, or its word does not follow from its rule.
    pub fn from_json(text: &[u8]) -> Result<Self, RulingError> {
        let unreadable = |error: serde_json::Error| RulingError::Unreadable(error.to_string());
        // The form first: what a later one holds cannot be known here.
        let format = serde_json::from_slice::<Form>(text).map_err(unreadable)?.format;
        if format > RULE_FORMAT {
            return Err(RulingError::Newer(format));
        }
        Self::try_from(serde_json::from_slice::<Raw>(text).map_err(unreadable)?)
    }

    /// The day for which it holds.
    pub const fn as_of(&self) -> Date {
        self.as_of
    }

    /// The answer in a word.
    pub const fn word(&self) -> Word {
        self.word
    }

    /// The rule that decided.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What is outside of what was tested, or has to be said with it.
    pub fn limits(&self) -> &[String] {
        &self.limits
    }
}

/// What of a ruling of any form can be read.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl TryFrom<Raw> for Ruling {
    type Error = RulingError;

    fn try_from(raw: Raw) -> Result<Self, RulingError> {
        let Raw { format, as_of, word, rule, limits } = raw;
        if format > RULE_FORMAT {
            return Err(RulingError::Newer(format));
        }
        let gives = rule.word(!limits.is_empty());
        if word != gives {
            let (said, gives) = (word.words(), gives.words());
            return Err(RulingError::Other { said, rule: rule.name(), gives });
        }
        Ok(Self { format, as_of, word, rule, limits })
    }
}
