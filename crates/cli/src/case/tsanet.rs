//! Cases in the fields of TSANet Connect, out and in, as files.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use hospitium_desk::bridge::{
    Carried, Given, IncomingError, OpeningError, Receiving, Request, answers, create_request,
    incoming, opening, pair, read, whole_case,
};
use hospitium_desk::exchange::Thread;
use hospitium_desk::{Calendar, CaseId, Line, Minutes, Side, Terms};
use serde_json::{Value, json};

use super::begin::{Pair, asked, new_id};
use super::carry::new_file;
use super::importing::ImportArguments;
use super::place::Place;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// The times of a case that another vendor sent, in minutes: those that `case open` has, too.
const ACKNOWLEDGE: u32 = 4 * 60;
const UPDATE: u32 = 24 * 60;
const RESOLVE: u32 = 120 * 60;

/// What of a case is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The body that is posted to create the request
    Request,
    /// The whole case, as a request is read
    Case,
    /// What this party said, each as a call on the request
    Answers,
}

impl Form {
    const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Case => "case",
            Self::Answers => "answers",
        }
    }

    fn of(self, thread: &Thread, document: Option<u64>) -> Result<Carried<Value>> {
        Ok(match self {
            Self::Request => value(create_request(thread, document).map_err(refused(thread))?)?,
            Self::Case => value(whole_case(thread).map_err(refused(thread))?)?,
            Self::Answers => value(answers(thread))?,
        })
    }
}

fn refused(thread: &Thread) -> impl Fn(hospitium_desk::bridge::OutgoingError) -> anyhow::Error {
    use hospitium_desk::bridge::OutgoingError as Error;
    let id = thread.id().clone();
    move |error| {
        let next = match &error {
            Error::Consent(_) => {
                format!(
                    "record the consent: hospitium case consent {id} problem,configuration --by NAME"
                )
            }
            Error::NotSubmitted => "write --form case, or --form answers".to_owned(),
        };
        Usage::error(error.to_string(), next)
    }
}

fn value<T: serde::Serialize>(carried: Carried<T>) -> Result<Carried<Value>> {
    let Carried { value, not_carried } = carried;
    Ok(Carried { value: serde_json::to_value(value).context("JSON")?, not_carried })
}

/// `hospitium case export --tsanet`.
pub async fn export(
    place: &Place,
    case: &str,
    path: &Path,
    form: Form,
    document: Option<u64>,
    as_json: bool,
) -> Result<End> {
    if document.is_some() && form != Form::Request {
        return Err(Usage::error(
            "only a request names the receiver's form",
            "leave --document out, or write --form request",
        ));
    }
    let thread = place.load(case).await?;
    let Carried { value, not_carried } = form.of(&thread, document)?;
    let mut text = serde_json::to_string_pretty(&value).context("JSON")?;
    text.push('\n');
    let mut file = new_file(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    if as_json {
        out!(
            "{}",
            json!({ "schema": "hospitium-tsanet-export/1", "case": thread.id(), "form": form.word(),
                    "not-carried": not_carried })
        );
        return Ok(End::Good);
    }
    out!(
        "{}: the {} of {} in the fields of TSANet Connect",
        path.display(),
        form.word(),
        thread.id()
    );
    for what in &not_carried {
        note!("not in it: {}", safe(what));
    }
    note!("the file is confidential and not signed");
    Ok(End::Good)
}

/// `hospitium case import --tsanet`.
pub async fn import(arguments: ImportArguments) -> Result<End> {
    let place = Place::open(&arguments.desk).await?;
    let path = &arguments.file;
    let from = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let request = read(from).map_err(|error| {
        let next = "write one request into a file as TSANet Connect gives it, and import that";
        Usage::because(error, format!("{} was not taken in", path.display()), next)
    })?;
    let json = arguments.ask.json;
    let given =
        Given { engineer: arguments.engineer.clone(), respond_within: arguments.respond_within };
    let (thread, opened, first) = match find(&place, &request, &arguments).await? {
        Some(thread) => (thread, false, Vec::new()),
        None => begin(&place, &request, arguments).await?,
    };
    let new = incoming(&thread, &request, &given, super::now()).map_err(|error| {
        let next = match &error {
            IncomingError::SpeaksItself(_) => "exchange with it: hospitium case sync",
            IncomingError::OtherRequest { .. } => "import it without --case",
        };
        Usage::error(error.to_string(), next)
    })?;
    let party = place.office.party();
    let key = &party.record;
    let (thread, count) = place.office.store.hear(thread.id(), new.parts, key).await?;
    place.office.ring();
    // Both tell what the reader left out.
    let mut told = first;
    for line in new.told {
        if !told.contains(&line) {
            told.push(line);
        }
    }
    if json {
        out!(
            "{}",
            json!({ "schema": "hospitium-tsanet-import/1", "case": thread.id(), "opened": opened,
                    "state": thread.case().state.name(), "new": count, "known": new.known, "told": told })
        );
        return Ok(End::Good);
    }
    let began = if opened { "opened; " } else { "" };
    out!("{}: {began}{count} new, {} known; {}", thread.id(), new.known, thread.case().state);
    for line in &told {
        note!("{}", safe(line));
    }
    Ok(End::Good)
}

/// The case here that the request is.
async fn find(
    place: &Place,
    request: &Request,
    arguments: &ImportArguments,
) -> Result<Option<Thread>> {
    if let Some(case) = &arguments.case {
        return place.load(case).await.map(Some);
    }
    let outbound = is_outbound(request) && !arguments.received;
    let named: Option<CaseId> = request.case();
    let mut found: Vec<Thread> = Vec::new();
    for id in place.office.store.ids().await?.0 {
        let thread = place.office.store.load(&id).await?;
        // A case that two desks exchange is never taken from a file; that it was named here says who is meant.
        if !thread.is_bridged() {
            if named.as_ref() == Some(&id) {
                return Ok(Some(thread));
            }
            continue;
        }
        let number = &thread.case().numbers.submitter;
        let is_it = match thread.heard_of() {
            Some(heard) => heard.request == request.name,
            None => {
                outbound
                    && thread.us() == Side::Submitter
                    && number.is_some()
                    && *number == request.submitter_number
            }
        };
        if is_it {
            found.push(thread);
        }
    }
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|thread| thread.id().to_string()).collect();
        return Err(Usage::error(
            format!("the request may be one of several cases: {}", ids.join(", ")),
            "say which: --case CASE",
        ));
    }
    Ok(found.pop())
}

fn is_outbound(request: &Request) -> bool {
    request.direction.as_ref().is_some_and(|word| word.as_str() == "OUTBOUND")
}

/// The product that the catalog is asked for, and, unless it was typed, all that the file says of it.
fn product(typed: Option<String>, told: Option<Line>) -> (Option<String>, Option<Line>) {
    match (typed, told) {
        (Some(typed), _) => (Some(typed), None),
        (None, None) => (None, None),
        (None, Some(told)) => {
            let name = told.as_str().strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
            let name = name.map_or(told.as_str(), |(name, _)| name).to_owned();
            (Some(name), Some(told))
        }
    }
}

/// Opens the case that another vendor sent.
async fn begin(
    place: &Place,
    request: &Request,
    arguments: ImportArguments,
) -> Result<(Thread, bool, Vec<String>)> {
    if is_outbound(request) && !arguments.received {
        let number = request.submitter_number.as_ref().map_or("", |number| number.as_str());
        return Err(Usage::error(
            format!(
                "the request is ours (OUTBOUND), and no case here has the number {:?}",
                safe(number)
            ),
            "open the case first, with what its customer allows: hospitium case open … --tsanet --number NUMBER; \
             or say --received if the request came to us",
        ));
    }
    let Some(vendor) = arguments.vendor else {
        return Err(Usage::error(
            "no case here is this request, and a new one needs the vendor that sent it",
            "name its domain: --vendor guest.example",
        ));
    };
    let (told_guest, told_host) = pair(request);
    // The catalog knows a product by its name; the build behind it stands in the case.
    let (guest, full_guest) = product(arguments.guest, told_guest);
    let (host, full_host) = product(arguments.host, told_host);
    if guest.is_none() || host.is_none() {
        return Err(Usage::error(
            "the file does not say which guest runs on which host",
            "name both: --guest \"rhel 5.3\" --host \"hyper-v server 2008\"",
        ));
    }
    let of = Pair {
        vm: None,
        guest,
        host,
        drivers: Vec::new(),
        features: Vec::new(),
        ask: arguments.ask,
    };
    let (mut configuration, verdict) = asked(of).await?;
    configuration.guest = full_guest.unwrap_or(configuration.guest);
    configuration.host = full_host.unwrap_or(configuration.host);
    let minutes = |count| Minutes::try_from(count).context("an agreed time");
    let receiving = Receiving {
        id: new_id()?,
        us: place.office.us.clone(),
        vendor,
        engineer: arguments.engineer,
        customer: arguments.customer,
        configuration,
        verdict,
        terms: Terms {
            calendar: Calendar::always(),
            acknowledge: minutes(ACKNOWLEDGE)?,
            update: minutes(UPDATE)?,
            resolve: minutes(RESOLVE)?,
        },
    };
    let opened = opening(request, receiving, super::now()).map_err(|error| {
        let next = match &error {
            OpeningError::Lacks(_) => "get the file again",
            OpeningError::Engineer(_) => "name one: --engineer \"Ann Smith <ann@guest.example>\"",
            OpeningError::Customer => "name it: --customer \"Customer Inc.\"",
        };
        Usage::error(error.to_string(), next)
    })?;
    let party = place.office.party();
    let key = &party.record;
    let begun = Thread::begin_heard(opened.opening, opened.at, opened.person, &opened.heard, key);
    let thread = begun
        .map_err(|error| Usage::error(error.to_string(), "see `hospitium case import --help`"))?;
    place.office.store.keep_heard(&thread).await?;
    Ok((thread, true, opened.told))
}
