//! Calls to another desk: signed, bounded in size and time, and without following anybody elsewhere.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use hospitium_desk::{DeskAddress, Office, PartyName};
use hospitium_model::printable;
use jiff::Timestamp;
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

use crate::proof::{Request, prove};

/// How long one request may take, its answer included.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// The most characters of an answer that are shown.
const SHOWN: usize = 300;

/// Why another desk was not reached, or did not do what was asked. It is asked again later.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("the desk at {url} does not answer: {why}")]
    Silent {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// Not believed.
    #[error("the desk at {url} does not take the request as ours: {why}")]
    NotBelieved {
        /// The address.
        url: String,
        /// What it says.
        why: String,
    },
    /// Another answer than those that are known.
    #[error("the desk at {url} answers with status {status}: {why}")]
    Status {
        /// The address.
        url: String,
        /// HTTP.
        status: u16,
        /// What it says.
        why: String,
    },
    /// No answer of a desk.
    #[error("what answers at {url} is no desk: {why}")]
    Garbage {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    url: String,
    /// HTTP.
    pub status: u16,
    headers: ureq::http::HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What it says, for a person.
    pub fn words(&self) -> String {
        printable(String::from_utf8_lossy(&self.bytes).trim(), SHOWN)
    }

    /// The error that it is.
    pub fn failed(&self) -> CallError {
        let (url, why) = (self.url.clone(), self.words());
        match self.status {
            401 | 403 => CallError::NotBelieved { url, why },
            status => CallError::Status { url, status, why },
        }
    }

    /// The error where it cannot be read.
    pub fn garbage(&self, why: &str) -> CallError {
        CallError::Garbage { url: self.url.clone(), why: printable(why, SHOWN) }
    }
}

/// How all requests are made: within this time, nowhere else than where they were sent.
pub fn settings(patience: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(patience))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("hospitium/", env!("CARGO_PKG_VERSION")))
}

/// What calls one other desk.
#[derive(Debug, Clone)]
pub struct Caller {
    office: Arc<Office>,
    to: PartyName,
    url: String,
    agent: Agent,
}

impl Caller {
    /// Calls the desk of this party at this address.
    pub fn new(office: Arc<Office>, to: PartyName, address: &DeskAddress) -> Self {
        let agent = settings(PATIENCE).timeout_connect(Some(CONNECT)).build().into();
        Self { office, to, url: address.url().to_owned(), agent }
    }

    /// Asks for something of at most so many bytes.
    pub async fn get(&self, path: &str, most: u64) -> Result<Answer, CallError> {
        self.call("GET", path, Vec::new(), most).await
    }

    /// Brings something; the answer has at most so many bytes.
    pub async fn post(&self, path: &str, body: Vec<u8>, most: u64) -> Result<Answer, CallError> {
        self.call("POST", path, body, most).await
    }

    /// Brings a piece of an attachment.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Result<Answer, CallError> {
        self.call("PUT", path, body, 128 << 10).await
    }

    async fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Vec<u8>,
        most: u64,
    ) -> Result<Answer, CallError> {
        let (caller, path) = (self.clone(), path.to_owned());
        let called =
            tokio::task::spawn_blocking(move || caller.blocking(method, &path, &body, most));
        called.await.unwrap_or_else(|_| Err(self.silent("calling it broke off; this is a bug")))
    }

    fn silent(&self, why: &str) -> CallError {
        CallError::Silent { url: printable(&self.url, 200), why: printable(why, SHOWN) }
    }

    fn blocking(
        &self,
        method: &'static str,
        path: &str,
        body: &[u8],
        most: u64,
    ) -> Result<Answer, CallError> {
        let (party, us) = (self.office.party(), &self.office.us);
        let request = Request { method, path, body };
        let proof = prove(&party.record, us, &self.to, Timestamp::now(), request)
            .map_err(|error| self.silent(&error.to_string()))?;
        let url = format!("{}{path}", self.url);
        let answer = match method {
            "GET" => self.agent.get(&url).header("authorization", &proof).call(),
            "PUT" => self.agent.put(&url).header("authorization", &proof).send(body),
            _ => {
                let post = self.agent.post(&url).header("content-type", "application/json");
                post.header("authorization", &proof).send(body)
            }
        };
        let mut answer = answer.map_err(|error| self.silent(&error.to_string()))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().take(most.saturating_add(1));
        { read }.read_to_end(&mut bytes).map_err(|error| self.silent(&error.to_string()))?;
        let url = printable(&self.url, 200);
        if bytes.len() as u64 > most {
            let why = format!("its answer has more than {most} bytes");
            return Err(CallError::Garbage { url, why });
        }
        Ok(Answer { url, status, headers, bytes })
    }
}
