//! A dump of a machine's memory: an ELF core file, read by physical address.
//!
//! The hypervisor wrote it, and a guest's memory is in it: nothing in it is believed to be of any size or order.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A page of memory.
pub const PAGE: usize = 4096;

/// The most of a file's program headers that are read; a machine has a few ranges of memory.
const SEGMENTS: usize = 1 << 16;
/// What is read at a time, a multiple of a page.
const CHUNK: usize = 1 << 20;

// System V ABI, ELF header and program header.
const MAGIC: [u8; 4] = *b"\x7FELF";
const CORE: u16 = 4;
const LITTLE_ENDIAN: u8 = 1;
const LOAD: u32 = 1;
/// `e_phnum` where there are more, and the number is in the first section's `sh_info`.
const MORE: u16 = 0xFFFF;

/// A range of memory that is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    /// Physical address of its first byte.
    address: u64,
    /// Where in the file.
    offset: u64,
    /// Bytes.
    length: u64,
}

/// A dump of a machine's memory.
#[derive(Debug)]
pub struct MemoryDump {
    file: File,
    segments: Vec<Segment>,
}

impl MemoryDump {
    /// Opens a core file.
    ///
    /// # Errors
    /// It cannot be read, or is no ELF core file; the text says which.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let segments = segments(&file)?;
        Ok(Self { file, segments })
    }

    /// Bytes of memory that are in it.
    pub fn memory(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.length))
    }

    /// Reads memory at a physical address. None if it is not in the dump.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, address: u64, length: usize) -> std::io::Result<Option<Vec<u8>>> {
        let within = |segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|from| {
                from.checked_add(length as u64).is_some_and(|end| end <= segment.length)
            })
        };
        let Some(segment) = self.segments.iter().find(within) else { return Ok(None) };
        let mut bytes = vec![0; length];
        let at = segment.offset.checked_add(address - segment.address);
        let at = at.ok_or_else(|| odd("memory lies past the end of all files"))?;
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(Some(bytes)),
            // Cut off.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Shows every whole page of memory, in the order of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_page(&self, mut see: impl FnMut(&[u8])) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        for segment in &self.segments {
            let mut done = 0;
            while done < segment.length {
                let want = (segment.length - done).min(CHUNK as u64) as usize;
                let at = segment.offset.saturating_add(done);
                match self.file.read_exact_at(&mut buffer[..want], at) {
                    Ok(()) => buffer[..want].chunks_exact(PAGE).for_each(&mut see),
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
                    Err(e) => return Err(e),
                }
                done += want as u64;
            }
        }
        Ok(())
    }
}

fn odd(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

/// Little-endian numbers at places of a header; zero past its end.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.part(at))
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.part(at))
    }

    /// An address or a length: 8 bytes in a 64-bit file, else 4.
    fn long(&self, at: usize, wide: bool) -> u64 {
        if wide { u64::from_le_bytes(self.part(at)) } else { u64::from(self.word(at)) }
    }
}

fn segments(file: &File) -> std::io::Result<Vec<Segment>> {
    let mut header = [0; 64];
    let size = file.metadata()?.len().min(64) as usize;
    file.read_exact_at(&mut header[..size], 0)?;
    if header[..4] != MAGIC || header[5] != LITTLE_ENDIAN {
        return Err(odd("this is no ELF file of a little-endian machine"));
    }
    let wide = match header[4] {
        1 => false,
        2 => true,
        _ => return Err(odd("this is neither a 32-bit nor a 64-bit ELF file")),
    };
    let header = Header(&header);
    if header.half(16) != CORE {
        return Err(odd("this ELF file is no core file"));
    }
    let (table, sections) = if wide {
        (header.long(32, true), header.long(40, true))
    } else {
        (header.long(28, false), header.long(32, false))
    };
    let (each, count) =
        if wide { (header.half(54), header.half(56)) } else { (header.half(42), header.half(44)) };
    let least = if wide { 56 } else { 32 };
    if usize::from(each) < least {
        return Err(odd("its program headers are too short"));
    }
    let count = match count {
        MORE => {
            let mut section = [0; 64];
            let length = if wide { 64 } else { 40 };
            file.read_exact_at(&mut section[..length], sections)?;
            Header(&section).word(if wide { 44 } else { 28 }) as usize
        }
        count => usize::from(count),
    };
    if count > SEGMENTS {
        return Err(odd("it has more program headers than any machine has ranges of memory"));
    }
    let mut bytes = vec![0; count * usize::from(each)];
    file.read_exact_at(&mut bytes, table)?;
    let segments = bytes.chunks_exact(usize::from(each)).map(Header).filter(|h| h.word(0) == LOAD);
    Ok(segments
        .map(|h| match wide {
            true => Segment {
                offset: h.long(8, true),
                address: h.long(24, true),
                length: h.long(32, true),
            },
            false => Segment {
                offset: h.long(4, false),
                address: h.long(12, false),
                length: h.long(16, false),
            },
        })
        .collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// A 64-bit core file of these ranges of memory.
    pub(crate) fn core_file(memory: &[(u64, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * memory.len()];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[2, LITTLE_ENDIAN, 1]);
        put(16, &CORE.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &(memory.len() as u16).to_le_bytes());
        let mut offset = (64 + 56 * memory.len()) as u64;
        for (n, (address, bytes)) in memory.iter().enumerate() {
            let at = 64 + 56 * n;
            put(at, &LOAD.to_le_bytes());
            put(at + 8, &offset.to_le_bytes());
            put(at + 24, &address.to_le_bytes());
            put(at + 32, &(bytes.len() as u64).to_le_bytes());
            offset += bytes.len() as u64;
        }
        for (_, bytes) in memory {
            file.extend_from_slice(bytes);
        }
        file
    }

    pub(crate) fn opened(bytes: &[u8]) -> std::io::Result<MemoryDump> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        MemoryDump::open(file.path())
    }

    #[test]
    fn memory_is_read_by_its_physical_address_and_shown_by_page() {
        let (low, high) = (vec![1; PAGE], vec![2; 2 * PAGE + 5]);
        let dump = opened(&core_file(&[(0, &low), (0x10_0000, &high)])).expect("a core file");
        assert_eq!(dump.memory(), (3 * PAGE + 5) as u64);
        assert_eq!(dump.read(0x10_1000, 3).expect("read"), Some(vec![2; 3]));
        assert_eq!(dump.read(PAGE as u64 - 1, 2).expect("read"), None, "it goes beyond its range");
        assert_eq!(dump.read(u64::MAX, 2).expect("read"), None);
        let mut pages = Vec::new();
        dump.each_page(|page| pages.push(page[0])).expect("read");
        assert_eq!(pages, [1, 2, 2]);
    }

    #[test]
    fn what_is_no_whole_core_file_is_refused_or_has_less_memory() {
        let whole = core_file(&[(0, &[7; PAGE])]);
        for cut in [0, 4, 20, 63, 100] {
            assert!(opened(&whole[..cut]).is_err(), "{cut} bytes");
        }
        let cut = opened(&whole[..whole.len() - 1]).expect("its headers are whole");
        assert_eq!(cut.read(0, PAGE).expect("read"), None);
        let mut program = whole.clone();
        program[16] = 2;
        assert!(opened(&program).expect_err("a program").to_string().contains("no core file"));
        // More headers than there are, and one that points past all.
        let mut many = whole.clone();
        many[56..58].copy_from_slice(&500_u16.to_le_bytes());
        assert!(opened(&many).is_err());
        let mut far = whole;
        far[64 + 8..64 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
        let far = opened(&far).expect("its headers are whole");
        assert!(far.read(0, 16).is_err() || far.read(0, 16).expect("read").is_none());
    }
}
