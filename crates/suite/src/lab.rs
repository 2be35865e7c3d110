//! The lab of one cell: the booted, saved machine that every check gets its own clone of.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hospitium_guest::{Guest, GuestError};
use hospitium_host::{
    Event, EventKind, Generation, Host, HostError, Machine, PowerVerb, Snapshot, WorkDir,
};
use hospitium_model::{
    Expectations, Inability, MachineSpec, OperatingSystem, Pattern, TimelineEvent, TimelineSource,
};
use hospitium_system::{Console, LinuxSystem, Session, SessionError, System, Trace};
use hospitium_system::tap::TappedSystem;
use serde::{Deserialize, Serialize};

use crate::patience::cpu_wait;
use crate::cell::system_of;
use crate::tape::Tape;
use crate::{Cell, Check, CheckError, Fault, FaultyMachine};

/// Where timeline events go, with the moment that counts as zero.
#[derive(Clone)]
pub struct Sink {
    start: Instant,
    out: Option<tokio::sync::mpsc::UnboundedSender<TimelineEvent>>,
}

impl Sink {
    /// Events go to `out`, their times counted from `start`.
    pub fn new(start: Instant, out: tokio::sync::mpsc::UnboundedSender<TimelineEvent>) -> Self {
        Self { start, out: Some(out) }
    }

    /// Events go nowhere.
    pub fn nowhere() -> Self {
        Self { start: Instant::now(), out: None }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> f64 {
        self.ms(Instant::now())
    }

    /// A moment in milliseconds since the start.
    pub fn ms(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64() * 1e3
    }

    /// Writes an event down as of now.
    pub fn say(&self, machine: &str, source: TimelineSource, text: impl Into<String>) {
        self.say_at(Instant::now(), machine, source, text);
    }

    /// Takes what a machine's console and probe say to here.
    pub fn trace(&self, machine: &str) -> Trace {
        let (sink, machine) = (self.clone(), machine.to_owned());
        Trace::new(move |source, line| sink.say(&machine, source, line))
    }

    /// Writes an event down as of `at`.
    pub fn say_at(
        &self,
        at: Instant,
        machine: &str,
        source: TimelineSource,
        text: impl Into<String>,
    ) {
        if let Some(out) = &self.out {
            // A closed receiver means that the run is over; nobody is left to tell.
            let _ = out.send(TimelineEvent {
                at_ms: self.ms(at),
                machine: machine.to_owned(),
                source,
                text: text.into(),
            });
        }
    }
}

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

/// What was seen while the machine booted. Kept with the snapshot, so that a run that needs no boot
/// still has its evidence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BootFacts {
    /// From start to the probe's first answer, in milliseconds.
    pub ready_ms: f64,
    /// What of that its VMM wanted a CPU and got none, in milliseconds.
    #[serde(default)]
    pub cpu_wait_ms: f64,
    /// Saving the snapshot, in milliseconds.
    pub snapshot_ms: f64,
    /// The console, lines escaped.
    pub console: Vec<String>,
    /// The console, raw, bounded.
    #[serde(default)]
    pub console_raw: Vec<u8>,
    /// Resets before the probe answered.
    pub resets: u32,
    /// Events that should not be in a boot: crash, power-off, disk error, watchdog.
    pub bad_events: Vec<String>,
    /// Uptime that the guest told at its first answer, in milliseconds.
    pub uptime_ms: u64,
    /// The wall clocks at the first answer; none in what an earlier version wrote.
    #[serde(default)]
    pub clocks: Option<BootClocks>,
    /// Kernel name, release, version and machine, as the guest told.
    pub uname: Vec<String>,
    /// The command by which the VMM was started.
    pub command: Vec<String>,
}

/// The wall clocks of guest and host at one moment, in milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootClocks {
    /// The guest's.
    pub guest_ms: f64,
    /// The host's.
    pub host_ms: f64,
    /// How exactly they were read at one moment: half of the round trip.
    pub uncertain_ms: f64,
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The probe.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The host cannot do what a lab needs.
    #[error(transparent)]
    Unable(#[from] Inability),
}

impl From<LabError> for CheckError {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Host(error) => error.into(),
            LabError::Guest(error) => Self::Guest(error),
            LabError::Session(error) => Self::Session(error),
            LabError::Unable(why) => Self::Unable(why),
        }
    }
}

/// The booted, saved machine of a cell, and all that its checks may look at.
pub struct Lab {
    host: Arc<dyn Host>,
    guest: Arc<dyn Guest>,
    declared: MachineSpec,
    snapshot: Snapshot,
    boot: BootFacts,
    folder: PathBuf,
    expectations: Expectations,
    seed: u64,
    sink: Sink,
    log_position: OnceLock<u32>,
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
    /// The saved machine.
    pub snapshot: Snapshot,
    /// What was seen while it booted.
    pub boot: BootFacts,
    /// For the files of clones.
    pub folder: PathBuf,
    /// What is right here.
    pub expectations: Expectations,
    /// Seed of all patterns.
    #[cfg(feature = "transcripts")]
    pub seed: u64,
    /// For the timeline.
    pub sink: Sink,
}

/// A machine that has booted, before it is saved.
pub struct Booted {
    /// The machine.
    pub machine: Box<dyn Machine>,
    /// The probe in it.
    pub session: Session,
    /// Its console.
    pub console: Console,
    /// What was seen.
    pub facts: BootFacts,
}

/// Boots `spec` with the guest's media and waits for the probe. `dir` must exist.
pub async fn boot(
    host: &dyn Host,
    guest: &dyn Guest,
    spec: &MachineSpec,
    dir: &WorkDir,
    limit: Duration,
    sink: &Sink,
) -> Result<Booted, LabError> {
    let say = |text: &str| sink.say(&dir.name, TimelineSource::Harness, text);
    let prepared = guest.prepare(&dir.folder, spec.clone())?;
    let machine = host.define(&prepared, dir).await?;
    let trace = sink.trace(&dir.name);
    let console = Console::start(machine.serial("console").await?, Some(trace.clone()));
    let begun = Instant::now();
    machine.power(PowerVerb::On).await?;
    say("started");
    let session = guest.enter(&*machine, &console, Some(trace), limit).await?;
    let hello = session.greet(limit).await?;
    let ready_ms = begun.elapsed().as_secs_f64() * 1e3;
    let cpu_wait_ms = cpu_wait(&*machine).await.as_secs_f64() * 1e3;
    say("the probe answers");
    let clocks = Some(wall_clocks(host, &session).await?);
    let events = machine.events();
    forward_events(sink, &dir.name, &events);
    let bad = |event: &&Event| {
        matches!(
            event.kind,
            EventKind::Crashed
                | EventKind::PoweredOff { .. }
                | EventKind::DiskError { .. }
                | EventKind::Watchdog { .. }
        )
    };
    let facts = BootFacts {
        ready_ms,
        cpu_wait_ms,
        snapshot_ms: 0.0,
        console: console.lines_since(0).into_iter().map(|(_, line)| line).collect(),
        console_raw: console.raw(),
        resets: events.iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count() as u32,
        bad_events: events.iter().filter(bad).map(|e| format!("{:?}", e.kind)).collect(),
        uptime_ms: hello.uptime.as_millis() as u64,
        clocks,
        uname: hello.uname.iter().map(|word| word.escape_default().to_string()).collect(),
        command: machine.command(),
    };
    Ok(Booted { machine, session, console, facts })
}

/// The wall clocks of guest and host, the best of three readings.
async fn wall_clocks(host: &dyn Host, session: &Session) -> Result<BootClocks, LabError> {
    let mut best: Option<BootClocks> = None;
    for _ in 0..3 {
        let before = host.clock().await?;
        let guest_ms = session.clock().await?.realtime_ns as f64 / 1e6;
        let round_trip = host.clock().await?.monotonic.saturating_sub(before.monotonic);
        let uncertain_ms = round_trip.as_secs_f64() * 1e3 / 2.0;
        if best.is_none_or(|best| uncertain_ms < best.uncertain_ms) {
            let host_ms = before.unix_ns() as f64 / 1e6 + uncertain_ms;
            best = Some(BootClocks { guest_ms, host_ms, uncertain_ms });
        }
    }
    best.ok_or_else(|| HostError::io("reading the clocks")(std::io::ErrorKind::Other.into()).into())
}

/// Writes a machine's events into the timeline.
pub(crate) fn forward_events(sink: &Sink, machine: &str, events: &[Event]) {
    for event in events {
        let text = format!("{:?}", event.kind);
        sink.say_at(event.at, machine, TimelineSource::Machine, text);
    }
}

impl Lab {
    /// A lab from its parts.
    pub fn new(parts: LabParts) -> Self {
        let LabParts { host, guest, declared, snapshot, boot, folder, expectations, seed, sink } =
            parts;
        Self {
            host,
            guest,
            declared,
            snapshot,
            boot,
            folder,
            expectations,
            seed,
            sink,
            log_position: OnceLock::new(),
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

    /// The saved machine.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Another clone will be made. Best said when the one before answers: what the next one needs takes
    /// from its first steps.
    pub fn expect(&self) {
        if let Ok(cloning) = self.host.cloning() {
            cloning.expect(&self.snapshot, &self.folder);
        }
    }

    /// What was seen while it booted.
    pub fn boot_facts(&self) -> &BootFacts {
        if let Some((_, player)) = self.tape().and_then(|tape| tape.player()) {
            player.reads_facts();
        }
        &self.boot
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
    pub(crate) fn log_position(&self) -> Option<u32> {
        self.log_position.get().copied()
    }

    /// Keeps it; the first stays.
    pub(crate) fn set_log_position(&self, position: u32) {
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

    /// A clone that runs and whose probe has answered and taken fresh entropy, for one check.
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
        let machine = host.cloning()?.restore(&self.snapshot, generation, &dir).await?;
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

    /// The host on which a check with this fault makes its machines: a defective one if the fault is a defect
    /// that a saved machine can get.
    ///
    /// # Errors
    /// The host cannot have such a defect.
    pub(crate) fn host_with(&self, fault: Option<Fault>) -> Result<Arc<dyn Host>, CheckError> {
        match fault {
            Some(Fault::Defect(defect)) if !defect().needs_boot() => {
                Ok(self.host.with_defects(&[defect()])?)
            }
            _ => Ok(self.host.clone()),
        }
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
        if let Ok(cloning) = self.host.cloning() {
            cloning.forget(&self.snapshot);
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
