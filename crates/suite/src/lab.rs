//! The lab of one cell: where every check gets a machine that no other has touched, a clone of the booted one where the
//! host can make clones.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hospitium_guest::Guest;
use hospitium_host::{
    Continuation, Defect, Generation, Host, HostError, Isolation, MemoryFrom, PowerVerb, WorkDir,
};
use hospitium_model::{Expectations, MachineSpec, OperatingSystem, Pattern, TimelineSource};
use hospitium_system::tap::TappedSystem;
use hospitium_system::{Console, LinuxSystem, LogPosition, Session, System, Trace};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::booted::boot;
use crate::cell::system_of;
use crate::tape::Tape;
use crate::{
    BootFacts, Booted, Cell, Check, CheckError, FacetKind, Fault, FaultyMachine, Gives, Need,
    Origin, Sink,
};

/// How a clone is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloneOptions {
    /// What becomes of its VM generation id.
    pub generation: Generation,
    /// Whether the harness gives its generator fresh entropy. A check of what protects clones that nobody gives any
    /// must not have it.
    pub fresh_entropy: bool,
}

impl Default for CloneOptions {
    fn default() -> Self {
        Self { generation: Generation::Fresh, fresh_entropy: true }
    }
}

/// How long a clone may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// What the machines of a cell's checks are made from, and all that the checks may look at.
pub struct Lab {
    host: Arc<dyn Host>,
    guest: Arc<dyn Guest>,
    declared: MachineSpec,
    origin: Origin,
    /// The one turn, where one machine at once goes on from a saved one.
    turn: Option<Arc<Semaphore>>,
    boot: BootFacts,
    folder: PathBuf,
    expectations: Expectations,
    seed: u64,
    sink: Sink,
    log_position: OnceLock<LogPosition>,
    gives: OnceLock<Gives>,
    tape: Option<Arc<Tape>>,
}

/// What a lab is made of.
pub struct LabParts {
    /// The host.
    pub host: Arc<dyn Host>,
    /// The guest.
    pub guest: Arc<dyn Guest>,
    /// The machine as declared, before boot media were put in.
    pub declared: MachineSpec,
    /// What a check's machine begins from.
    pub origin: Origin,
    /// How a check gets a machine that no other has touched.
    pub isolation: Isolation,
    /// What was seen while it booted.
    pub boot: BootFacts,
    /// For the files of machines.
    pub folder: PathBuf,
    /// What is right here.
    pub expectations: Expectations,
    /// Seed of all patterns.
    pub seed: u64,
    /// For the timeline.
    pub sink: Sink,
}

impl Lab {
    /// A lab from its parts.
    pub fn new(parts: LabParts) -> Self {
        let LabParts { host, guest, declared, origin, isolation, boot, folder, .. } = parts;
        let LabParts { expectations, seed, sink, .. } = parts;
        let turn = (isolation == Isolation::Revert).then(|| Arc::new(Semaphore::new(1)));
        Self {
            host,
            guest,
            declared,
            origin,
            turn,
            boot,
            folder,
            expectations,
            seed,
            sink,
            log_position: OnceLock::new(),
            gives: OnceLock::new(),
            tape: None,
        }
    }

    /// Seed of all patterns.
    #[cfg(feature = "transcripts")]
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// The same, what its checks ask passing this tape.
    #[cfg(feature = "transcripts")]
    pub(crate) fn with_tape(mut self, tape: Arc<Tape>) -> Self {
        self.tape = Some(tape);
        self
    }

    /// The tape that the checks' questions pass, if there is one.
    pub(crate) const fn tape(&self) -> Option<&Arc<Tape>> {
        self.tape.as_ref()
    }

    /// The system in the machine of this name, where its answers pass a tape.
    pub(crate) fn taped_system(&self, guest: &Session, machine: &str) -> Option<Arc<dyn System>> {
        let tape = self.tape()?;
        let (taps, number) = (tape.taps().clone(), tape.number(machine));
        Some(match tape.player() {
            Some((pair, _)) => Arc::new(TappedSystem::absent(&pair.system, taps, number)),
            None => {
                let system = LinuxSystem::new(guest.clone(), self.guest.facts().kind);
                Arc::new(TappedSystem::new(Arc::new(system), taps, number))
            }
        })
    }

    /// The host.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// The guest.
    pub fn guest(&self) -> &Arc<dyn Guest> {
        &self.guest
    }

    /// The machine as declared, without boot media.
    pub fn spec(&self) -> &MachineSpec {
        &self.declared
    }

    /// What a check's machine begins from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The turn to have a machine of this lab. Waited for where one machine at once goes on from a saved one; to be
    /// held until that machine has ended.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.turn.clone()?.acquire_owned().await.ok()
    }

    /// Another clone will be made. Best said when the one before answers: what the next one needs takes
    /// from its first steps.
    pub fn expect(&self) {
        if let (Ok(cloning), Ok(saved)) = (self.host.cloning(), self.origin.saved()) {
            cloning.expect(saved, &self.folder);
        }
    }

    /// What was seen while it booted.
    pub fn boot_facts(&self) -> &BootFacts {
        if let Some((_, player)) = self.tape().and_then(|tape| tape.player()) {
            player.reads_facts();
        }
        &self.boot
    }

    /// What the host does not give of the lab's machines; none before [`Lab::learn`].
    pub fn gives(&self) -> Option<&Gives> {
        self.gives.get()
    }

    /// Asks once, of a machine that nobody has touched, what the host gives of its machines: the needs of checks
    /// are decided by that.
    ///
    /// # Errors
    /// The machine cannot be looked at.
    pub async fn learn(&self, first: &Cell) -> Result<(), CheckError> {
        let gives = Gives::of(&*self.host, first.machine()).await?;
        self.know(gives);
        Ok(())
    }

    /// Takes what the host gives as known; the first stays.
    pub(crate) fn know(&self, gives: Gives) {
        let _ = self.gives.set(gives);
    }

    /// What is right here.
    pub fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// The timeline.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Where the guest's log stood in the first clone that was asked.
    pub(crate) fn log_position(&self) -> Option<LogPosition> {
        self.log_position.get().cloned()
    }

    /// Keeps it; the first stays.
    pub(crate) fn set_log_position(&self, position: LogPosition) {
        let _ = self.log_position.set(position);
    }

    /// What of a hypervisor's words is not usual for this kind of host.
    pub(crate) fn unusual(&self, said: Vec<String>) -> Vec<String> {
        crate::silence::complaints(&self.host.facts().kind, said)
    }

    /// Family of the guest.
    pub fn os(&self) -> OperatingSystem {
        self.guest.facts().os
    }

    /// A pattern that belongs to this run, this check and this number alone.
    pub fn pattern(&self, check: &str, n: u64) -> Pattern {
        let base = check.bytes().fold(self.seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Pattern::seeded(Pattern::seeded(base).word(n))
    }

    /// A machine that no other check has touched, whose probe has answered, for one check: a clone that has taken fresh
    /// entropy, or one that has booted.
    pub async fn cell(
        self: &Arc<Self>,
        name: &str,
        check: &'static Check,
        fault: Option<Fault>,
    ) -> Result<Cell, CheckError> {
        self.cell_as(name, check, fault, CloneOptions::default()).await
    }

    /// The same, made so.
    pub async fn cell_as(
        self: &Arc<Self>,
        name: &str,
        check: &'static Check,
        fault: Option<Fault>,
        options: CloneOptions,
    ) -> Result<Cell, CheckError> {
        let dir = self.work_dir(name)?;
        let folder = dir.folder.clone();
        let made = self.cell_in(dir, check, fault, options).await;
        if made.is_err() {
            // The machine is gone by now. What it leaves must not stand in the next one's way; if it
            // cannot be removed, the next one says so.
            let _ = std::fs::remove_dir_all(folder);
        }
        made
    }

    async fn cell_in(
        self: &Arc<Self>,
        dir: WorkDir,
        check: &'static Check,
        fault: Option<Fault>,
        options: CloneOptions,
    ) -> Result<Cell, CheckError> {
        let name = dir.name.clone();
        let name = name.as_str();
        let begun = Instant::now();
        let stale = matches!(fault, Some(Fault::StaleClone));
        let generation = if stale { Generation::Kept } else { options.generation };
        let host = self.host_with(fault)?;
        let saved = match &self.origin {
            Origin::Saved(saved) => saved,
            Origin::Boot { limit, .. } => {
                let (guest, spec) = (&*self.guest, &self.declared);
                let mut booted = boot(&*host, guest, spec, &dir, *limit, &self.sink).await?;
                booted.machine = FaultyMachine::unless_honest(booted.machine, fault);
                return Ok(self.take_booted(check, fault, dir, booted, begun.elapsed()));
            }
        };
        let ballooned = check.needs.contains(&Need::Facet(FacetKind::Balloon));
        let memory = if ballooned { MemoryFrom::Copy } else { MemoryFrom::Snapshot };
        let machine =
            host.cloning()?.restore(saved, Continuation { generation, memory }, &dir).await?;
        let machine = FaultyMachine::unless_honest(machine, fault);
        let trace = self.trace(name);
        let console = Console::start(machine.serial("console").await?, Some(trace.clone()));
        let session = Session::attach(machine.serial("probe").await?, Some(trace));
        machine.power(PowerVerb::Resume).await?;
        let system = system_of(self, &session, fault, machine.name());
        system.answers(ANSWER).await?;
        if !stale && options.fresh_entropy {
            system.adopt(fresh_entropy()?).await?;
        }
        let ready = begun.elapsed();
        self.sink.say(name, TimelineSource::Harness, "the clone answers");
        Ok(Cell::new(self.clone(), check, fault, dir, machine, (session, system), console, ready))
    }

    /// Whether the saved machine that the checks' clones go on from is still what was saved.
    ///
    /// # Errors
    /// [`HostError::BadSnapshot`]: a clone has changed it, so that no other is what its check takes it for.
    pub fn origin_is_intact(&self) -> Result<(), HostError> {
        match (&self.origin, self.host.cloning()) {
            (Origin::Saved(saved), Ok(cloning)) => cloning.intact(saved),
            _ => Ok(()),
        }
    }

    /// A machine that has booted in `dir`, for one check.
    pub fn take_booted(
        self: &Arc<Self>,
        check: &'static Check,
        fault: Option<Fault>,
        dir: WorkDir,
        booted: Booted,
        ready: Duration,
    ) -> Cell {
        let Booted { machine, session, console, .. } = booted;
        let system = system_of(self, &session, fault, machine.name());
        Cell::new(self.clone(), check, fault, dir, machine, (session, system), console, ready)
    }

    /// The host on which a check with this fault makes its machines: a defective one if the fault is a defect
    /// that its machines can get.
    ///
    /// # Errors
    /// The host cannot have such a defect.
    pub(crate) fn host_with(&self, fault: Option<Fault>) -> Result<Arc<dyn Host>, CheckError> {
        match fault {
            Some(Fault::Defect(defect)) if self.can_get(&defect()) => {
                Ok(self.host.with_defects(&[defect()])?)
            }
            _ => Ok(self.host.clone()),
        }
    }

    /// Whether machines of this lab can get this defect, as far as that depends on what they begin from.
    pub(crate) fn can_get(&self, defect: &Defect) -> bool {
        !defect.needs_boot() || self.origin.saved().is_err()
    }

    /// Takes what a machine's console and probe say to the timeline.
    pub fn trace(&self, machine: &str) -> Trace {
        self.sink.trace(machine)
    }

    /// A folder for a machine of this name.
    pub fn work_dir(&self, name: &str) -> Result<WorkDir, CheckError> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|source| CheckError::Io {
            doing: format!("making {}", folder.display()),
            source,
        })?;
        Ok(WorkDir { name: name.to_owned(), folder })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let (Ok(cloning), Ok(saved)) = (self.host.cloning(), self.origin.saved()) {
            cloning.forget(saved);
        }
    }
}

/// 32 bytes that no other clone gets.
fn fresh_entropy() -> Result<[u8; 32], CheckError> {
    use std::io::Read;

    let mut entropy = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut entropy))
        .map_err(|source| CheckError::Io { doing: "reading /dev/urandom".into(), source })?;
    Ok(entropy)
}
