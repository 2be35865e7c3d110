//! What a check is given: a clone of the booted machine, the probe inside, the hypervisor outside.

use std::sync::Arc;
use std::time::Duration;

use hospitium_guest::GuestError;
use hospitium_host::{
    Balloon, Display, Event, EventKind, Facet, Generation, Host, HostClock, HostError, Hotplug,
    Inject, Look, Machine, Media, Medium, PowerVerb, ProcessFacts, Wires, WorkDir,
};
use hospitium_model::{
    ExpectationError, MachineSpec, OperatingSystem, Pattern, TimelineSource, Value,
};
use hospitium_peer::PeerOptions;
use hospitium_system::tap::{Altered, Tap, TappedSystem, Taps};
use hospitium_system::{Console, LinuxSystem, Session, SessionError, System, SystemError};
use hospitium_wire::PowerAction;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::lab::forward_events;
use crate::patience::{MOST, Patience};
use crate::tape::Cable;
use crate::{Check, CheckError, CloneOptions, Fault, FaultyMachine, Lab, device};

/// How long a machine that goes on from a saved one may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// How a machine was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The hypervisor that it left.
    pub from: String,
    /// The one that it came to.
    pub to: String,
    /// For how long no vCPU ran, as the hypervisor counted.
    pub downtime: Duration,
    /// Source and destination ran the same build of the hypervisor.
    pub same_vmm: bool,
    /// Source and destination are the same host.
    pub same_host: bool,
}

impl Moved {
    /// Between what: which case of moving was tried is part of what a certificate says.
    pub fn between(&self) -> String {
        let host = if self.same_host { "the same host" } else { "another host" };
        let build = if self.same_vmm { "the same build" } else { "another build" };
        format!("from {} to {}, on {host} and of {build}", self.from, self.to)
    }
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
    /// How often it went on as another machine: restored or moved.
    moves: u32,
    /// Events of the machine up to when the probe last answered in a boot that is new.
    boot_events: usize,
    pictures: Vec<(String, Vec<u8>)>,
    /// Crashes that the check itself asked for.
    crashes_meant: usize,
    /// How often the machine had been reset at the last of those.
    resets_at_crash: usize,
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
            moves: 0,
            boot_events: 0,
            pictures,
            crashes_meant: 0,
            resets_at_crash: 0,
        }
    }

    /// Crashes the guest's kernel on purpose.
    ///
    /// # Errors
    /// The probe does not take the request.
    pub async fn crash_guest(&mut self) -> Result<(), CheckError> {
        self.crashes_meant += 1;
        self.resets_at_crash = self.restarts();
        Ok(self.system.act(PowerAction::Crash).await?)
    }

    /// True if the check crashed the guest's kernel, and it was not restarted since.
    pub(crate) fn stays_crashed(&self) -> bool {
        self.crashes_meant > 0 && self.restarts() == self.resets_at_crash
    }

    /// True if the guest crashed more often than the check asked it to.
    pub fn crashed_by_itself(&self) -> bool {
        let events = self.machine.events();
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

    /// What the host sees of the machine now.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn look(&self) -> Result<Look, CheckError> {
        Ok(self.machine.look().await?)
    }

    /// What the host's operating system says of the machine's process now.
    ///
    /// # Errors
    /// The machine has no process of its own, or it is gone.
    pub async fn process(&self) -> Result<ProcessFacts, CheckError> {
        Ok(self.machine.confinement()?.process().await?)
    }

    /// Does this to the machine's power.
    ///
    /// # Errors
    /// The host refuses, or the machine is gone.
    pub async fn power(&self, verb: PowerVerb) -> Result<(), CheckError> {
        Ok(self.machine.power(verb).await?)
    }

    /// The host's clocks.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn now(&self) -> Result<HostClock, CheckError> {
        Ok(self.lab.host().clock().await?)
    }

    /// Devices that come and go.
    ///
    /// # Errors
    /// The machine has no such facet; so for all of these.
    pub fn hotplug(&self) -> Facet<'_, dyn Hotplug> {
        self.machine.hotplug()
    }

    /// Network cables.
    pub fn wires(&self) -> Facet<'_, dyn Wires> {
        self.machine.wires()
    }

    /// Media of disks and drives.
    pub fn media(&self) -> Facet<'_, dyn Media> {
        self.machine.media()
    }

    /// Display and keyboard.
    pub fn display(&self) -> Facet<'_, dyn Display> {
        self.machine.display()
    }

    /// What hardware does to a system without its leave.
    pub fn inject(&self) -> Facet<'_, dyn Inject> {
        self.machine.inject()
    }

    /// A memory balloon.
    pub fn balloon(&self) -> Facet<'_, dyn Balloon> {
        self.machine.balloon()
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
    pub async fn another_clone_as(&mut self, options: CloneOptions) -> Result<Self, CheckError> {
        self.clones += 1;
        let name = format!("{}-{}", self.dir.name, self.clones);
        Box::pin(self.lab.cell_as(&name, self.check, self.fault, options)).await
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

    /// Pulls the plug and reads what is left on a disk.
    pub async fn cut_and_read(&self, disk: &str) -> Result<Medium, CheckError> {
        self.say("the plug is pulled");
        self.power(PowerVerb::Off).await?;
        Ok(self.media()?.medium(disk).await?)
    }

    /// Moves the machine into a new process and goes on with it.
    pub async fn migrate(&mut self) -> Result<Moved, CheckError> {
        let dir = self.another_work_dir()?;
        let to = self.lab.host();
        let moved = self.machine.moving()?.migrate(&**to, &dir).await?;
        let machine = moved.machine;
        self.note_events();
        self.take_channels(&*machine).await?;
        if let Some(peer) = &self.peer {
            peer.replug(machine.wires()).await?;
        }
        self.machine = machine;
        self.boot_events = 0;
        // No move leaves the lab's host yet.
        let name = self.lab.host().facts().name.clone();
        Ok(Moved {
            from: name.clone(),
            to: name,
            downtime: moved.downtime,
            same_vmm: moved.same_vmm,
            same_host: moved.same_host,
        })
    }

    /// Saves the machine to files, waits, and goes on with what is restored from them in a new
    /// process. Returns how long the machine was away.
    pub async fn save_and_restore(&mut self, wait: Duration) -> Result<Duration, CheckError> {
        let dir = self.another_work_dir()?;
        let folder = dir.folder.join("saved");
        std::fs::create_dir_all(&folder).map_err(HostError::io("making a folder for the save"))?;
        self.note_events();
        let begun = Instant::now();
        let saved = self.machine.saving()?.snapshot(&folder).await?;
        tokio::time::sleep(wait).await;
        // The same machine goes on: it is no clone, so its generation stays.
        let host = self.lab.host_with(self.fault)?;
        let machine = host.cloning()?.restore(&saved, Generation::Kept, &dir).await?;
        self.take_channels(&*machine).await?;
        machine.power(PowerVerb::Resume).await?;
        let away = begun.elapsed();
        self.machine = FaultyMachine::unless_honest(machine, self.fault);
        self.boot_events = 0;
        self.system.answers(ANSWER).await?;
        Ok(away)
    }

    /// Takes console and probe of the machine that this one goes on as.
    async fn take_channels(&mut self, machine: &dyn Machine) -> Result<(), CheckError> {
        let trace = self.lab.trace(&self.dir.name);
        self.console = Console::start(machine.serial("console").await?, Some(trace.clone()));
        self.guest = Session::attach(machine.serial("probe").await?, Some(trace));
        self.moves += 1;
        self.system = system_of(&self.lab, &self.guest, self.fault, machine.name());
        Ok(())
    }

    /// Which boot of its system the guest is in: another text after every restart.
    pub async fn boot_id(&self) -> Result<String, CheckError> {
        Ok(self.system.boot_id().await?.value)
    }

    /// Waits until the probe answers in another boot than `before`, and returns that boot's id; none if
    /// none answers within the limit, though the machine had the CPUs that it wanted: a guest that does
    /// not come up again is a finding. Where the probe does not start by itself, the guest is entered again.
    pub async fn wait_restarted(
        &mut self,
        before: &str,
        limit: Duration,
    ) -> Result<Option<String>, CheckError> {
        let now = tokio::select! {
            biased;
            now = self.another_boot(before, limit) => now?,
            // Whoever waits for the probe decides how long.
            error = self.enter_again(limit * MOST) => return Err(error.into()),
        };
        if now.is_none() {
            let took = match self.machine.display() {
                Ok(display) => display.screenshot().await.and_then(|screen| screen.png()).ok(),
                Err(_) => None,
            };
            if let Some(png) = took {
                self.keep_picture("not-up-again", png);
            }
        }
        self.boot_events = self.events_so_far();
        Ok(now)
    }

    /// Asks until another boot than `before` answers. A guest that shuts down in order still answers
    /// for a while from the old one.
    async fn another_boot(
        &self,
        before: &str,
        limit: Duration,
    ) -> Result<Option<String>, CheckError> {
        let patience = Patience::begin(&*self.machine, limit).await;
        loop {
            let left = patience.left(&*self.machine).await;
            if left.is_zero() {
                let what = "the guest's next boot".into();
                let lost = patience.lost().then_some(CheckError::TimedOut { what, limit });
                return lost.map_or(Ok(None), Err);
            }
            match self.system.answers(left).await {
                // It may have been kept from a CPU meanwhile; then there is more time.
                Err(SystemError::Session(SessionError::NoAnswer { .. })) => continue,
                answered => answered?,
            };
            // The old boot's probe may be gone between the two questions; then it is asked again.
            match self.boot_id().await {
                Ok(now) if now != before => return Ok(Some(now)),
                Ok(_) | Err(CheckError::Session(SessionError::NoAnswer { .. })) => {}
                Err(other) => return Err(other),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Enters the guest's next boot. Ends with an error, or never.
    async fn enter_again(&self, limit: Duration) -> GuestError {
        let is_reset = |kind: &EventKind| matches!(kind, EventKind::Reset { .. });
        let reset = self.machine.wait_event(self.boot_events, "the restart", limit, &is_reset);
        if reset.await.is_err() {
            // Whoever waits for the probe tells that there was no restart.
            return std::future::pending().await;
        }
        // The old boot's prompt may stand on the line that is not yet ended.
        let from = self.console.line_count() + 1;
        self.lab.guest().come_back(&self.console, from, limit).await
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
    pub(crate) async fn log_position(&self) -> Result<u32, SystemError> {
        let known = self.lab.log_position();
        let position = known.unwrap_or(0);
        let now = self.system.log_since(position).await?.value.1;
        if known.is_none() {
            self.lab.set_log_position(now);
        }
        Ok(now)
    }

    /// How often it went on as another machine, whose console and events begin anew.
    pub(crate) fn moves(&self) -> u32 {
        self.moves
    }

    /// How often the machine was reset so far.
    pub(crate) fn restarts(&self) -> usize {
        let events = self.machine.events();
        events.iter().filter(|event| matches!(event.kind, EventKind::Reset { .. })).count()
    }

    /// A line for the timeline.
    pub fn say(&self, text: impl Into<String>) {
        self.lab.sink().say(&self.dir.name, TimelineSource::Check, text);
    }

    fn note_events(&self) {
        forward_events(self.lab.sink(), &self.dir.name, &self.machine.events());
    }

    /// Ends the clone, its events and console written down, and removes its files. Returns the CPU
    /// time of its VMM if it still ran, and the last console lines.
    pub async fn finish(self) -> Result<(Duration, Vec<String>), HostError> {
        self.note_events();
        let process = match self.machine.confinement() {
            Ok(confinement) => confinement.process().await.ok(),
            Err(_) => None,
        };
        let cpu = process.and_then(|process| process.cpu_time.ok());
        let cpu = cpu.map(|seen| seen.value).unwrap_or_default();
        let ended = self.machine.finish().await;
        let lines = self.console.last_lines(40).0;
        drop(self.machine);
        let folder = &self.dir.folder;
        match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(HostError::io(format!("removing {}", folder.display()))(e));
            }
            _ => {}
        }
        ended.map(|_| (cpu, lines))
    }
}
