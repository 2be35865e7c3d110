//! The header of a Linux kernel image for x86 (bzImage).
//!
//! Offsets are those of Documentation/arch/x86/boot.rst, section "The Real-Mode Kernel Header".

/// The most that is taken for a kernel image; distribution kernels are 5 to 30 MiB.
pub const LARGEST: u64 = 256 << 20;

const BOOT_FLAG: usize = 0x1FE;
const HEADER: usize = 0x202;
const PROTOCOL: usize = 0x206;
const SETUP_SECTS: usize = 0x1F1;
const SYSSIZE: usize = 0x1F4;
const KERNEL_VERSION: usize = 0x20E;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BzImage {
    /// Release: `6.1.0-50-amd64`. Letters, digits and `.-+_~` only.
    pub release: String,
}

/// Why bytes are no kernel image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BzImageError {
    /// No such header.
    #[error("it is no Linux kernel image for x86 (bzImage): the header's magic is not there")]
    Magic,
    /// A boot protocol from before 2.4 kernels.
    #[error("its boot protocol {0:#06x} is too old; 0x0200 is the first that is known here")]
    Protocol(u16),
    /// It ends before it should.
    #[error("it is truncated: its header speaks of {wanted} bytes, and {found} are there")]
    Truncated {
        /// Bytes by the header.
        wanted: u64,
        /// Bytes there.
        found: u64,
    },
    /// No release.
    #[error("its header names no kernel release")]
    Release,
}

/// True if a file that begins like this (1024 bytes are enough) claims to be a kernel image.
pub fn is_bzimage(head: &[u8]) -> bool {
    head.get(HEADER..HEADER + 4) == Some(b"HdrS") && u16_at(head, BOOT_FLAG) == Some(0xAA55)
}

impl BzImage {
    /// Reads the header of a whole image.
    pub fn parse(image: &[u8]) -> Result<Self, BzImageError> {
        if !is_bzimage(image) {
            return Err(BzImageError::Magic);
        }
        let found = image.len() as u64;
        let cut = |wanted: u64| BzImageError::Truncated { wanted, found };
        let protocol = u16_at(image, PROTOCOL).ok_or(cut(0x264))?;
        if protocol < 0x200 {
            return Err(BzImageError::Protocol(protocol));
        }
        let sectors = match image[SETUP_SECTS] {
            // "For backwards compatibility, if the setup_sects field contains 0, the real value is 4."
            0 => 4,
            n => u64::from(n),
        };
        // Only 16 bits of it count before protocol 2.04.
        let paragraphs = match image.get(SYSSIZE..SYSSIZE + 4) {
            Some(&[a, b, c, d]) if protocol >= 0x204 => u32::from_le_bytes([a, b, c, d]),
            Some(&[a, b, ..]) => u32::from(u16::from_le_bytes([a, b])),
            _ => return Err(cut(0x264)),
        };
        let wanted = (sectors + 1) * 512 + u64::from(paragraphs) * 16;
        // The last paragraph may be cut short.
        if found + 16 <= wanted {
            return Err(cut(wanted));
        }
        let at =
            u16_at(image, KERNEL_VERSION).filter(|&at| at != 0).ok_or(BzImageError::Release)?;
        let text = image.get(usize::from(at) + 0x200..).unwrap_or_default();
        let word = text.iter().take(65).take_while(|b| !matches!(b, 0 | b' ')).count();
        let release = std::str::from_utf8(&text[..word]).ok().filter(|r| is_release(r));
        Ok(Self { release: release.ok_or(BzImageError::Release)?.to_owned() })
    }
}

/// A kernel release that can be shown, and be the name of a folder.
pub fn is_release(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b".-+_~".contains(&b);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(known)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The smallest image that is right.
    pub fn image(release: &str) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[SETUP_SECTS] = 1;
        image[SYSSIZE..SYSSIZE + 4].copy_from_slice(&4_u32.to_le_bytes());
        image[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&0xAA55_u16.to_le_bytes());
        image[HEADER..HEADER + 4].copy_from_slice(b"HdrS");
        image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&0x20F_u16.to_le_bytes());
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&0x100_u16.to_le_bytes());
        let text = format!("{release} (builder@example.org) #1 SMP\0");
        image[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
        image.extend([0x90; 64]);
        image
    }

    #[test]
    fn the_release_is_read_from_the_header() {
        let parsed = BzImage::parse(&image("6.1.0-50-amd64")).expect("a good image");
        assert_eq!(parsed.release, "6.1.0-50-amd64");
    }

    #[test]
    fn a_truncated_image_is_told_from_a_whole_one() {
        let whole = image("6.1.0");
        for cut in [1024, 1040, whole.len() - 16] {
            let error = BzImage::parse(&whole[..cut]).expect_err("truncated");
            assert!(matches!(error, BzImageError::Truncated { wanted: 1088, .. }), "{error}");
        }
        assert!(BzImage::parse(&whole[..whole.len() - 15]).is_ok());
        for cut in [0, 0x200, 0x206] {
            assert!(BzImage::parse(&whole[..cut]).is_err());
        }
    }

    #[test]
    fn a_release_that_could_be_a_path_is_refused() {
        for bad in ["", "../../etc", "6.1/../..", "x6", "6.1\u{1b}[m", &"6".repeat(65)] {
            assert_eq!(BzImage::parse(&image(bad)), Err(BzImageError::Release), "{bad:?}");
        }
    }

    #[test]
    fn a_version_pointer_to_nowhere_is_survived() {
        let mut image = image("6.1.0");
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&[0xFF, 0xFF]);
        assert_eq!(BzImage::parse(&image), Err(BzImageError::Release));
    }

    #[test]
    fn other_files_are_no_kernel() {
        for other in [&b"\x7fELF"[..], b"", b"HdrS", &[0; 4096]] {
            assert_eq!(BzImage::parse(other), Err(BzImageError::Magic));
        }
    }
}
