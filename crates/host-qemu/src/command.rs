//! A machine's specification as QEMU's command line. Pure: everything opened or made is given.
//!
//! Ids of our own contain a dot, which ids in a specification can't, so the two never meet.

use std::time::Duration;

use hospitium_model::{Accelerator, Boot, Chipset, CrashAction, Firmware, MachineSpec};
use serde_json::json;

use crate::devices;
use crate::plugged::Plugged;
use crate::setup::{Arguments, Mapping, Setup};
use hospitium_host::HostError;

/// The CPU that is emulated: all that QEMU can, but the flags by which a CPU says that its byte-wise
/// string instructions are the fast ones (ERMS and FSRM, Intel SDM vol. 1, 7.3.9.3). On an emulator they are
/// the slow ones: a kernel that believes them clears and copies all its memory byte by byte, which
/// took an eighth of the CPU time of a boot of Debian 12 (one boot with and one without).
const EMULATED_CPU: &str = "max,erms=off,fsrm=off";

/// Room for translated code, in MiB. QEMU's own choice is 1024, or an eighth of the memory if that is less (tcg/region.c),
/// which a guest's whole boot does not fill: what it translated is still there at the next restart, and is then taken back block by block as memory is written
/// anew, with each block a search through the table and a cleared jump cache of every vCPU. After a boot of
/// Debian 12 a restart took 49, 22 and 52 s up to the kernel's first line where the first start took
/// 10 s; with 64 MiB it takes 11 s, with 128 MiB 12 to 15 s. With 32 MiB a boot translates the same code over
/// and over (116 s of CPU time for 90). QEMU 7.2, plain, one run each.
const TRANSLATIONS_MIB: u32 = 64;

/// Text in an option that is not JSON: a comma is written twice.
fn plain(text: &str) -> String {
    text.replace(',', ",,")
}

/// The arguments after the program's own.
pub(crate) fn arguments(setup: &Setup<'_>) -> Result<Vec<String>, HostError> {
    let mut args = Arguments::default();
    base(setup, &mut args);
    memory(setup, &mut args);
    firmware_and_boot(setup, &mut args);
    devices::platform_devices(setup, &mut args)?;
    devices::disks(setup, &mut args)?;
    devices::nics(setup, &mut args)?;
    for plugged in setup.plugged {
        if let Plugged::Other { object: Some(object), .. } = plugged {
            args.two("-object", object.to_string());
        }
        for device in plugged.devices() {
            args.two("-device", device.to_string());
        }
    }
    if setup.incoming {
        args.two("-incoming", "defer");
    }
    Ok(args.0)
}

fn base(setup: &Setup<'_>, args: &mut Arguments) {
    let spec = setup.spec;
    args.two("-name", format!("{},debug-threads=on", plain(setup.name)));
    args.one("-nodefaults");
    args.one("-no-user-config");
    args.one("-S");
    args.two("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    args.two("-msg", "timestamp=on");
    args.two("-display", "none");
    for (fd, set) in setup.sets {
        args.two("-add-fd", format!("fd={fd},set={set}"));
    }
    args.two("-chardev", format!("socket,id=x.qmp,fd={}", setup.qmp));
    args.two("-mon", "chardev=x.qmp,mode=control");
    let named = setup.machine_type.or(spec.machine_type.as_deref());
    let kind = match (named, spec.chipset) {
        (Some(kind), _) => kind,
        (None, Chipset::Modern) => "q35",
        (None, Chipset::Legacy) => "pc",
    };
    let mut machine = format!("{kind},usb=off,vmport=off,dump-guest-core=off");
    if spec.memory.nodes <= 1 {
        machine += ",memory-backend=x.ram0";
    }
    if setup.uefi.is_some() {
        machine += ",pflash0=x.code,pflash1=x.vars";
    }
    args.two("-machine", machine);
    match setup.accelerator {
        Accelerator::Kvm => {
            args.two("-accel", "kvm");
            args.two("-cpu", spec.cpu_model.as_deref().unwrap_or("host"));
        }
        _ => {
            args.two("-accel", format!("tcg,thread=multi,tb-size={TRANSLATIONS_MIB}"));
            args.two("-cpu", spec.cpu_model.as_deref().unwrap_or(EMULATED_CPU));
        }
    }
    let cpus = &spec.cpus;
    args.two(
        "-smp",
        format!(
            "cpus={},sockets={},cores={},threads={},maxcpus={}",
            setup.vcpus,
            cpus.max_sockets.max(cpus.sockets),
            cpus.cores,
            cpus.threads,
            cpus.max_count()
        ),
    );
    args.two("-rtc", format!("base={},clock=host", clock_base(setup.clock_ahead)));
    let panic = match spec.on_crash {
        CrashAction::PowerOff => "shutdown",
        // QEMU has no such action: the driver presses reset when it sees the crash.
        CrashAction::Reset | CrashAction::Pause => "pause",
    };
    args.two("-action", format!("panic={panic}"));
    let smbios = &spec.smbios;
    let mut strings = String::new();
    for (key, value) in [
        ("manufacturer", &smbios.manufacturer),
        ("product", &smbios.product),
        ("serial", &smbios.serial),
    ] {
        if !value.is_empty() {
            strings += &format!(",{key}={}", plain(value));
        }
    }
    if !strings.is_empty() {
        args.two("-smbios", format!("type=1{strings}"));
    }
    if !smbios.uuid.is_empty() {
        args.two("-uuid", &*smbios.uuid);
    }
}

fn memory(setup: &Setup<'_>, args: &mut Arguments) {
    let memory = &setup.spec.memory;
    let nodes = setup.memory.len() as u64;
    let mut options = format!("size={}M", memory.size.as_mib());
    if memory.max > memory.size {
        options += &format!(",slots=8,maxmem={}M", memory.max.as_mib());
    }
    args.two("-m", options);
    for (n, (path, size)) in
        setup.memory.iter().zip(node_sizes(memory.size.as_mib(), nodes)).enumerate()
    {
        let mut object = json!({"qom-type": "memory-backend-file", "id": format!("x.ram{n}"), "size": size << 20});
        match setup.memory_mapping {
            Mapping::None => object["qom-type"] = json!("memory-backend-ram"),
            Mapping::Shared | Mapping::Copied => {
                object["mem-path"] = json!(path);
                object["share"] = json!(true);
            }
            Mapping::Private { read_only } => {
                object["mem-path"] = json!(path);
                object["share"] = json!(false);
                object["reserve"] = json!(false);
                if read_only {
                    object["readonly"] = json!(true);
                    object["rom"] = json!("off");
                }
            }
        }
        args.two("-object", object.to_string());
    }
    if nodes > 1 {
        for n in 0..nodes {
            args.two("-numa", format!("node,nodeid={n},memdev=x.ram{n}"));
        }
        let sockets = u64::from(setup.spec.cpus.max_sockets.max(setup.spec.cpus.sockets));
        for socket in 0..sockets {
            args.two(
                "-numa",
                format!("cpu,node-id={},socket-id={socket}", socket * nodes / sockets),
            );
        }
    }
}

/// What the hardware clock begins with (`-rtc base`): a date in UTC, if it is to be ahead.
fn clock_base(ahead: Duration) -> String {
    if ahead.is_zero() {
        return "utc".into();
    }
    let now = jiff::Timestamp::now().saturating_add(ahead).unwrap_or(jiff::Timestamp::MAX);
    now.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// MiB of each NUMA node: even, the rest to the first.
pub(crate) fn node_sizes(mib: u64, nodes: u64) -> impl Iterator<Item = u64> {
    let nodes = nodes.max(1);
    (0..nodes).map(move |n| mib / nodes + if n == 0 { mib % nodes } else { 0 })
}

fn firmware_and_boot(setup: &Setup<'_>, args: &mut Arguments) {
    if let Some(set) = setup.uefi {
        args.two(
            "-blockdev",
            json!({"driver": "file", "node-name": "x.codefile", "read-only": true,
            "filename": format!("/dev/fdset/{set}")})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "raw", "node-name": "x.code", "read-only": true,
            "file": "x.codefile"})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "file", "node-name": "x.varsfile",
            "filename": "uefi-vars.fd", "cache": {"no-flush": true}})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "raw", "node-name": "x.vars", "file": "x.varsfile"}).to_string(),
        );
    }
    args.two("-boot", "strict=on,menu=off");
    if let Boot::Kernel { command_line, .. } = &setup.spec.boot
        && let Some((kernel, initrd)) = &setup.kernel
    {
        args.two("-kernel", kernel);
        if let Some(initrd) = initrd {
            args.two("-initrd", initrd);
        }
        args.two("-append", command_line);
    }
}

/// True if the machine starts UEFI.
pub(crate) fn is_uefi(spec: &MachineSpec) -> bool {
    spec.firmware == Firmware::Uefi
}

#[cfg(test)]
mod tests {
    use hospitium_model::{ByteSize, Network, Nic, NicModel, SpecError, TpmVersion};

    use super::*;

    fn of(spec: &MachineSpec) -> Result<Vec<String>, HostError> {
        arguments(&Setup {
            spec,
            name: "a,b=c",
            machine_type: None,
            vcpus: spec.cpus.count(),
            clock_ahead: Duration::ZERO,
            accelerator: Accelerator::Tcg,
            has: &|_| true,
            disks: &[],
            sets: &[(9, 1)],
            qmp: 5,
            channels: &[6, 7],
            cables: &[("net0".into(), 8)],
            kernel: Some(("/proc/self/fd/3".into(), None)),
            uefi: None,
            memory: &["memory-0".into()],
            memory_mapping: Mapping::Shared,
            tpm: Some(11),
            generation_id: None,
            incoming: false,
            plugged: &[],
            removed: &[],
        })
    }

    fn spec() -> MachineSpec {
        let kernel = Boot::Kernel { kernel: "k".into(), initrd: None, command_line: "a, b".into() };
        MachineSpec::new(ByteSize::mib(64), kernel)
    }

    fn values<'a>(args: &'a [String], option: &str) -> Vec<&'a str> {
        let pairs = args.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn a_vmm_is_sandboxed_and_starts_from_nothing_with_its_vcpus_still() {
        let args = of(&spec()).expect("arguments");
        for option in ["-nodefaults", "-no-user-config", "-S"] {
            assert!(args.iter().any(|arg| arg == option), "{option}");
        }
        let sandbox = values(&args, "-sandbox");
        assert!(sandbox[0].starts_with("on,") && !sandbox[0].contains("allow"), "{sandbox:?}");
        assert!(values(&args, "-netdev").is_empty());
    }

    #[test]
    fn text_of_a_specification_stays_within_its_option() {
        let mut spec = spec();
        spec.smbios.product = "x,serial=evil,file=/etc/passwd".into();
        let args = of(&spec).expect("arguments");
        assert_eq!(values(&args, "-smbios"), ["type=1,product=x,,serial=evil,,file=/etc/passwd"]);
        assert_eq!(values(&args, "-name"), ["a,,b=c,debug-threads=on"]);
        assert_eq!(values(&args, "-append"), ["a, b"]);
        spec.channels[0].name = "x,path=/tmp/y".into();
        assert!(matches!(spec.check(), Err(SpecError::BadId(_))));
    }

    #[test]
    fn a_cpu_model_and_a_machine_type_that_are_named_are_taken_as_they_are() {
        let mut spec = spec();
        let args = of(&spec).expect("arguments");
        assert_eq!(values(&args, "-cpu"), [EMULATED_CPU]);
        assert!(values(&args, "-machine")[0].starts_with("q35,"));
        spec.cpu_model = Some("Haswell".into());
        spec.machine_type = Some("pc-q35-7.1".into());
        let args = of(&spec).expect("arguments");
        assert_eq!(values(&args, "-cpu"), ["Haswell"]);
        assert!(values(&args, "-machine")[0].starts_with("pc-q35-7.1,"));
    }

    #[test]
    fn a_tpm_is_of_the_interface_that_its_version_and_chipset_have() {
        let mut spec = spec();
        assert!(values(&of(&spec).expect("arguments"), "-tpmdev").is_empty());
        for (version, chipset, driver) in [
            (TpmVersion::V2_0, Chipset::Modern, "tpm-crb"),
            (TpmVersion::V2_0, Chipset::Legacy, "tpm-tis"),
            (TpmVersion::V1_2, Chipset::Modern, "tpm-tis"),
        ] {
            (spec.tpm, spec.chipset) = (Some(version), chipset);
            let args = of(&spec).expect("arguments");
            assert_eq!(values(&args, "-tpmdev"), ["emulator,id=x.tpmdev,chardev=x.tpmctl"]);
            assert!(values(&args, "-chardev").contains(&"socket,id=x.tpmctl,fd=11"));
            let device =
                values(&args, "-device").into_iter().find(|device| device.contains("tpm-"));
            assert!(device.is_some_and(|device| device.contains(driver)), "{driver}: {device:?}");
        }
    }

    #[test]
    fn a_cable_ends_in_the_harness_or_nowhere() {
        let mut spec = spec();
        for (id, network) in [("net0", Network::Harness), ("net1", Network::Isolated)] {
            let (id, mac) = (id.to_owned(), "52:54:00:00:00:01".to_owned());
            spec.nics.push(Nic { id, model: NicModel::E1000, mac, network, queues: 0 });
        }
        let args = of(&spec).expect("arguments");
        let netdevs = ["socket,id=n.net0,fd=8", "hubport,id=n.net1,hubid=1"];
        assert_eq!(values(&args, "-netdev"), netdevs);
        spec.nics[0].queues = 4;
        assert!(matches!(of(&spec), Err(HostError::Unsupported { .. })));
    }

    #[test]
    fn nodes_divide_the_memory_without_loss() {
        assert_eq!(node_sizes(65, 2).collect::<Vec<_>>(), [33, 32]);
        assert_eq!(node_sizes(64, 0).collect::<Vec<_>>(), [64]);
    }
}
