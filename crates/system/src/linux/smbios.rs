//! SMBIOS tables as bytes (DSP0134, "System Management BIOS Reference Specification", 3.7).

use super::bytes::{le16, le32, le64, sums_to_zero, uuid_of};
use crate::ask::SmbiosSystem;

/// Where the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint {
    /// Physical address.
    pub address: u64,
    /// Length, at most.
    pub length: u32,
    /// Version of the specification: major, minor.
    pub version: (u8, u8),
}

/// The most that is read of the tables: those of large servers take some tens of KiB.
const MOST: u32 = 1 << 18;

/// The entry point in the memory of a BIOS from 0xF0000 to 0xFFFFF, where it stands at a multiple of 16 (5.2), or at
/// the start of what an EFI system table names.
pub fn entry_point(memory: &[u8]) -> Option<EntryPoint> {
    let at = |n: usize| memory.get(n..);
    // The 64-bit one first: where both are, the other may not reach all (5.2).
    let places = || (0..memory.len()).step_by(16).filter_map(at);
    places().find_map(entry_point_64).or_else(|| places().find_map(entry_point_32))
}

fn entry_point_64(bytes: &[u8]) -> Option<EntryPoint> {
    let length = usize::from(*bytes.get(6)?);
    let entry = bytes.get(..length.max(0x18))?;
    if !entry.starts_with(b"_SM3_") || !sums_to_zero(entry) {
        return None;
    }
    let (address, length) = (le64(entry, 0x10)?, le32(entry, 0x0C)?.min(MOST));
    Some(EntryPoint { address, length, version: (entry[7], entry[8]) })
}

fn entry_point_32(bytes: &[u8]) -> Option<EntryPoint> {
    let length = usize::from(*bytes.get(5)?);
    // Version 2.1 of the specification said 0x1E and meant 0x1F.
    let entry = bytes.get(..length.max(0x1F))?;
    if !entry.starts_with(b"_SM_") || !sums_to_zero(entry) || entry.get(0x10..0x15)? != b"_DMI_" {
        return None;
    }
    let (address, length) = (u64::from(le32(entry, 0x18)?), u32::from(le16(entry, 0x16)?));
    Some(EntryPoint { address, length, version: (entry[6], entry[7]) })
}

/// A structure: its formatted part, and its strings.
struct Structure<'a> {
    kind: u8,
    formatted: &'a [u8],
    strings: &'a [u8],
}

impl Structure<'_> {
    /// The string that the byte at this offset names; empty if it names none (6.1.3).
    fn string(&self, offset: usize) -> String {
        let number = self.formatted.get(offset).map_or(0, |n| usize::from(*n));
        let mut strings = self.strings.split(|byte| *byte == 0);
        let text = number.checked_sub(1).and_then(|n| strings.nth(n)).unwrap_or_default();
        let printable = |byte: &u8| (0x20..0x7F).contains(byte);
        let text = text.iter().filter(|b| printable(b)).map(|b| char::from(*b)).collect::<String>();
        text.trim().to_owned()
    }
}

/// The structure that the bytes begin with, and what follows it (6.1).
fn structure(bytes: &[u8]) -> Option<(Structure<'_>, &[u8])> {
    let length = usize::from(*bytes.get(1)?);
    let formatted = bytes.get(..length).filter(|_| length >= 4)?;
    let behind = &bytes[length..];
    let end = behind.windows(2).position(|pair| pair == [0, 0])?;
    let strings = &behind[..end];
    Some((Structure { kind: bytes[0], formatted, strings }, &behind[end + 2..]))
}

/// System information (7.2): the structure of type 1.
pub fn system(table: &[u8], version: (u8, u8)) -> Option<SmbiosSystem> {
    let mut rest = table;
    while let Some((found, behind)) = structure(rest) {
        match found.kind {
            1 => {
                let uuid = found.formatted.get(8..24).and_then(|b| b.try_into().ok());
                return Some(SmbiosSystem {
                    manufacturer: found.string(4),
                    product: found.string(5),
                    version: found.string(6),
                    serial: found.string(7),
                    // The order of bytes is that of the wire before 2.6 (7.2.1), as Linux reads it.
                    uuid: uuid.map_or_else(String::new, |bytes| uuid_of(bytes, version >= (2, 6))),
                });
            }
            127 => return None,
            _ => rest = behind,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<u8> {
        let mut table = vec![0, 0x18, 0, 0];
        table.resize(0x18, 0);
        table.extend(b"SeaBIOS\0\0");
        table.extend([1, 0x1B, 0, 1, 1, 2, 4, 3]);
        table.extend([0x69, 0x70, 0x73, 0x6f, 0x69, 0x74, 0x20, 0x4d]);
        table.extend([0x80, 0, 0x48, 0x4f, 0x53, 0x50, 0x49, 0x54]);
        table.extend([6, 0, 0]);
        table.extend(b"Hospitium\0Validation machine\0HOSP-2009-0216\0pc-q35-7.2\0\0");
        table.extend([127, 4, 0, 2, 0, 0]);
        table
    }

    #[test]
    fn system_information_reads_as_the_firmware_wrote_it() {
        let system = system(&table(), (2, 8)).expect("there is a structure of type 1");
        assert_eq!(system.manufacturer, "Hospitium");
        assert_eq!(system.product, "Validation machine");
        assert_eq!(system.version, "pc-q35-7.2");
        assert_eq!(system.serial, "HOSP-2009-0216");
        assert_eq!(system.uuid, "6f737069-7469-4d20-8000-484f53504954");
    }

    #[test]
    fn the_uuid_of_an_old_table_is_in_the_order_of_the_wire() {
        let system = system(&table(), (2, 4)).expect("there is a structure of type 1");
        assert_eq!(system.uuid, "6970736f-6974-204d-8000-484f53504954");
    }

    fn with_sum(mut entry: Vec<u8>, at: usize) -> Vec<u8> {
        let sum = entry.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        entry[at] = entry[at].wrapping_sub(sum);
        entry
    }

    #[test]
    fn entry_points_are_found_at_multiples_of_16_and_only_with_a_good_checksum() {
        let mut old = b"_SM_\0\x1F\x02\x08\0\0\0\0\0\0\0\0_DMI_\0".to_vec();
        old.extend([0x80, 0x01, 0x90, 0xF5, 0x0F, 0, 0, 0, 0x28]);
        old.resize(0x1F, 0);
        let old = with_sum(old, 4);
        let wanted = EntryPoint { address: 0xF_F590, length: 0x180, version: (2, 8) };
        let mut memory = vec![0; 0x10000];
        memory[0x4560..0x4560 + old.len()].copy_from_slice(&old);
        assert_eq!(entry_point(&memory), Some(wanted));
        memory[0x4560 + 0x18] ^= 1;
        assert_eq!(entry_point(&memory), None);
        let mut shifted = vec![0; 0x10000];
        shifted[0x4568..0x4568 + old.len()].copy_from_slice(&old);
        assert_eq!(entry_point(&shifted), None);

        let mut new = b"_SM3_\0\x18\x03\x03\0\x01\0".to_vec();
        new.extend(0x300_u32.to_le_bytes());
        new.extend(0x7_0000_0000_u64.to_le_bytes());
        let new = with_sum(new, 5);
        memory[0x100..0x100 + new.len()].copy_from_slice(&new);
        memory[0x4560 + 0x18] ^= 1;
        let wanted = EntryPoint { address: 0x7_0000_0000, length: 0x300, version: (3, 3) };
        assert_eq!(entry_point(&memory), Some(wanted), "the 64-bit one goes first");
    }

    #[test]
    fn damaged_tables_tell_nothing_and_never_run_over() {
        let whole = table();
        for end in 0..whole.len() {
            let _ = system(&whole[..end], (2, 8));
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut bad = whole.clone();
                bad[at] = value;
                let _ = system(&bad, (2, 8));
                let _ = entry_point(&bad);
            }
        }
        assert_eq!(system(&[127, 4, 0, 0, 0, 0], (2, 8)), None);
        // A string that is not there is empty.
        let mut short = whole;
        short[0x18 + 9 + 7] = 200;
        assert_eq!(system(&short, (2, 8)).map(|s| s.serial), Some(String::new()));
    }
}
