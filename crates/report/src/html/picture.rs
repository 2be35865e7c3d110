//! Screenshots, carried within the page, within bounds.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hospitium_evidence::Bundle;

use crate::words::visible;

/// Bytes of one picture that is carried.
const ONE: u64 = 2 << 20;
/// Bytes of all of them.
const ALL: u64 = 24 << 20;
/// The first bytes of a PNG file (PNG, third edition, section 5.2).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A picture within the page.
#[derive(Clone)]
pub struct Picture {
    /// Its path within the cell's folder.
    pub name: String,
    /// Base64 of the PNG file.
    pub data: String,
    /// Width and height in pixels, as the file says.
    pub size: (u32, u32),
}

/// The pictures of a bundle; each is shown once.
pub struct Pictures<'a> {
    bundle: &'a Bundle,
    left: u64,
    shown: BTreeSet<String>,
}

impl<'a> Pictures<'a> {
    pub const fn of(bundle: &'a Bundle) -> Self {
        Self { bundle, left: ALL, shown: BTreeSet::new() }
    }

    /// The picture at this path of a cell, if it is one, sound, and there is room for it.
    pub fn take(&mut self, cell: &str, path: &str) -> Option<Picture> {
        if !path.ends_with(".png") || !self.shown.insert(format!("{cell}/{path}")) {
            return None;
        }
        let bytes = self.bundle.read(cell, path, ONE.min(self.left)).ok()?;
        let size = size_of(&bytes)?;
        self.left -= bytes.len() as u64;
        Some(Picture { name: visible(path, 220), data: STANDARD.encode(bytes), size })
    }

    /// Every other picture of a cell, and the paths of those that are not carried.
    pub fn rest(&mut self, cell: &str) -> (Vec<Picture>, Vec<String>) {
        let prefix = format!("cells/{cell}/");
        let bundle = self.bundle;
        let paths = bundle.files().filter_map(|path| path.strip_prefix(&prefix));
        let mut pictures = Vec::new();
        let mut left = Vec::new();
        for path in paths.filter(|path| path.ends_with(".png")) {
            if self.shown.contains(&format!("{cell}/{path}")) {
                continue;
            }
            match self.take(cell, path) {
                Some(picture) => pictures.push(picture),
                None => left.push(visible(path, 220)),
            }
        }
        (pictures, left)
    }
}

/// Width and height from the header chunk; none if it is no PNG or of no sane size.
fn size_of(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(SIGNATURE)?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let sane = |n: &u32| (1..=8192).contains(n);
    let good = rest.get(4..8)? == b"IHDR";
    let size = (number(8).filter(sane)?, number(12).filter(sane)?);
    good.then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_png_of_a_sane_size_is_a_picture() {
        let mut png = SIGNATURE.to_vec();
        png.extend(b"\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0");
        assert_eq!(size_of(&png), Some((640, 480)));
        assert_eq!(size_of(b"<svg onload=alert(1)>"), None);
        png[16] = 0xff;
        assert_eq!(size_of(&png), None);
    }
}
