//! Cases: listed, opened, shown, answered.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum_extra::extract::WithRejection;
use hospitium_desk::store::StoreError;
use hospitium_desk::{
    Aside, CaseId, Channel, Deed, DeedKind, Draft, Event, Role, Shareable, Side, Text, Visibility,
    reply as as_reply,
};
use hospitium_vmdef::read_text;
use jiff::Timestamp;

use super::super::Counter;
use super::super::case::{Found, find};
use super::super::forms::customers;
use super::super::open::{ask, default_engineer, id_of, opening};
use super::super::pages::now;
use super::super::session::{Signed, counter};
use super::body::{Json, NewCase, Readers, Reply};
use super::view::{CaseRow, CaseView, Cases};
use super::{Caller, Key, Refusal, failed, refused};
use crate::api::Problem;
use crate::site::Site;

type Called<T> = Result<T, Refusal>;

fn unfit(why: impl AsRef<str>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, crate::model::sentence(why.as_ref()))
}

/// What the store refuses, for a program.
fn store(error: StoreError) -> Problem {
    match error {
        StoreError::Database { .. } | StoreError::Damaged { .. } | StoreError::Random(_) => {
            failed(&error)
        }
        StoreError::NoCase(_) => Problem::not_found("There is no such case at this desk."),
        StoreError::Illegal(illegal) => {
            Problem::new(StatusCode::CONFLICT, crate::model::sentence(&illegal.to_string()))
        }
        other => Problem::new(StatusCode::CONFLICT, crate::model::sentence(&other.to_string())),
    }
}

async fn audit(counter: &Counter, caller: &Signed, what: &str, id: &CaseId) -> Called<()> {
    let what = format!("{what} (api)");
    let login = caller.account.login.as_str();
    let noted = counter.office.store.audit(Timestamp::now(), login, &what, id.as_str()).await;
    Ok(noted.map_err(|error| failed(&error))?)
}

/// The case as this caller may see it.
async fn view(counter: &Counter, caller: &Signed, found: &Found) -> Called<CaseView> {
    let (role, now) = (caller.account.role, Timestamp::now());
    match found {
        Found::Draft(_, case) => Ok(CaseView::of_case(case, Side::Submitter, role, now)),
        Found::Case(thread) => {
            let asides = match role {
                Role::Customer => Vec::new(),
                _ => counter.office.store.asides(thread.id()).await.map_err(store)?,
            };
            Ok(CaseView::of(thread, &asides, role, now))
        }
    }
}

/// The cases of this desk
///
/// Those that the account may see: a customer's are those of its organisation that this vendor opened or owns.
#[utoipa::path(get, path = "/cases", tag = "Cases", security(("token" = [])), responses(
    (status = 200, description = "The cases, drafts among them", body = Cases),
    (status = 401, description = "No token that holds", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No desk here", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(State(site): State<Arc<Site>>, Caller(caller): Caller) -> Called<Answer<Cases>> {
    let counter = counter(&site).map_err(refused)?;
    let known = &counter.office.store;
    let now = Timestamp::now();
    let (ids, drafts) = known.ids().await.map_err(store)?;
    let mut rows = Vec::new();
    for id in ids {
        let thread = known.load(&id).await.map_err(store)?;
        if caller.sees(thread.case(), &counter.office) {
            rows.push(CaseRow::of(thread.case(), thread.us(), now));
        }
    }
    for id in drafts {
        let Some(draft) = known.draft(&id).await.map_err(store)? else { continue };
        let Ok(case) = draft.case() else { continue };
        if caller.sees(&case, &counter.office) {
            rows.push(CaseRow::of(&case, Side::Submitter, now));
        }
    }
    Ok(Answer(Cases::new(rows)))
}

/// Open a case
///
/// As the desk's form does: the catalog is asked, and its answer of this day is frozen into the case. It is a draft, unless
/// it is offered to the other vendor at once (not by a customer). The same call with the same `idempotency-key` makes one
/// case, and answers with it as it is now.
#[utoipa::path(post, path = "/cases", tag = "Cases", security(("token" = [])),
    params(("idempotency-key" = String, Header, description = "New for each case, the same when a call is sent again")),
    request_body = NewCase, responses(
    (status = 200, description = "The case that this call made before", body = CaseView),
    (status = 201, description = "The new case", body = CaseView),
    (status = 400, description = "No idempotency key", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token that holds", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The account's role does not do this", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No desk here", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It cannot be offered so; the draft is kept", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Something in it is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn open(
    State(site): State<Arc<Site>>,
    Caller(caller): Caller,
    key: Key,
    body: Json<NewCase>,
) -> Called<(StatusCode, Answer<CaseView>)> {
    let counter = counter(&site).map_err(refused)?;
    let Json(body) = body;
    let role = caller.account.role;
    caller.must(role.works() || role == Role::Customer && !body.offer).map_err(refused)?;
    let id = id_of(&caller, &format!("api {}", key.0));
    let office = &counter.office;
    let kept = find(counter, &caller, id.as_str()).await;
    let known = kept.is_ok();
    // Asked for once more: what is there stays as it is.
    let draft = match kept {
        Ok(Found::Case(thread)) => {
            let found = Found::Case(thread);
            return Ok((StatusCode::OK, Answer(view(counter, &caller, &found).await?)));
        }
        Ok(Found::Draft(draft, _)) => *draft,
        Err(_) => {
            let draft = new_draft(&site, counter, &caller, id.clone(), &body).await?;
            match office.store.new_draft(&draft, &key.once(&caller, "open")).await {
                Ok(true) => audit(counter, &caller, "opened a draft", &id).await?,
                // At the same time, or thrown away since.
                Ok(false) => {
                    let found = find(counter, &caller, id.as_str()).await.map_err(refused)?;
                    return Ok((StatusCode::OK, Answer(view(counter, &caller, &found).await?)));
                }
                Err(StoreError::Illegal(illegal)) => {
                    return Err(unfit(format!("{}.", illegal.fault)).into());
                }
                Err(error) => return Err(store(error).into()),
            }
            draft
        }
    };
    if body.offer {
        let person = Some(caller.account.name.clone());
        match office.store.offer(&draft, now(), person, &office.party().record).await {
            Ok(_) | Err(StoreError::Taken(_)) => {}
            Err(error) => return Err(store(error).into()),
        }
        office.ring();
        audit(counter, &caller, "offered", &id).await?;
    }
    let found = find(counter, &caller, id.as_str()).await.map_err(refused)?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Answer(view(counter, &caller, &found).await?)))
}

async fn new_draft(
    site: &Site,
    counter: &Counter,
    caller: &Signed,
    id: CaseId,
    body: &NewCase,
) -> Called<Draft> {
    let given = body.fields();
    let vm = match body.definition() {
        Some(vm) => {
            let (name, text) = (vm.name.clone(), vm.text.clone());
            let read = tokio::task::spawn_blocking(move || read_text(&name, text.as_bytes())).await;
            let read = read.map_err(|error| failed(&error))?;
            Some(read.map_err(|error| unfit(format!("the definition is not read: {error}.")))?)
        }
        None => None,
    };
    let asked = ask(site, &given, vm.as_ref()).await.map_err(refused)?.map_err(unfit)?;
    let engineer = default_engineer(counter, caller).await.map_err(refused)?;
    let engineer =
        engineer.ok_or_else(|| unfit("This desk has no engineer yet who could take the case."))?;
    let opening = opening(counter, caller, &given, (id, Channel::Api), asked, engineer);
    let opening = opening.map_err(unfit)?;
    let person = Some(caller.account.name.clone());
    Ok(Draft { opening, files: Vec::new(), opened: now(), person })
}

/// A case
#[utoipa::path(get, path = "/cases/{id}", tag = "Cases", security(("token" = [])),
    params(("id" = String, Path, description = "The case's whole id")), responses(
    (status = 200, description = "The case, as this account may see it", body = CaseView),
    (status = 401, description = "No token that holds", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such case, or none that this account may see", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(site): State<Arc<Site>>,
    Caller(caller): Caller,
    WithRejection(Path(id), _): WithRejection<Path<String>, Problem>,
) -> Called<Answer<CaseView>> {
    let counter = counter(&site).map_err(refused)?;
    let found = find(counter, &caller, &id).await.map_err(refused)?;
    Ok(Answer(view(counter, &caller, &found).await?))
}

/// Say something in a case
///
/// It answers what this vendor was asked, if it was asked something; else it is a note. A customer's words go to the other
/// vendor only if its consent covers the problem; until then they stay at this desk.
#[utoipa::path(post, path = "/cases/{id}/replies", tag = "Cases", security(("token" = [])),
    params(("id" = String, Path, description = "The case's whole id"),
        ("idempotency-key" = String, Header, description = "New for each reply, the same when a call is sent again")),
    request_body = Reply, responses(
    (status = 200, description = "The case with it", body = CaseView),
    (status = 400, description = "No idempotency key", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token that holds", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The account's role does not do this", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such case, or none that this account may see", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Not possible now", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Something in it is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn reply(
    State(site): State<Arc<Site>>,
    Caller(caller): Caller,
    WithRejection(Path(id), _): WithRejection<Path<String>, Problem>,
    key: Key,
    body: Json<Reply>,
) -> Called<Answer<CaseView>> {
    let counter = counter(&site).map_err(refused)?;
    let Json(Reply { text, to }) = body;
    let role = caller.account.role;
    let customer = role == Role::Customer;
    caller.must(role.works() || customer && to != Readers::Internal).map_err(refused)?;
    let found = find(counter, &caller, &id).await.map_err(refused)?;
    let Found::Case(thread) = &found else {
        let words = "The case is a draft. Offer it to the other vendor first.";
        return Err(Problem::new(StatusCode::CONFLICT, words).into());
    };
    let (id, case, us) = (thread.id().clone(), thread.case(), thread.us());
    let once = key.once(&caller, &format!("{id} {to:?} {text}"));
    let words =
        |text: &str| text.parse::<Text>().map_err(|error| unfit(format!("the text: {error}.")));
    let text = words(&text)?;
    let deed = match to {
        Readers::Internal => None,
        _ if customer && customers(DeedKind::Answered, case, us) => {
            Some(Deed::Answered { text: text.clone() })
        }
        _ if customer || to == Readers::Customer => {
            Some(Deed::Noted { visibility: Visibility::Customer, text: text.clone() })
        }
        _ => Some(as_reply(case, us, text.clone())),
    };
    let held = customer && !case.not_allowed(&[Shareable::Problem]).is_empty();
    let office = &counter.office;
    match deed.filter(|_| !held) {
        Some(deed) => {
            let kind = deed.kind();
            let event = Event { at: now(), by: us, person: caller.person(case), deed };
            let party = office.party();
            let posted = office.store.post_once(&id, event, &party.record, Some(&once));
            posted.await.map_err(store)?;
            office.ring();
            audit(counter, &caller, kind.word(), &id).await?;
        }
        None => {
            let text = if customer { words(&format!("From the customer: {text}"))? } else { text };
            let aside = Aside { at: now(), person: Some(caller.account.name.clone()), text };
            let kept = office.store.add_aside_once(&id, &aside, Some(&once)).await;
            kept.map_err(store)?;
            audit(counter, &caller, "internal note", &id).await?;
        }
    }
    let found = find(counter, &caller, id.as_str()).await.map_err(refused)?;
    Ok(Answer(view(counter, &caller, &found).await?))
}
