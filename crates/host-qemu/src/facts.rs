//! What the host sees of a machine: asked of the VMM, and of the physical machine's system.

use std::time::Duration;

use hospitium_model::{Accelerator, ByteSize, Firmware};
use serde_json::{Value, json};

use crate::events::path_id;
use crate::machine::{QemuMachine, locked};
use crate::process::escape;
use hospitium_host::{
    CpuFeatureWord, HostError, MachineFacts, MachineState, ProcessFacts, SeenDevice, SeenDisk,
};

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl QemuMachine {
    async fn ask(&self, command: &str) -> Result<Value, HostError> {
        self.qmp.call("asking for the machine's facts", command, json!({})).await
    }

    /// A property of an object of the running machine, none if it has no such.
    async fn property(&self, path: &str, name: &str) -> Result<Option<Value>, HostError> {
        let arguments = json!({"path": path, "property": name});
        match self.qmp.call("asking for a property", "qom-get", arguments).await {
            Ok(value) => Ok(Some(value)),
            Err(HostError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// See [`Machine::facts`](hospitium_host::Machine::facts).
pub(crate) async fn machine(machine: &QemuMachine) -> Result<MachineFacts, HostError> {
    let cpus = machine.ask("query-cpus-fast").await?;
    let mut vcpus: Vec<((u32, u32, u32), u32)> = list(&cpus)
        .iter()
        .map(|cpu| {
            let part = |name| cpu.get("props").map_or(0, |props| small(number(props, name)));
            (
                (part("socket-id"), part("core-id"), part("thread-id")),
                small(number(cpu, "thread-id")),
            )
        })
        .collect();
    vcpus.sort_unstable();
    let memory = machine.ask("query-memory-size-summary").await?;
    let balloon = match machine.ask("query-balloon").await {
        Ok(balloon) => Some(ByteSize::bytes(number(&balloon, "actual"))),
        Err(HostError::Refused { .. }) => None,
        Err(error) => return Err(error),
    };
    let accelerator = machine.ask("query-kvm").await?;
    let kvm = accelerator.get("enabled").and_then(Value::as_bool) == Some(true);
    let flash = machine.property("/machine", "pflash0").await?;
    let uefi = flash.as_ref().and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    let uuid = machine.ask("query-uuid").await?;
    let generation = match machine.ask("query-vm-generation-id").await {
        Ok(answer) => Some(escape(text(&answer, "guid"), 64)),
        Err(HostError::Refused { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut devices = Vec::new();
    for bus in list(&machine.ask("query-pci").await?) {
        walk_bus(bus, 8, &mut devices);
    }
    devices.sort_unstable();
    Ok(MachineFacts {
        state: state(&machine.status().await?),
        vcpus: vcpus.iter().map(|(place, _)| *place).collect(),
        vcpu_threads: vcpus.iter().map(|(_, thread)| *thread).collect(),
        memory: ByteSize::bytes(number(&memory, "base-memory")),
        plugged_memory: ByteSize::bytes(number(&memory, "plugged-memory")),
        balloon,
        nodes: nodes(machine).await?,
        devices,
        disks: disks(machine).await?,
        macs: macs(machine).await?,
        uuid: Some(escape(text(&uuid, "UUID"), 64)),
        generation_id: generation,
        accelerator: if kvm { Accelerator::Kvm } else { Accelerator::Tcg },
        firmware: if uefi { Firmware::Uefi } else { Firmware::Bios },
        cpu_features: cpu_features(machine, &cpus).await?,
    })
}

/// What a run state (`RunState`, qapi/run-state.json) means.
fn state(word: &str) -> MachineState {
    match word {
        "running" => MachineState::Running,
        "paused" | "prelaunch" | "debug" => MachineState::Paused,
        "io-error" => MachineState::IoError,
        "guest-panicked" => MachineState::Crashed,
        "shutdown" => MachineState::Off,
        "suspended" => MachineState::Suspended,
        "watchdog" => MachineState::Watchdog,
        _ => MachineState::Other,
    }
}

/// NUMA nodes that the VMM has: the first number in the monitor's `info numa`.
async fn nodes(machine: &QemuMachine) -> Result<u32, HostError> {
    let arguments = json!({"command-line": "info numa"});
    let answer =
        machine.qmp.call("asking for NUMA nodes", "human-monitor-command", arguments).await?;
    let words = answer.as_str().unwrap_or_default();
    Ok(words.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// Devices of a bus and of those behind its bridges.
fn walk_bus(bus: &Value, depth: u32, into: &mut Vec<SeenDevice>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for device in bus.get("devices").map(list).unwrap_or_default() {
        let id = device.get("id").unwrap_or(&Value::Null);
        let class = device.get("class_info").map_or(0, |info| number(info, "class"));
        into.push(SeenDevice {
            address: format!(
                "0000:{:02x}:{:02x}.{}",
                number(device, "bus"),
                number(device, "slot"),
                number(device, "function")
            ),
            vendor: number(id, "vendor") as u16,
            device: number(id, "device") as u16,
            class: class as u16,
        });
        if let Some(bridge) = device.get("pci_bridge") {
            walk_bus(bridge, depth, into);
        }
    }
}

/// CPUID feature words of vCPU 0 (`X86CPUFeatureWordInfo`, qapi/machine-target.json).
async fn cpu_features(
    machine: &QemuMachine,
    cpus: &Value,
) -> Result<Vec<CpuFeatureWord>, HostError> {
    let first = list(cpus).iter().find(|cpu| number(cpu, "cpu-index") == 0);
    let path = first.map(|cpu| text(cpu, "qom-path")).unwrap_or_default();
    let words = machine.property(path, "feature-words").await?.unwrap_or_default();
    Ok(list(&words)
        .iter()
        .filter_map(|word| {
            Some(CpuFeatureWord {
                leaf: small(number(word, "cpuid-input-eax")),
                subleaf: small(number(word, "cpuid-input-ecx")),
                register: match text(word, "cpuid-register") {
                    "EAX" => 0,
                    "EBX" => 1,
                    "ECX" => 2,
                    "EDX" => 3,
                    _ => return None,
                },
                bits: small(number(word, "features")),
            })
        })
        .collect())
}

async fn disks(machine: &QemuMachine) -> Result<Vec<SeenDisk>, HostError> {
    let blocks = machine.ask("query-block").await?;
    let stats = machine.ask("query-blockstats").await?;
    let mut disks = Vec::new();
    for block in list(&blocks) {
        let id = path_id(text(block, "qdev"));
        if !locked(&machine.disks).iter().any(|plan| plan.disk.id == id) {
            continue;
        }
        let own = list(&stats).iter().find(|stat| path_id(text(stat, "qdev")) == id);
        let count =
            |name| own.and_then(|stat| stat.get("stats")).map_or(0, |stats| number(stats, name));
        let inserted = block.get("inserted");
        let size = inserted
            .and_then(|inserted| inserted.get("image"))
            .map_or(0, |image| number(image, "virtual-size"));
        disks.push(SeenDisk {
            id,
            size: ByteSize::bytes(size),
            writes: count("wr_operations"),
            flushes: count("flush_operations"),
            read_only: inserted
                .is_some_and(|inserted| inserted.get("ro").and_then(Value::as_bool) == Some(true)),
            medium_in: inserted.is_some()
                && block.get("tray_open").and_then(Value::as_bool) != Some(true),
        });
    }
    disks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(disks)
}

async fn macs(machine: &QemuMachine) -> Result<Vec<(String, String)>, HostError> {
    let changes = machine.hardware.changes().clone();
    let plugged = changes.plugged.iter().map(|plugged| plugged.id().to_owned());
    let ids: Vec<String> =
        machine.spec.nics.iter().map(|nic| nic.id.clone()).chain(plugged).collect();
    let mut macs = Vec::new();
    for id in ids {
        let mac = machine.property(&format!("/machine/peripheral/{id}"), "mac").await?;
        if let Some(Value::String(mac)) = mac {
            macs.push((id, escape(&mac, 40)));
        }
    }
    Ok(macs)
}

/// The longest that a thread of a process has waited on a run queue (Linux Documentation/scheduler/sched-stats.rst:
/// the second number, in nanoseconds). None where the kernel does not count it.
fn longest_wait(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waits = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    });
    Duration::from_nanos(waits.max().unwrap_or_default())
}

/// What /proc says of a process (proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5)).
pub(crate) fn process(pid: u32) -> Result<ProcessFacts, HostError> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::read_to_string(&path).map_err(HostError::io(format!("reading {path}")))
    };
    let status = read("status")?;
    let field = |text: &str, name: &str, n: usize, radix: u32| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let word = line.and_then(|line| line.split_whitespace().nth(n));
        word.and_then(|word| u64::from_str_radix(word, radix).ok()).unwrap_or_default()
    };
    let rollup = read("smaps_rollup")?;
    let stat = read("stat")?;
    let after_name = stat.rfind(')').map_or("", |at| &stat[at..]);
    // Fields 14 and 15, in clock ticks; the name was the second.
    let ticks: u64 =
        after_name.split(' ').skip(12).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let own = |name: &&&str| {
        let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let theirs = link(&pid.to_string());
        theirs.is_some() && theirs != link("self")
    };
    Ok(ProcessFacts {
        pid,
        uid: small(field(&status, "Uid", 1, 10)),
        seccomp: small(field(&status, "Seccomp", 0, 10)),
        may_gain_privileges: field(&status, "NoNewPrivs", 0, 10) == 0,
        capabilities: field(&status, "CapEff", 0, 16),
        rss: ByteSize::bytes(field(&rollup, "Rss", 0, 10) << 10),
        pss: ByteSize::bytes(field(&rollup, "Pss", 0, 10) << 10),
        cpu_time: Duration::from_millis(ticks * 1000 / per_second),
        cpu_wait: longest_wait(pid),
        own_namespaces: ["net", "mnt", "pid", "ipc", "uts", "user"]
            .iter()
            .filter(own)
            .map(|name| (*name).to_owned())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_reads_back_as_it_is() {
        let facts = process(std::process::id()).expect("we are there");
        assert_eq!(facts.uid, rustix::process::geteuid().as_raw());
        assert!(facts.rss.as_bytes() > 0 && facts.own_namespaces.is_empty());
        let another = process(std::process::id()).expect("we are there");
        assert!(
            another.cpu_wait >= facts.cpu_wait && another.cpu_wait < Duration::from_secs(86_400)
        );
        assert!(matches!(process(u32::MAX), Err(HostError::Io { .. })));
    }

    #[test]
    fn devices_behind_bridges_are_found_and_endless_nesting_is_not_followed() {
        let mut bus = json!({"devices": [{"bus": 1, "slot": 0, "function": 0,
            "id": {"vendor": 0x1af4, "device": 0x1042}, "class_info": {"class": 0x100}}]});
        let mut found = Vec::new();
        let bridged =
            json!({"devices": [{"bus": 0, "slot": 2, "function": 1, "id": {}, "pci_bridge": bus}]});
        walk_bus(&bridged, 8, &mut found);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].address, "0000:01:00.0");
        for _ in 0..50 {
            bus = json!({"devices": [{"pci_bridge": bus}]});
        }
        found.clear();
        walk_bus(&bus, 8, &mut found);
        assert_eq!(found.len(), 8);
    }
}
