//! The core: power, serial ports, events, looks, ends.

use hospitium_model::{Answer, Bus, ByteSize, DiskRole};

use super::{LIMIT, Lab, Promise, Record, refused, state};
use crate::machine::{Machine, PowerVerb};
use crate::{Ended, EventClass, EventKind, HostError, MachineState};

/// Waits for an event; a host that does not tell of such events is not asked for it.
async fn tells(
    machine: &dyn Machine,
    from: usize,
    class: EventClass,
    wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
) -> Result<bool, HostError> {
    if let Answer::No(why) = machine.observes(class) {
        return Err(hospitium_model::Inability::of_host(why).into());
    }
    machine.wait_event(from, "an event", LIMIT, wanted).await.map(|_| true)
}

/// What every machine on every host does.
pub async fn core(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let spec = lab.spec();
    let what = "a machine is defined";
    let Some(machine) = record.got(what, lab.defined("core", &spec).await) else {
        return record.0;
    };
    let machine = &*machine;
    let still = state(machine).await.map(|state| state != MachineState::Running);
    record.note("a machine that was not switched on does not run", still);
    let on = machine.power(PowerVerb::On).await;
    let on = match on {
        Ok(()) => state(machine).await.map(|state| state == MachineState::Running),
        Err(error) => Err(error),
    };
    record.note("a machine that is switched on runs", on);
    let again = refused(machine.power(PowerVerb::On).await);
    record.note("a machine is switched on once", again);
    let taken = machine.serial("console").await.map(drop);
    record.note("a serial port can be taken", taken.map(|()| true));
    record.note("and once only", refused(machine.serial("console").await));
    record.note("there is none of another name", refused(machine.serial("no-such").await));
    look(lab, machine, &mut record).await;
    pause_and_reset(machine, &mut record).await;
    let ended = machine.finish().await.map(|ended| ended == Ended::ByUs);
    record.note("a machine that is ended by us says so", ended);
    let again = machine.finish().await.map(|ended| ended == Ended::ByUs);
    record.note("and says the same when it is ended again", again);
    let gone = matches!(machine.power(PowerVerb::Pause).await, Err(HostError::Ended { .. }));
    record.note("what is asked of it then is told that it has ended", Ok(gone));
    let cut = async {
        let machine = lab.running("cut", &spec).await?;
        machine.power(PowerVerb::Off).await?;
        Ok(machine.ended().await.expected())
    };
    record.note("a machine whose plug is pulled is gone, and nobody wonders", cut.await);
    choices(lab, &mut record).await;
    store(lab, &mut record).await;
    record.0
}

/// A file that is handed over is found by the machines under the name that the store gives.
async fn store(lab: &Lab<'_>, record: &mut Record) {
    let image = lab.folder.join("image.raw");
    let used = async {
        std::fs::write(&image, [7; 1 << 20]).map_err(HostError::io("making an image"))?;
        let stored = lab.host.store().put(&image).await?;
        let again = lab.host.store().put(&image).await?;
        let mut spec = lab.spec();
        spec.disks = vec![super::devices::disk("handed", DiskRole::Data, Bus::Virtio)];
        (spec.disks[0].image, spec.disks[0].format) =
            (Some(stored.path.clone()), Some("raw".into()));
        let machine = lab.running("handed", &spec).await?;
        let disks = machine.look().await?.disks?.value;
        machine.finish().await?;
        let size = disks.iter().find(|disk| disk.id == "handed").map(|disk| disk.size);
        Ok(stored == again && size == Some(ByteSize::mib(1)))
    };
    record.note("a file that is handed over twice is one, and a machine has it", used.await);
    let none = lab.host.store().put(&lab.folder.join("no-such")).await;
    record.note("a file that is not there is not handed over", Ok(none.is_err()));
}

/// CPU models and machine types by name: what is offered is made, and seen by what the host answers; what is not is
/// refused before anything starts.
async fn choices(lab: &Lab<'_>, record: &mut Record) {
    let what = "the host names its CPU models and machine types";
    let offered = lab.host.choices().map_err(HostError::from);
    let Some(offered) = record.got(what, offered) else { return };
    let mut spec = lab.spec();
    spec.cpu_model = Some("no-such-cpu".into());
    let unknown = lab.defined("no-such-cpu", &spec).await;
    let refused = matches!(unknown, Err(HostError::NotOffered { .. }));
    record.note("a CPU model that is not offered is refused", Ok(refused));
    spec.cpu_model = None;
    spec.machine_type = Some("no-such-machine".into());
    let unknown = lab.defined("no-such-machine", &spec).await;
    let refused = matches!(unknown, Err(HostError::NotOffered { .. }));
    record.note("a machine type that is not offered is refused", Ok(refused));
    let types = offered.machine_types.iter().filter(|choice| choice.chipset == spec.chipset);
    // Not the one that a machine gets of which none is named.
    let machine = types.filter(|choice| choice.alias.is_none()).map(|c| &c.name).max().cloned();
    let usable = offered.cpu_models.iter().filter(|choice| choice.unusable.is_none());
    // Long names are those of CPUs of today, which go with every chipset; a 486 has no APIC.
    let cpu = usable.map(|choice| &choice.name).max_by_key(|name| name.len()).cloned();
    spec.cpu_model.clone_from(&cpu);
    spec.machine_type.clone_from(&machine);
    let seen = async {
        let machine = lab.running("chosen", &spec).await?;
        let look = machine.look().await?;
        machine.finish().await?;
        Ok(Some(look.cpu_type?.value) == cpu && Some(look.machine_type?.value) == spec.machine_type)
    };
    record.note("a machine has the CPU model and the type that it names", seen.await);
}

async fn look(lab: &Lab<'_>, machine: &dyn Machine, record: &mut Record) {
    let what = "a machine can be looked at";
    let Some(look) = record.got(what, machine.look().await) else { return };
    let spec = lab.spec();
    let memory = look.memory.map(|seen| seen.value == spec.memory.size);
    record.note("the host sees the declared memory", memory.map_err(HostError::from));
    let vcpus = look.vcpus.map(|seen| seen.value.len() == spec.cpus.count() as usize);
    record.note("the host sees the declared vCPUs", vcpus.map_err(HostError::from));
    let used = lab.host.facts().accelerator.used;
    let accelerator = look.accelerator.map(|seen| seen.value == used);
    record.note(
        "the machine runs by what the host has measured",
        accelerator.map_err(HostError::from),
    );
    let firmware = look.firmware.map(|seen| seen.value == spec.firmware);
    record.note("the host sees the declared firmware", firmware.map_err(HostError::from));
}

async fn pause_and_reset(machine: &dyn Machine, record: &mut Record) {
    let from = machine.events().len();
    let paused = async {
        machine.power(PowerVerb::Pause).await?;
        Ok(state(machine).await? == MachineState::Paused)
    };
    record.note("a pause stops a machine", paused.await);
    let twice = async {
        machine.power(PowerVerb::Pause).await?;
        Ok(state(machine).await? == MachineState::Paused)
    };
    record.note("a pause of a paused machine leaves it so", twice.await);
    let told = tells(machine, from, EventClass::Running, &|kind| *kind == EventKind::Paused).await;
    record.note("and the host tells of it", told);
    let resumed = async {
        machine.power(PowerVerb::Resume).await?;
        Ok(state(machine).await? == MachineState::Running)
    };
    record.note("a machine that was paused goes on", resumed.await);
    let twice = async {
        machine.power(PowerVerb::Resume).await?;
        Ok(state(machine).await? == MachineState::Running)
    };
    record.note("a machine that runs goes on when it is told to", twice.await);
    let from = machine.events().len();
    let reset = machine.power(PowerVerb::Reset).await;
    let told = match reset {
        Ok(()) => {
            let by_us = EventKind::Reset { by_guest: false };
            tells(machine, from, EventClass::Reset, &|kind| *kind == by_us).await
        }
        Err(error) => Err(error),
    };
    record.note("a reset from outside is told as one", told);
    let still_here = matches!(state(machine).await, Ok(MachineState::Running));
    record.note("a machine runs after a reset", Ok(still_here));
}
