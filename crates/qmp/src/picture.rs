//! Pictures of a display, as the portable pixmaps that QEMU writes.

use hospitium_host::Screenshot;

/// Reads a binary PPM with 8 bits a colour (netpbm's ppm(5)).
pub fn parse(bytes: &[u8]) -> Option<Screenshot> {
    let mut at = 0;
    let mut word = || {
        let start = at + bytes.get(at..)?.iter().position(|b| !b.is_ascii_whitespace())?;
        let length = bytes[start..].iter().position(u8::is_ascii_whitespace)?;
        at = start + length;
        std::str::from_utf8(&bytes[start..at]).ok()
    };
    if word()? != "P6" {
        return None;
    }
    let width: u32 = word()?.parse().ok()?;
    let height: u32 = word()?.parse().ok()?;
    if word()? != "255" {
        return None;
    }
    let size = u64::from(width).checked_mul(u64::from(height))?.checked_mul(3)?;
    let rgb = bytes.get(at + 1..)?;
    (size > 0 && rgb.len() as u64 == size).then(|| Screenshot { width, height, rgb: rgb.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_and_a_crafted_one_refused() {
        let good = parse(b"P6\n2 1\n255\nabcdef").expect("a picture");
        assert_eq!((good.width, good.height, good.rgb.as_slice()), (2, 1, &b"abcdef"[..]));
        for bad in [
            &b""[..],
            b"P6",
            b"P6\n2 1\n255\nabc",
            b"P6 4294967295 4294967295 255 ",
            b"P6 0 0 255\n",
            b"P5 1 1 255\nabc",
        ] {
            assert_eq!(parse(bad), None);
        }
    }
}
