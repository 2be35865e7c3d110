//! How long a certificate is valid, with the rule that says so and what went into it, so that
//! anybody can compute it again.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};

/// The rule: the later of so many months after validation and so many after the next version of
/// either side; never beyond the end of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidityRule {
    /// Months from the validation.
    pub months_after_validation: u32,
    /// Months from the next version of guest or host, once there is one.
    pub months_after_next_version: u32,
}

impl Default for ValidityRule {
    /// 12 and 9 months: what an agreement says that says nothing.
    fn default() -> Self {
        Self { months_after_validation: 12, months_after_next_version: 9 }
    }
}

/// A date that the rule takes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedFact {
    /// What happens then: `debian 13 released`.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// From when until when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// When the validation ended.
    pub from: Timestamp,
    /// The last moment, by the rule and what was known.
    pub until: Timestamp,
    /// The rule.
    pub rule: ValidityRule,
    /// The next version of either side, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_version: Option<DatedFact>,
    /// Ends that cut it short: of the guest's or the host's life, or of a waiver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<DatedFact>,
    /// Which part of the rule decided, in words.
    pub decided_by: String,
}

/// Why there is no validity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// It ended before it began.
    #[error("nothing can be certified: {what} was at {at}, before the validation at {from}")]
    Over {
        /// What ended.
        what: String,
        /// When.
        at: Timestamp,
        /// When the validation ended.
        from: Timestamp,
    },
    /// A date beyond what a calendar has.
    #[error("the rule's months lead beyond the year 9999")]
    Range,
}

impl Validity {
    /// Applies the rule.
    ///
    /// # Errors
    /// If one of the ends lies before the beginning.
    pub fn compute(
        from: Timestamp,
        rule: ValidityRule,
        next_version: Option<DatedFact>,
        ends: Vec<DatedFact>,
    ) -> Result<Self, ValidityError> {
        let months = |from: Timestamp, months: u32| {
            let months = i32::try_from(months).map_err(|_| ValidityError::Range)?.months();
            let zoned = Zoned::new(from, TimeZone::UTC);
            zoned.checked_add(months).map(|at| at.timestamp()).map_err(|_| ValidityError::Range)
        };
        let mut until = months(from, rule.months_after_validation)?;
        let mut decided_by =
            format!("{} months after the validation", rule.months_after_validation);
        if let Some(next) = &next_version {
            let then = months(next.at, rule.months_after_next_version)?;
            if then > until {
                until = then;
                decided_by =
                    format!("{} months after {}", rule.months_after_next_version, next.what);
            }
        }
        for end in &ends {
            if end.at <= from {
                let DatedFact { what, at, .. } = end.clone();
                return Err(ValidityError::Over { what, at, from });
            }
            if end.at < until {
                until = end.at;
                decided_by = format!("it ends with: {}", end.what);
            }
        }
        Ok(Self { from, until, rule, next_version, ends, decided_by })
    }

    /// True if the rule, applied to what is written down with it, gives these dates.
    pub fn follows(&self) -> bool {
        let Self { from, rule, next_version, ends, .. } = self.clone();
        Self::compute(from, rule, next_version, ends).is_ok_and(|again| again == *self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn fact(what: &str, time: &str) -> DatedFact {
        DatedFact { what: what.into(), at: at(time), source: String::new() }
    }

    #[test]
    fn the_later_of_the_two_terms_decides_and_the_end_of_life_cuts() {
        let from = at("2026-01-31T12:00:00Z");
        let rule = ValidityRule::default();
        let plain = Validity::compute(from, rule, None, vec![]).expect("valid");
        assert_eq!(plain.until, at("2027-01-31T12:00:00Z"));
        let soon = fact("guest 2 released", "2026-03-01T00:00:00Z");
        let same = Validity::compute(from, rule, Some(soon), vec![]).expect("valid");
        assert_eq!(same.until, plain.until, "nine months after March are before January");
        let later = fact("guest 2 released", "2026-12-31T00:00:00Z");
        let longer = Validity::compute(from, rule, Some(later.clone()), vec![]).expect("valid");
        assert_eq!(longer.until, at("2027-09-30T00:00:00Z"), "the month's last day");
        let end = fact("guest 1 ends", "2026-06-30T00:00:00Z");
        let cut = Validity::compute(from, rule, Some(later), vec![end]).expect("valid");
        assert_eq!(cut.until, at("2026-06-30T00:00:00Z"));
        assert!(cut.decided_by.contains("guest 1 ends"));
        assert!(plain.follows() && longer.follows() && cut.follows());
    }

    #[test]
    fn a_validity_that_does_not_follow_from_its_rule_is_noticed() {
        let from = at("2026-01-31T12:00:00Z");
        let mut good =
            Validity::compute(from, ValidityRule::default(), None, vec![]).expect("valid");
        good.until = at("2036-01-31T12:00:00Z");
        assert!(!good.follows());
    }

    #[test]
    fn what_has_ended_is_not_certified() {
        let from = at("2026-01-31T12:00:00Z");
        let end = fact("guest 1 ends", "2025-06-30T00:00:00Z");
        let refused = Validity::compute(from, ValidityRule::default(), None, vec![end]);
        assert!(matches!(refused, Err(ValidityError::Over { .. })));
        let rule = ValidityRule { months_after_validation: u32::MAX, months_after_next_version: 0 };
        assert_eq!(Validity::compute(from, rule, None, vec![]), Err(ValidityError::Range));
    }
}
