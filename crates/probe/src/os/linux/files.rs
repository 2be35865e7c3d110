//! Files, folders, nodes and mounts.

use hospitium_wire::{Flags, Node, errno};

use super::sys::{self, EINTR, EISDIR, ESPIPE, Fd, Text};
use super::{memory, older};
use crate::failure::{Failure, Result};

/// Reads from a file until the buffer is full or the file ends. Files that cannot seek are read
/// from their start. Opened without blocking, so that a FIFO or a device cannot hold the probe.
pub fn read<'b>(path: &str, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let fd = sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK, 0)?;
    let mut used = 0;
    let mut seeks = true;
    while used < buffer.len() {
        let rest = &mut buffer[used..];
        let result =
            if seeks { sys::pread(&fd, rest, offset + used as u64) } else { sys::read(&fd, rest) };
        match result {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(failure) if failure.is(&[EINTR]) => {}
            Err(failure) if failure.is(&[ESPIPE]) && seeks && offset == 0 => seeks = false,
            // What came before is an answer too.
            Err(_) if used > 0 => break,
            Err(_) if path == "/dev/mem" => return memory::copy_physical(&fd, offset, buffer),
            Err(failure) => return Err(failure),
        }
    }
    Ok(&buffer[..used])
}

/// Writes to a file. A failure after some bytes is told as their count.
pub fn write(path: &str, offset: u64, data: &[u8], flags: Flags) -> Result<u64> {
    let mut mode = sys::O_WRONLY;
    for (wanted, flag) in [
        (flags.create, sys::O_CREAT),
        (flags.truncate, sys::O_TRUNC),
        (flags.append, sys::O_APPEND),
    ] {
        if wanted {
            mode |= flag;
        }
    }
    // Executable, because programs are brought in this way too.
    let fd = sys::open(path, mode, 0o755)?;
    let mut seeks = !flags.append;
    let mut used = 0;
    while used < data.len() {
        let rest = &data[used..];
        let result = if seeks {
            sys::pwrite(&fd, rest, offset + used as u64)
        } else {
            sys::write(&fd, rest)
        };
        match result {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(failure) if failure.is(&[EINTR]) => {}
            Err(failure) if failure.is(&[ESPIPE]) && seeks && offset == 0 => seeks = false,
            Err(_) if used > 0 => break,
            Err(failure) => return Err(failure),
        }
    }
    if flags.sync {
        fsync(&fd)?;
    }
    Ok(used as u64)
}

/// Flushes a file to its medium.
pub fn fsync(fd: &Fd) -> Result<()> {
    sys::plain(sys::FSYNC, [fd.arg(), 0, 0, 0, 0, 0]).map(drop)
}

/// Names in a folder from the `skip`-th on, each ended by a NUL, as many as fit.
pub fn list<'b>(path: &str, skip: u32, room: &mut [u8], out: &'b mut [u8]) -> Result<&'b [u8]> {
    let fd = sys::open(path, sys::O_RDONLY | sys::O_DIRECTORY, 0)?;
    let (mut passed, mut used) = (0, 0);
    loop {
        let (at, length) = (room.as_mut_ptr() as usize, room.len());
        // SAFETY: the room is good for its length.
        let filled = unsafe { sys::call(sys::GETDENTS64, [fd.arg(), at, length, 0, 0, 0]) }?;
        let mut entries = &room[..filled];
        if entries.is_empty() {
            return Ok(&out[..used]);
        }
        // struct linux_dirent64: inode and offset of 8 bytes, record length of 2, type of 1, name.
        while let Some(&[low, high]) = entries.get(16..18).and_then(<[u8]>::first_chunk) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let name = entries.get(19..length).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            entries = entries.get(length.max(19)..).unwrap_or_default();
            if matches!(name, b"" | b"." | b"..") || older::hides_in(path, name) {
                continue;
            }
            passed += 1;
            if passed <= skip {
                continue;
            }
            let Some(slot) = out.get_mut(used..used + name.len() + 1) else {
                return Ok(&out[..used]);
            };
            slot[..name.len()].copy_from_slice(name);
            slot[name.len()] = 0;
            used += slot.len();
        }
    }
}

/// Target of a symbolic link.
pub fn read_link<'b>(path: &str, out: &'b mut [u8]) -> Result<&'b [u8]> {
    let used = sys::on_path(sys::READLINK, path, out.as_mut_ptr() as usize, out.len())?;
    Ok(&out[..used])
}

/// A call that is done, also if it was done before.
fn unless_there(result: Result<usize>) -> Result<()> {
    match result {
        Err(failure) if failure.is(&[errno::EEXIST]) => Ok(()),
        other => other.map(drop),
    }
}

/// Makes a folder.
pub fn make_dir(path: &str) -> Result<()> {
    unless_there(sys::on_path(sys::MKDIR, path, 0o755, 0))
}

/// Removes a file or an empty folder.
pub fn remove(path: &str) -> Result<()> {
    match sys::on_path(sys::UNLINK, path, 0, 0) {
        // Linux says EISDIR, POSIX (and some file systems) EPERM.
        Err(failure) if failure.is(&[EISDIR, errno::EPERM]) => {
            sys::on_path(sys::RMDIR, path, 0, 0).map(drop)
        }
        other => other.map(drop),
    }
}

/// Makes a device node.
pub fn make_node(path: &str, node: Node, major: u32, minor: u32) -> Result<()> {
    let kind = match node {
        Node::Block => 0o060_000,
        Node::Character => 0o020_000,
    };
    if major > 0xFFF || minor > 0xF_FFFF {
        return Err(Failure::invalid("mknod"));
    }
    // new_encode_dev() of include/linux/kdev_t.h.
    let device = (minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12);
    unless_there(sys::on_path(sys::MKNOD, path, kind | 0o600, device as usize))
}

/// Mounts a file system.
pub fn mount(source: &str, target: &str, kind: &str, flags: u64, data: &str) -> Result<()> {
    let (source, target) = (Text::new(source)?, Text::new(target)?);
    let (kind, data) = (Text::new(kind)?, Text::new(data)?);
    // mount(2) copies a whole page of data: so long is the room of a `Text`.
    let arguments = [source.arg(), target.arg(), kind.arg(), flags as usize, data.arg(), 0];
    // SAFETY: four NUL-ended texts that outlive the call.
    unsafe { sys::call(sys::MOUNT, arguments) }.map(drop)
}

/// Unmounts a file system.
pub fn unmount(target: &str) -> Result<()> {
    sys::on_path(sys::UMOUNT, target, 0, 0).map(drop)
}

/// Flushes all file systems.
pub fn sync() {
    let _ = sys::plain(sys::SYNC, [0; 6]);
}
