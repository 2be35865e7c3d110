//! What a kernel module says of itself in its `.modinfo` section: `key=value` texts, each ended
//! by a NUL (include/linux/module.h, `MODULE_INFO`).

use object::{Object as _, ObjectSection as _};

use super::table::normalised;

/// The parts that loading it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModInfo {
    /// Modules that must be there first.
    pub depends: Vec<String>,
    /// Modules that should be there first.
    pub before: Vec<String>,
    /// Release of the kernel that it was built for.
    pub release: Option<String>,
    /// It is of a 64-bit kernel.
    pub wide: bool,
}

/// Why bytes are no module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModInfoError {
    /// Not an ELF file.
    #[error("it is no ELF file: {0}")]
    Elf(String),
    /// Not a module.
    #[error("it is no kernel module: it has no .modinfo section")]
    Section,
}

/// A name that can be a file's name.
pub fn is_module_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl ModInfo {
    /// Reads it from the module's bytes.
    pub fn parse(module: &[u8]) -> Result<Self, ModInfoError> {
        let elf = |error: object::Error| ModInfoError::Elf(error.to_string());
        let file = object::File::parse(module).map_err(elf)?;
        let section = file.section_by_name(".modinfo").ok_or(ModInfoError::Section)?;
        let info = Self::from_section(section.data().map_err(elf)?);
        Ok(Self { wide: file.is_64(), ..info })
    }

    fn from_section(section: &[u8]) -> Self {
        let mut info = Self::default();
        for text in section.split(|&b| b == 0).filter_map(|t| std::str::from_utf8(t).ok()) {
            match text.split_once('=') {
                Some(("depends", names)) => info.depends.extend(names.split(',').filter_map(name)),
                Some(("softdep", text)) => info.before.extend(soft_before(text)),
                Some(("vermagic", text)) => {
                    info.release = text.split(' ').next().map(str::to_owned);
                }
                _ => {}
            }
        }
        info
    }
}

fn name(text: &str) -> Option<String> {
    Some(normalised(text.trim())).filter(|name| is_module_name(name))
}

/// The modules after `pre:` in `pre: a b post: c`.
fn soft_before(text: &str) -> Vec<String> {
    let words = text.split_ascii_whitespace().skip_while(|w| *w != "pre:").skip(1);
    words.take_while(|w| !w.ends_with(':')).filter_map(name).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A little ELF file with a `.modinfo` section.
    pub fn module(info: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let info = info.as_bytes();
        let (names_at, info_at) = (64, 64 + names.len());
        let sections_at = (info_at + info.len()).next_multiple_of(8);
        let mut elf = vec![0; 64];
        elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0");
        elf[20] = 1;
        elf[40..48].copy_from_slice(&(sections_at as u64).to_le_bytes());
        for (at, value) in [(52, 64_u16), (58, 64), (60, 3), (62, 2)] {
            elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        elf.extend_from_slice(names);
        elf.extend_from_slice(info);
        elf.resize(sections_at + 64, 0);
        for (name, kind, at, size) in
            [(1_u32, 1_u32, info_at, info.len()), (10, 3, names_at, names.len())]
        {
            let mut section = vec![0; 64];
            section[..4].copy_from_slice(&name.to_le_bytes());
            section[4..8].copy_from_slice(&kind.to_le_bytes());
            section[24..32].copy_from_slice(&(at as u64).to_le_bytes());
            section[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            section[48] = 1;
            elf.extend_from_slice(&section);
        }
        elf
    }

    #[test]
    fn dependencies_soft_ones_and_the_release_are_read() {
        let bytes = module(
            "license=GPL\0softdep=pre: crc32c hid-generic post: x\0depends=mbcache,jbd2-x\0\
             vermagic=6.1.0-50-amd64 SMP preempt mod_unload \0",
        );
        let info = ModInfo::parse(&bytes).expect("a module");
        assert_eq!(info.depends, ["mbcache", "jbd2_x"]);
        assert_eq!(info.before, ["crc32c", "hid_generic"]);
        assert_eq!(info.release.as_deref(), Some("6.1.0-50-amd64"));
    }

    #[test]
    fn a_dependency_that_could_be_a_path_is_left_out() {
        let info =
            ModInfo::parse(&module("depends=../../etc/passwd,,a b,good\0")).expect("a module");
        assert_eq!(info.depends, ["good"]);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(matches!(ModInfo::parse(b"junk"), Err(ModInfoError::Elf(_))));
        let mut other = module("depends=\0");
        let at = other.windows(8).position(|w| w == b".modinfo").expect("its name");
        other[at] = b'x';
        assert_eq!(ModInfo::parse(&other), Err(ModInfoError::Section));
        let whole = module("depends=a\0");
        for cut in 0..whole.len() {
            let _ = ModInfo::parse(&whole[..cut]);
        }
    }
}
