//! Saving a machine and going on from what was saved.
//!
//! The memory is a file that the running machine maps shared, so saving it is leaving it where it
//! is; what else makes up the machine's state (a few hundred KiB) comes out as a migration stream
//! (capability `x-ignore-shared`). Clones map the memory privately and put overlays over the disks,
//! so a snapshot is never written to. A machine whose memory is private (a clone) is saved with its
//! memory in the stream.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hospitium_model::{Boot, Digest, MachineSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::attach::Plugged;
use super::build::{Origin, UEFI_VARS, memory_file, open, pair};
use super::command::Mapping;
use super::disks::{DiskPlan, Layer};
use super::machine::{QemuMachine, locked};
use super::qmp::Qmp;
use super::{Inner, command, orphans};
use crate::{EventKind, HostError, Machine as _, Place, Snapshot, SnapshotFile};

/// Version of a snapshot's form.
const FORMAT: u32 = 1;
/// File of the migration stream.
const STATE: &str = "state";
/// File that says what the snapshot is. Written last: without it there is no snapshot.
const INDEX: &str = "snapshot.json";
/// File that is made when everything has reached the physical disk.
const SYNCED: &str = "synced";
/// No real index is larger.
const LARGEST_INDEX: u64 = 4 << 20;
/// Saving or loading a stream with a few GiB of memory in it takes no longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The driver's notes in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Notes {
    /// The physical machine's boot in which it was saved.
    boot: String,
    /// Files of the memory; none if it is in the stream.
    memory: Vec<String>,
    disks: Vec<SavedDisk>,
    uefi_vars: bool,
    inputs: Vec<Input>,
    plugged: Vec<Plugged>,
    removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedDisk {
    disk: hospitium_model::Disk,
    layers: Vec<SavedLayer>,
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedLayer {
    /// Name in the snapshot's folder if it is ours, else the path of an input.
    path: PathBuf,
    driver: String,
    ours: bool,
}

/// A read-only input as it was, so that a changed one is noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Input {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since the epoch.
    modified: i128,
}

fn modified(meta: &std::fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

impl Input {
    fn of(path: &Path) -> Result<Self, HostError> {
        let meta = std::fs::metadata(path);
        let meta = meta.map_err(HostError::io(format!("looking at {}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            size: meta.len(),
            modified: modified(&meta),
        })
    }
}

/// See [`Machine::snapshot`](crate::Machine::snapshot).
pub(super) async fn save(machine: &QemuMachine, folder: &Path) -> Result<Snapshot, HostError> {
    let io = |what: &str| HostError::io(format!("{what} {}", folder.display()));
    std::fs::create_dir_all(folder).map_err(io("making"))?;
    if std::fs::read_dir(folder)
        .map_err(io("looking into"))?
        .next()
        .is_some()
    {
        return Err(io("saving a machine into")(io::Error::other(
            "the folder is not empty",
        )));
    }
    machine.pause().await?;
    let shared = machine.mapping == Mapping::Shared;
    set_capability(machine, "x-ignore-shared", shared).await?;
    let state = folder.join(STATE);
    stream_out(machine, &state).await?;
    // What is still in the VMM's buffers of overlays and variables goes out at its orderly end.
    machine.end().await?;
    let (plans, changes) = {
        let changes = machine.hardware.changes().clone();
        let plans: Vec<DiskPlan> = locked(&machine.disks).clone();
        (plans, changes)
    };
    let saving = Saving {
        from: machine.folder.clone(),
        folder: folder.to_owned(),
        spec: machine.spec.clone(),
        vmm: machine.host.facts.vmm,
        shared,
    };
    let doing = "saving the machine";
    let saved = tokio::task::spawn_blocking(move || saving.collect(&plans, changes)).await;
    saved.map_err(|e| HostError::io(doing)(io::Error::other(e)))?
}

pub(super) async fn set_capability(
    machine: &QemuMachine,
    name: &str,
    on: bool,
) -> Result<(), HostError> {
    let capabilities = json!({"capabilities": [{"capability": name, "state": on}]});
    machine
        .qmp
        .call(
            "preparing the machine's state",
            "migrate-set-capabilities",
            capabilities,
        )
        .await
        .map(drop)
}

/// Starts to send the machine's state through a socket; returns our end.
pub(super) async fn send_state(
    machine: &QemuMachine,
    to: std::os::fd::OwnedFd,
) -> Result<(), HostError> {
    use std::os::fd::AsFd as _;
    let doing = "sending the machine's state";
    // Bounded only by what takes it in; the default is 128 MiB a second.
    let limits = json!({"max-bandwidth": 1u64 << 40});
    machine
        .qmp
        .call(doing, "migrate-set-parameters", limits)
        .await?;
    machine
        .qmp
        .call_with(
            doing,
            "getfd",
            json!({"fdname": "x.state"}),
            Some(to.as_fd()),
        )
        .await?;
    machine
        .qmp
        .call(doing, "migrate", json!({"uri": "fd:x.state"}))
        .await
        .map(drop)
}

/// What `query-migrate` says, once it is over.
pub(super) async fn sent(machine: &QemuMachine) -> Result<Value, HostError> {
    let doing = "sending the machine's state";
    let started = std::time::Instant::now();
    loop {
        let report = machine.qmp.call(doing, "query-migrate", json!({})).await?;
        match report.get("status").and_then(Value::as_str) {
            Some("completed") => return Ok(report),
            Some(status @ ("failed" | "cancelled")) => {
                let why = report
                    .get("error-desc")
                    .and_then(Value::as_str)
                    .unwrap_or(status);
                let why = super::process::escape(why, 500);
                return Err(HostError::Refused {
                    doing: doing.into(),
                    why,
                });
            }
            _ if started.elapsed() > PATIENCE => {
                return Err(HostError::TimedOut {
                    what: "the machine's state".into(),
                    limit: PATIENCE,
                });
            }
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

async fn stream_out(machine: &QemuMachine, path: &Path) -> Result<(), HostError> {
    let doing = format!("writing {}", path.display());
    let (mut ours, theirs) = pair()?;
    send_state(machine, theirs).await?;
    let mut file = tokio::fs::File::create_new(path)
        .await
        .map_err(HostError::io(&doing))?;
    let copy = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = ours.read(&mut buffer).await?;
            if n == 0 {
                return file.flush().await;
            }
            file.write_all(&buffer[..n]).await?;
        }
    };
    let late = |_| HostError::TimedOut {
        what: "the end of the machine's state".into(),
        limit: PATIENCE,
    };
    tokio::time::timeout(PATIENCE, copy)
        .await
        .map_err(late)?
        .map_err(HostError::io(doing))?;
    sent(machine).await.map(drop)
}

/// The part of saving that is done with files only.
struct Saving {
    from: PathBuf,
    folder: PathBuf,
    spec: MachineSpec,
    vmm: Digest,
    shared: bool,
}

impl Saving {
    fn collect(
        &self,
        plans: &[DiskPlan],
        changes: super::attach::Changes,
    ) -> Result<Snapshot, HostError> {
        let mut files = vec![self.entry(STATE, true)?];
        let mut inputs = Vec::new();
        let mut disks = Vec::new();
        for plan in plans {
            let mut layers = Vec::new();
            for (n, layer) in plan.layers.iter().enumerate() {
                let path = if layer.ours {
                    let name = format!("{}.{n}.qcow2", plan.disk.id);
                    share(&layer.path, &self.folder.join(&name))?;
                    files.push(self.entry(&name, true)?);
                    PathBuf::from(name)
                } else {
                    inputs.push(Input::of(&layer.path)?);
                    layer.path.clone()
                };
                layers.push(SavedLayer {
                    path,
                    driver: layer.driver.clone(),
                    ours: layer.ours,
                });
            }
            if plan.has_overlay() {
                let name = format!("{}.{}.qcow2", plan.disk.id, layers.len());
                take(&self.from.join(plan.overlay()), &self.folder.join(&name))?;
                files.push(self.entry(&name, true)?);
                layers.push(SavedLayer {
                    path: name.into(),
                    driver: "qcow2".into(),
                    ours: true,
                });
            }
            disks.push(SavedDisk {
                disk: plan.disk.clone(),
                layers,
                size: plan.size,
            });
        }
        let uefi_vars = command::is_uefi(&self.spec);
        if uefi_vars {
            take(&self.from.join(UEFI_VARS), &self.folder.join(UEFI_VARS))?;
            files.push(self.entry(UEFI_VARS, true)?);
        }
        if let Boot::Kernel { kernel, initrd, .. } = &self.spec.boot {
            for path in std::iter::once(kernel).chain(initrd) {
                inputs.push(Input::of(path)?);
            }
        }
        let mut memory = Vec::new();
        if self.shared {
            for n in 0..self.spec.memory.nodes.max(1) as usize {
                let name = memory_file(n);
                take(&self.from.join(&name), &self.folder.join(&name))?;
                files.push(self.entry(&name, false)?);
                memory.push(name);
            }
        }
        let notes = Notes {
            boot: orphans::boot_id(),
            memory,
            disks,
            uefi_vars,
            inputs,
            plugged: changes.plugged,
            removed: changes.removed,
        };
        let snapshot = Snapshot {
            format: FORMAT,
            host_kind: super::KIND.into(),
            vmm: self.vmm,
            folder: self.folder.clone(),
            spec: self.spec.clone(),
            files,
            private: serde_json::to_value(notes).map_err(|e| self.bad(&e))?,
        };
        self.write_index(&snapshot)?;
        reach_the_disk(self.folder.clone(), &snapshot);
        Ok(snapshot)
    }

    fn bad(&self, error: &dyn std::fmt::Display) -> HostError {
        HostError::BadSnapshot {
            folder: self.folder.clone(),
            why: error.to_string(),
        }
    }

    fn write_index(&self, snapshot: &Snapshot) -> Result<(), HostError> {
        let path = self.folder.join(INDEX);
        let doing = || format!("writing {}", path.display());
        let text = serde_json::to_vec_pretty(snapshot).map_err(|e| self.bad(&e))?;
        let mut file =
            tempfile::NamedTempFile::new_in(&self.folder).map_err(HostError::io(doing()))?;
        let written = file
            .write_all(&text)
            .and_then(|()| file.as_file().sync_all());
        written.map_err(HostError::io(doing()))?;
        file.persist(&path)
            .map_err(|e| HostError::io(doing())(e.error))
            .map(drop)
    }

    fn entry(&self, name: &str, digested: bool) -> Result<SnapshotFile, HostError> {
        let path = self.folder.join(name);
        let file = open(&path)?;
        let doing = || format!("reading {}", path.display());
        let size = file.metadata().map_err(HostError::io(doing()))?.len();
        let sha256 = digested
            .then(|| digest(file))
            .transpose()
            .map_err(HostError::io(doing()))?;
        Ok(SnapshotFile {
            name: name.to_owned(),
            size,
            sha256,
        })
    }
}

pub(super) fn digest(mut file: File) -> io::Result<Digest> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Moves a file; over a file system's border it is copied with its holes.
fn take(from: &Path, to: &Path) -> Result<(), HostError> {
    let doing = || format!("moving {} to {}", from.display(), to.display());
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            super::medium::copy_sparse(from, to).map_err(HostError::io(doing()))?;
            std::fs::remove_file(from).map_err(HostError::io(doing()))
        }
        done => done.map_err(HostError::io(doing())),
    }
}

/// The same file in a second place: a hard link, else a copy.
fn share(from: &Path, to: &Path) -> Result<(), HostError> {
    let doing = || format!("linking {} to {}", from.display(), to.display());
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            super::medium::copy_sparse(from, to).map_err(HostError::io(doing()))
        }
        done => done.map_err(HostError::io(doing())),
    }
}

/// Writes the files through to the physical disk without making anyone wait, then says so. Until
/// then the snapshot counts only within this boot of the physical machine.
fn reach_the_disk(folder: PathBuf, snapshot: &Snapshot) {
    let names: Vec<String> = snapshot
        .files
        .iter()
        .map(|file| file.name.clone())
        .collect();
    let work = move || -> io::Result<()> {
        for name in &names {
            File::open(folder.join(name))?.sync_all()?;
        }
        File::create(folder.join(SYNCED))?.sync_all()?;
        File::open(&folder)?.sync_all()
    };
    // Without the thread, or if a file is gone by then, the mark is missing, which is what it says.
    let _ = std::thread::Builder::new()
        .name("snapshot-sync".into())
        .spawn(move || {
            let _ = work();
        });
}

/// Reads what a folder says it holds.
pub(super) fn load(folder: &Path) -> Result<Snapshot, HostError> {
    let bad = |why: String| HostError::BadSnapshot {
        folder: folder.to_owned(),
        why,
    };
    let path = folder.join(INDEX);
    let meta = std::fs::metadata(&path).map_err(|e| bad(format!("{INDEX}: {e}")))?;
    if meta.len() > LARGEST_INDEX {
        return Err(bad(format!("{INDEX} is too large")));
    }
    let text = std::fs::read(&path).map_err(|e| bad(format!("{INDEX}: {e}")))?;
    let mut snapshot: Snapshot =
        serde_json::from_slice(&text).map_err(|e| bad(format!("{INDEX} cannot be read: {e}")))?;
    snapshot.folder = folder.to_owned();
    Ok(snapshot)
}

impl Inner {
    /// Checks all of a snapshot that is cheap to check.
    fn verify(&self, snapshot: &Snapshot) -> Result<Notes, HostError> {
        let folder = &snapshot.folder;
        let bad = |why: String| HostError::BadSnapshot {
            folder: folder.clone(),
            why,
        };
        if snapshot.format != FORMAT || snapshot.host_kind != super::KIND {
            return Err(bad(format!(
                "it is of {} format {}",
                snapshot.host_kind, snapshot.format
            )));
        }
        if snapshot.vmm != self.facts.vmm {
            return Err(bad("it was saved by another build of QEMU".into()));
        }
        snapshot.spec.check()?;
        let notes: Notes = serde_json::from_value(snapshot.private.clone())
            .map_err(|e| bad(format!("its notes cannot be read: {e}")))?;
        if notes.boot != orphans::boot_id() && !folder.join(SYNCED).exists() {
            return Err(bad(
                "this machine was restarted before it had reached the disk".into(),
            ));
        }
        for entry in &snapshot.files {
            if Path::new(&entry.name).file_name() != Some(entry.name.as_ref()) {
                return Err(bad(format!("{:?} is no name of a file", entry.name)));
            }
            let path = folder.join(&entry.name);
            let meta = std::fs::symlink_metadata(&path)
                .map_err(|e| bad(format!("{}: {e}", entry.name)))?;
            if !meta.is_file() || meta.len() != entry.size {
                return Err(bad(format!(
                    "{} has not its {} bytes",
                    entry.name, entry.size
                )));
            }
            if let Some(wanted) = entry.sha256 {
                check_digest(&path, &meta, wanted)
                    .map_err(|why| bad(format!("{}: {why}", entry.name)))?;
            }
        }
        let listed = |name: &str| snapshot.files.iter().any(|file| file.name == name);
        let ours = notes
            .disks
            .iter()
            .flat_map(|disk| &disk.layers)
            .filter(|layer| layer.ours);
        let ours = ours.map(|layer| layer.path.to_string_lossy().into_owned());
        let vars = notes.uefi_vars.then(|| UEFI_VARS.to_owned());
        let needed = ours
            .chain(notes.memory.iter().cloned())
            .chain(vars)
            .chain([STATE.to_owned()]);
        for name in needed {
            if !listed(&name) {
                return Err(bad(format!("{name:?} is not among its files")));
            }
        }
        for input in &notes.inputs {
            if Input::of(&input.path).ok().as_ref() != Some(input) {
                return Err(bad(format!(
                    "its input {} has changed or is gone",
                    input.path.display()
                )));
            }
        }
        Ok(notes)
    }

    /// See [`Host::restore`](crate::Host::restore).
    pub(super) async fn resume_from(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        place: &Place,
    ) -> Result<QemuMachine, HostError> {
        let notes = self.verify(snapshot)?;
        let folder = &snapshot.folder;
        let disks = notes.disks.into_iter().map(|saved| {
            let layers = saved.layers.into_iter().map(|layer| Layer {
                path: if layer.ours {
                    folder.join(layer.path)
                } else {
                    layer.path
                },
                driver: layer.driver,
                ours: layer.ours,
            });
            DiskPlan {
                disk: saved.disk,
                layers: layers.collect(),
                size: saved.size,
            }
        });
        let (mut ours, theirs) = pair()?;
        let origin = Origin {
            disks: disks.collect(),
            memory: notes.memory.iter().map(|name| folder.join(name)).collect(),
            incoming: Some(theirs),
            overlays_there: false,
            uefi_vars: notes.uefi_vars.then(|| folder.join(UEFI_VARS)),
            // A clone is another generation: Microsoft's "Virtual Machine Generation ID" says that a
            // machine that goes on from a snapshot gets a new one.
            generation_id: snapshot
                .spec
                .generation_id
                .is_some()
                .then(new_guid)
                .transpose()?,
            plugged: notes.plugged,
            removed: notes.removed,
        };
        let state = folder.join(STATE);
        let feed = tokio::spawn(async move {
            let bytes = tokio::fs::read(state).await?;
            ours.write_all(&bytes).await?;
            ours.shutdown().await
        });
        let machine = self.build(&snapshot.spec, place, origin).await?;
        arrived(&machine).await?;
        // The machine has taken in all of it, so a failure to send the rest can't be.
        feed.abort();
        machine.mark_started();
        Ok(machine)
    }
}

/// Tells a VMM to take in its state from a descriptor that it inherited; with `shared_ignored` the
/// memory is not in it.
pub(super) async fn take_in(qmp: &Qmp, fd: i32, shared_ignored: bool) -> Result<(), HostError> {
    let doing = "taking in the machine's state";
    let capabilities = json!({"capabilities": [
        {"capability": "events", "state": true},
        {"capability": "x-ignore-shared", "state": shared_ignored},
    ]});
    qmp.call(doing, "migrate-set-capabilities", capabilities)
        .await?;
    qmp.call(
        doing,
        "migrate-incoming",
        json!({"uri": format!("fd:{fd}")}),
    )
    .await
    .map(drop)
}

/// Waits until a machine's state has come in.
pub(super) async fn arrived(machine: &QemuMachine) -> Result<(), HostError> {
    let moved = |kind: &EventKind| matches!(kind, EventKind::Other { name } if name == "MIGRATION");
    let mut next = 0;
    while machine.status().await? == "inmigrate" {
        next = machine
            .history
            .wait(next, "the machine's state to be taken in", PATIENCE, &moved)
            .await?
            .0
            + 1;
    }
    Ok(())
}

/// A random GUID of version 4 (RFC 9562).
fn new_guid() -> Result<String, HostError> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(id
        .map_err(HostError::io("making a random GUID"))?
        .trim()
        .to_owned())
}

/// Checks a digest, once for a file as long as this process lives and the file is the same.
fn check_digest(path: &Path, meta: &std::fs::Metadata, wanted: Digest) -> Result<(), String> {
    type Known = BTreeSet<(u64, u64, u64, i128, String)>;
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let key = (
        meta.dev(),
        meta.ino(),
        meta.len(),
        modified(meta),
        wanted.to_string(),
    );
    if locked(known).contains(&key) {
        return Ok(());
    }
    let found = File::open(path)
        .and_then(digest)
        .map_err(|e| e.to_string())?;
    if found != wanted {
        return Err(format!(
            "it has the digest {}, not {}",
            found.short(),
            wanted.short()
        ));
    }
    locked(known).insert(key);
    Ok(())
}
