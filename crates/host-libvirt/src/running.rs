//! One machine on libvirt: what it is made of, and how it is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hospitium_disk::Disk as Lossy;
use hospitium_host::{ByteStream, Ended, HostError};
use hospitium_model::MachineSpec;
use hospitium_xml::Element;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use crate::connection::QUESTION;
use crate::image::DiskPlan;
use crate::place::Place;
use crate::shared::{Shared, locked};
use crate::vmm::Vmm;
use crate::watched::Watched;
use crate::xml::live;

/// Libvirt tells of a machine's end within this time after a call found that it has ended.
const TOLD: Duration = Duration::from_secs(5);
/// How long a VMM that was asked to end is waited for.
pub(crate) const END: Duration = Duration::from_secs(10);

pub(crate) type Streams = Mutex<BTreeMap<String, Option<Box<dyn ByteStream>>>>;

/// What a machine is put together from.
pub(crate) struct Parts {
    pub host: Arc<Shared>,
    pub name: String,
    pub spec: MachineSpec,
    pub outside: PathBuf,
    pub place: Place,
    /// Libvirt's name of it.
    pub domain_name: String,
    pub uuid: [u8; 16],
    pub domain: Domain,
    pub watched: Arc<Watched>,
    pub vmm: Option<Vmm>,
    pub channels: BTreeMap<String, Box<dyn ByteStream>>,
    pub cables: BTreeMap<String, Box<dyn ByteStream>>,
    pub disks: Vec<DiskPlan>,
    pub lossy: BTreeMap<String, Arc<Lossy>>,
    pub vcpus: Vec<String>,
    pub started: bool,
}

/// A machine on libvirt.
pub(crate) struct LibvirtMachine {
    pub(crate) host: Arc<Shared>,
    pub(crate) name: String,
    pub(crate) spec: MachineSpec,
    /// The machine's folder.
    pub(crate) outside: PathBuf,
    pub(crate) place: Place,
    pub(crate) domain_name: String,
    pub(crate) uuid: [u8; 16],
    domain: Arc<Domain>,
    pub(crate) watched: Arc<Watched>,
    /// The hypervisor's process, if it has been seen.
    pub(crate) vmm: Option<Vmm>,
    pub(crate) channels: Streams,
    pub(crate) cables: Streams,
    /// All disks, those plugged in later included.
    pub(crate) disks: Mutex<Vec<DiskPlan>>,
    /// Disks of ours, which lose what was not flushed, by their ids.
    pub(crate) lossy: Mutex<BTreeMap<String, Arc<Lossy>>>,
    /// The plug was pulled: nothing that was not flushed is on its media.
    unplugged: AtomicBool,
    /// Ids of vCPU sockets that were plugged in, oldest first.
    pub(crate) plugged_vcpus: Mutex<Vec<String>>,
    /// Only one device comes or goes at once.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) started: AtomicBool,
    serials: AtomicU32,
}

impl LibvirtMachine {
    pub(crate) fn new(parts: Parts) -> Self {
        let streams = |map: BTreeMap<String, Box<dyn ByteStream>>| {
            Mutex::new(map.into_iter().map(|(name, stream)| (name, Some(stream))).collect())
        };
        Self {
            host: parts.host,
            name: parts.name,
            spec: parts.spec,
            outside: parts.outside,
            place: parts.place,
            domain_name: parts.domain_name,
            uuid: parts.uuid,
            domain: Arc::new(parts.domain),
            watched: parts.watched,
            vmm: parts.vmm,
            channels: streams(parts.channels),
            cables: streams(parts.cables),
            disks: Mutex::new(parts.disks),
            lossy: Mutex::new(parts.lossy),
            unplugged: AtomicBool::new(false),
            plugged_vcpus: Mutex::new(parts.vcpus),
            turn: tokio::sync::Mutex::new(()),
            started: AtomicBool::new(parts.started),
            serials: AtomicU32::new(0),
        }
    }

    /// Libvirt's handle of it.
    pub(crate) fn domain(&self) -> Arc<Domain> {
        self.domain.clone()
    }

    pub(crate) fn next_serial(&self) -> u32 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// A question about the domain; see [`LibvirtMachine::ask_within`].
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HostError> {
        self.ask_within(doing, QUESTION, work).await
    }

    /// Calls libvirt about the domain. Of a machine that has ended it is told that it has.
    pub(crate) async fn ask_within<T: Send + 'static>(
        &self,
        doing: &str,
        limit: Duration,
        work: impl FnOnce(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HostError> {
        if let Some(ended) = self.watched.has_ended() {
            return Err(HostError::Ended { doing: doing.to_owned(), ended });
        }
        let domain = self.domain.clone();
        let gone = Arc::new(AtomicBool::new(false));
        let seen = gone.clone();
        let answer = self.host.connection.call_within(doing, limit, move |_| {
            let answer = work(&domain);
            if let Err(error) = &answer {
                let active = || domain.is_active().map_err(|error| error.code());
                let ended = is_gone(error.code(), active);
                seen.store(ended, Ordering::SeqCst);
            }
            answer
        });
        let answer = answer.await;
        if answer.is_ok() {
            return answer;
        }
        let ended = match gone.load(Ordering::SeqCst) {
            true => tokio::time::timeout(TOLD, self.watched.ended()).await.ok(),
            false => self.watched.has_ended(),
        };
        match ended {
            Some(ended) => Err(HostError::Ended { doing: doing.to_owned(), ended }),
            None => answer,
        }
    }

    /// The domain as libvirt has it now.
    pub(crate) async fn live(&self) -> Result<Element, HostError> {
        let text = self.ask("asking for the domain", |domain| domain.get_xml_desc(0)).await?;
        live::read("the domain", &text)
    }

    /// Ends the domain: in order, so that what the VMM holds is written, or at once.
    pub(crate) async fn end(&self, in_order: bool) -> Ended {
        if let Some(ended) = self.watched.has_ended() {
            return ended;
        }
        self.watched.expect_end();
        if !in_order {
            self.unplugged.store(true, Ordering::SeqCst);
            locked(&self.lossy).values().for_each(|disk| disk.cut());
        }
        let flags = if in_order {
            sys::VIR_DOMAIN_DESTROY_GRACEFUL
        } else {
            sys::VIR_DOMAIN_DESTROY_DEFAULT
        };
        let asked = self.ask("ending the machine", move |domain| domain.destroy_flags(flags));
        if let Err(error) = asked.await {
            tracing::debug!("ending {}: {error}", self.domain_name);
            if in_order {
                let _ = self.ask("ending the machine at once", Domain::destroy).await;
            }
        }
        match tokio::time::timeout(END, self.watched.ended()).await {
            Ok(Ended::Lost { .. }) | Err(_) => {
                // Libvirt does not end it any more; we can, if its process is within reach.
                if let Some(vmm) = &self.vmm {
                    vmm.kill();
                }
                self.watched.end(Ended::ByUs);
                self.watched.ended().await
            }
            Ok(ended) => ended,
        }
    }

    /// After an end in order, makes last what was written to disks of ours: they have kept their power.
    pub(crate) async fn settle(&self) -> Result<(), HostError> {
        let in_order = self.watched.has_ended().is_some_and(|ended| ended.expected());
        if !in_order || self.unplugged.load(Ordering::SeqCst) {
            return Ok(());
        }
        let disks: Vec<_> = locked(&self.lossy).values().cloned().collect();
        let doing = || HostError::io("making last what was written to a disk");
        let work = move || disks.iter().try_for_each(|disk| disk.settle());
        let settled = tokio::task::spawn_blocking(work).await;
        settled.map_err(|error| doing()(std::io::Error::other(error)))?.map_err(doing())
    }

    /// The plan of a disk.
    pub(crate) fn disk_plan(&self, id: &str) -> Result<DiskPlan, HostError> {
        let found = locked(&self.disks).iter().find(|plan| plan.disk.id == id).cloned();
        found.ok_or_else(|| HostError::Refused {
            doing: format!("looking for the disk {:?}", id.chars().take(40).collect::<String>()),
            why: "the machine has no such disk".into(),
        })
    }

    /// Takes a stream by its name.
    pub(crate) fn take(
        streams: &Streams,
        what: &str,
        name: &str,
    ) -> Result<Box<dyn ByteStream>, HostError> {
        let doing = || format!("taking the {what} {:?}", name.chars().take(40).collect::<String>());
        let refused = |why: &str| HostError::Refused { doing: doing(), why: why.into() };
        match locked(streams).get_mut(name) {
            None => Err(refused("the machine has none of this name")),
            Some(stream) => stream.take().ok_or_else(|| refused("it was taken before")),
        }
    }
}

impl Drop for LibvirtMachine {
    fn drop(&mut self) {
        self.host.connection.unwatch(&self.uuid, &self.watched);
        if self.watched.has_ended().is_some_and(|ended| !matches!(ended, Ended::Lost { .. })) {
            return;
        }
        // Asking can take long, or hang where the daemon does.
        let (domain, vmm) = (self.domain.clone(), self.vmm.take());
        let lost = self.host.connection.lost().is_some();
        let work = move || {
            let ended = !lost && domain.destroy().is_ok();
            if let Some(vmm) = vmm.filter(|_| !ended) {
                vmm.kill();
            }
        };
        let _ = std::thread::Builder::new().name("libvirt end".into()).spawn(work);
    }
}

/// Whether the domain runs no more, by the code of what libvirt refused and by whether it is active.
fn is_gone(code: ErrorNumber, active: impl FnOnce() -> Result<bool, ErrorNumber>) -> bool {
    match code {
        // It runs as long as libvirt knows it.
        ErrorNumber::NoDomain => true,
        ErrorNumber::OperationInvalid | ErrorNumber::OperationFailed => match active() {
            Ok(active) => !active,
            Err(code) => code == ErrorNumber::NoDomain,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_is_not_found_runs_no_more() {
        use ErrorNumber::{InternalError, NoDomain, OperationFailed, OperationInvalid};

        // A domain that ends by itself is forgotten at once: asking whether it is active finds none, either.
        assert!(is_gone(NoDomain, || Err(NoDomain)));
        assert!(is_gone(OperationInvalid, || Err(NoDomain)));
        assert!(is_gone(OperationFailed, || Ok(false)));
        assert!(!is_gone(OperationInvalid, || Ok(true)));
        assert!(!is_gone(OperationInvalid, || Err(InternalError)));
        assert!(!is_gone(InternalError, || Err(NoDomain)));
    }
}
