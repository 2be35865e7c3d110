//! Random numbers.

use std::collections::BTreeSet;

use hospitium_host::Generation;
use hospitium_model::{Capability, Finding, Inside, Observations, Outside, Value};

use super::devices;
use super::wait::{SETTLE, until};
use crate::{Cell, Check, CheckError, CloneOptions, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&DEVICE, &UNIQUE];

check! {
    /// The paravirtual random-number device is the guest's current source and gives bytes.
    pub DEVICE = "rng.device", tier: Reversible,
        needs: [Need::Host(Capability::RngDevice), Need::Driver("rng")],
        fault: Fault::Guest("hardware_random", |_, told| {
            if let Some(bytes) = told.as_array_mut() {
                bytes.fill(0.into());
            }
        });
    async fn device(cell) {
        devices::load_driver(cell, "rng").await?;
        let source = cell.system().hardware_source().await?.map(|name| name.split('.').next().unwrap_or_default().to_owned());
        let first = cell.system().hardware_random(64).await?;
        let second = cell.system().hardware_random(64).await?;
        // VIRTIO 1.2, 5.4: device type 4, PCI id 0x1040 + 4; 0x1005 is the transitional id.
        let there = cell.look().await?.devices?.map(|devices| {
            devices.iter().any(|d| d.vendor == 0x1AF4 && matches!(d.device, 0x1044 | 0x1005))
        });
        let alive = |bytes: &[u8]| bytes.len() == 64 && bytes.iter().collect::<BTreeSet<_>>().len() > 8;
        let good = first.as_ref().map(|first| alive(first) && alive(&second.value) && *first != second.value);
        Ok(Observations::of([
            Finding::guest_is("current source", source, "virtio_rng"),
            Finding::same_as("the device is there, and gives bytes that vary", good, there, true),
        ]))
    }
}

/// How many machines are restored. Three, since Linux keeps one generator a CPU (drivers/char/random.c, struct crng):
/// of three machines with two vCPUs, two draw from the same one.
const CLONES: usize = 3;

/// What restored machines drew first, and their generation ids.
struct Drawn {
    /// The first that they gave.
    at_once: Inside<Vec<Vec<u8>>>,
    /// What they gave when their kernel had noticed the new id, or does not listen to it.
    bytes: Inside<Vec<Vec<u8>>>,
    ids: Outside<Vec<String>>,
}

/// Has so many clones draw 32 bytes each: the first that they do, and again when their kernel has taken note of a new
/// generation id, which it does by an interrupt.
async fn draw(cell: &mut Cell, options: CloneOptions) -> Result<Drawn, CheckError> {
    let (mut at_once, mut bytes, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut source = None;
    for _ in 0..CLONES {
        let other = cell.another_clone_as(options).await?;
        at_once.push(other.system().random(32).await?.value);
        if options.generation == Generation::Fresh
            && other.system().reseeds_on_generation().await?.value
        {
            let noticed = || async { Ok(other.system().reseeds_by_generation().await?.value) };
            until(SETTLE, noticed, |times| *times > 0).await?;
        }
        let drawn = other.system().random(32).await?;
        let id = other.look().await?.generation_id?;
        source = Some((drawn.source, id.source));
        bytes.push(drawn.value);
        ids.push(id.value);
        other.finish().await?;
    }
    match source {
        Some((inside, outside)) if bytes.iter().chain(&at_once).all(|bytes| bytes.len() == 32) => {
            Ok(Drawn {
                at_once: inside.saw(at_once),
                bytes: inside.saw(bytes),
                ids: outside.saw(ids),
            })
        }
        _ => Err(CheckError::unreadable("random bytes", "too few")),
    }
}

check! {
    /// Machines restored from one snapshot give different random bytes.
    pub UNIQUE = "rng.unique-after-restore", tier: Disruptive, needs: [Need::GenerationId, Need::Host(Capability::GenerationId)],
        fault: Fault::StaleClone;
    async fn unique(cell) {
        // Nobody gives these clones entropy: they have what the host changes, and what their kernel makes of it.
        let alone = |generation| CloneOptions { generation, fresh_entropy: false };
        let renewed = draw(cell, alone(Generation::Fresh)).await?;
        let kept = draw(cell, alone(Generation::Kept)).await?;
        let reseeds = cell.system().reseeds_on_generation().await?;
        let distinct = |bytes: &Vec<Vec<u8>>| bytes.iter().collect::<BTreeSet<_>>().len();
        let hex = |all: &Vec<Vec<u8>>| -> Value {
            all.iter().map(|bytes| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()).collect()
        };
        let ids = renewed.ids.as_ref().map(|ids| ids.iter().collect::<BTreeSet<_>>().len());
        let mut seen = Observations::of([
            Finding::same_as("different random bytes once the kernel has noticed, and generation ids", renewed.bytes.as_ref().map(distinct), ids, CLONES),
            Finding::recorded("bytes of each").inside(renewed.bytes.as_ref().map(hex)),
            Finding::recorded("different random bytes before it has noticed").inside(renewed.at_once.as_ref().map(distinct)),
            Finding::recorded("different random bytes where the generation id is kept").inside(kept.at_once.as_ref().map(distinct)),
            Finding::recorded("the kernel reseeds when the generation id changes").inside(reseeds),
        ]);
        seen.note(match (reseeds.value, distinct(&kept.at_once.value) < CLONES) {
            (true, true) => "the generation id protects the pair: with it kept, clones give the same bytes",
            (true, false) => "the kernel reseeds on the generation id; with the id kept something else kept the bytes apart",
            (false, _) => "the kernel does not listen to the generation id (Linux does since 5.18): nothing that the host does protects the pair",
        });
        Ok(seen)
    }
}
