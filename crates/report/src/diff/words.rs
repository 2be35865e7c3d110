//! A change as people read it, what is foreign in it made visible and bounded.

use hospitium_model::Finding;

use super::{CellDiff, CheckChange, Diff, FindingChange, InputChange, Match, TimingChange};
use crate::outcome::Outcome;
use crate::words::{self, plural, short_digests, visible};

/// Longest value, and longest reason, of a change.
const VALUE: usize = 120;
const REASON: usize = 400;

impl Diff {
    /// The answer in a sentence.
    pub fn headline(&self) -> String {
        let compared: usize = self.cells.iter().map(|cell| cell.compared).sum();
        let of = format!(
            "{} in {} compared",
            plural(compared, "check"),
            plural(self.cells.len(), "cell")
        );
        let (worse, better) = (self.regressions(), self.mends());
        let mut parts = vec![match worse {
            0 => "no regression".to_owned(),
            n => plural(n, "regression"),
        }];
        if better > 0 {
            parts.push(format!("{better} mended"));
        }
        let sum = |count: fn(&CellDiff) -> usize| self.cells.iter().map(count).sum::<usize>();
        for (count, noun) in [
            (sum(|cell| cell.others.len()), "other verdict"),
            (sum(|cell| cell.findings.len()), "finding"),
            (sum(|cell| cell.timings.len()), "time"),
            (sum(|cell| cell.inputs.len()) + self.inputs.len(), "input"),
        ] {
            if count > 0 {
                parts.push(format!("{} changed", plural(count, noun)));
            }
        }
        format!("{}; {of}", parts.join(", "))
    }
}

impl Match {
    /// What sets the two cells apart; none if nothing does.
    pub const fn words(self) -> Option<&'static str> {
        match self {
            Self::Same => None,
            Self::OtherMachine => Some("the machine is another"),
            Self::OtherHost => Some("the host is another of its kind"),
            Self::OtherGuest => Some("the guest is another of its family"),
            Self::OtherGuestAndHost => Some("guest and host are others of their family and kind"),
            Self::OtherHostKind => Some("the host is of another kind"),
        }
    }
}

impl CheckChange {
    /// `pass → fail`; a side without such a check is `not there`.
    pub fn words(&self) -> String {
        let word = |outcome: Option<Outcome>| outcome.map_or("not there", Outcome::word);
        format!("{} → {}", word(self.before), word(self.after))
    }

    /// Why, on one line; empty if nothing is said.
    pub fn why(&self) -> String {
        short_digests(&visible(self.reason.lines().next().unwrap_or_default(), REASON))
    }
}

impl FindingChange {
    /// What was asked.
    pub fn what(&self) -> String {
        visible(&self.what, VALUE)
    }

    /// What was seen, or under which rule, before and now.
    pub fn words(&self) -> (String, String) {
        let rule = self.rule_changed;
        let of = |finding: &Option<Finding>| match finding {
            None => "not there".to_owned(),
            Some(finding) if rule => format!("{} [{}]", seen(finding), words::rule(finding)),
            Some(finding) => seen(finding),
        };
        (of(&self.before), of(&self.after))
    }
}

/// `guest 2, host 2`, or just `2` where both saw the same.
fn seen(finding: &Finding) -> String {
    let shown = |value| {
        let words = short_digests(&words::value(value, &finding.unit));
        visible(&words, VALUE)
    };
    match (&finding.guest, &finding.host) {
        (Some(guest), Some(host)) if guest.same(host) => shown(Some(guest)),
        (Some(guest), Some(host)) => {
            format!("guest {}, host {}", shown(Some(guest)), shown(Some(host)))
        }
        (Some(guest), None) => format!("guest {}", shown(Some(guest))),
        (None, Some(host)) => format!("host {}", shown(Some(host))),
        (None, None) => "nothing".into(),
    }
}

impl TimingChange {
    /// `clone` and the like in words; a check's id as it is.
    pub fn what(&self) -> String {
        match self.what.as_str() {
            "boot" => "boot to the probe's answer".into(),
            "clone" => "a clone ready to answer (median)".into(),
            "snapshot" => "saving the snapshot".into(),
            id => visible(id, 90),
        }
    }

    /// `1.20 s → 3.40 s (2.8 times)`.
    pub fn words(&self) -> String {
        let (before, after) = (self.before_ms, self.after_ms);
        let times = if after >= before {
            format!("{:.1} times as long", after / before.max(1.0))
        } else {
            format!("{:.1} times as fast", before / after.max(1.0))
        };
        format!("{} → {} ({times})", words::duration(before), words::duration(after))
    }
}

impl InputChange {
    /// What went in.
    pub fn what(&self) -> String {
        visible(&self.what, VALUE)
    }

    /// Before and now.
    pub fn words(&self) -> (String, String) {
        let of = |text: &Option<String>| match text {
            None => "none".to_owned(),
            Some(text) => visible(text, VALUE),
        };
        (of(&self.before), of(&self.after))
    }
}
