//! The probe, built with this crate and carried in it.

use hospitium_model::Digest;

/// The program that runs inside x86-64 Linux guests: one static executable. It is built by this
/// crate's build script, or is the file that `HOSPITIUM_PROBE` named at build time.
pub static PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hospitium-probe"));

/// SHA-256 of [`PROBE`]: part of what pins a run, and of the key of its snapshot.
pub fn probe_digest() -> Digest {
    Digest::of(PROBE)
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSegment as _};

    use super::*;

    #[test]
    fn the_probe_is_a_small_static_executable_without_an_interpreter() {
        let file = object::File::parse(PROBE).expect("an ELF file");
        assert_eq!(file.architecture(), object::Architecture::X86_64);
        assert_eq!(file.kind(), object::ObjectKind::Executable, "at a fixed address");
        assert!(file.segments().all(|s| s.name().ok().flatten() != Some(".interp")));
        assert!(!PROBE.windows(7).any(|w| w == b"ld-linu"), "asks for a dynamic linker");
        assert!(PROBE.len() < 300 << 10, "{} bytes", PROBE.len());
    }

    #[test]
    fn the_probe_does_not_tell_where_it_was_built() {
        let root = env!("CARGO_MANIFEST_DIR").trim_end_matches("crates/guest").as_bytes();
        assert!(!PROBE.windows(root.len()).any(|w| w == root));
    }
}
