//! A release that somebody names: which line it is of, and whether it is a product of its own or a
//! build of one that is known.

use std::collections::BTreeSet;

use crate::definition::{Cycles, Line};
use crate::words;
use crate::{Product, ProductId, ProductKind, Products, Version};

/// Words that may stand between a line's name and the number: `Fedora Linux 43`, `openSUSE Leap 16`.
const BETWEEN: [&str; 5] = ["linux", "server", "leap", "stable", "released"];

/// A line and a version in it, as a text names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The line.
    pub line: String,
    /// The version as written, without what follows it.
    pub version: Version,
}

/// Where a version of a line belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The product's id; of one that is not known yet, the one that it is given.
    pub id: ProductId,
    /// Its name for people.
    pub name: String,
    /// Its short id.
    pub short: String,
    /// Guest or host.
    pub kind: ProductKind,
    /// The release that is a product of its own: 6.12 of 6.12.117.
    pub release: Version,
    /// The whole version, if it is a build of that product and not its first.
    pub build: Option<Version>,
    /// Whether the product is known already.
    pub known: bool,
}

impl Products {
    /// The release that a text names, such as a headline or a file's name: a line's name or what
    /// people call it, and the version that follows. Nothing if it names none.
    pub fn read_release(&self, text: &str) -> Option<Named> {
        let (found, _) = words::words(text, &[]);
        let mut best: Option<(usize, usize, &Line)> = None;
        for line in &self.lines {
            let calls = line.words.iter().chain([&line.name, &line.title]);
            let calls: BTreeSet<Vec<String>> = calls
                .map(|call| words::words(call, &[]).0)
                .filter(|call| !call.is_empty())
                .collect();
            for call in calls {
                for at in 0..found.len() {
                    let Some(rest) = found.get(at..) else { continue };
                    if !rest.starts_with(&call) || number_after(rest, call.len()).is_none() {
                        continue;
                    }
                    // The first in the text, and of several there the longest name.
                    let key = |at: usize, length: usize| (std::cmp::Reverse(at), length);
                    if best.is_none_or(|(b, l, _)| key(at, call.len()) > key(b, l)) {
                        best = Some((at, call.len(), line));
                    }
                }
            }
        }
        let (at, length, line) = best?;
        let rest = found.get(at..)?;
        let number = number_after(rest, length)?;
        let mut version = rest.get(number)?.clone();
        let mut words = rest.iter().skip(number + 1).peekable();
        while let Some(word) = words.next() {
            let whole = Version::new(word);
            if word.contains('.') && whole.is_within(&Version::new(&version)) {
                // `Updated Debian 13: 13.2 released`
                version.clone_from(word);
            } else if ["sp", "r"].iter().any(|p| word.strip_prefix(p).is_some_and(is_number)) {
                version = format!("{version} {}", word.to_uppercase());
            } else if matches!(word.as_str(), "rc" | "beta" | "alpha" | "pre" | "preview") {
                let count = words.peek().filter(|count| is_number(count));
                version = format!("{version}-{word}{}", count.map_or("", |count| count.as_str()));
                break;
            } else {
                break;
            }
        }
        Some(Named { line: line.name.clone(), version: Version::new(&version) })
    }

    /// Where a version belongs: to a product that is known, or to one that it makes. Nothing if
    /// there is no such line, or no id can be made of the version.
    pub fn place(&self, line: &str, version: &Version) -> Option<Placed> {
        let line = self.lines.iter().find(|known| known.name == line)?;
        let of_line = self.line(&line.name);
        let same = of_line.iter().find(|product| product.release.same_release(version));
        if let Some(product) = same {
            return Some(of(product, None));
        }
        let depth = |version: &Version| version.as_str().split('.').count();
        // Where dates go by major versions, minors are products of their own.
        let minors = line.cycles == Cycles::Major;
        let newest = of_line
            .iter()
            .rfind(|p| !p.release.is_prerelease() && !p.short().ends_with("unknown"))
            .map_or(2, |newest| depth(&newest.release))
            .max(if minors { 2 } else { 1 });
        let release = match depth(version) > newest && !version.is_prerelease() {
            true => {
                let parts: Vec<&str> = version.as_str().split('.').take(newest).collect();
                Version::new(&parts.join("."))
            }
            false => version.clone(),
        };
        let build = (release != *version).then(|| version.clone());
        let covers = of_line
            .iter()
            .filter(|product| {
                product.release.same_release(&release)
                    || (!minors
                        && version.is_within(&product.release)
                        && depth(&product.release) >= newest)
            })
            .max_by(|a, b| a.release.cmp(&b.release));
        if let Some(product) = covers {
            return Some(of(product, Some(version.clone())));
        }
        made(line, &of_line, release, build)
    }
}

fn of(product: &Product, build: Option<Version>) -> Placed {
    Placed {
        id: product.id.clone(),
        name: product.name.clone(),
        short: product.short().to_owned(),
        kind: product.kind,
        release: product.release.clone(),
        build,
        known: true,
    }
}

fn made(
    line: &Line,
    of_line: &[&Product],
    release: Version,
    build: Option<Version>,
) -> Option<Placed> {
    let slug: String = release
        .as_str()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let id = format!("{}{slug}", line.ids.first()?).parse().ok()?;
    // As those before it are called: `qemu-10.0`, `debian13`.
    let before = of_line.iter().rev().find_map(|product| {
        product.short().strip_suffix(product.release.as_str()).map(str::to_owned)
    });
    let short = format!("{}{slug}", before.unwrap_or_else(|| line.name.clone()));
    let name = format!("{} {release}", line.title);
    Some(Placed { id, name, short, kind: line.kind, release, build, known: false })
}

/// Where the number is that follows a name of so many words.
fn number_after(words: &[String], length: usize) -> Option<usize> {
    let between =
        words.get(length..)?.iter().take_while(|word| BETWEEN.contains(&word.as_str())).count();
    let at = length + between;
    words.get(at)?.starts_with(|c: char| c.is_ascii_digit()).then_some(at)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl Named {
    /// Whether it is an alpha, beta, preview or release candidate.
    pub fn is_prerelease(&self) -> bool {
        self.version.is_prerelease()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::Builder;

    static PRODUCTS: LazyLock<Products> =
        LazyLock::new(|| Builder::with_built_in().expect("built in").finish().expect("sound"));

    #[test]
    fn headlines_and_file_names_name_a_line_and_a_version() {
        let products = &*PRODUCTS;
        for (text, line, version) in [
            ("QEMU version 10.2.0 released", "qemu", "10.2.0"),
            ("QEMU 11.0.0-rc3 is available", "qemu", "11.0.0-rc3"),
            ("Updated Debian 13: 13.2 released", "debian", "13.2"),
            ("Red Hat Enterprise Linux 9.8 is now available", "rhel", "9.8"),
            ("Fedora Linux 43 is here", "fedora", "43"),
            ("debian-13-genericcloud-amd64.qcow2", "debian", "13"),
            ("rhel-9.8-x86_64-kvm.qcow2", "rhel", "9.8"),
            ("SLES 15 SP8", "sles", "15 SP8"),
            ("Linux 6.19.2", "linux-kernel", "6.19.2"),
        ] {
            let named = products.read_release(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((named.line.as_str(), named.version.as_str()), (line, version), "{text}");
        }
        for text in ["", "Ten years of QEMU", "13 reasons", "A security fix"] {
            assert_eq!(products.read_release(text), None, "{text}");
        }
    }

    #[test]
    fn a_build_belongs_to_its_release_and_a_release_to_itself() {
        let products = &*PRODUCTS;
        let place = |line, version| {
            let placed = products.place(line, &Version::new(version)).expect("a line");
            (placed.name, placed.build.map(|b| b.to_string()), placed.known)
        };
        assert_eq!(
            place("linux-kernel", "6.12.117"),
            ("Linux 6.12".into(), Some("6.12.117".into()), true)
        );
        assert_eq!(
            place("linux-kernel", "6.97.1"),
            ("Linux 6.97".into(), Some("6.97.1".into()), false)
        );
        assert_eq!(place("qemu", "10.0.0"), ("QEMU 10.0".into(), None, true));
        assert_eq!(place("qemu", "97.1.0"), ("QEMU 97.1".into(), Some("97.1.0".into()), false));
        assert_eq!(place("debian", "12.11"), ("Debian 12".into(), Some("12.11".into()), true));
        assert_eq!(place("rhel", "9.98"), ("Red Hat Enterprise Linux 9.98".into(), None, false));
        assert!(products.place("no such line", &Version::new("1")).is_none());
    }

    #[test]
    fn a_new_release_is_called_as_those_before_it() {
        let products = &*PRODUCTS;
        let placed = products.place("qemu", &Version::new("97.1")).expect("a line");
        assert_eq!(placed.short, "qemu-97.1");
        assert_eq!(placed.id.as_str(), "http://qemu.org/qemu/97.1");
    }

    proptest! {
        #[test]
        fn any_text_names_a_release_or_none(text in ".{0,80}") {
                let products = &*PRODUCTS;
            if let Some(named) = products.read_release(&text) {
                let _ = products.place(&named.line, &named.version);
            }
        }
    }
}
