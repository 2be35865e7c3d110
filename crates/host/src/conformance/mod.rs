//! What every driver promises, tried on machines that boot nothing.
//!
//! A driver's tests call [`all`] with a host of theirs and an empty folder, assert that nothing is
//! [broken](Outcome::Broken), and say which refusals they expect. The machines have firmware only, so they are
//! there in a second under emulation; what needs a guest that answers is the suite's.

mod cloning;
mod core;
mod devices;
mod tpm;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_model::{Boot, ByteSize, Inability, MachineSpec};

use crate::host::Host;
use crate::machine::{Machine, PowerVerb, WorkDir};
use crate::{HostError, MachineState};

pub use self::cloning::{moving, saving};
pub use self::core::core;
pub use self::devices::{display, dump, hotplug, inject, media};
pub use self::tpm::tpm;

/// Nothing here takes longer, on a busy computer without hardware virtualization.
const LIMIT: Duration = Duration::from_secs(60);

/// A promise and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The promise.
    pub what: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was kept.
    Held,
    /// The host does not make it, and says why.
    Refused(Inability),
    /// It was made and not kept.
    Broken(String),
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Held => write!(f, "{}: held", self.what),
            Outcome::Refused(why) => write!(f, "{}: refused, {why}", self.what),
            Outcome::Broken(why) => write!(f, "{}: broken, {why}", self.what),
        }
    }
}

/// All promises, one facet after the other.
pub async fn all(host: &dyn Host, folder: &Path) -> Vec<Promise> {
    let lab = &Lab { host, folder: folder.to_owned() };
    let mut promises = core(lab).await;
    promises.extend(media(lab).await);
    promises.extend(display(lab).await);
    promises.extend(inject(lab).await);
    promises.extend(hotplug(lab).await);
    promises.extend(dump(lab).await);
    promises.extend(saving(lab).await);
    promises.extend(moving(lab).await);
    promises.extend(tpm(lab).await);
    promises
}

/// A host and a folder for its machines.
pub struct Lab<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The folder.
    pub folder: PathBuf,
}

impl Lab<'_> {
    /// A machine that boots nothing.
    pub fn spec(&self) -> MachineSpec {
        let mut spec = MachineSpec::new(ByteSize::mib(64), Boot::Nothing);
        spec.cpus.cores = 1;
        spec
    }

    /// A folder for a machine.
    fn dir(&self, name: &str) -> Result<WorkDir, HostError> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)
            .map_err(HostError::io(format!("making {}", folder.display())))?;
        Ok(WorkDir { name: name.to_owned(), folder })
    }

    async fn defined(&self, name: &str, spec: &MachineSpec) -> Result<Box<dyn Machine>, HostError> {
        self.host.define(spec, &self.dir(name)?).await
    }

    /// A machine that is switched on.
    async fn running(&self, name: &str, spec: &MachineSpec) -> Result<Box<dyn Machine>, HostError> {
        let machine = self.defined(name, spec).await?;
        machine.power(PowerVerb::On).await?;
        Ok(machine)
    }
}

/// Keeps what became of promises.
#[derive(Default)]
struct Record(Vec<Promise>);

impl Record {
    /// `held` says whether the promise was kept, or why it was not, or that it is not made.
    fn note(&mut self, what: &'static str, held: Result<bool, HostError>) {
        let outcome = match held {
            Ok(true) => Outcome::Held,
            Ok(false) => Outcome::Broken("it was seen not to be so".into()),
            Err(HostError::Unable(why)) => Outcome::Refused(why),
            Err(HostError::Unsupported { what, why }) => {
                Outcome::Refused(Inability::of_host(format!("{what}: {why}")))
            }
            Err(error) => Outcome::Broken(error.to_string()),
        };
        self.0.push(Promise { what, outcome });
    }

    /// The value, or the promise noted as not kept.
    fn got<T>(&mut self, what: &'static str, value: Result<T, HostError>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(what, Err(error));
                None
            }
        }
    }
}

/// The machine's state, as the host sees it.
async fn state(machine: &dyn Machine) -> Result<MachineState, HostError> {
    Ok(machine.look().await?.state?.value)
}

/// Whether a call is refused as one that makes no sense, and neither done nor the end of the machine.
fn refused<T>(done: Result<T, HostError>) -> Result<bool, HostError> {
    match done {
        Ok(_) => Ok(false),
        Err(HostError::Refused { .. } | HostError::Spec(_) | HostError::Unsupported { .. }) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
