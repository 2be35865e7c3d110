//! What the two witnesses saw, and the rule under which they agree.
//!
//! A check returns [`Observations`]: a list of [`Finding`]s, each naming one thing that
//! both sides were asked about. The verdict follows from them by rule alone, so that it
//! can be given again, by anyone, from the evidence.

mod judge;
mod read;
mod value;

use serde::{Deserialize, Serialize};

use crate::{GuestSource, HostSource, Seen};

pub use self::judge::Holds;
pub use self::value::Value;

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
    /// The guest saw the one value and the host the other: what each must see of one event is not the same.
    Each {
        /// What the guest must have seen.
        guest_expected: Value,
        /// What the host must have seen.
        host_expected: Value,
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
    /// Where the guest's value was read; evidence of format 1 does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_source: Option<GuestSource>,
    /// What the host saw, from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Value>,
    /// Where the host's value was read; evidence of format 1 does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_source: Option<HostSource>,
    /// When it is right.
    #[serde(flatten)]
    pub rule: Rule,
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

/// What one side saw, with the place that it looked at.
pub trait Sighted<S> {
    /// The value and its source.
    fn parts(self) -> (Value, Option<S>);
}

impl<T: Into<Value>, S> Sighted<S> for Seen<T, S> {
    fn parts(self) -> (Value, Option<S>) {
        (self.value.into(), Some(self.source))
    }
}

impl Finding {
    /// Both sides saw `what`; they must have seen the same.
    pub fn same(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        host: impl Sighted<HostSource>,
    ) -> Self {
        Self::of(what, Rule::Same).inside(guest).outside(host)
    }

    /// Both sides saw `what`; both must have seen `expected`.
    pub fn same_as(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        host: impl Sighted<HostSource>,
        expected: impl Into<Value>,
    ) -> Self {
        Self::of(what, Rule::SameAs { expected: expected.into() }).inside(guest).outside(host)
    }

    /// Both sides saw `what`, each in its own words: the guest must have seen `guest_expected` and the host
    /// `host_expected`.
    pub fn each(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        guest_expected: impl Into<Value>,
        host: impl Sighted<HostSource>,
        host_expected: impl Into<Value>,
    ) -> Self {
        let rule = Rule::Each {
            guest_expected: guest_expected.into(),
            host_expected: host_expected.into(),
        };
        Self::of(what, rule).inside(guest).outside(host)
    }

    /// Both sides measured `what` in `unit`; they may differ by `tolerance`.
    pub fn within(
        what: impl Into<String>,
        unit: &str,
        guest: impl Sighted<GuestSource>,
        host: impl Sighted<HostSource>,
        tolerance: f64,
    ) -> Self {
        Self::of(what, Rule::Within { tolerance }).inside(guest).outside(host).unit(unit)
    }

    /// Only the guest can see `what`, and must have seen `expected`.
    pub fn guest_is(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        expected: impl Into<Value>,
    ) -> Self {
        Self::of(what, Rule::GuestIs { expected: expected.into() }).inside(guest)
    }

    /// Only the host can see `what`, and must have seen `expected`.
    pub fn host_is(
        what: impl Into<String>,
        host: impl Sighted<HostSource>,
        expected: impl Into<Value>,
    ) -> Self {
        Self::of(what, Rule::HostIs { expected: expected.into() }).outside(host)
    }

    /// The guest's number, in `unit`, must lie between.
    pub fn guest_between(
        what: impl Into<String>,
        unit: &str,
        guest: impl Sighted<GuestSource>,
        least: f64,
        most: f64,
    ) -> Self {
        Self::of(what, Rule::GuestBetween { least, most }).inside(guest).unit(unit)
    }

    /// The host's number, in `unit`, must lie between.
    pub fn host_between(
        what: impl Into<String>,
        unit: &str,
        host: impl Sighted<HostSource>,
        least: f64,
        most: f64,
    ) -> Self {
        Self::of(what, Rule::HostBetween { least, most }).outside(host).unit(unit)
    }

    /// Guest and host values must differ.
    pub fn differ(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        host: impl Sighted<HostSource>,
    ) -> Self {
        Self::of(what, Rule::Differ).inside(guest).outside(host)
    }

    /// All that the guest listed must be in the host's list.
    pub fn guest_subset(
        what: impl Into<String>,
        guest: impl Sighted<GuestSource>,
        host: impl Sighted<HostSource>,
    ) -> Self {
        Self::of(what, Rule::GuestSubsetOfHost).inside(guest).outside(host)
    }

    /// Written down, not judged. Add what was seen with [`inside`](Self::inside) and [`outside`](Self::outside).
    pub fn recorded(what: impl Into<String>) -> Self {
        Self::of(what, Rule::Recorded)
    }

    /// With this unit.
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.to_owned();
        self
    }

    /// With what the guest saw.
    pub fn inside(mut self, seen: impl Sighted<GuestSource>) -> Self {
        let (value, source) = seen.parts();
        (self.guest, self.guest_source) = (Some(value), source);
        self
    }

    /// With what the host saw.
    pub fn outside(mut self, seen: impl Sighted<HostSource>) -> Self {
        let (value, source) = seen.parts();
        (self.host, self.host_source) = (Some(value), source);
        self
    }

    /// A finding that nobody has seen yet, under this rule.
    pub fn of(what: impl Into<String>, rule: Rule) -> Self {
        Self {
            what: what.into(),
            unit: String::new(),
            guest: None,
            guest_source: None,
            host: None,
            host_source: None,
            rule,
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;
    use crate::{GuestSource as G, HostSource as H};

    fn same(guest: i64, host: i64) -> Finding {
        Finding::same("online vCPUs", G::Kernel.saw(guest), H::Hypervisor.saw(host))
    }

    #[test]
    fn nothing_observed_never_passes() {
        assert_eq!(Observations::new().judge().word(), "fail");
        let seen = (G::Kernel.saw(1), H::Hypervisor.saw(1));
        let recorded = Finding::recorded("x").inside(seen.0).outside(seen.1);
        assert_eq!(Observations::of([recorded]).judge().word(), "fail");
    }

    #[test]
    fn one_witness_passes_only_where_the_check_says_so() {
        let guest_only = Observations::of([Finding::guest_is("steps back", G::Register.saw(0), 0)]);
        assert_eq!(guest_only.judge().word(), "fail");
        assert_eq!(guest_only.only_one_witness("the host has no view").judge(), Verdict::Pass);
    }

    #[test]
    fn unrelated_findings_lend_each_other_no_witness() {
        let seen = Observations::of([
            Finding::guest_is("answer to the discard", G::Kernel.saw("done"), "done"),
            Finding::host_is("the process runs", H::Process.saw(true), true),
        ]);
        assert!(seen.judge().reason().contains("no judged finding rests on both witnesses"));
        // By the rules of format 1 it was enough that both had seen something.
        assert_eq!(seen.judge_as_of(1), Verdict::Pass);
    }

    #[test]
    fn a_value_whose_source_is_not_named_is_no_witness() {
        let mut finding = same(2, 2);
        finding.host_source = None;
        let seen = Observations::of([finding]);
        assert!(seen.judge().reason().contains("where the host saw it is not said"));
        assert_eq!(seen.judge_as_of(1), Verdict::Pass);
        // Where a finding is only recorded, nothing rests on it.
        let mut recorded = Finding::recorded("x").inside(G::Kernel.saw(1));
        recorded.guest_source = None;
        assert_eq!(Observations::of([same(2, 2), recorded]).judge(), Verdict::Pass);
    }

    #[test]
    fn what_each_side_must_see_of_one_event_may_differ() {
        let finding = |guest: &str, host: &str| {
            let (guest, host) = (G::Console.saw(guest), H::Hypervisor.saw(host));
            Finding::each(
                "the shutdown",
                guest,
                "stopped in order",
                host,
                "powered off by the guest",
            )
        };
        let judge = |finding| Observations::of([finding]).judge();
        assert_eq!(judge(finding("stopped in order", "powered off by the guest")), Verdict::Pass);
        assert!(judge(finding("nothing", "powered off by the guest")).reason().contains("nothing"));
        assert!(judge(finding("stopped in order", "reset")).reason().contains("reset"));
    }

    #[test]
    fn witnesses_that_disagree_fail_with_both_values_named() {
        let verdict = Observations::of([same(1, 2)]).judge();
        assert_eq!(verdict.reason(), "online vCPUs: guest saw 1, host saw 2");
    }

    #[test]
    fn a_missing_witness_fails() {
        let mut finding = same(2, 2);
        finding.host = None;
        assert!(Observations::of([finding]).judge().reason().contains("host did not observe"));
    }

    #[test]
    fn not_a_number_is_not_within_anything() {
        let (nan, zero) = (G::Kernel.saw(f64::NAN), H::Clock.saw(0.0));
        let finding = Finding::within("offset", "ms", nan, zero, 10.0);
        assert_eq!(Observations::of([finding]).judge().word(), "fail");
        let finding = Finding::guest_between("x", "", nan, 0.0, 1.0);
        assert!(matches!(finding.judge(), Holds::No(_)));
    }

    #[test]
    fn findings_survive_their_json_form() {
        let list = |names: &[&str]| names.iter().copied().collect::<Value>();
        let all = Observations::of([
            Finding::same("a", G::Kernel.saw("x"), H::Process.saw("y")),
            Finding::same_as("b", G::Register.saw(1), H::Files.saw(1), 1),
            Finding::within("c", "ms", G::Device.saw(1.5), H::Wire.saw(2.5), 3.0),
            Finding::each("d", G::Console.saw(1), 1, H::Medium.saw("y"), "y"),
            Finding::guest_subset("e", G::Memory.saw(list(&["x"])), H::Clock.saw(list(&["x"]))),
        ]);
        let text = serde_json::to_string(&all).expect("serialises");
        assert_eq!(serde_json::from_str::<Observations>(&text).expect("reads back"), all);
        for name in ["\"guest_source\":\"kernel\"", "\"host_source\":\"process\""] {
            assert!(text.contains(name), "{text}");
        }
    }
}
