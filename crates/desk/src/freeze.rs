//! The catalog's answer, frozen into a case.

use hospitium_catalog::{Answer, Rule, Ruling, Word};
use hospitium_model::printable;

use crate::facts::{FrozenRule, FrozenVerdict, VerdictWord};
use crate::text::{LINE_LIMIT, Line, TEXT_LIMIT, Text};

/// The most nearest configurations and lines of who answers that are kept.
const LINES: usize = 10;

/// The catalog's word in the desk's. The catalog speaks of a validation, the desk of what is covered.
const fn word(word: Word) -> VerdictWord {
    match word {
        Word::Validated => VerdictWord::Covered,
        Word::ValidatedWithLimits => VerdictWord::CoveredWithLimits,
        Word::Lapsed => VerdictWord::Lapsed,
        Word::Pending => VerdictWord::Pending,
        Word::Planned => VerdictWord::Planned,
        Word::Excluded => VerdictWord::ExcludedFeature,
        Word::Failed | Word::NotValidated => VerdictWord::NotValidated,
        Word::Unknown => VerdictWord::Unknown,
    }
}

fn lines(texts: impl Iterator<Item = String>) -> Vec<Line> {
    texts.filter_map(|text| printable(&text, LINE_LIMIT).parse().ok()).take(LINES).collect()
}

impl FrozenVerdict {
    /// The word that its typed ruling gives; nothing if there is none, or none that this program reads.
    pub fn ruled(&self) -> Option<VerdictWord> {
        let typed = self.rule.typed.clone()?;
        match serde_json::from_value::<Ruling>(typed.clone()) {
            Ok(ruling) => Some(word(ruling.word())),
            // One that contradicts itself gives no word at all: say the least.
            Err(_) => {
                let rule: Rule = serde_json::from_value(typed.get("rule")?.clone()).ok()?;
                let limits = typed.get("limits").and_then(|limits| limits.as_array());
                Some(word(rule.word(limits.is_some_and(|limits| !limits.is_empty()))))
            }
        }
    }
}

/// Freezes an answer: the word, the rule and the reasons, the certificate, who answers. `typed` is the
/// answer's [`Ruling`](hospitium_model::standing::Ruling).
pub fn freeze(answer: &Answer) -> FrozenVerdict {
    let why = answer.limits.iter().chain(&answer.reasons).cloned();
    let why = std::iter::once(answer.rule.words()).chain(why).collect::<Vec<_>>().join("\n");
    let words = match clean(&why) {
        Some(words) => words,
        // The catalog always gives a rule.
        None => return unknown(answer.as_of, "the catalog gave no rule"),
    };
    let nearest = answer.nearest.iter().map(|near| format!("{} on {}", near.guest, near.host));
    let support = answer.support.iter().flat_map(|support| support.words.iter().cloned());
    FrozenVerdict {
        word: word(answer.verdict),
        rule: FrozenRule { words, typed: serde_json::to_value(answer.ruling()).ok() },
        certificate: answer
            .certificate
            .as_ref()
            .and_then(|found| printable(&found.place, LINE_LIMIT).parse().ok()),
        nearest: lines(nearest),
        answers: lines(support),
        as_of: answer.as_of,
    }
}

fn clean(text: &str) -> Option<Text> {
    let lines = text.lines().map(|line| printable(line, 1_000)).collect::<Vec<_>>().join("\n");
    lines.chars().take(TEXT_LIMIT / 2).collect::<String>().parse().ok()
}

/// The verdict where the catalog could not be asked, or did not understand: unknown, and why.
pub fn unknown(as_of: jiff::civil::Date, why: &str) -> FrozenVerdict {
    let words = clean(why).unwrap_or_else(Text::unsaid);
    FrozenVerdict {
        word: VerdictWord::Unknown,
        rule: FrozenRule { words, typed: None },
        certificate: None,
        nearest: Vec::new(),
        answers: Vec::new(),
        as_of,
    }
}
