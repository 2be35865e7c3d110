//! What a check sees of its machine from outside, and does to it.

use std::sync::PoisonError;

use hospitium_host::{
    Balloon, Confinement, Display, Dump, Facet, HostClock, Hotplug, Inject, Look, Media, Medium,
    PowerVerb, ProcessFacts, Wires,
};
use hospitium_model::Inability;

use super::Cell;
use crate::{CheckError, FacetKind, SightKind};

impl Cell {
    /// What the host sees of the machine now.
    ///
    /// # Errors
    /// The host cannot be asked, contradicts itself, or no longer shows what it saw of the first machine.
    pub async fn look(&self) -> Result<Look, CheckError> {
        let mut look = self.machine.look().await?;
        if look.contradiction().is_some() {
            // A look is many questions, and something may have come or gone between two of them.
            look = self.machine.look().await?;
        }
        if let Some(what) = look.contradiction() {
            return Err(CheckError::Contradiction(what));
        }
        match self.lab.gives().and_then(|gives| gives.hidden(&look)) {
            Some(why) => Err(CheckError::Hidden(why)),
            None => Ok(look),
        }
    }

    /// That this is unseen now, where a host never shows it.
    ///
    /// # Errors
    /// It was seen of the first machine.
    pub fn never_shown(&self, kind: SightKind, unseen: Inability) -> Result<Inability, CheckError> {
        let given = self.lab.gives().is_some_and(|gives| gives.unseen(kind).is_none());
        if given { Err(CheckError::Hidden(unseen)) } else { Ok(unseen) }
    }

    /// What the host's operating system says of the machine's process now.
    ///
    /// # Errors
    /// The machine has no process of its own, it is gone, or it no longer shows what the first machine's did.
    pub async fn process(&self) -> Result<ProcessFacts, CheckError> {
        let gives = self.lab.gives();
        let confinement = self.confinement().map_err(|why| {
            let given = gives.is_some_and(|gives| gives.no_facet(FacetKind::Confinement).is_none());
            if given { CheckError::Hidden(why) } else { why.into() }
        })?;
        let facts = confinement.process().await?;
        match gives.and_then(|gives| gives.hidden_of_process(&facts)) {
            Some(why) => Err(CheckError::Hidden(why)),
            None => Ok(facts),
        }
    }

    /// Does this to the machine's power.
    ///
    /// # Errors
    /// The host refuses, or the machine is gone.
    pub async fn power(&self, verb: PowerVerb) -> Result<(), CheckError> {
        self.acts();
        self.means_by(verb);
        Ok(self.machine.power(verb).await?)
    }

    /// Ends the machine in order.
    ///
    /// # Errors
    /// It cannot be ended.
    pub async fn end_machine(&self) -> Result<(), CheckError> {
        self.means_by(PowerVerb::Off);
        self.machine.finish().await?;
        Ok(())
    }

    /// The host's clocks.
    ///
    /// # Errors
    /// The host cannot be asked, or somebody has set its wall clock since this machine's last reading of it.
    pub async fn now(&self) -> Result<HostClock, CheckError> {
        let now = self.lab.host().clock().await?;
        let before = self.last_clock.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        let set = before.and_then(|before| now.set_since(&before));
        set.map_or(Ok(now), |by| Err(CheckError::ClockSet { by }))
    }

    /// Devices that come and go.
    ///
    /// # Errors
    /// The machine has no such facet; so for all of these.
    pub fn hotplug(&self) -> Facet<'_, dyn Hotplug> {
        self.acts();
        self.given(FacetKind::Hotplug, self.machine.hotplug())
    }

    /// The hypervisor's process.
    ///
    /// # Errors
    /// As of [`Cell::hotplug`].
    pub fn confinement(&self) -> Facet<'_, dyn Confinement> {
        self.given(FacetKind::Confinement, self.machine.confinement())
    }

    /// The memory as a file.
    ///
    /// # Errors
    /// As of [`Cell::hotplug`].
    pub fn dump(&self) -> Facet<'_, dyn Dump> {
        self.given(FacetKind::Dump, self.machine.dump())
    }

    /// Network cables.
    pub fn wires(&self) -> Facet<'_, dyn Wires> {
        self.given(FacetKind::Wires, self.machine.wires())
    }

    /// Media of disks and drives.
    pub fn media(&self) -> Facet<'_, dyn Media> {
        self.given(FacetKind::Media, self.machine.media())
    }

    /// Display and keyboard.
    pub fn display(&self) -> Facet<'_, dyn Display> {
        self.given(FacetKind::Display, self.machine.display())
    }

    /// What hardware does to a system without its leave.
    pub fn inject(&self) -> Facet<'_, dyn Inject> {
        self.acts();
        self.given(FacetKind::Inject, self.machine.inject())
    }

    /// A memory balloon.
    pub fn balloon(&self) -> Facet<'_, dyn Balloon> {
        self.acts();
        self.given(FacetKind::Balloon, self.machine.balloon())
    }

    /// Pulls the plug and reads what is left on a disk.
    pub async fn cut_and_read(&self, disk: &str) -> Result<Medium, CheckError> {
        self.say("the plug is pulled");
        self.power(PowerVerb::Off).await?;
        Ok(self.media()?.medium(disk).await?)
    }
}
