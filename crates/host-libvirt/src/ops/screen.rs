//! Display and keyboard.

use hospitium_host::{HostError, Screenshot};
use hospitium_model::ByteSize;
use virt::domain::Domain;
use virt::stream::Stream;

use crate::ffi;
use crate::running::LibvirtMachine;

/// 4K in 3 bytes a pixel is 25 MB; nothing shows more.
const LARGEST: ByteSize = ByteSize::mib(64);
/// For how long a key is held, in milliseconds: what QEMU takes if it is told none.
const HELD: u32 = 100;

/// See [`Display::screenshot`](hospitium_host::Display::screenshot).
pub(crate) async fn screenshot(machine: &LibvirtMachine) -> Result<Screenshot, HostError> {
    let doing = "taking a screenshot";
    let host = machine.host.clone();
    let bytes = machine.ask(doing, move |domain| taken(&host, domain)).await?;
    // Libvirt has QEMU write a PNG where it can, else a pixmap.
    let picture = if bytes.starts_with(b"P6") {
        hospitium_qmp::parse_picture(&bytes)
    } else {
        png_picture(&bytes)
    };
    picture.ok_or_else(|| HostError::Refused {
        doing: doing.into(),
        why: "what it sent is no picture of a sane size".into(),
    })
}

/// Reads a PNG of 8 bits a colour.
fn png_picture(bytes: &[u8]) -> Option<Screenshot> {
    let limits = png::Limits { bytes: usize::try_from(LARGEST.as_bytes()).ok()? };
    let decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    let mut reader = decoder.read_info().ok()?;
    let size = reader.output_buffer_size().filter(|size| *size as u64 <= LARGEST.as_bytes())?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).ok()?;
    pixels.truncate(frame.buffer_size());
    let rgb = match (frame.color_type, frame.bit_depth) {
        (png::ColorType::Rgb, png::BitDepth::Eight) => pixels,
        (png::ColorType::Rgba, png::BitDepth::Eight) => {
            pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        _ => return None,
    };
    Some(Screenshot { width: frame.width, height: frame.height, rgb })
}

fn taken(host: &crate::shared::Shared, domain: &Domain) -> Result<Vec<u8>, virt::error::Error> {
    let connect = host.connection.raw();
    let stream = Stream::new(connect, 0)?;
    domain.screenshot(&stream, 0, 0)?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let got = stream.recv(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..got]);
        if got == 0 {
            stream.finish()?;
            return Ok(bytes);
        }
        if bytes.len() as u64 > LARGEST.as_bytes() {
            stream.abort()?;
            return Ok(Vec::new());
        }
    }
}

/// See [`Display::send_key`](hospitium_host::Display::send_key).
pub(crate) async fn send_key(machine: &LibvirtMachine, key: &str) -> Result<(), HostError> {
    let code = code(key).ok_or_else(|| HostError::Unsupported {
        what: format!("the key {:?}", key.chars().take(20).collect::<String>()),
        why: "it is not the name of a key that keyboards have".into(),
    })?;
    let doing = format!("typing the key {key}");
    machine.ask(&doing, move |domain| ffi::send_keys(domain, &[code], HELD)).await
}

/// The rows of a keyboard and the code of the first key in each, by the names of linux/input-event-codes.h in lower
/// case.
const ROWS: [(u32, &str); 7] = [
    (
        1,
        "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p leftbrace rightbrace enter leftctrl",
    ),
    (
        30,
        "a s d f g h j k l semicolon apostrophe grave leftshift backslash z x c v b n m comma dot slash rightshift",
    ),
    (56, "leftalt space capslock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock"),
    (87, "f11 f12"),
    (97, "rightctrl"),
    (99, "sysrq rightalt"),
    (102, "home up pageup left right end down pagedown insert delete"),
];
const OTHERS: [(u32, &str); 4] =
    [(119, "pause"), (125, "leftmeta"), (126, "rightmeta"), (139, "menu")];

/// A key's code by its name.
fn code(key: &str) -> Option<u32> {
    let others = OTHERS.iter().find(|(_, name)| *name == key).map(|(code, _)| *code);
    others.or_else(|| {
        ROWS.iter().find_map(|(first, names)| {
            let at = names.split(' ').position(|name| name == key)?;
            u32::try_from(at).ok().map(|at| first + at)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_and_a_crafted_one_refused() {
        let picture = Screenshot { width: 2, height: 1, rgb: b"abcdef".to_vec() };
        let written = picture.png().expect("written");
        assert_eq!(png_picture(&written), Some(picture));
        // A header that claims 65535 x 65535 pixels.
        let mut huge = written.clone();
        huge[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
        for bad in [&b""[..], &written[..20], &huge] {
            assert_eq!(png_picture(bad), None);
        }
    }

    #[test]
    fn keys_have_the_codes_that_linux_gives_them() {
        // linux/input-event-codes.h
        for (key, code) in [
            ("esc", 1),
            ("enter", 28),
            ("leftctrl", 29),
            ("a", 30),
            ("z", 44),
            ("rightshift", 54),
            ("space", 57),
            ("f1", 59),
            ("f10", 68),
            ("f12", 88),
            ("rightalt", 100),
            ("home", 102),
            ("delete", 111),
            ("menu", 139),
        ] {
            assert_eq!(super::code(key), Some(code), "{key}");
        }
        for bad in ["", "f13", "A", " ", "no-such-key", "a b"] {
            assert_eq!(super::code(bad), None, "{bad}");
        }
    }
}
