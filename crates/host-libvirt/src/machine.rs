//! The core of the seam for a machine on libvirt. Its facets are in `facets`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::{
    Balloon, ByteStream, Confinement, Display, Dump, Ended, Event, EventClass, EventKind, Facet,
    HostError, Hotplug, Inject, Inspection, Look, Machine, Media, Moving, PowerVerb, Saving, Wires,
};
use hospitium_model::{Answer, Inability, MachineSpec};
use virt::domain::Domain;
use virt::sys;

use crate::look;
use crate::running::LibvirtMachine;

/// Why nothing is known of a machine's VMM.
const NO_PROCESS: &str = "libvirt does not tell which process runs the machine, and it has no channel by which that is seen";

#[async_trait]
impl Machine for LibvirtMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    async fn power(&self, verb: PowerVerb) -> Result<(), HostError> {
        match verb {
            PowerVerb::On if self.started.swap(true, Ordering::SeqCst) => {
                let doing = format!("starting the machine {}", self.name);
                Err(HostError::Refused { doing, why: "it was started before".into() })
            }
            PowerVerb::On => self.ask("starting the machine", Domain::resume).await.map(drop),
            PowerVerb::Off => {
                self.end(false).await;
                Ok(())
            }
            PowerVerb::Reset => self.ask("resetting", Domain::reset).await.map(drop),
            PowerVerb::Button => {
                let press = |domain: &Domain| {
                    domain.shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
                };
                self.ask("pressing the power button", press).await.map(drop)
            }
            PowerVerb::Pause => self.ask("pausing", Domain::suspend).await.map(drop),
            PowerVerb::Resume => {
                // Libvirt refuses to resume a machine that runs.
                let resume = |domain: &Domain| match domain.get_state()?.0 {
                    sys::VIR_DOMAIN_RUNNING => Ok(()),
                    _ => domain.resume().map(drop),
                };
                self.ask("resuming", resume).await
            }
        }
    }

    async fn serial(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.channels, "channel", name)
    }

    fn events(&self) -> Vec<Event> {
        self.watched.history.all()
    }

    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        self.watched.history.wait(from, what, limit, wanted).await
    }

    fn observes(&self, class: EventClass) -> Answer {
        match (class, self.host.connection.no_qemu_events()) {
            (EventClass::Reset, Some(why)) => Answer::No(format!(
                "libvirt tells that a machine was reset and not by whom, and passes on no events of \
                 its VMM: {why}"
            )),
            (EventClass::PowerButton, Some(why)) => Answer::No(format!(
                "libvirt tells nothing of the power button, and passes on no events of its VMM: {why}"
            )),
            _ => Answer::Yes,
        }
    }

    async fn look(&self) -> Result<Look, HostError> {
        look::look(self).await
    }

    async fn inspect(&self) -> Result<Inspection, HostError> {
        // A machine need not have a display.
        let shot = crate::ops::screen::screenshot(self).await.ok();
        hospitium_qmp::inspect(self, shot).await
    }

    async fn ended(&self) -> Ended {
        self.watched.ended().await
    }

    async fn finish(&self) -> Result<Ended, HostError> {
        Ok(self.end(true).await)
    }

    fn said(&self) -> Result<Vec<String>, Inability> {
        match &self.vmm {
            Some(vmm) => vmm.said(self.watched.ends_in_order()),
            None => Err(Inability::of_host(NO_PROCESS)),
        }
    }

    fn command(&self) -> Vec<String> {
        self.vmm.as_ref().map(crate::vmm::Vmm::command).unwrap_or_default()
    }

    fn viewer(&self) -> Option<String> {
        Some(format!(
            "virsh -c '{}' qemu-monitor-command {} --hmp help",
            self.host.connection.uri, self.domain_name
        ))
    }

    fn hotplug(&self) -> Facet<'_, dyn Hotplug> {
        Ok(self)
    }

    fn wires(&self) -> Facet<'_, dyn Wires> {
        Ok(self)
    }

    fn media(&self) -> Facet<'_, dyn Media> {
        Ok(self)
    }

    fn display(&self) -> Facet<'_, dyn Display> {
        match self.spec.display {
            true => Ok(self),
            false => Err(Inability::of_machine("the machine is configured without a display")),
        }
    }

    fn inject(&self) -> Facet<'_, dyn Inject> {
        Ok(self)
    }

    fn balloon(&self) -> Facet<'_, dyn Balloon> {
        match self.spec.balloon {
            true => Ok(self),
            false => Err(Inability::of_machine("the machine is configured without a balloon")),
        }
    }

    fn confinement(&self) -> Facet<'_, dyn Confinement> {
        match self.vmm {
            Some(_) => Ok(self),
            None => Err(Inability::of_host(NO_PROCESS)),
        }
    }

    fn saving(&self) -> Facet<'_, dyn Saving> {
        Ok(self)
    }

    fn moving(&self) -> Facet<'_, dyn Moving> {
        Err(Inability::of_host(
            "libvirt moves machines from one daemon to another; one daemon is driven here",
        ))
    }

    fn dump(&self) -> Facet<'_, dyn Dump> {
        Ok(self)
    }
}
