//! Requests to others: bounded in size and in time, and without following anybody elsewhere.

use std::io::Read as _;
use std::time::Duration;

use hospitium_ledger::{Source, SourceError};
use hospitium_model::printable;
use ureq::Agent;

/// How long one request may take, its answer included: a full bundle of 16 MiB at 300 KiB/s.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What makes requests. Redirections are answers like any other: an address is what a person wrote down.
pub fn agent(patience: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(patience))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("hospitium/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// At most `limit` bytes of an answer's body; nothing if it has more.
pub fn body(
    mut answer: ureq::http::Response<ureq::Body>,
    limit: u64,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// A log published at an address.
#[derive(Debug)]
pub struct HttpSource {
    agent: Agent,
    base: String,
}

impl HttpSource {
    /// The log at this address (`https://vendor.example/log`); nothing is asked yet.
    pub fn new(base: &str) -> Self {
        Self { agent: agent(PATIENCE), base: base.trim_end_matches('/').to_owned() }
    }
}

impl Source for HttpSource {
    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let address = format!("{}/{path}", self.base);
        let failed = |why: String| SourceError {
            what: printable(&address, 300),
            source: printable(&why, 300).into(),
        };
        let answer = self.agent.get(&address).call().map_err(|e| failed(e.to_string()))?;
        match answer.status().as_u16() {
            200 => {}
            // 410: what was there and is not kept any more.
            404 | 410 => return Ok(None),
            other => return Err(failed(format!("the server answers with status {other}"))),
        }
        let bytes = body(answer, limit).map_err(|e| failed(e.to_string()))?;
        bytes.map(Some).ok_or_else(|| failed(format!("it has more than {limit} bytes")))
    }
}
