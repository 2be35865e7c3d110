//! Interrupts and timers.

use std::time::Duration;

use hospitium_model::{Capability, Finding, HostSource, Inside, Observations, Value};
use hospitium_peer::PeerOptions;
use hospitium_system::Interrupts;

use super::ident::{Paravirtual, id, ids_of_guest};
use super::wait::until;
use super::{listed, net};
use crate::fault::{Call, SeamFault};
use crate::patience::cpu_wait;
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&TICK_RATE, &MSI, &SPREAD, &NMI];

check! {
    /// Timers expire at the rate that was asked for.
    pub TICK_RATE = "irq.tick-rate", tier: Reversible, needs: [],
        fault: Fault::Guest("ticks", |_, told| {
            if let Some(nanos) = told["total"]["nanos"].as_u64() {
                told["total"]["nanos"] = (nanos / 2).into();
            }
        });
    async fn tick_rate(cell) {
        const COUNT: u32 = 50;
        let period = Duration::from_millis(10);
        let tolerance = cell.expect_number("tolerance-percent")?;
        let waited_before = cpu_wait(cell.machine()).await;
        let begun = cell.now().await?.monotonic;
        let ticks = cell.system().ticks(period, COUNT).await?;
        let took = cell.now().await?.monotonic.saturating_sub(begun);
        let host = HostSource::Clock.saw(ms(took));
        // A timer cannot expire on a vCPU that gets no CPU.
        let waited = ms(cpu_wait(cell.machine()).await.saturating_sub(waited_before));
        let asked = ms(period) * f64::from(COUNT);
        // A first tick that comes late for it shortens the time to the last, which comes when it should.
        let late = waited.round().min(asked * 0.25);
        let total = ticks.as_ref().map(|ticks| ms(ticks.total));
        let mut seen = Observations::of([
            Finding::guest_is("expirations", ticks.as_ref().map(|ticks| ticks.count), COUNT),
            Finding::guest_between("time of all", "ms", total, asked * 0.9 - late, asked * (1.0 + tolerance / 100.0) + waited.round()),
            Finding::within("time of all, by both clocks", "ms", total, host, asked * tolerance / 100.0),
        ]);
        seen.note(format!(
            "shortest period {:.2} ms, longest {:.2} ms; the VMM waited {waited:.0} ms for a CPU",
            ms(ticks.value.least), ms(ticks.value.most)
        ));
        Ok(seen)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

check! {
    /// Paravirtual devices interrupt by message (MSI-X) and not by a shared line.
    pub MSI = "irq.msi", tier: Reads,
        needs: [Need::Sight(SightKind::Devices), Need::Paravirtual],
        fault: Fault::Guest("pci", |_, told| {
            for function in told.as_array_mut().into_iter().flatten() {
                function["by_message"] = false.into();
            }
        });
    async fn msi(cell) {
        let accepted = listed(cell.expect("accepted-on-lines")?);
        let fine = |device: u16| accepted.contains(&Value::from(format!("{device:04x}")));
        let guest = cell.system().pci().await?;
        let paravirtual = Paravirtual::of(cell, &guest.value).await?;
        let by_message = guest.as_ref().map(|all| {
            ids_of_guest(all.iter().filter(|&f| paravirtual.holds(f) && f.by_message && !fine(f.device)))
        });
        let on_lines = guest.map(|all| {
            let on_lines = all.iter().filter(|&f| paravirtual.holds(f) && !f.by_message && fine(f.device));
            ids_of_guest(on_lines)
        });
        let host = paravirtual.host.map(|all| {
            let mut all: Vec<String> =
                all.iter().filter(|d| !fine(d.device)).map(|d| id(d.vendor, d.device, d.class)).collect();
            all.sort();
            all
        });
        if host.value.is_empty() {
            return Err(hospitium_model::Inability::of_machine("a paravirtual device with MSI-X").into());
        }
        let mut seen = Observations::of([
            Finding::same("paravirtual functions on MSI-X", by_message, host),
            Finding::recorded("on a line, and accepted so").inside(on_lines),
        ]);
        paravirtual.notes.into_iter().for_each(|note| seen.note(note));
        Ok(seen)
    }
}

/// Echoes by which all interrupts of an interface have moved.
const SETTLING: u64 = 8;

/// Echoes that are sent over an interface whose interrupts were steered.
const ECHOES: u64 = 20;

check! {
    /// Interrupts are not all served by one vCPU: each takes its timer's, and one that is told to takes those of a
    /// device.
    pub SPREAD = "irq.spread", tier: Reversible,
        needs: [
            Need::Vcpus(2),
            Need::Device(device::NIC),
            Need::Sight(SightKind::VcpuThreads),
            Need::Facet(FacetKind::Wires),
        ],
        fault: Fault::Guest("interrupts", |asked, told| {
            // All on the first, whatever was steered.
            if asked["of"] != "Timer" && let Some(counts) = told.as_array_mut() {
                let sum = counts.iter().filter_map(|count| count.as_u64()).sum::<u64>();
                counts.fill(0.into());
                counts[0] = sum.into();
            }
        });
    async fn spread(cell) {
        let before = cell.system().interrupts(&Interrupts::Timer).await?;
        cell.system().busy(cell.spec().cpus.count(), Duration::from_millis(300)).await?;
        tokio::time::sleep(Duration::from_millis(350)).await;
        let after = cell.system().interrupts(&Interrupts::Timer).await?;
        let timers = since(&before, after).map(|counts| counts.iter().filter(|count| **count > 0).count());
        let threads = cell.look().await?.vcpu_threads?.map(|threads| threads.len());
        let mut seen = Observations::of([
            Finding::same_as("vCPUs that took timer interrupts, and that run", timers, threads, cell.spec().cpus.count()),
        ]);
        let nic = net::configured(cell, device::NIC)?;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = net::interface(cell, &nic).await? else {
            seen.findings.extend(net::absent(cell, &nic).await?.findings);
            return Ok(seen);
        };
        net::bring_up(cell, &name, &options, 0).await?;
        let online = cell.system().online().await?.value;
        let (Some(&first), Some(&last)) = (online.first(), online.last()) else {
            return Err(CheckError::unreadable("the list of online CPUs", "empty"));
        };
        for cpu in [last, first] {
            seen.findings.extend(steered(cell, &name, cpu).await?);
        }
        Ok(seen)
    }
}

/// Steers the interface's interrupts to one vCPU and makes traffic: who served them, and what was on the cable.
async fn steered(cell: &mut Cell, name: &str, cpu: u32) -> Result<[Finding; 3], CheckError> {
    let which = Interrupts::Interface(name.to_owned());
    cell.system().steer(&which, cpu).await?;
    // Those that are under way go where they went before, and Linux moves an interrupt as it serves the next. That of
    // what was sent comes only now and then (virtio 1.2, 2.7.7: the driver asks for it late), so two echoes move one
    // and not the other.
    echo(cell, SETTLING).await?;
    let before = cell.system().interrupts(&which).await?;
    let frames = net::stats(cell).await?.frames_to_guest;
    let answered = echo(cell, ECHOES).await?;
    let after = cell.system().interrupts(&which).await?;
    let frames = net::stats(cell).await?.frames_to_guest.saturating_sub(frames);
    let counts = since(&before, after);
    let served = counts.as_ref().map(|counts| {
        let took = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        took.map(|(cpu, _)| cpu).collect::<Value>()
    });
    let enough = HostSource::Wire.saw(frames >= ECHOES);
    let all: u64 = counts.value.iter().sum();
    Ok([
        Finding::each(
            format!(
                "vCPUs that took the interface's interrupts once steered to {cpu}, and {ECHOES} echoes on the cable"
            ),
            served,
            Value::from(vec![cpu]),
            enough,
            true,
        ),
        Finding::guest_is(
            format!("echoes that came back, at vCPU {cpu}"),
            counts.source.saw(answered),
            ECHOES,
        ),
        // A frame for each echo came in while nothing else was under way. More come of frames that were sent.
        Finding::guest_between(
            format!("interrupts at vCPU {cpu} for {ECHOES} echoes"),
            "",
            counts.source.saw(all),
            ECHOES as f64,
            1e9,
        ),
    ])
}

/// Sends so many echoes, one after the other, up to the first that does not come back; how many came back.
async fn echo(cell: &Cell, count: u64) -> Result<u64, CheckError> {
    let mut answered = 0;
    for n in 0..count {
        let back = net::echo(cell, &PeerOptions::default(), 64, cell.pattern(n)).await?;
        if !back.value {
            break;
        }
        answered += 1;
    }
    Ok(answered)
}

/// What was counted since, by processor.
fn since(before: &Inside<Vec<u64>>, after: Inside<Vec<u64>>) -> Inside<Vec<u64>> {
    after.map(|after| {
        let before = before.value.iter().chain(std::iter::repeat(&0));
        after.iter().zip(before).map(|(after, before)| after.saturating_sub(*before)).collect()
    })
}

check! {
    /// A non-maskable interrupt from outside is counted once by the guest's first vCPU.
    pub NMI = "irq.nmi", tier: Disruptive,
        needs: [Need::Host(Capability::Nmi), Need::Facet(FacetKind::Inject)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Nmi));
    async fn nmi(cell) {
        let before = cell.system().interrupts(&Interrupts::NonMaskable).await?;
        cell.inject()?.nmi().await?;
        let accepted = HostSource::Hypervisor.saw(1);
        // It is served within microseconds of guest time; an answer of the probe takes longer.
        let count = async || {
            let now = cell.system().interrupts(&Interrupts::NonMaskable).await?;
            Ok(since(&before, now).map(|counts| counts.first().copied().unwrap_or(0)))
        };
        let counted = until(Duration::from_secs(1), count, |count| count.value > 0).await?;
        Ok(Observations::of([
            Finding::same_as("non-maskable interrupts, counted at vCPU 0 and accepted", counted, accepted, 1),
        ]))
    }
}
