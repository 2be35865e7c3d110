//! An initial RAM file system: a cpio archive in the "newc" form
//! (Documentation/driver-api/early-userspace/buffer-format.rst), not compressed, because
//! unpacking costs an emulated processor more than reading.

/// Writes an archive. The same entries give the same bytes: times and owners are zero.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const CHARACTER: u32 = 0o020_600;
const FILE: u32 = 0o100_000;

impl Archive {
    /// A folder. Parents come before what is in them.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// A file with these permissions.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.entry(path, FILE | permissions, (0, 0), content);
    }

    /// A character device.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER, (major, minor), &[]);
    }

    /// The archive, ended and padded to 512 bytes as the kernel's loader likes it.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries += 1;
        let name = path.trim_start_matches('/');
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        // Inode, mode, uid, gid, links, time, size, device (2), special device (2), name, check.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0,
            0,
            major,
            minor,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.folder("/etc");
        archive.file("/etc/x", 0o644, b"12345");
        archive.file("/init", 0o755, b"#!");
        archive.finish()
    }

    #[test]
    fn an_archive_is_what_the_format_says() {
        let bytes = sample();
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(&bytes[..14], b"07070100000001");
        let at = bytes.windows(6).position(|w| w == b"etc/x\0").expect("the name");
        let header = std::str::from_utf8(&bytes[at - 110..at]).expect("hexadecimal");
        assert_eq!(&header[14..22], "000081A4", "mode");
        assert_eq!(&header[54..62], "00000005", "size");
        assert_eq!(&header[94..102], "00000006", "length of the name");
        assert_eq!(&bytes[(at + 6).next_multiple_of(4)..][..5], b"12345");
    }

    #[test]
    fn the_same_entries_give_the_same_bytes() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn cpio_reads_the_archive() {
        let mut archive = Archive::default();
        archive.folder("/lib");
        archive.file("/lib/a.ko", 0o644, &[7; 1001]);
        archive.character_device("/console", 5, 1);
        let Ok(mut cpio) = Command::new("cpio")
            .arg("-itv")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        else {
            eprintln!("cpio is not installed; the format's own test has to do");
            return;
        };
        cpio.stdin.take().expect("piped").write_all(&archive.finish()).expect("written");
        let output = cpio.wait_with_output().expect("ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success());
        assert!(
            text.contains("1001") && text.contains("lib/a.ko") && text.contains("5,   1"),
            "{text}"
        );
    }
}
