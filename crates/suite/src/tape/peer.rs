//! The other end of a network cable, whose answers pass a tape if there is one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hospitium_host::{Facet, Wires};
use hospitium_peer::{Peer, PeerError, PeerOptions, PeerStats, Service, Source, Transfer};
use hospitium_system::tap::Misfit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Tape;
use crate::CheckError;

/// Why the other end did not answer.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CableError {
    /// What was waited for did not come.
    #[error("{0}")]
    TimedOut(String),
    /// The peer, a part of the harness, failed.
    #[error("{0}")]
    Broken(String),
}

impl From<PeerError> for CableError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::TimedOut { .. } => Self::TimedOut(error.to_string()),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<Misfit> for CableError {
    fn from(misfit: Misfit) -> Self {
        Self::Broken(misfit.to_string())
    }
}

impl From<CableError> for CheckError {
    /// The peer is part of the harness: what fails there says nothing about the pair.
    fn from(error: CableError) -> Self {
        Self::Peer(error.to_string())
    }
}

/// The other end of a network cable.
pub struct Cable {
    peer: Option<Peer>,
    tape: Option<(Arc<Tape>, u32)>,
    nic: String,
}

impl Cable {
    /// Plugs a peer into the interface of this id.
    ///
    /// # Errors
    /// The machine has no cables, or the peer does not start.
    pub(crate) async fn plug(
        wires: Facet<'_, dyn Wires>,
        nic: &str,
        options: PeerOptions,
        tape: Option<(Arc<Tape>, u32)>,
    ) -> Result<Self, CheckError> {
        let plays = tape.as_ref().is_some_and(|(tape, _)| tape.player().is_some());
        let frames = wires?.frames(nic).await?;
        let peer = match plays {
            true => None,
            false => Some(Peer::start(frames, options).map_err(CableError::from)?),
        };
        Ok(Self { peer, tape, nic: nic.to_owned() })
    }

    /// Plugs it into the interface of the machine that this one goes on as.
    pub(crate) async fn replug(&self, wires: Facet<'_, dyn Wires>) -> Result<(), CheckError> {
        let frames = wires?.frames(&self.nic).await?;
        if let Some(peer) = &self.peer {
            peer.replug(frames).await.map_err(CableError::from)?;
        }
        Ok(())
    }

    fn peer(&self) -> Result<&Peer, CableError> {
        self.peer.as_ref().ok_or_else(|| {
            CableError::Broken("there is no peer, and the transcript does not answer this".into())
        })
    }

    fn arguments(&self, more: Value) -> Value {
        let mut all = json!({ "nic": self.nic });
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
        all
    }

    async fn ask<T>(
        &self,
        name: &'static str,
        arguments: Value,
        inner: impl Future<Output = Result<T, CableError>> + Send,
    ) -> Result<T, CableError>
    where
        T: Serialize + serde::de::DeserializeOwned + Send,
    {
        match &self.tape {
            Some((tape, number)) => tape.ask(*number, name, self.arguments(arguments), inner).await,
            None => inner.await,
        }
    }

    /// What was seen so far, all that is under way included.
    ///
    /// # Errors
    /// The peer failed; so for all of these.
    pub async fn stats(&self) -> Result<PeerStats, CableError> {
        let inner = async {
            self.peer()?.settle().await?;
            Ok(self.peer()?.stats())
        };
        self.ask("stats", json!({}), inner).await
    }

    /// All connections so far, in the order in which they were made.
    pub async fn transfers(&self) -> Result<Vec<Transfer>, CableError> {
        self.ask("transfers", json!({}), async { Ok(self.peer()?.transfers()) }).await
    }

    /// What the source port sends on connections made from now on.
    pub async fn set_source(&self, source: Source) -> Result<(), CableError> {
        let arguments = json!({ "pattern": source.pattern, "length": source.length });
        let inner = async { Ok(self.peer()?.set_source(source).await?) };
        self.ask("set_source", arguments, inner).await
    }

    /// Asks the guest for an ICMP echo of so many bytes; the time that it took.
    pub async fn ping(
        &self,
        guest: Ipv4Addr,
        length: usize,
        limit: Duration,
    ) -> Result<Duration, CableError> {
        let inner = async { Ok(self.peer()?.ping(guest, length, limit).await?) };
        self.ask("ping", json!({ "guest": guest, "length": length }), inner).await
    }

    /// Waits for the end of the first connection to a service.
    pub async fn transfer_done(
        &self,
        service: Service,
        limit: Duration,
    ) -> Result<Transfer, CableError> {
        let inner = async { Ok(self.peer()?.transfer_done(service, 0, limit).await?.1) };
        self.ask("transfer_done", json!({ "service": service }), inner).await
    }
}
