//! What two parties' programs say to each other about their logs, over HTTP: static tiles (c2sp.org/tlog-tiles) and
//! cosignatures (c2sp.org/tlog-witness). Whatever comes is judged in `hospitium-ledger`; here is only the way.
//!
//! In comes the address of a log or a witness; out come the log's files, bounded in size and time, or a cosignature.
//! The other way round, a log's folder and a witness's key in; routes for a server out.

mod ask;
mod http;
mod party;
mod publish;
mod witness;

pub use ask::{AskError, Asked, ask, ask_all};
pub use http::{HttpSource, PATIENCE};
pub use publish::{PublishError, Publisher, routes as log_routes};
pub use witness::{WitnessService, routes as witness_routes};

use std::path::PathBuf;
use std::sync::Arc;

pub use axum::Router;

/// What a party's server answers to others: its keys under `/party.toml`, its log under `/log/`, its witness under
/// `/witness/`.
pub fn routes(
    party: Option<PathBuf>,
    log: Option<Arc<Publisher>>,
    witness: Option<Arc<WitnessService>>,
) -> Router {
    let mut router = Router::new();
    if let Some(file) = party {
        router = router.merge(party::routes(file));
    }
    if let Some(log) = log {
        router = router.nest("/log", log_routes(log));
    }
    if let Some(witness) = witness {
        router = router.nest("/witness", witness_routes(witness));
    }
    router
}
