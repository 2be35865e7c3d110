//! How cases look on a terminal and as JSON.

use anyhow::{Context, Result};
use hospitium_desk::exchange::{Sealed, Thread};
use hospitium_desk::{
    Case, Deed, DeedKind, Feedback, Holder, Reading, Side, State, Visibility, clocks, legal,
    next_due,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::place::Place;
use crate::failure::End;
use crate::out::{note, out};
use crate::view::{Paint, safe};

/// The schema of what `--json` prints.
const SCHEMA: &str = "hospitium-case/1";

/// The id as people type it.
fn short(case: &Case) -> String {
    case.id.as_str().chars().take(10).collect()
}

fn name(case: &Case, holder: Holder) -> String {
    match holder {
        Holder::Submitter => case.party(Side::Submitter).to_string(),
        Holder::Receiver => case.party(Side::Receiver).to_string(),
        Holder::Customer => "the customer".to_owned(),
    }
}

fn due(case: &Case, reading: &Reading) -> String {
    let zone = case.terms.calendar.time_zone();
    let at = reading.due.map_or_else(
        || "never".to_owned(),
        |due| due.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
    );
    let paused = reading.paused.as_ref().map_or_else(String::new, |pause| {
        format!("; stands still until {} at most: {}", pause.until, safe(pause.reason.as_str()))
    });
    format!("{} {}, due {at}{paused}", reading.lap.clock, reading.standing)
}

/// One line after something was done.
pub fn after(thread: &Thread, deed: DeedKind, json: bool) {
    let case = thread.case();
    if json {
        out!("{}", value(thread, Timestamp::now()));
        return;
    }
    out!("{} {deed}: {}; next is {}", case.id, case.state, name(case, case.ball()));
    // The other vendor does not learn of it, and somebody has to know that.
    for held in thread.outgoing().held {
        note!(
            "it does not reach {}: a message before it is held back, for the customer does not allow that its {held} \
             goes out; record its consent to that: hospitium case consent {}",
            case.party(thread.us().other()),
            case.id
        );
    }
    if let Some(reading) = next_due(case, Timestamp::now()) {
        out!("  clock        {}", due(case, &reading));
    }
}

fn value(thread: &Thread, now: Timestamp) -> Value {
    let case = thread.case();
    let us = thread.us();
    let unsent = (thread.chain(us).len() as u64).saturating_sub(thread.acked());
    json!({
        "schema": SCHEMA,
        "side": us,
        "ball": case.ball(),
        "case": case,
        "clocks": clocks(case, now),
        "legal": legal(case, now),
        "unconfirmed": unsent,
        "held-back": thread.outgoing().held,
        "void": thread.voided().iter().map(|void| void.why.to_string()).collect::<Vec<_>>(),
        "divergences": thread.divergences().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "timeline": thread.timeline().map(happened).collect::<Vec<_>>(),
    })
}

/// An event, and where it was heard if its side did not sign it.
fn happened(sealed: &Sealed) -> Value {
    let mut event = json!(sealed.message.event);
    if let (Some(event), Some(heard)) = (event.as_object_mut(), &sealed.message.heard) {
        event.insert("heard".to_owned(), json!(heard));
    }
    event
}

/// `hospitium case list`.
pub async fn list(place: &Place, mine: bool, as_json: bool) -> Result<End> {
    let now = Timestamp::now();
    let (ids, drafts) = place.office.store.ids().await?;
    let mut rows = Vec::new();
    for id in ids {
        let thread = place.office.store.load(&id).await?;
        let case = thread.case().clone();
        let us = thread.us();
        // Who owns the customer passes on what it says.
        let ours = case.state.is_open()
            && (case.ball() == Holder::from(us)
                || case.ball() == Holder::Customer && case.owner == us);
        let next = next_due(&case, now);
        rows.push((
            !case.state.is_open(),
            !ours,
            next.as_ref().and_then(|next| next.due),
            case,
            next,
        ));
    }
    rows.retain(|(_, others, ..)| !mine || !others);
    rows.sort_by(|one, other| {
        let key = |row: &(bool, bool, Option<Timestamp>, Case, Option<Reading>)| {
            (row.0, row.1, row.2.unwrap_or(Timestamp::MAX), row.3.id.clone())
        };
        key(one).cmp(&key(other))
    });
    if as_json {
        let cases: Vec<_> = rows
            .iter()
            .map(|(_, others, _, case, next)| {
                json!({ "id": case.id, "state": case.state.name(), "ball": case.ball(),
                        "ours": !others, "summary": case.problem.summary, "next-clock": next })
            })
            .collect();
        out!("{}", json!({ "schema": "hospitium-cases/1", "cases": cases, "drafts": drafts }));
        return Ok(End::Good);
    }
    let paint = Paint::stdout();
    for (_, others, _, case, next) in &rows {
        let state = case.state.to_string();
        let ball = if *others { name(case, case.ball()) } else { "you".to_owned() };
        let clock = next.as_ref().map_or_else(String::new, |next| due(case, next));
        let line = format!(
            "{:<11} {:<26} {:<24} {}",
            short(case),
            state,
            ball,
            safe(case.problem.summary.as_str())
        );
        out!("{}", if *others { line } else { paint.bold(&line) });
        if !clock.is_empty() {
            out!("            {}", paint.dim(&clock));
        }
    }
    for id in drafts.iter().filter(|_| !mine) {
        out!("{:<11} draft", id.as_str().chars().take(10).collect::<String>());
    }
    if rows.is_empty() && drafts.is_empty() {
        note!("no case is here; `hospitium case open --help` shows how to open one");
    }
    Ok(End::Good)
}

/// `hospitium case list --proposed-checks`.
pub async fn proposed_checks(place: &Place, as_json: bool) -> Result<End> {
    let (ids, _) = place.office.store.ids().await?;
    let mut all = Vec::new();
    for id in ids {
        let thread = place.office.store.load(&id).await?;
        let State::Closed { outcome, .. } = &thread.case().state else { continue };
        let proposed = outcome.feedback.iter().filter_map(|feedback| match feedback {
            Feedback::NewCheck { requirement } => Some((id.clone(), requirement.to_string())),
            Feedback::KnownIssue { .. } | Feedback::Suspend { .. } => None,
        });
        all.extend(proposed);
    }
    if as_json {
        let checks = all.iter().map(|(id, text)| json!({ "case": id, "requirement": text }));
        let checks: Vec<Value> = checks.collect();
        out!("{}", json!({ "schema": "hospitium-proposed-checks/1", "checks": checks }));
        return Ok(End::Good);
    }
    for (id, text) in &all {
        let short: String = id.as_str().chars().take(10).collect();
        out!("{short:<11} {}", safe(text));
    }
    if all.is_empty() {
        note!("no closed case proposes a check (`case propose --new-check`)");
    }
    Ok(End::Good)
}

/// `hospitium case show`.
pub async fn show(place: &Place, case: &str, as_json: bool) -> Result<End> {
    let now = Timestamp::now();
    let id = place.find(case).await?;
    if let Some(draft) = place.office.store.draft(&id).await? {
        let case = draft.case()?;
        match as_json {
            true => out!("{}", json!({ "schema": SCHEMA, "side": "submitter", "case": case })),
            false => body(&case, Side::Submitter, now),
        }
        return Ok(End::Good);
    }
    let thread = place.office.store.load(&id).await?;
    let asides = place.office.store.asides(&id).await?;
    if as_json {
        let mut value = value(&thread, now);
        if let Some(object) = value.as_object_mut() {
            object.insert("internal".to_owned(), serde_json::to_value(&asides).context("notes")?);
        }
        out!("{value}");
        return Ok(End::Good);
    }
    body(thread.case(), thread.us(), now);
    out!("");
    for sealed in thread.timeline() {
        let event = &sealed.message.event;
        let who = event.person.as_ref().map_or_else(|| "the desk".to_owned(), ToString::to_string);
        let from = format!("{} ({})", sealed.message.from, safe(&who));
        let heard = sealed.message.heard.as_ref();
        let heard = heard.map_or_else(String::new, |heard| {
            format!(" [heard: {}, {}; not signed]", heard.through, heard.part)
        });
        out!("{}  {from:<34} {}{}", event.at, safe(&words(&event.deed)), safe(&heard));
    }
    for aside in &asides {
        let who = aside.person.as_ref().map_or("", |person| person.as_str());
        out!("{}  internal {:<25} {}", aside.at, safe(who), safe(aside.text.as_str()));
    }
    let unconfirmed = (thread.chain(thread.us()).len() as u64).saturating_sub(thread.acked());
    if thread.is_bridged() {
        note!(
            "{} has no desk: what is said here reaches it by TSANet Connect (hospitium case export {id} FILE --tsanet \
             --form answers)",
            thread.case().party(thread.us().other())
        );
    } else if unconfirmed > 0 {
        note!("the other desk has not confirmed {unconfirmed} of our messages yet");
    }
    for held in thread.outgoing().held {
        note!("held back: the customer does not allow that its {held} goes out");
    }
    for void in thread.voided() {
        note!("came to nothing: {}", void.why);
    }
    for found in thread.divergences() {
        note!("the two desks differ: {found}");
    }
    Ok(if thread.divergences().is_empty() { End::Good } else { End::Bad })
}

fn body(case: &Case, us: Side, now: Timestamp) {
    let line = |label: &str, text: &str| out!("  {label:<12} {}", safe(text));
    out!("{} {}: {}", case.id, case.state, safe(case.problem.summary.as_str()));
    line("next", &name(case, case.ball()));
    line("owner", case.party(case.owner).as_str());
    for side in Side::BOTH {
        let mut words = case.party(side).to_string();
        words.extend(case.numbers.of(side).iter().map(|number| format!(", case {number}")));
        words.extend(case.engineers.of(side).iter().map(|engineer| format!(", {engineer}")));
        let entitled = case.entitlements.of(side).as_ref();
        words.extend(entitled.map(|known| format!(", customer {}", known.entitled)));
        line(&side.to_string(), &words);
    }
    line("customer", case.customer.name.as_str());
    let covers = |what: &std::collections::BTreeSet<hospitium_desk::Shareable>| {
        what.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match &case.consent {
        Some(consent) => {
            line(
                "consent",
                &format!("{} ({}, {})", covers(&consent.covers), consent.by, consent.at),
            );
        }
        None => line("consent", "none: nothing of the customer's goes out"),
    }
    line("guest", case.configuration.guest.as_str());
    line("host", case.configuration.host.as_str());
    let machine = case.configuration.machine.iter().chain(&case.configuration.buses);
    for words in machine.chain(&case.configuration.features) {
        line("machine", words.as_str());
    }
    let catalog = case.catalog(us);
    let (word, day) = (case.verdict.word, case.verdict.as_of);
    let typed = if case.verdict.ruled().is_none() { ", without a ruling to check" } else { "" };
    line("verdict", &format!("{word} (as of {day}), says the catalog of {catalog}{typed}"));
    for words in case.verdict.rule.words.as_str().lines() {
        line("rule", words);
    }
    for words in &case.verdict.answers {
        line("answers", words.as_str());
    }
    line("severity", &case.problem.severity.to_string());
    for reading in clocks(case, now).iter().filter(|reading| reading.is_running()) {
        line("clock", &due(case, reading));
    }
    for (number, action) in case.actions.iter().enumerate() {
        let done =
            action.done.map_or_else(|| format!("due {}", action.due), |at| format!("done {at}"));
        line(
            &format!("todo {number}"),
            &format!("{} ({}, {done})", action.what, case.party(action.by)),
        );
    }
    for (number, tried) in case.reproductions.iter().enumerate() {
        let shown = match &tried.result {
            None => "not tried yet".to_owned(),
            Some((_, result)) => result.shown.to_string(),
        };
        line(
            &format!("reproduce {number}"),
            &format!("{} ({}, {shown})", tried.what, case.party(tried.by)),
        );
        if let Some((_, result)) = &tried.result {
            result.text.as_str().lines().for_each(|words| line("", words));
        }
    }
    for file in &case.attachments {
        let file = &file.file;
        line(
            "file",
            &format!(
                "{} {} bytes, {}, sha256:{}",
                file.name, file.size, file.classification, file.sha256
            ),
        );
        let Some(run) = &file.run else { continue };
        run.lines().iter().for_each(|words| line("its run", words));
        if let Some(replay) = run.replay("FILE") {
            line("replay", &replay);
        }
    }
    match &case.state {
        State::Declined { reason, next_step } => {
            line("declined", &reason.to_string());
            line("next step", next_step.as_str());
        }
        State::ResolutionProposed { outcome, .. } | State::Closed { outcome, .. } => {
            line("at fault", &outcome.layer.to_string());
            line("resolution", outcome.resolution.as_str());
            outcome.feedback.iter().for_each(|one| line("for catalog", &one.to_string()));
        }
        _ => {}
    }
    let mine: Vec<_> = legal(case, now)
        .into_iter()
        .filter(|next| next.by == us)
        .map(|next| next.deed.verb())
        .collect();
    line("you may", &if mine.is_empty() { "nothing now".to_owned() } else { mine.join(", ") });
}

/// An event in one line.
fn words(deed: &Deed) -> String {
    let text = match deed {
        Deed::InfoRequested { question: text, .. }
        | Deed::InfoGiven { answer: text }
        | Deed::Waited { reason: text, .. }
        | Deed::PauseExtended { reason: text, .. }
        | Deed::Answered { text }
        | Deed::Rejected { comment: text }
        | Deed::TransferOffered { reason: text }
        | Deed::TransferRefused { comment: text }
        | Deed::Withdrawn { comment: text }
        | Deed::Reopened { reason: text }
        | Deed::Declined { next_step: text, .. }
        | Deed::ActionAdded { what: text, .. }
        | Deed::ReproductionAsked { what: text, .. }
        | Deed::Escalated { reason: text, .. }
        | Deed::SeverityChanged { reason: text, .. }
        | Deed::PriorityChanged { reason: text, .. }
        | Deed::FactsAdded { text, .. } => Some(text.as_str()),
        Deed::Noted { text, visibility: Visibility::Both } => Some(text.as_str()),
        Deed::Noted { text, visibility: Visibility::Customer } => {
            return format!("to the customer: {text}");
        }
        Deed::Proposed { outcome } => Some(outcome.resolution.as_str()),
        Deed::Reproduced { result, .. } => Some(result.text.as_str()),
        Deed::Attached { attachment } => Some(attachment.name.as_str()),
        _ => None,
    };
    match text {
        Some(text) => format!("{}: {text}", deed.kind()),
        None => deed.kind().to_string(),
    }
}
