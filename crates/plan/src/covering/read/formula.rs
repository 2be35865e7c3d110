//! Constraint formulas: words, and the parts that PICT's and ACTS' languages have in common.

use super::super::condition::{Condition, DEEPEST, Relation};
use super::super::model::{Parameter, ParameterId};
use hospitium_model::FormError;

use super::text::Source;

/// One word of a formula.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// `[Name]`, a parameter of PICT.
    Bracketed(String),
    /// Text between quotes.
    Quoted(String),
    /// Letters, digits and `_ . - $` from a letter, or a number.
    Bare(String),
    /// An operator or punctuation mark.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// Marks, longer ones before those that they begin with.
const MARKS: [&str; 27] = [
    "=>", "->", "<=>", "<=", "<>", ">=", "==", "!=", "&&", "||", "=", "<", ">", "!", "(", ")", "{",
    "}", ",", ";", ":", "@", "+", "-", "*", "/", "%",
];

/// A formula cut into words, each with where it stands.
pub(super) struct Formula<'a> {
    pub source: Source<'a>,
    words: Vec<(Word, usize)>,
    next: usize,
    depth: usize,
}

impl<'a> Formula<'a> {
    /// Cuts the part of the text between two places into words.
    ///
    /// # Errors
    /// Something that is no word, or a quote or bracket that does not end.
    pub fn new(
        source: Source<'a>,
        from: usize,
        to: usize,
        comments: &[&str],
        brackets: bool,
    ) -> Result<Self, FormError> {
        let mut words = Vec::new();
        let mut at = from;
        let text = &source.text[..to];
        while let Some(first) = text[at..].chars().next() {
            let rest = &text[at..];
            if first.is_whitespace() {
                at += first.len_utf8();
                continue;
            }
            if comments.iter().any(|comment| rest.starts_with(comment)) {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            let (word, length) = match first {
                '[' if brackets => enclosed(source, at, rest, ']', "parameter name")
                    .map(|(inner, length)| (Word::Bracketed(inner), length))?,
                '"' | '\'' | '\u{201c}' => {
                    let close = if first == '\u{201c}' { '\u{201d}' } else { first };
                    enclosed(source, at, rest, close, "text")
                        .map(|(inner, length)| (Word::Quoted(inner), length))?
                }
                _ => word(rest, words.last().map(|(word, _)| word))
                    .ok_or_else(|| source.error(at, format!("{first:?} has no meaning here")))?,
            };
            words.push((word, at));
            at += length;
        }
        // The end is where the last word is over: that is where something is missing.
        words.push((Word::End, text.trim_end().len().max(from)));
        Ok(Self { source, words, next: 0, depth: 0 })
    }

    pub fn peek(&self) -> &Word {
        self.words.get(self.next).map_or(&Word::End, |(word, _)| word)
    }

    /// Where the next word stands.
    pub fn at(&self) -> usize {
        self.words.get(self.next).map_or(self.source.text.len(), |(_, at)| *at)
    }

    pub fn take(&mut self) -> Word {
        let word = self.peek().clone();
        self.next = (self.next + 1).min(self.words.len().saturating_sub(1));
        word
    }

    /// Takes the mark if it is next.
    pub fn mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Word::Mark(next) if *next == mark);
        if found {
            self.take();
        }
        found
    }

    /// Takes the keyword, in any case, if it is next.
    pub fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Word::Bare(next) if next.eq_ignore_ascii_case(keyword));
        if found {
            self.take();
        }
        found
    }

    pub fn expected(&self, what: &str) -> FormError {
        let found = match self.peek() {
            Word::End => "the end".to_owned(),
            Word::Bracketed(name) => format!("[{name}]"),
            Word::Quoted(text) => format!("{text:?}"),
            Word::Bare(text) => text.clone(),
            Word::Mark(mark) => format!("`{mark}`"),
        };
        let found: String = found.chars().take(60).collect();
        self.source.error(self.at(), format!("expected {what}, found {found}"))
    }

    pub fn need(&mut self, mark: &str, what: &str) -> Result<(), FormError> {
        match self.mark(mark) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{mark}` {what}"))),
        }
    }

    /// Runs a part one level deeper, as far as levels go.
    pub fn deeper<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        // Each level becomes up to three levels of the condition, and these are bounded.
        if self.depth >= DEEPEST / 4 {
            let message = format!("nested deeper than {} levels", DEEPEST / 4);
            return Err(self.source.error(self.at(), message));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// A relation if one is next.
    pub fn relation(&mut self) -> Option<Relation> {
        let relation = match self.peek() {
            Word::Mark("=" | "==") => Relation::Equal,
            Word::Mark("<>" | "!=") => Relation::NotEqual,
            Word::Mark("<") => Relation::Less,
            Word::Mark("<=") => Relation::LessOrEqual,
            Word::Mark(">") => Relation::Greater,
            Word::Mark(">=") => Relation::GreaterOrEqual,
            _ => return None,
        };
        self.take();
        Some(relation)
    }

    /// The condition that a parameter stands in this relation to a constant, checked against the
    /// parameter's values.
    pub fn against(
        &self,
        (id, parameter): (ParameterId, &Parameter),
        relation: Relation,
        constant: &str,
        at: usize,
    ) -> Result<Condition, FormError> {
        let number = constant.trim().parse::<f64>().ok();
        if matches!(relation, Relation::Equal | Relation::NotEqual) {
            let by_number = |v: &super::super::Value| v.number().is_some() && v.number() == number;
            if parameter.value(constant).is_none() && !parameter.values().iter().any(by_number) {
                return Err(self.source.error(at, no_value(parameter, constant)));
            }
        } else if parameter.is_numeric() != number.is_some() {
            let message = match parameter.is_numeric() {
                true => {
                    format!("the values of {:?} are numbers; expected a number", parameter.name())
                }
                false => {
                    format!("not all values of {:?} are numbers; expected text", parameter.name())
                }
            };
            return Err(self.source.error(at, message));
        }
        Ok(Condition::Against(id, relation, constant.to_owned()))
    }

    /// The condition that two parameters stand in this relation.
    pub fn between(
        &self,
        (a, left): (ParameterId, &Parameter),
        relation: Relation,
        (b, right): (ParameterId, &Parameter),
        at: usize,
    ) -> Result<Condition, FormError> {
        let ordered = !matches!(relation, Relation::Equal | Relation::NotEqual);
        if ordered && left.is_numeric() != right.is_numeric() {
            let message = "one of the two parameters has numbers and the other text";
            return Err(self.source.error(at, message));
        }
        Ok(Condition::Between(a, relation, b))
    }
}

/// What to say where a parameter lacks a value.
pub(super) fn no_value(parameter: &Parameter, name: &str) -> String {
    let mut known: Vec<&str> = parameter.values().iter().take(8).map(|v| v.name()).collect();
    if parameter.values().len() > known.len() {
        known.push("…");
    }
    format!("parameter {:?} has no value {name:?}; it has {}", parameter.name(), known.join(", "))
}

fn enclosed(
    source: Source<'_>,
    at: usize,
    rest: &str,
    close: char,
    what: &str,
) -> Result<(String, usize), FormError> {
    let open = rest.chars().next().map_or(0, char::len_utf8);
    let inner = &rest[open..];
    match inner.find(close).filter(|&end| !inner[..end].contains('\n')) {
        Some(end) => Ok((inner[..end].trim().to_owned(), open + end + close.len_utf8())),
        None => {
            Err(source.error(at, format!("this {what} has no `{close}` at its end in the line")))
        }
    }
}

/// A bare word, number or mark at the start of the text, and its length.
fn word(rest: &str, before: Option<&Word>) -> Option<(Word, usize)> {
    let operand = matches!(
        before,
        Some(Word::Bare(_) | Word::Quoted(_) | Word::Bracketed(_) | Word::Mark(")"))
    );
    let signed = rest.strip_prefix('-').filter(|_| !operand);
    let digits = signed.unwrap_or(rest);
    let first = digits.chars().next()?;
    if first.is_ascii_digit()
        || (signed.is_none() && (first.is_alphabetic() || "_$".contains(first)))
    {
        let part = |c: char| c.is_alphanumeric() || "_.$".contains(c);
        let length = digits.find(|c| !part(c)).unwrap_or(digits.len());
        let length = length + rest.len() - digits.len();
        return Some((Word::Bare(rest[..length].to_owned()), length));
    }
    let mark = MARKS.iter().find(|mark| rest.starts_with(**mark))?;
    Some((Word::Mark(mark), mark.len()))
}
