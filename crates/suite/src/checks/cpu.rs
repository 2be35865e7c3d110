//! CPU: how many, how arranged, with which features.

use std::collections::BTreeSet;
use std::time::Duration;

use hospitium_model::{Finding, Observations, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::{Flags, Request};

use super::read;
use crate::{Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&COUNT, &TOPOLOGY, &FEATURES, &VULNERABILITIES, &ENLIGHTENMENTS, &OFFLINE_ONLINE];

const SYS: &str = "/sys/devices/system/cpu";

check! {
    /// Every configured vCPU is online in the guest, and no other.
    pub COUNT = "cpu.count", tier: Reads, needs: [],
        fault: Fault::Machine(|spec| spec.cpus.sockets += 1);
    async fn count(cell) {
        let online = read::text(&cell.guest, &format!("{SYS}/online")).await?;
        let guest = read::cpu_list(&online).ok_or_else(|| CheckError::unreadable("the list of online CPUs", &online))?;
        let look = cell.look().await?;
        let configured = cell.spec().cpus.count();
        Ok(Observations::of([
            Finding::same_as("online vCPUs", guest.len(), look.vcpus?.value.len(), configured),
            Finding::host_is("threads that run vCPUs", look.vcpu_threads?.value.is_empty(), false),
        ]))
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
        let online = read::text(&cell.guest, &format!("{SYS}/online")).await?;
        let cpus = read::cpu_list(&online).unwrap_or_default();
        let (mut sockets, mut cores, mut threads) = (BTreeSet::new(), BTreeSet::new(), 0);
        for cpu in &cpus {
            let at = format!("{SYS}/cpu{cpu}/topology");
            let package = read::number(&cell.guest, &format!("{at}/physical_package_id")).await?;
            let core = read::number(&cell.guest, &format!("{at}/core_id")).await?;
            let siblings = read::text(&cell.guest, &format!("{at}/thread_siblings_list")).await?;
            threads = threads.max(read::cpu_list(&siblings).map_or(0, |list| list.len()));
            sockets.insert(package);
            cores.insert((package, core));
        }
        let vcpus = cell.look().await?.vcpus?.value;
        let host_sockets: BTreeSet<_> = vcpus.iter().map(|v| v.0).collect();
        let host_cores: BTreeSet<_> = vcpus.iter().map(|v| (v.0, v.1)).collect();
        let host_threads: BTreeSet<_> = vcpus.iter().map(|v| v.2).collect();
        let configured = cell.spec().cpus;
        Ok(Observations::of([
            Finding::same_as("sockets", sockets.len(), host_sockets.len(), configured.sockets),
            Finding::same_as("cores in all", cores.len(), host_cores.len(), configured.sockets * configured.cores),
            Finding::same_as("threads in a core", threads, host_threads.len(), configured.threads),
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
        fault: Fault::Guest(|request, reply| {
            if let (Request::Cpuid { leaf: 1, .. }, OwnedReply::Cpuid(words)) = (request, reply) {
                words.edx ^= 1 << 26;
            }
        });
    async fn features(cell) {
        let words = cell.look().await?.cpu_features?.value;
        let (mut guest_bits, mut host_bits) = (Vec::<Value>::new(), Vec::<Value>::new());
        let mut seen = Observations::new();
        for word in words.iter().filter(|w| matches!(w.leaf, 1 | 7 | 0x8000_0001)) {
            let answer = cell.guest.cpuid(0, word.leaf, word.subleaf).await?;
            let register = [answer.eax, answer.ebx, answer.ecx, answer.edx][usize::from(word.register & 3)];
            let keep = !dynamic_bits(word.leaf, word.register);
            let name = ["EAX", "EBX", "ECX", "EDX"][usize::from(word.register & 3)];
            let text = |bits: u32| format!("{:x}.{} {name} {:08x}", word.leaf, word.subleaf, bits & keep);
            guest_bits.push(text(register).into());
            host_bits.push(text(word.bits).into());
        }
        seen.push(Finding::host_is("the hypervisor tells its feature words", !words.is_empty(), true));
        seen.push(Finding::same("feature words", Value::List(guest_bits), Value::List(host_bits)));
        let info = read::text(&cell.guest, "/proc/cpuinfo").await?;
        let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        seen.push(Finding::recorded("flags that the kernel lists").inside(Value::from(flags.split_whitespace().skip(2).count())));
        Ok(seen)
    }
}

check! {
    /// The guest is not worse protected against CPU vulnerabilities than is declared for its host.
    pub VULNERABILITIES = "cpu.vulnerabilities", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path, .. }, OwnedReply::Data(data)) = (request, reply)
                && path.starts_with("/sys/devices/system/cpu/vulnerabilities/") {
                *data = b"Vulnerable: seeded fault\n".to_vec();
            }
        });
    async fn vulnerabilities(cell) {
        let at = format!("{SYS}/vulnerabilities");
        let accepted = match cell.expect("accepted-vulnerable")? {
            Value::List(names) => names,
            other => vec![other],
        };
        let of_host = cell.lab().host().witness()?.vulnerabilities().await?.value;
        let mut worse: Vec<Value> = Vec::new();
        let (mut guest_all, mut host_all) = (Vec::<Value>::new(), Vec::<Value>::new());
        for name in read::names(&cell.guest, &at).await? {
            let guest = read::text(&cell.guest, &format!("{at}/{name}")).await?;
            let host = of_host.get(&name).cloned();
            let host = host.unwrap_or_else(|| "not told by this host's kernel".to_owned());
            let is_worse = guest.starts_with("Vulnerable") && !host.starts_with("Vulnerable");
            if is_worse && !accepted.contains(&name.as_str().into()) {
                worse.push(name.as_str().into());
            }
            guest_all.push(format!("{name}: {guest}").into());
            host_all.push(format!("{name}: {host}").into());
        }
        let mut seen = Observations::of([
            Finding::guest_is("worse than the host, and not declared so", Value::List(worse), Value::List(Vec::new())),
            Finding::host_is("the host's kernel tells its own state", !of_host.is_empty(), true),
        ]);
        seen.push(Finding::recorded("state").inside(Value::from(Value::List(guest_all))).outside(Value::from(Value::List(host_all))));
        Ok(seen)
    }
}

check! {
    /// What the hypervisor offers to make a guest faster is seen and, where it is offered, used.
    pub ENLIGHTENMENTS = "cpu.enlightenments", tier: Reads, needs: [Need::HardwareVirtualization],
        fault: Fault::Guest(|request, reply| {
            if let (Request::Cpuid { leaf: 0x4000_0001, .. }, OwnedReply::Cpuid(words)) = (request, reply) {
                words.eax = 0;
            }
        });
    async fn enlightenments(cell) {
        let features = cell.guest.cpuid(0, 0x4000_0001, 0).await?.eax;
        let source = read::text(&cell.guest, "/sys/devices/system/clocksource/clocksource0/available_clocksource").await?;
        let used = cell.look().await?.accelerator?.value;
        Ok(Observations::of([
            // Bit 3: KVM_FEATURE_CLOCKSOURCE2 (Linux Documentation/virt/kvm/x86/cpuid.rst).
            Finding::guest_is("paravirtual clock offered", features & 8 != 0, true),
            Finding::guest_is("and used", source.contains("kvm-clock"), true),
            Finding::host_is("accelerator in use", used.name(), "KVM"),
        ]))
    }
}

check! {
    /// A vCPU can be taken offline and brought back by the guest, and is idle on the host meanwhile.
    pub OFFLINE_ONLINE = "cpu.offline-online", tier: Reversible, needs: [Need::Vcpus(2)],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path: "/sys/devices/system/cpu/online", .. }, OwnedReply::Data(data)) = (request, reply) {
                *data = b"0-1\n".to_vec();
            }
        });
    async fn offline_online(cell) {
        let last = cell.spec().cpus.count() - 1;
        let switch = format!("{SYS}/cpu{last}/online");
        let how = Flags::default();
        let count = |text: String| read::cpu_list(&text).map_or(0, |list| list.len());
        cell.guest.write_file(&switch, b"0", how).await?;
        let without = count(read::text(&cell.guest, &format!("{SYS}/online")).await?);
        let before = cell.process().await?.cpu_time?.value;
        let window = Duration::from_millis(400);
        tokio::time::sleep(window).await;
        let busy = cell.process().await?.cpu_time?.value.saturating_sub(before);
        cell.guest.write_file(&switch, b"1", how).await?;
        let with = count(read::text(&cell.guest, &format!("{SYS}/online")).await?);
        let all = cell.spec().cpus.count() as usize;
        let most = cell.expect_number("idle-busy-percent")?;
        let percent = busy.as_secs_f64() / window.as_secs_f64() * 100.0;
        Ok(Observations::of([
            Finding::guest_is("online vCPUs with one taken offline", without, all - 1),
            Finding::guest_is("online vCPUs after it came back", with, all),
            Finding::host_between("CPU time of the idle machine", "% of one CPU", percent.round(), 0.0, most),
        ]))
    }
}
