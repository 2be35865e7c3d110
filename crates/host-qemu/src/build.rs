//! Brings a machine into being: makes and opens its files, starts the VMM, connects to it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hospitium_model::{Boot, MachineSpec, Network};
use tokio::net::UnixStream;

use crate::command;
use crate::defects;
use crate::disks::{DiskPlan, Handed};
use crate::files;
use crate::machine::QemuMachine;
use crate::plugged::Plugged;
use crate::process::{Confinement, LOG, Launch};
use crate::qmp::Qmp;
use crate::setup::{Mapping, Setup};
use crate::{Inner, orphans, tpm};
use hospitium_host::History;
use hospitium_host::defect;
use hospitium_host::local::{self, open};
use hospitium_host::{HostError, MemoryFrom, WorkDir};

/// What names of the memory's files begin with.
pub(crate) const MEMORY: &str = "memory-";

/// Name of the n-th file of the memory.
pub(crate) fn memory_file(n: usize) -> String {
    format!("{MEMORY}{n}")
}

/// Copies a snapshot's memory into the folder of the machine that is to have it to itself.
async fn copy_memory(from: Vec<PathBuf>, folder: PathBuf) -> Result<(), HostError> {
    let copied = tokio::task::spawn_blocking(move || {
        from.iter().enumerate().try_for_each(|(n, path)| {
            let doing = HostError::io(format!("copying {}", path.display()));
            local::copy_sparse(open(path)?, &folder.join(memory_file(n))).map_err(doing)
        })
    });
    let doing = "copying a snapshot's memory";
    copied.await.map_err(|error| HostError::io(doing)(std::io::Error::other(error)))?
}

/// File of the UEFI variables.
pub(crate) const UEFI_VARS: &str = "uefi-vars.fd";

/// How a machine comes into being.
pub(crate) struct Origin {
    /// Disks, the layers of each known.
    pub disks: Vec<DiskPlan>,
    /// Files whose content is mapped privately; empty to begin with fresh memory, or with what is in the stream.
    pub memory: Vec<PathBuf>,
    /// Whether those files are mapped themselves, or copied.
    pub memory_from: MemoryFrom,
    /// The stream or the file that its state comes by.
    pub incoming: Option<OwnedFd>,
    /// The folder of the process that it comes from (live migration): its overlays are used.
    pub overlays: Option<PathBuf>,
    /// UEFI variables to begin with; the firmware's own if none.
    pub uefi_vars: Option<PathBuf>,
    /// VM generation id.
    pub generation_id: Option<String>,
    /// Devices plugged in before.
    pub plugged: Vec<Plugged>,
    /// Devices removed before.
    pub removed: Vec<String>,
    /// The user that it ran as, if its files are that user's; else one of its own.
    pub user: Option<u32>,
    /// The machine type that it has, if it comes from a QEMU whose own may be another.
    pub machine_type: Option<String>,
}

impl Origin {
    /// A machine that is switched on for the first time.
    pub(crate) fn fresh(spec: &MachineSpec, disks: Vec<DiskPlan>) -> Self {
        Self {
            disks,
            memory: Vec::new(),
            memory_from: MemoryFrom::default(),
            incoming: None,
            overlays: None,
            uefi_vars: None,
            generation_id: spec.generation_id.clone(),
            plugged: Vec::new(),
            removed: Vec::new(),
            user: None,
            machine_type: None,
        }
    }
}

/// What the VMM is given open.
struct Handles {
    inherited: Vec<OwnedFd>,
    sets: Vec<(i32, u32)>,
}

impl Handles {
    fn give(&mut self, fd: impl Into<OwnedFd>) -> i32 {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        self.inherited.push(fd);
        number
    }

    /// Opens a file for reading and puts it into a set of its own.
    fn set_of(&mut self, path: &Path) -> Result<u32, HostError> {
        let file = open(path)?;
        let set = self.sets.len() as u32 + 1;
        let number = self.give(file);
        self.sets.push((number, set));
        Ok(set)
    }
}

impl Inner {
    /// Makes the machine's files and starts its VMM, whose vCPUs stand still. If its state comes from elsewhere, it
    /// begins to take it in.
    pub(crate) async fn build(
        self: &Arc<Self>,
        spec: &MachineSpec,
        dir: &WorkDir,
        origin: Origin,
    ) -> Result<QemuMachine, HostError> {
        let (machine, incoming) = self.build_waiting(spec, dir, origin).await?;
        if let Some(fd) = incoming {
            machine.take_in(fd).await?;
        }
        Ok(machine)
    }

    /// The same, but a state that comes from elsewhere is not taken in yet: the VMM's number of the descriptor that
    /// it comes by is returned with it.
    pub(crate) async fn build_waiting(
        self: &Arc<Self>,
        spec: &MachineSpec,
        dir: &WorkDir,
        mut origin: Origin,
    ) -> Result<(QemuMachine, Option<i32>), HostError> {
        let real = &defect::altered_by(&self.defects, spec)?;
        defects::apply_to_disks(&self.defects, &mut origin.disks);
        let user = origin.user.or_else(|| self.next_user());
        let confinement = Confinement { user, ..self.confinement };
        let folder = &files::work_folder(&dir.folder, confinement)?;
        let mut handles = Handles { inherited: Vec::new(), sets: Vec::new() };
        let (qmp, theirs) = pair()?;
        let qmp_fd = handles.give(theirs);
        let mut channels = BTreeMap::new();
        let mut channel_fds = Vec::new();
        for channel in &spec.channels {
            let (ours, theirs) = pair()?;
            channels.insert(channel.name.clone(), ours);
            channel_fds.push(handles.give(theirs));
        }
        let mut cables = BTreeMap::new();
        let mut cable_fds = Vec::new();
        let plugged = origin.plugged.iter().filter_map(|plugged| match plugged {
            Plugged::Nic { nic, .. } => Some(nic),
            _ => None,
        });
        for nic in spec.nics.iter().chain(plugged).filter(|nic| nic.network == Network::Harness) {
            let (ours, theirs) = pair()?;
            cables.insert(nic.id.clone(), ours);
            cable_fds.push((nic.id.clone(), handles.give(theirs)));
        }
        let mut disks = Vec::new();
        let mut lossy = BTreeMap::new();
        for plan in std::mem::take(&mut origin.disks) {
            let mut connection = None;
            match &origin.overlays {
                Some(source) if plan.has_overlay() => link(source, folder, &plan.overlay())?,
                Some(_) => {}
                None => {
                    let file = plan.make(folder)?;
                    if let Some(file) = &file {
                        confinement.give_away(file, folder)?;
                    }
                    if let Some(file) = file.filter(|_| plan.loses()) {
                        let (disk, theirs) = plan.lossy(file, &dir.folder)?;
                        lossy.insert(plan.disk.id.clone(), Arc::new(disk));
                        connection = Some(handles.give(theirs).to_string());
                    }
                }
            }
            let sets = plan.layers.iter().map(|layer| handles.set_of(&layer.path));
            let sets = sets.collect::<Result<Vec<u32>, _>>()?;
            disks.push((plan, Handed { sets, connection }));
        }
        if origin.memory_from == MemoryFrom::Copy {
            copy_memory(origin.memory.clone(), folder.to_owned()).await?;
        }
        let (memory, mapping) = self.memory(real, folder, confinement, &origin, &mut handles)?;
        let kernel = match &spec.boot {
            Boot::Kernel { kernel, initrd, .. } => {
                let mut readable = |path: &Path, name: &str| {
                    readable_path(confinement, &mut handles, path, &folder.join(name))
                };
                let kernel = readable(kernel, "kernel")?;
                let initrd = initrd.as_ref().map(|path| readable(path, "initrd"));
                Some((kernel, initrd.transpose()?))
            }
            _ => None,
        };
        let uefi = self.uefi(spec, folder, confinement, &origin, &mut handles)?;
        let mut emulator = None;
        let tpm = match spec.tpm {
            Some(version) => {
                let (process, control) = tpm::start(version, &dir.folder, confinement).await?;
                emulator = Some(process);
                Some(handles.give(control))
            }
            None => None,
        };
        let incoming = origin.incoming.take().map(|fd| handles.give(fd));
        let arguments = command::arguments(&Setup {
            spec: real,
            name: &dir.name,
            machine_type: origin.machine_type.as_deref(),
            vcpus: defect::vcpus_of(&self.defects, spec),
            clock_ahead: defect::clock_ahead(&self.defects),
            accelerator: self.facts.accelerator.used,
            has: &|name| self.traits.has(name),
            disks: &disks,
            sets: &handles.sets,
            qmp: qmp_fd,
            channels: &channel_fds,
            cables: &cable_fds,
            kernel,
            uefi,
            memory: &memory,
            memory_mapping: mapping,
            tpm,
            generation_id: origin.generation_id.as_deref(),
            incoming: incoming.is_some(),
            plugged: &origin.plugged,
            removed: &origin.removed,
        })?;
        let mut argv = self.programs.vmm_argv();
        argv.extend(arguments.into_iter().map(OsString::from));
        let sets_used = handles.sets.len() as u32;
        let launch = Launch {
            argv: argv.clone(),
            environment: self.programs.environment(),
            folder: folder.clone(),
            inherited: handles.inherited,
            confinement,
        };
        let process = launch.start(&dir.folder.join(LOG)).await?;
        orphans::note(&dir.folder, process.pid())?;
        if let Some(emulator) = &emulator {
            tpm::watch(emulator, &process);
        }
        let history = Arc::new(History::new());
        let qmp = Qmp::new(qmp, history.clone(), &process).await?;
        let machine = QemuMachine::new(crate::machine::Parts {
            host: self.clone(),
            name: dir.name.clone(),
            spec: spec.clone(),
            folder: folder.clone(),
            outside: dir.folder.clone(),
            confinement,
            command: argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            process,
            tpm: emulator,
            qmp,
            history,
            channels,
            cables,
            disks: disks.into_iter().map(|(plan, _)| plan).collect(),
            lossy,
            mapping,
            generation_id: origin.generation_id,
            plugged: origin.plugged,
            removed: origin.removed,
            sets: AtomicU32::new(sets_used),
        });
        if incoming.is_none() {
            machine.cut_dead_cables().await?;
        }
        Ok((machine, incoming))
    }

    /// The memory's files as the VMM opens them.
    fn memory(
        &self,
        spec: &MachineSpec,
        folder: &Path,
        confinement: Confinement,
        origin: &Origin,
        handles: &mut Handles,
    ) -> Result<(Vec<String>, Mapping), HostError> {
        let nodes = u64::from(spec.memory.nodes.max(1));
        if origin.memory.is_empty() {
            let sizes = command::node_sizes(spec.memory.size.as_mib(), nodes);
            if origin.incoming.is_some() {
                return Ok((sizes.map(|_| String::new()).collect(), Mapping::None));
            }
            let files = sizes.enumerate().map(|(n, mib)| {
                let name = memory_file(n);
                let file = folder.join(&name);
                if defects::take_kept_memory(&self.defects, &file, mib << 20)? {
                    // Every VMM runs as a user of its own.
                    confinement.give_away(&open(&file)?, &file)?;
                } else {
                    confinement.make_file(&file, mib << 20)?;
                    defects::keep_memory(&self.defects, &file)?;
                }
                Ok(name)
            });
            return Ok((files.collect::<Result<_, HostError>>()?, Mapping::Shared));
        }
        if origin.memory_from == MemoryFrom::Copy {
            let names = (0..origin.memory.len()).map(|n| {
                let name = memory_file(n);
                let copy = folder.join(&name);
                confinement.give_away(&open(&copy)?, &copy)?;
                Ok(name)
            });
            return Ok((names.collect::<Result<_, HostError>>()?, Mapping::Copied));
        }
        let read_only = self.traits.private_read_only_memory;
        let files = origin.memory.iter().map(|path| {
            // The VMM opens the inode anew, with its own rights; the folder need not be open to it.
            Ok(format!("/proc/self/fd/{}", handles.give(open(path)?)))
        });
        Ok((files.collect::<Result<_, HostError>>()?, Mapping::Private { read_only }))
    }

    fn uefi(
        &self,
        spec: &MachineSpec,
        folder: &Path,
        confinement: Confinement,
        origin: &Origin,
        handles: &mut Handles,
    ) -> Result<Option<u32>, HostError> {
        if !command::is_uefi(spec) {
            return Ok(None);
        }
        let firmware = self.uefi_files().ok_or_else(|| HostError::Unsupported {
            what: "UEFI".into(),
            why: "OVMF is not installed; install it (Debian: apt install ovmf)".into(),
        })?;
        let vars = folder.join(UEFI_VARS);
        if let Some(source) = &origin.overlays {
            link(source, folder, UEFI_VARS)?;
        } else {
            let from = origin.uefi_vars.as_ref().unwrap_or(&firmware.1);
            let doing = format!("copying {}", from.display());
            let content = std::fs::read(from).map_err(HostError::io(&doing))?;
            let mut file = confinement.make_file(&vars, 0)?;
            std::io::Write::write_all(&mut file, &content).map_err(HostError::io(doing))?;
        }
        Ok(Some(handles.set_of(&firmware.0)?))
    }
}

/// A path by which the VMM can open an input that may lie where its user can't go: through the
/// descriptor that it inherits, or a copy in its folder if the file itself is closed to it.
fn readable_path(
    confinement: Confinement,
    handles: &mut Handles,
    path: &Path,
    copy: &Path,
) -> Result<String, HostError> {
    let file = open(path)?;
    if confinement.can_read(&file) {
        return Ok(format!("/proc/self/fd/{}", handles.give(file)));
    }
    let mut target = confinement.make_file(copy, 0)?;
    let copied = std::io::copy(&mut &file, &mut target);
    copied.map_err(HostError::io(format!("copying {}", path.display())))?;
    Ok(copy.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// The same file for a second process of the machine.
fn link(from: &Path, to: &Path, name: &str) -> Result<(), HostError> {
    let (from, to) = (from.join(name), to.join(name));
    let doing = format!("linking {} to {}", from.display(), to.display());
    std::fs::hard_link(from, to).map_err(HostError::io(doing))
}

/// A pair of connected sockets: ours for the runtime, theirs to be inherited.
pub(crate) fn pair() -> Result<(UnixStream, OwnedFd), HostError> {
    let io = || HostError::io("making a socket pair");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(io())?;
    ours.set_nonblocking(true).map_err(io())?;
    Ok((UnixStream::from_std(ours).map_err(io())?, theirs.into()))
}
