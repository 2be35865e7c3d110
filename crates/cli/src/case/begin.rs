//! Opening a case: what is typed or read from a machine's definition, with the catalog's verdict frozen in.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use hospitium_catalog::{Question, question_of};
use hospitium_desk::store::StoreError;
use hospitium_desk::{
    Both, Calendar, CaseId, CaseLink, Channel, Configuration, Consent, Customer, Deed, Draft,
    Driver, Entitlement, Event, FrozenVerdict, Line, Opening, Problem, Side, Terms, Text, Typed,
};
use hospitium_vmdef::read_file;

use super::act::entitled;
use super::opening::OpenArguments;
use super::place::Place;
use super::show;
use crate::ask::{self, AskOptions};
use crate::failure::{End, Usage};
use crate::out::{note, out};

/// The most bytes of a calendar.
const CALENDAR: u64 = 64 << 10;

/// `hospitium case open`.
pub async fn open(arguments: OpenArguments) -> Result<End> {
    let place = Place::open(&arguments.desk).await?;
    if !arguments.tsanet {
        place.peer(arguments.to.as_str())?;
    }
    let json = arguments.ask.json;
    let offers = !arguments.draft;
    let draft = draft(&place, arguments).await?;
    place.office.store.keep_draft(&draft).await.map_err(|error| match &error {
        StoreError::Illegal(illegal) => {
            Usage::error(illegal.fault.to_string(), "see `hospitium case open --help`")
        }
        _ => error.into(),
    })?;
    let id = draft.opening.id.clone();
    if !offers {
        match json {
            true => out!("{}", serde_json::json!({ "case": id, "state": "draft" })),
            false => out!("{id} is kept as a draft; offer it: hospitium case offer {id}"),
        }
        return Ok(End::Good);
    }
    send(&place, &draft, json).await
}

/// `hospitium case offer`.
pub async fn offer(place: &Place, case: &str, facts: Option<Text>, json: bool) -> Result<End> {
    let id = place.find(case).await?;
    if let Some(draft) = place.office.store.draft(&id).await? {
        if facts.is_some() {
            return Err(Usage::error(
                "a draft has no new facts",
                "leave --new-facts out; it is for a case that was declined",
            ));
        }
        return send(place, &draft, json).await;
    }
    let thread = place.office.store.load(&id).await?;
    let deed = Deed::Offered { new_facts: facts };
    let event = Event { at: super::now(), by: Side::Submitter, person: place.person.clone(), deed };
    let kind = event.deed.kind();
    let now = place.office.store.post(thread.id(), event, &place.office.party().record).await;
    let now = now.map_err(|error| {
        Usage::error(error.to_string(), format!("hospitium case show {}", thread.id()))
    })?;
    place.office.ring();
    show::after(&now, kind, json);
    Ok(End::Good)
}

async fn send(place: &Place, draft: &Draft, json: bool) -> Result<End> {
    let id = &draft.opening.id;
    let person = place.person.clone();
    let offered =
        place.office.store.offer(draft, super::now(), person, &place.office.party().record).await;
    let thread = offered.map_err(|error| {
        Usage::error(
            format!("{error}. The case is kept as the draft {id} and nothing of it went out"),
            format!(
                "open it again with what is missing (--consent problem,configuration --consent-by \
                 NAME), and throw this one away: hospitium case discard {id}"
            ),
        )
    })?;
    place.office.ring();
    show::after(&thread, hospitium_desk::DeedKind::Offered, json);
    let receiver = &draft.opening.parties.receiver;
    match thread.is_bridged() {
        _ if json => {}
        false => note!("exchange it with {receiver}: hospitium case sync"),
        true => note!(
            "bring it to {receiver}: hospitium case export {id} FILE --tsanet, and post the file's request"
        ),
    }
    Ok(End::Good)
}

async fn draft(place: &Place, arguments: OpenArguments) -> Result<Draft> {
    let now = super::now();
    let calendar = match &arguments.calendar {
        None => Calendar::always(),
        Some(path) => {
            let mut text = String::new();
            std::fs::File::open(path)
                .and_then(|file| file.take(CALENDAR).read_to_string(&mut text))
                .with_context(|| format!("the calendar {} cannot be read", path.display()))?;
            Calendar::from_json(&text)
                .with_context(|| format!("{} is no calendar", path.display()))?
        }
    };
    let of = Pair {
        vm: arguments.vm.clone(),
        guest: arguments.guest.clone(),
        host: arguments.host.clone(),
        drivers: arguments.driver.clone(),
        features: arguments.feature.clone(),
        ask: arguments.ask.clone(),
    };
    let (configuration, verdict) = asked(of).await?;
    let OpenArguments { summary, consent, consent_by, .. } = arguments;
    let description = match arguments.description {
        Some(text) => text,
        None => summary.as_str().parse().context("the summary")?,
    };
    let opening = Opening {
        id: new_id()?,
        parties: Both { submitter: place.office.us.clone(), receiver: arguments.to },
        channel: if arguments.tsanet { Channel::Bridge } else { Channel::CommandLine },
        test: arguments.test,
        number: arguments.number,
        engineer: arguments.engineer,
        escalation: arguments.escalation,
        customer: Customer {
            name: arguments.customer,
            contact: arguments.contact,
            reference: arguments.reference,
        },
        entitlement: Entitlement {
            entitled: entitled(arguments.entitled),
            checked: now,
            note: None,
        },
        consent: consent_by.map(|by| Consent {
            by,
            at: now,
            covers: consent.into_iter().collect(),
        }),
        configuration,
        verdict,
        problem: Problem {
            summary,
            description,
            topic: arguments.topic,
            severity: arguments.severity,
            changed: arguments.changed,
            steps: arguments.tried,
        },
        terms: Terms {
            calendar,
            acknowledge: arguments.acknowledge,
            update: arguments.update,
            resolve: arguments.resolve,
        },
        links: match arguments.follows {
            Some(case) => vec![CaseLink { case, how: "follows".parse().context("a link")? }],
            None => Vec::new(),
        },
    };
    Ok(Draft { opening, files: Vec::new(), opened: now, person: place.person.clone() })
}

pub fn new_id() -> Result<CaseId> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("the operating system gives no random bytes, so a case can't be named")?;
    Ok(CaseId::from_bytes(bytes))
}

/// What a case is about, as it is typed.
pub struct Pair {
    pub vm: Option<PathBuf>,
    pub guest: Option<String>,
    pub host: Option<String>,
    pub drivers: Vec<Driver>,
    pub features: Vec<Line>,
    pub ask: AskOptions,
}

/// What the customer has, and what the catalog says of it.
pub async fn asked(of: Pair) -> Result<(Configuration, FrozenVerdict)> {
    let Pair { vm, guest, host, drivers, features, ask } = of;
    let vm = match &vm {
        Some(path) => {
            let read = read_file(path);
            Some(read.with_context(|| format!("{} is not read", path.display()))?)
        }
        None => None,
    };
    let products = ask.sources.clone().load()?;
    let question = match &vm {
        Some(vm) => question_of(vm, guest.clone(), host.clone(), &products).map_err(|untold| {
            Usage::error(untold.to_string(), "name it: --guest \"rhel 5.3\", --host \"qemu 7.2\"")
        })?,
        None => {
            let (guest, host) = (guest.as_deref(), host.as_deref());
            let text = format!("{} on {}", guest.unwrap_or_default(), host.unwrap_or_default());
            Question::parse(&text).context("the catalog cannot be asked")?
        }
    };
    let typed = Typed { guest, host, drivers, features };
    let (reply, as_of) =
        ask::reply(&question, &products, ask).await.context("the catalog cannot be asked")?;
    let made = hospitium_desk::asked(&question.text, typed, vm.as_ref(), &reply, as_of)
        .context("guest or host cannot stand in a case")?;
    if made.unclear {
        note!("note: the catalog does not know which products are meant by {:?}", question.text);
    }
    Ok((made.configuration, made.verdict))
}
