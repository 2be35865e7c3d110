//! Until when a validation holds: a formula in an agreement, and its value with the reason.
//!
//! ```text
//! formula  = operand { ("+" | "-") term }
//! operand  = ("min" | "max") "(" formula { "," formula } ")" | "(" formula ")" | date | name
//! term     = number ("days" | "weeks" | "months" | "years")
//! ```
//!
//! A day that is not known drops out of `min` and `max`; anything else that counts on it is not known.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Day, Days, Term};

/// Longest formula, in bytes.
const LONGEST: usize = 1000;
/// Deepest nesting of parentheses.
const DEEPEST: usize = 16;

/// A formula that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Formula {
    text: String,
    root: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Day(Day),
    Date(Date),
    Plus(Box<Node>, Term),
    Minus(Box<Node>, Term),
    Min(Vec<Node>),
    Max(Vec<Node>),
}

/// What a formula comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    /// The day, if what it hangs on is known.
    pub date: Option<Date>,
    /// The part of the formula that decided, in words: `12 months after the validation (2026-11-23)`.
    pub because: String,
    /// What the formula names and nobody knows.
    pub unknown: Vec<Day>,
}

/// What is wrong with a formula, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct FormulaError {
    /// What is wrong and what was expected.
    pub what: String,
    /// The bytes of the formula that it is about.
    pub place: Range<usize>,
}

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    ///
    /// The first place where it is none, with what was expected there.
    pub fn new(text: &str) -> Result<Self, FormulaError> {
        if text.len() > LONGEST {
            let what = format!("a formula of {} bytes; at most {LONGEST} are read", text.len());
            return Err(FormulaError { what, place: 0..text.len() });
        }
        let mut reader = Reader { text, at: 0 };
        let root = reader.formula(0)?;
        reader.space();
        if reader.at < text.len() {
            return Err(reader.wrong("the end of the formula, + or -"));
        }
        Ok(Self { text: text.trim().to_owned(), root })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it comes to for these days.
    pub fn until(&self, days: &Days) -> Until {
        let mut unknown = Vec::new();
        let value = self.root.value(days, &mut unknown);
        unknown.sort_unstable();
        unknown.dedup();
        match value {
            Some((date, because)) => Until { date: Some(date), because, unknown },
            None => {
                Until { date: None, because: "nothing that it counts on is known".into(), unknown }
            }
        }
    }
}

impl Node {
    fn value(&self, days: &Days, unknown: &mut Vec<Day>) -> Option<(Date, String)> {
        match self {
            Self::Day(day) => match days.get(*day) {
                Some(date) => Some((date, format!("{} ({date})", day.words()))),
                None => {
                    unknown.push(*day);
                    None
                }
            },
            Self::Date(date) => Some((*date, format!("the agreed day {date}"))),
            Self::Plus(node, term) => {
                let (date, why) = node.value(days, unknown)?;
                Some((term.after(date), format!("{term} after {why}")))
            }
            Self::Minus(node, term) => {
                let (date, why) = node.value(days, unknown)?;
                Some((term.before(date), format!("{term} before {why}")))
            }
            Self::Min(nodes) => {
                known(nodes, days, unknown).into_iter().min_by_key(|(date, _)| *date)
            }
            // The first of equals decides, in both.
            Self::Max(nodes) => {
                known(nodes, days, unknown).into_iter().rev().max_by_key(|(date, _)| *date)
            }
        }
    }
}

fn known(nodes: &[Node], days: &Days, unknown: &mut Vec<Day>) -> Vec<(Date, String)> {
    nodes.iter().filter_map(|node| node.value(days, unknown)).collect()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, mark: char) -> bool {
        self.space();
        let takes = self.rest().starts_with(mark);
        if takes {
            self.at += mark.len_utf8();
        }
        takes
    }

    /// A run of letters, digits and hyphens.
    fn word(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn wrong(&mut self, expected: &str) -> FormulaError {
        self.space();
        let from = self.at;
        let word = self.word();
        let found = match self.text.get(from..).and_then(|rest| rest.chars().next()) {
            None => "the formula ends".to_owned(),
            Some(_) if !word.is_empty() => format!("{word:?} stands"),
            Some(c) => format!("{c:?} stands"),
        };
        FormulaError {
            what: format!("{found} where {expected} was expected"),
            place: from..self.at.max((from + 1).min(self.text.len())),
        }
    }

    fn formula(&mut self, depth: usize) -> Result<Node, FormulaError> {
        let mut node = self.operand(depth)?;
        loop {
            let plus = self.takes('+');
            if !plus && !self.takes('-') {
                return Ok(node);
            }
            let term = self.term()?;
            node = match plus {
                true => Node::Plus(Box::new(node), term),
                false => Node::Minus(Box::new(node), term),
            };
        }
    }

    fn term(&mut self) -> Result<Term, FormulaError> {
        self.space();
        let from = self.at;
        let count = self.word();
        let unit = self.word();
        format!("{count} {unit}").parse().map_err(|_| {
            self.at = from;
            self.wrong("a span of time such as 12 months")
        })
    }

    fn operand(&mut self, depth: usize) -> Result<Node, FormulaError> {
        if depth > DEEPEST {
            return Err(self.wrong("no more than sixteen parentheses in each other"));
        }
        if self.takes('(') {
            let node = self.formula(depth + 1)?;
            return match self.takes(')') {
                true => Ok(node),
                false => Err(self.wrong("a closing parenthesis, + or -")),
            };
        }
        self.space();
        let from = self.at;
        let word = self.word();
        if let Some(day) = Day::ALL.into_iter().find(|day| day.name() == word) {
            return Ok(Node::Day(day));
        }
        if let Ok(date) = word.parse::<Date>() {
            return Ok(Node::Date(date));
        }
        if word == "min" || word == "max" {
            let nodes = self.list(depth)?;
            return Ok(if word == "min" { Node::Min(nodes) } else { Node::Max(nodes) });
        }
        self.at = from;
        let names: Vec<&str> = Day::ALL.iter().map(|day| day.name()).collect();
        Err(self
            .wrong(&format!("min, max, a date such as 2010-06-30, or one of {}", names.join(", "))))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, FormulaError> {
        if !self.takes('(') {
            return Err(self.wrong("an opening parenthesis"));
        }
        let mut nodes = vec![self.formula(depth + 1)?];
        while self.takes(',') {
            nodes.push(self.formula(depth + 1)?);
        }
        match self.takes(')') {
            true => Ok(nodes),
            false => Err(self.wrong("a comma, + , - or a closing parenthesis")),
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Formula {
    type Error = FormulaError;

    fn try_from(text: String) -> Result<Self, FormulaError> {
        Self::new(&text)
    }
}

impl From<Formula> for String {
    fn from(formula: Formula) -> Self {
        formula.text
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const USUAL: &str = "min(max(validated + 12 months, next-version + 9 months), guest-end-of-life, host-end-of-life)";

    fn days() -> Days {
        Days { validated: Some(date(2009, 10, 1)), ..Days::default() }
    }

    #[test]
    fn the_later_of_a_year_and_nine_months_after_the_next_version_decides() {
        let formula = Formula::new(USUAL).expect("reads");
        let until = formula.until(&days());
        assert_eq!(until.date, Some(date(2010, 10, 1)));
        assert_eq!(until.because, "12 months after the validation (2009-10-01)");
        assert_eq!(
            until.unknown,
            [Day::NextVersion, Day::GuestEndOfLife, Day::HostEndOfLife],
            "what nobody knows is told"
        );
        let next = Days { next_guest_version: Some(date(2010, 3, 30)), ..days() };
        let until = formula.until(&next);
        assert_eq!(until.date, Some(date(2010, 12, 30)));
        assert_eq!(until.because, "9 months after the next version of either side (2010-03-30)");
    }

    #[test]
    fn the_earlier_of_both_next_versions_counts() {
        let formula = Formula::new("next-version").expect("reads");
        let both = Days {
            next_guest_version: Some(date(2010, 3, 30)),
            next_host_version: Some(date(2009, 10, 22)),
            ..days()
        };
        assert_eq!(formula.until(&both).date, Some(date(2009, 10, 22)));
    }

    #[test]
    fn an_end_of_life_ends_it() {
        let ended = Days { host_end_of_life: Some(date(2010, 1, 1)), ..days() };
        let until = Formula::new(USUAL).expect("reads").until(&ended);
        assert_eq!(until.date, Some(date(2010, 1, 1)));
        assert_eq!(until.because, "the host's end of life (2010-01-01)");
    }

    #[test]
    fn months_end_where_the_month_ends() {
        let formula = Formula::new("2024-01-31 + 1 month - 1 day").expect("reads");
        assert_eq!(formula.until(&Days::default()).date, Some(date(2024, 2, 28)));
    }

    #[test]
    fn what_counts_on_an_unknown_day_is_unknown() {
        let until = Formula::new("guest-end-of-life + 1 year").expect("reads").until(&days());
        assert_eq!((until.date, until.unknown), (None, vec![Day::GuestEndOfLife]));
    }

    #[test]
    fn an_error_points_at_the_place() {
        let wrong = |text: &str| Formula::new(text).expect_err("is none");
        let error = wrong("max(validated + 12 moons)");
        assert_eq!(error.place, 16..18);
        assert!(error.what.contains("a span of time such as 12 months"), "{error}");
        let error = wrong("min(validated, born)");
        assert_eq!(error.place, 15..19);
        assert!(error.what.contains("\"born\" stands where min, max"), "{error}");
        assert!(wrong("").what.starts_with("the formula ends"));
        assert!(wrong("max(validated").what.contains("closing parenthesis"));
        assert!(wrong("validated validated").what.contains("the end of the formula"));
        assert!(wrong("max validated").what.contains("an opening parenthesis"));
    }

    #[test]
    fn a_formula_of_any_size_ends_in_an_error_and_not_in_a_crash() {
        assert!(Formula::new(&"(".repeat(900)).is_err());
        assert!(Formula::new(&"(".repeat(1 << 20)).is_err());
        let far = Formula::new("9999-12-31 + 5000 years").expect("reads");
        assert_eq!(far.until(&Days::default()).date, Some(date(9999, 12, 31)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z0-9 (),+é-]{0,60}") {
            if let Ok(formula) = Formula::new(&text) {
                prop_assert_eq!(Formula::new(formula.as_str()), Ok(formula));
            }
        }

        #[test]
        fn a_minimum_is_never_after_any_of_its_parts(a in 0_u32..2000, b in 0_u32..2000) {
            let of = |text: String| Formula::new(&text).expect("reads").until(&days()).date;
            let least = of(format!("min(validated + {a} days, validated + {b} days)"));
            let (first, second) =
                (of(format!("validated + {a} days")), of(format!("validated + {b} days")));
            prop_assert!(least <= first && least <= second);
        }
    }
}
