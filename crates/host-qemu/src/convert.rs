//! Images in formats with which QEMU cannot save a machine, as qcow2 copies in the cache.
//!
//! QEMU's drivers of VHD, VHDX and VMDK block migration, and with it snapshots, even of an image that is only
//! read (block/vpc.c, vhdx.c and vmdk.c: "does not support live migration").

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use hospitium_model::Digest;

use crate::Inner;
use crate::files::take_back;
use hospitium_host::HostError;
use hospitium_host::local::{open, open_left};

/// The longest that a conversion may take: 1 TiB at 300 MB/s.
const PATIENCE: Duration = Duration::from_secs(3600);

/// QEMU's driver of a format that has to be converted.
pub(crate) fn foreign(format: &str) -> Option<&'static str> {
    match format {
        "vhd" | "vpc" => Some("vpc"),
        "vhdx" => Some("vhdx"),
        "vmdk" => Some("vmdk"),
        _ => None,
    }
}

impl Inner {
    /// The copy of an image, made by a confined `qemu-img` if it is not there yet. Another copy is made
    /// of an image that has changed.
    pub(crate) async fn converted(&self, image: &Path, driver: &str) -> Result<PathBuf, HostError> {
        let doing = format!("converting {} to qcow2", image.display());
        let Some(cache) = &self.cache else {
            return Err(HostError::Unsupported {
                what: format!("the image {}", image.display()),
                why: format!(
                    "QEMU cannot save a machine with a {driver} image, and there is no cache for a \
                     copy; convert it to qcow2 first"
                ),
            });
        };
        let file = open(image)?;
        let meta = file.metadata().map_err(HostError::io(&doing))?;
        let name = format!(
            "{driver} {} {} {} {}.{:09} {}",
            meta.dev(),
            meta.ino(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec(),
            self.facts.vmm
        );
        let folder = cache.join("converted");
        std::fs::create_dir_all(&folder).map_err(HostError::io(&doing))?;
        let target = folder.join(format!("{}.qcow2", Digest::of(name.as_bytes()).short()));
        if self.hold(&target) {
            return Ok(target);
        }
        let work = tempfile::tempdir_in(&folder).map_err(HostError::io(&doing))?;
        self.confinement.give_away(&open(work.path())?, work.path())?;
        let node = serde_json::json!({
            "driver": driver,
            "file": {"driver": "file", "filename": format!("/proc/self/fd/{}", file.as_raw_fd())},
        });
        let (source, copy) = (format!("json:{node}"), "copy.qcow2");
        let arguments = ["convert", "-q", "-O", "qcow2", &source, copy];
        let inherited = vec![file.into()];
        let run =
            self.image_tool(&doing, work.path(), &arguments, inherited, self.confinement, PATIENCE);
        run.await?;
        let made = work.path().join(copy);
        take_back(&open_left(&made)?, 0o600).map_err(HostError::io(&doing))?;
        // Under its name only when it is whole; another run may have been faster, with the same.
        std::fs::rename(&made, &target).map_err(HostError::io(&doing))?;
        if self.hold(&target) {
            return Ok(target);
        }
        let gone = std::io::Error::other("it was made, and is gone again");
        Err(HostError::io(doing)(gone))
    }

    /// Keeps a copy where it is for as long as this host is in use, by a shared lock on it; who removes
    /// copies to make room takes the lock alone. False if there is no copy.
    fn hold(&self, copy: &Path) -> bool {
        let Ok(file) = File::open(copy) else { return false };
        let is_there = || {
            let (ours, now) = (file.metadata().ok()?, std::fs::metadata(copy).ok()?);
            Some((ours.dev(), ours.ino()) == (now.dev(), now.ino()))
        };
        // Removed while the lock was waited for: it locks nothing.
        if file.lock_shared().is_err() || is_there() != Some(true) {
            return false;
        }
        // Only which copy is removed first depends on it.
        let _ = file.set_modified(SystemTime::now());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        true
    }
}
