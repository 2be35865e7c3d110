//! Further machines on the host of a check, each with memory and disks of its own: tenants that come one after
//! the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hospitium_host::{Ended, HostError, Machine, PowerVerb, WorkDir};
use hospitium_model::MachineSpec;
use hospitium_system::System;

use crate::booted::boot;
use crate::cell::system_of;
use crate::{Cell, CheckError, FaultyMachine};

/// A machine that was made anew, and its files.
pub struct Tenant {
    /// The machine.
    pub machine: Box<dyn Machine>,
    dir: WorkDir,
}

impl Tenant {
    /// A folder for the check's files, removed with the machine.
    pub fn folder(&self) -> &Path {
        &self.dir.folder
    }

    /// Ends the machine in order and removes its files, as a host does with what a tenant gives up.
    pub async fn end(self, cell: &Cell) -> Result<Ended, CheckError> {
        cell.judge_other(&*self.machine);
        let ended = self.machine.finish().await?;
        drop(self.machine);
        let folder = &self.dir.folder;
        let doing = || HostError::io(format!("removing {}", folder.display()));
        std::fs::remove_dir_all(folder).map_err(doing())?;
        Ok(ended)
    }
}

impl Cell {
    /// Boots this guest once more, on a machine of its own.
    pub async fn boot_tenant(
        &mut self,
        spec: &MachineSpec,
        limit: Duration,
    ) -> Result<(Tenant, Arc<dyn System>), CheckError> {
        let dir = self.another_work_dir()?;
        let (host, lab) = (self.host()?, self.lab().clone());
        let (machine, session) = match lab.tape() {
            Some(tape) => tape.boot(&lab, spec, &dir, limit).await?,
            None => {
                let booted = boot(&*host, &**lab.guest(), spec, &dir, limit, lab.sink()).await?;
                (booted.machine, booted.session)
            }
        };
        let machine = FaultyMachine::unless_honest(machine, self.fault());
        let system = system_of(&lab, &session, self.fault(), machine.name());
        Ok((Tenant { machine, dir }, system))
    }

    /// Makes and starts a machine of no guest.
    pub async fn bare_tenant(&mut self, spec: &MachineSpec) -> Result<Tenant, CheckError> {
        let dir = self.another_work_dir()?;
        let machine = self.host()?.define(spec, &dir).await?;
        let machine = FaultyMachine::unless_honest(machine, self.fault());
        machine.power(PowerVerb::On).await?;
        Ok(Tenant { machine, dir })
    }
}
