//! SMBIOS strings as the machine's firmware left them in its memory, read from outside.
//!
//! QEMU hands the tables to the firmware, which puts them into memory: SeaBIOS below 1 MiB, where an
//! operating system looks for them too (DMTF DSP0134, 5.2.1). UEFI tells only its guest where they
//! are.

use hospitium_model::{HostSource, Inability};

use crate::monitor::Monitor;
use hospitium_host::{HostError, SeenSmbios, Sight};
use hospitium_model::escaped;

/// Where entry points lie.
const SEGMENT: (u64, u64) = (0xF_0000, 0x1_0000);
/// No real table is longer.
const LONGEST: u64 = 1 << 20;

/// The strings of the system (type 1).
pub(crate) async fn of(monitor: &dyn Monitor) -> Result<Sight<SeenSmbios>, HostError> {
    let segment = monitor.memory(SEGMENT.0, SEGMENT.1).await?;
    let Some((address, length)) = entry_point(&segment) else {
        return Ok(Err(Inability::of_host(
            "no SMBIOS entry point lies below 1 MiB: the firmware has not put it there",
        )));
    };
    let table = monitor.memory(address, length.min(LONGEST)).await?;
    Ok(system(&table)
        .map(|strings| HostSource::Hypervisor.saw(strings))
        .ok_or_else(|| Inability::of_host("the SMBIOS table in memory has no system structure")))
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let part = bytes.get(at..at + length)?;
    Some(part.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Address and length of the table, by the first entry point whose checksum holds (DSP0134, 5.2).
fn entry_point(segment: &[u8]) -> Option<(u64, u64)> {
    (0..segment.len()).step_by(16).find_map(|at| {
        let entry = segment.get(at..)?;
        let (length, address, size) = if entry.starts_with(b"_SM3_") {
            (entry.get(6)?, number(entry, 16, 8)?, number(entry, 12, 4)?)
        } else if entry.starts_with(b"_SM_") {
            (entry.get(5)?, number(entry, 24, 4)?, number(entry, 22, 2)?)
        } else {
            return None;
        };
        let whole = entry.get(..usize::from(*length))?;
        let sum = whole.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        (sum == 0 && size > 0).then_some((address, size))
    })
}

/// The strings of the first structure of type 1 (DSP0134, 6.1.2 and 7.2).
fn system(mut table: &[u8]) -> Option<SeenSmbios> {
    loop {
        let (kind, length) = (*table.first()?, usize::from(*table.get(1)?));
        if length < 4 {
            return None;
        }
        let formatted = table.get(..length)?;
        let rest = table.get(length..)?;
        let end = rest.windows(2).position(|pair| pair == [0, 0])?;
        if kind == 1 {
            let strings: Vec<&[u8]> = rest[..end].split(|byte| *byte == 0).collect();
            let text = |at: usize| {
                let number = usize::from(formatted.get(at).copied().unwrap_or(0));
                let bytes = number.checked_sub(1).and_then(|n| strings.get(n).copied());
                escaped(&String::from_utf8_lossy(bytes.unwrap_or_default()), 200)
            };
            return Some(SeenSmbios { manufacturer: text(4), product: text(5), serial: text(7) });
        }
        table = rest.get(end + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_are_found_by_their_numbers_and_crafted_tables_are_none() {
        let mut table = b"\x00\x05\0\0\0bios\0\0".to_vec();
        table.extend(b"\x01\x08\0\0\x02\x01\0\x03product\0maker\x1b\0serial\0\0");
        let seen = system(&table).expect("found");
        assert_eq!((&*seen.manufacturer, &*seen.product), ("maker\\x1b", "product"));
        assert_eq!(seen.serial, "serial");
        for bad in
            [&b""[..], b"\x01", b"\x01\x00\0\0", b"\x01\xff\0\0", b"\x00\x04\0\0abc", &[0; 64]]
        {
            assert_eq!(system(bad), None);
        }
    }

    #[test]
    fn an_entry_point_counts_only_with_its_checksum() {
        let mut segment = vec![0; 128];
        segment[16..21].copy_from_slice(b"_SM3_");
        segment[22] = 24;
        segment[28] = 9;
        segment[33] = 0xF0;
        assert_eq!(entry_point(&segment), None);
        let sum = segment[16..40].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        segment[21] = sum.wrapping_neg();
        assert_eq!(entry_point(&segment), Some((0xF000, 9)));
    }
}
