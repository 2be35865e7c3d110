//! Why a guest cannot be booted by a kernel and an initrd from outside of it.

use std::path::PathBuf;

/// Why such a guest cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// Nobody says which file system is the root.
    #[error(
        "where the root file system of {} is cannot be seen: {why}; say it: --append root=/dev/vda1",
        path.display()
    )]
    Root {
        /// The image.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Not an initrd.
    #[error("{} is no initrd: neither a cpio archive nor packed as one", path.display())]
    NotAnInitrd {
        /// Which.
        path: PathBuf,
    },
}
