//! Screenshots, from the portable pixmap that QEMU writes.

use std::io::Read as _;

use hospitium_model::ByteSize;
use serde_json::json;

use crate::files::open_left;
use crate::machine::QemuMachine;
use hospitium_host::{HostError, Screenshot};

/// 4K in 3 bytes a pixel is 25 MB; nothing shows more.
const LARGEST: ByteSize = ByteSize::mib(64);

pub(crate) async fn screenshot(machine: &QemuMachine) -> Result<Screenshot, HostError> {
    let name = format!("screen-{}.ppm", machine.next_serial());
    let path = machine.folder.join(&name);
    let doing = "taking a screenshot";
    machine.qmp.call(doing, "screendump", json!({"filename": name})).await?;
    let io = |e| HostError::io(format!("reading {}", path.display()))(e);
    // The VMM made the file: it may be anything.
    let mut bytes = Vec::new();
    let file = open_left(&path)?;
    file.take(LARGEST.as_bytes() + 1).read_to_end(&mut bytes).map_err(io)?;
    let _ = std::fs::remove_file(&path);
    let small = bytes.len() as u64 <= LARGEST.as_bytes();
    parse(&bytes).filter(|_| small).ok_or_else(|| HostError::Refused {
        doing: doing.into(),
        why: "what it wrote is no picture of a sane size".into(),
    })
}

/// Reads a binary PPM with 8 bits a colour (netpbm's ppm(5)).
fn parse(bytes: &[u8]) -> Option<Screenshot> {
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
