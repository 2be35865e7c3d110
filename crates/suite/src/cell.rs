//! What a check is given: a clone of the booted machine, the probe inside, the hypervisor outside.

mod accidents;
mod kept_log;
mod moving;
mod outside;
mod past;
mod restart;
mod unable;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hospitium_host::{
    Ended, Event, EventClass, EventKind, Host, HostClock, HostError, Machine, PowerVerb, WorkDir,
};
use hospitium_model::{
    ExpectationError, MachineSpec, OperatingSystem, Pattern, TimelineSource, Value,
};
use hospitium_peer::PeerOptions;
use hospitium_system::tap::{Altered, Tap, TappedSystem, Taps};
use hospitium_system::{
    Console, GuestDisk, LinuxSystem, LogPosition, Session, System, SystemError,
};
use hospitium_wire::PowerAction;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::patience::Patience;
use crate::sink::forward_events;
use crate::tape::Cable;
use crate::{Check, CheckError, CloneOptions, Fault, FaultyMachine, Lab, device};

use self::accidents::Meaning;
use self::kept_log::KeptLog;
pub use self::moving::Moved;
use self::past::Past;

/// What a clone leaves.
#[derive(Debug)]
pub struct Finished {
    /// CPU time of its VMM, if that still ran.
    pub vmm_cpu: Duration,
    /// Last lines of its console, escaped.
    pub console: Vec<String>,
    /// How its machine ended.
    pub ended: Ended,
}

/// A running clone for one check (or, of tier 0, for all of them).
pub struct Cell {
    /// The probe inside.
    pub guest: Session,
    system: Arc<dyn System>,
    /// The console.
    pub console: Console,
    lab: Arc<Lab>,
    check: &'static Check,
    fault: Option<Fault>,
    dir: WorkDir,
    machine: Box<dyn Machine>,
    peer: Option<Cable>,
    ready: Duration,
    clones: u32,
    /// What the machines said that it went on from.
    past: Past,
    /// What the guest's log said in boots that are over.
    kept_log: Mutex<KeptLog>,
    /// What nobody asked for on further machines of the check.
    others: Arc<Mutex<Vec<String>>>,
    /// Of a further machine of a check's: console lines, words of the hypervisor and events before it was the check's.
    further: Option<(u64, usize, usize)>,
    /// What the check means to happen to it.
    meaning: Meaning,
    /// Events of the machine up to when the probe last answered in a boot that is new.
    boot_events: usize,
    pictures: Vec<(String, Vec<u8>)>,
    /// Crashes that the check itself asked for.
    crashes_meant: usize,
    /// Disks whose errors the check brings about, by the guest's names.
    broken: Vec<String>,
    /// How often the machine had been reset at the last of those.
    resets_at_crash: usize,
    /// How much of the check's life-cycle the machine has lived through.
    lived: usize,
    /// The check has done something to the machine from outside.
    acted: AtomicBool,
    /// The host's clocks when they were last read.
    last_clock: Mutex<Option<HostClock>>,
}

/// The system that the probe of this session is in, on the machine of this name, its answers altered if that is the
/// fault.
pub(crate) fn system_of(
    lab: &Lab,
    guest: &Session,
    fault: Option<Fault>,
    machine: &str,
) -> Arc<dyn System> {
    if let Some(system) = lab.taped_system(guest, machine) {
        return system;
    }
    let system: Arc<dyn System> = match lab.os() {
        // No other family has a driver yet.
        OperatingSystem::Linux | OperatingSystem::Windows => {
            Arc::new(LinuxSystem::new(guest.clone(), lab.guest().facts().kind))
        }
    };
    match fault {
        Some(Fault::Guest(name, alter)) => {
            let taps = Taps::new([Arc::new(Altered { name, alter }) as Arc<dyn Tap>]);
            let machine = taps.next_machine();
            Arc::new(TappedSystem::new(system, taps, machine))
        }
        _ => system,
    }
}

impl Cell {
    #[expect(clippy::too_many_arguments, reason = "called from one place, with the clone's parts")]
    pub(crate) fn new(
        lab: Arc<Lab>,
        check: &'static Check,
        fault: Option<Fault>,
        dir: WorkDir,
        machine: Box<dyn Machine>,
        (guest, system): (Session, Arc<dyn System>),
        console: Console,
        ready: Duration,
    ) -> Self {
        let pictures = Vec::new();
        // A machine that booted has some already.
        let events = machine.events().len();
        Self {
            system,
            guest,
            console,
            lab,
            check,
            fault,
            dir,
            machine,
            peer: None,
            ready,
            clones: 0,
            past: Past::default(),
            kept_log: Mutex::default(),
            others: Arc::default(),
            further: None,
            meaning: Meaning::default(),
            boot_events: events,
            pictures,
            crashes_meant: 0,
            broken: Vec::new(),
            resets_at_crash: 0,
            lived: 0,
            acted: AtomicBool::new(false),
            last_clock: Mutex::default(),
        }
    }

    /// Crashes the guest's kernel on purpose.
    ///
    /// # Errors
    /// The probe does not take the request.
    pub async fn crash_guest(&mut self) -> Result<(), CheckError> {
        self.crashes_meant += 1;
        self.resets_at_crash = self.restarts();
        // A kernel may restart by itself once it has crashed.
        self.means(EventClass::Reset);
        self.act(PowerAction::Crash).await
    }

    /// True if the check crashed the guest's kernel, and it was not restarted since.
    pub(crate) fn stays_crashed(&self) -> bool {
        self.crashes_meant > 0 && self.restarts() == self.resets_at_crash
    }

    /// From now on the check brings errors of this disk about: what the guest's kernel says of them is no trouble.
    pub fn breaks(&mut self, disk: &GuestDisk) {
        self.broken.push(disk.name.clone());
    }

    /// Names of the disks that the check [breaks](Self::breaks).
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// True if the guest crashed more often than the check asked it to.
    pub fn crashed_by_itself(&self) -> bool {
        let events = self.all_events();
        let crashes = events.iter().filter(|event| event.kind == EventKind::Crashed).count();
        crashes > self.crashes_meant
    }

    /// The lab that this is a clone of: host, guest, declared machine, what the boot showed.
    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// The host, defective if that is the fault.
    pub(crate) fn host(&self) -> Result<Arc<dyn Host>, CheckError> {
        self.lab.host_with(self.fault)
    }

    /// What is wrong on purpose, if something is.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The machine as declared.
    pub fn spec(&self) -> &MachineSpec {
        self.lab.spec()
    }

    /// The guest, from inside.
    pub fn system(&self) -> &dyn System {
        &*self.system
    }

    /// The machine, from outside.
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// From asking for the clone to the probe's answer in it.
    pub fn ready_in(&self) -> Duration {
        self.ready
    }

    /// A folder for the check's files, removed with the clone.
    pub fn work_dir(&self) -> &WorkDir {
        &self.dir
    }

    /// Which variant of the check: `virtio` of `stor.hot-add-remove/virtio`.
    pub fn variant(&self) -> &'static str {
        self.check.variant()
    }

    /// Makes and starts a further machine, of which the check itself takes care.
    pub async fn start_machine(
        &mut self,
        spec: &MachineSpec,
    ) -> Result<Box<dyn Machine>, CheckError> {
        self.acts();
        let dir = self.another_work_dir()?;
        let mut spec = spec.clone();
        if let Some(Fault::Machine(alter)) = self.fault {
            alter(&mut spec);
        }
        let host = self.lab.host_with(self.fault)?;
        let machine = host.define(&spec, &dir).await?;
        let machine = FaultyMachine::unless_honest(machine, self.fault);
        machine.power(PowerVerb::On).await?;
        Ok(machine)
    }

    /// True if the seeded fault is that an earlier tenant's state is still there.
    pub fn is_stale(&self) -> bool {
        matches!(self.fault, Some(Fault::StaleClone))
    }

    /// Goes on with another check in the same clone; only reads may share one.
    pub fn next_check(&mut self, check: &'static Check) {
        self.check = check;
        self.lived = 0;
        self.meaning.clear();
        self.acted = AtomicBool::new(false);
    }

    /// The n-th pattern of this check in this run.
    pub fn pattern(&self, n: u64) -> Pattern {
        self.lab.pattern(self.check.id, n)
    }

    /// The expected value of this name for this guest on this host.
    pub fn expect(&self, what: &str) -> Result<Value, CheckError> {
        let host = self.lab.host().facts();
        let id = self.check.id();
        let found = self.lab.expectations().find(
            id.base(),
            what,
            self.lab.os(),
            &host.kind,
            host.accelerator.used,
        )?;
        Ok(found.value.clone())
    }

    /// The expected value of this name, which is a number.
    pub fn expect_number(&self, what: &str) -> Result<f64, CheckError> {
        let value = self.expect(what)?;
        value.as_f64().ok_or_else(|| {
            CheckError::unreadable(format!("the expectation {what}"), &value.to_string())
        })
    }

    /// The expected value of this name, which is text.
    pub fn expect_text(&self, what: &str) -> Result<String, CheckError> {
        match self.expect(what)? {
            Value::Text(text) => Ok(text),
            _ => {
                Err(ExpectationError::Missing { check: self.check.id.into(), what: what.into() }
                    .into())
            }
        }
    }

    /// The other end of the network cable; plugs it in at the first call.
    pub async fn peer(&mut self) -> Result<&Cable, CheckError> {
        if self.peer.is_none() {
            self.peer = Some(self.peer_at(device::NIC, PeerOptions::default()).await?);
        }
        self.peer.as_ref().ok_or_else(|| CheckError::Peer("it did not start".into()))
    }

    /// The other end of the cable of this interface. Each is plugged in once.
    ///
    /// # Errors
    /// The machine has no cables, or the peer does not start.
    pub async fn peer_at(&self, nic: &str, options: PeerOptions) -> Result<Cable, CheckError> {
        let tape = self.lab.tape().map(|tape| (tape.clone(), tape.number(self.machine.name())));
        Cable::plug(self.machine.wires(), nic, options, tape).await
    }

    /// Measures something that no other door of a check leads to, such as a file. `what` and `with` tell it from
    /// other measurements of the check.
    ///
    /// # Errors
    /// Those of the measurement.
    pub async fn measured<T>(
        &self,
        what: &'static str,
        with: Json,
        measure: impl Future<Output = Result<T, HostError>> + Send,
    ) -> Result<T, CheckError>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        Ok(match self.lab.tape() {
            Some(tape) => {
                let number = tape.number(self.machine.name());
                tape.ask(number, what, with, measure).await?
            }
            None => measure.await?,
        })
    }

    /// Another clone of the same snapshot, for checks that compare two.
    pub async fn another_clone(&mut self) -> Result<Self, CheckError> {
        self.another_clone_as(CloneOptions::default()).await
    }

    /// The same, made so.
    ///
    /// # Errors
    /// The host does not make clones, or this one cannot be made. Where one machine at once goes on from a saved one,
    /// this cell's machine ends.
    pub async fn another_clone_as(&mut self, options: CloneOptions) -> Result<Self, CheckError> {
        self.acts();
        self.lab.origin().saved()?;
        self.clones += 1;
        let name = format!("{}-{}", self.dir.name, self.clones);
        let made = Box::pin(self.lab.cell_as(&name, self.check, self.fault, options)).await;
        let mut other = made?;
        other.others = self.others.clone();
        let said = other.said().map_or(0, |said| said.len());
        other.further = Some((other.lines_so_far(), said, other.all_events().len()));
        Ok(other)
    }

    /// A folder for a further machine that the check makes itself.
    pub fn another_work_dir(&mut self) -> Result<WorkDir, CheckError> {
        self.clones += 1;
        self.lab.work_dir(&format!("{}-{}", self.dir.name, self.clones))
    }

    /// Number of events so far: pass it to [`Cell::event`] to wait for what comes after.
    pub fn events_so_far(&self) -> usize {
        self.machine.events().len()
    }

    /// True if a console line, from the `from`-th on, holds `words` within `limit`.
    pub async fn sees(&self, words: &str, from: u64, limit: Duration) -> bool {
        self.console.wait_line(words, from, limit, |line| line.contains(words)).await.is_ok()
    }

    /// Waits for an event after the `from`-th. `Ok(None)` if it did not come in time, which is an
    /// observation and not an error.
    pub async fn event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: impl for<'a> Fn(&'a EventKind) -> bool + Send + Sync,
    ) -> Result<Option<Event>, CheckError> {
        let patience = Patience::begin(&*self.machine, limit).await;
        let mut left = limit;
        while !left.is_zero() {
            match self.machine.wait_event(from, what, left, &wanted).await {
                Ok((_, event)) => return Ok(Some(event)),
                Err(HostError::TimedOut { .. }) => left = patience.left(&*self.machine).await,
                // A machine that has ended will send no more events: that it did not is the answer.
                Err(HostError::Ended { .. }) => break,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(None)
    }

    /// Keeps a picture of the display for the report.
    pub fn keep_picture(&mut self, name: &str, png: Vec<u8>) {
        self.pictures.push((name.to_owned(), png));
    }

    /// The pictures kept so far, by name.
    pub fn take_pictures(&mut self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.pictures)
    }

    /// Where the guest's log stands: that of the saved machine for a clone in its first check, so that all clones
    /// ask once.
    pub(crate) async fn log_position(&self) -> Result<LogPosition, SystemError> {
        // A machine that booted by itself has a log of its own.
        let known = self.lab.origin().saved().ok().and_then(|_| self.lab.log_position());
        let position = known.clone().unwrap_or_default();
        let now = self.system.log_since(&position).await?.value.1;
        if known.is_none() {
            self.lab.set_log_position(now.clone());
        }
        Ok(now)
    }

    /// How often the machine was reset so far, and those that it went on from.
    pub(crate) fn restarts(&self) -> usize {
        let events = self.all_events();
        events.iter().filter(|event| matches!(event.kind, EventKind::Reset { .. })).count()
    }

    /// A line for the timeline.
    pub fn say(&self, text: impl Into<String>) {
        self.lab.sink().say(&self.dir.name, TimelineSource::Check, text);
    }

    fn note_events(&self) {
        forward_events(self.lab.sink(), &self.dir.name, &self.machine.events());
    }

    /// Ends the clone, its events and console written down, and removes its files.
    ///
    /// # Errors
    /// It cannot be ended, or its files not be removed.
    pub async fn finish(self) -> Result<Finished, HostError> {
        self.judge_itself();
        self.note_events();
        let used = match self.machine.confinement() {
            Ok(confinement) => confinement.cpu_use().await.ok(),
            Err(_) => None,
        };
        let cpu = used.and_then(|used| used.time.ok());
        let cpu = cpu.map(|seen| seen.value).unwrap_or_default();
        let ended = self.machine.finish().await;
        let console = self.console.last_lines(40).0;
        drop(self.machine);
        let folder = &self.dir.folder;
        match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(HostError::io(format!("removing {}", folder.display()))(e));
            }
            _ => {}
        }
        ended.map(|ended| Finished { vmm_cpu: cpu, console, ended })
    }
}
