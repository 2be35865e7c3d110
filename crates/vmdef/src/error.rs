//! Why a definition cannot be read.

use hospitium_model::FormError;

/// Why a definition cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VmdefError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A folder, device or pipe.
    #[error(
        "{file} is no regular file; name the definition itself, such as the .vmx in the machine's folder"
    )]
    NoFile {
        /// The file.
        file: String,
    },
    /// Larger than any definition.
    #[error(
        "{file} has more than {most} bytes, which no machine definition has; is it a disk image?"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The bound in bytes.
        most: u64,
    },
    /// Hyper-V's binary format of 2016 and later.
    #[error(
        "{file} is in Hyper-V's binary format (.vmcx), which only Hyper-V reads; run this in PowerShell on the host and name the file that it writes:\n{command}"
    )]
    Vmcx {
        /// The file.
        file: String,
        /// The PowerShell command.
        command: &'static str,
    },
    /// An archive without a descriptor.
    #[error("{file} is an archive without an .ovf file among its first {looked} members")]
    NoDescriptor {
        /// The file.
        file: String,
        /// How many members were looked at.
        looked: usize,
    },
    /// Not of any known form.
    #[error(
        "{file} is no machine definition of a known form (libvirt domain XML, .vmx, OVF, .vbox, xl.cfg, Proxmox VE .conf, KubeVirt YAML, Hyper-V export): {what}"
    )]
    Unknown {
        /// The file.
        file: String,
        /// What it looks like.
        what: String,
    },
    /// A place in the file where it is not as it should be.
    #[error(transparent)]
    Form(#[from] FormError),
}
