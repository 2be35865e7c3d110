//! A TPM: it is there, and it goes with its machine.

use hospitium_model::{Answer, Capability, Inability, MachineSpec, TpmVersion};

use super::{Lab, Promise, Record};
use crate::machine::{Machine, PowerVerb};
use crate::{Generation, HostError};

/// A machine with a TPM, if the host has such.
fn spec(lab: &Lab<'_>) -> Result<MachineSpec, HostError> {
    match lab.host.offers(Capability::Tpm) {
        Answer::Yes => {
            let mut spec = lab.spec();
            spec.tpm = Some(TpmVersion::V2_0);
            Ok(spec)
        }
        Answer::No(why) => Err(Inability::of_host(why).into()),
    }
}

/// Whether the host sees one.
async fn has(machine: &dyn Machine) -> Result<bool, HostError> {
    Ok(machine.look().await?.tpm?.value.is_some())
}

/// A TPM in a machine, in one that goes on from what was saved, and in one that moved.
pub async fn tpm(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let what = "a machine has a TPM if it is to have one, and else none";
    let Some(spec) = record.got(what, spec(lab)) else { return record.0 };
    let there = async {
        let with = lab.running("tpm", &spec).await?;
        let without = lab.running("no-tpm", &lab.spec()).await?;
        let seen = has(&*with).await? && !has(&*without).await?;
        without.finish().await?;
        let ended = with.finish().await?;
        Ok(seen && ended.expected())
    };
    record.note(what, there.await);
    let saved = async {
        lab.host.cloning()?;
        let machine = lab.running("tpm-saved", &spec).await?;
        let snapshot = machine.saving()?.snapshot(&lab.folder.join("tpm-snapshot")).await?;
        let dir = lab.dir("tpm-clone")?;
        let clone = lab.host.cloning()?.restore(&snapshot, Generation::Fresh.into(), &dir).await?;
        clone.power(PowerVerb::Resume).await?;
        let seen = has(&*clone).await?;
        clone.finish().await?;
        Ok(seen)
    };
    record.note("a machine goes on with its TPM from what was saved", saved.await);
    let moved = async {
        let machine = lab.running("tpm-from", &spec).await?;
        let moved = machine.moving()?.migrate(lab.host, &lab.dir("tpm-to")?).await?;
        has(&*moved.machine).await
    };
    record.note("a machine moves with its TPM", moved.await);
    record.0
}
