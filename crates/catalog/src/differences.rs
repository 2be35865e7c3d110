//! What becomes of a guest when one host takes another's place.

use serde::Serialize;

use crate::{PairNow, Stands};

/// What becomes of a guest, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// Valid before and not after; or the word stays and a check fails that did not.
    Regression,
    /// There is a record before and none after.
    Untried,
    /// Not valid before and valid after; or the word stays and a check that failed no longer does.
    Improvement,
    /// There is a record after only.
    New,
    /// The same, as far as it holds and in what fails.
    Same,
}

/// A guest's records on each of two hosts, held against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What becomes of it.
    pub becomes: Becomes,
    /// Checks that failed after and not before; none if there is a record on one side only.
    pub broke: Vec<String>,
    /// Checks that failed before and not after; none if there is a record on one side only.
    pub mended: Vec<String>,
}

impl Change {
    /// From a guest's record before to that after. The word counts more than single checks: what may
    /// be relied on is what somebody vouched for. What fails on one machine while another passed is a
    /// check that fails.
    pub fn of(before: Option<&PairNow>, after: Option<&PairNow>) -> Self {
        let side = |pair: Option<&PairNow>| {
            pair.map(|pair| (pair.stands == Stands::Valid, pair.failed.clone()))
        };
        Self::between(side(before), side(after))
    }

    /// Each side: whether it holds, and the checks that failed.
    fn between(before: Option<(bool, Vec<String>)>, after: Option<(bool, Vec<String>)>) -> Self {
        let ((held, then), (holds, now)) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (before, _) => {
                let becomes = if before.is_some() { Becomes::Untried } else { Becomes::New };
                return Self { becomes, broke: Vec::new(), mended: Vec::new() };
            }
        };
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|check| !others.contains(check)).cloned().collect()
        };
        let (broke, mended) = (only(&now, &then), only(&then, &now));
        let becomes = match (held, holds) {
            (true, false) => Becomes::Regression,
            (false, true) => Becomes::Improvement,
            _ if !broke.is_empty() => Becomes::Regression,
            _ if !mended.is_empty() => Becomes::Improvement,
            _ => Becomes::Same,
        };
        Self { becomes, broke, mended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: Option<(bool, &[&str])>, after: Option<(bool, &[&str])>) -> Change {
        let side = |side: Option<(bool, &[&str])>| {
            side.map(|(holds, failed)| (holds, failed.iter().map(ToString::to_string).collect()))
        };
        Change::between(side(before), side(after))
    }

    #[test]
    fn the_word_counts_first_and_then_what_broke() {
        let of = |before, after| between(Some(before), Some(after)).becomes;
        assert_eq!(of((true, &[]), (true, &[])), Becomes::Same);
        assert_eq!(of((true, &[]), (false, &["a"])), Becomes::Regression);
        assert_eq!(of((false, &["a"]), (true, &[])), Becomes::Improvement);
        assert_eq!(of((true, &[]), (true, &["a"])), Becomes::Regression, "it broke all the same");
        assert_eq!(of((true, &["a"]), (true, &["b"])), Becomes::Regression, "one for another");
        assert_eq!(of((false, &["a", "b"]), (false, &["a"])), Becomes::Improvement);
        assert_eq!(of((false, &["a"]), (true, &["b"])), Becomes::Improvement, "vouched for now");
    }

    #[test]
    fn what_one_side_has_no_record_of_is_no_regression_and_breaks_nothing() {
        let untried = between(Some((true, &["a"])), None);
        assert_eq!(untried.becomes, Becomes::Untried);
        assert!(untried.broke.is_empty() && untried.mended.is_empty());
        assert_eq!(between(None, Some((false, &["a"]))).becomes, Becomes::New);
    }

    #[test]
    fn the_checks_that_changed_are_named() {
        let change = between(Some((false, &["a", "b"])), Some((false, &["b", "c"])));
        assert_eq!((change.broke, change.mended), (vec!["c".into()], vec!["a".into()]));
    }
}
