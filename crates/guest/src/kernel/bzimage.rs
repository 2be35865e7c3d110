//! The header of a Linux kernel image for x86 (bzImage).
//!
//! Offsets are those of Documentation/arch/x86/boot.rst, section "The Real-Mode Kernel Header".

use std::io::Read as _;

use hospitium_wire::Arch;

use super::unpack;

/// The most that is taken for a kernel image; distribution kernels are 5 to 30 MiB.
pub const LARGEST: u64 = 256 << 20;

const BOOT_FLAG: usize = 0x1FE;
const HEADER: usize = 0x202;
const PROTOCOL: usize = 0x206;
const SETUP_SECTS: usize = 0x1F1;
const SYSSIZE: usize = 0x1F4;
const KERNEL_VERSION: usize = 0x20E;
const XLOADFLAGS: usize = 0x236;
const PAYLOAD_OFFSET: usize = 0x248;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BzImage {
    /// Release: `6.1.0-50-amd64`. Letters, digits and `.-+_~` only.
    pub release: String,
    /// The instruction set of its kernel; none if that cannot be seen.
    pub arch: Option<Arch>,
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
        let release = release.ok_or(BzImageError::Release)?.to_owned();
        let setup = usize::try_from(sectors + 1).unwrap_or(0) * 512;
        Ok(Self { release, arch: arch(image, protocol, setup) })
    }
}

/// 32 or 64 bits? By what each time's kernels say: a flag since 3.8 (protocol 2.12), the kernel itself as a
/// packed ELF file since 2.6.26 (2.08). Before, the setup code of a 64-bit kernel has a word for
/// processors that lack its mode (arch/x86_64/boot/setup.S up to 2.6.22).
fn arch(image: &[u8], protocol: u16, setup: usize) -> Option<Arch> {
    const XLF_KERNEL_64: u16 = 1;
    const NO_LONG_MODE: &[u8] = b"Use a 32bit distribution";
    if protocol >= 0x20C {
        let flags = u16_at(image, XLOADFLAGS)?;
        return Some(if flags & XLF_KERNEL_64 != 0 { Arch::X86_64 } else { Arch::X86 });
    }
    if protocol >= 0x208 {
        let offset = u32::from_le_bytes(*image.get(PAYLOAD_OFFSET..)?.first_chunk()?);
        let packed = image.get(setup.checked_add(usize::try_from(offset).ok()?)?..)?;
        let mut head = [0; 5];
        unpack::reader(packed).ok()?.read_exact(&mut head).ok()?;
        return match &head {
            b"\x7FELF\x01" => Some(Arch::X86),
            b"\x7FELF\x02" => Some(Arch::X86_64),
            _ => None,
        };
    }
    let setup = image.get(..setup)?;
    if setup.windows(NO_LONG_MODE.len()).any(|text| text == NO_LONG_MODE) {
        return Some(Arch::X86_64);
    }
    // 2.6.23 to 2.6.25 (2.06 and 2.07) have neither.
    (protocol < 0x206).then_some(Arch::X86)
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
        image[XLOADFLAGS] = 1;
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
    fn a_32_bit_kernel_is_told_from_a_64_bit_one_by_what_its_time_has() {
        let arch = |image: &[u8]| BzImage::parse(image).expect("a good image").arch;
        let mut new = image("6.1.0");
        assert_eq!(arch(&new), Some(Arch::X86_64));
        new[XLOADFLAGS] = 0;
        assert_eq!(arch(&new), Some(Arch::X86));

        let of_protocol = |protocol: u16| {
            let mut image = image("2.6.32");
            image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&protocol.to_le_bytes());
            image[XLOADFLAGS] = 0;
            image
        };
        for (class, wanted) in [(1, Arch::X86), (2, Arch::X86_64)] {
            let mut packed = Vec::new();
            let mut gzip = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, &[0x7F, b'E', b'L', b'F', class, 1, 1])
                .expect("in memory");
            gzip.finish().expect("in memory");
            let mut image = of_protocol(0x20A);
            image[PAYLOAD_OFFSET] = 8;
            let at = 1024 + 8;
            image[at..at + packed.len()].copy_from_slice(&packed);
            assert_eq!(arch(&image), Some(wanted));
        }
        assert_eq!(arch(&of_protocol(0x20A)), None, "packed in a way that is not known");

        let mut old = of_protocol(0x204);
        assert_eq!(arch(&old), Some(Arch::X86));
        let word = b"Your CPU does not support long mode. Use a 32bit distribution.";
        old[0x380..0x380 + word.len()].copy_from_slice(word);
        assert_eq!(arch(&old), Some(Arch::X86_64));
        assert_eq!(arch(&of_protocol(0x206)), None);
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
