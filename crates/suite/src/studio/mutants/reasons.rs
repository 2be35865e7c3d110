//! Why alterations that a check does not notice are none of its fault: `survivors.toml`.

use serde::Deserialize;

use super::Survivor;

/// The table that ships with the suite.
const TABLE: &str = include_str!("../../../survivors.toml");

/// All reasons.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// In the order of the file.
    #[serde(default)]
    pub survivor: Vec<Reason>,
    /// Judged findings that nothing turns red.
    #[serde(default)]
    pub finding: Vec<Unseeded>,
}

/// Why some alterations are not noticed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The check's id; a `*` stands for anything.
    pub check: String,
    /// Where; a `*` stands for anything.
    pub at: String,
    /// What was altered; a `*` stands for anything.
    #[serde(default = "anything")]
    pub how: String,
    /// What the check reports otherwise, "nothing" if it reports the same; a `*` stands for anything.
    #[serde(default = "anything")]
    pub changed: String,
    /// Why this is right.
    pub why: String,
    /// The altered machine is as good as the recorded one: what is told of it meets the requirement as well.
    #[serde(default)]
    pub equivalent: bool,
}

/// Why a judged finding cannot be turned red by an alteration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unseeded {
    /// The check's id; a `*` stands for anything.
    pub check: String,
    /// The finding; a `*` stands for anything.
    pub what: String,
    /// Why.
    pub why: String,
}

fn anything() -> String {
    "*".into()
}

/// The table of reasons does not read.
#[derive(Debug, thiserror::Error)]
#[error("survivors.toml does not read: {0}")]
pub struct ReasonsError(#[from] toml::de::Error);

impl Reasons {
    /// Those that ship with the suite.
    ///
    /// # Errors
    /// The file does not read.
    pub fn shipped() -> Result<Self, ReasonsError> {
        Ok(toml::from_str(TABLE)?)
    }

    /// The reason of a survivor, if there is one, by its place in the file.
    pub fn of(&self, survivor: &Survivor) -> Option<usize> {
        let changed = survivor.what_changed();
        self.survivor.iter().position(|reason| {
            fits(&reason.check, survivor.check)
                && fits(&reason.at, &survivor.at)
                && fits(&reason.how, &survivor.how)
                && fits(&reason.changed, &changed)
        })
    }

    /// The reason of a finding that nothing turns red.
    pub fn of_finding(&self, check: &str, what: &str) -> Option<&Unseeded> {
        self.finding.iter().find(|reason| fits(&reason.check, check) && fits(&reason.what, what))
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(left) = text.strip_prefix(start) else { return false };
    if rest.is_empty() {
        return true;
    }
    (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| fits(rest, &left[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_every_row_says_why() {
        let all = Reasons::shipped().expect("reads");
        assert!(all.survivor.iter().all(|reason| reason.why.len() > 10));
        assert!(all.finding.iter().all(|reason| reason.why.len() > 10));
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("net.*", "net.mtu") && fits("*", "") && fits("a*c*e", "abcde"));
        assert!(fits("look #* /disks", "look #12 /disks"));
        assert!(!fits("net.*", "stor.x") && !fits("a*c", "ab") && !fits("a", "ab"));
    }
}
