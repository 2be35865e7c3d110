//! Bytes to text: UTF-8, UTF-16 with or without byte order mark, and the encodings that a file names of itself, by the
//! WHATWG's Encoding Standard (`windows-1252`, `GBK`, `Shift_JIS`, …).

use encoding_rs::Encoding;
use hospitium_model::FormError;

/// A text, and the encoding that could not be read exactly, if there was such.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub text: String,
    pub inexact: Option<String>,
}

/// Decodes a file.
pub(crate) fn decode(file: &str, bytes: &[u8]) -> Result<Decoded, FormError> {
    let exact = |text: String| Decoded { text, inexact: None };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => decode_narrow(file, rest),
        [0xff, 0xfe, rest @ ..] => utf16(file, rest, u16::from_le_bytes).map(exact),
        [0xfe, 0xff, rest @ ..] => utf16(file, rest, u16::from_be_bytes).map(exact),
        [b'<' | b'{' | b'[', 0, ..] => utf16(file, bytes, u16::from_le_bytes).map(exact),
        [0, b'<' | b'{' | b'[', ..] => utf16(file, bytes, u16::from_be_bytes).map(exact),
        _ => decode_narrow(file, bytes),
    }
}

fn utf16(file: &str, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, FormError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match c {
            Ok(c) => text.push(c),
            Err(_) => {
                return Err(FormError::at_offset(
                    file,
                    &text,
                    text.len(),
                    "half a UTF-16 surrogate pair",
                ));
            }
        }
    }
    if rest.is_empty() {
        Ok(text)
    } else {
        Err(FormError::at_offset(file, &text, text.len(), "UTF-16 that ends within a character"))
    }
}

fn decode_narrow(file: &str, bytes: &[u8]) -> Result<Decoded, FormError> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(Decoded { text: text.to_owned(), inexact: None }),
        Err(error) => error.valid_up_to(),
    };
    let named = declared(bytes);
    match named.as_deref() {
        Some(name) if !matches!(name, "utf-8" | "utf8") => {
            // Bytes of which every one is a character of its own are no UTF-16, whatever they say.
            let known = Encoding::for_label_no_replacement(name.as_bytes());
            let known = known.filter(|encoding| encoding.is_ascii_compatible());
            // Keys and numbers are ASCII in all of them; names may come out damaged, and that is said.
            let (text, damaged) = match known {
                Some(encoding) => encoding.decode_without_bom_handling(bytes),
                None => (String::from_utf8_lossy(bytes), true),
            };
            let inexact = damaged.then(|| name.to_owned());
            Ok(Decoded { text: text.into_owned(), inexact })
        }
        _ => {
            let text = String::from_utf8_lossy(bytes);
            Err(FormError::at_offset(
                file,
                &text,
                bad,
                "not UTF-8, and the file names no other encoding",
            ))
        }
    }
}

/// The encoding that an XML declaration or a `.vmx` names, in lower case.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes)).to_ascii_lowercase();
    let (_, rest) = if head.trim_start().starts_with("<?xml") {
        head.split("?>").next()?.split_once("encoding")?
    } else {
        head.split_once(".encoding")?
    };
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let name = rest.get(1..)?.split(quote).next()?;
    (name.len() <= 40).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_read_with_and_without_its_mark() {
        let text = "<a>é</a>";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode("f", &le).expect("LE").text, text);
        assert_eq!(decode("f", &be).expect("BE").text, text);
        assert_eq!(decode("f", &[&[0xff, 0xfe], &le[..]].concat()).expect("mark").text, text);
        assert!(decode("f", &le[..le.len() - 1]).is_err());
        assert!(decode("f", &[0xff, 0xfe, 0x00, 0xd8, b'a', 0]).is_err());
    }

    #[test]
    fn a_declared_encoding_is_used_and_an_unknown_one_is_told() {
        let vmx = b".encoding = \"windows-1252\"\ndisplayName = \"B\xfcro \x80\"\n";
        assert!(decode("f", vmx).expect("1252").text.contains("Büro €"));
        for (name, bytes, word) in [
            ("Shift_JIS", &b"\x83e\x83X\x83g"[..], "テスト"),
            ("GBK", b"\xb2\xe2\xca\xd4", "测试"),
            ("Big5", b"\xb4\xfa\xb8\xd5", "測試"),
            ("EUC-KR", b"\xbd\xc3\xc7\xe8", "시험"),
            ("windows-1251", b"\xf2\xe5\xf1\xf2", "тест"),
            ("ISO-8859-2", b"\xbe\xe8", "žč"),
        ] {
            let head = format!(".encoding = \"{name}\"\ndisplayName = \"");
            let file = [head.as_bytes(), bytes, b"\"\nnumvcpus = \"2\"\n"].concat();
            let decoded = decode("f", &file).expect("reads");
            assert!(decoded.text.contains(&format!("\"{word}\"")), "{name}: {}", decoded.text);
            assert!(decoded.text.contains("numvcpus = \"2\"") && decoded.inexact.is_none());
        }
        let nobodys = b".encoding = \"klingon\"\ndisplayName = \"\x83\x65\"\n";
        assert_eq!(decode("f", nobodys).expect("lossy").inexact.as_deref(), Some("klingon"));
        // Half a character, and narrow bytes that call themselves wide.
        let half = b".encoding = \"Shift_JIS\"\ndisplayName = \"\x83\"\n";
        assert!(decode("f", half).expect("lossy").inexact.is_some());
        let wide = b".encoding = \"UTF-16LE\"\ndisplayName = \"\xfc\"\n";
        let wide = decode("f", wide).expect("lossy");
        assert!(wide.inexact.is_some() && wide.text.contains("displayName"));
    }

    #[test]
    fn bytes_of_no_named_encoding_are_refused_with_their_line() {
        assert_eq!(decode("f", b"a\nb\xff").expect_err("no UTF-8").line(), 2);
    }
}
