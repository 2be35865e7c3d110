//! What a QEMU is and has, asked of it once and kept by its binary.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hospitium_model::{Accelerator, Chipset, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::build::pair;
use crate::options::{OLDEST, Programs};
use crate::process::{Confinement, Launch};
use crate::qmp::Qmp;
use hospitium_host::local::digest_of;
use hospitium_host::{Choices, CpuChoice, History, HostError, MachineChoice};
use hospitium_model::escaped;

/// Devices whose lack changes what a host can do.
const DEVICES: [&str; 17] = [
    "virtio-blk-pci",
    "virtio-scsi-pci",
    "nvme",
    "usb-storage",
    "virtio-net-pci",
    "pc-dimm",
    "usb-kbd",
    "virtio-balloon-pci",
    "VGA",
    "i6300esb",
    "pvpanic",
    "pvpanic-pci",
    "virtio-rng-pci",
    "vmgenid",
    "virtio-serial-pci",
    "tpm-crb",
    "tpm-tis",
];

/// What a QEMU is and has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traits {
    /// The binary as it was when asked.
    binary: Stamp,
    /// Digest of the binary.
    pub digest: Digest,
    /// Version: major, minor, micro.
    pub version: (u32, u32, u32),
    /// Package, in its own words.
    pub package: String,
    /// The devices that it was asked for: [`DEVICES`] of the version of this driver that asked.
    asked: Vec<String>,
    /// Which of them it has.
    devices: BTreeSet<String>,
    /// CPU models, with the features of each that cannot be had under TCG.
    cpu_models: Vec<(String, Vec<String>)>,
    /// Machine types.
    machine_types: Vec<MachineType>,
    /// Memory can be mapped privately from a file that is opened for reading only (since 9.0).
    pub private_read_only_memory: bool,
}

/// A machine type (`MachineInfo`, qapi/machine.json).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MachineType {
    name: String,
    alias: Option<String>,
    most_vcpus: Option<u32>,
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    size: u64,
    modified: i64,
    modified_nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, HostError> {
        let meta = std::fs::metadata(path);
        let meta = meta.map_err(HostError::io(format!("looking at {}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            size: meta.len(),
            modified: meta.mtime(),
            modified_nanoseconds: meta.mtime_nsec(),
        })
    }
}

impl Traits {
    /// From the cache if the binary is as it was, else by asking it.
    pub(crate) async fn of(
        programs: &Programs,
        confinement: Confinement,
        cache: Option<&Path>,
    ) -> Result<Self, HostError> {
        let binary = Stamp::of(&programs.vmm)?;
        let name = Digest::of(programs.vmm.as_os_str().as_encoded_bytes());
        let kept = cache.map(|folder| folder.join(format!("qemu-{}.json", name.short())));
        if let Some(traits) = kept.as_deref().and_then(read_kept)
            && traits.binary == binary
            && traits.asked == DEVICES
        {
            return Ok(traits);
        }
        let traits = ask(programs, confinement, binary).await?;
        if let Some(path) = kept {
            // A cache that can't be written costs time and nothing else.
            let _ = write_kept(&path, &traits);
        }
        Ok(traits)
    }

    /// CPU models and machine types by name, under this accelerator.
    pub(crate) fn choices(&self, accelerator: Accelerator) -> Choices {
        let cpu_models = self.cpu_models.iter().map(|(name, lacks)| CpuChoice {
            name: name.clone(),
            // The feature by which QEMU says that a model is the physical CPU (target/i386/cpu.c,
            // x86_cpu_class_check_missing_features).
            unusable: (!accelerator.is_hardware() && lacks.iter().any(|lacks| lacks == "kvm"))
                .then(|| format!("it needs KVM, and this host runs {}", accelerator.name())),
        });
        let machine_types = self.machine_types.iter().filter_map(|machine| {
            // Others have no PCI Express and no PCI, or no firmware: the driver cannot fill them.
            let chipset = match machine.name.split_once('-')?.1.split_once('-')?.0 {
                "q35" => Chipset::Modern,
                "i440fx" => Chipset::Legacy,
                _ => return None,
            };
            let MachineType { name, alias, most_vcpus } = machine.clone();
            Some(MachineChoice { name, alias, chipset, most_vcpus })
        });
        Choices { cpu_models: cpu_models.collect(), machine_types: machine_types.collect() }
    }

    /// Has it this type of device?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.devices.contains(name)
    }
}

fn read_kept(path: &Path) -> Option<Traits> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

pub(crate) fn write_kept(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    std::fs::create_dir_all(hospitium_files::above(path))?;
    hospitium_files::replace(path, &serde_json::to_vec(value)?)
}

/// More of them no QEMU has.
const MOST_NAMES: usize = 2000;

/// The elements of an answer that have a name which can be one.
fn named(list: &Value) -> impl Iterator<Item = (String, &Value)> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |item: &Value| item.get("name")?.as_str().map(str::to_owned);
    let all = list.iter().filter_map(move |item| Some((name(item)?, item)));
    all.filter(|(name, _)| hospitium_model::names_a_model(name)).take(MOST_NAMES)
}

/// `query-cpu-definitions`.
fn cpu_models(answer: &Value) -> Vec<(String, Vec<String>)> {
    let lacks = |item: &Value| {
        let lacks = item.get("unavailable-features").and_then(Value::as_array);
        let lacks = lacks.map(Vec::as_slice).unwrap_or_default();
        lacks.iter().filter_map(|one| one.as_str().map(|one| escaped(one, 64))).take(256).collect()
    };
    let mut all: Vec<_> = named(answer).map(|(name, item)| (name, lacks(item))).collect();
    all.sort();
    all
}

/// `query-machines`.
fn machine_types(answer: &Value) -> Vec<MachineType> {
    let each = named(answer).map(|(name, item)| MachineType {
        name,
        alias: item.get("alias").and_then(Value::as_str).map(|alias| escaped(alias, 64)),
        most_vcpus: item.get("cpu-max").and_then(Value::as_u64).and_then(|n| n.try_into().ok()),
    });
    let mut all: Vec<_> = each.collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

async fn ask(
    programs: &Programs,
    confinement: Confinement,
    binary: Stamp,
) -> Result<Traits, HostError> {
    let vmm = programs.vmm.display().to_string();
    let unusable =
        |why: String, next: &str| HostError::Unusable { vmm: vmm.clone(), why, next: next.into() };
    let folder = tempfile::tempdir().map_err(HostError::io("making a temporary folder"))?;
    if let Some(id) = confinement.user {
        let given = std::os::unix::fs::chown(folder.path(), Some(id), Some(id));
        given.map_err(HostError::io("giving a temporary folder away"))?;
    }
    let (ours, theirs) = pair()?;
    let mut argv = programs.vmm_argv();
    let control = format!("socket,id=x.qmp,fd={}", theirs.as_raw_fd());
    let arguments = [
        "-machine",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-S",
        "-chardev",
        &control,
        "-mon",
        "chardev=x.qmp,mode=control",
    ];
    argv.extend(arguments.map(OsString::from));
    let launch = Launch {
        argv,
        environment: programs.environment(),
        folder: folder.path().to_owned(),
        inherited: vec![theirs],
        confinement,
    };
    let check = "Check that it is a QEMU system emulator for x86-64, with all its libraries, \
        that every user can run";
    let process = launch.start(&folder.path().join("log")).await.map_err(|error| match error {
        HostError::Io { source, .. } => unusable(source.to_string(), check),
        other => other,
    })?;
    let ended = |error| match error {
        HostError::Ended { ended, .. } => unusable(ended.to_string(), check),
        other => other,
    };
    let qmp = Qmp::new(ours, Arc::new(History::new()), &process).await.map_err(ended)?;
    let doing = "asking QEMU what it has";
    let answer = qmp.call(doing, "query-version", json!({})).await.map_err(ended)?;
    let part = |name: &str| {
        let number = answer.get("qemu").and_then(|v| v.get(name)).and_then(Value::as_u64);
        number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
    };
    let version = (part("major"), part("minor"), part("micro"));
    if (version.0, version.1) < OLDEST {
        let why = format!("version {}.{}.{} is too old", version.0, version.1, version.2);
        return Err(unusable(why, &format!("Use QEMU {}.{} or later", OLDEST.0, OLDEST.1)));
    }
    let package = answer.get("package").and_then(Value::as_str).unwrap_or_default();
    let package = escaped(package.trim().trim_matches(['(', ')']), 100);
    let mut devices = BTreeSet::new();
    for name in DEVICES {
        // One by one: a list of all types would make it load all modules there are, and one of
        // another version among them ends it.
        match qmp.call(doing, "device-list-properties", json!({"typename": name})).await {
            Ok(_) => drop(devices.insert(name.to_owned())),
            Err(HostError::Refused { .. }) => {}
            Err(error) => return Err(ended(error)),
        }
    }
    let models = qmp.call(doing, "query-cpu-definitions", json!({})).await.map_err(ended)?;
    let machines = qmp.call(doing, "query-machines", json!({})).await.map_err(ended)?;
    let names = |list: &Value| -> BTreeSet<String> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|item| Some(item.get("name")?.as_str()?.to_owned())).collect()
    };
    let memory = json!({"typename": "memory-backend-file"});
    let memory = qmp.call(doing, "qom-list-properties", memory).await.map_err(ended)?;
    process.kill().await;
    let path = programs.vmm.clone();
    let digest = tokio::task::spawn_blocking(move || digest_of(&path)).await;
    let digest = digest.map_err(|e| HostError::io(doing)(std::io::Error::other(e)))??;
    Ok(Traits {
        binary,
        digest,
        version,
        package,
        asked: DEVICES.map(str::to_owned).to_vec(),
        devices,
        cpu_models: cpu_models(&models),
        machine_types: machine_types(&machines),
        private_read_only_memory: names(&memory).contains("rom"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_with_distrust() {
        let answer = json!([
            {"name": "Haswell", "unavailable-features": ["pcid", "x2apic"]},
            {"name": "EPYC", "unavailable-features": "none"},
            {"name": "max,+vmx"}, {"name": 7}, {}, "x", null,
        ]);
        let expected =
            [("EPYC".to_owned(), vec![]), ("Haswell".into(), vec!["pcid".into(), "x2apic".into()])];
        assert_eq!(cpu_models(&answer), expected);
        assert_eq!(cpu_models(&json!({"name": "x"})), []);
        let endless: Vec<_> = (0..5000).map(|n| json!({"name": format!("cpu{n}")})).collect();
        assert_eq!(cpu_models(&json!(endless)).len(), MOST_NAMES);
    }

    #[test]
    fn machine_types_that_can_be_filled_are_offered_and_no_others() {
        let machines = machine_types(&json!([
            {"name": "pc-q35-7.2", "alias": "q35", "cpu-max": 288}, {"name": "pc-i440fx-7.2", "alias": "pc", "cpu-max": 255},
            {"name": "microvm", "cpu-max": 288}, {"name": "none"}, {"name": "x-remote"}, {"name": "isapc"},
            {"name": "pc-q35-9.9", "cpu-max": -1},
        ]));
        let traits = Traits {
            binary: Stamp { path: "q".into(), size: 0, modified: 0, modified_nanoseconds: 0 },
            digest: Digest::of(b"q"),
            version: (7, 2, 0),
            package: String::new(),
            asked: Vec::new(),
            devices: BTreeSet::new(),
            cpu_models: vec![("host".into(), vec!["kvm".into()]), ("max".into(), vec![])],
            machine_types: machines,
            private_read_only_memory: false,
        };
        let choices = traits.choices(Accelerator::Tcg);
        let types: Vec<_> =
            choices.machine_types.iter().map(|c| (&*c.name, c.chipset, c.most_vcpus)).collect();
        let expected = [
            ("pc-i440fx-7.2", Chipset::Legacy, Some(255)),
            ("pc-q35-7.2", Chipset::Modern, Some(288)),
            ("pc-q35-9.9", Chipset::Modern, None),
        ];
        assert_eq!(types, expected);
        let usable = |choices: &Choices| {
            choices.cpu_models.iter().map(|c| c.unusable.is_none()).collect::<Vec<_>>()
        };
        assert_eq!(usable(&choices), [false, true]);
        assert_eq!(usable(&traits.choices(Accelerator::Kvm)), [true, true]);
    }
}
