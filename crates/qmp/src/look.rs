//! What the host sees of a machine: asked of the VMM, never taken from the specification.

use hospitium_model::escaped;
use hospitium_model::{Accelerator, ByteSize, Firmware, HostSource, Inability};
use serde_json::{Value, json};

use crate::events::path_id;
use crate::monitor::{Monitor, ask, property, unless_refused};
use crate::smbios;
use hospitium_host::{
    CpuFeatureWord, HostError, Look, MachineState, SeenDevice, SeenDisk, SeenNic, SeenNode,
    SeenTpm, Sight,
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

fn saw<T>(value: T) -> Sight<T> {
    Ok(HostSource::Hypervisor.saw(value))
}

/// A number of an answer, if it is there.
fn sight(value: &Value, key: &str) -> Sight<ByteSize> {
    let bytes = value.get(key).and_then(Value::as_u64).map(ByteSize::bytes);
    let missing = || Inability::of_host(format!("this QEMU does not tell {key}"));
    bytes.map(|size| HostSource::Hypervisor.saw(size)).ok_or_else(missing)
}

/// A text of an answer, if it is there.
fn text_sight(answer: Result<Value, Inability>, key: &str) -> Sight<String> {
    match text(&answer?, key) {
        "" => Err(Inability::of_host(format!("this QEMU does not tell {key}"))),
        word => saw(escaped(word, 64)),
    }
}

/// `query-status`'s word.
async fn status(monitor: &dyn Monitor) -> Result<String, HostError> {
    let status = ask(monitor, "query-status").await?;
    Ok(text(&status, "status").to_owned())
}

/// See [`Machine::look`](hospitium_host::Machine::look).
pub async fn look(monitor: &dyn Monitor) -> Result<Look, HostError> {
    let cpus = ask(monitor, "query-cpus-fast").await?;
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
    let memory = ask(monitor, "query-memory-size-summary").await?;
    let balloon = unless_refused(ask(monitor, "query-balloon").await)?;
    let uuid = unless_refused(ask(monitor, "query-uuid").await)?;
    let generation = unless_refused(ask(monitor, "query-vm-generation-id").await)?;
    let mut devices = Vec::new();
    for bus in list(&ask(monitor, "query-pci").await?) {
        walk_bus(bus, 8, &mut devices);
    }
    devices.sort_unstable();
    let first = list(&cpus).iter().find(|cpu| number(cpu, "cpu-index") == 0);
    let first = first.map(|cpu| text(cpu, "qom-path")).unwrap_or_default();
    Ok(Look {
        state: saw(state(&status(monitor).await?)),
        vcpus: saw(vcpus.iter().map(|(place, _)| *place).collect()),
        vcpu_threads: saw(vcpus.iter().map(|(_, thread)| *thread).collect()),
        cpu_model: cpu_model(monitor, first).await?,
        cpu_type: type_of(monitor, first, "-x86_64-cpu").await?,
        machine_type: type_of(monitor, "/machine", "-machine").await?,
        cpu_features: cpu_features(monitor, first).await?,
        memory: sight(&memory, "base-memory"),
        plugged_memory: sight(&memory, "plugged-memory"),
        balloon: balloon.and_then(|answer| sight(&answer, "actual")),
        nodes: nodes(monitor).await?,
        devices: saw(devices),
        disks: saw(disks(monitor).await?),
        nics: nics(monitor).await?,
        tpm: unless_refused(ask(monitor, "query-tpm").await)?
            .map(|all| HostSource::Hypervisor.saw(tpm(&all))),
        uuid: text_sight(uuid, "UUID"),
        generation_id: text_sight(generation, "guid"),
        hardware_clock: hardware_clock(monitor).await?,
        smbios: smbios::of(monitor).await?,
        accelerator: accelerator(monitor).await?,
        firmware: firmware(monitor).await?,
    })
}

/// The first TPM of `query-tpm`.
fn tpm(answer: &Value) -> Option<SeenTpm> {
    let first = list(answer).first()?;
    let backend = first.get("options").map(|options| text(options, "type")).unwrap_or_default();
    Some(SeenTpm { interface: escaped(text(first, "model"), 32), backend: escaped(backend, 32) })
}

/// KVM says of itself whether it is in use. Of TCG only the questions that no other accelerator answers tell
/// (monitor/hmp-cmds.c and accel/tcg/monitor.c, `tcg_enabled`).
async fn accelerator(monitor: &dyn Monitor) -> Result<Sight<Accelerator>, HostError> {
    let kvm = ask(monitor, "query-kvm").await?;
    if kvm.get("enabled").and_then(Value::as_bool) == Some(true) {
        return Ok(saw(Accelerator::Kvm));
    }
    for question in ["x-query-opcount", "x-query-jit"] {
        if unless_refused(ask(monitor, question).await)?.is_ok() {
            return Ok(saw(Accelerator::Tcg));
        }
    }
    Ok(Err(Inability::of_host(
        "this QEMU answers no question by which its accelerator can be told",
    )))
}

/// What lies where the first instruction is fetched: flash with UEFI code, else the BIOS image.
async fn firmware(monitor: &dyn Monitor) -> Result<Sight<Firmware>, HostError> {
    let flash = property(monitor, "/machine", "pflash0").await?;
    if flash.as_ref().and_then(Value::as_str).is_some_and(|node| !node.is_empty()) {
        return Ok(saw(Firmware::Uefi));
    }
    let image = property(monitor, "/machine", "firmware").await?;
    Ok(match image.as_ref().and_then(Value::as_str) {
        Some(name) if name.starts_with("bios") => saw(Firmware::Bios),
        _ => Err(Inability::of_host("this QEMU does not tell which firmware it loaded")),
    })
}

/// The hardware clock's date (`struct tm`, hw/rtc/mc146818rtc.c, `rtc_get_date`).
async fn hardware_clock(monitor: &dyn Monitor) -> Result<Sight<i64>, HostError> {
    let date = property(monitor, "/machine", "rtc-time").await?;
    let untold = || Inability::of_host("this QEMU does not tell what its hardware clock shows");
    let seconds = date.as_ref().and_then(seconds_of);
    Ok(seconds.map(|seconds| HostSource::Hypervisor.saw(seconds)).ok_or_else(untold))
}

/// Seconds since 1970 of a broken-down time, read as UTC.
fn seconds_of(date: &Value) -> Option<i64> {
    let part = |name: &str, from: i64| date.get(name)?.as_i64()?.checked_add(from);
    let day = |name: &str, from: i64| i8::try_from(part(name, from)?).ok();
    let year = i16::try_from(part("tm_year", 1900)?).ok()?;
    let date = jiff::civil::DateTime::new(
        year,
        day("tm_mon", 1)?,
        day("tm_mday", 0)?,
        day("tm_hour", 0)?,
        day("tm_min", 0)?,
        day("tm_sec", 0)?,
        0,
    );
    Some(date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
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

/// NUMA nodes that the VMM has, from the monitor's `info numa`: QMP has no question for them.
async fn nodes(monitor: &dyn Monitor) -> Result<Sight<Vec<SeenNode>>, HostError> {
    let arguments = json!({"command-line": "info numa"});
    let answer = monitor.call("asking for NUMA nodes", "human-monitor-command", arguments).await?;
    let nodes = parse_nodes(answer.as_str().unwrap_or_default());
    let strange = || Inability::of_host("this QEMU tells of its NUMA nodes in words of its own");
    Ok(nodes.map(|nodes| HostSource::Hypervisor.saw(nodes)).ok_or_else(strange))
}

/// No machine has more.
const MOST_NODES: usize = 128;

/// Reads `N nodes`, then `node I cpus: …` and `node I size: … MB` of each (monitor/hmp-cmds.c, `hmp_info_numa`).
fn parse_nodes(text: &str) -> Option<Vec<SeenNode>> {
    let mut lines = text.lines();
    let count = lines.next()?.trim().strip_suffix(" nodes")?.parse().ok()?;
    if count > MOST_NODES {
        return None;
    }
    let mut nodes = vec![SeenNode::default(); count];
    for line in lines {
        let Some((subject, value)) = line.split_once(':') else { continue };
        let mut words = subject.split_whitespace();
        let (Some("node"), Some(index), what) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let node = nodes.get_mut(index.parse::<usize>().ok()?)?;
        match what {
            Some("cpus") => {
                node.vcpus = value.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            }
            Some("size") => {
                let mib = value.trim().strip_suffix(" MB")?.parse().ok()?;
                node.memory = ByteSize::mib(mib);
            }
            _ => {}
        }
    }
    Some(nodes)
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

/// The name that CPUID gives the CPU.
async fn cpu_model(monitor: &dyn Monitor, cpu: &str) -> Result<Sight<String>, HostError> {
    let name = property(monitor, cpu, "model-id").await?;
    let name = name.as_ref().and_then(Value::as_str).map(|name| escaped(name.trim(), 64));
    let untold = || Inability::of_host("this QEMU does not tell the name of its CPU");
    Ok(name.map(|name| HostSource::Hypervisor.saw(name)).ok_or_else(untold))
}

/// The name behind a QOM type: what stands before the `suffix` that all types of its kind end with.
async fn type_of(
    monitor: &dyn Monitor,
    path: &str,
    suffix: &str,
) -> Result<Sight<String>, HostError> {
    let kind = property(monitor, path, "type").await?;
    let name = kind.as_ref().and_then(Value::as_str).and_then(|kind| kind.strip_suffix(suffix));
    let untold = || Inability::of_host(format!("this QEMU does not tell of what type {path} is"));
    Ok(name.map(|name| HostSource::Hypervisor.saw(escaped(name, 64))).ok_or_else(untold))
}

/// CPUID feature words of a vCPU (`X86CPUFeatureWordInfo`, qapi/machine-target.json).
async fn cpu_features(
    monitor: &dyn Monitor,
    cpu: &str,
) -> Result<Sight<Vec<CpuFeatureWord>>, HostError> {
    let Some(words) = property(monitor, cpu, "feature-words").await? else {
        return Ok(Err(Inability::of_host("this QEMU does not tell the features of its CPU")));
    };
    let words = list(&words).iter().filter_map(feature_word).collect();
    Ok(saw(words))
}

fn feature_word(word: &Value) -> Option<CpuFeatureWord> {
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
}

async fn disks(monitor: &dyn Monitor) -> Result<Vec<SeenDisk>, HostError> {
    let blocks = ask(monitor, "query-block").await?;
    let stats = ask(monitor, "query-blockstats").await?;
    let mut disks = Vec::new();
    for block in list(&blocks) {
        // What has no device in the guest is no disk of it: firmware in flash.
        let Some(id) = block.get("qdev").and_then(Value::as_str).map(path_id) else { continue };
        let own = list(&stats).iter().find(|stat| path_id(text(stat, "qdev")) == id);
        let count =
            |name| own.and_then(|stat| stat.get("stats")).map_or(0, |stats| number(stats, name));
        let inserted = block.get("inserted");
        let size = inserted
            .and_then(|inserted| inserted.get("image"))
            .map_or(0, |image| number(image, "virtual-size"));
        let device = format!("/machine/peripheral/{id}");
        let of_device = async |name| property(monitor, &device, name).await;
        let sector = async |name| {
            let size = of_device(name).await?.and_then(|size| u32::try_from(size.as_u64()?).ok());
            Result::<_, HostError>::Ok(size.filter(|&size| size > 0))
        };
        let serial = of_device("serial").await?;
        disks.push(SeenDisk {
            serial: serial.and_then(|serial| Some(escaped(serial.as_str()?, 64))),
            logical_sector: sector("logical_block_size").await?,
            physical_sector: sector("physical_block_size").await?,
            id,
            size: ByteSize::bytes(size),
            writes: count("wr_operations"),
            flushes: count("flush_operations"),
            // Of an empty drive nothing is said.
            read_only: inserted
                .map_or(Some(false), |inserted| inserted.get("ro").and_then(Value::as_bool)),
            medium_in: Some(
                inserted.is_some() && block.get("tray_open").and_then(Value::as_bool) != Some(true),
            ),
        });
    }
    disks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(disks)
}

/// Types of devices that are network interfaces.
const NICS: [&str; 5] = ["virtio-net-pci", "e1000", "e1000e", "rtl8139", "vmxnet3"];

/// The network interfaces among the machine's devices.
async fn nics(monitor: &dyn Monitor) -> Result<Sight<Vec<SeenNic>>, HostError> {
    let root = "/machine/peripheral";
    let doing = "asking for the network interfaces";
    let children = monitor.call(doing, "qom-list", json!({"path": root})).await?;
    let mut nics = Vec::new();
    for child in list(&children) {
        let kind = text(child, "type").strip_prefix("child<").and_then(|k| k.strip_suffix('>'));
        if !kind.is_some_and(|kind| NICS.contains(&kind)) {
            continue;
        }
        let id = text(child, "name");
        // One that is being unplugged may be gone by now.
        let mac = property(monitor, &format!("{root}/{id}"), "mac").await?;
        if let Some(Value::String(mac)) = mac {
            nics.push(SeenNic { id: escaped(id, 64), mac: escaped(&mac, 40) });
        }
    }
    nics.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(saw(nics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_clock_is_read_and_no_impossible_date() {
        let date = |day| {
            seconds_of(&json!({"tm_year": 124, "tm_mon": 1, "tm_mday": day, "tm_hour": 12,
                "tm_min": 34, "tm_sec": 56}))
        };
        assert_eq!(date(29), Some(1_709_210_096));
        assert_eq!(date(30), None);
        assert_eq!(seconds_of(&json!({"tm_year": i64::MAX})), None);
        assert_eq!(seconds_of(&json!(null)), None);
    }

    #[test]
    fn nodes_are_read_and_other_words_are_none() {
        let text = "2 nodes\r\nnode 0 cpus: 0 1\r\nnode 0 size: 33 MB\r\nnode 0 plugged: 0 MB\r\n\
            node 1 cpus:\r\nnode 1 size: 32 MB\r\nnode 1 plugged: 0 MB\r\n";
        let nodes = parse_nodes(text).expect("read");
        assert_eq!(nodes[0], SeenNode { memory: ByteSize::mib(33), vcpus: vec![0, 1] });
        assert_eq!(nodes[1], SeenNode { memory: ByteSize::mib(32), vcpus: Vec::new() });
        assert_eq!(parse_nodes("0 nodes\r\n"), Some(Vec::new()));
        for bad in ["", "nodes", "9999999999 nodes", "1 nodes\nnode 7 size: 1 MB"] {
            assert_eq!(parse_nodes(bad), None, "{bad}");
        }
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
