//! A file that is being written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::{PARTIAL, above};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, as far as the process gives files to others at all.
    Public,
    /// Its owner alone.
    Secret,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Secret => 0o600,
        }
    }
}

/// A file that is not whole yet. Dropped without [`place`](Self::place), it goes away, and what was there before stays.
#[derive(Debug)]
pub struct Begun {
    file: File,
    partial: TempPath,
    path: PathBuf,
}

impl Begun {
    /// Begins a file under a name that no other writer has; it is locked until it is placed, so that
    /// [`sweep`](crate::sweep) leaves it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn beside(path: &Path, access: Access) -> io::Result<Self> {
        Self::within(above(path), path, access)
    }

    /// The same in another folder of the same file system.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn within(folder: &Path, path: &Path, access: Access) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let made = builder
            .prefix(PARTIAL)
            .permissions(Permissions::from_mode(access.mode()))
            .tempfile_in(folder)?;
        let (file, partial) = made.into_parts();
        // Where a file system has no locks, `sweep` cannot take one either.
        let _ = file.lock();
        Ok(Self { file, partial, path: path.to_owned() })
    }

    /// Begins a file that nobody else writes now, because the caller holds a lock: under one name, so that what a crash left
    /// is found and removed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn alone(path: &Path, access: Access) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(PARTIAL);
        name.push(path.file_name().unwrap_or_default());
        let partial = above(path).join(name);
        // It may have other permissions.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(access.mode()).open(&partial)?;
        let partial = TempPath::try_from_path(partial)?;
        Ok(Self { file, partial, path: path.to_owned() })
    }

    /// Another place than the one it was begun for, in the same file system: of a file that is named by its content.
    pub fn goes_to(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// The file, to be read again or given other permissions.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Its bytes are on the medium when this returns.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn flush_to_medium(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Puts it in its place. The name is on the medium after [`sync_folder`](crate::sync_folder).
    ///
    /// # Errors
    /// If the system refuses; it goes away then.
    pub fn place(self) -> io::Result<()> {
        self.partial.persist(&self.path).map_err(|error| error.error)
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
