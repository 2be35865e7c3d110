//! Text from outside, made fit for a message; base64 read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// At most 80 characters of a foreign text, everything but plain ASCII escaped.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

/// Standard base64 with padding (RFC 4648 section 4).
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads standard base64; padding and unused bits have to be as an encoder leaves them, so each
/// value has one form only.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// How many bytes [`append_base64`] appends, if the text is what that reads.
pub fn decoded_len(text: &str) -> usize {
    let padding = text.bytes().rev().take(2).filter(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Appends what the text says to these bytes, read as [`from_base64`] does; false if it cannot be.
pub fn append_base64(text: &str, bytes: &mut Vec<u8>) -> bool {
    STANDARD.decode_vec(text, bytes).is_ok()
}

/// Reads base64 of exactly 32 bytes.
pub fn hash_from_base64(text: &str) -> Option<[u8; 32]> {
    if text.len() != 44 {
        return None;
    }
    from_base64(text)?.try_into().ok()
}

/// A whole number in decimal without a sign or leading zeroes.
pub fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_form_for_each_value() {
        assert_eq!(from_base64("YQ=="), Some(b"a".to_vec()));
        for bad in ["YQ", "YQ=", "YR==", "YQ==\n", "Y Q==", "YQ--", "_w=="] {
            assert_eq!(from_base64(bad), None, "{bad:?}");
            assert!(!append_base64(bad, &mut Vec::new()), "{bad:?}");
        }
        for length in 0..20 {
            let text = to_base64(&vec![7; length]);
            let mut bytes = b"before".to_vec();
            assert!(append_base64(&text, &mut bytes));
            assert_eq!((decoded_len(&text), bytes.len()), (length, length + 6));
        }
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "18446744073709551616", "1e3"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }
}
