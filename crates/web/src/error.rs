//! Why a site cannot be served, and what a request gets that cannot be answered.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hospitium_catalog::CatalogError;

/// Why a site cannot be made or served.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The catalog.
    #[error("the catalog cannot be read")]
    Catalog(#[from] CatalogError),
    /// Somebody listens there already.
    #[error(
        "another program listens on {address} already; end it, or name another place: \
         --listen 127.0.0.1:0 takes a free port"
    )]
    Taken {
        /// Where.
        address: String,
    },
    /// It cannot be listened there.
    #[error("it is not possible to listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A page that could not be made.
    #[error("the page cannot be made")]
    Template(#[from] askama::Error),
    /// A page of a static site that should be there.
    #[error("a page of the site cannot be made: {0}")]
    Page(String),
    /// A file of a static site.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a request is not answered as asked. The text is shown to the one who asks.
#[derive(Debug)]
pub enum Refused {
    /// There is no such page or thing.
    NotFound(String),
    /// The request cannot be understood.
    Bad(String),
    /// Something here failed; what, stands in the server's log only.
    Inside(SiteError),
}

impl Refused {
    /// The status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Inside(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is told to the one who asks.
    pub fn words(&self) -> String {
        match self {
            Self::NotFound(what) | Self::Bad(what) => hospitium_model::printable(what, 300),
            Self::Inside(_) => "Something failed here. The server's log says what.".to_owned(),
        }
    }

    /// Writes the cause of a failure here to the server's log.
    pub fn log(&self) {
        if let Self::Inside(error) = self {
            let causes: Vec<String> =
                std::iter::successors(std::error::Error::source(error), |error| error.source())
                    .map(ToString::to_string)
                    .collect();
            tracing::error!("{error}: {}", causes.join(": "));
        }
    }
}

impl<E: Into<SiteError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Inside(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.log();
        crate::pages::refusal(self.status(), &self.words())
    }
}
