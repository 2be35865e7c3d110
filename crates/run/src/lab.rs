//! From a planned cell to what its machines begin from: the snapshot from the cache, or a boot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hospitium_guest::GuestError;
use hospitium_host::{Cloning, Facet, Isolation, Machine, WorkDir};
use hospitium_model::{
    ByteSize, Capability, Digest, Inability, InputPin, MachineSpec, TimelineSource,
};
use hospitium_suite::{BootFacts, Booted, LabError, Origin, Sink, boot, standard_machine};
use jiff::Timestamp;

use crate::budget::{Budget, Class, Load, Permit};
use crate::cache::{Digests, Entry, Found, Held, KeyParts, SnapshotCache};
use crate::clock::RunClock;
use crate::durations::{Durations, Pair};
use crate::plan::PlannedCell;
use crate::usage::ms;
use crate::{Observer, RunError, RunEvent, pins};
use hospitium_model::chain;

/// What a saved machine is made with.
pub struct Maker<'a> {
    /// The cell.
    pub cell: &'a PlannedCell,
    /// How checks get machines that no other has touched.
    pub isolation: Isolation,
    /// Snapshots.
    pub cache: &'a SnapshotCache,
    /// Digests of files.
    pub digests: &'a Arc<Digests>,
    /// CPU and memory.
    pub budget: &'a Budget,
    /// The time of the run.
    pub clock: &'a RunClock,
    /// Earlier durations.
    pub durations: &'a Durations,
    /// This program.
    pub suite: &'a InputPin,
    /// The timeline.
    pub sink: &'a Sink,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// A saved machine is to have been booted since then; none to take any.
    pub since: Option<Timestamp>,
}

/// What a cell's machines begin from: a saved machine, from the cache or fresh, or boots.
pub struct Made {
    /// The machine as declared, without boot media.
    pub declared: MachineSpec,
    /// What was seen while it booted.
    pub boot: BootFacts,
    /// When it was booted.
    pub booted: Timestamp,
    /// Everything that went in.
    pub inputs: Vec<InputPin>,
    /// A picture of the booted machine, as PNG.
    pub picture: Option<Vec<u8>>,
    /// What a check's machine begins from.
    pub origin: Origin,
    /// The saved machine in the cache, held so that it stays.
    pub held: Option<Held>,
    /// The machine that booted, where it is not saved.
    pub first: Option<First>,
    /// True if nothing was booted for it.
    pub cached: bool,
    /// CPU time of the VMM that booted, if it has ended.
    pub vmm_cpu_ms: f64,
}

/// A machine that has booted and runs.
pub struct First {
    /// It.
    pub booted: Booted,
    /// Its folder.
    pub dir: WorkDir,
}

impl Made {
    fn held(held: Held, cached: bool, vmm_cpu_ms: f64) -> Self {
        let entry = held.entry();
        Self {
            declared: entry.declared.clone(),
            boot: entry.boot.clone(),
            booted: entry.booted,
            inputs: entry.inputs.clone(),
            picture: held.picture(),
            origin: Origin::Saved(Box::new(entry.snapshot.clone())),
            held: Some(held),
            first: None,
            cached,
            vmm_cpu_ms,
        }
    }
}

/// Why there is no saved machine.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The lab, or this program.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The boot.
    #[error(transparent)]
    Boot(#[from] LabError),
    /// A boot anew was asked for, and the saved machine cannot be dropped.
    #[error(
        "another run uses the saved machine that is to be booted anew; wait for its end, or use \
         --no-cache, which boots one of its own"
    )]
    InUse,
    /// What the host says of itself cannot both be true.
    #[error(
        "the host contradicts itself: it isolates checks by going on from a saved machine, and says that it cannot: {0}; \
         --isolation reboot boots a machine for each check"
    )]
    Contradiction(Inability),
    /// The saved machine cannot be cloned.
    #[error("the booted machine was saved, and no clone of it answers: {why}")]
    NoClone {
        /// Why.
        why: String,
    },
}

impl MakeError {
    /// In words, if it was the guest that did not come up by itself: that is a verdict on the pair,
    /// and not an error of the lab.
    pub fn guest_did_not_come_up(&self) -> Option<String> {
        match self {
            Self::Boot(
                error @ LabError::NotEntered {
                    error:
                        GuestError::Panicked { .. }
                        | GuestError::NoProbe { .. }
                        | GuestError::Rebooting { .. }
                        | GuestError::Flooded { .. },
                    ..
                },
            ) => Some(chain(error)),
            _ => None,
        }
    }
}

/// Whether a host that isolates checks so can do what that takes.
fn consistent(isolation: Isolation, cloning: Facet<'_, dyn Cloning>) -> Result<(), MakeError> {
    match (isolation, cloning) {
        (Isolation::Fork | Isolation::Revert, Err(why)) => Err(MakeError::Contradiction(why)),
        _ => Ok(()),
    }
}

/// Whether a saved machine is to be booted anew: it is from before, or a clock that was ahead then says that it is from a
/// time that is still to come, so that nobody knows how old it is.
fn is_stale(booted: Timestamp, since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| booted < since) || booted > now
}

/// The declared machine of a cell.
pub fn declared(cell: &PlannedCell) -> MachineSpec {
    standard_machine(&*cell.guest.guest, &*cell.host.host, &cell.guest.options)
}

impl Maker<'_> {
    /// What the machines of the cell begin from, `declared` without its boot media. Files of a machine that is not
    /// saved go into `work`.
    ///
    /// # Errors
    /// An input cannot be read, the cache not be used, or the guest does not come up.
    pub async fn make(&self, declared: MachineSpec, work: &Path) -> Result<Made, MakeError> {
        consistent(self.isolation, self.cell.host.host.cloning())?;
        let (parts, boot_pins) = self.parts(&declared, &work.join("media")).await?;
        if self.isolation == Isolation::Reboot {
            let why = self.cell.host.host.cloning().err();
            return self.first(declared, boot_pins, work, why).await;
        }
        let key = parts.digest().map_err(|e| RunError::io("describe", work)(e.into()))?;
        let found = self.cache.find(key).await.map_err(RunError::from)?;
        let now = self.clock.now();
        let is_old = |held: &Held| is_stale(held.entry().booted, self.since, now);
        let found = match found {
            Found::Hit(held) if is_old(&held) => {
                self.cache.drop_entry(*held).map_err(RunError::from)?;
                self.cache.find(key).await.map_err(RunError::from)?
            }
            found => found,
        };
        match found {
            Found::Hit(held) if is_old(&held) => Err(MakeError::InUse),
            Found::Hit(held) => Ok(Made::held(*held, true, 0.0)),
            Found::Miss { reservation, dropped } => {
                if let Some(why) = dropped {
                    self.note(format!(
                        "the saved machine in the cache was dropped and is made anew: {why}"
                    ));
                }
                self.boot(declared, parts, boot_pins, reservation).await
            }
        }
    }

    /// The key's parts. Boot media are made for it in `scratch`.
    async fn parts(
        &self,
        declared: &MachineSpec,
        scratch: &Path,
    ) -> Result<(KeyParts, Vec<InputPin>), MakeError> {
        let (guest, host) = (self.cell.guest.guest.clone(), self.cell.host.host.clone());
        let (declared, scratch) = (declared.clone(), scratch.to_owned());
        let digests = self.digests.clone();
        let work = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&scratch).map_err(RunError::io("make", &scratch))?;
            let prepared = guest.prepare(&scratch, declared).map_err(LabError::Guest)?;
            let parts = KeyParts::of(host.facts(), guest.facts().digest, &prepared, &digests);
            let parts = parts.map_err(RunError::Input)?;
            // A second set is made where the machine boots; the first served only to be digested.
            let _ = std::fs::remove_dir_all(&scratch);
            Ok(parts)
        });
        work.await.unwrap_or_else(|e| {
            Err(RunError::io("prepare", Path::new("the guest"))(std::io::Error::other(e)).into())
        })
    }

    /// The machine that boots first, where none is saved.
    async fn first(
        &self,
        declared: MachineSpec,
        boot_pins: Vec<InputPin>,
        work: &Path,
        why: Option<Inability>,
    ) -> Result<Made, MakeError> {
        let _permit = self.boot_permit(&declared).await;
        let dir = WorkDir { name: "tier0".into(), folder: work.join("tier0") };
        std::fs::create_dir_all(&dir.folder).map_err(RunError::io("make", &dir.folder))?;
        let limit = self.cell.guest.boot_limit();
        let began = self.clock.now();
        let booted = self.booted(&declared, &dir, limit).await?;
        Ok(Made {
            inputs: self.inputs(boot_pins, &declared, &booted.facts),
            picture: self.picture(&declared, &*booted.machine).await,
            boot: booted.facts.clone(),
            booted: began,
            declared,
            origin: Origin::Boot { limit, why },
            held: None,
            first: Some(First { booted, dir }),
            cached: false,
            vmm_cpu_ms: 0.0,
        })
    }

    /// Boots a machine and saves it in the cache.
    async fn boot(
        &self,
        declared: MachineSpec,
        parts: KeyParts,
        boot_pins: Vec<InputPin>,
        reservation: crate::cache::Reservation,
    ) -> Result<Made, MakeError> {
        let _permit = self.boot_permit(&declared).await;
        let dir = WorkDir { name: "boot".into(), folder: reservation.boot_folder() };
        let began = self.clock.now();
        let booted = self.booted(&declared, &dir, self.cell.guest.boot_limit()).await?;
        let picture = self.picture(&declared, &*booted.machine).await;
        let used = match booted.machine.confinement() {
            Ok(confinement) => confinement.cpu_use().await.ok(),
            Err(_) => None,
        };
        let vmm_cpu = used.and_then(|used| used.time.ok());
        let vmm_cpu = vmm_cpu.map(|seen| seen.value).unwrap_or_default();
        let mut facts = booted.facts;
        let begun = std::time::Instant::now();
        // The probe's and the console's streams must not keep the machine from being saved.
        drop(booted.session);
        let saving = booted.machine.saving().map_err(LabError::Unable)?;
        let snapshot = saving.snapshot(&reservation.snapshot_folder()).await;
        let snapshot = snapshot.map_err(LabError::Host)?;
        facts.snapshot_ms = ms(begun.elapsed());
        self.sink.say("boot", TimelineSource::Harness, "saved");
        drop(booted.console);
        drop(booted.machine);
        let entry = Entry {
            // Set by the cache, as is what depends on its folder.
            key: Digest::of(&[]),
            parts,
            inputs: self.inputs(boot_pins, &declared, &facts),
            declared,
            booted: began,
            boot: facts,
            snapshot,
            files: Vec::new(),
        };
        let held = reservation.keep(entry, picture).await.map_err(RunError::from)?;
        Ok(Made::held(held, false, ms(vmm_cpu)))
    }

    /// CPU and memory for a boot.
    async fn boot_permit(&self, declared: &MachineSpec) -> Permit {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "durations are bounded and not negative"
        )]
        let urgency = self.durations.expected(&pair(self.cell), "boot") as u64;
        self.budget
            .permit(Class::Boot, urgency, Load::Works, whole_memory(declared.memory.size))
            .await
    }

    async fn booted(
        &self,
        declared: &MachineSpec,
        dir: &WorkDir,
        limit: Duration,
    ) -> Result<Booted, MakeError> {
        let (guest, host) = (&self.cell.guest.guest, &self.cell.host.host);
        let pair = pair(self.cell);
        let expected_ms = self.durations.seen(&pair, "boot");
        self.observer.tell(&RunEvent::Booting { cell: self.cell.name.clone(), expected_ms });
        let booted = boot(&**host, &**guest, declared, dir, limit, self.sink).await?;
        self.durations.took(&pair, "boot", booted.facts.ready_ms);
        Ok(booted)
    }

    /// A picture of the booted machine, where there is one to be had.
    async fn picture(&self, declared: &MachineSpec, machine: &dyn Machine) -> Option<Vec<u8>> {
        let offered = self.cell.host.host.offers(Capability::Screenshot).is_yes();
        let display = machine.display().ok().filter(|_| declared.display && offered)?;
        let png = display.screenshot().await.and_then(|screen| screen.png());
        png.inspect_err(|error| {
            self.note(format!("no picture of the booted machine: {}", chain(error)));
        })
        .ok()
    }

    fn inputs(
        &self,
        boot_pins: Vec<InputPin>,
        declared: &MachineSpec,
        facts: &BootFacts,
    ) -> Vec<InputPin> {
        let (guest, host) = (&self.cell.guest.guest, &self.cell.host.host);
        let mut inputs = pins::all(&**guest, boot_pins, self.suite);
        let own = host.inputs(declared);
        inputs.extend(pins::of_host(host.facts(), own, &facts.command, self.digests));
        inputs
    }

    fn note(&self, words: String) {
        self.sink.say("boot", TimelineSource::Harness, words.as_str());
        self.observer.tell(&RunEvent::Note { cell: self.cell.name.clone(), words });
    }
}

/// Memory that a VMM takes beside the guest's, measured with QEMU 7.2 under TCG: 60 to 110 MiB.
pub const MACHINE_OVERHEAD: u64 = 110 << 20;

/// What a machine is thought to take that has a guest's memory to itself.
pub const fn whole_memory(size: ByteSize) -> ByteSize {
    ByteSize::bytes(size.as_bytes() + MACHINE_OVERHEAD)
}

/// What a clone is thought to take of a guest's memory: eight of them take less than three whole
/// ones, because they share the saved state (docs/benchmarks.md).
pub const fn clone_memory(size: ByteSize) -> ByteSize {
    ByteSize::bytes(size.as_bytes() / 3 + MACHINE_OVERHEAD)
}

/// Guest and host, as durations are kept of them.
pub fn pair(cell: &PlannedCell) -> Pair {
    let (guest, host) = (cell.guest.guest.facts(), cell.host.host.facts());
    let accelerator = host.accelerator.used.name();
    let name = format!("{} {} {accelerator}", guest.digest.short(), host.vmm.short());
    Pair { name, kind: guest.kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_says_that_it_forks_and_cannot_clone_is_an_error_and_not_a_row_of_skips() {
        let cannot = || Err(Inability::of_host("no memory can be mapped"));
        for isolation in [Isolation::Fork, Isolation::Revert] {
            let error = consistent(isolation, cannot()).expect_err("both cannot be true");
            let told = error.to_string();
            assert!(told.contains("contradicts itself") && told.contains("no memory"), "{told}");
            assert!(told.contains("--isolation reboot"), "{told}");
            assert_eq!(error.guest_did_not_come_up(), None, "it says nothing about the guest");
        }
        assert!(consistent(Isolation::Reboot, cannot()).is_ok());
    }

    #[test]
    fn a_saved_machine_of_a_time_to_come_is_booted_anew() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        assert!(!is_stale(at(0), None, at(10)));
        assert!(!is_stale(at(5), Some(at(3)), at(10)));
        assert!(is_stale(at(0), Some(at(3)), at(10)), "from before");
        assert!(is_stale(at(3600), None, at(10)), "the clock was an hour ahead when it booted");
    }
}
