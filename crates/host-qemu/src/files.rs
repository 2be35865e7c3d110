//! Files on the border between us and a VMM, which may be in its guest's hands.
//!
//! A machine's folder is ours and closed to others; the VMM owns a folder within it, where it works.
//! What stands there under a name may be anything by now, a link to elsewhere included, so names
//! in it are opened without following links, and what matters to us is kept beside it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::process::Confinement;
use hospitium_host::HostError;
use hospitium_host::local::open;

/// Name of the VMM's own folder within a machine's.
const WORK: &str = "vmm";

/// Makes the VMM's own folder in a machine's folder, and closes the latter to all but us.
pub(crate) fn work_folder(folder: &Path, confinement: Confinement) -> Result<PathBuf, HostError> {
    let closed = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    closed.map_err(HostError::io(format!("closing {} to others", folder.display())))?;
    let work = folder.join(WORK);
    std::fs::create_dir(&work).map_err(HostError::io(format!("making {}", work.display())))?;
    confinement.give_away(&open(&work)?, &work)?;
    Ok(work)
}

/// Moves the VMM's own folder, with the VMM in it, into another machine's folder, and closes that to all but us.
pub(crate) fn move_work_folder(from: &Path, to: &Path) -> Result<PathBuf, HostError> {
    let closed = std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700));
    closed.map_err(HostError::io(format!("closing {} to others", to.display())))?;
    let work = to.join(WORK);
    // Renaming would replace an empty folder without a word.
    if work.symlink_metadata().is_ok() {
        let there = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(HostError::io(format!("making {}", work.display()))(there));
    }
    let moved = std::fs::rename(from.join(WORK), &work);
    moved.map_err(HostError::io(format!("moving a VMM's folder to {}", work.display())))?;
    Ok(work)
}

/// Where [`work_folder`] is.
pub(crate) fn work_folder_of(folder: &Path) -> PathBuf {
    folder.join(WORK)
}

impl Confinement {
    /// Gives a file that we made to the user that the VMM runs as.
    pub(crate) fn give_away(self, file: &File, path: &Path) -> Result<(), HostError> {
        let Some(id) = self.user else { return Ok(()) };
        let given = std::os::unix::fs::fchown(file, Some(id), Some(id));
        given.map_err(HostError::io(format!("giving {} to user {id}", path.display())))
    }

    /// Makes a file that the VMM may write.
    pub(crate) fn make_file(self, path: &Path, size: u64) -> Result<File, HostError> {
        let doing = format!("making {}", path.display());
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(HostError::io(&doing))?;
        file.set_len(size).map_err(HostError::io(doing))?;
        self.give_away(&file, path)?;
        Ok(file)
    }

    /// Can the VMM's user open this inode for reading?
    pub(crate) fn can_read(self, file: &File) -> bool {
        match (self.user, file.metadata()) {
            (None, _) => true,
            (Some(id), Ok(meta)) => {
                meta.mode() & 0o004 != 0 || (meta.uid() == id && meta.mode() & 0o400 != 0)
            }
            (_, Err(_)) => false,
        }
    }
}

/// Takes a file back from a VMM that has ended.
pub(crate) fn take_back(file: &File, mode: u32) -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    std::os::unix::fs::fchown(file, Some(user.as_raw()), Some(group.as_raw()))?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}
