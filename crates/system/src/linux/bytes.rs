//! Numbers and UUIDs in bytes that firmware wrote.

/// 16 bits at an offset.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// 32 bits at an offset.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// 64 bits at an offset.
pub fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The checksum of firmware's tables: all bytes add up to 0.
pub fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// A UUID as text. `mixed`: the first three fields are little-endian, as Microsoft's GUIDs are (RFC 9562, 4).
pub fn uuid_of(mut bytes: [u8; 16], mixed: bool) -> String {
    if mixed {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let mut text = String::with_capacity(36);
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_its_first_three_fields_turned_round() {
        let bytes = *b"\xaf\x6e\x4e\x32\xd1\xd1\xf6\x4b\xbf\x41\xb9\xbb\x6c\x91\xfb\x87";
        assert_eq!(uuid_of(bytes, true), "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87");
        assert_eq!(uuid_of(bytes, false), "af6e4e32-d1d1-f64b-bf41-b9bb6c91fb87");
    }

    #[test]
    fn numbers_beyond_the_end_are_none() {
        assert_eq!(le16(&[1, 2], 0), Some(0x201));
        assert_eq!(le32(&[1, 2, 3], 0), None);
        assert_eq!(le64(&[0; 8], usize::MAX), None);
    }
}
