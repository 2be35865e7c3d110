//! Opening a case by a form: what is typed or read from a machine's definition, with the catalog's ruling of that day
//! frozen in. It becomes a draft; an engineer offers it to the other vendor.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::Response;
use hospitium_catalog::{Question, question_of};
use hospitium_desk::{
    Asked, Both, Calendar, CaseId, Channel, Consent, Customer, Draft, Engineer, Entitled,
    Entitlement, Line, Opening, PartyName, Problem, Role, Shareable, Terms, Topic, Typed, asked,
};
use hospitium_model::Digest;
use hospitium_vmdef::{VmDefinition, read_text};

use super::Counter;
use super::fields::Fields;
use super::forms::{ENTITLED, Field, GRADES, SHARED, choice, covers, line, text};
use super::pages::{audit, back, now};
use super::session::{Signed, counter};
use super::shell::{Shell, failed, once, page, refuse_with, store};
use super::upload::{next, words};
use crate::site::Site;

/// The largest definition of a machine that is read from a form.
const DEFINITION: usize = 1 << 20;

#[derive(Template)]
#[template(path = "desk/open.html")]
struct OpenPage {
    shell: Shell,
    once: String,
    trouble: String,
    customer: bool,
    problem: Vec<Field>,
    machine: Vec<Field>,
    who: Vec<Field>,
    consent: Vec<Field>,
    no_peers: bool,
}

/// The form's fields, with what was typed already.
fn fields(peers: &[PartyName], signed: &Signed, given: &Fields) -> [Vec<Field>; 4] {
    let customer = signed.account.role == Role::Customer;
    let peers: Vec<_> = peers.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let hint = "several with commas between: live migration, snapshots";
    let mut problem = vec![
        choice("to", "The other vendor", &peers),
        line("summary", "The problem in one line"),
        text("description", "The problem in full"),
        choice("severity", "How much it hurts", &GRADES).value("normal"),
        text("changed", "What changed before it began").optional(),
        text("tried", "What was tried already").optional().hint("a line for each step"),
    ];
    let mut machine = vec![
        line("guest", "Guest, down to its build").optional().hint("rhel 5.3 (2.6.18-128.el5)"),
        line("host", "Host, down to its build").optional().hint("hyper-v server 2008 (6.0.6001)"),
        Field { kind: "file", ..line("vm", "or the machine's definition") }
            .optional()
            .hint("libvirt XML, .vmx, .ovf, or the XML of a Hyper-V export"),
        line("features", "Features in use").optional().hint(hint),
    ];
    let mut who = Vec::new();
    let mut consent = vec![
        Field { kind: "checks", ..choice("covers", "What may be shared", &SHARED) }.optional(),
    ];
    if !customer {
        let engineer = signed.account.engineer().map(|own| own.to_string()).unwrap_or_default();
        who.extend([
            line("number", "Our case number"),
            line("engineer", "Engineer").value(engineer),
            line("customer", "Customer"),
            line("contact", "Its mail address").optional(),
            choice("entitled", "The customer is", &ENTITLED).value("unknown"),
        ]);
        consent.push(line("by", "Who at the customer said so").optional());
    }
    who.push(line("reference", "The customer's own reference").optional());
    let typed = [&mut problem, &mut machine, &mut who, &mut consent];
    for field in typed.into_iter().flatten() {
        if field.kind == "checks" {
            field.value = given.all(field.name).collect::<Vec<_>>().join(" ");
        } else if let Some(value) = given.get(field.name) {
            field.value = value.to_owned();
        }
    }
    [problem, machine, who, consent]
}

fn show(
    counter: &Counter,
    signed: &Signed,
    given: &Fields,
    trouble: &str,
) -> Result<Response, Response> {
    let peers = counter.office.peers().map_err(|error| failed(&error))?;
    let peers: Vec<PartyName> = peers.into_iter().map(|peer| peer.name).collect();
    let [problem, machine, who, consent] = fields(&peers, signed, given);
    Ok(page(&OpenPage {
        shell: Shell::new(counter.office.us.as_str(), signed, "open"),
        once: once()?,
        trouble: hospitium_report::words::visible(trouble, 1_000),
        customer: signed.account.role == Role::Customer,
        problem,
        machine,
        who,
        consent,
        no_peers: peers.is_empty(),
    }))
}

fn may(signed: &Signed) -> Result<(), Response> {
    let role = signed.account.role;
    signed.must(role.works() || role == Role::Customer)
}

/// `GET /desk/open`.
pub async fn form(State(site): State<Arc<Site>>, signed: Signed) -> Result<Response, Response> {
    may(&signed)?;
    show(counter(&site)?, &signed, &Fields::default(), "")
}

/// `POST /desk/open`.
pub async fn open(
    State(site): State<Arc<Site>>,
    signed: Signed,
    mut form: Multipart,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    may(&signed)?;
    let (mut given, mut parts) = (Fields::default(), 0);
    let mut file: Option<(String, Vec<u8>)> = None;
    while let Some((name, mut field)) = next(&mut form, &mut parts).await? {
        if name != "vm" {
            given.push(name, words(field).await?);
            continue;
        }
        signed.form(&given)?;
        let name = field.file_name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        let broken = |_| refuse_with(StatusCode::BAD_REQUEST, "The form broke off.", "/desk/open");
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > DEFINITION {
                let why =
                    "A machine's definition has at most 1 MiB. Attach a larger file to the case.";
                return Err(refuse_with(StatusCode::PAYLOAD_TOO_LARGE, why, "/desk/open"));
            }
        }
        file = (!bytes.is_empty()).then_some((name, bytes));
    }
    let count = signed.form(&given)?;
    let again = |why: &str| {
        let mut response = show(counter, &signed, &given, why)?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(response)
    };
    // The same form with the same words makes the same case; other words make another one.
    let id = id_of(&signed, &format!("{given:?} {:?}", file.as_ref().map(|(_, b)| Digest::of(b))));
    let vm = match file.map(|(name, bytes)| read_text(&name, &bytes)).transpose() {
        Ok(vm) => vm,
        Err(error) => return again(&format!("The definition cannot be read: {error}.")),
    };
    let asked = match ask(&site, &given, vm.as_ref()).await? {
        Ok(asked) => asked,
        Err(why) => return again(&why),
    };
    let engineer = match default_engineer(counter, &signed).await? {
        Some(engineer) => engineer,
        None => return again("This desk has no engineer yet who could take the case."),
    };
    let opening =
        match opening(counter, &signed, &given, (id.clone(), Channel::Web), asked, engineer) {
            Ok(opening) => opening,
            Err(why) => return again(&why),
        };
    let person = Some(signed.account.name.clone());
    let draft = Draft { opening, files: Vec::new(), opened: now(), person };
    match counter.office.store.new_draft(&draft, &count).await {
        Ok(true) => audit(counter, &signed, "opened a draft", &id).await?,
        // Sent twice; it may have been offered or thrown away meanwhile.
        Ok(false) => {}
        Err(hospitium_desk::store::StoreError::Illegal(illegal)) => {
            return again(&crate::model::sentence(&format!("{}.", illegal.fault)));
        }
        Err(error) => return Err(store(error, "/desk/open")),
    }
    Ok(back(&id))
}

/// The id of the case that a form makes: random, for what makes a form count once is.
pub fn id_of(signed: &Signed, once: &str) -> CaseId {
    let digest =
        Digest::of(format!("case {} {once}", signed.token.as_str()).as_bytes()).to_string();
    let bytes = u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default();
    CaseId::from_bytes(bytes.to_be_bytes())
}

/// The engineer whose draft it is: the one who opens it, or the first of the desk's.
pub async fn default_engineer(
    counter: &Counter,
    signed: &Signed,
) -> Result<Option<Engineer>, Response> {
    if let Some(own) = signed.account.engineer() {
        return Ok(Some(own));
    }
    let accounts = counter.office.store.accounts().await.map_err(|error| failed(&error))?;
    Ok(accounts.iter().find_map(hospitium_desk::Account::engineer))
}

/// Asks the catalog, as the command line does.
pub async fn ask(
    site: &Site,
    given: &Fields,
    vm: Option<&VmDefinition>,
) -> Result<Result<Asked, String>, Response> {
    let (guest, host) =
        (given.get("guest").map(str::to_owned), given.get("host").map(str::to_owned));
    let question = match (vm, &guest, &host) {
        (Some(vm), ..) => match question_of(vm, guest.clone(), host.clone(), site.products()) {
            Ok(question) => question,
            Err(untold) => return Ok(Err(format!("{untold}. Fill in guest and host."))),
        },
        (None, Some(guest), Some(host)) => match Question::parse(&format!("{guest} on {host}")) {
            Ok(question) => question,
            Err(why) => return Ok(Err(crate::model::sentence(&format!("{why}.")))),
        },
        _ => return Ok(Err("Fill in guest and host, or choose the machine's definition.".into())),
    };
    let view = site.view().await.map_err(|error| failed(&error))?;
    let reply = match site.desk(&view).ask(&question).await {
        Ok(reply) => reply,
        Err(hospitium_catalog::CatalogError::Question(why)) => {
            return Ok(Err(crate::model::sentence(&format!("{why}."))));
        }
        Err(error) => return Err(failed(&error)),
    };
    let features: Result<Vec<Line>, _> = given
        .get("features")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|feature| !feature.is_empty())
        .map(str::parse)
        .collect();
    let features = match features {
        Ok(features) => features,
        Err(error) => return Ok(Err(format!("Features: {error}."))),
    };
    let typed = Typed { guest, host, features, drivers: Vec::new() };
    let made = asked(&question.text, typed, vm, &reply, view.as_of);
    Ok(made.map_err(|error| format!("Guest or host: {error}.")))
}

/// What a case is opened with, of what was given by a form or in the same fields by a program.
pub fn opening(
    counter: &Counter,
    signed: &Signed,
    given: &Fields,
    (id, channel): (CaseId, Channel),
    asked: Asked,
    engineer: Engineer,
) -> Result<Opening, String> {
    let at = now();
    let receiver: PartyName = given.must("to", "The other vendor")?;
    let peers = counter.office.peers().map_err(|_| "The other vendors cannot be read.")?;
    if !peers.iter().any(|peer| peer.name == receiver) {
        return Err("The other vendor is not known here.".to_owned());
    }
    let customer = signed.account.role == Role::Customer;
    let short = id.as_str().chars().skip(2).take(8).collect::<String>();
    let (number, engineer, name, contact, entitled) = match customer {
        // An engineer puts in the rest when it offers the case.
        true => (
            format!("web-{short}").parse().map_err(|_| "The number.")?,
            engineer,
            signed.account.customer.clone().ok_or("Your account names no organisation.")?,
            signed.account.address.clone(),
            Entitled::Unknown,
        ),
        false => (
            given.must("number", "Our case number")?,
            given.may("engineer", "Engineer")?.unwrap_or(engineer),
            given.must("customer", "Customer")?,
            given.may("contact", "Its mail address")?,
            match given.get("entitled") {
                Some(_) => given.word("entitled", "The customer is")?,
                None => Entitled::Unknown,
            },
        ),
    };
    let covers = covers(given)?;
    let by = match customer {
        // Its name goes out only if it allows that.
        true => match covers.contains(&Shareable::Contact) {
            true => Some(signed.account.name.clone()),
            false => signed.account.customer.clone(),
        },
        false => given.may("by", "Who at the customer said so")?,
    };
    let consent = match (covers.is_empty(), by) {
        (true, _) => None,
        (false, Some(by)) => Some(Consent { by, at, covers }),
        (false, None) => return Err("Who at the customer allows it is missing.".to_owned()),
    };
    let steps = given.get("tried").unwrap_or_default().lines().map(str::trim);
    let steps: Result<Vec<Line>, _> =
        steps.filter(|step| !step.is_empty()).map(str::parse).collect();
    let minutes = |text: &str| text.parse().map_err(|_| "The agreed times.".to_owned());
    Ok(Opening {
        id,
        parties: Both { submitter: counter.office.us.clone(), receiver },
        channel,
        test: false,
        number,
        engineer,
        escalation: None,
        customer: Customer { name, contact, reference: given.may("reference", "The reference")? },
        entitlement: Entitlement { entitled, checked: at, note: None },
        consent,
        configuration: asked.configuration,
        verdict: asked.verdict,
        problem: Problem {
            summary: given.must("summary", "The problem in one line")?,
            description: given.must("description", "The problem in full")?,
            topic: Topic::Technical,
            severity: given.word("severity", "How much it hurts")?,
            changed: given.may("changed", "What changed")?,
            steps: steps.map_err(|error| format!("What was tried: {error}."))?,
        },
        // As the command line opens a case without others.
        terms: Terms {
            calendar: Calendar::always(),
            acknowledge: minutes("4h")?,
            update: minutes("24h")?,
            resolve: minutes("120h")?,
        },
        links: Vec::new(),
    })
}
