//! What is done to a case.

use anyhow::Result;
use clap::Args;
use hospitium_desk::exchange::Thread;
use hospitium_desk::{
    Aside, Confirmation, Consent, DeclineReason, Deed, Entitled, Entitlement, Event, Feedback,
    Outcome, ReproductionResult, Side, Text, Visibility, WaitFor,
};

use super::on::OnCase;
use super::place::Place;
use super::show;
use super::verbs::{
    Accept, AskFirst, Assign, Close, ConsentTo, Decline, Entitle, Escalate, Extend, Facts, GradeIt,
    IsEntitled, Propose, Reproduce, Start, Todo, Transfer, Wait, WhoActs, Whom, Why, Words,
};
use crate::failure::{End, Usage};
use crate::out::{note, out};

/// What a verb does to a case.
pub trait Does {
    /// The deed, at a desk that has this case.
    fn deed(self, thread: &Thread) -> Result<Deed>;
}

/// Does it.
pub async fn act<T: Does + Args>(it: OnCase<T>) -> Result<End> {
    let OnCase { case, what, on } = it;
    let place = Place::open(&on.desk).await?;
    let thread = place.load(&case).await?;
    let deed = what.deed(&thread)?;
    post(&place, &thread, deed, on.json).await
}

/// The same for what is only words.
pub async fn comment(it: OnCase<Words>, deed: impl FnOnce(Text) -> Deed) -> Result<End> {
    let OnCase { case, what, on } = it;
    let place = Place::open(&on.desk).await?;
    let thread = place.load(&case).await?;
    post(&place, &thread, deed(what.comment), on.json).await
}

/// Says something. It answers what is waited for, if this party is the one to answer.
pub async fn reply(
    place: &Place,
    case: &str,
    text: Text,
    customer: bool,
    json: bool,
) -> Result<End> {
    let thread = place.load(case).await?;
    let deed = match customer {
        true => Deed::Noted { visibility: Visibility::Customer, text },
        false => hospitium_desk::reply(thread.case(), thread.us(), text),
    };
    if !customer && matches!(deed, Deed::Noted { .. }) {
        note!("nothing waits for an answer of this party here: it is a note for both vendors");
    }
    post(place, &thread, deed, json).await
}

/// An internal note.
pub async fn aside(place: &Place, case: &str, text: Text, json: bool) -> Result<End> {
    let id = place.find(case).await?;
    let aside = Aside { at: super::now(), person: place.person.clone(), text };
    place.office.store.add_aside(&id, &aside).await?;
    match json {
        true => out!("{}", serde_json::json!({ "case": id, "internal": true })),
        false => out!("{id}: noted for {} only", place.office.us),
    }
    Ok(End::Good)
}

/// Posts and shows what became of it.
async fn post(place: &Place, thread: &Thread, deed: Deed, json: bool) -> Result<End> {
    let person = place.person.clone();
    let event = Event { at: super::now(), by: thread.us(), person, deed };
    let kind = event.deed.kind();
    let now = place.office.store.post(thread.id(), event, &place.office.party().record).await;
    let now = now.map_err(|error| Usage::error(error.to_string(), next_step(thread)))?;
    place.office.ring();
    show::after(&now, kind, json);
    Ok(End::Good)
}

/// Where to look after something was not legal.
fn next_step(thread: &Thread) -> String {
    format!("see where it stands and what may be done: hospitium case show {}", thread.id())
}

fn side(thread: &Thread, who: WhoActs) -> Side {
    match who {
        WhoActs::Us => thread.us(),
        WhoActs::Them => thread.us().other(),
    }
}

pub fn entitled(word: IsEntitled) -> Entitled {
    match word {
        IsEntitled::Yes => Entitled::Yes,
        IsEntitled::No => Entitled::No,
        IsEntitled::Expired => Entitled::Expired,
        IsEntitled::Unknown => Entitled::Unknown,
    }
}

impl Does for Accept {
    fn deed(self, _: &Thread) -> Result<Deed> {
        let Self { number, engineer, respond_within, escalation } = self;
        Ok(Deed::Accepted { number, engineer, respond_within, escalation })
    }
}

impl Does for Decline {
    fn deed(self, _: &Thread) -> Result<Deed> {
        let lacks = |what: &str| Usage::error(format!("{what} is not named"), "see --help");
        if self.feature.is_some() && self.why != Why::ExcludedFeature
            || self.of.is_some() && self.why != Why::Duplicate
        {
            return Err(Usage::error(
                "--feature goes with --why excluded-feature, and --of with --why duplicate",
                "leave it out, or give the other --why",
            ));
        }
        let reason = match self.why {
            Why::NoEntitlement => DeclineReason::NoEntitlement,
            Why::NotValidated => DeclineReason::NotValidated,
            Why::ExcludedFeature => DeclineReason::ExcludedFeature {
                feature: self.feature.ok_or_else(|| lacks("the feature"))?,
            },
            Why::Duplicate => {
                DeclineReason::Duplicate { case: self.of.ok_or_else(|| lacks("the case"))? }
            }
            Why::OutOfScope => DeclineReason::OutOfScope,
        };
        Ok(Deed::Declined { reason, next_step: self.next_step })
    }
}

impl Does for AskFirst {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::InfoRequested { question: self.question, until: self.until })
    }
}

impl Does for Start {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::Started {})
    }
}

impl Does for Wait {
    fn deed(self, thread: &Thread) -> Result<Deed> {
        let us = thread.us();
        let wait = match self.whom {
            Whom::Customer => WaitFor::Customer,
            Whom::Submitter => WaitFor::Submitter,
            Whom::Receiver => WaitFor::Receiver,
            Whom::OurReproduction => WaitFor::Reproduction { by: us },
            Whom::TheirReproduction => WaitFor::Reproduction { by: us.other() },
        };
        Ok(Deed::Waited { wait, reason: self.reason, until: self.until })
    }
}

impl Does for Extend {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::PauseExtended { reason: self.reason, until: self.until })
    }
}

impl Does for Assign {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::Assigned { engineer: self.engineer, lead: self.lead })
    }
}

impl Does for Reproduce {
    fn deed(self, thread: &Thread) -> Result<Deed> {
        let Self { text, by, place, result, of, machine, .. } = self;
        match (result, of) {
            (Some(shown), Some(reproduction)) => {
                let result = ReproductionResult { shown, text, machine };
                Ok(Deed::Reproduced { reproduction, result })
            }
            (None, None) => Ok(Deed::ReproductionAsked { by: side(thread, by), place, what: text }),
            _ => Err(Usage::error(
                "without a run, --result and --of go together",
                "name both to report what a reproduction showed, or neither to ask for one",
            )),
        }
    }
}

impl Does for Todo {
    fn deed(self, thread: &Thread) -> Result<Deed> {
        match (self.done, self.text, self.due) {
            (Some(action), ..) => Ok(Deed::ActionDone { action }),
            (None, Some(what), Some(due)) => {
                Ok(Deed::ActionAdded { what, by: side(thread, self.by), due })
            }
            _ => Err(Usage::error("nothing to be done is named", "see --help")),
        }
    }
}

impl Does for Facts {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::FactsAdded { text: self.text, configuration: None })
    }
}

impl Does for GradeIt {
    fn deed(self, thread: &Thread) -> Result<Deed> {
        let Self { grade, reason } = self;
        Ok(match thread.us() {
            Side::Submitter => Deed::SeverityChanged { severity: grade, reason },
            Side::Receiver => Deed::PriorityChanged { priority: grade, reason },
        })
    }
}

impl Does for Escalate {
    fn deed(self, _: &Thread) -> Result<Deed> {
        Ok(Deed::Escalated { level: self.level, reason: self.reason })
    }
}

impl Does for Entitle {
    fn deed(self, _: &Thread) -> Result<Deed> {
        let (entitled, checked, note) = (entitled(self.entitled), super::now(), self.note);
        Ok(Deed::EntitlementChecked { entitlement: Entitlement { entitled, checked, note } })
    }
}

impl Does for ConsentTo {
    fn deed(self, _: &Thread) -> Result<Deed> {
        let Self { covers, by, withdraw } = self;
        Ok(match withdraw {
            true => Deed::ConsentWithdrawn { by },
            false => {
                let covers = covers.into_iter().collect();
                Deed::ConsentGiven { consent: Consent { by, at: super::now(), covers } }
            }
        })
    }
}

impl Does for Transfer {
    fn deed(self, _: &Thread) -> Result<Deed> {
        match (self.offer, self.accept, self.refuse) {
            (Some(reason), ..) => Ok(Deed::TransferOffered { reason }),
            (_, Some(engineer), _) => Ok(Deed::TransferAccepted { engineer }),
            (_, _, Some(comment)) => Ok(Deed::TransferRefused { comment }),
            _ => Err(Usage::error("nothing is said of the transfer", "see --help")),
        }
    }
}

impl Does for Propose {
    fn deed(self, thread: &Thread) -> Result<Deed> {
        let certificate = thread.case().verdict.certificate.clone();
        let mut feedback: Vec<Feedback> = self
            .known_issue
            .into_iter()
            .map(|text| Feedback::KnownIssue { certificate: certificate.clone(), text })
            .collect();
        if let Some(reason) = self.suspend {
            let certificate = certificate.ok_or_else(|| {
                Usage::error(
                    "no certificate bore the verdict out when the case was opened",
                    "leave --suspend out; `hospitium log suspend` suspends a certificate of ours",
                )
            })?;
            feedback.push(Feedback::Suspend { certificate, reason });
        }
        let checks = self.new_check.into_iter();
        feedback.extend(checks.map(|requirement| Feedback::NewCheck { requirement }));
        let Self { layer, resolution, fix: fixes, workaround, .. } = self;
        let outcome = Outcome { layer, resolution, fixes, workaround, feedback };
        Ok(Deed::Proposed { outcome: Box::new(outcome) })
    }
}

impl Does for Close {
    fn deed(self, _: &Thread) -> Result<Deed> {
        let Self { confirmed_by, text } = self;
        Ok(Deed::Confirmed { confirmation: Confirmation { by: confirmed_by, text } })
    }
}
