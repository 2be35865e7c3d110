//! A guest that was recorded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_guest::{Guest, GuestError};
use hospitium_host::{HostError, Machine};
use hospitium_model::{Answer, GuestFacts, InputPin, MachineSpec};
use hospitium_system::{Console, Session, Trace};

use crate::tape::{Pair, nobody};

/// A guest that was recorded: what it is, and no more.
pub(crate) struct RecordedGuest(pub(crate) Arc<Pair>);

#[async_trait]
impl Guest for RecordedGuest {
    fn facts(&self) -> &GuestFacts {
        &self.0.guest
    }

    fn inputs(&self) -> Vec<InputPin> {
        Vec::new()
    }

    fn driver(&self, device: &str) -> Answer {
        let unknown =
            || Answer::No(format!("the transcript does not say whether it drives {device}"));
        self.0.drivers.get(device).cloned().unwrap_or_else(unknown)
    }

    fn prepare(&self, _folder: &Path, spec: MachineSpec) -> Result<MachineSpec, GuestError> {
        Ok(spec)
    }

    async fn enter(
        &self,
        _machine: &dyn Machine,
        _console: &Console,
        _trace: Option<Trace>,
        _limit: Duration,
    ) -> Result<Session, GuestError> {
        let none: HostError = nobody("entering the guest");
        Err(none.into())
    }
}
