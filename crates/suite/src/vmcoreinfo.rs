//! VMCOREINFO: what a Linux kernel leaves in its memory for whoever reads a dump of it (Linux
//! Documentation/admin-guide/kdump/vmcoreinfo.rst).

use std::collections::BTreeMap;

use crate::dump::MemoryDump;

/// Name of the ELF note.
const NAME: &[u8] = b"VMCOREINFO";
/// The most of a note that is read.
const MOST: usize = 1 << 16;

/// Where x86-64 maps the kernel's image (`__START_KERNEL_map`), and i386 all memory (`PAGE_OFFSET`).
const KERNEL_64: u64 = 0xFFFF_FFFF_8000_0000;
const KERNEL_32: u64 = 0xC000_0000;

/// Bytes of each text in `struct new_utsname`: system, node, release, version.
const UTS_TEXT: usize = 65;

/// The lines of the note, `KEY=VALUE`.
#[derive(Debug, PartialEq, Eq)]
pub struct VmCoreInfo(BTreeMap<String, String>);

impl VmCoreInfo {
    /// Reads it where the kernel keeps it. None if there is no such note.
    ///
    /// # Errors
    /// The dump cannot be read.
    pub fn read(dump: &MemoryDump, address: u64, length: u64) -> std::io::Result<Option<Self>> {
        let length = usize::try_from(length).unwrap_or(MOST).min(MOST);
        Ok(dump.read(address, length)?.as_deref().and_then(Self::parse))
    }

    /// Of an ELF note: lengths of name and content, type, name, content.
    fn parse(note: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = note.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (name, content) = (word(0)?, word(4)?);
        if note.get(12..12 + NAME.len()) != Some(NAME) || name > NAME.len() + 2 {
            return None;
        }
        let from = 12 + name.next_multiple_of(4);
        let text = String::from_utf8_lossy(note.get(from..from.checked_add(content)?)?);
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Some(Self(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    /// The kernel's version, as the note has it.
    pub fn release(&self) -> Option<&str> {
        self.0.get("OSRELEASE").map(String::as_str)
    }

    /// Virtual address of a symbol.
    fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.0.get(&format!("SYMBOL({name})"))?, 16).ok()
    }

    /// Where a symbol of the kernel's image lies in physical memory. None if the note does not say how the image is
    /// mapped: x86-64 says so since 4.10.
    fn physical(&self, symbol: &str) -> Option<u64> {
        let address = self.symbol(symbol)?;
        match address.checked_sub(KERNEL_64) {
            Some(offset) => {
                let base: i64 = self.0.get("NUMBER(phys_base)")?.parse().ok()?;
                offset.checked_add_signed(base)
            }
            None => address.checked_sub(KERNEL_32).filter(|offset| *offset < KERNEL_32),
        }
    }

    /// The kernel's version, by following its symbols: the running kernel's `struct uts_namespace`.
    ///
    /// # Errors
    /// The dump cannot be read.
    pub fn release_by_symbol(&self, dump: &MemoryDump) -> std::io::Result<Option<String>> {
        let Some(address) = self.physical("init_uts_ns") else { return Ok(None) };
        // The name stood behind a counter until 5.11.
        let told = self.0.get("OFFSET(uts_namespace.name)").and_then(|offset| offset.parse().ok());
        let offsets = told.map_or_else(|| vec![0, 4, 8], |offset: u64| vec![offset]);
        for offset in offsets {
            let Some(address) = address.checked_add(offset) else { continue };
            let Some(bytes) = dump.read(address, 3 * UTS_TEXT)? else { continue };
            let text = |n: usize| {
                let text = &bytes[n * UTS_TEXT..(n + 1) * UTS_TEXT];
                String::from_utf8_lossy(text.split(|&byte| byte == 0).next().unwrap_or_default())
                    .into_owned()
            };
            if text(0) == "Linux" {
                return Ok(Some(text(2)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::tests::{core_file, opened};

    fn note(text: &str) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [NAME.len() as u32 + 1, text.len() as u32, 0] {
            note.extend_from_slice(&word.to_le_bytes());
        }
        note.extend_from_slice(NAME);
        note.extend_from_slice(&[0; 2]);
        note.extend_from_slice(text.as_bytes());
        note.resize(4096, 0);
        note
    }

    fn uts(release: &str) -> Vec<u8> {
        let mut bytes = vec![0; 4 * UTS_TEXT];
        bytes[..5].copy_from_slice(b"Linux");
        bytes[2 * UTS_TEXT..2 * UTS_TEXT + release.len()].copy_from_slice(release.as_bytes());
        bytes
    }

    #[test]
    fn the_kernel_is_found_by_its_symbols() {
        let wide =
            "OSRELEASE=6.1.0\nSYMBOL(init_uts_ns)=ffffffff81002000\nNUMBER(phys_base)=-16777216\n";
        let moved = "OSRELEASE=6.1.0\nSYMBOL(init_uts_ns)=ffffffff81001ff8\nNUMBER(phys_base)=-16777216\nOFFSET(uts_namespace.name)=8\n";
        let narrow = "OSRELEASE=6.1.0\nSYMBOL(init_uts_ns)=c0002000\n";
        for text in [wide, moved, narrow] {
            let (note, uts) = (note(text), uts("6.1.0"));
            let file = core_file(&[(0x2000, &uts), (0x9000, &note)]);
            let dump = opened(&file).expect("a core file");
            let info = VmCoreInfo::read(&dump, 0x9000, 0x1000).expect("read").expect("a note");
            assert_eq!(info.release(), Some("6.1.0"));
            assert_eq!(
                info.release_by_symbol(&dump).expect("read").as_deref(),
                Some("6.1.0"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_note_is_none_and_a_symbol_that_lies_nowhere_is_not_followed() {
        let dump = opened(&core_file(&[(0, &[0; 4096])])).expect("a core file");
        assert_eq!(VmCoreInfo::read(&dump, 0, 4096).expect("read"), None);
        assert_eq!(VmCoreInfo::read(&dump, 1 << 40, u64::MAX).expect("read"), None);
        let mut hostile = note("");
        hostile[4..8].fill(0xFF);
        assert_eq!(VmCoreInfo::parse(&hostile), None);
        hostile[..4].fill(0xFF);
        assert_eq!(VmCoreInfo::parse(&hostile), None);
        for symbol in [
            "",
            "SYMBOL(init_uts_ns)=zz",
            "SYMBOL(init_uts_ns)=ffffffffffffffff\nNUMBER(phys_base)=9223372036854775807",
            "SYMBOL(init_uts_ns)=1",
        ] {
            let info = VmCoreInfo::parse(&note(symbol)).expect("a note");
            assert_eq!(info.release_by_symbol(&dump).expect("read"), None, "{symbol}");
        }
    }
}
