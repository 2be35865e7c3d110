//! Saving, going on from what was saved, moving.

use hospitium_model::{Answer, ByteSize, Capability};

use super::{Lab, Promise, Record, state};
use crate::host::Isolation;
use crate::machine::{Machine, PowerVerb};
use crate::{Continuation, Generation, HostError, MachineState, MemoryFrom, Snapshot};

const SPECIFIED: &str = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87";

async fn restored(
    lab: &Lab<'_>,
    snapshot: &Snapshot,
    how: impl Into<Continuation>,
    name: &str,
) -> Result<Box<dyn Machine>, HostError> {
    lab.host.cloning()?.restore(snapshot, how.into(), &lab.dir(name)?).await
}

/// Saving to files, and machines that go on from them.
pub async fn saving(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let mut spec = lab.spec();
    spec.generation_id = Some(SPECIFIED.into());
    spec.balloon = matches!(lab.host.offers(Capability::Balloon), Answer::Yes);
    let what = "a machine is saved, and is gone then";
    let saved = async {
        lab.host.cloning()?;
        let machine = lab.running("saved", &spec).await?;
        let snapshot = machine.saving()?.snapshot(&lab.folder.join("snapshot")).await?;
        let expected = machine.ended().await.expected();
        Ok((snapshot, expected))
    };
    let Some((snapshot, expected)) = record.got(what, saved.await) else { return record.0 };
    record.note(what, Ok(expected));
    let paused = async {
        let clone = restored(lab, &snapshot, Generation::Fresh, "clone-1").await?;
        let waits = state(&*clone).await? == MachineState::Paused;
        clone.power(PowerVerb::Resume).await?;
        let runs = state(&*clone).await? == MachineState::Running;
        let look = clone.look().await?;
        let memory = look.memory.is_ok_and(|seen| seen.value == ByteSize::mib(64));
        clone.finish().await?;
        Ok(waits && runs && memory)
    };
    record.note("a machine goes on from what was saved, when it is let", paused.await);
    let ids = async {
        let mut ids = Vec::new();
        for (name, generation) in
            [("a", Generation::Fresh), ("b", Generation::Fresh), ("c", Generation::Kept)]
        {
            let clone = restored(lab, &snapshot, generation, name).await?;
            ids.push(clone.look().await?.generation_id?.value.to_ascii_lowercase());
            clone.finish().await?;
        }
        Ok(ids[0] != ids[1] && !ids[..2].contains(&SPECIFIED.into()) && ids[2] == SPECIFIED)
    };
    record.note("clones are new generations, and a machine that goes on is none", ids.await);
    let copied = async {
        let how = Continuation { memory: MemoryFrom::Copy, ..Continuation::default() };
        let clone = restored(lab, &snapshot, how, "copy").await?;
        clone.power(PowerVerb::Resume).await?;
        let runs = state(&*clone).await? == MachineState::Running;
        if spec.balloon {
            clone.balloon()?.set_balloon(ByteSize::mib(48)).await?;
        }
        clone.finish().await?;
        Ok(runs)
    };
    let what = "a clone with memory of its own can be asked to give some back";
    record.note(what, copied.await);
    if lab.host.isolation() == Isolation::Revert {
        let one_at_once = async {
            let one = restored(lab, &snapshot, Generation::Fresh, "revert-1").await?;
            let other = restored(lab, &snapshot, Generation::Fresh, "revert-2").await?;
            let ended = tokio::time::timeout(super::LIMIT, one.ended()).await.is_ok();
            other.power(PowerVerb::Resume).await?;
            Ok(ended && state(&*other).await? == MachineState::Running)
        };
        let what = "the machine that goes on from a saved one takes the place of the one before";
        record.note(what, one_at_once.await);
    }
    if lab.host.isolation() == Isolation::Fork {
        let both = async {
            let one = restored(lab, &snapshot, Generation::Fresh, "fork-1").await?;
            let other = restored(lab, &snapshot, Generation::Fresh, "fork-2").await?;
            one.power(PowerVerb::Resume).await?;
            other.power(PowerVerb::Resume).await?;
            let states = (state(&*one).await?, state(&*other).await?);
            Ok(states == (MachineState::Running, MachineState::Running))
        };
        record.note("two machines go on from one at once", both.await);
    }
    let intact = async { lab.host.cloning()?.intact(&snapshot).map(|()| true) };
    record.note("what is saved is not changed by the machines that go on from it", intact.await);
    record.0
}

/// Live migration to the same host.
pub async fn moving(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let moved = async {
        let machine = lab.running("move-from", &lab.spec()).await?;
        let moved = machine.moving()?.migrate(lab.host, &lab.dir("move-to")?).await?;
        let gone = machine.ended().await.expected();
        let runs = state(&*moved.machine).await? == MachineState::Running;
        Ok(gone && runs && moved.same_vmm && moved.same_host)
    };
    record.note("a running machine moves and goes on", moved.await);
    record.0
}
