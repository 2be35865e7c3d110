//! Asking witnesses for cosignatures (c2sp.org/tlog-witness, "add-checkpoint").

use std::time::Duration;

use hospitium_ledger::{AddCheckpoint, Checkpoint, LogError, LogFolder, Policy};
use hospitium_model::printable;
use ureq::Agent;

use crate::http::{agent, body};

/// The most bytes of an answer: some signature lines.
const LIMIT: u64 = 16 << 10;

/// What a witness of a policy answered.
#[derive(Debug)]
pub struct Asked {
    /// The name of its key.
    pub witness: String,
    /// Signature lines, unverified, or why there are none.
    pub lines: Result<Vec<String>, AskError>,
}

/// Why a witness gave no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// 404.
    #[error(
        "the witness does not watch this log; its keeper has to add the log's key to its policy"
    )]
    NotWatched,
    /// 403.
    #[error("the witness knows another key for this log")]
    OtherKey,
    /// 409 with a size beyond ours.
    #[error(
        "the witness has cosigned a head of {seen} entries, and this log has {found}: it is an older copy, or another wrote \
         to it"
    )]
    Ahead {
        /// Entries that it has seen.
        seen: u64,
        /// Entries of the head that it was asked for.
        found: u64,
    },
    /// 422.
    #[error("the witness says that this head does not continue the one that it cosigned: {0}")]
    Contradicts(String),
    /// Another answer.
    #[error("the witness answers with status {status}: {text}")]
    Status {
        /// HTTP.
        status: u16,
        /// What it says.
        text: String,
    },
    /// The log's own files.
    #[error("the proof for the witness cannot be made")]
    Log(#[from] LogError),
}

/// Asks every witness of the policy that has an address, side by side, and waits no longer than `within`.
pub fn ask_all(
    folder: &LogFolder,
    checkpoint: &Checkpoint,
    policy: &Policy,
    within: Duration,
) -> Vec<Asked> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = policy
            .witnesses
            .iter()
            .filter_map(|witness| Some((witness.key.name().to_owned(), witness.url.as_deref()?)))
            .map(|(witness, url)| {
                let asking = scope.spawn(move || ask(url, folder, checkpoint, within));
                (witness, url, asking)
            })
            .collect();
        asked
            .into_iter()
            .map(|(witness, url, asking)| {
                let broken = |_| AskError::Silent {
                    url: printable(url, 300),
                    why: "asking it broke off; this is a bug".to_owned(),
                };
                Asked { witness, lines: asking.join().map_err(broken).and_then(|lines| lines) }
            })
            .collect()
    })
}

/// Asks the witness at this address to cosign a log's head, in one or two requests. The signature lines are unverified.
///
/// # Errors
/// If it does not answer in time, or with anything but signature lines.
pub fn ask(
    url: &str,
    folder: &LogFolder,
    checkpoint: &Checkpoint,
    within: Duration,
) -> Result<Vec<String>, AskError> {
    let agent = agent(within);
    let found = checkpoint.head().size;
    let mut old = 0;
    // What it has seen is known to it alone: the first request asks, the second brings the proof.
    for _ in 0..2 {
        let proof = match old {
            0 => Vec::new(),
            old => folder.tree(checkpoint.head()).consistency(old)?,
        };
        let request = AddCheckpoint::encode(old, &proof, checkpoint);
        let (status, text) = post(&agent, url, &request)?;
        match status {
            200 => return Ok(text.split_inclusive('\n').map(str::to_owned).collect()),
            403 => return Err(AskError::OtherKey),
            404 => return Err(AskError::NotWatched),
            422 => return Err(AskError::Contradicts(printable(text.trim(), 300))),
            409 => match text.trim_end().parse::<u64>() {
                Ok(seen) if seen > found => return Err(AskError::Ahead { seen, found }),
                Ok(seen) if seen != old => old = seen,
                _ => return Err(AskError::Status { status, text: printable(text.trim(), 300) }),
            },
            status => return Err(AskError::Status { status, text: printable(text.trim(), 300) }),
        }
    }
    let text = "it cosigned another head meanwhile; ask again".to_owned();
    Err(AskError::Status { status: 409, text })
}

fn post(agent: &Agent, url: &str, request: &[u8]) -> Result<(u16, String), AskError> {
    let address = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let silent =
        |why: String| AskError::Silent { url: printable(&address, 300), why: printable(&why, 300) };
    let answer = agent.post(&address).send(request).map_err(|e| silent(e.to_string()))?;
    let status = answer.status().as_u16();
    let bytes = body(answer, LIMIT).map_err(|e| silent(e.to_string()))?;
    let bytes = bytes.ok_or_else(|| silent(format!("its answer has more than {LIMIT} bytes")))?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}
