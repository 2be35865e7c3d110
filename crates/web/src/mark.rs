//! States as people see them: a word, a sign and a colour, never the colour alone.

use hospitium_catalog::{PairNow, Stands, Word};
use hospitium_model::Verdict;
use hospitium_plan::obligation::State;

/// A state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// In a word or three.
    pub word: &'static str,
    /// The class of its colour.
    pub class: &'static str,
    /// Its sign, for the eye only.
    pub sign: &'static str,
}

const fn mark(word: &'static str, class: &'static str, sign: &'static str) -> Mark {
    Mark { word, class, sign }
}

impl From<Word> for Mark {
    fn from(word: Word) -> Self {
        let (class, sign) = match word {
            Word::Validated => ("pass", "✓"),
            Word::ValidatedWithLimits => ("flaky", "✓"),
            Word::Lapsed => ("flaky", "⌛"),
            Word::Pending | Word::Planned => ("plan", "○"),
            Word::Excluded => ("skip", "⊘"),
            Word::Failed => ("fail", "✗"),
            Word::NotValidated => ("fail", "–"),
            Word::Unknown => ("skip", "?"),
        };
        mark(word.words(), class, sign)
    }
}

impl Mark {
    /// The same of what is not certain: nothing that holds is shown as if it were.
    pub fn unless(self, uncertain: bool) -> Self {
        match self {
            Self { class: "pass", word: "valid" | "fulfilled", .. }
            | Self { word: "about to lapse", .. }
                if uncertain =>
            {
                let word = match self.word {
                    "valid" => "valid, not certain",
                    "fulfilled" => "fulfilled, not certain",
                    _ => "about to lapse, not certain",
                };
                mark(word, "flaky", "?")
            }
            Self { word: "valid with limits", .. } if uncertain => {
                mark("valid with limits, not certain", "flaky", "?")
            }
            other => other,
        }
    }
}

impl From<&Stands> for Mark {
    fn from(stands: &Stands) -> Self {
        let (class, sign) = match stands {
            Stands::Valid => ("pass", "✓"),
            Stands::Failed => ("fail", "✗"),
            Stands::Lapsed => ("flaky", "⌛"),
            Stands::Suspended { .. } => ("flaky", "‖"),
            Stands::Withdrawn { .. } | Stands::Fallen { .. } => ("fail", "–"),
        };
        mark(stands.word(), class, sign)
    }
}

/// A pair in a list: what is valid on some machines and failed on others is valid with limits, as an
/// answer says it.
impl From<&PairNow> for Mark {
    fn from(pair: &PairNow) -> Self {
        match pair.stands {
            Stands::Valid if pair.failed_beside > 0 => mark("valid with limits", "flaky", "✓"),
            _ => (&pair.stands).into(),
        }
    }
}

impl From<&State> for Mark {
    fn from(state: &State) -> Self {
        let (class, sign) = match state {
            State::Fulfilled { .. } => ("pass", "✓"),
            State::AboutToLapse { .. } => ("flaky", "⌛"),
            State::Lapsed { .. } => ("flaky", "⌛"),
            State::Failed { .. } => ("fail", "✗"),
            State::Late { .. } => ("fail", "!"),
            State::Due { .. } => ("plan", "●"),
            State::Planned { .. } => ("plan", "○"),
            State::Over { .. } => ("skip", "–"),
        };
        mark(state.word(), class, sign)
    }
}

impl From<&Verdict> for Mark {
    fn from(verdict: &Verdict) -> Self {
        let (class, sign) = match verdict {
            Verdict::Pass => ("pass", "✓"),
            Verdict::Fail { .. } => ("fail", "✗"),
            Verdict::Skip { .. } => ("skip", "–"),
            Verdict::Error { .. } => ("error", "!"),
            Verdict::Miss { .. } => ("miss", "…"),
        };
        mark(verdict.word(), class, sign)
    }
}
