//! A cell's machine goes on elsewhere: migrated, or saved and restored.

use std::time::Duration;

use hospitium_host::{Generation, HostError, Machine, PowerVerb};
use hospitium_model::{Answer, Capability, Finding, HostSource, Observations, Verdict};
use hospitium_system::{Console, Session};
use tokio::time::Instant;

use super::{Cell, system_of};
use crate::{Action, CheckError, FacetKind, FaultyMachine};

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

impl Cell {
    /// Moves the machine into a new process and goes on with it.
    pub async fn migrate(&mut self) -> Result<Moved, CheckError> {
        self.acts();
        let dir = self.another_work_dir()?;
        let to = self.lab.host();
        let moved =
            self.given(FacetKind::Moving, self.machine.moving())?.migrate(&**to, &dir).await?;
        let machine = moved.machine;
        self.leave().await?;
        self.take_channels(&*machine).await?;
        self.replug(&*machine).await?;
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
        let begun = Instant::now();
        self.acts();
        let saved = self.given(FacetKind::Saving, self.machine.saving())?.snapshot(&folder).await?;
        self.leave().await?;
        tokio::time::sleep(wait).await;
        let host = self.lab.host_with(self.fault)?;
        // The same machine goes on: it is no clone, so its generation stays where the host can leave it.
        let generation = match host.offers(Capability::KeepGenerationId) {
            Answer::Yes => Generation::Kept,
            Answer::No(_) => Generation::Fresh,
        };
        let cloning = self.given(FacetKind::Cloning, host.cloning())?;
        let machine = cloning.restore(&saved, generation.into(), &dir).await?;
        self.take_channels(&*machine).await?;
        self.replug(&*machine).await?;
        machine.power(PowerVerb::Resume).await?;
        let away = begun.elapsed();
        self.machine = FaultyMachine::gone_on(machine, self.fault);
        self.boot_events = 0;
        self.system.answers(ANSWER).await?;
        Ok(away)
    }

    /// Has the machine live through what the check's life-cycle says, if there is one. To be called once, where
    /// what was made before has to be there after.
    pub async fn live(&mut self) -> Result<(), CheckError> {
        for action in self.check.life {
            self.say(format!("the machine is {}", action.words()));
            match action {
                Action::SaveRestore => {
                    self.save_and_restore(Duration::ZERO).await?;
                }
                Action::Migrate => {
                    self.migrate().await?;
                }
            }
            self.lived += 1;
        }
        Ok(())
    }

    /// What a check saw, with what its machine lived through. A pass under a life-cycle that was not lived through
    /// would say what nobody has seen.
    pub fn lived(&self, mut seen: Observations) -> Result<Observations, CheckError> {
        let life = self.check.life;
        if life.is_empty() {
            return Ok(seen);
        }
        if self.lived != life.len() && seen.judge() == Verdict::Pass {
            return Err(CheckError::NotLived { check: self.check.id.into() });
        }
        let lived: Vec<&str> = life.iter().take(self.lived).map(|action| action.words()).collect();
        let what = "what the machine lived through meanwhile";
        seen.push(Finding::recorded(what).outside(HostSource::Hypervisor.saw(lived)));
        Ok(seen)
    }

    /// Puts the other end of the network cable into the machine that this one goes on as, if a check has it.
    async fn replug(&self, machine: &dyn Machine) -> Result<(), CheckError> {
        if let Some(peer) = &self.peer {
            peer.replug(machine.wires()).await?;
        }
        Ok(())
    }

    /// Takes console and probe of the machine that this one goes on as.
    async fn take_channels(&mut self, machine: &dyn Machine) -> Result<(), CheckError> {
        let trace = self.lab.trace(&self.dir.name);
        self.console = Console::start(machine.serial("console").await?, Some(trace.clone()));
        self.guest = Session::attach(machine.serial("probe").await?, Some(trace));
        self.system = system_of(&self.lab, &self.guest, self.fault, machine.name());
        Ok(())
    }
}
