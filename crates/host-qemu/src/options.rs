//! Which QEMU, and how its programs are run: installed, or unpacked under a folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hospitium_host::{HostError, Isolation};

/// The oldest QEMU that has everything the driver asks of it: JSON for `-device` came with 6.2,
/// `blockdev-reopen` with 6.1, `-action` with 6.0 (QEMU's ChangeLog pages).
pub const OLDEST: (u32, u32) = (6, 2);

/// How a QEMU is to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuOptions {
    /// The binary, `qemu-system-x86_64`: a path, or a name looked up in `root` or on PATH.
    pub binary: PathBuf,
    /// A folder that holds another version's unpacked packages with all that they depend on, run
    /// without installing: its own loader, libraries, modules and firmware are used.
    pub root: Option<PathBuf>,
    /// Which accelerator.
    pub accelerator: AcceleratorChoice,
    /// A 64-bit Linux kernel by whose boot KVM is proved.
    pub proving_kernel: Option<PathBuf>,
    /// Where digests and answers about VMM binaries are kept from one run to the next.
    pub cache: Option<PathBuf>,
    /// When we are root: the first of the [`USERS`] user (and group) ids that VMMs run as; 0 lets
    /// them run as root.
    pub user: u32,
    /// What the driver says that it can do to isolate checks from one another. Less than QEMU can is good for
    /// trying what hosts that can do less are like.
    pub isolation: Isolation,
}

/// Which accelerator to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceleratorChoice {
    /// KVM if it boots the proving kernel, else TCG.
    #[default]
    Auto,
    /// TCG.
    Tcg,
    /// KVM, or an error if it does not boot the proving kernel.
    Kvm,
}

/// The first of some user ids that no one has: from the range that systemd sets aside for users without an entry
/// anywhere (61184 to 65519, systemd's docs/UIDS-GIDS.md).
pub const UNPRIVILEGED: u32 = 64_957;
/// So many ids from there on are used in turn, one a machine. They end within that range.
pub const USERS: u32 = 512;

impl QemuOptions {
    /// The QEMU of this path or name, with everything else left to the driver.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            root: None,
            accelerator: AcceleratorChoice::Auto,
            proving_kernel: None,
            cache: None,
            user: UNPRIVILEGED,
            isolation: Isolation::Fork,
        }
    }
}

/// The programs of one QEMU.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The VMM's binary itself, for its digest.
    pub vmm: PathBuf,
    loader: Vec<OsString>,
    root: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

/// Where loaders and libraries of unpacked packages are, below their root. Merged and unmerged
/// `/usr`, Debian's and Fedora's places.
const LOADERS: [&str; 3] = [
    "usr/lib64/ld-linux-x86-64.so.2",
    "lib64/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
];
const LIBRARIES: [&str; 8] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib64",
    "lib64",
    "usr/lib",
    "usr/lib/x86_64-linux-gnu/pulseaudio",
    "usr/lib/x86_64-linux-gnu/blas",
    "usr/lib/x86_64-linux-gnu/lapack",
];
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];
const MODULES: [&str; 2] = ["usr/lib/x86_64-linux-gnu/qemu", "usr/lib64/qemu"];

impl Programs {
    pub(crate) fn locate(options: &QemuOptions) -> Result<Self, HostError> {
        let name = options.binary.display().to_string();
        let unusable = |why: String, next: &str| HostError::Unusable {
            vmm: name.clone(),
            why,
            next: next.into(),
        };
        let install =
            "Install it (Debian: apt install qemu-system-x86 qemu-utils), or name another";
        let Some(root) = &options.root else {
            let vmm = if options.binary.components().count() > 1 {
                options.binary.clone()
            } else {
                on_path(&options.binary)
                    .ok_or_else(|| unusable("it is not on PATH".into(), install))?
            };
            let vmm = vmm.canonicalize().map_err(|e| unusable(e.to_string(), install))?;
            return Ok(Self { vmm, loader: Vec::new(), root: None, environment: Vec::new() });
        };
        let unpack =
            "Unpack the packages and all that they depend on into that folder (dpkg-deb -x)";
        let root = root
            .canonicalize()
            .map_err(|e| unusable(format!("{}: {e}", root.display()), unpack))?;
        let vmm = if options.binary.components().count() > 1 {
            options.binary.clone()
        } else {
            root.join("usr/bin").join(&options.binary)
        };
        let vmm =
            vmm.canonicalize().map_err(|e| unusable(format!("{}: {e}", vmm.display()), unpack))?;
        let there = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| root.join(name)).filter(|path| path.exists()).collect()
        };
        let Some(loader) = there(&LOADERS).into_iter().next() else {
            return Err(unusable(format!("{} holds no {}", root.display(), LOADERS[0]), unpack));
        };
        let path = std::env::join_paths(there(&LIBRARIES))
            .map_err(|e| unusable(e.to_string(), "Use a folder without ':' in its path"))?;
        let loader = vec![loader.into(), "--library-path".into(), path];
        let modules = there(&MODULES).into_iter().next();
        let environment = modules.map(|path| ("QEMU_MODULE_DIR".into(), path.into()));
        Ok(Self { vmm, loader, root: Some(root), environment: environment.into_iter().collect() })
    }

    /// Program and first arguments of the VMM.
    pub(crate) fn vmm_argv(&self) -> Vec<OsString> {
        let mut argv = self.argv_of(&self.vmm);
        for folder in self.data_folders() {
            argv.push("-L".into());
            argv.push(folder.into());
        }
        argv
    }

    fn argv_of(&self, program: &Path) -> Vec<OsString> {
        let mut argv = self.loader.clone();
        argv.push(program.into());
        argv
    }

    /// Variables that the programs need.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        self.environment.clone()
    }

    /// `qemu-img` of the same version: beside the VMM, or the system's.
    pub(crate) fn image_tool(&self) -> Result<Vec<OsString>, HostError> {
        let beside = self.vmm.with_file_name("qemu-img");
        if beside.exists() {
            return Ok(self.argv_of(&beside));
        }
        on_path(Path::new("qemu-img")).map(|path| vec![path.into()]).ok_or_else(|| {
            HostError::Unusable {
                vmm: "qemu-img".into(),
                why: "it is not on PATH".into(),
                next: "Install it (Debian: apt install qemu-utils)".into(),
            }
        })
    }

    /// Folders of firmware that go before the built-in one.
    pub(crate) fn data_folders(&self) -> Vec<PathBuf> {
        let root = self.root.iter().flat_map(|root| DATA.iter().map(|name| root.join(name)));
        root.filter(|path| path.is_dir()).collect()
    }

    /// A file of firmware, in this QEMU's folders or the system's.
    pub(crate) fn firmware(&self, candidates: &[&str]) -> Option<PathBuf> {
        let base = self.root.clone().unwrap_or_else(|| "/".into());
        let own = candidates.iter().map(|name| base.join(name));
        let system = candidates.iter().map(|name| Path::new("/").join(name));
        own.chain(system).find(|path| path.is_file())
    }
}

/// The first program of this name on PATH.
pub(crate) fn on_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The system emulators for x86-64 on PATH, each once however many links lead to it.
pub(crate) fn find() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in std::env::split_paths(&path) {
        let candidate = folder.join("qemu-system-x86_64");
        if let Ok(real) = candidate.canonicalize()
            && real.is_file()
            && !found.contains(&real)
        {
            found.push(real);
        }
    }
    found
}
