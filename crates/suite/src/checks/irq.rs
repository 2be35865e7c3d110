//! Interrupts and timers.

use std::time::{Duration, Instant};

use hospitium_host::alter;
use hospitium_model::{Capability, Finding, Observations, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::read;
use crate::fault::{Call, SeamFault};
use crate::patience::cpu_wait;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&TICK_RATE, &MSI, &SPREAD, &NMI];

check! {
    /// Timers expire at the rate that was asked for.
    pub TICK_RATE = "irq.tick-rate", tier: Reversible, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::Ticks { .. }, OwnedReply::Sleeps { total_ns, .. }) = (request, reply) {
                *total_ns *= 2;
            }
        });
    async fn tick_rate(cell) {
        const COUNT: u32 = 50;
        let period = Duration::from_millis(10);
        let tolerance = cell.expect_number("tolerance-percent")?;
        let waited_before = cpu_wait(cell.machine()).await;
        let begun = Instant::now();
        let ticks = cell.guest.ticks(period, COUNT).await?;
        let host = begun.elapsed().as_secs_f64() * 1e3;
        // A timer cannot expire on a vCPU that gets no CPU.
        let waited = cpu_wait(cell.machine()).await.saturating_sub(waited_before);
        let waited = waited.as_secs_f64() * 1e3;
        let asked = period.as_secs_f64() * 1e3 * f64::from(COUNT);
        let guest = ticks.total.as_secs_f64() * 1e3;
        let mut seen = Observations::of([
            Finding::guest_is("expirations", ticks.count, COUNT),
            Finding::guest_between("time of all", "ms", guest, asked * 0.9, asked * (1.0 + tolerance / 100.0) + waited.round()),
            Finding::within("time of all, by both clocks", "ms", guest, host, asked * tolerance / 100.0),
        ]);
        let (least, most) = (ticks.least.as_secs_f64() * 1e3, ticks.most.as_secs_f64() * 1e3);
        seen.note(format!(
            "shortest period {least:.2} ms, longest {most:.2} ms; the VMM waited {waited:.0} ms for a CPU"
        ));
        Ok(seen)
    }
}

/// Of each paravirtual PCI function that has a driver: its slot, and whether the guest runs it on
/// message-signalled interrupts.
async fn paravirtual_interrupts(cell: &mut Cell) -> Result<Vec<(String, bool)>, CheckError> {
    let root = "/sys/bus/pci/devices";
    let mut all = Vec::new();
    for address in read::names(&cell.guest, root).await? {
        let at = format!("{root}/{address}");
        let vendor = read::number(&cell.guest, &format!("{at}/vendor")).await?;
        let bound = read::link_name(&cell.guest, &format!("{at}/driver")).await?.is_some();
        if vendor == 0x1AF4 && bound {
            let device = read::number(&cell.guest, &format!("{at}/device")).await?;
            let msi = !read::names(&cell.guest, &format!("{at}/msi_irqs")).await?.is_empty();
            all.push((format!("{device:04x}"), msi));
        }
    }
    all.sort();
    Ok(all)
}

check! {
    /// Paravirtual devices interrupt by message (MSI-X) and not by a shared line.
    pub MSI = "irq.msi", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.devices, |all| all.retain(|d| d.vendor != 0x1AF4));
        }));
    async fn msi(cell) {
        let guest = paravirtual_interrupts(cell).await?;
        let mut host: Vec<String> = cell.look().await?.devices?.value.iter()
            .filter(|d| d.vendor == 0x1AF4)
            .map(|d| format!("{:04x}", d.device))
            .collect();
        host.sort();
        let on_lines: Vec<Value> =
            guest.iter().filter(|(_, msi)| !msi).map(|(name, _)| name.as_str().into()).collect();
        let by_message: Vec<Value> =
            guest.iter().filter(|(_, msi)| *msi).map(|(name, _)| name.as_str().into()).collect();
        let Value::List(accepted) = cell.expect("accepted-on-lines")? else {
            return Err(CheckError::unreadable("the expectation", "not a list"));
        };
        Ok(Observations::of([
            Finding::guest_subset("paravirtual devices on MSI-X", by_message.clone(), host.iter().map(|h| Value::from(h.as_str())).collect::<Vec<_>>()),
            Finding::guest_subset("paravirtual devices on a line, and accepted so", on_lines, accepted),
            Finding::guest_is("any on MSI-X", !by_message.is_empty(), true),
        ]))
    }
}

/// Sum over all vCPUs, and per vCPU, of a line of `/proc/interrupts` that holds `name`.
async fn interrupts(cell: &mut Cell, name: &str) -> Result<Vec<u64>, CheckError> {
    let table = read::text(&cell.guest, "/proc/interrupts").await?;
    let cpus = table.lines().next().unwrap_or_default().split_whitespace().count();
    let mut sums = vec![0_u64; cpus];
    for line in table.lines().skip(1).filter(|line| line.contains(name)) {
        let counts = line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }
    Ok(sums)
}

check! {
    /// Device interrupts are not all served by one vCPU: each vCPU takes its timer's, and one that is told to
    /// takes a device's.
    pub SPREAD = "irq.spread", tier: Reversible, needs: [Need::Vcpus(2)],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path: "/proc/interrupts", .. }, OwnedReply::Data(data)) = (request, reply) {
                data.retain(|b| !b.is_ascii_digit());
                data.splice(0..0, b"CPU0 CPU1\n".iter().copied());
            }
        });
    async fn spread(cell) {
        let before = interrupts(cell, "LOC:").await?;
        cell.guest.load(cell.spec().cpus.count(), "", Duration::from_millis(300)).await?;
        tokio::time::sleep(Duration::from_millis(350)).await;
        let after = interrupts(cell, "LOC:").await?;
        let served = after.iter().zip(&before).filter(|(after, before)| after > before).count();
        let threads = cell.look().await?.vcpu_threads?.value.len();
        Ok(Observations::of([Finding::same_as("vCPUs that took timer interrupts, and that run", served, threads, cell.spec().cpus.count())]))
    }
}

check! {
    /// A non-maskable interrupt from outside is counted once by the guest's first vCPU.
    pub NMI = "irq.nmi", tier: Disruptive, needs: [Need::Host(Capability::Nmi)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Nmi));
    async fn nmi(cell) {
        let before = interrupts(cell, "NMI:").await?;
        cell.inject()?.nmi().await?;
        let first = |counts: &[u64]| counts.first().copied().unwrap_or(0);
        let mut after = before.clone();
        // It is served within microseconds of guest time; an answer of the probe takes longer.
        for _ in 0..40 {
            after = interrupts(cell, "NMI:").await?;
            if first(&after) > first(&before) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(Observations::of([Finding::same("non-maskable interrupts at vCPU 0", first(&after) - first(&before), 1_u32)]))
    }
}
