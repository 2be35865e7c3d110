//! Interrupts and timers.

use std::time::Duration;

use hospitium_host::alter;
use hospitium_model::{Capability, Finding, HostSource, Observations, Value};
use hospitium_peer::PeerOptions;
use hospitium_system::Interrupts;

use super::net;
use super::wait::until;
use crate::fault::{Call, SeamFault};
use crate::patience::cpu_wait;
use crate::{Check, CheckError, Fault, Need, check, device};

/// Vendor id of paravirtual devices (VIRTIO 1.2, 4.1.2).
const VIRTIO: u16 = 0x1AF4;
/// Datagrams that are sent and come back while interrupts are counted.
const ECHOES: u32 = 20;

/// All of this file.
pub const CHECKS: &[&Check] = &[&TICK_RATE, &MSI, &SPREAD, &NMI];

check! {
    /// Timers expire at the rate that was asked for.
    pub TICK_RATE = "irq.tick-rate", tier: Reversible, needs: [],
        fault: Fault::Guest("ticks", |_, told| told["total"]["secs"] = 9.into());
    async fn tick_rate(cell) {
        const COUNT: u32 = 50;
        let period = Duration::from_millis(10);
        let tolerance = cell.expect_number("tolerance-percent")?;
        let waited_before = cpu_wait(cell.machine()).await;
        let begun = cell.now().await?;
        let ticks = cell.system().ticks(period, COUNT).await?;
        let ended = cell.now().await?;
        // A timer cannot expire on a vCPU that gets no CPU.
        let waited = cpu_wait(cell.machine()).await.saturating_sub(waited_before);
        let waited = (waited.as_secs_f64() * 1e3).round();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let asked = ms(period) * f64::from(COUNT);
        let guest = ticks.map(|ticks| ms(ticks.total));
        let host = HostSource::Clock.saw(ms(ended.monotonic.saturating_sub(begun.monotonic)));
        let mut seen = Observations::of([
            Finding::guest_is("expirations", ticks.map(|ticks| ticks.count), COUNT),
            Finding::guest_between("time of all", "ms", guest, asked * 0.9, asked * (1.0 + tolerance / 100.0) + waited),
            Finding::within("time of all, by both clocks", "ms", guest, host, asked * tolerance / 100.0),
        ]);
        seen.note(format!(
            "shortest period {:.2} ms, longest {:.2} ms; the VMM waited {waited:.0} ms for a CPU",
            ms(ticks.value.least), ms(ticks.value.most)
        ));
        Ok(seen)
    }
}

check! {
    /// Paravirtual devices interrupt by message (MSI-X) and not by a shared line.
    pub MSI = "irq.msi", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.devices, |all| all.retain(|d| d.vendor != 0x1AF4));
        }));
    async fn msi(cell) {
        let functions = cell.system().pci().await?;
        let host = cell.look().await?.devices?.map(|devices| {
            let mut all: Vec<String> = devices.iter().filter(|d| d.vendor == VIRTIO).map(|d| format!("{:04x}", d.device)).collect();
            all.sort();
            all
        });
        let of = |by_message: Option<bool>| {
            functions.as_ref().map(|all| {
                let wanted = all.iter().filter(|f| f.vendor == VIRTIO && f.bound.is_some());
                let wanted = wanted.filter(|f| by_message.is_none_or(|wanted| f.by_message == wanted));
                let mut names: Vec<String> = wanted.map(|f| format!("{:04x}", f.device)).collect();
                names.sort();
                names
            })
        };
        let Value::List(accepted) = cell.expect("accepted-on-lines")? else {
            return Err(CheckError::unreadable("the expectation", "not a list"));
        };
        let on_lines = of(Some(false)).map(|names| {
            names.into_iter().map(Value::from).filter(|name| !accepted.contains(name)).collect::<Value>()
        });
        Ok(Observations::of([
            Finding::same("paravirtual devices with a driver", of(None), host),
            Finding::guest_is("those on a line, and not accepted so", on_lines, Vec::<String>::new()),
            Finding::guest_is("any by message", of(Some(true)).map(|names| !names.is_empty()), true),
        ]))
    }
}

check! {
    /// A device's interrupts are served by the vCPU that the guest gives them to, and by no other.
    pub SPREAD = "irq.spread", tier: Reversible, needs: [Need::Vcpus(2), Need::Device(device::NIC)],
        fault: Fault::Guest("interrupts", |_, told| {
            if let Some(counts) = told.as_array_mut() {
                counts.reverse();
            }
        });
    async fn spread(cell) {
        let nic = net::configured(cell, device::NIC)?;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = net::interface(cell, &nic).await? else {
            return net::absent(cell, &nic).await;
        };
        net::bring_up(cell, &name, &options, 0).await?;
        let which = Interrupts::Interface(name);
        let last = cell.spec().cpus.count() - 1;
        let mut seen = Observations::new();
        for cpu in [last, 0] {
            cell.system().steer(&which, cpu).await?;
            // What was under way at the move still arrives where it was.
            net::echo(cell, &options, 64, cell.pattern(0)).await?;
            let before = cell.system().interrupts(&which).await?;
            let frames = net::stats(cell).await?.frames_to_guest;
            for n in 0..ECHOES {
                net::echo(cell, &options, 64, cell.pattern(u64::from(n))).await?;
            }
            let after = cell.system().interrupts(&which).await?;
            let sent = net::stats(cell).await?.frames_to_guest.saturating_sub(frames);
            let at = |counts: &[u64], cpu: u32| counts.get(cpu as usize).copied().unwrap_or(0);
            let gained = after.as_ref().map(|after| at(after, cpu).saturating_sub(at(&before.value, cpu)) > 0);
            let elsewhere = after.as_ref().map(|after| {
                let others = (0..=last).filter(|other| *other != cpu);
                others.map(|other| at(after, other).saturating_sub(at(&before.value, other))).sum::<u64>()
            });
            let sent = HostSource::Wire.saw(sent >= u64::from(ECHOES));
            seen.push(Finding::same_as(format!("frames came, and vCPU {cpu} was interrupted for them"), gained, sent, true));
            seen.push(Finding::guest_is(format!("interrupts for them at others than vCPU {cpu}"), elsewhere, 0_u64));
        }
        Ok(seen)
    }
}

check! {
    /// A non-maskable interrupt from outside is counted once by the guest's first vCPU.
    pub NMI = "irq.nmi", tier: Disruptive, needs: [Need::Host(Capability::Nmi)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Nmi));
    async fn nmi(cell) {
        let before = cell.system().interrupts(&Interrupts::NonMaskable).await?.value;
        let first = |counts: &[u64]| counts.first().copied().unwrap_or(0);
        cell.inject()?.nmi().await?;
        // It is served within microseconds of guest time; an answer of the probe takes longer.
        let ask = async || Ok(cell.system().interrupts(&Interrupts::NonMaskable).await?);
        let after = until(Duration::from_secs(1), ask, |counts| first(&counts.value) > first(&before)).await?;
        let counted = after.map(|counts| first(&counts).saturating_sub(first(&before)));
        // The hypervisor's answer that it has done it is what the host sees.
        let injected = HostSource::Hypervisor.saw(1_u64);
        Ok(Observations::of([Finding::same_as("non-maskable interrupts at vCPU 0", counted, injected, 1_u64)]))
    }
}
