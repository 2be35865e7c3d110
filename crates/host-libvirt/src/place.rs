//! Where the files of a machine lie, so that its VMM, which may be another user's, gets to them and to no others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hospitium_host::HostError;
use tempfile::TempDir;

use crate::user::User;

/// What the names of our folders begin with.
const PREFIX: &str = "hospitium-";
/// The VMM's own folder in a machine's folder.
const OWN: &str = "vmm";

/// The folders of a machine.
#[derive(Debug)]
pub(crate) struct Place {
    /// For the VMM's files.
    pub files: PathBuf,
    /// For sockets: the names of those are short (unix(7): 107 bytes).
    sockets: TempDir,
    user: User,
    /// Removed with the machine.
    staged: Option<TempDir>,
}

fn closed(folder: &Path) -> Result<(), HostError> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
        .map_err(HostError::io(format!("closing {} to others", folder.display())))
}

fn temporary(base: &Path, user: User) -> Result<TempDir, HostError> {
    let doing = || format!("making a folder in {}", base.display());
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base);
    let folder = folder.map_err(HostError::io(doing()))?;
    closed(folder.path())?;
    user.give(folder.path())?;
    Ok(folder)
}

impl Place {
    /// Makes the folders of the machine whose own folder is `folder`.
    pub(crate) fn make(
        folder: &Path,
        staging: Option<&Path>,
        user: User,
    ) -> Result<Self, HostError> {
        let system = std::env::temp_dir();
        let staging = staging.unwrap_or(&system);
        let short =
            if system.as_os_str().len() <= 60 { system.as_path() } else { Path::new("/tmp") };
        let sockets = temporary(short, user)?;
        let folder =
            folder.canonicalize().map_err(HostError::io("looking at a machine's folder"))?;
        let (files, staged) = if user.can_search(&folder) {
            let own = folder.join(OWN);
            let doing = format!("making {}", own.display());
            std::fs::create_dir_all(&own).map_err(HostError::io(doing))?;
            closed(&own)?;
            user.give(&own)?;
            (own, None)
        } else {
            let staged = temporary(staging, user)?;
            (staged.path().to_owned(), Some(staged))
        };
        Ok(Self { files, sockets, user, staged })
    }

    /// Path of a socket.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.sockets.path().join(name)
    }

    /// The user that its VMM runs as.
    pub(crate) const fn user(&self) -> User {
        self.user
    }

    /// Folders outside of the machine's own, which go with it.
    pub(crate) fn outside(&self) -> Vec<PathBuf> {
        let staged = self.staged.iter().map(|folder| folder.path().to_owned());
        std::iter::once(self.sockets.path().to_owned()).chain(staged).collect()
    }

    /// A path by which the VMM can read an input: its own, or that of a link or a copy in the VMM's folder.
    pub(crate) fn readable(&self, input: &Path, name: &str) -> Result<PathBuf, HostError> {
        let input = std::path::absolute(input)
            .map_err(HostError::io(format!("looking for {}", input.display())))?;
        if self.user.can_read(&input) {
            return Ok(input);
        }
        let path = self.files.join(name);
        // Left from a device of the same name that was removed.
        let _ = std::fs::remove_file(&path);
        let real =
            input.canonicalize().map_err(HostError::io(format!("opening {}", input.display())))?;
        if self.user.may_read(&real) && std::fs::hard_link(&real, &path).is_ok() {
            return Ok(path);
        }
        let doing = format!("copying {} for the user {}", input.display(), self.user.uid);
        std::fs::copy(&real, &path).map_err(HostError::io(&doing))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400))
            .map_err(HostError::io(&doing))?;
        self.user.give(&path)?;
        Ok(path)
    }
}

/// Whether a folder is one of ours that a killed process left.
pub(crate) fn is_ours(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
        && std::fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vmm_of_another_user_gets_a_way_to_its_input() {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("input");
        std::fs::write(&input, "x").expect("written");
        let own = Place::make(folder.path(), None, User::own()).expect("made");
        assert_eq!(own.readable(&input, "kernel").expect("a path"), input);
        if !rustix::process::geteuid().is_root() {
            return;
        }
        closed(folder.path()).expect("closed");
        let stranger = User { uid: 65_534, gid: 65_534 };
        let place = Place::make(folder.path(), None, stranger).expect("made");
        let path = place.readable(&input, "kernel").expect("a path");
        assert!(path != input && stranger.can_read(&path));
        let outside = place.outside();
        assert!(outside.iter().all(|folder| is_ours(folder)));
        drop(place);
        assert!(outside.iter().all(|folder| !folder.exists()));
    }
}
