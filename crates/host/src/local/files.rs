//! Files on the border between us and a hypervisor: opened without being led astray, digested and copied with their
//! holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hospitium_model::Digest;
use sha2::Digest as _;

use crate::HostError;

/// Opens an input for reading.
///
/// # Errors
/// It cannot be opened.
pub fn open(path: &Path) -> Result<File, HostError> {
    File::open(path).map_err(HostError::io(format!("opening {}", path.display())))
}

/// Opens a file that a VMM wrote or could have replaced, for reading.
///
/// # Errors
/// It cannot be opened, or it is no plain file.
pub fn open_left(path: &Path) -> Result<File, HostError> {
    open_unfollowed(path, File::options().read(true))
}

/// The same, for writing.
///
/// # Errors
/// As [`open_left`].
pub fn open_written(path: &Path) -> Result<File, HostError> {
    open_unfollowed(path, File::options().write(true))
}

fn open_unfollowed(path: &Path, options: &mut std::fs::OpenOptions) -> Result<File, HostError> {
    // Without NONBLOCK, a FIFO in its place would keep us waiting for its other end.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = options.custom_flags(flags.bits() as i32).open(path);
    let checked = opened.and_then(|file| match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no plain file")),
    });
    checked.map_err(HostError::io(format!("opening {}", path.display())))
}

/// SHA-256 of a file. Its holes are not read: disks and memory are mostly that, and the kernel would
/// make pages of zeroes for them.
///
/// # Errors
/// It cannot be read.
pub fn digest(mut file: File) -> io::Result<Digest> {
    use rustix::fs::SeekFrom;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let size = file.metadata()?.len();
    let mut at = 0;
    loop {
        match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(start) => {
                hash_zeroes(&mut hasher, start - at);
                let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
                rustix::fs::seek(&file, SeekFrom::Start(start))?;
                at = start + hash_up_to(&mut hasher, &mut file, end - start, &mut buffer)?;
                if at < end {
                    // It has become shorter meanwhile: this is its end.
                    break;
                }
            }
            // The rest is a hole.
            Err(rustix::io::Errno::NXIO) => {
                hash_zeroes(&mut hasher, size.saturating_sub(at));
                rustix::fs::seek(&file, SeekFrom::Start(size.max(at)))?;
                break;
            }
            // No file with holes: a stream, or one of a file system that knows of none.
            Err(_) => break,
        }
    }
    hash_up_to(&mut hasher, &mut file, u64::MAX, &mut buffer)?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

/// Reads on for so many bytes, or to the end; says how many there were.
fn hash_up_to(
    hasher: &mut sha2::Sha256,
    file: &mut File,
    most: u64,
    buffer: &mut [u8],
) -> io::Result<u64> {
    let mut done = 0;
    while done < most {
        let wanted = usize::try_from(most - done).map_or(buffer.len(), |n| n.min(buffer.len()));
        match io::Read::read(file, &mut buffer[..wanted])? {
            0 => break,
            n => {
                hasher.update(&buffer[..n]);
                done += n as u64;
            }
        }
    }
    Ok(done)
}

fn hash_zeroes(hasher: &mut sha2::Sha256, mut count: u64) {
    const ZEROES: &[u8] = &[0; 1 << 16];
    while count > 0 {
        let some = usize::try_from(count).map_or(ZEROES.len(), |n| n.min(ZEROES.len()));
        hasher.update(&ZEROES[..some]);
        count -= some as u64;
    }
}

/// SHA-256 of the file of this path.
///
/// # Errors
/// It cannot be opened or read.
pub fn digest_of(path: &Path) -> Result<Digest, HostError> {
    digest(open(path)?).map_err(HostError::io(format!("reading {}", path.display())))
}

/// Copies a file with its holes into a new one.
///
/// # Errors
/// It cannot be read, or the new one not be made.
pub fn copy_sparse(mut source: File, to: &Path) -> io::Result<()> {
    use rustix::fs::SeekFrom;
    let mut target = File::create_new(to)?;
    target.set_len(source.metadata()?.len())?;
    let mut at = 0;
    loop {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data from there on (lseek(2)).
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(start))?;
        rustix::fs::seek(&source, SeekFrom::Start(start))?;
        rustix::fs::seek(&target, SeekFrom::Start(start))?;
        let mut part = io::Read::take(&mut source, end - start);
        io::copy(&mut part, &mut target)?;
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn the_digest_of_a_file_with_holes_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        // Data at the start, in the middle, at the end; holes wherever there can be one.
        let mib = 1 << 20;
        for (size, parts) in [
            (0, &[][..]),
            (5 * mib, &[]),
            (5 * mib, &[0]),
            (5 * mib, &[2 * mib]),
            (5 * mib, &[5 * mib - 7]),
            (5 * mib + 3, &[0, 3 * mib - 1, 5 * mib]),
            (3, &[0]),
        ] {
            let file = File::create(&path).expect("made");
            file.set_len(size).expect("sized");
            for part in parts {
                let length = 7.min(size - part);
                let bytes = &b"content"[..usize::try_from(length).expect("small")];
                file.write_all_at(bytes, *part).expect("written");
            }
            let whole = Digest::of(&std::fs::read(&path).expect("reads"));
            let found = digest(File::open(&path).expect("opens")).expect("reads");
            assert_eq!(found, whole, "{size} {parts:?}");
        }
        // What tells no size and has no holes is read to its end.
        let (reader, mut writer) = io::pipe().expect("a pipe");
        io::Write::write_all(&mut writer, b"streamed").expect("written");
        drop(writer);
        let found = digest(File::from(std::os::fd::OwnedFd::from(reader))).expect("reads");
        assert_eq!(found, Digest::of(b"streamed"));
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_the_holes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).expect("made");
        file.set_len(64 << 20).expect("sized");
        file.write_all_at(b"middle", 33 << 20).expect("written");
        copy_sparse(open(&from).expect("opened"), &to).expect("copied");
        assert!(std::fs::read(&from).expect("read") == std::fs::read(&to).expect("read"));
        assert!(std::fs::metadata(&to).expect("there").blocks() * 512 < 1 << 20);
    }

    #[test]
    fn a_link_or_a_fifo_that_a_vmm_left_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "secret").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert!(open_left(&real).is_ok() && open_written(&real).is_ok());
        assert!(open_left(&link).is_err() && open_written(&link).is_err());
        let fifo = folder.path().join("fifo");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        );
        made.expect("a FIFO");
        assert!(open_left(&fifo).is_err() && open_written(&fifo).is_err());
    }
}
