//! Kernel guests: any Linux kernel with the probe as its only program.
//!
//! In comes a kernel package, or a kernel image with or without the folder of its modules. What
//! goes out is a machine that boots the kernel with an initramfs made for it: the probe as init,
//! the modules of the machine's devices in the order to load them, and the modules for devices
//! that may be plugged in later. Nothing is written to what came in.

mod boot;
mod bzimage;
mod cache;
mod folder;
mod initramfs;
mod modinfo;
mod modules;
mod package;
mod table;
mod unpack;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use hospitium_model::{ByteSize, Digest, GuestFacts, GuestKind, InputPin, OperatingSystem};
use hospitium_system::Platform;
use hospitium_wire::{Arch, Os};

pub(crate) use self::boot::{command_line, probe_device};
use self::bzimage::BzImage;
pub use self::bzimage::{BzImageError, is_bzimage};
pub(crate) use self::folder::bounded;
pub(crate) use self::initramfs::Archive;
pub use self::modinfo::ModInfoError;
use self::modules::ModuleSet;
pub use self::package::PackageError;
use self::table::Table;
pub use self::table::TableError;
use crate::probe::{self, Probe};

/// Why a kernel guest cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file could not be read or written.
    #[error("while {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Not a kernel.
    #[error("the kernel image {} cannot be used", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: BzImageError,
    },
    /// Not a kernel package.
    #[error("the kernel package {} cannot be used", path.display())]
    Package {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: PackageError,
    },
    /// A package with a kernel and without modules.
    #[error(
        "the kernel package {} holds the kernel {release} and none of its modules; unpack them \
         from the package that has them and write KERNEL+MODULES-FOLDER",
        path.display()
    )]
    NoModules {
        /// Which.
        path: PathBuf,
        /// Its kernel.
        release: String,
    },
    /// A folder without the modules of this kernel.
    #[error("there are no modules of the kernel {release} in {}", path.display())]
    OtherFolder {
        /// Which.
        path: PathBuf,
        /// The kernel.
        release: String,
    },
    /// A module that cannot be used.
    #[error("the kernel module {name} cannot be used")]
    BadModule {
        /// Which.
        name: String,
        /// Cause.
        #[source]
        source: ModInfoError,
    },
    /// A module of another kernel.
    #[error("the kernel module {name} was built for {module}, but the kernel is {kernel}")]
    OtherRelease {
        /// Which.
        name: String,
        /// Release of the module.
        module: String,
        /// Release of the kernel.
        kernel: String,
    },
    /// A kernel for which there is no probe here.
    #[error(
        "the kernel {release} is {platform}, and this hospitium was built without the probe for that; {next}"
    )]
    NoProbe {
        /// The kernel.
        release: String,
        /// What it is.
        platform: Platform,
        /// What to do.
        next: &'static str,
    },
    /// The table of modules is broken.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl KernelError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    fn module(name: &str) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("reading the kernel module {name}"))
    }
}

/// A kernel image by itself, and the probe for it.
pub(crate) struct BootedKernel {
    /// Its file.
    pub path: PathBuf,
    /// The probe for it.
    pub probe: &'static Probe,
    /// It as an input of a run.
    pub pin: InputPin,
}

impl BootedKernel {
    /// Reads its header.
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let (bytes, image) = read_image(path)?;
        let probe = probe_for(&image.release, image.arch)?;
        let whole = std::path::absolute(path)
            .map_err(KernelError::io(format!("finding {}", path.display())))?;
        let pin = pin("kernel", Digest::of(&bytes), bytes.len() as u64, path);
        Ok(Self { path: whole, probe, pin })
    }
}

/// The probe for a kernel; most are of 64 bits.
fn probe_for(release: &str, arch: Option<Arch>) -> Result<&'static Probe, KernelError> {
    let platform = Platform { os: Os::Linux, arch: arch.unwrap_or(Arch::X86_64) };
    Probe::for_platform(platform).ok_or_else(|| {
        let release = release.to_owned();
        KernelError::NoProbe { release, platform, next: probe::HOW_TO_GET_X86 }
    })
}

/// A Linux kernel that boots with the probe as its init.
pub struct KernelGuest {
    facts: GuestFacts,
    kernel: PathBuf,
    probe: &'static Probe,
    modules: ModuleSet,
    table: Table,
    pins: Vec<InputPin>,
    /// What a person puts at the end of the command line.
    append: Option<String>,
    /// Keeps the kernel's file in the cache while the guest is used.
    _held: Option<cache::Held>,
}

impl KernelGuest {
    /// From a Debian package. What is needed of it is kept in `cache`.
    pub fn from_package(path: &Path, cache: &Path) -> Result<Self, KernelError> {
        let reading = || format!("reading {}", path.display());
        let (package, size) = digest_of_file(path).map_err(KernelError::io(reading()))?;
        let entry = cache::folder(cache, package);
        let found = match cache::load(&entry) {
            Some(found) => found,
            None => {
                unpack_package(path, &entry)?;
                let gone = || io::Error::other("it was written, and cannot be read again");
                let doing = format!("keeping the kernel in {}", entry.display());
                cache::load(&entry).ok_or_else(gone).map_err(KernelError::io(doing))?
            }
        };
        let kernel = (found.kernel, found.digest, found.size);
        let mut guest = Self::new(kernel, found.image, found.modules)?;
        guest.pins.push(pin("package", package, size, path));
        guest._held = Some(found.held);
        Ok(guest)
    }

    /// From a kernel image and a folder with its modules: their own folder
    /// (`/lib/modules/6.1.0-50-amd64`), the one above it, or the root of a system.
    pub fn from_folder(kernel: &Path, given: &Path) -> Result<Self, KernelError> {
        let (bytes, image) = read_image(kernel)?;
        let release = &image.release;
        let other = || KernelError::OtherFolder { path: given.into(), release: release.clone() };
        let root = folder::locate(given, release).ok_or_else(other)?;
        let reading = format!("looking for modules in {}", root.display());
        let mut source = folder::Folder::open(&root).map_err(KernelError::io(reading))?;
        if source.len() == 0 {
            return Err(other());
        }
        let table = Table::from_toml(table::SHIPPED)?;
        let modules = ModuleSet::collect(&mut source, &table, release)?;
        Self::new((kernel.into(), Digest::of(&bytes), bytes.len() as u64), image, modules)
    }

    /// From a kernel image alone, all of whose drivers are built in.
    pub fn bare(kernel: &Path) -> Result<Self, KernelError> {
        let (bytes, image) = read_image(kernel)?;
        let kernel = (kernel.into(), Digest::of(&bytes), bytes.len() as u64);
        Self::new(kernel, image, ModuleSet::unknown())
    }

    /// The same with these words at the end of the kernel's command line, which make it another guest.
    #[must_use]
    pub fn with_append(mut self, append: Option<String>) -> Self {
        if let Some(words) = &append {
            let both = [self.facts.digest.as_bytes(), words.as_bytes()].concat();
            self.facts.digest = Digest::of(&both);
        }
        self.append = append;
        self
    }

    fn new(
        (kernel, digest, size): (PathBuf, Digest, u64),
        BzImage { release, arch }: BzImage,
        modules: ModuleSet,
    ) -> Result<Self, KernelError> {
        let mut pins = vec![pin("kernel", digest, size, &kernel)];
        pins[0].name = format!("vmlinuz-{release}");
        if !modules.modules().is_empty() {
            pins.push(modules_pin(&modules));
        }
        // What the image does not tell, its modules do.
        let module = modules.modules().values().next().map(|module| module.info.wide);
        let arch = arch.or(module.map(|wide| if wide { Arch::X86_64 } else { Arch::X86 }));
        let probe = probe_for(&release, arch)?;
        pins.push(probe.pin());
        let facts = GuestFacts {
            name: format!("linux {release}"),
            kind: GuestKind::Kernel,
            os: OperatingSystem::Linux,
            product: None,
            version: release,
            digest,
            manages_devices: false,
        };
        let table = Table::from_toml(table::SHIPPED)?;
        Ok(Self { facts, kernel, probe, modules, table, pins, append: None, _held: None })
    }
}

fn unpack_package(path: &Path, entry: &Path) -> Result<(), KernelError> {
    let keeping = || format!("keeping the kernel in {}", entry.display());
    let room = entry.parent().unwrap_or(entry);
    std::fs::create_dir_all(room).map_err(KernelError::io(keeping()))?;
    let bad = |source| KernelError::Package { path: path.into(), source };
    let mut package = package::read(path, room).map_err(bad)?;
    let image = BzImage::parse(&package.kernel)
        .map_err(|source| KernelError::Image { path: path.into(), source })?;
    if package.modules.len() == 0 {
        return Err(KernelError::NoModules { path: path.into(), release: image.release });
    }
    let table = Table::from_toml(table::SHIPPED)?;
    let modules = ModuleSet::collect(&mut package.modules, &table, &image.release)?;
    cache::store(entry, &package.kernel, &image.release, &modules)
        .map_err(KernelError::io(keeping()))
}

fn read_image(path: &Path) -> Result<(Vec<u8>, BzImage), KernelError> {
    let reading = format!("reading the kernel image {}", path.display());
    let bytes = folder::bounded(path, bzimage::LARGEST).map_err(KernelError::io(reading))?;
    match BzImage::parse(&bytes) {
        Ok(image) => Ok((bytes, image)),
        Err(source) => Err(KernelError::Image { path: path.into(), source }),
    }
}

fn digest_of_file(path: &Path) -> io::Result<(Digest, u64)> {
    Digest::of_all(std::fs::File::open(path)?)
}

fn pin(role: &str, sha256: Digest, size: u64, path: &Path) -> InputPin {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = hospitium_system::text::short(&name, 100);
    InputPin { role: role.into(), sha256, size: ByteSize::bytes(size), name }
}

/// All modules as one input: the digest of the list of their names and digests.
fn modules_pin(modules: &ModuleSet) -> InputPin {
    let (mut list, mut size) = (String::new(), 0);
    for (name, module) in modules.modules() {
        let _ = writeln!(list, "{} {name}", Digest::of(&module.bytes));
        size += module.bytes.len() as u64;
    }
    InputPin {
        role: "modules".into(),
        sha256: Digest::of(list.as_bytes()),
        size: ByteSize::bytes(size),
        name: format!("{} kernel modules", modules.modules().len()),
    }
}

#[cfg(test)]
mod tests;
