//! Faults on purpose: each check names one that must turn it red, and a test shows that it does.
//!
//! A check that no fault can turn red proves nothing. Four kinds: the machine is made differently
//! from what is declared, the host is [defective](Defect), an observation of the guest is altered on
//! its way, or the seam to the hypervisor swallows a call, alters what the host sees or hides an
//! event ([`FaultyMachine`], which forwards core and facets with that one call altered).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::{
    Attachment, Balloon, ByteStream, Confinement, Defect, Destination, Display, Dump, Ended, Event,
    EventClass, EventKind, Facet, HostError, Hotplug, Inject, Inspection, Look, Machine, Media,
    Medium, Moved, Moving, PowerVerb, ProcessFacts, Saving, Screenshot, Sight, Wires, WorkDir,
    alter,
};
use hospitium_model::{Answer, ByteSize, Inability, MachineSpec};
use hospitium_system::tap::Alter;

use crate::{FacetKind, Need};

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The machine that boots is not the one that is declared. Needs a boot of its own.
    Machine(fn(&mut MachineSpec)),
    /// The host is defective. A [saved machine](Defect::needs_boot) can get most defects, so that no boot is
    /// needed.
    Defect(fn() -> Defect),
    /// What the guest answers to one [question](hospitium_system::tap) is altered on its way.
    Guest(&'static str, Alter),
    /// The seam to the hypervisor lies.
    Seam(SeamFault),
    /// Clones are not made afresh: nobody tells them that they are clones, neither the probe by fresh
    /// entropy nor the hypervisor by a new generation id, and a check that asks for
    /// [another tenant](crate::Cell::is_stale) gets the earlier one with its memory and disks.
    StaleClone,
}

/// How the seam to the hypervisor lies.
#[derive(Debug, Clone, Copy)]
pub enum SeamFault {
    /// This call is answered with success and not done.
    Ignore(Call),
    /// What the host sees of the machine is altered.
    Look(fn(&mut Look)),
    /// What the physical machine's system says of the VMM is altered.
    Process(fn(&mut ProcessFacts)),
    /// What the VMM takes besides the guest's memory is altered.
    Overhead(fn(&mut ByteSize)),
    /// The medium has one flipped bit in its first 4 KiB.
    MediumBit,
    /// The medium's allocated size is altered.
    Allocated(fn(&mut ByteSize)),
    /// The display is black.
    BlackScreen,
    /// Events for which this is true are not seen.
    HideEvents(fn(&EventKind) -> bool),
    /// Events for which this is true are told five times, a second apart, as of a machine to which that happens again and again.
    RepeatEvents(fn(&EventKind) -> bool),
    /// The host says in the middle of a check that it does not give these: facets of machines, what it sees in a look,
    /// classes of events.
    Without(&'static [Need]),
    /// A dump of the memory is altered once it is written.
    Dump(fn(&Path) -> std::io::Result<()>),
    /// The downtime of a migration is counted this much too long.
    Downtime(Duration),
    /// A machine that goes on as another, migrated or restored, has lost what had been plugged in, and a migrated one its
    /// console, too.
    LostOnTheWay,
}

/// A call of the seam that can be ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the calls' own names")]
pub enum Call {
    Power(PowerVerb),
    Nmi,
    Attach,
    Detach,
    SetLink,
    SetBalloon,
    ResizeDisk,
    ChangeMedium,
    SendKey,
}

/// Why a host says that it cannot.
const SEEDED: &str = "a seeded fault";

/// How often a [repeated](SeamFault::RepeatEvents) event is told.
const REPEATED: usize = 5;

/// A machine whose seam lies in one way and is honest in all others.
pub struct FaultyMachine {
    inner: Box<dyn Machine>,
    fault: SeamFault,
    /// It goes on as what another was.
    gone_on: bool,
}

impl FaultyMachine {
    /// Puts the fault before a machine.
    pub fn new(inner: Box<dyn Machine>, fault: SeamFault) -> Self {
        Self { inner, fault, gone_on: false }
    }

    /// The same of a machine that goes on as what another was.
    pub(crate) fn gone_on(inner: Box<dyn Machine>, fault: Option<Fault>) -> Box<dyn Machine> {
        match fault {
            Some(Fault::Seam(fault)) => Box::new(Self { inner, fault, gone_on: true }),
            _ => inner,
        }
    }

    /// The machine, with the fault before it if it is one of the seam.
    pub fn unless_honest(inner: Box<dyn Machine>, fault: Option<Fault>) -> Box<dyn Machine> {
        match fault {
            Some(Fault::Seam(fault)) => Box::new(Self::new(inner, fault)),
            _ => inner,
        }
    }

    /// Why it says that it has no such facet, if it does.
    fn lacks(&self, kind: FacetKind) -> Result<(), Inability> {
        match self.is_without(Need::Facet(kind)) {
            true => Err(Inability::of_host(SEEDED)),
            false => Ok(()),
        }
    }

    fn is_without(&self, need: Need) -> bool {
        matches!(self.fault, SeamFault::Without(lacking) if lacking.contains(&need))
    }

    /// True of events that this fault hides.
    fn hides(&self, kind: &EventKind) -> bool {
        match self.fault {
            SeamFault::HideEvents(hidden) => hidden(kind),
            _ => kind.class().is_some_and(|class| self.is_without(Need::Events(class))),
        }
    }

    fn has_lost(&self) -> bool {
        self.gone_on && matches!(self.fault, SeamFault::LostOnTheWay)
    }

    fn ignores(&self, call: Call) -> bool {
        matches!(self.fault, SeamFault::Ignore(ignored) if ignored == call)
    }
}

/// Passes a call on unless it is the ignored one.
macro_rules! unless_ignored {
    ($self:ident, $call:expr, $done:expr) => {
        if $self.ignores($call) { Ok(()) } else { $done.await }
    };
}

/// A facet that this wrapper stands before, if the machine has it.
macro_rules! wrapped {
    ($($facet:ident: $kind:ident),+ $(,)?) => {
        $(fn $facet(&self) -> Facet<'_, dyn $kind> {
            self.lacks(FacetKind::$kind)?;
            self.inner.$facet().map(|_| self as &dyn $kind)
        })+
    };
}

/// A facet that passes through as it is.
macro_rules! passed {
    ($($facet:ident: $kind:ident),+ $(,)?) => {
        $(fn $facet(&self) -> Facet<'_, dyn $kind> {
            self.lacks(FacetKind::$kind)?;
            self.inner.$facet()
        })+
    };
}

#[async_trait]
impl Machine for FaultyMachine {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn spec(&self) -> &MachineSpec {
        self.inner.spec()
    }

    async fn power(&self, verb: PowerVerb) -> Result<(), HostError> {
        unless_ignored!(self, Call::Power(verb), self.inner.power(verb))
    }

    async fn serial(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        if name == "console" && self.has_lost() {
            // Open, and nobody at its other end.
            let (ours, mut end) = tokio::io::duplex(1 << 10);
            tokio::spawn(async move { tokio::io::copy(&mut end, &mut tokio::io::sink()).await });
            return Ok(Box::new(ours));
        }
        self.inner.serial(name).await
    }

    fn events(&self) -> Vec<Event> {
        let mut events = self.inner.events();
        if let SeamFault::RepeatEvents(repeated) = self.fault {
            let times = |event: &Event| if repeated(&event.kind) { REPEATED } else { 1 };
            let later = |event: Event, n: usize| Event {
                host_time: event.host_time + Duration::from_secs(1) * n as u32,
                ..event
            };
            let again = |event: Event| (0..times(&event)).map(move |n| later(event.clone(), n));
            return events.into_iter().flat_map(again).collect();
        }
        // Indices stay as they are, so that waiting from an index works.
        for event in events.iter_mut().filter(|event| self.hides(&event.kind)) {
            event.kind = EventKind::Other { name: "hidden".into() };
        }
        events
    }

    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        match self.fault {
            SeamFault::HideEvents(_) | SeamFault::Without(_) => {
                let wanted = |kind: &EventKind| wanted(kind) && !self.hides(kind);
                self.inner.wait_event(from, what, limit, &wanted).await
            }
            SeamFault::RepeatEvents(repeated) => {
                // Which event of the machine's the next one is, and which it is to the check.
                let told = |events: &[Event]| {
                    let again = events.iter().filter(|event| repeated(&event.kind)).count();
                    events.len() + again * (REPEATED - 1)
                };
                let events = self.inner.events();
                let before = (0..events.len()).find(|&n| told(&events[..n]) >= from);
                let before = before.unwrap_or(events.len());
                let (n, event) = self.inner.wait_event(before, what, limit, wanted).await?;
                Ok((told(&self.inner.events()[..n]), event))
            }
            _ => self.inner.wait_event(from, what, limit, wanted).await,
        }
    }

    fn observes(&self, class: EventClass) -> Answer {
        match self.is_without(Need::Events(class)) {
            true => Answer::No(SEEDED.into()),
            false => self.inner.observes(class),
        }
    }

    async fn look(&self) -> Result<Look, HostError> {
        let mut look = self.inner.look().await?;
        if let SeamFault::Look(alter) = self.fault {
            alter(&mut look);
        }
        if let SeamFault::Without(lacking) = self.fault {
            for need in lacking {
                if let Need::Sight(kind) = need {
                    kind.hide(&mut look, &Inability::of_host(SEEDED));
                }
            }
        }
        if self.has_lost() {
            // Lost for good: no answer contradicts another.
            alter(&mut look.vcpus, |all| all.truncate(all.len().saturating_sub(1)));
            alter(&mut look.vcpu_threads, |all| all.truncate(all.len().saturating_sub(1)));
            alter(&mut look.plugged_memory, |size| *size = ByteSize::default());
            if let Ok(memory) = &look.memory {
                let all = memory.value;
                alter(&mut look.balloon, |left| *left = (*left).min(all));
            }
        }
        Ok(look)
    }

    async fn inspect(&self) -> Result<Inspection, HostError> {
        self.inner.inspect().await
    }

    async fn ended(&self) -> Ended {
        self.inner.ended().await
    }

    async fn finish(&self) -> Result<Ended, HostError> {
        self.inner.finish().await
    }

    fn said(&self) -> Result<Vec<String>, Inability> {
        self.inner.said()
    }

    fn command(&self) -> Vec<String> {
        self.inner.command()
    }

    fn viewer(&self) -> Option<String> {
        self.inner.viewer()
    }

    wrapped!(
        hotplug: Hotplug,
        wires: Wires,
        media: Media,
        display: Display,
        inject: Inject,
        balloon: Balloon,
        confinement: Confinement,
        moving: Moving,
        dump: Dump,
    );
    passed!(saving: Saving);
}

#[async_trait]
impl Hotplug for FaultyMachine {
    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        unless_ignored!(self, Call::Attach, self.inner.hotplug()?.attach(what))
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        if self.has_lost() {
            let why = format!("{id} is not there");
            return Err(HostError::Refused { doing: format!("taking out {id}"), why });
        }
        unless_ignored!(self, Call::Detach, self.inner.hotplug()?.detach(id))
    }
}

#[async_trait]
impl Wires for FaultyMachine {
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        self.inner.wires()?.frames(nic).await
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        unless_ignored!(self, Call::SetLink, self.inner.wires()?.set_link(nic, up))
    }
}

#[async_trait]
impl Media for FaultyMachine {
    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        let mut medium = self.inner.media()?.medium(disk).await?;
        match self.fault {
            SeamFault::MediumBit => flip_bit(&mut medium)?,
            SeamFault::Allocated(alter) => alter(&mut medium.allocated),
            _ => {}
        }
        Ok(medium)
    }

    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError> {
        unless_ignored!(self, Call::ResizeDisk, self.inner.media()?.resize_disk(id, size))
    }

    async fn grow_backing(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        self.inner.media()?.grow_backing(id, room).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        unless_ignored!(self, Call::ChangeMedium, self.inner.media()?.change_medium(id, image))
    }
}

#[async_trait]
impl Display for FaultyMachine {
    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        let mut shot = self.inner.display()?.screenshot().await?;
        if matches!(self.fault, SeamFault::BlackScreen) {
            shot.rgb.fill(0);
        }
        Ok(shot)
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        unless_ignored!(self, Call::SendKey, self.inner.display()?.send_key(key))
    }
}

#[async_trait]
impl Inject for FaultyMachine {
    async fn nmi(&self) -> Result<(), HostError> {
        unless_ignored!(self, Call::Nmi, self.inner.inject()?.nmi())
    }
}

#[async_trait]
impl Balloon for FaultyMachine {
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        unless_ignored!(self, Call::SetBalloon, self.inner.balloon()?.set_balloon(size))
    }
}

#[async_trait]
impl Confinement for FaultyMachine {
    async fn process(&self) -> Result<ProcessFacts, HostError> {
        let mut facts = self.inner.confinement()?.process().await?;
        if let SeamFault::Process(alter) = self.fault {
            alter(&mut facts);
        }
        Ok(facts)
    }

    async fn overhead(&self) -> Result<Sight<ByteSize>, HostError> {
        let mut size = self.inner.confinement()?.overhead().await?;
        if let (SeamFault::Overhead(alter), Ok(seen)) = (self.fault, &mut size) {
            alter(&mut seen.value);
        }
        Ok(size)
    }

    async fn vcpu_times(&self) -> Result<Sight<BTreeMap<u32, Duration>>, HostError> {
        self.inner.confinement()?.vcpu_times().await
    }
}

#[async_trait]
impl Moving for FaultyMachine {
    async fn migrate(&self, to: &dyn Destination, dir: &WorkDir) -> Result<Moved, HostError> {
        let mut moved = self.inner.moving()?.migrate(to, dir).await?;
        if let SeamFault::Downtime(more) = self.fault {
            moved.downtime += more;
        }
        let machine = Self::gone_on(moved.machine, Some(Fault::Seam(self.fault)));
        Ok(Moved { machine, ..moved })
    }
}

#[async_trait]
impl Dump for FaultyMachine {
    async fn dump_memory(&self, file: &Path) -> Result<(), HostError> {
        self.inner.dump()?.dump_memory(file).await?;
        match self.fault {
            SeamFault::Dump(alter) => {
                alter(file).map_err(HostError::io("altering a dump on purpose"))
            }
            _ => Ok(()),
        }
    }
}

/// Flips one bit in a copy of the medium, so that the original stays as it is.
fn flip_bit(medium: &mut Medium) -> Result<(), HostError> {
    use std::os::unix::fs::FileExt;

    let doing = || HostError::io("altering a copy of the medium on purpose");
    let copy = medium.raw.with_extension("flipped");
    std::fs::copy(&medium.raw, &copy).map_err(doing())?;
    let file = std::fs::File::options().read(true).write(true).open(&copy).map_err(doing())?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).map_err(doing())?;
    file.write_all_at(&[byte[0] ^ 1], 100).map_err(doing())?;
    medium.raw = copy;
    Ok(())
}
