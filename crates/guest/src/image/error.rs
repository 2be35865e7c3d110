//! Why an image cannot be used, one variant a cause.

use std::path::PathBuf;

use hospitium_model::{ByteSize, Digest};

use hospitium_system::text::short;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no such file.
    #[error("there is no image {}; check the path", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the image {} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a device, a FIFO.
    #[error("{} is not a regular file; an image must be one", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Its content is not an image that can be used.
    #[error("{} {wrong}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        wrong: Wrong,
    },
    /// The backing file is a protocol, not a file.
    #[error(
        "{} has the backing file {:?}, which is no plain file name but something that QEMU would open \
         elsewhere; flatten the image where it was made: qemu-img convert -O qcow2 IN OUT",
        path.display(), short(backing, 120)
    )]
    BackingProtocol {
        /// The overlay.
        path: PathBuf,
        /// What its header says.
        backing: String,
    },
    /// The backing file is not below the folder that images may come from.
    #[error(
        "{} has the backing file {:?}, which is outside of {}; put both into one folder and run \
         qemu-img rebase -u -F FORMAT -b NAME, or flatten it: qemu-img convert -O qcow2 IN OUT",
        path.display(), short(backing, 200), root.display()
    )]
    BackingOutside {
        /// The overlay.
        path: PathBuf,
        /// What its header says.
        backing: String,
        /// The folder.
        root: PathBuf,
    },
    /// The backing file is not there.
    #[error("{} has the backing file {:?}, which is not there; copy it beside the image", path.display(), short(backing, 200))]
    BackingMissing {
        /// The overlay.
        path: PathBuf,
        /// What its header says.
        backing: String,
    },
    /// The header does not say what format the backing file has, and guessing is how a guest
    /// that writes a header into its raw disk gets at other files.
    #[error(
        "{} does not say which format its backing file {:?} has; write it down: \
         qemu-img rebase -u -F FORMAT -b {:?} {}",
        path.display(), short(backing, 200), short(backing, 200), path.display()
    )]
    BackingFormatUnsaid {
        /// The overlay.
        path: PathBuf,
        /// What its header says.
        backing: String,
    },
    /// The backing file has another format than the overlay says.
    #[error("{} says that its backing file is {said:?}, but it is {found:?}; mend it: qemu-img rebase -u -F {found} -b NAME", path.display(), said = short(said, 40))]
    BackingFormatWrong {
        /// The overlay.
        path: PathBuf,
        /// Format by the overlay's header.
        said: String,
        /// Format by the backing file's own.
        found: &'static str,
    },
    /// The chain comes back to itself.
    #[error("{} is its own backing file, by way of {steps} others; such an image has no content", path.display())]
    BackingLoop {
        /// The file that is met twice.
        path: PathBuf,
        /// Files between.
        steps: usize,
    },
    /// The chain is longer than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("{} has more than {most} backing files behind each other; flatten it: qemu-img convert -O qcow2 IN OUT", path.display())]
    BackingTooDeep {
        /// The top of the chain.
        path: PathBuf,
        /// The most.
        most: usize,
    },
    /// Not the image that was meant.
    #[error("{} is not the image that was meant: its SHA-256 is {found}, and {expected} was expected; fetch it again, or correct the expected digest", path.display())]
    WrongDigest {
        /// Which.
        path: PathBuf,
        /// As given.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
}

/// What is wrong with an image's content. Each reads on after the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No bytes at all.
    #[error("is empty; was its download or copy cut off?")]
    Empty,
    /// Shorter than its header needs it to be.
    #[error(
        "is truncated: its {format} header needs {needed}, the file has {has}; copy or fetch it again"
    )]
    Truncated {
        /// Format.
        format: &'static str,
        /// The least that it must have.
        needed: ByteSize,
        /// What it has.
        has: ByteSize,
    },
    /// Nothing known, and no boot signature.
    #[error(
        "is no disk image that is known here (qcow2, vhd, vhdx, vmdk), and has no boot signature (0x55AA) \
         that a raw one would have; if it is a raw image all the same, say so: format = \"raw\""
    )]
    Unknown,
    /// An ISO 9660 file system.
    #[error(
        "is an optical disc (ISO 9660), and a disk is wanted here; install from it, or take the disk image of that release"
    )]
    Iso,
    /// Something else that people mistake for an image.
    #[error("is {what}, not a disk image; unpack it first: {how}")]
    Packed {
        /// What.
        what: &'static str,
        /// How it is unpacked.
        how: &'static str,
    },
    /// A format or version that exists but is not taken.
    #[error("is {what}, which is not taken here; convert it: qemu-img convert -O qcow2 IN OUT")]
    Unsupported {
        /// What.
        what: String,
    },
    /// Encrypted.
    #[error("is encrypted; decrypt it first: qemu-img convert with --image-opts and the secret")]
    Encrypted,
    /// Its data is in another file.
    #[error(
        "keeps its data in another file ({0}); put all into one: qemu-img convert -O qcow2 IN OUT"
    )]
    ExternalData(String),
    /// Marked as damaged by the program that wrote it last.
    #[error("is marked as corrupt; repair a copy of it: qemu-img check -r all")]
    Corrupt,
    /// A field that cannot be.
    #[error("has a {format} header that cannot be right: {what}; copy or fetch it again")]
    Header {
        /// Format.
        format: &'static str,
        /// Which field, and why not.
        what: String,
    },
}
