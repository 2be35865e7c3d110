//! The seam between everything else and a hypervisor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hospitium_model::{
    Answer, ByteSize, Capability, Digest, Disk, HostFacts, MachineSpec, Nic, span,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways: a console, the probe's channel, a network cable.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A place where virtual machines run.
#[async_trait]
pub trait Host: Send + Sync {
    /// What this host is, its accelerator measured.
    fn facts(&self) -> &HostFacts;

    /// Can it do this?
    fn capability(&self, what: Capability) -> Answer;

    /// Makes a machine ready to start. Nothing runs yet.
    async fn define(
        &self,
        spec: &MachineSpec,
        place: &Place,
    ) -> Result<Box<dyn Machine>, HostError>;

    /// Makes a machine that continues from the snapshot, in a process and on disks of its own.
    /// It is paused until [`Machine::resume`]; `start` has been done. The snapshot is not changed, and
    /// any number of machines may be made from it at once.
    async fn restore(
        &self,
        snapshot: &Snapshot,
        place: &Place,
    ) -> Result<Box<dyn Machine>, HostError>;

    /// Another machine will be made from the snapshot: the host may begin to make ready what it needs, in a folder of
    /// its own within `folder`. Returns at once; what goes wrong is told by [`Host::restore`].
    fn expect(&self, _snapshot: &Snapshot, _folder: &Path) {}

    /// No more machines will be made from the snapshot: what was made ready is let go.
    fn forget(&self, _snapshot: &Snapshot) {}
}

/// A machine of a process of ours that is no more, found running and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Process id of its VMM.
    pub pid: u32,
    /// The folder of its machine.
    pub folder: PathBuf,
}

/// Ends machines of one driver that a killed process of ours left running. It needs no open host: the VMM that
/// made them may be gone.
pub trait Reaper: fmt::Debug + Send + Sync {
    /// Ends every machine of this driver whose folder lies in `folder`, up to four levels below, and no other.
    fn end_orphans(&self, folder: &Path) -> Vec<Orphan>;
}

/// The reapers of all drivers.
pub type Reapers = std::sync::Arc<[Box<dyn Reaper>]>;

/// Where a machine's files go: a folder of its own, made by the caller, removed by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the machine in logs: `boot`, `clone-7`.
    pub name: String,
    /// For files that live as long as the machine.
    pub folder: PathBuf,
}

/// One virtual machine. All methods take `&self`; a machine can be used from several tasks.
/// Dropping it ends it.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Its name in logs.
    fn name(&self) -> &str;

    /// What it was made from.
    fn spec(&self) -> &MachineSpec;

    /// Starts it; the guest's first instruction runs.
    async fn start(&self) -> Result<(), HostError>;

    /// Takes the stream of a channel by its name. Each can be taken once.
    async fn channel(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError>;

    /// Takes the stream of Ethernet frames of a [`Network::Harness`](hospitium_model::Network::Harness)
    /// interface: each frame is led by its length as a big-endian `u32`. Once each.
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError>;

    /// All events so far, oldest first.
    fn events(&self) -> Vec<Event>;

    /// Waits for the first event from the `from`-th on for which `wanted` is true, and returns its
    /// index with it. Raced against the machine's death, which is an error unless `wanted` takes it.
    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError>;

    /// Ends when the machine is no more, and says how it ended.
    async fn died(&self) -> Died;

    /// Stops the vCPUs.
    async fn pause(&self) -> Result<(), HostError>;

    /// Lets the vCPUs go on.
    async fn resume(&self) -> Result<(), HostError>;

    /// Presses reset.
    async fn reset(&self) -> Result<(), HostError>;

    /// Presses the power button.
    async fn power_button(&self) -> Result<(), HostError>;

    /// Injects a non-maskable interrupt, to vCPU 0 at least.
    async fn nmi(&self) -> Result<(), HostError>;

    /// Ends the machine at once, as pulling the plug does. What was not flushed is lost from
    /// disks with a power-loss log; see [`Machine::medium`].
    async fn power_cut(&self) -> Result<(), HostError>;

    /// Plugs in a device.
    async fn attach(&self, what: &Attachment) -> Result<(), HostError>;

    /// Asks the guest to let go of a device by its id; [`EventKind::DeviceRemoved`] tells when it did.
    async fn detach(&self, id: &str) -> Result<(), HostError>;

    /// Plugs a network interface's cable in or out.
    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError>;

    /// Asks the balloon for this much memory in the guest's hands.
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError>;

    /// Makes a disk larger while it is in use.
    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError>;

    /// Gives a disk with limited [`room`](Disk::room) more of it.
    async fn give_room(&self, id: &str, room: ByteSize) -> Result<(), HostError>;

    /// Puts a disc (a raw image) into a drive, or takes it out.
    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError>;

    /// Types a key, by its Linux event code name in lower case (`a`, `enter`, `f1`).
    async fn send_key(&self, key: &str) -> Result<(), HostError>;

    /// What the display shows.
    async fn screenshot(&self) -> Result<Screenshot, HostError>;

    /// What the host sees of the machine, asked of the hypervisor now and not copied from the spec.
    async fn facts(&self) -> Result<MachineFacts, HostError>;

    /// What the operating system of the physical machine says of the VMM's process.
    async fn process(&self) -> Result<ProcessFacts, HostError>;

    /// A disk's content as it is on the medium now, from outside and without asking the VMM.
    /// While the machine runs, only what it has flushed. After [`Machine::power_cut`], what a
    /// power cut leaves: of disks with a power-loss log, everything up to the last flush.
    async fn medium(&self, disk: &str) -> Result<Medium, HostError>;

    /// Saves the whole machine into a folder, which then holds all that [`Host::restore`] needs besides
    /// read-only inputs. The machine is ended by it.
    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError>;

    /// Moves the running machine into a new process on the same host. The source ends. Returns the
    /// destination and for how long no vCPU ran. Streams of channels and frames are
    /// to be taken again from the destination.
    async fn migrate(&self, place: &Place) -> Result<(Box<dyn Machine>, Duration), HostError>;

    /// Asks the VMM to end, then makes sure that it has.
    async fn end(&self) -> Result<(), HostError>;

    /// The command by which the VMM was started, for logs and evidence.
    fn command(&self) -> Vec<String>;

    /// A way for a person to look: a command that attaches to the machine's display or monitor,
    /// if there is one. Consoles are reached through [`Machine::channel`].
    fn viewer(&self) -> Option<String>;
}

/// An event of a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it was seen.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The vCPUs began to run.
    Resumed,
    /// The vCPUs stopped.
    Paused,
    /// The machine was reset, by the guest or from outside.
    Reset {
        /// True if the guest asked for it.
        by_guest: bool,
    },
    /// The machine powered off.
    PoweredOff {
        /// True if the guest did it.
        by_guest: bool,
    },
    /// The power button was pressed.
    PowerButton,
    /// The guest's kernel told that it panicked.
    Crashed,
    /// The guest went to sleep.
    Suspended,
    /// The watchdog expired.
    Watchdog {
        /// The action taken, by its own name.
        action: String,
    },
    /// A device was let go of.
    DeviceRemoved {
        /// Its id.
        id: String,
    },
    /// The guest refused to let go of a device.
    DetachRefused {
        /// Its id.
        id: String,
    },
    /// A drive's tray moved.
    Tray {
        /// The drive.
        id: String,
        /// Open or closed.
        open: bool,
    },
    /// A disk had an I/O error.
    DiskError {
        /// The disk.
        id: String,
        /// There was no room.
        no_space: bool,
    },
    /// The balloon has a new size.
    Balloon {
        /// Memory in the guest's hands.
        actual: ByteSize,
    },
    /// Memory was hot-plugged and the guest reported on it, or the like; the event's own name.
    Other {
        /// Name.
        name: String,
    },
    /// The VMM is gone.
    Died(Died),
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    /// True if we or the guest asked for it.
    pub expected: bool,
    /// In words: "exit code 1: qemu-system-x86_64: …", "signal 9".
    pub how: String,
}

/// Something to plug in.
#[derive(Debug, Clone, PartialEq)]
pub enum Attachment {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Nic(Nic),
    /// The next free vCPU socket.
    Vcpu {
        /// Id to detach it by.
        id: String,
    },
    /// Memory.
    Memory {
        /// Id to detach it by.
        id: String,
        /// How much.
        size: ByteSize,
    },
    /// A USB keyboard. Its serial number is its id, by which the guest can tell it from others.
    UsbKeyboard {
        /// Id to detach it by.
        id: String,
    },
}

/// What the host sees of a machine now.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineFacts {
    /// Running or not.
    pub state: MachineState,
    /// vCPUs that exist: socket, core and thread of each.
    pub vcpus: Vec<(u32, u32, u32)>,
    /// Host threads that run vCPUs.
    pub vcpu_threads: Vec<u32>,
    /// Memory of the machine, without hot-plugged.
    pub memory: ByteSize,
    /// Hot-plugged memory.
    pub plugged_memory: ByteSize,
    /// Memory in the guest's hands by the balloon.
    pub balloon: Option<ByteSize>,
    /// NUMA nodes that are defined.
    pub nodes: u32,
    /// PCI devices that the guest should find.
    pub devices: Vec<SeenDevice>,
    /// Disks.
    pub disks: Vec<SeenDisk>,
    /// Network interfaces' MAC addresses as the hypervisor has them, by id.
    pub macs: Vec<(String, String)>,
    /// UUID.
    pub uuid: Option<String>,
    /// VM generation id.
    pub generation_id: Option<String>,
    /// The accelerator in use, asked of this very machine.
    pub accelerator: hospitium_model::Accelerator,
    /// Firmware that this machine really started.
    pub firmware: hospitium_model::Firmware,
    /// CPUID feature words that the hypervisor gives vCPU 0, asked of it; empty if it cannot say.
    pub cpu_features: Vec<CpuFeatureWord>,
}

/// A CPUID register full of feature bits, as the hypervisor says that it gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuFeatureWord {
    /// EAX of the query.
    pub leaf: u32,
    /// ECX of the query.
    pub subleaf: u32,
    /// 0 to 3 for EAX, EBX, ECX, EDX of the answer.
    pub register: u8,
    /// The bits.
    pub bits: u32,
}

/// Running or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// vCPUs run.
    Running,
    /// Stopped from outside.
    Paused,
    /// Stopped because a disk had no room or failed.
    IoError,
    /// Stopped because the guest crashed.
    Crashed,
    /// Powered off.
    Off,
    /// Suspended by the guest.
    Suspended,
    /// The watchdog stopped it.
    Watchdog,
    /// Something else: starting, saving, migrating.
    Other,
}

/// A PCI device as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeenDevice {
    /// Bus, device and function: `0000:00:02.0` where the guest numbers buses as the host does,
    /// else the slot below its bridge.
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class and subclass.
    pub class: u16,
}

/// A disk as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDisk {
    /// Id.
    pub id: String,
    /// Size.
    pub size: ByteSize,
    /// Writes that the VMM counted.
    pub writes: u64,
    /// Flushes that the VMM counted.
    pub flushes: u64,
    /// Refuses writes.
    pub read_only: bool,
    /// A disc is in, for removable ones.
    pub medium_in: bool,
}

/// The VMM's process as the physical machine's operating system sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Seccomp mode: 0 none, 2 filter.
    pub seccomp: u32,
    /// True if it can gain privileges by executing a program (`NoNewPrivs` is 0).
    pub may_gain_privileges: bool,
    /// Effective capabilities.
    pub capabilities: u64,
    /// Resident memory.
    pub rss: ByteSize,
    /// Proportional share of memory.
    pub pss: ByteSize,
    /// CPU time so far.
    pub cpu_time: Duration,
    /// The longest that any of its threads has wanted a CPU so far and got none. What the guest did not do in
    /// this time says nothing about it.
    pub cpu_wait: Duration,
    /// Inodes of the network, mount and pid name spaces that differ from the harness's own.
    pub own_namespaces: Vec<String>,
}

/// What a display shows: 8 bits each of red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
}

/// A disk's content, read from outside: a raw file, to be read by offset.
#[derive(Debug)]
pub struct Medium {
    /// A raw image, to be read only. Removed with the machine's place.
    pub raw: PathBuf,
    /// Bytes that the image takes on the physical machine's disk.
    pub allocated: ByteSize,
    /// How it was made: "overlay, flattened", "write log, replayed up to flush 3 of 3, 2 later writes dropped".
    pub how: String,
}

/// A saved machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the driver's form of it.
    pub format: u32,
    /// Kind of the host that made it.
    pub host_kind: String,
    /// Digest of the VMM that made it.
    pub vmm: Digest,
    /// The folder that holds it. Not written to its file: it is where the file is found.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Whether its clones are to have the VM generation id of the specification instead of a new one
    /// each. Against the rules for clones, and there to show that it is noticed.
    #[serde(skip)]
    pub same_generation: bool,
    /// The machine, its disks' images now those of the snapshot.
    pub spec: MachineSpec,
    /// Its files, so that a partial or altered one is noticed.
    pub files: Vec<SnapshotFile>,
    /// The driver's own notes.
    pub private: serde_json::Value,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest; none for the memory image, which is checked by size, by being written last and
    /// flushed, and by the probe's answer.
    pub sha256: Option<Digest>,
}

/// What went wrong at the host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The VMM is not there or cannot be run.
    #[error("{vmm} cannot be run: {why}. {next}")]
    Unusable {
        /// Program.
        vmm: String,
        /// Why.
        why: String,
        /// What to do.
        next: String,
    },
    /// The hypervisor refused what was asked.
    #[error("while {doing}: the hypervisor refused: {why}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Its own words, escaped.
        why: String,
    },
    /// This hypervisor cannot do it.
    #[error("{what} is not possible on this host: {why}")]
    Unsupported {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The machine ended while something was being waited for.
    #[error("the machine ended while {doing}: {how}")]
    Ended {
        /// What was being done.
        doing: String,
        /// How it ended.
        how: String,
    },
    /// Waited too long.
    #[error("waited {} for {what}, and it did not come", span(*.limit))]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A file could not be made, read or written.
    #[error("while {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A snapshot is partial, altered or from another VMM.
    #[error("the snapshot in {} cannot be used: {why}", folder.display())]
    BadSnapshot {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// The machine is not as a machine can be.
    #[error("the machine cannot be defined")]
    Spec(#[from] hospitium_model::SpecError),
}

impl HostError {
    /// An I/O error while `doing`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Debug for Screenshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screenshot {{ {} × {} }}", self.width, self.height)
    }
}

impl Screenshot {
    /// Number of different colours, at most 65536 counted.
    pub fn colours(&self) -> usize {
        let mut seen = std::collections::HashSet::new();
        for pixel in self.rgb.chunks_exact(3) {
            seen.insert([pixel[0], pixel[1], pixel[2]]);
            if seen.len() >= 65536 {
                break;
            }
        }
        seen.len()
    }

    /// As a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, HostError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut w| w.write_image_data(&self.rgb));
        written.map_err(|e| HostError::io("encoding a screenshot")(std::io::Error::other(e)))?;
        Ok(out)
    }
}

impl Medium {
    /// SHA-256 of a range; bytes past the end count as zeros.
    pub fn digest(&self, offset: u64, length: u64) -> Result<Digest, HostError> {
        use std::io::{Read, Seek, SeekFrom};

        use sha2::Digest as _;
        let io = |e| HostError::io(format!("reading {}", self.raw.display()))(e);
        let mut file = std::fs::File::open(&self.raw).map_err(io)?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut left = length;
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            let mut got = file.read(&mut buffer[..want]).map_err(io)?;
            if got == 0 {
                buffer[..want].fill(0);
                got = want;
            }
            hasher.update(&buffer[..got]);
            left -= got as u64;
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }
}
