//! Which checks to run: by id, by subsystem, by pattern.

use hospitium_model::{CheckId, Subsystem};
use hospitium_suite::{Check, checks};

use crate::RunError;

/// A person's choice of checks. Empty means all.
///
/// A pattern is an id (`stor.flush-durable`), an id without its variant (`stor.hot-add-remove`), a
/// subsystem (`stor`), or any of these with `*` for any characters and `?` for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Run only what one of these names; everything if empty.
    pub only: Vec<String>,
    /// Of that, leave out what one of these names.
    pub without: Vec<String>,
}

impl Selection {
    /// The checks of the suite that are chosen, in the suite's order, without the canary.
    ///
    /// # Errors
    /// [`RunError::UnknownCheck`] if a pattern names nothing, so that a slip of the pen is not
    /// taken for "nothing to do"; [`RunError::NothingSelected`] if nothing is left.
    pub fn of_suite(&self) -> Result<Vec<&'static Check>, RunError> {
        self.of(&checks::all())
    }

    /// As [`Selection::of_suite`], of these checks.
    ///
    /// # Errors
    /// As there.
    pub fn of(&self, checks: &[&'static Check]) -> Result<Vec<&'static Check>, RunError> {
        for pattern in self.only.iter().chain(&self.without) {
            if !checks.iter().any(|check| names(pattern, check.id)) {
                return Err(RunError::UnknownCheck {
                    pattern: pattern.clone(),
                    similar: similar(pattern, checks),
                });
            }
        }
        let any = |patterns: &[String], id: &str| patterns.iter().any(|p| names(p, id));
        let chosen: Vec<_> = checks
            .iter()
            .copied()
            .filter(|check| self.only.is_empty() || any(&self.only, check.id))
            .filter(|check| !any(&self.without, check.id))
            .collect();
        if chosen.is_empty() { Err(RunError::NothingSelected) } else { Ok(chosen) }
    }

    /// True if everything is chosen.
    pub const fn is_everything(&self) -> bool {
        self.only.is_empty() && self.without.is_empty()
    }
}

/// The check of this id, the canary included.
pub fn find(id: &str) -> Option<&'static Check> {
    checks::all().into_iter().chain([&checks::CANARY]).find(|check| check.id == id)
}

/// What a profile requires when nothing else is said: every check of the suite.
pub fn required() -> Vec<CheckId> {
    checks::all().into_iter().map(Check::id).collect()
}

/// True if `pattern` names the check `id`.
fn names(pattern: &str, id: &str) -> bool {
    let base = id.split('/').next().unwrap_or(id);
    let subsystem = id.split('.').next().unwrap_or(id);
    matches(pattern, id) || matches(pattern, base) || matches(pattern, subsystem)
}

/// `*` matches any characters, `?` one. Linear in both, whatever the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) && pattern[p] != b'*'
        {
            p += 1;
            t += 1;
        } else if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Up to five ids that look like what was meant.
fn similar(pattern: &str, checks: &[&'static Check]) -> Vec<String> {
    let subsystem = pattern.split('.').next().unwrap_or_default();
    let words: Vec<&str> =
        pattern.split(['.', '-', '/', '*', '?']).filter(|word| word.len() > 2).collect();
    let score = |id: &str| {
        let shared = words.iter().filter(|word| id.contains(**word)).count() * 2;
        shared + usize::from(id.split('.').next() == Some(subsystem))
    };
    let mut scored: Vec<_> =
        checks.iter().map(|c| (score(c.id), c.id)).filter(|(score, _)| *score > 0).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let mut ids: Vec<String> = scored.into_iter().take(5).map(|(_, id)| id.to_owned()).collect();
    if ids.is_empty() {
        ids = Subsystem::ALL.iter().map(|s| s.prefix().to_owned()).collect();
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_ids_bases_and_subsystems() {
        for (pattern, id, named) in [
            ("cpu.count", "cpu.count", true),
            ("cpu", "cpu.count", true),
            ("cpu.*", "cpu.count", true),
            ("*.c?unt", "cpu.count", true),
            ("stor.hot-add-remove", "stor.hot-add-remove/usb", true),
            ("stor.hot-add-remove/usb", "stor.hot-add-remove/virtio", false),
            ("*usb", "stor.hot-add-remove/usb", true),
            ("cp", "cpu.count", false),
            ("cpu.count.", "cpu.count", false),
            ("", "cpu.count", false),
        ] {
            assert_eq!(names(pattern, id), named, "{pattern} {id}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_take_for_ever() {
        assert!(!matches(&"*a".repeat(2000), &"a".repeat(1999)));
    }

    #[test]
    fn a_pattern_that_names_nothing_is_an_error_with_what_was_meant() {
        let slip = Selection { only: vec!["boot.reach-userspace".into()], without: vec![] };
        match slip.of_suite() {
            Err(RunError::UnknownCheck { similar, .. }) => {
                assert!(similar.contains(&"boot.reach-userland".to_owned()), "{similar:?}");
            }
            other => panic!("{:?}", other.map(|checks| checks.len())),
        }
    }

    #[test]
    fn leaving_out_everything_is_an_error() {
        let none = Selection { only: vec![], without: vec!["*".into()] };
        assert!(matches!(none.of_suite(), Err(RunError::NothingSelected)));
    }
}
