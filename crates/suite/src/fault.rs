//! Faults on purpose: each check names one that must turn it red, and a test shows that it does.
//!
//! A check that no fault can turn red proves nothing. Three kinds: the machine is made differently
//! from what is declared, an observation of the guest is altered on its way, or the seam to the
//! hypervisor swallows a call, alters what the host sees or hides an event ([`FaultyMachine`]).

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::{
    Attachment, ByteStream, Died, Event, EventKind, HostError, Machine, MachineFacts, Medium,
    Place, ProcessFacts, Screenshot, Snapshot,
};
use hospitium_model::{ByteSize, MachineSpec};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The machine that boots is not the one that is declared. Needs a boot of its own.
    Machine(fn(&mut MachineSpec)),
    /// What the guest answers is altered on its way.
    Guest(fn(&Request<'_>, &mut OwnedReply)),
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
    Facts(fn(&mut MachineFacts)),
    /// What the physical machine's system says of the VMM is altered.
    Process(fn(&mut ProcessFacts)),
    /// The medium has one flipped bit in its first 4 KiB.
    MediumBit,
    /// The medium's allocated size is altered.
    Allocated(fn(&mut ByteSize)),
    /// The display is black.
    BlackScreen,
    /// Events for which this is true are not seen.
    HideEvents(fn(&EventKind) -> bool),
    /// The downtime of a migration is counted this much too long.
    Downtime(Duration),
}

/// A call of the seam that can be ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the calls' own names")]
pub enum Call {
    Pause,
    Reset,
    PowerButton,
    Nmi,
    Attach,
    Detach,
    SetLink,
    SetBalloon,
    ResizeDisk,
    ChangeMedium,
    SendKey,
}

/// A machine whose seam lies in one way and is honest in all others.
pub struct FaultyMachine {
    inner: Box<dyn Machine>,
    fault: SeamFault,
}

impl FaultyMachine {
    /// Puts the fault before a machine.
    pub fn new(inner: Box<dyn Machine>, fault: SeamFault) -> Self {
        Self { inner, fault }
    }

    fn ignores(&self, call: Call) -> bool {
        matches!(self.fault, SeamFault::Ignore(ignored) if ignored == call)
    }
}

/// Passes a call on unless it is the ignored one.
macro_rules! unless_ignored {
    ($self:ident, $call:ident, $done:expr) => {
        if $self.ignores(Call::$call) { Ok(()) } else { $done.await }
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

    async fn start(&self) -> Result<(), HostError> {
        self.inner.start().await
    }

    async fn channel(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        self.inner.channel(name).await
    }

    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        self.inner.frames(nic).await
    }

    fn events(&self) -> Vec<Event> {
        let mut events = self.inner.events();
        if let SeamFault::HideEvents(hidden) = self.fault {
            // Indices stay as they are, so that waiting from an index works.
            for event in events.iter_mut().filter(|event| hidden(&event.kind)) {
                event.kind = EventKind::Other { name: "hidden".into() };
            }
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
            SeamFault::HideEvents(hidden) => {
                let wanted = |kind: &EventKind| wanted(kind) && !hidden(kind);
                self.inner.wait_event(from, what, limit, &wanted).await
            }
            _ => self.inner.wait_event(from, what, limit, wanted).await,
        }
    }

    async fn died(&self) -> Died {
        self.inner.died().await
    }

    async fn pause(&self) -> Result<(), HostError> {
        unless_ignored!(self, Pause, self.inner.pause())
    }

    async fn resume(&self) -> Result<(), HostError> {
        self.inner.resume().await
    }

    async fn reset(&self) -> Result<(), HostError> {
        unless_ignored!(self, Reset, self.inner.reset())
    }

    async fn power_button(&self) -> Result<(), HostError> {
        unless_ignored!(self, PowerButton, self.inner.power_button())
    }

    async fn nmi(&self) -> Result<(), HostError> {
        unless_ignored!(self, Nmi, self.inner.nmi())
    }

    async fn power_cut(&self) -> Result<(), HostError> {
        self.inner.power_cut().await
    }

    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        unless_ignored!(self, Attach, self.inner.attach(what))
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        unless_ignored!(self, Detach, self.inner.detach(id))
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        unless_ignored!(self, SetLink, self.inner.set_link(nic, up))
    }

    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        unless_ignored!(self, SetBalloon, self.inner.set_balloon(size))
    }

    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError> {
        unless_ignored!(self, ResizeDisk, self.inner.resize_disk(id, size))
    }

    async fn give_room(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        self.inner.give_room(id, room).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        unless_ignored!(self, ChangeMedium, self.inner.change_medium(id, image))
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        unless_ignored!(self, SendKey, self.inner.send_key(key))
    }

    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        let mut shot = self.inner.screenshot().await?;
        if matches!(self.fault, SeamFault::BlackScreen) {
            shot.rgb.fill(0);
        }
        Ok(shot)
    }

    async fn facts(&self) -> Result<MachineFacts, HostError> {
        let mut facts = self.inner.facts().await?;
        if let SeamFault::Facts(alter) = self.fault {
            alter(&mut facts);
        }
        Ok(facts)
    }

    async fn process(&self) -> Result<ProcessFacts, HostError> {
        let mut facts = self.inner.process().await?;
        if let SeamFault::Process(alter) = self.fault {
            alter(&mut facts);
        }
        Ok(facts)
    }

    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        let mut medium = self.inner.medium(disk).await?;
        match self.fault {
            SeamFault::MediumBit => flip_bit(&mut medium)?,
            SeamFault::Allocated(alter) => alter(&mut medium.allocated),
            _ => {}
        }
        Ok(medium)
    }

    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError> {
        self.inner.snapshot(folder).await
    }

    async fn migrate(&self, place: &Place) -> Result<(Box<dyn Machine>, Duration), HostError> {
        let (machine, mut downtime) = self.inner.migrate(place).await?;
        if let SeamFault::Downtime(more) = self.fault {
            downtime += more;
        }
        Ok((Box::new(Self::new(machine, self.fault)), downtime))
    }

    async fn end(&self) -> Result<(), HostError> {
        self.inner.end().await
    }

    fn command(&self) -> Vec<String> {
        self.inner.command()
    }

    fn viewer(&self) -> Option<String> {
        self.inner.viewer()
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
