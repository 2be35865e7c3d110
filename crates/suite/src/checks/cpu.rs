//! CPU: how many, how arranged, with which features.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hospitium_host::CpuFeatureWord;
use hospitium_model::{Finding, Observations, Outside, Value};
use serde_json::json;

use super::{listed, wait};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&COUNT, &TOPOLOGY, &FEATURES, &VULNERABILITIES, &ENLIGHTENMENTS, &OFFLINE_ONLINE];

check! {
    /// Every configured vCPU is online in the guest, and no other.
    pub COUNT = "cpu.count", tier: Reads,
        needs: [Need::Sight(SightKind::Vcpus)],
        fault: Fault::Machine(|spec| spec.cpus.sockets += 1);
    async fn count(cell) {
        let guest = cell.system().online().await?.map(|cpus| cpus.len());
        let look = cell.look().await?;
        let configured = cell.spec().cpus.count();
        let mut seen = Observations::of([
            Finding::same_as("online vCPUs", guest, look.vcpus?.map(|vcpus| vcpus.len()), configured),
        ]);
        match look.vcpu_threads {
            Ok(threads) => seen.push(Finding::host_is("threads that run vCPUs", threads.map(|t| t.len()), configured)),
            Err(unseen) => seen.note(unseen.to_string()),
        }
        Ok(seen)
    }
}

check! {
    /// The guest sees the configured sockets, cores and threads.
    pub TOPOLOGY = "cpu.topology", tier: Reads,
        needs: [Need::Sight(SightKind::Vcpus)],
        fault: Fault::Machine(|spec| {
            spec.cpus.cores = spec.cpus.sockets;
            spec.cpus.sockets = 1;
            spec.cpus.max_sockets = 1;
        });
    async fn topology(cell) {
        let guest = cell.system().topology().await?;
        let host = cell.look().await?.vcpus?;
        let count = |of: fn(&(u32, u32, u32)) -> (u32, u32)| {
            host.as_ref().map(|vcpus| vcpus.iter().map(of).collect::<BTreeSet<_>>().len())
        };
        // Threads are numbered within their core, cores within their socket.
        let threads = host.as_ref().map(|vcpus| vcpus.iter().map(|v| v.2).collect::<BTreeSet<_>>().len());
        let configured = cell.spec().cpus;
        let places = host.as_ref().map(|vcpus| vcpus.iter().collect::<BTreeSet<_>>().len() == vcpus.len());
        Ok(Observations::of([
            Finding::host_is("each vCPU has a place of its own", places, true),
            Finding::same_as("sockets", guest.map(|t| t.sockets), count(|v| (v.0, 0)), configured.sockets),
            Finding::same_as("cores in all", guest.map(|t| t.cores), count(|v| (v.0, v.1)), configured.sockets * configured.cores),
            Finding::same_as("threads in a core", guest.map(|t| t.threads), threads, configured.threads),
        ]))
    }
}

/// Registers of CPUID's answers, by their numbers.
const REGISTERS: [&str; 4] = ["EAX", "EBX", "ECX", "EDX"];

/// The words of feature bits that have names since 2013: leaf, subleaf, register (Intel SDM volume 2A, CPUID; AMD APM
/// volume 3, E.4.2).
const WORDS: [(u32, u32, u8); 7] = [
    (1, 0, 2),
    (1, 0, 3),
    (7, 0, 1),
    (7, 0, 2),
    (7, 0, 3),
    (0x8000_0001, 0, 2),
    (0x8000_0001, 0, 3),
];

/// Bits that change at run time and so differ between the feature words and what CPUID answers:
/// OSXSAVE (leaf 1 ECX 27), APIC (leaf 1 EDX 9), OSPKE (leaf 7 ECX 4). Intel SDM volume 2A, CPUID.
fn dynamic_bits(leaf: u32, register: u8) -> u32 {
    match (leaf, register) {
        (1, 2) => 1 << 27,
        (1, 3) => 1 << 9,
        (7, 2) => 1 << 4,
        _ => 0,
    }
}

check! {
    /// The guest's CPU features are those that the host gives it, bit for bit.
    pub FEATURES = "cpu.features-vs-host", tier: Reads,
        needs: [Need::Sight(SightKind::CpuFeatures)],
        fault: Fault::Guest("cpuid", |asked, told| {
            if asked["leaf"] == 1 && let Some(bits) = told["edx"].as_u64() {
                told["edx"] = (bits ^ 1 << 26).into();
            }
        });
    async fn features(cell) {
        let words = cell.look().await?.cpu_features?;
        let (mut guest_bits, mut host_bits) = (Vec::<Value>::new(), Vec::<Value>::new());
        let (mut source, mut answers) = (None, BTreeMap::new());
        for word in words.value.iter().filter(|w| matches!(w.leaf, 1 | 7 | 0x8000_0001)) {
            let answer = match answers.get(&(word.leaf, word.subleaf)) {
                Some(known) => *known,
                None => cell.system().cpuid(0, word.leaf, word.subleaf).await?,
            };
            answers.insert((word.leaf, word.subleaf), answer);
            source = Some(answer.source);
            let answer = answer.value;
            let register = [answer.eax, answer.ebx, answer.ecx, answer.edx][usize::from(word.register & 3)];
            let keep = !dynamic_bits(word.leaf, word.register);
            let name = REGISTERS[usize::from(word.register & 3)];
            let text = |bits: u32| format!("{:x}.{} {name} {:08x}", word.leaf, word.subleaf, bits & keep);
            guest_bits.push(text(register).into());
            host_bits.push(text(word.bits).into());
        }
        let Some(source) = source else {
            return Err(CheckError::unreadable("the hypervisor's list of CPU features", "none of leaves 1 and 7"));
        };
        let listed = cell.system().features().await?.map(|features| features.len());
        // A word that the hypervisor leaves out is compared with nothing.
        let (mut with_bits, mut told) = (Vec::new(), Vec::new());
        for (leaf, subleaf, register) in WORDS {
            let name = format!("{leaf:x}.{subleaf} {}", REGISTERS[usize::from(register)]);
            let answer = match answers.get(&(leaf, subleaf)) {
                Some(known) => known.value,
                None => cell.system().cpuid(0, leaf, subleaf).await?.value,
            };
            let bits = [answer.eax, answer.ebx, answer.ecx, answer.edx][usize::from(register)];
            if bits & !dynamic_bits(leaf, register) != 0 {
                with_bits.push(name.clone());
            }
            let is_it = |word: &&CpuFeatureWord| {
                (word.leaf, word.subleaf, word.register) == (leaf, subleaf, register)
            };
            if words.value.iter().filter(is_it).count() == 1 {
                told.push(name);
            }
        }
        Ok(Observations::of([
            Finding::same("feature words", source.saw(guest_bits), words.source.saw(host_bits)),
            Finding::guest_subset("words with features, of those that are told once", source.saw(with_bits), words.source.saw(told)),
            Finding::recorded("features that the kernel lists").inside(listed),
        ]))
    }
}

/// Those that a kernel says it is open to.
fn open_to(states: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    states.iter().filter(|(_, state)| state.starts_with("Vulnerable")).map(|(name, _)| name)
}

fn states(all: &BTreeMap<String, String>) -> Value {
    all.iter().map(|(name, state)| format!("{name}: {state}")).collect()
}

check! {
    /// The guest is open to no CPU vulnerability that its host is not, unless that is declared.
    pub VULNERABILITIES = "cpu.vulnerabilities", tier: Reads,
        needs: [Need::Facet(FacetKind::Witness), Need::Sight(SightKind::Vulnerabilities)],
        fault: Fault::Guest("vulnerabilities", |_, told| {
            for state in told.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
                *state = "Vulnerable: seeded fault".into();
            }
        });
    async fn vulnerabilities(cell) {
        let accepted = listed(cell.expect("accepted-vulnerable")?);
        let guest = cell.system().vulnerabilities().await?;
        let host = cell.lab().host().witness()?.vulnerabilities().await?;
        let mut seen = Observations::new();
        // Of what the host's kernel does not know, nobody can say whether the guest is worse off.
        let (known, unknown): (Vec<String>, Vec<String>) = open_to(&guest.value)
            .filter(|name| !accepted.contains(&name.as_str().into()))
            .cloned()
            .partition(|name| host.value.contains_key(name));
        if guest.value.keys().all(|name| !host.value.contains_key(name)) {
            return Err(hospitium_model::Inability::of_host(
                "its kernel knows none of the vulnerabilities that the guest's tells of",
            ).into());
        }
        let host_open = host.as_ref().map(|all| open_to(all).cloned().collect::<Vec<String>>());
        seen.push(Finding::guest_subset("CPU vulnerabilities that it is open to", guest.source.saw(known), host_open));
        seen.push(Finding::recorded("state").inside(guest.as_ref().map(states)).outside(host.as_ref().map(states)));
        for name in unknown {
            seen.note(format!("{name}: the guest is open to it, and the host's kernel does not know it"));
        }
        Ok(seen)
    }
}

check! {
    /// What the hypervisor offers to make a guest faster is seen and, where it is offered, used.
    pub ENLIGHTENMENTS = "cpu.enlightenments", tier: Reads,
        needs: [Need::HardwareVirtualization, Need::Sight(SightKind::Accelerator)],
        fault: Fault::Guest("cpuid", |asked, told| {
            if asked["leaf"] == 0x4000_0001 {
                told["eax"] = 0.into();
            }
        });
    async fn enlightenments(cell) {
        // Bit 3: KVM_FEATURE_CLOCKSOURCE2 (Linux Documentation/virt/kvm/x86/cpuid.rst).
        let offered = cell.system().cpuid(0, 0x4000_0001, 0).await?.map(|words| words.eax & 8 != 0);
        let source = cell.system().clock_source().await?;
        let usable = source.map(|source| source.available.iter().any(|name| name == "kvm-clock"));
        let used = cell.look().await?.accelerator?.map(|used| used.name());
        Ok(Observations::of([
            Finding::each("paravirtual clock offered, and accelerator in use", offered, true, used, "KVM"),
            Finding::guest_is("the guest's kernel can take its time from it", usable, true),
        ]))
    }
}

/// How long vCPUs are watched.
const WINDOW: Duration = Duration::from_millis(500);
/// A thread that has run for so long in that time runs a vCPU that computes; one that waits runs for less than a
/// millisecond. On a host with ten threads a CPU, one that wants to run all the time gets 50 ms.
const RAN: Duration = Duration::from_millis(20);
/// How long a guest may take until it computes on every vCPU. On a host with twenty threads a CPU it took more than 4 s to
/// begin the processes and to spread them.
const SPREAD: Duration = Duration::from_secs(20);

check! {
    /// A vCPU can be taken offline and brought back by the guest, and is idle on the host meanwhile.
    pub OFFLINE_ONLINE = "cpu.offline-online", tier: Reversible,
        needs: [Need::Vcpus(2), Need::Facet(FacetKind::Confinement), Need::Sight(SightKind::VcpuTimes)],
        fault: Fault::Guest("online", |_, told| *told = json!([0, 1]));
    async fn offline_online(cell) {
        let all = cell.spec().cpus.count();
        let system = cell.system();
        let last = system.online().await?.value.into_iter().max().unwrap_or_default();
        system.set_online(last, false).await?;
        let without = system.online().await?.map(|cpus| cpus.len());
        let ran_without = busy_threads(cell, all - 1).await?;
        system.set_online(last, true).await?;
        let with = system.online().await?.map(|cpus| cpus.len());
        let ran_with = busy_threads(cell, all).await?;
        Ok(Observations::of([
            Finding::same_as("vCPUs that run with one taken offline", without, ran_without, all - 1),
            Finding::same_as("vCPUs that run after it came back", with, ran_with, all),
        ]))
    }
}

/// How many of the VMM's threads run vCPUs, while more processes compute in the guest than it has vCPUs. On a host
/// that has no CPU for them it takes more than one look to see `wanted` of them.
async fn busy_threads(cell: &Cell, wanted: u32) -> Result<Outside<usize>, CheckError> {
    let confinement = cell.confinement()?;
    let ran = async || {
        // Longer than the window, so that none ends within it.
        cell.system().busy(cell.spec().cpus.count() * 2, WINDOW * 2).await?;
        let before = confinement.vcpu_times().await??;
        tokio::time::sleep(WINDOW).await;
        let after = confinement.vcpu_times().await??;
        Ok(after.map(|times| {
            let ran = |(thread, time): &(&u32, &Duration)| {
                let before = before.value.get(*thread).copied().unwrap_or_default();
                time.saturating_sub(before) >= RAN
            };
            times.iter().filter(ran).count()
        }))
    };
    wait::until(SPREAD, ran, |count| count.value >= wanted as usize).await
}
