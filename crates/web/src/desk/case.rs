//! The page of a case: where it stands, what may be done now and what not, and one timeline of both vendors.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use hospitium_desk::exchange::Thread;
use hospitium_desk::{
    Account, Case, CaseId, DeedKind, Draft, Next as Deeds, Role, Side, State as Stands, clocks,
    hindrance,
};
use hospitium_model::Digest;
use jiff::Timestamp;

use super::Counter;
use super::forms::{self, Field, fields, has_form, line, moves};
use super::queue::{due, holder, urgency};
use super::session::{Signed, counter};
use super::shell::{Shell, absent, failed, once, page, store};
use super::timeline::{Moment, shown, timeline, when};
use crate::site::Site;

/// A form of the page.
#[derive(Debug)]
pub struct Action {
    /// What is sent.
    pub word: &'static str,
    /// What it does, on its button.
    pub verb: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A clock of the page.
#[derive(Debug)]
struct Clock {
    name: String,
    standing: String,
    class: &'static str,
    sign: &'static str,
    due: String,
    paused: String,
}

/// A file of the page.
#[derive(Debug)]
struct File {
    name: String,
    words: String,
    digest: String,
    href: String,
    run: Vec<String>,
    replay: String,
}

#[derive(Template)]
#[template(path = "desk/case.html")]
struct CasePage {
    shell: Shell,
    once: String,
    id: String,
    short: String,
    summary: String,
    description: String,
    state: String,
    open: bool,
    ball: String,
    draft: bool,
    test: bool,
    alerts: Vec<String>,
    notes: Vec<String>,
    clocks: Vec<Clock>,
    parties: Vec<(String, String)>,
    facts: Vec<(String, String)>,
    verdict: String,
    /// Whose catalog said it.
    catalog: String,
    rule: Vec<String>,
    answers: Vec<String>,
    todo: Vec<String>,
    reproductions: Vec<String>,
    files: Vec<File>,
    attach: bool,
    customer: bool,
    largest: String,
    main: Vec<Action>,
    beside: Vec<Action>,
    not_now: Vec<(&'static str, String)>,
    offer: Vec<Field>,
    note: bool,
    moments: Vec<Moment>,
}

/// A case or a draft.
pub enum Found {
    /// Offered.
    Case(Box<Thread>),
    /// Not yet.
    Draft(Box<Draft>, Box<Case>),
}

impl Found {
    /// The case.
    pub fn case(&self) -> &Case {
        match self {
            Self::Case(thread) => thread.case(),
            Self::Draft(_, case) => case,
        }
    }
}

/// The case of this id, if this person may see it.
pub async fn find(counter: &Counter, signed: &Signed, id: &str) -> Result<Found, Response> {
    let id: CaseId = id.parse().map_err(|_| absent())?;
    let known = &counter.office.store;
    let found = match known.draft(&id).await.map_err(|error| failed(&error))? {
        Some(draft) => {
            let case = draft.case().map_err(|error| failed(&error))?;
            Found::Draft(Box::new(draft), Box::new(case))
        }
        None => {
            let thread = known.load(&id).await.map_err(|error| store(error, "/desk"))?;
            Found::Case(Box::new(thread))
        }
    };
    match signed.sees(found.case(), &counter.office) {
        true => Ok(found),
        false => Err(absent()),
    }
}

/// `GET /desk/cases/ID`.
pub async fn case(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let found = find(counter, &signed, &id).await?;
    let now = Timestamp::now();
    let role = signed.account.role;
    let case = match role {
        Role::Customer => found.case().for_customer(),
        _ => found.case().clone(),
    };
    let us = match &found {
        Found::Case(thread) => thread.us(),
        Found::Draft(..) => Side::Submitter,
    };
    let mut made =
        CasePage::new(Shell::new(counter.office.us.as_str(), &signed, ""), &case, us, role, now)?;
    made.customer = role == Role::Customer;
    made.largest = format!("{} MiB", super::upload::most(counter, role) >> 20);
    if !made.customer {
        made.vendors(&case, us);
    }
    match &found {
        Found::Draft(draft, _) => {
            made.draft = true;
            made.attach = role.works() || role == Role::Customer;
            if role.works() {
                made.offer = offer_fields(draft, &signed.account);
            }
        }
        Found::Case(thread) => {
            let asides = match role {
                Role::Customer => Vec::new(),
                _ => {
                    let asides = counter.office.store.asides(thread.id()).await;
                    asides.map_err(|error| failed(&error))?
                }
            };
            made.moments = timeline(thread, &asides, role);
            made.note = role.works();
            made.actions(found.case(), us, &signed.account, now);
            if role != Role::Customer {
                (made.alerts, made.notes) = (alerts(thread), on_its_way(thread));
            }
        }
    }
    made.files(&case, us, counter);
    Ok(page(&made))
}

/// What an engineer puts in its own name when it offers a draft.
fn offer_fields(draft: &Draft, account: &Account) -> Vec<Field> {
    let engineer = account.engineer().unwrap_or_else(|| draft.opening.engineer.clone());
    vec![
        line("number", "Our case number").value(&draft.opening.number),
        line("engineer", "Engineer").value(engineer),
    ]
}

/// What somebody has to see before anything else.
fn alerts(thread: &Thread) -> Vec<String> {
    let differ = thread.divergences().iter().map(|found| format!("The two desks differ: {found}"));
    let mut all: Vec<String> = differ.map(|words| shown(&words)).collect();
    let held = thread.outgoing().held;
    let words = |what: &hospitium_desk::Shareable| {
        format!("Held back: the customer does not allow that its {what} goes out.")
    };
    all.extend(held.iter().map(words));
    all
}

/// What the other desk is not known to have yet.
fn on_its_way(thread: &Thread) -> Vec<String> {
    let sent = thread.chain(thread.us()).len() as u64;
    match sent.saturating_sub(thread.acked()) {
        0 => Vec::new(),
        1 => vec!["On its way to the other desk: 1 message.".to_owned()],
        count => vec![format!("On its way to the other desk: {count} messages.")],
    }
}

impl CasePage {
    fn new(
        shell: Shell,
        case: &Case,
        us: Side,
        role: Role,
        now: Timestamp,
    ) -> Result<Self, Response> {
        let configuration = &case.configuration;
        let mut facts = vec![
            ("Customer".to_owned(), shown(case.customer.name.as_str())),
            ("Severity".to_owned(), case.problem.severity.to_string()),
            ("Guest".to_owned(), shown(configuration.guest.as_str())),
            ("Host".to_owned(), shown(configuration.host.as_str())),
        ];
        let mut machine: Vec<String> = Vec::new();
        machine.extend(configuration.vcpus.map(|count| format!("{count} vCPUs")));
        machine.extend(configuration.memory.map(|bytes| format!("{} MiB", bytes >> 20)));
        let lines = configuration.machine.iter().chain(&configuration.buses);
        machine.extend(lines.chain(&configuration.features).map(|line| shown(line.as_str())));
        if !machine.is_empty() {
            facts.push(("Machine".to_owned(), machine.join(", ")));
        }
        facts.push(("Opened".to_owned(), when(case.opened)));
        let consent = match &case.consent {
            None => "none: nothing of the customer's goes out".to_owned(),
            Some(given) => {
                let covers: Vec<_> = given.covers.iter().map(ToString::to_string).collect();
                shown(&format!("{} ({})", covers.join(", "), given.by))
            }
        };
        facts.push(("Consent".to_owned(), consent));
        match &case.state {
            Stands::Declined { reason, next_step } => {
                facts.push(("Declined".to_owned(), shown(&reason.to_string())));
                facts.push(("Next step".to_owned(), shown(next_step.as_str())));
            }
            Stands::ResolutionProposed { outcome, .. } | Stands::Closed { outcome, .. } => {
                facts.push(("At fault".to_owned(), outcome.layer.to_string()));
                facts.push(("Resolution".to_owned(), shown(outcome.resolution.as_str())));
                if role != Role::Customer {
                    let feedback = outcome.feedback.iter();
                    facts.extend(
                        feedback.map(|one| ("For the catalog".to_owned(), shown(&one.to_string()))),
                    );
                }
            }
            _ => {}
        }
        let running = clocks(case, now).into_iter().filter(|reading| reading.is_running());
        let clocks = running.filter(|_| case.state.is_open()).map(|reading| {
            let (class, sign) = urgency(reading.standing);
            Clock {
                name: reading.lap.clock.to_string(),
                standing: reading.standing.to_string(),
                class,
                sign,
                due: due(case, &reading),
                paused: reading.paused.as_ref().map_or_else(String::new, |pause| {
                    format!("stands still until {} at the latest", when(pause.until))
                }),
            }
        });
        Ok(Self {
            shell,
            once: once()?,
            id: case.id.to_string(),
            short: case.id.as_str().chars().take(10).collect(),
            summary: shown(case.problem.summary.as_str()),
            description: shown(case.problem.description.as_str()),
            state: case.state.to_string(),
            open: case.state.is_open(),
            ball: holder(case, us, role),
            draft: false,
            test: case.test,
            alerts: Vec::new(),
            notes: Vec::new(),
            clocks: clocks.collect(),
            parties: Vec::new(),
            facts,
            verdict: format!("{} (as of {})", case.verdict.word, case.verdict.as_of),
            catalog: case.catalog(us).to_string(),
            rule: case.verdict.rule.words.as_str().lines().map(shown).collect(),
            answers: case.verdict.answers.iter().map(|line| shown(line.as_str())).collect(),
            todo: Vec::new(),
            reproductions: Vec::new(),
            files: Vec::new(),
            attach: false,
            customer: false,
            largest: String::new(),
            main: Vec::new(),
            beside: Vec::new(),
            not_now: Vec::new(),
            offer: Vec::new(),
            note: false,
            moments: Vec::new(),
        })
    }

    /// What the vendors have of it.
    fn vendors(&mut self, case: &Case, us: Side) {
        for side in [us, us.other()] {
            let mut words: Vec<String> = Vec::new();
            words.extend(case.numbers.of(side).iter().map(|number| format!("case {number}")));
            words.extend(case.engineers.of(side).iter().map(ToString::to_string));
            if case.owner == side {
                words.push("owns the customer".to_owned());
            }
            let entitled = case.entitlements.of(side).as_ref();
            words.extend(entitled.map(|known| format!("customer {}", known.entitled)));
            let name = if side == us { "us".to_owned() } else { side.to_string() };
            let label = format!("{} ({name})", case.party(side));
            self.parties.push((label, shown(&words.join(" · "))));
        }
        let level = case.escalations.last().map(|last| format!("level {}", last.level));
        self.facts.extend(level.map(|level| ("Escalated".to_owned(), level)));
        let priority = case.priority.map(|grade| ("Priority".to_owned(), grade.to_string()));
        self.facts.extend(priority);
        self.todo = case
            .actions
            .iter()
            .map(|action| {
                let done = action.done.map_or_else(
                    || format!("due {}", when(action.due)),
                    |at| format!("done {}", when(at)),
                );
                shown(&format!("{} ({}, {done})", action.what, case.party(action.by)))
            })
            .collect();
        self.reproductions = case
            .reproductions
            .iter()
            .map(|tried| {
                let result = match &tried.result {
                    None => "not tried yet".to_owned(),
                    Some((_, result)) => {
                        let file = result.machine.map(|file| format!(" (file {})", file.short()));
                        // The rest of a run's answer stands in the timeline.
                        let text = result.text.as_str().lines().next().unwrap_or_default();
                        format!("{}: {text}{}", result.shown, file.unwrap_or_default())
                    }
                };
                shown(&format!("{} ({}): {result}", tried.what, case.party(tried.by)))
            })
            .collect();
    }

    /// What may be done now, and why the rest may not.
    fn actions(&mut self, case: &Case, us: Side, account: &Account, now: Timestamp) {
        let customer = account.role == Role::Customer;
        if !customer && !account.role.works() {
            return;
        }
        for deed in DeedKind::ALL.iter().copied() {
            let next = Deeds { deed, by: us };
            if customer && !forms::customers(deed, case, us) {
                continue;
            }
            let hindered = hindrance(case, next, now);
            if deed == DeedKind::Attached {
                self.attach = hindered.is_none();
            }
            if !has_form(deed) {
                continue;
            }
            match hindered {
                None => {
                    let verb = match customer {
                        true => customer_verb(deed).to_owned(),
                        false => sentence_case(deed.verb()),
                    };
                    let action =
                        Action { word: deed.word(), verb, fields: fields(deed, case, account) };
                    match moves(deed) || customer {
                        true => self.main.push(action),
                        false => self.beside.push(action),
                    }
                }
                Some(fault) if !customer && moves(deed) => {
                    self.not_now.push((deed.verb(), shown(&fault.to_string())));
                }
                Some(_) => {}
            }
        }
        if customer {
            self.attach = case.state.is_open();
        }
    }

    fn files(&mut self, case: &Case, us: Side, counter: &Counter) {
        self.files = case
            .attachments
            .iter()
            .map(|file| {
                let here = counter.office.vault.of_case(&case.id, us, file).is_ok();
                let (file, by) = (&file.file, case.party(file.by));
                let digest: Digest = file.sha256;
                let mut words = format!("{} bytes, {}, of {by}", file.size, file.classification);
                words.extend(file.redaction.iter().map(|what| format!(", without {what}")));
                if !here {
                    words.push_str(", not here yet");
                }
                File {
                    name: shown(file.name.as_str()),
                    words: shown(&words),
                    digest: digest.to_string(),
                    href: match here {
                        true => format!("/desk/cases/{}/files/{digest}", case.id),
                        false => String::new(),
                    },
                    run: file.run.iter().flat_map(|run| run.lines()).map(|l| shown(&l)).collect(),
                    replay: file
                        .run
                        .as_ref()
                        .and_then(|run| run.replay("FILE"))
                        .map(|line| shown(&line))
                        .unwrap_or_default(),
                }
            })
            .collect();
    }
}

const fn customer_verb(deed: DeedKind) -> &'static str {
    match deed {
        DeedKind::Answered => "Answer",
        DeedKind::Confirmed => "It is solved: close the case",
        DeedKind::Rejected => "It is not solved",
        _ => "Write to the vendors",
    }
}

fn sentence_case(verb: &str) -> String {
    let mut chars = verb.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}
