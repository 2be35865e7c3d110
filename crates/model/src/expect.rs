//! Expectations as data: what is right for this guest family on this host kind.
//!
//! Which value is right differs by design (a clock that jumps after a pause, the watchdog's
//! action), so it stands in a table and not in a check.

use serde::{Deserialize, Serialize};

use crate::{Accelerator, OperatingSystem, Value};

/// One row: the expected value where everything that is set matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Check id.
    pub check: String,
    /// Name of the value within the check.
    pub what: String,
    /// Guest family; any if absent.
    #[serde(default)]
    pub guest: Option<OperatingSystem>,
    /// Host kind; any if absent.
    #[serde(default)]
    pub host: Option<String>,
    /// Accelerator; any if absent.
    #[serde(default)]
    pub accelerator: Option<Accelerator>,
    /// The value.
    pub value: Value,
    /// Where the value is from: a specification, a manual, a measurement.
    pub source: String,
}

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// The rows; the most specific match wins, of equals the later.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

/// The table could not be read, or has no row for what is asked.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// Not the table's form.
    #[error("the expectations cannot be read")]
    Form(#[from] toml::de::Error),
    /// No row.
    #[error(
        "the expectations say nothing about {what:?} of {check}; add a row for this guest and host"
    )]
    Missing {
        /// Check id.
        check: String,
        /// Name of the value.
        what: String,
    },
}

impl Expectations {
    /// Reads the table from TOML.
    pub fn from_toml(text: &str) -> Result<Self, ExpectationError> {
        Ok(toml::from_str(text)?)
    }

    /// Rows of `over` win over rows of equal match in `self`.
    pub fn overlaid(mut self, over: Self) -> Self {
        self.expect.extend(over.expect);
        self
    }

    /// The row that applies.
    pub fn find(
        &self,
        check: &str,
        what: &str,
        guest: OperatingSystem,
        host: &str,
        accelerator: Accelerator,
    ) -> Result<&Expectation, ExpectationError> {
        let weight = |row: &Expectation| {
            u8::from(row.guest.is_some())
                + u8::from(row.host.is_some())
                + u8::from(row.accelerator.is_some())
        };
        self.expect
            .iter()
            .filter(|row| row.check == check && row.what == what)
            .filter(|row| row.guest.is_none_or(|g| g == guest))
            .filter(|row| row.host.as_deref().is_none_or(|h| h == host))
            .filter(|row| row.accelerator.is_none_or(|a| a == accelerator))
            .max_by_key(|row| weight(row))
            .ok_or_else(|| ExpectationError::Missing { check: check.into(), what: what.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_row_wins_and_a_missing_one_is_an_error() {
        let table = Expectations::from_toml(
            r#"
            [[expect]]
            check = "clk.source"
            what = "clocksource"
            value = "tsc"
            source = "general"
            [[expect]]
            check = "clk.source"
            what = "clocksource"
            host = "qemu"
            accelerator = "kvm"
            value = "kvm-clock"
            source = "KVM's CPUID leaves"
            "#,
        )
        .expect("a good table");
        let find = |accelerator| {
            table
                .find("clk.source", "clocksource", OperatingSystem::Linux, "qemu", accelerator)
                .map(|row| row.value.clone())
                .expect("has a row")
        };
        assert_eq!(find(Accelerator::Kvm), "kvm-clock".into());
        assert_eq!(find(Accelerator::Tcg), "tsc".into());
        let missing = table.find("x", "y", OperatingSystem::Linux, "qemu", Accelerator::Tcg);
        assert!(matches!(missing, Err(ExpectationError::Missing { .. })));
    }
}
