//! The user that VMMs run as, and what it can reach.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hospitium_host::HostError;

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// Who we are.
    pub(crate) fn own() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Who owns a file.
    pub(crate) fn owner(file: &Path) -> Option<Self> {
        let meta = std::fs::metadata(file).ok()?;
        Some(Self { uid: meta.uid(), gid: meta.gid() })
    }

    /// Whether the mode of a file gives it this access (4 reading, 1 searching).
    fn may(self, meta: &std::fs::Metadata, access: u32) -> bool {
        let shift = match (meta.uid() == self.uid, meta.gid() == self.gid) {
            (true, _) => 6,
            (_, true) => 3,
            _ => 0,
        };
        self.uid == 0 || meta.mode() >> shift & access == access
    }

    /// Whether it can get to what lies in a folder.
    pub(crate) fn can_search(self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        folder.ancestors().all(|part| std::fs::metadata(part).is_ok_and(|meta| self.may(&meta, 1)))
    }

    /// Whether the file itself is open to it, wherever it lies.
    pub(crate) fn may_read(self, file: &Path) -> bool {
        std::fs::metadata(file).is_ok_and(|meta| self.may(&meta, 4))
    }

    /// Whether it can open a file by its path.
    pub(crate) fn can_read(self, file: &Path) -> bool {
        let Ok(file) = file.canonicalize() else { return false };
        self.may_read(&file) && file.parent().is_some_and(|folder| self.can_search(folder))
    }

    /// Gives it a file or a folder of ours.
    pub(crate) fn give(self, path: &Path) -> Result<(), HostError> {
        if self == Self::own() {
            return Ok(());
        }
        let doing = format!("giving {} to the user {}", path.display(), self.uid);
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
            .map_err(HostError::io(doing))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_below_a_closed_folder_is_reached_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path(), mode).expect("set");
        let stranger = User { uid: 64_000, gid: 64_000 };
        assert!(User::own().can_read(&file));
        assert!(stranger.may_read(&file) && !stranger.can_read(&file));
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))
            .expect("set");
        assert!(stranger.can_read(&file));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("set");
        assert!(!stranger.can_read(&file));
    }
}
