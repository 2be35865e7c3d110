//! Whether a finding holds, and the verdict that follows from all of them, by rule alone.

use super::{Finding, Observations, Rule, Value};
use crate::Verdict;

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

/// The first format of evidence in which observations name their sources.
const WITH_SOURCES: u32 = 2;

impl Rule {
    /// The guest's value decides.
    pub const fn judges_guest(&self) -> bool {
        !matches!(self, Self::Recorded | Self::HostIs { .. } | Self::HostBetween { .. })
    }

    /// The host's value decides.
    pub const fn judges_host(&self) -> bool {
        !matches!(self, Self::Recorded | Self::GuestIs { .. } | Self::GuestBetween { .. })
    }

    /// Both values decide: the finding rests on two witnesses.
    pub const fn judges_both(&self) -> bool {
        self.judges_guest() && self.judges_host()
    }
}

impl Finding {
    /// The side of a judged finding whose source is not named, if one is not.
    fn nameless(&self) -> Option<&'static str> {
        match (self.rule.judges_guest(), self.rule.judges_host()) {
            (true, _) if self.guest.is_some() && self.guest_source.is_none() => Some("guest"),
            (_, true) if self.host.is_some() && self.host_source.is_none() => Some("host"),
            _ => None,
        }
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
            Rule::Each { guest_expected, host_expected } => {
                when(g.same(guest_expected) && h.same(host_expected), &|| {
                    format!(
                        "{what}: guest saw {g}{unit}, expected {guest_expected}{unit}; host saw {h}{unit}, \
                         expected {host_expected}{unit}"
                    )
                })
            }
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
    /// The verdict that follows from these observations, by rule alone.
    ///
    /// Passes only if every judged finding holds and names where its values were read, and at least one of them
    /// rests on both witnesses. The last is lifted where the check declares that only one side can see this;
    /// then at least one finding was judged.
    pub fn judge(&self) -> Verdict {
        let (judged, both) = match self.hold() {
            Ok(counts) => counts,
            Err(fail) => return fail,
        };
        let nameless = self.findings.iter().find_map(|f| Some((f, f.nameless()?)));
        if let Some((finding, side)) = nameless {
            let reason = format!("{}: where the {side} saw it is not said", finding.what);
            return Verdict::Fail { reason };
        }
        match (both, &self.one_witness) {
            (1.., _) => Verdict::Pass,
            (0, Some(_)) if judged > 0 => Verdict::Pass,
            _ => Verdict::Fail {
                reason: "no judged finding rests on both witnesses: guest and host saw nothing of the same".into(),
            },
        }
    }

    /// The verdict by the rules of an earlier [format](crate::EVIDENCE_FORMAT) of evidence. In format 1 no source
    /// was named, and it was enough that both sides had observed something.
    pub fn judge_as_of(&self, format: u32) -> Verdict {
        if format >= WITH_SOURCES {
            return self.judge();
        }
        if let Err(fail) = self.hold() {
            return fail;
        }
        let saw =
            |side: fn(&Finding) -> &Option<Value>| self.findings.iter().any(|f| side(f).is_some());
        match (saw(|f| &f.guest), saw(|f| &f.host), &self.one_witness) {
            (true, true, _) | (_, _, Some(_)) => Verdict::Pass,
            (false, _, None) => Verdict::Fail { reason: "the guest observed nothing".into() },
            (_, false, None) => Verdict::Fail { reason: "the host observed nothing".into() },
        }
    }

    /// How many findings were judged and how many of them rest on both witnesses, if all hold.
    fn hold(&self) -> Result<(usize, usize), Verdict> {
        let (mut judged, mut both) = (0, 0);
        let mut wrong = Vec::new();
        for finding in &self.findings {
            match finding.judge() {
                Holds::Yes => {
                    judged += 1;
                    both += usize::from(finding.rule.judges_both());
                }
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
            return Err(Verdict::Fail { reason: wrong.join("; ") });
        }
        if judged == 0 {
            let reason = "nothing was observed that could be judged".into();
            return Err(Verdict::Fail { reason });
        }
        Ok((judged, both))
    }
}
