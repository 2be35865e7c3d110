//! The probes, built with this crate and carried in it: one for each platform of guests.

use hospitium_model::{ByteSize, Digest, InputPin};
use hospitium_system::Platform;

/// A program that runs inside guests of one platform: one static executable.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// What it is for.
    pub platform: Platform,
    /// The executable.
    pub bytes: &'static [u8],
    /// Its file's name.
    pub name: &'static str,
}

/// The probe for x86-64 Linux. It is built by this crate's build script, or is the file that `HOSPITIUM_PROBE`
/// named at build time.
pub static X86_64: Probe = Probe {
    platform: Platform::LINUX_X86_64,
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/hospitium-probe")),
    name: "hospitium-probe",
};

/// The probe for 32-bit x86 Linux; empty where the toolchain of the build had no `core` for it.
static X86: Probe = Probe {
    platform: Platform::LINUX_X86,
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/hospitium-probe-x86")),
    name: "hospitium-probe-x86",
};

/// What has to be done so that the probe for 32-bit x86 is there.
pub const HOW_TO_GET_X86: &str =
    "run `rustup target add i686-unknown-linux-gnu`, and build hospitium again";

impl Probe {
    /// The probe for this platform, if this program was built with it.
    pub fn for_platform(platform: Platform) -> Option<&'static Self> {
        Self::all().find(|probe| probe.platform == platform)
    }

    /// All that this program was built with.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [&X86_64, &X86].into_iter().filter(|probe| !probe.bytes.is_empty())
    }

    /// SHA-256 of it: part of what pins a run, and of the key of its snapshot.
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes)
    }

    /// It as an input of a run.
    pub fn pin(&self) -> InputPin {
        InputPin {
            role: "probe".into(),
            sha256: self.digest(),
            size: ByteSize::bytes(self.bytes.len() as u64),
            name: self.name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSegment as _};

    use super::*;

    #[test]
    fn the_probes_are_small_static_executables_without_an_interpreter() {
        for probe in Probe::all() {
            let file = object::File::parse(probe.bytes).expect("an ELF file");
            let wanted = match probe.platform {
                Platform::LINUX_X86 => object::Architecture::I386,
                _ => object::Architecture::X86_64,
            };
            assert_eq!(file.architecture(), wanted, "{}", probe.name);
            assert_eq!(file.kind(), object::ObjectKind::Executable, "at a fixed address");
            assert!(file.segments().all(|s| s.name().ok().flatten() != Some(".interp")));
            assert!(!probe.bytes.windows(7).any(|w| w == b"ld-linu"), "asks for a dynamic linker");
            assert!(probe.bytes.len() < 300 << 10, "{} bytes", probe.bytes.len());
        }
    }

    #[test]
    fn the_probes_do_not_tell_where_they_were_built() {
        let root = env!("CARGO_MANIFEST_DIR").trim_end_matches("crates/guest").as_bytes();
        for probe in Probe::all() {
            assert!(!probe.bytes.windows(root.len()).any(|w| w == root), "{}", probe.name);
        }
    }
}
