//! A rule in words: the only place where they are made.

use super::{Deal, Ended, OfPair, OfRecord, Rule, Until};
use crate::printable;

/// Longest text of others in a sentence, in characters.
const LONGEST: usize = 300;

fn shown(text: &str) -> String {
    printable(text.trim(), LONGEST)
}

/// A full stop at the end, unless there is one.
fn sentence(text: &str) -> String {
    let text = shown(text);
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

impl Rule {
    /// The name that it has in the JSON form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Excluded { .. } => "excluded",
            Self::AgreementFailed { .. } => "agreement-failed",
            Self::AgreementHolds { .. } => "agreement-holds",
            Self::AgreementLapsed { .. } => "agreement-lapsed",
            Self::Planned { .. } => "planned",
            Self::Pending { .. } => "pending",
            Self::NeverDelivered { .. } => "never-delivered",
            Self::Failed { .. } => "failed",
            Self::Holds { .. } => "holds",
            Self::Lapsed { .. } => "lapsed",
            Self::NotYet { .. } => "not-yet",
            Self::Suspended { .. } => "suspended",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Fallen { .. } => "fallen",
            Self::SetAside => "set-aside",
            Self::NoCertificate { .. } => "no-certificate",
            Self::TooMany { .. } => "too-many",
            Self::NoRecord => "no-record",
        }
    }

    /// It in sentences, fit for a terminal or a page: names of others are shown as what they are.
    pub fn words(&self) -> String {
        let mut words = match (self.deal(), self.outcome()) {
            (Some(Deal { title, .. }), Some(outcome)) => {
                format!("By the terms of {} {outcome}. {}", shown(title), self.because())
            }
            _ => self.because(),
        };
        if let Self::AgreementHolds { about_to_lapse, carried_from, until, .. } = self {
            if let Some(day) = until.day.filter(|_| *about_to_lapse) {
                words.push_str(&format!(" It is about to lapse, on {day}."));
            }
            if let Some(OfPair { guest, host }) = carried_from {
                let (guest, host) = (shown(guest), shown(host));
                words.push_str(&format!(
                    " What was tested is {guest} on {host}; the agreement carries that forward."
                ));
            }
        }
        if let Self::AgreementHolds { wider_shown: true, .. }
        | Self::Holds { wider_shown: true, .. } = self
        {
            words.push_str(" Of the valid certificates, the one shown covers the most.");
        }
        words
    }

    /// What an agreement's rule comes to.
    fn outcome(&self) -> Option<String> {
        Some(match self {
            Self::Excluded { what, .. } => format!("{} is left out", shown(what)),
            Self::AgreementFailed { .. } => "it failed".into(),
            Self::AgreementHolds { on_some_machines: false, .. } => "it holds".into(),
            Self::AgreementHolds { until: Until { day, .. }, .. } => {
                let until = day.map_or_else(|| "no end known".into(), |day| format!("until {day}"));
                format!("it holds on the machines that passed ({until})")
            }
            Self::AgreementLapsed { .. } => "it lapsed".into(),
            Self::Planned { .. } => "it will be owed".into(),
            Self::Pending { .. } => "it is owed, and it is not delivered yet".into(),
            Self::NeverDelivered { .. } => "it was owed, and it was never delivered".into(),
            _ => return None,
        })
    }

    /// What it decides by, in a sentence: without the agreement's name, for a list under that name.
    pub fn because(&self) -> String {
        match self {
            Self::Excluded { terms, .. } => sentence(terms),
            Self::AgreementFailed { record, .. } => {
                format!("The pair was tried on {} and failed.", record.validated)
            }
            Self::AgreementHolds { record, until, .. } => {
                let because = shown(&until.because);
                match until.day {
                    Some(day) => format!(
                        "Validated on {}; it holds until {day}, {because}.",
                        record.validated
                    ),
                    None => format!("Validated on {}; {because}.", record.validated),
                }
            }
            Self::AgreementLapsed { record, until, .. } => {
                let until = until.day.map_or_else(String::new, |day| {
                    format!("; it held until {day}, {}", shown(&until.because))
                });
                format!("Validated on {}{until}.", record.validated)
            }
            Self::Planned { from: None, .. } => {
                "Nobody here knows when one side was released.".into()
            }
            Self::Planned { from: Some(day), .. } => {
                format!("One side is released on {day} only.")
            }
            Self::Pending { due, late: true, .. } => {
                format!("No record says that it was done; it was due on {due}.")
            }
            Self::Pending { due, late: false, .. } => format!("It is to be done by {due}."),
            Self::NeverDelivered { ended, on, .. } => {
                let what = match ended {
                    Ended::Guest => "the guest's life",
                    Ended::Host => "the host's life",
                    Ended::Agreement => "the agreement",
                };
                format!("No record says that it was done, and {what} ended on {on}.")
            }
            Self::SetAside => "Every record of the pair was withdrawn or is suspended.".into(),
            Self::NoCertificate { what } => {
                format!("This is a record of another kind, {}: it certifies nothing.", shown(what))
            }
            Self::TooMany { looked_at } => format!(
                "There are more records of the pair than the {looked_at} that were looked at, so \
                 that one that says otherwise may be among the rest."
            ),
            Self::NoRecord => "No log here has a record of the pair, and no agreement here speaks \
                               of it. That is no statement that it does not work."
                .into(),
            _ => self.of_one_record(),
        }
    }

    /// The same of what one record decides by itself.
    fn of_one_record(&self) -> String {
        let until =
            |until: &Until| until.day.map_or_else(String::new, |day| format!(" until {day}"));
        match self {
            Self::Failed { record: OfRecord { party, validated, certificate, .. } } => format!(
                "A record of {} that counts says that a required check failed ({validated}, {}).",
                shown(party),
                shown(certificate)
            ),
            Self::Holds { until: holds, .. } => format!(
                "A certificate is valid by its own rule{}: {}.",
                until(holds),
                shown(&holds.because)
            ),
            Self::Lapsed { until: held, .. } => format!(
                "A certificate was valid by its own rule{}: {}.",
                until(held),
                shown(&held.because)
            ),
            Self::NotYet { record } => {
                format!("The certificate is valid from {} on.", record.validated)
            }
            Self::Suspended { record, since, until, reason } => {
                let until = until.map_or_else(String::new, |day| format!(" until {day}"));
                let (of, reason) = (shown(&record.certificate), sentence(reason));
                format!("{of} is suspended since {since}{until}: {reason}")
            }
            Self::Withdrawn { record, on, reason } => {
                format!(
                    "{} was withdrawn on {on}: {}",
                    shown(&record.certificate),
                    sentence(reason)
                )
            }
            Self::Fallen { what, why, .. } => {
                format!("What it rests on, {}, does not hold: {}", shown(what), sentence(why))
            }
            // All others are told above.
            _ => String::new(),
        }
    }
}
