//! CPU: how many, how arranged, with which features.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hospitium_model::{Finding, GuestSource, Observations, Outside, Value};
use tokio::time::sleep;

use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&COUNT, &TOPOLOGY, &FEATURES, &VULNERABILITIES, &ENLIGHTENMENTS, &OFFLINE_ONLINE];

check! {
    /// Every configured vCPU is online in the guest, and no other.
    pub COUNT = "cpu.count", tier: Reads, needs: [],
        fault: Fault::Machine(|spec| spec.cpus.sockets += 1);
    async fn count(cell) {
        let guest = cell.system().online().await?.map(|cpus| cpus.len());
        let look = cell.look().await?;
        let host = look.vcpus?.map(|vcpus| vcpus.len());
        let configured = cell.spec().cpus.count();
        let mut seen = Observations::of([Finding::same_as("online vCPUs", guest, host, configured)]);
        if let Ok(threads) = look.vcpu_threads {
            let threads = threads.map(|threads| threads.is_empty());
            seen.push(Finding::host_is("no thread runs vCPUs", threads, false));
        }
        Ok(seen)
    }
}

check! {
    /// The guest sees the configured sockets, cores and threads.
    pub TOPOLOGY = "cpu.topology", tier: Reads, needs: [],
        fault: Fault::Machine(|spec| {
            spec.cpus.cores = spec.cpus.sockets;
            spec.cpus.sockets = 1;
            spec.cpus.max_sockets = 1;
        });
    async fn topology(cell) {
        let guest = cell.system().topology().await?;
        let vcpus = cell.look().await?.vcpus?;
        let sockets: BTreeSet<_> = vcpus.value.iter().map(|v| v.0).collect();
        let cores: BTreeSet<_> = vcpus.value.iter().map(|v| (v.0, v.1)).collect();
        let threads: BTreeSet<_> = vcpus.value.iter().map(|v| v.2).collect();
        let host = |count: usize| vcpus.as_ref().map(|_| count);
        let configured = cell.spec().cpus;
        Ok(Observations::of([
            Finding::same_as("sockets", guest.map(|g| g.sockets), host(sockets.len()), configured.sockets),
            Finding::same_as("cores in all", guest.map(|g| g.cores), host(cores.len()), configured.sockets * configured.cores),
            Finding::same_as("threads in a core", guest.map(|g| g.threads), host(threads.len()), configured.threads),
        ]))
    }
}

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
    pub FEATURES = "cpu.features-vs-host", tier: Reads, needs: [],
        fault: Fault::Guest("cpuid", |asked, told| {
            if asked["leaf"] == 1 {
                told["edx"] = told["edx"].as_u64().map_or(0, |bits| bits ^ 1 << 26).into();
            }
        });
    async fn features(cell) {
        let words = cell.look().await?.cpu_features?;
        let (mut guest_bits, mut host_bits) = (Vec::<Value>::new(), Vec::<Value>::new());
        let mut seen = Observations::new();
        for word in words.value.iter().filter(|w| matches!(w.leaf, 1 | 7 | 0x8000_0001)) {
            let answer = cell.system().cpuid(0, word.leaf, word.subleaf).await?.value;
            let register = [answer.eax, answer.ebx, answer.ecx, answer.edx][usize::from(word.register & 3)];
            let keep = !dynamic_bits(word.leaf, word.register);
            let name = ["EAX", "EBX", "ECX", "EDX"][usize::from(word.register & 3)];
            let text = |bits: u32| format!("{:x}.{} {name} {:08x}", word.leaf, word.subleaf, bits & keep);
            guest_bits.push(text(register).into());
            host_bits.push(text(word.bits).into());
        }
        let told = words.as_ref().map(|_| !host_bits.is_empty());
        seen.push(Finding::host_is("the hypervisor tells its feature words", told, true));
        let host = words.as_ref().map(|_| Value::List(host_bits));
        seen.push(Finding::same("feature words", GuestSource::Register.saw(Value::List(guest_bits)), host));
        let listed = cell.system().features().await?.map(|features| features.len());
        seen.push(Finding::recorded("flags that the kernel lists").inside(listed));
        Ok(seen)
    }
}

check! {
    /// The guest is not worse protected against CPU vulnerabilities than is declared for its host.
    pub VULNERABILITIES = "cpu.vulnerabilities", tier: Reads, needs: [],
        fault: Fault::Guest("vulnerabilities", |_, told| {
            if let Some(all) = told.as_object_mut() {
                all.values_mut().for_each(|state| *state = "Vulnerable: seeded fault".into());
            }
        });
    async fn vulnerabilities(cell) {
        let accepted = match cell.expect("accepted-vulnerable")? {
            Value::List(names) => names,
            other => vec![other],
        };
        // A kernel that says nothing is not one that is not worse: then the guest is unable, and so is the host.
        let guest = cell.system().vulnerabilities().await?;
        let host = cell.lab().host().witness()?.vulnerabilities().await?;
        let is_open = |state: &str| state.starts_with("Vulnerable");
        let counts = |name: &str| !accepted.contains(&name.into());
        // What the host's kernel does not know, it says nothing of: it is no witness there.
        let both = |name: &String| host.value.contains_key(name) && guest.value.contains_key(name);
        let open = |all: &BTreeMap<String, String>| -> Vec<Value> {
            let open = all.iter().filter(|(name, state)| both(name) && is_open(state) && counts(name));
            open.map(|(name, _)| name.as_str().into()).collect()
        };
        let known = guest.value.keys().filter(|name| both(name)).count();
        let states = |all: &BTreeMap<String, String>| -> Value {
            all.iter().map(|(name, state)| format!("{name}: {state}")).collect()
        };
        Ok(Observations::of([
            Finding::guest_subset(
                "vulnerabilities that are open, and not declared so",
                guest.as_ref().map(open),
                host.as_ref().map(open),
            ),
            Finding::host_between("vulnerabilities that both kernels know", "", host.as_ref().map(|_| known as f64), 1.0, 1e3),
            Finding::recorded("state").inside(guest.as_ref().map(states)).outside(host.as_ref().map(states)),
        ]))
    }
}

check! {
    /// What the hypervisor offers to make a guest faster is seen and, where it is offered, used.
    pub ENLIGHTENMENTS = "cpu.enlightenments", tier: Reads, needs: [Need::HardwareVirtualization],
        fault: Fault::Guest("cpuid", |_, told| told["eax"] = 0.into());
    async fn enlightenments(cell) {
        let features = cell.system().cpuid(0, 0x4000_0001, 0).await?;
        let sources = cell.system().clock_source().await?;
        let used = cell.look().await?.accelerator?;
        // Bit 3: KVM_FEATURE_CLOCKSOURCE2 (Linux Documentation/virt/kvm/x86/cpuid.rst).
        let offered = features.map(|words| if words.eax & 8 == 0 { "no clock" } else { "a clock" });
        Ok(Observations::of([
            Finding::each("paravirtual clock of this hypervisor", offered, "a clock", used.map(|used| used.name()), "KVM"),
            Finding::guest_is("and used", sources.map(|all| all.available.iter().any(|s| s == "kvm-clock")), true),
        ]))
    }
}

/// How many of the threads that run vCPUs take CPU time while the guest keeps as many processes busy.
async fn busy_threads(cell: &Cell, cpus: u32) -> Result<Outside<usize>, CheckError> {
    const WINDOW: Duration = Duration::from_millis(800);
    let confinement = cell.machine().confinement()?;
    // Longer than the window, so that nothing ends within it.
    cell.system().busy(cpus, WINDOW * 2).await?;
    let before = confinement.vcpu_times().await??;
    sleep(WINDOW).await;
    let after = confinement.vcpu_times().await??;
    sleep(WINDOW).await;
    let used = |thread: &u32, time: &Duration| {
        let before = before.value.get(thread).copied().unwrap_or_default();
        time.saturating_sub(before) >= WINDOW / 20
    };
    Ok(after.map(|times| times.iter().filter(|(thread, time)| used(thread, time)).count()))
}

check! {
    /// A vCPU can be taken offline and brought back by the guest, and is idle on the host meanwhile.
    pub OFFLINE_ONLINE = "cpu.offline-online", tier: Reversible, needs: [Need::Vcpus(2)],
        fault: Fault::Guest("online", |_, told| *told = vec![0, 1].into());
    async fn offline_online(cell) {
        let all = cell.spec().cpus.count();
        cell.system().set_online(all - 1, false).await?;
        let without = cell.system().online().await?.map(|cpus| cpus.len());
        let busy = busy_threads(cell, all).await?;
        cell.system().set_online(all - 1, true).await?;
        let with = cell.system().online().await?.map(|cpus| cpus.len());
        let again = busy_threads(cell, all).await?;
        Ok(Observations::of([
            Finding::same_as("vCPUs that run with one taken offline", without, busy, all - 1),
            Finding::same_as("vCPUs that run after it came back", with, again, all),
        ]))
    }
}
