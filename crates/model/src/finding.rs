//! What the two witnesses saw, and the rule under which they agree.
//!
//! A check returns [`Observations`]: a list of [`Finding`]s, each naming one thing that
//! both sides were asked about. The verdict follows from them by rule alone, so that it
//! can be given again, by anyone, from the evidence.

mod read;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// An observed value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A count, or a whole number of the finding's unit.
    Int(i64),
    /// A measured number in the finding's unit.
    Float(f64),
    /// Text: a name, a digest in hexadecimal, a version.
    Text(String),
    /// Several, in order.
    List(Vec<Value>),
}

/// The rule that says whether what the witnesses saw is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Rule {
    /// Guest and host saw the same value.
    Same,
    /// Guest and host saw the same value, and it is this one.
    SameAs {
        /// What both must have seen.
        expected: Value,
    },
    /// Numbers of guest and host differ by at most this much, in the finding's unit.
    Within {
        /// The largest difference that is accepted.
        tolerance: f64,
    },
    /// The guest's value (the host cannot see this one) is this.
    GuestIs {
        /// What the guest must have seen.
        expected: Value,
    },
    /// The host's value (the guest cannot see this one) is this.
    HostIs {
        /// What the host must have seen.
        expected: Value,
    },
    /// The guest's number lies in the range, both ends included.
    GuestBetween {
        /// Least accepted.
        least: f64,
        /// Most accepted.
        most: f64,
    },
    /// The host's number lies in the range, both ends included.
    HostBetween {
        /// Least accepted.
        least: f64,
        /// Most accepted.
        most: f64,
    },
    /// Guest's and host's values must differ (or, for lists, all elements be distinct).
    Differ,
    /// Every element of the guest's list is in the host's list.
    GuestSubsetOfHost,
    /// Written down, not judged.
    Recorded,
}

/// One thing that the witnesses were asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "read::Fields")]
pub struct Finding {
    /// What was asked, as a noun phrase: "online vCPUs".
    pub what: String,
    /// Unit of the numbers, empty if none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// What the guest saw, from inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<Value>,
    /// What the host saw, from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Value>,
    /// When it is right.
    #[serde(flatten)]
    pub rule: Rule,
}

/// Whether a finding holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not, and why, in words.
    No(String),
    /// It was not to be judged.
    NotJudged,
}

/// Everything a check saw. Empty observations never pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observations {
    /// The findings, in the order in which they were made.
    pub findings: Vec<Finding>,
    /// Set if only one side can see this at all; every report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_witness: Option<String>,
    /// Notes for the reader, such as the measured time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Finding {
    /// Both sides saw `what`; they must have seen the same.
    pub fn same(what: impl Into<String>, guest: impl Into<Value>, host: impl Into<Value>) -> Self {
        Self::new(what, Some(guest.into()), Some(host.into()), Rule::Same)
    }

    /// Both sides saw `what`; both must have seen `expected`.
    pub fn same_as(
        what: impl Into<String>,
        guest: impl Into<Value>,
        host: impl Into<Value>,
        expected: impl Into<Value>,
    ) -> Self {
        let rule = Rule::SameAs { expected: expected.into() };
        Self::new(what, Some(guest.into()), Some(host.into()), rule)
    }

    /// Both sides measured `what` in `unit`; they may differ by `tolerance`.
    pub fn within(
        what: impl Into<String>,
        unit: &str,
        guest: f64,
        host: f64,
        tolerance: f64,
    ) -> Self {
        Self {
            unit: unit.to_owned(),
            ..Self::new(what, Some(guest.into()), Some(host.into()), Rule::Within { tolerance })
        }
    }

    /// Only the guest can see `what`, and must have seen `expected`.
    pub fn guest_is(
        what: impl Into<String>,
        guest: impl Into<Value>,
        expected: impl Into<Value>,
    ) -> Self {
        Self::new(what, Some(guest.into()), None, Rule::GuestIs { expected: expected.into() })
    }

    /// Only the host can see `what`, and must have seen `expected`.
    pub fn host_is(
        what: impl Into<String>,
        host: impl Into<Value>,
        expected: impl Into<Value>,
    ) -> Self {
        Self::new(what, None, Some(host.into()), Rule::HostIs { expected: expected.into() })
    }

    /// The guest's number, in `unit`, must lie between.
    pub fn guest_between(
        what: impl Into<String>,
        unit: &str,
        guest: f64,
        least: f64,
        most: f64,
    ) -> Self {
        let rule = Rule::GuestBetween { least, most };
        Self { unit: unit.to_owned(), ..Self::new(what, Some(guest.into()), None, rule) }
    }

    /// The host's number, in `unit`, must lie between.
    pub fn host_between(
        what: impl Into<String>,
        unit: &str,
        host: f64,
        least: f64,
        most: f64,
    ) -> Self {
        let rule = Rule::HostBetween { least, most };
        Self { unit: unit.to_owned(), ..Self::new(what, None, Some(host.into()), rule) }
    }

    /// Guest and host values must differ.
    pub fn differ(
        what: impl Into<String>,
        guest: impl Into<Value>,
        host: impl Into<Value>,
    ) -> Self {
        Self::new(what, Some(guest.into()), Some(host.into()), Rule::Differ)
    }

    /// All that the guest listed must be in the host's list.
    pub fn guest_subset(what: impl Into<String>, guest: Vec<Value>, host: Vec<Value>) -> Self {
        Self::new(what, Some(Value::List(guest)), Some(Value::List(host)), Rule::GuestSubsetOfHost)
    }

    /// Written down, not judged.
    pub fn recorded(what: impl Into<String>, guest: Option<Value>, host: Option<Value>) -> Self {
        Self::new(what, guest, host, Rule::Recorded)
    }

    /// With this unit.
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.to_owned();
        self
    }

    fn new(what: impl Into<String>, guest: Option<Value>, host: Option<Value>, rule: Rule) -> Self {
        Self { what: what.into(), unit: String::new(), guest, host, rule }
    }

    /// Judges this finding by its rule.
    pub fn judge(&self) -> Holds {
        let Self { what, guest, host, rule, .. } = self;
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let when = |holds: bool, no: &dyn Fn() -> String| {
            if holds { Holds::Yes } else { Holds::No(no()) }
        };
        let missing = |side: &str| Holds::No(format!("{what}: the {side} did not observe it"));
        let between = |value: &Option<Value>, side: &str, least: f64, most: f64| match value {
            None => missing(side),
            Some(value) => match value.as_f64() {
                Some(n) => when(n >= least && n <= most, &|| {
                    format!("{what}: {side} saw {value}{unit}, accepted is {least} to {most}{unit}")
                }),
                None => Holds::No(format!("{what}: {side} saw {value}, which is no number")),
            },
        };
        let is = |value: &Option<Value>, side: &str, expected: &Value| match value {
            None => missing(side),
            Some(value) => when(value.same(expected), &|| {
                format!("{what}: {side} saw {value}{unit}, expected {expected}{unit}")
            }),
        };
        match rule {
            Rule::Recorded => return Holds::NotJudged,
            Rule::GuestIs { expected } => return is(guest, "guest", expected),
            Rule::HostIs { expected } => return is(host, "host", expected),
            Rule::GuestBetween { least, most } => return between(guest, "guest", *least, *most),
            Rule::HostBetween { least, most } => return between(host, "host", *least, *most),
            _ => {}
        }
        let (g, h) = match (guest, host) {
            (None, _) => return missing("guest"),
            (_, None) => return missing("host"),
            (Some(g), Some(h)) => (g, h),
        };
        match rule {
            Rule::Same => {
                when(g.same(h), &|| format!("{what}: guest saw {g}{unit}, host saw {h}{unit}"))
            }
            Rule::SameAs { expected } => when(g.same(expected) && h.same(expected), &|| {
                format!(
                    "{what}: guest saw {g}{unit}, host saw {h}{unit}, expected {expected}{unit}"
                )
            }),
            Rule::Within { tolerance } => match (g.as_f64(), h.as_f64()) {
                (Some(a), Some(b)) => when((a - b).abs() <= *tolerance, &|| {
                    format!(
                        "{what}: guest saw {g}{unit}, host saw {h}{unit}, \
                         which differ by more than {tolerance}{unit}"
                    )
                }),
                _ => Holds::No(format!("{what}: {g} and {h} are not both numbers")),
            },
            Rule::Differ => {
                when(!g.same(h), &|| format!("{what}: both are {g}, and should differ"))
            }
            Rule::GuestSubsetOfHost => match (g, h) {
                (Value::List(some), Value::List(all)) => {
                    let extra: Vec<_> =
                        some.iter().filter(|v| !all.iter().any(|w| w.same(v))).collect();
                    when(extra.is_empty(), &|| {
                        let names: Vec<_> = extra.iter().map(ToString::to_string).collect();
                        format!(
                            "{what}: guest saw {}, which the host does not have",
                            names.join(", ")
                        )
                    })
                }
                _ => Holds::No(format!("{what}: {g} and {h} are not both lists")),
            },
            Rule::Recorded
            | Rule::GuestIs { .. }
            | Rule::HostIs { .. }
            | Rule::GuestBetween { .. }
            | Rule::HostBetween { .. } => Holds::NotJudged,
        }
    }
}

impl Observations {
    /// Starts an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Observations of only these findings.
    pub fn of(findings: impl IntoIterator<Item = Finding>) -> Self {
        Self { findings: findings.into_iter().collect(), ..Self::default() }
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds a note for the reader.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Declares that only one side can see this, and which and why.
    pub fn only_one_witness(mut self, why: impl Into<String>) -> Self {
        self.one_witness = Some(why.into());
        self
    }

    /// The verdict that follows from these observations, by rule alone.
    ///
    /// Passes only if at least one finding was judged, every judged finding holds, and
    /// both guest and host observed something, unless the check declares that one
    /// witness is all there can be.
    pub fn judge(&self) -> Verdict {
        let mut judged = 0;
        let mut wrong = Vec::new();
        for finding in &self.findings {
            match finding.judge() {
                Holds::Yes => judged += 1,
                Holds::No(why) => wrong.push(why),
                Holds::NotJudged => {}
            }
        }
        if !wrong.is_empty() {
            let more = wrong.len().saturating_sub(4);
            wrong.truncate(4);
            if more > 0 {
                wrong.push(format!("and {more} more"));
            }
            return Verdict::Fail { reason: wrong.join("; ") };
        }
        if judged == 0 {
            return Verdict::Fail { reason: "nothing was observed that could be judged".into() };
        }
        let saw =
            |side: fn(&Finding) -> &Option<Value>| self.findings.iter().any(|f| side(f).is_some());
        match (saw(|f| &f.guest), saw(|f| &f.host), &self.one_witness) {
            (true, true, _) | (_, _, Some(_)) => Verdict::Pass,
            (false, _, None) => Verdict::Fail { reason: "the guest observed nothing".into() },
            (_, false, None) => Verdict::Fail { reason: "the host observed nothing".into() },
        }
    }
}

impl Value {
    /// As a number, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds stay far below 2^53")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// Equal, where 2 and 2.0 are.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (a, b) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a == b,
                _ => a == b,
            },
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("yes"),
            Self::Bool(false) => f.write_str("no"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) => {
                let digits = if n.abs() >= 100.0 { 1 } else { 4 };
                let text = format!("{n:.digits$}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Text(text) => f.write_str(text),
            Self::List(list) if list.is_empty() => f.write_str("none"),
            Self::List(list) => {
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
value_from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, u16 => Int, u8 => Int, f64 => Float, &str => Text, String => Text);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Text(value.to_string()), Self::Int)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        (value as u64).into()
    }
}

impl From<crate::Digest> for Value {
    fn from(value: crate::Digest) -> Self {
        Self::Text(value.to_string())
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_observed_never_passes() {
        assert_eq!(Observations::new().judge().word(), "fail");
        let only_recorded =
            Observations::of([Finding::recorded("x", Some(1.into()), Some(1.into()))]);
        assert_eq!(only_recorded.judge().word(), "fail");
    }

    #[test]
    fn one_witness_passes_only_where_the_check_says_so() {
        let guest_only = Observations::of([Finding::guest_is("steps back", 0, 0)]);
        assert_eq!(guest_only.judge().word(), "fail");
        assert_eq!(guest_only.only_one_witness("the host has no view").judge(), Verdict::Pass);
    }

    #[test]
    fn witnesses_that_disagree_fail_with_both_values_named() {
        let verdict = Observations::of([Finding::same("online vCPUs", 1, 2)]).judge();
        assert_eq!(verdict.reason(), "online vCPUs: guest saw 1, host saw 2");
    }

    #[test]
    fn a_missing_witness_fails() {
        let mut finding = Finding::same("online vCPUs", 2, 2);
        finding.host = None;
        assert!(Observations::of([finding]).judge().reason().contains("host did not observe"));
    }

    #[test]
    fn not_a_number_is_not_within_anything() {
        let finding = Finding::within("offset", "ms", f64::NAN, 0.0, 10.0);
        assert_eq!(Observations::of([finding]).judge().word(), "fail");
        let finding = Finding::guest_between("x", "", f64::NAN, 0.0, 1.0);
        assert!(matches!(finding.judge(), Holds::No(_)));
    }

    #[test]
    fn findings_survive_their_json_form() {
        let all = Observations::of([
            Finding::same("a", "x", "y"),
            Finding::same_as("b", 1, 1, 1),
            Finding::within("c", "ms", 1.5, 2.5, 3.0),
            Finding::guest_subset("d", vec!["x".into()], vec!["x".into(), "y".into()]),
        ]);
        let text = serde_json::to_string(&all).expect("serialises");
        assert_eq!(serde_json::from_str::<Observations>(&text).expect("reads back"), all);
    }
}
