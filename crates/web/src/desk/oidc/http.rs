//! Calls to a provider: bounded in size and time, over TLS or on this computer, and without following anybody elsewhere.

use std::future::Future;
use std::io::Read as _;
use std::pin::Pin;
use std::time::Duration;

use hospitium_desk::sign_in::is_endpoint;
use hospitium_model::printable;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use ureq::Agent;
use ureq::http::{Method, Request, Response};

/// The most bytes of an answer. A provider with many keys has some tens of KiB.
const LIMIT: u64 = 256 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Not to be called.
    #[error("{0} is called over https://, or on this computer only")]
    Address(String),
    /// No answer, or one that breaks off.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Which.
        url: String,
        /// Why.
        why: String,
    },
    /// Too much of an answer.
    #[error("{0} answers with more than {LIMIT} bytes")]
    Long(String),
}

/// What calls a provider.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// One that waits so long for a whole answer.
    pub fn new(patience: Duration) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(patience))
            // A redirection would carry the code, the secret or a question to whom nobody wrote down.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("hospitium/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: agent.into() }
    }
}

fn send(agent: &Agent, request: HttpRequest) -> Result<HttpResponse, CallError> {
    let address = request.uri().to_string();
    let url = printable(&address, 200);
    if !is_endpoint(&address) {
        return Err(CallError::Address(url));
    }
    let silent = |why: String| CallError::Silent { url: url.clone(), why: printable(&why, 200) };
    let answer = match request.method() == Method::GET {
        true => agent.run(Request::from_parts(request.into_parts().0, ())),
        false => agent.run(request),
    };
    let (head, mut body) = answer.map_err(|error| silent(error.to_string()))?.into_parts();
    let mut bytes = Vec::new();
    let read = body.as_reader().take(LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|error| silent(error.to_string()))?;
    match bytes.len() as u64 > LIMIT {
        true => Err(CallError::Long(url)),
        false => Ok(Response::from_parts(head, bytes)),
    }
}

impl<'c> AsyncHttpClient<'c> for Client {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let agent = self.agent.clone();
        Box::pin(async move {
            let url = printable(&request.uri().to_string(), 200);
            let sent = tokio::task::spawn_blocking(move || send(&agent, request)).await;
            sent.unwrap_or_else(|error| Err(CallError::Silent { url, why: error.to_string() }))
        })
    }
}
