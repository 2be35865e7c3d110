//! Random numbers.

use std::collections::BTreeSet;

use hospitium_model::{Capability, Finding, Observations, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::read;
use crate::{Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&DEVICE, &UNIQUE];

check! {
    /// The paravirtual random-number device is the guest's current source and gives bytes.
    pub DEVICE = "rng.device", tier: Reversible,
        needs: [Need::Host(Capability::RngDevice), Need::Driver("rng")],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadDevice { .. }, OwnedReply::Data(data)) = (request, reply) {
                data.fill(0);
            }
        });
    async fn device(cell) {
        super::load::driver(cell, "rng").await?;
        let current = read::text(&cell.guest, "/sys/class/misc/hw_random/rng_current").await?;
        let first = cell.guest.read_device("/dev/hwrng", 64, std::time::Duration::from_secs(5)).await?;
        let second = cell.guest.read_device("/dev/hwrng", 64, std::time::Duration::from_secs(5)).await?;
        // VIRTIO 1.2, 5.4: device type 4, PCI id 0x1040 + 4; 0x1005 is the transitional id.
        let there = cell.look().await?.devices?.value.iter()
            .any(|d| d.vendor == 0x1AF4 && matches!(d.device, 0x1044 | 0x1005));
        let alive = |bytes: &[u8]| bytes.iter().collect::<BTreeSet<_>>().len() > 8;
        Ok(Observations::of([
            Finding::guest_is("current source", current.split('.').next().unwrap_or_default(), "virtio_rng"),
            Finding::guest_is("bytes read twice", first.len() + second.len(), 128),
            Finding::guest_is("they vary, and differ", alive(&first) && first != second, true),
            Finding::host_is("device present", there, true),
        ]))
    }
}

check! {
    /// Machines restored from one snapshot give different random bytes.
    pub UNIQUE = "rng.unique-after-restore", tier: Disruptive, needs: [],
        fault: Fault::StaleClone;
    async fn unique(cell) {
        let mut drawn = vec![cell.guest.random(32).await?];
        let mut pids = vec![cell.process().await?.pid?.value];
        // Three, since Linux keeps one generator a CPU (drivers/char/random.c, struct crng): of three
        // machines with two vCPUs, two draw from the same one.
        for _ in 0..2 {
            let other = cell.another_clone().await?;
            drawn.push(other.guest.random(32).await?);
            pids.push(other.process().await?.pid?.value);
            other.finish().await?;
        }
        if drawn.iter().any(|bytes| bytes.len() != 32) {
            return Err(CheckError::unreadable("random bytes", "too few"));
        }
        let hex = |bytes: &Vec<u8>| -> Value { bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into() };
        let bytes = Value::List(drawn.iter().map(hex).collect());
        let distinct = drawn.iter().collect::<BTreeSet<_>>().len();
        let processes = pids.iter().collect::<BTreeSet<_>>().len();
        Ok(Observations::of([
            Finding::guest_is("the same 32 bytes in two of them", distinct < drawn.len(), false),
            Finding::host_is("VM processes of one snapshot", processes, pids.len()),
            Finding::recorded("bytes of each").inside(Value::from(bytes)),
        ]))
    }
}
