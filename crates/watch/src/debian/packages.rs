//! A package index (`Packages`, Debian Policy 5.3): the kernels and QEMU in it, read as it streams.

use std::io::{BufRead, BufReader, Read};

use hospitium_model::printable;

use crate::WatchError;

/// Most that is read of one, unpacked; sid's has about 60 MiB.
const LARGEST: u64 = 1 << 30;
/// Longest line; real ones have up to 50 KiB.
const LONGEST_LINE: usize = 1 << 20;
/// Most packages that are kept; a suite has some dozens of kernels.
const MOST: usize = 20_000;

/// A package that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as Debian has it.
    pub version: String,
    /// Where its stanza begins, from 1.
    pub line: u32,
}

impl Package {
    /// The version that its maker gave it: 7.2 of `1:7.2+dfsg-7+deb12u16`.
    pub fn upstream(&self) -> &str {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
        version.split(['+', '~']).next().unwrap_or_default()
    }
}

/// The kernels and QEMU of an index, each version once. `what` is its name in errors.
pub fn read(what: &str, index: impl Read) -> Result<Vec<Package>, WatchError> {
    let too_much = |limit, unit| WatchError::TooMuch { what: what.to_owned(), limit, unit };
    let cause = |cause| WatchError::Packed { what: what.to_owned(), cause };
    let mut reader = BufReader::with_capacity(1 << 16, index.take(LARGEST + 1));
    let mut found: Vec<Package> = Vec::new();
    let mut stanza = Stanza::default();
    let (mut number, mut line) = (0_u32, Vec::new());
    loop {
        line.clear();
        let mut piece = (&mut reader).take(LONGEST_LINE as u64 + 1);
        let count = piece.read_until(b'\n', &mut line).map_err(cause)?;
        if count > LONGEST_LINE {
            return Err(too_much(LONGEST_LINE as u64, "bytes in a line"));
        }
        number = number.saturating_add(1);
        let text = line.trim_ascii_end();
        if text.is_empty() {
            if let Some(package) = stanza.take()
                && !found
                    .iter()
                    .any(|p| p.version == package.version && is_qemu(p) == is_qemu(&package))
            {
                if found.len() >= MOST {
                    return Err(too_much(MOST as u64, "kernels"));
                }
                found.push(package);
            }
            if count == 0 {
                break;
            }
            continue;
        }
        stanza.field(text, number);
    }
    match reader.into_inner().limit() {
        0 => Err(too_much(LARGEST, "bytes when unpacked")),
        _ => Ok(found),
    }
}

fn is_qemu(package: &Package) -> bool {
    package.name == "qemu-system-x86"
}

/// The fields of a package that are looked at.
#[derive(Default)]
struct Stanza {
    name: Option<(String, u32)>,
    version: Option<String>,
}

impl Stanza {
    fn field(&mut self, text: &[u8], number: u32) {
        let value = |name: &str| {
            let rest = text.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            let value = printable(&String::from_utf8_lossy(rest.trim_ascii()), 200);
            value.bytes().all(|b| b.is_ascii_graphic()).then_some(value)
        };
        if let Some(name) = value("Package") {
            self.name = Some((name, number));
        } else if let Some(version) = value("Version") {
            self.version = Some(version);
        }
    }

    fn take(&mut self) -> Option<Package> {
        let Self { name, version } = std::mem::take(self);
        let ((name, line), version) = (name?, version?);
        // linux-image-6.1.0-50-amd64; not linux-image-amd64, which only points at the newest.
        let kernel = name.strip_prefix("linux-image-").is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && !rest.ends_with("-dbg")
                && !rest.ends_with("-unsigned")
        });
        let sound = version.len() <= 100
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~:-".contains(&b));
        ((kernel || name == "qemu-system-x86") && sound).then_some(Package { name, version, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "Package: linux-image-6.1.0-50-amd64\nSource: linux-signed-amd64 (6.1.176+1)\nVersion: 6.1.176-1\n\n\
        Package: linux-image-6.1.0-50-cloud-amd64\nVersion: 6.1.176-1\n\n\
        Package: linux-image-amd64\nVersion: 6.1.177-1\n\n\
        Package: linux-image-6.1.0-50-amd64-dbg\nVersion: 6.1.178-1\n\n\
        Package: zsh\nVersion: 5.9-4\nDescription: a shell\n Package: linux-image-9\n Version: 9\n\n\
        Package: qemu-system-x86\nVersion: 1:7.2+dfsg-7+deb12u16\n";

    #[test]
    fn kernels_and_qemu_are_found_and_each_version_once() {
        let found = read("Packages", INDEX.as_bytes()).expect("reads");
        let got: Vec<_> =
            found.iter().map(|p| (p.upstream(), p.version.as_str(), p.line)).collect();
        assert_eq!(got, [("6.1.176", "6.1.176-1", 1), ("7.2", "1:7.2+dfsg-7+deb12u16", 20)]);
    }

    #[test]
    fn a_version_that_could_be_anything_else_is_no_version() {
        for bad in ["6.1\u{1b}[31m", "6.1 rm -rf", "<script>", "6.1\u{202e}"] {
            let index = format!("Package: linux-image-6.1\nVersion: {bad}\n");
            assert_eq!(read("p", index.as_bytes()).expect("reads"), [], "{bad:?}");
        }
    }

    #[test]
    fn an_index_without_end_is_refused() {
        let line = vec![b'x'; 3 << 20];
        assert!(read("p", line.as_slice()).expect_err("refused").to_string().contains("in a line"));
        let many: String = (0..MOST + 1)
            .map(|n| format!("Package: linux-image-6.1.{n}\nVersion: 6.1.{n}-1\n\n"))
            .collect();
        assert!(read("p", many.as_bytes()).expect_err("refused").to_string().contains("kernels"));
    }
}
