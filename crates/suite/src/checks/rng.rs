//! Random numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use hospitium_host::{Generation, Sight};
use hospitium_model::{
    Answer, Capability, Finding, GuestSource, HostSource, Inside, Observations, Value,
};

use super::{devices, wait};
use crate::{Cell, Check, CheckError, CloneOptions, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&DEVICE, &UNIQUE];

check! {
    /// The paravirtual random-number device is the guest's current source and gives bytes.
    pub DEVICE = "rng.device", tier: Reversible,
        needs: [Need::Host(Capability::RngDevice), Need::Driver("rng"), Need::Sight(SightKind::Devices)],
        fault: Fault::Guest("hardware_random", |_, told| {
            if let Some(bytes) = told.as_array_mut() {
                bytes.fill(0.into());
            }
        });
    async fn device(cell) {
        devices::load_driver(cell, "rng").await?;
        let system = cell.system();
        let current = system.hardware_source().await?;
        let current = current.map(|name| name.split('.').next().unwrap_or_default().to_owned());
        let first = system.hardware_random(64).await?;
        let second = system.hardware_random(64).await?;
        // VIRTIO 1.2, 5.4: device type 4, PCI id 0x1040 + 4; 0x1005 is the transitional id.
        let there = cell.look().await?.devices?.map(|all| {
            all.iter().any(|d| d.vendor == super::ident::VIRTIO && matches!(d.device, 0x1044 | 0x1005))
        });
        let length = first.as_ref().map(|first| first.len() + second.value.len());
        let vary = first.map(|first| varies(&first) && varies(&second.value) && first != second.value);
        Ok(Observations::of([
            Finding::each("current source, and the device", current, cell.expect("source")?, there, true),
            Finding::guest_is("bytes read twice", length, 128),
            Finding::guest_is("they vary, and differ", vary, true),
        ]))
    }
}

/// Whether these may be random bytes: of 32, more than 8 are different ones in all but one of 10^30 draws.
fn varies(bytes: &[u8]) -> bool {
    bytes.iter().collect::<BTreeSet<_>>().len() > 8
}

/// What one clone drew, before anybody gave it entropy.
struct Draw {
    /// At once.
    first: Inside<Vec<u8>>,
    /// Once its kernel had reseeded for its generation id; the first where it never does.
    bytes: Inside<Vec<u8>>,
    /// The hypervisor's answer: its generation id.
    id: Sight<String>,
    /// Its process, where it has one.
    process: Sight<u32>,
    /// Whether its kernel said that it reseeded for the id's sake.
    reseeded: bool,
}

/// Bytes that are drawn: that two of so many are the same by chance happens to nobody.
const BYTES: u32 = 32;
/// Three, since Linux keeps one generator a CPU (drivers/char/random.c, struct crng): of three machines with two
/// vCPUs, two draw from the same one.
const MACHINES: usize = 3;
/// How long a kernel may take to hear of its new generation id, which it is told by an interrupt.
const NOTICE: Duration = Duration::from_secs(5);

/// Has clones drawn from, one after the other.
async fn draw(
    cell: &mut Cell,
    generation: Generation,
    hears: bool,
) -> Result<Vec<Draw>, CheckError> {
    let mut all = Vec::new();
    for _ in 0..MACHINES {
        let options = CloneOptions { generation, fresh_entropy: false };
        let other = cell.another_clone_as(options).await?;
        let drawn = one(&other, hears).await;
        other.finish().await?;
        all.push(drawn?);
    }
    Ok(all)
}

async fn one(clone: &Cell, hears: bool) -> Result<Draw, CheckError> {
    let told = async || Ok(clone.system().reseeds_by_generation().await?.value > 0);
    let draw = async || {
        let bytes = clone.system().random(BYTES).await?;
        if bytes.value.len() != BYTES as usize {
            return Err(CheckError::unreadable("random bytes", "too few"));
        }
        Ok(bytes)
    };
    let first = draw().await?;
    let reseeded = hears && wait::until(NOTICE, told, |told| *told).await?;
    let bytes = if reseeded { draw().await? } else { first.clone() };
    let process = match clone.process().await {
        Ok(process) => process.pid,
        Err(CheckError::Unable(unseen)) => Err(unseen),
        Err(other) => return Err(other),
    };
    Ok(Draw { first, bytes, id: clone.look().await?.generation_id, process, reseeded })
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> usize {
    all.collect::<BTreeSet<_>>().len()
}

fn different_bytes(draws: &[Draw]) -> usize {
    distinct(draws.iter().map(|draw| &draw.bytes.value))
}

fn shown(draws: &[Draw]) -> Value {
    let hex = |draw: &Draw| draw.bytes.value.iter().map(|b| format!("{b:02x}")).collect::<String>();
    draws.iter().map(hex).collect()
}

check! {
    /// Machines restored from one snapshot give different random bytes without the harness's help: the hypervisor
    /// gives each a generation id of its own, for which the guest's kernel reseeds its generator.
    pub UNIQUE = "rng.unique-after-restore", tier: Disruptive, needs: [Need::Clones],
        fault: Fault::StaleClone, limit: 120 s;
    async fn unique(cell) {
        let has_id = cell.spec().generation_id.is_some();
        let hears = has_id && cell.system().reseeds_on_generation().await?.value;
        let fresh = draw(cell, Generation::Fresh, hears).await?;
        let ids: Option<Vec<&String>> =
            fresh.iter().map(|draw| draw.id.as_ref().ok().map(|seen| &seen.value)).collect();
        // A host that shows the ids of some machines only shows too little to tell.
        if ids.is_none() && fresh.iter().any(|draw| draw.id.is_ok()) {
            let unseen = fresh.iter().find_map(|draw| draw.id.as_ref().err().cloned());
            return unseen.map_or_else(|| Ok(Observations::new()), |why| Err(why.into()));
        }
        let source = fresh.first().map_or(GuestSource::Kernel, |draw| draw.bytes.source);
        let different = source.saw(different_bytes(&fresh));
        let mut seen = Observations::new();
        match ids.filter(|_| has_id) {
            Some(ids) => {
                let host = HostSource::Hypervisor.saw(distinct(ids.into_iter()));
                let what = "machines that differ: by random bytes, by generation id";
                seen.push(Finding::same_as(what, different, host, MACHINES));
            }
            None => {
                let processes: Result<Vec<u32>, _> =
                    fresh.iter().map(|draw| draw.process.as_ref().map(|seen| seen.value)).collect();
                match processes {
                    Ok(processes) => {
                        let host = HostSource::Process.saw(distinct(processes.into_iter()));
                        let what = "machines that differ: by random bytes, by process";
                        seen.push(Finding::same_as(what, different, host, MACHINES));
                    }
                    Err(unseen) => {
                        seen.push(Finding::guest_is("machines that differ by random bytes", different, MACHINES));
                        seen = seen.only_one_witness(format!("the host shows neither generation ids nor processes: {}", unseen.why));
                    }
                }
                seen.note("the machine has no generation id by which its guest could know that it is a clone");
            }
        }
        if has_id {
            // Without it, two that differ do so by chance: the generator was due to be reseeded anyway.
            let reseeded = fresh.iter().filter(|draw| draw.reseeded).count();
            seen.push(Finding::guest_is("kernels that reseeded for their generation id", source.saw(reseeded), MACHINES));
        }
        let alive = fresh.iter().filter(|draw| varies(&draw.bytes.value)).count();
        seen.push(Finding::guest_is("machines whose random bytes vary", source.saw(alive), MACHINES));
        seen.push(Finding::recorded("bytes of each").inside(source.saw(shown(&fresh))));
        if has_id && let Answer::No(why) = cell.lab().host().offers(Capability::KeepGenerationId) {
            seen.note(format!("what machines draw that keep the id of the saved one was not tried: {why}"));
        } else if has_id {
            let kept = draw(cell, Generation::Kept, false).await?;
            let alone = different_bytes(&kept);
            seen.push(Finding::recorded("bytes of each with the id of the saved machine").inside(source.saw(shown(&kept))));
            seen.note(match (hears, alone < MACHINES) {
                (true, true) => format!(
                    "the generation id protects this pair: {MACHINES} machines that kept the id drew {alone} different values"
                ),
                (true, false) => "machines that kept the id differed, too: something besides the generation id makes \
                    them differ here, such as a generator that was due to be reseeded"
                    .into(),
                (false, _) => format!(
                    "nothing protects this pair: the guest's kernel would reseed for a generation id, and its driver has \
                     found none; {MACHINES} machines that kept the id drew {alone} different values"
                ),
            });
            // The id comes with an interrupt, which is served while programs run.
            let early = fresh.iter().filter(|draw| kept.iter().any(|k| k.first.value == draw.first.value));
            match early.count() {
                0 => {}
                count => seen.note(format!(
                    "{count} of {MACHINES} machines drew before their kernel had heard of its new id, and got what those \
                     got that kept it: a program that draws in the first milliseconds is not protected"
                )),
            }
        }
        Ok(seen)
    }
}
