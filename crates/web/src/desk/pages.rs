//! What is done by a form, besides opening a case and files.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use hospitium_desk::{
    Aside, Case, CaseId, Deed, DeedKind, Event, Role, Shareable, Side, Text, Visibility,
};
use jiff::Timestamp;

use super::Counter;
use super::case::{Found, find};
use super::fields::{Fields, word};
use super::forms::{customers, deed, has_form};
use super::session::{Signed, counter};
use super::shell::{failed, refuse_with, store};
use crate::site::Site;

type Answered = Result<Response, Response>;

/// Now, to the second: what stands in a case is read by people.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The address of a case's page.
pub fn href(id: &CaseId) -> String {
    format!("/desk/cases/{id}")
}

/// Back to a case's page.
pub fn back(id: &CaseId) -> Response {
    Redirect::to(&href(id)).into_response()
}

/// What a person filled in wrongly.
pub fn wrong(id: &CaseId, why: &str) -> Response {
    refuse_with(StatusCode::UNPROCESSABLE_ENTITY, why, &href(id))
}

/// Notes who did what to a case.
pub async fn audit(
    counter: &Counter,
    signed: &Signed,
    what: &str,
    id: &CaseId,
) -> Result<(), Response> {
    let noted = counter.office.store.audit(
        Timestamp::now(),
        signed.account.login.as_str(),
        what,
        id.as_str(),
    );
    noted.await.map_err(|error| failed(&error))
}

/// A case that was offered; a draft is not worked on.
async fn offered(
    counter: &Counter,
    signed: &Signed,
    id: &str,
) -> Result<(CaseId, Case, Side), Response> {
    match find(counter, signed, id).await? {
        Found::Case(thread) => Ok((thread.id().clone(), thread.case().clone(), thread.us())),
        Found::Draft(draft, _) => Err(wrong(
            &draft.opening.id,
            "The case is a draft. Offer it to the other vendor first.",
        )),
    }
}

/// `POST /desk/cases/ID/do`.
pub async fn act(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
    Form(given): Form<Vec<(String, String)>>,
) -> Answered {
    let counter = counter(&site)?;
    let given = Fields::new(given);
    let once = signed.form(&given)?;
    let role = signed.account.role;
    signed.must(role.works() || role == Role::Customer)?;
    let (id, case, us) = offered(counter, &signed, &id).await?;
    let kind: DeedKind = given
        .get("deed")
        .and_then(word)
        .filter(|kind| has_form(*kind))
        .ok_or_else(|| wrong(&id, "There is no such form."))?;
    signed.must(role != Role::Customer || customers(kind, &case, us))?;
    let at = now();
    let deed =
        deed(kind, &given, &case, us, &signed.account, at).map_err(|why| wrong(&id, &why))?;
    let office = &counter.office;
    // What the customer says goes to the other vendor only if it allows that; till then it stays here.
    if let (Role::Customer, Deed::Noted { text, visibility: Visibility::Customer }) = (role, &deed)
        && !case.not_allowed(&[Shareable::Problem]).is_empty()
    {
        let text: Text = format!("From the customer: {text}")
            .parse()
            .map_err(|error| wrong(&id, &format!("Your words: {error}.")))?;
        let person = Some(signed.account.name.clone());
        let aside = Aside { at, person, text };
        let kept = office.store.add_aside_once(&id, &aside, Some(&once)).await;
        kept.map_err(|error| store(error, &href(&id)))?;
        audit(counter, &signed, "wrote; kept here for want of consent", &id).await?;
        return Ok(back(&id));
    }
    let event = Event { at, by: us, person: signed.person(&case), deed };
    let party = office.party();
    let posted = office.store.post_once(&id, event, &party.record, Some(&once)).await;
    posted.map_err(|error| store(error, &href(&id)))?;
    office.ring();
    audit(counter, &signed, kind.word(), &id).await?;
    Ok(back(&id))
}

/// `POST /desk/cases/ID/note`: an internal note.
pub async fn note(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
    Form(given): Form<Vec<(String, String)>>,
) -> Answered {
    let counter = counter(&site)?;
    let given = Fields::new(given);
    let once = signed.form(&given)?;
    signed.must(signed.account.role.works())?;
    let (id, ..) = offered(counter, &signed, &id).await?;
    let text = given.must("text", "The note").map_err(|why| wrong(&id, &why))?;
    let aside = Aside { at: now(), person: Some(signed.account.name.clone()), text };
    let kept = counter.office.store.add_aside_once(&id, &aside, Some(&once)).await;
    kept.map_err(|error| store(error, &href(&id)))?;
    audit(counter, &signed, "internal note", &id).await?;
    Ok(back(&id))
}

/// `POST /desk/cases/ID/offer`: a draft goes to the other vendor, in the name of the engineer who offers it.
pub async fn offer(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
    Form(given): Form<Vec<(String, String)>>,
) -> Answered {
    let counter = counter(&site)?;
    let given = Fields::new(given);
    signed.form(&given)?;
    signed.must(signed.account.role.works())?;
    let mut draft = match find(counter, &signed, &id).await? {
        Found::Draft(draft, _) => draft,
        // Sent twice.
        Found::Case(thread) => return Ok(back(thread.id())),
    };
    let id = draft.opening.id.clone();
    let read = || {
        Ok::<_, String>((
            given.must("number", "Our case number")?,
            given.must("engineer", "Engineer")?,
        ))
    };
    let (number, engineer) = read().map_err(|why| wrong(&id, &why))?;
    (draft.opening.number, draft.opening.engineer) = (number, engineer);
    let office = &counter.office;
    let person = Some(signed.account.name.clone());
    let done = office.store.offer(&draft, now(), person, &office.party().record).await;
    match done {
        Ok(_) | Err(hospitium_desk::store::StoreError::Taken(_)) => {}
        Err(error) => return Err(store(error, &href(&id))),
    }
    office.ring();
    audit(counter, &signed, "offered", &id).await?;
    Ok(back(&id))
}

/// `POST /desk/cases/ID/discard`: a draft is thrown away.
pub async fn discard(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
    Form(given): Form<Vec<(String, String)>>,
) -> Answered {
    let counter = counter(&site)?;
    signed.form(&Fields::new(given))?;
    signed.must(signed.account.role.works())?;
    let Found::Draft(draft, _) = find(counter, &signed, &id).await? else {
        let id = id.parse().map_err(|_| super::shell::absent())?;
        return Err(wrong(&id, "Only a draft can be thrown away."));
    };
    let id = draft.opening.id.clone();
    let dropped = counter.office.store.drop_draft(&id).await;
    dropped.map_err(|error| store(error, "/desk"))?;
    audit(counter, &signed, "threw a draft away", &id).await?;
    Ok(Redirect::to("/desk").into_response())
}
