//! How long a certificate is valid, with the rule that says so and what went into it, so that
//! anybody can compute it again.

use hospitium_model::{Day, Days, Formula};
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
    /// The rule; where an agreement's formula stands beside it, that decides instead.
    pub rule: ValidityRule,
    /// The agreement's formula, and the days that it was applied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Agreed>,
    /// The next version of either side, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_version: Option<DatedFact>,
    /// Ends that cut it short: of the guest's or the host's life, or of a waiver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<DatedFact>,
    /// Which part of the rule decided, in words.
    pub decided_by: String,
}

/// The rule of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The last day, as the agreement words it: `validated + 12 months`.
    pub until: Formula,
    /// The days that it counts on, as far as they were known when the record was made.
    pub days: Days,
    /// Who says so, of those that products have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<DatedFact>,
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
    /// An agreement's rule that counts on days that nobody knows.
    #[error(
        "the agreement's rule {formula:?} gives no day: nobody knows {}; add the dates to a \
         definition of the products, or certify without --agreement",
        unknown.iter().map(|day| day.words()).collect::<Vec<_>>().join(", ")
    )]
    Unknown {
        /// The rule.
        formula: String,
        /// What is not known.
        unknown: Vec<Day>,
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
        let whole = Self { from, until, rule, agreed: None, next_version, ends, decided_by };
        whole.cut()
    }

    /// Applies an agreement's rule: valid until the end, in UTC, of the last day that it gives, and no
    /// longer than the earliest of `ends`, which are those that no agreement knows of (of waivers).
    ///
    /// # Errors
    /// If it counts on days that nobody knows, or one of the ends lies before the beginning.
    pub fn by_agreement(
        from: Timestamp,
        mut agreed: Agreed,
        next_version: Option<DatedFact>,
        ends: Vec<DatedFact>,
    ) -> Result<Self, ValidityError> {
        agreed.days.validated = Some(TimeZone::UTC.to_datetime(from).date());
        let until = agreed.until.until(&agreed.days);
        let Some(day) = until.date else {
            let formula = agreed.until.as_str().to_owned();
            return Err(ValidityError::Unknown { formula, unknown: until.unknown });
        };
        let end = day.at(23, 59, 59, 0).to_zoned(TimeZone::UTC);
        let at = end.map_err(|_| ValidityError::Range)?.timestamp();
        if at <= from {
            return Err(ValidityError::Over { what: until.because, at, from });
        }
        let whole = Self {
            from,
            until: at,
            rule: ValidityRule::default(),
            agreed: Some(agreed),
            next_version,
            ends,
            decided_by: until.because,
        };
        whole.cut()
    }

    /// Cut short by its ends.
    fn cut(mut self) -> Result<Self, ValidityError> {
        for end in &self.ends {
            if end.at <= self.from {
                let DatedFact { what, at, .. } = end.clone();
                return Err(ValidityError::Over { what, at, from: self.from });
            }
            if end.at < self.until {
                self.until = end.at;
                self.decided_by = format!("it ends with: {}", end.what);
            }
        }
        Ok(self)
    }

    /// True if the rule, applied to what is written down with it, gives these dates.
    pub fn follows(&self) -> bool {
        let Self { from, rule, agreed, next_version, ends, .. } = self.clone();
        let again = match agreed {
            Some(agreed) => Self::by_agreement(from, agreed, next_version, ends),
            None => Self::compute(from, rule, next_version, ends),
        };
        again.is_ok_and(|again| again == *self)
    }

    /// The rule in words.
    pub fn rule_words(&self) -> String {
        let months = self.rule;
        match &self.agreed {
            Some(agreed) => format!("until {}, by the agreement", agreed.until.as_str()),
            None => format!(
                "until the later of {} months after the validation and {} months after the next \
                 version of either side, and no longer than either side's life",
                months.months_after_validation, months.months_after_next_version
            ),
        }
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

    fn agreed(formula: &str) -> Agreed {
        let days = Days {
            next_host_version: Some("2026-10-01".parse().expect("a day")),
            guest_end_of_life: Some("2028-06-30".parse().expect("a day")),
            ..Days::default()
        };
        Agreed { until: Formula::new(formula).expect("a formula"), days, known: Vec::new() }
    }

    #[test]
    fn an_agreements_formula_decides_and_its_words_are_kept() {
        let from = at("2026-01-31T12:00:00Z");
        let formula = "min(max(validated + 12 months, next-version + 9 months), guest-end-of-life)";
        let valid = Validity::by_agreement(from, agreed(formula), None, vec![]).expect("valid");
        assert_eq!(valid.until, at("2027-07-01T23:59:59Z"));
        assert!(valid.decided_by.contains("9 months after"), "{}", valid.decided_by);
        assert!(valid.rule_words().contains(formula) && valid.follows());
        let waiver = fact("the waiver of x", "2026-05-01T00:00:00Z");
        let cut = Validity::by_agreement(from, agreed(formula), None, vec![waiver]).expect("valid");
        assert_eq!(cut.until, at("2026-05-01T00:00:00Z"));
        assert!(cut.follows());
        let text = serde_json::to_string(&cut).expect("written");
        assert_eq!(serde_json::from_str::<Validity>(&text).expect("reads back"), cut);
    }

    #[test]
    fn a_date_that_the_agreements_formula_does_not_give_is_noticed() {
        let from = at("2026-01-31T12:00:00Z");
        let good = Validity::by_agreement(from, agreed("validated + 1 year"), None, vec![]);
        let good = good.expect("valid");
        let bad = |change: fn(&mut Validity)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.follows()
        };
        assert!(good.follows());
        assert!(!bad(|v| v.until = at("2036-01-31T23:59:59Z")));
        assert!(!bad(|v| v.agreed = None), "the months give another moment");
        assert!(!bad(|v| v.decided_by = "because".into()));
        assert!(!bad(|v| {
            let days = &mut v.agreed.as_mut().expect("there").days;
            days.validated = Some("2030-01-01".parse().expect("a day"));
        }));
    }

    #[test]
    fn a_formula_that_counts_on_what_nobody_knows_gives_nothing() {
        let from = at("2026-01-31T12:00:00Z");
        let unknown = Validity::by_agreement(from, agreed("host-end-of-life"), None, vec![]);
        let error = unknown.expect_err("nobody knows").to_string();
        assert!(error.contains("nobody knows the host's end of life"), "{error}");
        let over = Validity::by_agreement(from, agreed("2020-01-01"), None, vec![]);
        assert!(matches!(over, Err(ValidityError::Over { .. })));
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
