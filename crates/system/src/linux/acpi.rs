//! ACPI tables as bytes (ACPI specification 6.5, chapter 5.2).

use super::bytes::{le32, le64, sums_to_zero};

/// Length of a table's header.
pub const HEADER: usize = 36;
/// The longest table that is read: those of large servers take some hundreds of KiB.
const LONGEST: u32 = 1 << 20;
/// The most tables that a root table names.
const MOST_TABLES: usize = 256;

/// Where the root table is: from the root pointer, which stands at a multiple of 16 in the memory of a BIOS from
/// 0xE0000 to 0xFFFFF (5.2.5.1), or at the start of what an EFI system table names.
pub fn root_table(memory: &[u8]) -> Option<u64> {
    (0..memory.len()).step_by(16).find_map(|at| {
        let pointer = memory.get(at..at + 20)?;
        if !pointer.starts_with(b"RSD PTR ") || !sums_to_zero(pointer) {
            return None;
        }
        let extended = memory.get(at..at + 36).filter(|p| p[15] >= 2 && sums_to_zero(p));
        let xsdt = extended.and_then(|p| le64(p, 24)).filter(|address| *address != 0);
        xsdt.or_else(|| le32(pointer, 16).map(u64::from))
    })
}

/// The length of the table that this header begins, none if it is no header.
pub fn length(header: &[u8]) -> Option<u32> {
    let signature = header.get(..4)?;
    let length = le32(header, 4)?;
    let good = signature.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    (good && (HEADER as u32..=LONGEST).contains(&length)).then_some(length)
}

/// The addresses in a root table, RSDT or XSDT (5.2.7, 5.2.8).
pub fn entries(root: &[u8]) -> Vec<u64> {
    let body = root.get(HEADER..).unwrap_or_default();
    let all: Vec<u64> = if root.starts_with(b"XSDT") {
        body.chunks_exact(8).filter_map(|entry| le64(entry, 0)).collect()
    } else if root.starts_with(b"RSDT") {
        body.chunks_exact(4).filter_map(|entry| le32(entry, 0).map(u64::from)).collect()
    } else {
        Vec::new()
    };
    all.into_iter().filter(|address| *address != 0).take(MOST_TABLES).collect()
}

/// Where the DSDT is, by a fixed description table (5.2.9).
pub fn dsdt(fadt: &[u8]) -> Option<u64> {
    let extended = le64(fadt, 140).filter(|address| *address != 0);
    extended.or_else(|| le32(fadt, 40).map(u64::from)).filter(|address| *address != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_sum(mut bytes: Vec<u8>, at: usize, range: std::ops::Range<usize>) -> Vec<u8> {
        let sum = bytes[range].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes[at] = bytes[at].wrapping_sub(sum);
        bytes
    }

    #[test]
    fn the_root_pointer_names_the_wider_table_if_it_has_one() {
        let mut pointer = b"RSD PTR \0BOCHS \0".to_vec();
        pointer.extend(0x1FFE_2300_u32.to_le_bytes());
        let old = with_sum(pointer.clone(), 8, 0..20);
        let mut memory = vec![0; 0x20000];
        memory[0x15A40..0x15A40 + 20].copy_from_slice(&old);
        assert_eq!(root_table(&memory), Some(0x1FFE_2300));

        pointer[15] = 2;
        let mut new = with_sum(pointer, 8, 0..20);
        new.extend(36_u32.to_le_bytes());
        new.extend(0x7F00_0000_u64.to_le_bytes());
        new.extend([0; 4]);
        let new = with_sum(new, 32, 0..36);
        memory[0x15A40..0x15A40 + 36].copy_from_slice(&new);
        assert_eq!(root_table(&memory), Some(0x7F00_0000));
        memory[0x15A41] ^= 1;
        assert_eq!(root_table(&memory), None);
    }

    #[test]
    fn root_tables_name_their_tables_and_others_none() {
        let mut rsdt = b"RSDT".to_vec();
        rsdt.resize(HEADER, 0);
        rsdt.extend(7_u32.to_le_bytes());
        rsdt.extend(0_u32.to_le_bytes());
        rsdt.extend([1, 2]);
        assert_eq!(entries(&rsdt), [7]);
        let mut xsdt = b"XSDT".to_vec();
        xsdt.resize(HEADER, 0);
        xsdt.extend(9_u64.to_le_bytes());
        assert_eq!(entries(&xsdt), [9]);
        assert!(entries(b"SSDT").is_empty());
    }

    #[test]
    fn what_is_no_header_or_too_long_has_no_length() {
        let header = |signature: &[u8], length: u32| {
            let mut bytes = signature.to_vec();
            bytes.extend(length.to_le_bytes());
            bytes
        };
        assert_eq!(length(&header(b"SSDT", 100)), Some(100));
        assert_eq!(length(&header(b"SSDT", 8)), None);
        assert_eq!(length(&header(b"SSDT", u32::MAX)), None);
        assert_eq!(length(&header(b"\0\0\0\0", 100)), None);
        assert_eq!(length(b"SS"), None);
    }
}
