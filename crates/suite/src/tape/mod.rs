//! Checks without a machine: what a check asks, of whom, and what it is told, recorded once and played back.
//!
//! All that a check learns comes through few doors: the guest's [`System`](hospitium_system::System), the seam to the
//! hypervisor, the other end of the network cable, the console, and files that it measures. A [`Tape`] stands in each of
//! them. As it records, it lets every question through and writes down the answer ([`Transcript`]); as it plays, it answers
//! by itself, on tokio's paused clock, so that a minute of waiting takes no time.
//!
//! Layers, from the ground up: `transcript` (data) · `record`, `play` (one tap each) · `console`, `host`, `machine`,
//! `peer` (the doors) · this file.

mod console;
mod host;
mod machine;
mod peer;
mod play;
mod record;
mod transcript;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hospitium_host::{Host, HostError, Machine, WorkDir};
use hospitium_model::MachineSpec;
use hospitium_system::Session;
use hospitium_system::tap::{Altered, Misfit, Tap, Taps};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use self::host::TappedHost;
pub(crate) use self::machine::TappedMachine;
pub use self::peer::{Cable, CableError};
pub(crate) use self::play::Player;
#[cfg(feature = "transcripts")]
pub(crate) use self::play::{Indexed, LATE, Otherwise};
pub(crate) use self::record::Recorder;
pub use self::transcript::{
    Entry, FORMAT, Heard, MachineTape, Pair, Reply, Told, Transcript, Transcripts,
};
use crate::{CheckError, Fault, Lab};

/// The number of the host among the machines that are asked.
pub(crate) const HOST: u32 = 0;

/// Stands between a check and all that it asks.
pub struct Tape {
    taps: Arc<Taps>,
    mode: Mode,
    /// Names of the machines, in the order in which they were made. The first is the host.
    names: Mutex<Vec<String>>,
}

enum Mode {
    Record { host: Arc<dyn Host>, recorder: Arc<Recorder> },
    Play { pair: Arc<Pair>, player: Arc<Player> },
}

impl Tape {
    /// Records what is asked of this host and its machines.
    pub(crate) fn recording(host: Arc<dyn Host>, recorder: Arc<Recorder>) -> Arc<Self> {
        let taps = Taps::new([recorder.clone() as Arc<dyn Tap>]);
        Self::of(taps, Mode::Record { host, recorder })
    }

    /// Plays a transcript; answers are altered on their way if that is the fault.
    pub(crate) fn playing(pair: Arc<Pair>, player: Arc<Player>, fault: Option<Fault>) -> Arc<Self> {
        let mut taps = vec![player.clone() as Arc<dyn Tap>];
        if let Some(Fault::Guest(name, alter)) = fault {
            taps.push(Arc::new(Altered { name, alter }));
        }
        Self::of(Taps::new(taps), Mode::Play { pair, player })
    }

    fn of(taps: Arc<Taps>, mode: Mode) -> Arc<Self> {
        Arc::new(Self { taps, mode, names: Mutex::new(vec!["the host".into()]) })
    }

    /// The taps that questions pass.
    pub(crate) const fn taps(&self) -> &Arc<Taps> {
        &self.taps
    }

    /// What plays; none as it records.
    pub(crate) fn player(&self) -> Option<(&Arc<Pair>, &Arc<Player>)> {
        match &self.mode {
            Mode::Play { pair, player } => Some((pair, player)),
            Mode::Record { .. } => None,
        }
    }

    /// What records, and the host behind it.
    pub(crate) fn recorder(&self) -> Option<(&Arc<dyn Host>, &Arc<Recorder>)> {
        match &self.mode {
            Mode::Record { host, recorder } => Some((host, recorder)),
            Mode::Play { .. } => None,
        }
    }

    /// The number of the machine of this name.
    pub(crate) fn number(&self, name: &str) -> u32 {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Names of the machines by their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has a question pass.
    pub(crate) async fn ask<T, E>(
        &self,
        machine: u32,
        name: &'static str,
        arguments: Value,
        inner: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Serialize + DeserializeOwned + From<Misfit> + Send,
    {
        self.taps.pass(machine, name, arguments, inner).await
    }

    /// Has a question pass that takes no time.
    pub(crate) fn ask_now<T, E>(
        &self,
        machine: u32,
        name: &'static str,
        arguments: Value,
        inner: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned + From<Misfit>,
    {
        self.taps.pass_now(machine, name, arguments, inner)
    }
}

impl Tape {
    /// Boots the lab's guest on a further machine.
    pub(crate) async fn boot(
        self: &Arc<Self>,
        lab: &Lab,
        spec: &MachineSpec,
        dir: &WorkDir,
        limit: Duration,
    ) -> Result<(Box<dyn Machine>, Session), CheckError> {
        let (mut made, mut session) = (None, None);
        let inner = async {
            let (host, _) = self.recorder().ok_or_else(|| nobody("boot"))?;
            let booted = crate::boot(&**host, &**lab.guest(), spec, dir, limit, lab.sink()).await;
            let booted = booted.map_err(|error| HostError::Refused {
                doing: "booting another tenant".into(),
                why: error.to_string(),
            })?;
            (made, session) = (Some(booted.machine), Some(booted.session));
            Ok::<_, HostError>(())
        };
        let () = self.ask(HOST, "boot", json!({ "name": dir.name }), inner).await?;
        let machine = TappedMachine::boxed(made, self.clone(), &dir.name, spec.clone());
        let session = match session {
            Some(session) => session,
            None => Session::attach(machine.serial("probe").await?, None),
        };
        Ok((machine, session))
    }
}

/// There is no machine, and the transcript does not answer this.
pub(crate) fn nobody(question: &str) -> HostError {
    let why = "there is no machine, and the transcript does not answer this".into();
    Misfit { question: question.into(), why }.into()
}
