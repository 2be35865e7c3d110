//! What surrounds every page of the desk, and what is told to somebody who is refused.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use hospitium_desk::store::{StoreError, Token};

use super::session::Signed;

/// What surrounds a page.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The party whose desk it is.
    pub us: String,
    /// Who is signed in; nobody on the page to sign in.
    pub person: Option<Person>,
    /// Which page of the navigation it is.
    pub here: &'static str,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The role.
    pub role: &'static str,
    /// What forms carry.
    pub csrf: String,
    /// May open a case.
    pub opens: bool,
    /// May read who did what.
    pub audits: bool,
}

impl Shell {
    /// Around a page for somebody.
    pub fn new(us: &str, signed: &Signed, here: &'static str) -> Self {
        let role = signed.account.role;
        let person = Person {
            name: signed.account.name.to_string(),
            role: role.word(),
            csrf: signed.token.for_forms(),
            opens: role.works() || role == hospitium_desk::Role::Customer,
            audits: role.audits(),
        };
        Self { us: us.to_owned(), person: Some(person), here }
    }

    /// Around the page to sign in.
    pub fn nobody(us: &str) -> Self {
        Self { us: us.to_owned(), person: None, here: "" }
    }
}

/// What makes a form count once.
pub fn once() -> Result<String, Response> {
    Token::new().map(|token| token.as_str().to_owned()).map_err(|error| failed(&error))
}

/// A page.
pub fn page(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Template)]
#[template(path = "desk/refused.html")]
struct Refusal<'a> {
    shell: Shell,
    title: &'a str,
    words: &'a str,
    back: &'a str,
}

/// The page for a request that is refused.
pub fn refuse(status: StatusCode, words: &str) -> Response {
    refuse_with(status, words, "/desk")
}

/// The same, with where to go back to.
pub fn refuse_with(status: StatusCode, words: &str, back: &str) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "Something failed here",
        StatusCode::TOO_MANY_REQUESTS => "Too often",
        _ => "Not done",
    };
    let words = hospitium_report::words::visible(words, 1_000);
    let shell = Shell { us: String::new(), person: None, here: "" };
    (status, page(&Refusal { shell, title, words: &words, back })).into_response()
}

/// What failed here is told to the log only.
pub fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!("a page of the desk failed: {}", hospitium_model::chain(error));
    refuse(StatusCode::SERVICE_UNAVAILABLE, "Something failed here. The server's log says what.")
}

/// What the store refuses is told; what fails in it is not.
pub fn store(error: StoreError, back: &str) -> Response {
    match error {
        StoreError::Database { .. } | StoreError::Damaged { .. } | StoreError::Random(_) => {
            failed(&error)
        }
        StoreError::NoCase(_) => absent(),
        other => {
            refuse_with(StatusCode::CONFLICT, &crate::model::sentence(&other.to_string()), back)
        }
    }
}

/// No such case, or none that this person may see: the two look alike.
pub fn absent() -> Response {
    refuse(StatusCode::NOT_FOUND, "There is no such case at this desk.")
}
