//! The models that are measured.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hospitium_plan::covering::{MOST_BYTES, Model, ModelError, read_casa};

/// A model with what is known of it.
pub struct Named {
    /// Its name.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The fewest rows published, at strengths 2 and 3.
    pub best_known: [Option<usize>; 2],
}

/// The fewest rows published for the benchmark models, at strengths 2 and 3: of CASA (Garvin,
/// Cohen, Dwyer 2011), and of TCA (Lin et al. 2015) and its successors on CASA's and IBM's models.
const BEST_KNOWN: [(&str, usize, usize); 11] = [
    ("spins", 19, 80),
    ("gcc", 15, 68),
    ("bugzilla", 16, 48),
    ("Banking1", 13, 45),
    ("Banking2", 10, 30),
    ("CommProtocol", 16, 41),
    ("Insurance", 527, 6851),
    ("NetworkMgmt", 110, 1100),
    ("Services", 100, 815),
    ("Storage5", 215, 1705),
    ("Telecom", 30, 120),
];

/// All models: written here, and of the folder that `HOSPITIUM_COVERING_MODELS` names.
pub fn all() -> Result<Vec<Named>> {
    let mut all = vec![Named {
        name: "machine".into(),
        model: machine().context("the machine's model")?,
        best_known: [None; 2],
    }];
    for (name, sizes, best_known) in [
        // Sizes that PICT's own documentation compares tools on. What is known of them is proved:
        // an orthogonal array; Stevens and Mendelsohn (1999); Kleitman and Spencer, Katona (1973).
        ("3^4", vec![(3, 4)], Some(9)),
        ("3^13", vec![(3, 13)], Some(15)),
        ("4^15 3^17 2^29", vec![(4, 15), (3, 17), (2, 29)], None),
        ("4 3^39 2^35", vec![(4, 1), (3, 39), (2, 35)], None),
        ("2^100", vec![(2, 100)], Some(10)),
        ("10^20", vec![(10, 20)], None),
    ] {
        let model = plain(&sizes).with_context(|| format!("the model {name}"))?;
        all.push(Named { name: name.into(), model, best_known: [best_known, None] });
    }
    if let Some(folder) = std::env::var_os("HOSPITIUM_COVERING_MODELS").filter(|f| !f.is_empty()) {
        all.extend(folder_models(Path::new(&folder))?);
    }
    Ok(all)
}

fn folder_models(folder: &Path) -> Result<Vec<Named>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "model") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Named> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = bounded(path)?;
    let constraints = path.with_extension("constraints");
    let rules = if constraints.is_file() { Some(bounded(&constraints)?) } else { None };
    let (file, rules_file) = (path.to_string_lossy(), constraints.to_string_lossy());
    let model = read_casa((&file, &text), rules.as_deref().map(|rules| (&*rules_file, rules)))?;
    let known = BEST_KNOWN.iter().find(|(known, ..)| *known == name);
    let best_known = known.map_or([None; 2], |&(_, two, three)| [Some(two), Some(three)]);
    Ok(Named { name, model, best_known })
}

fn bounded(path: &Path) -> Result<String> {
    let size = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    ensure!(size <= MOST_BYTES as u64, "{} has {size} bytes; at most {MOST_BYTES}", path.display());
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// So many parameters of so many values each, without constraints.
fn plain(sizes: &[(usize, usize)]) -> Result<Model, ModelError> {
    let mut builder = Model::builder();
    for (values, count) in sizes {
        for _ in 0..*count {
            let name = format!("p{}", builder.parameters().len());
            builder.parameter(name, (0..*values).map(|v| v.to_string()));
        }
    }
    builder.build()
}

/// A virtual machine's configuration with what hypervisors and systems do not allow.
fn machine() -> Result<Model, ModelError> {
    let mut m = Model::builder();
    let chipset = m.parameter("chipset", ["440fx", "q35"]);
    let firmware = m.parameter("firmware", ["bios", "uefi", "uefi-secure"]);
    let bus = m.parameter("bus", ["virtio", "virtio-scsi", "sata", "ide", "nvme", "usb"]);
    let format = m.parameter("format", ["raw", "qcow2", "vhdx", "vmdk"]);
    let cache = m.parameter("cache", ["none", "writeback", "writethrough", "directsync"]);
    let aio = m.parameter("aio", ["threads", "native", "io_uring"]);
    let nic = m.parameter("nic", ["virtio", "e1000", "e1000e", "rtl8139", "vmxnet3"]);
    let queues = m.parameter("queues", ["1", "4"]);
    let vcpus = m.parameter("vcpus", ["1", "2", "4", "16"]);
    let sockets = m.parameter("sockets", ["1", "2"]);
    let memory = m.parameter("memory-mib", ["512", "2048", "8192", "65536"]);
    let nodes = m.parameter("numa-nodes", ["1", "2"]);
    let display = m.parameter("display", ["none", "std", "qxl", "virtio"]);
    m.parameter("rng", ["no", "yes"]);
    m.parameter("balloon", ["no", "yes"]);
    let watchdog = m.parameter("watchdog", ["none", "i6300esb", "itco"]);
    m.forbid("440fx has no PCI Express", chipset.is("440fx").and(nic.is("e1000e")));
    m.forbid("the iTCO watchdog is in q35", chipset.is("440fx").and(watchdog.is("itco")));
    m.forbid("440fx has no AHCI", chipset.is("440fx").and(bus.is("sata")));
    m.forbid("q35 has no IDE controller", chipset.is("q35").and(bus.is("ide")));
    m.require("secure boot needs q35's SMM", firmware.is("uefi-secure").implies(chipset.is("q35")));
    m.forbid("BIOS boots from no NVMe disk", firmware.is("bios").and(bus.is("nvme")));
    m.require(
        "native AIO needs O_DIRECT",
        aio.is("native").implies(cache.one_of(["none", "directsync"])),
    );
    m.require("only virtio has queues", queues.is("4").implies(nic.is("virtio")));
    m.require("queues need vCPUs", queues.is("4").implies(vcpus.at_least(4)));
    m.require("a socket has a vCPU", sockets.is("2").implies(vcpus.at_least(2)));
    m.require("a node has a socket", nodes.is("2").implies(sockets.is("2")));
    m.require("a node has memory", nodes.is("2").implies(memory.at_least(2048)));
    m.require("many vCPUs need memory", vcpus.is("16").implies(memory.at_least(2048)));
    m.forbid(
        "qxl is not for UEFI with secure boot",
        firmware.is("uefi-secure").and(display.is("qxl")),
    );
    m.forbid("USB disks are raw or qcow2", bus.is("usb").and(format.one_of(["vhdx", "vmdk"])));
    m.build()
}
