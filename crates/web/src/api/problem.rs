//! Errors of the API, as RFC 9457 has them.

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hospitium_catalog::CatalogError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Refused, SiteError};

/// Why a request is not answered as asked: `application/problem+json` (RFC 9457, section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
}

impl Problem {
    /// A problem with this status. `detail` may quote the request: it is made fit for a terminal.
    pub fn new(status: StatusCode, detail: impl AsRef<str>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: hospitium_model::printable(detail.as_ref(), 600),
        }
    }

    /// The request cannot be understood.
    pub fn bad(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        refused.log();
        Self::new(refused.status(), refused.words())
    }
}

impl From<SiteError> for Problem {
    fn from(error: SiteError) -> Self {
        Refused::Inside(error).into()
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            // What the question itself is wrong in, is told.
            CatalogError::Question(error) => Self::bad(error.to_string()),
            error => SiteError::from(error).into(),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
