//! Where pages are, and the links between them.
//!
//! Links are relative, so that the site works below any path of a server and as files. A page is a
//! folder: `products/rhel5.3/`; as a file it is the `index.html` in it.

use std::fmt::Write as _;

/// Longest text that is made a part of a path, in bytes; what is longer has no page.
const LONGEST: usize = 80;

/// Something that has an address on the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The first page.
    Home,
    /// Questions.
    Ask,
    /// The style sheet.
    Style,
    /// All agreements.
    Agreements,
    /// An agreement, by its id.
    Agreement(&'a str),
    /// What is known of a guest on a host, by short ids or names.
    Pair(&'a str, &'a str),
    /// All products.
    Products,
    /// A product, by its short id or id.
    Product(&'a str),
    /// All records.
    Records,
    /// A record, by its digest.
    Certificate(&'a str),
    /// A file of a record, by the record's digest and a name.
    File(&'a str, &'a str),
    /// The choice of two hosts to compare.
    Compare,
    /// What changed from one host to another.
    Difference(&'a str, &'a str),
    /// The logs.
    Logs,
    /// Runs.
    Runs,
}

impl Target<'_> {
    /// The path from the site's root, without a slash before it; none if a text in it is too long for
    /// one.
    pub fn path(&self) -> Option<String> {
        let one = |folder: &str, text: &str| Some(format!("{folder}/{}/", segment(text)?));
        let two = |folder: &str, a: &str, b: &str| {
            Some(format!("{folder}/{}/{}/", segment(a)?, segment(b)?))
        };
        match self {
            Self::Home => Some(String::new()),
            Self::Ask => Some("ask/".into()),
            Self::Style => Some("style.css".into()),
            Self::Agreements => Some("agreements/".into()),
            Self::Agreement(id) => one("agreements", id),
            Self::Pair(guest, host) => two("pairs", guest, host),
            Self::Products => Some("products/".into()),
            Self::Product(id) => one("products", id),
            Self::Records => Some("records/".into()),
            Self::Certificate(digest) => one("certificates", digest),
            Self::File(digest, name) => {
                Some(format!("certificates/{}/{}", segment(digest)?, segment(name)?))
            }
            Self::Compare => Some("compare/".into()),
            Self::Difference(a, b) => two("compare", a, b),
            Self::Logs => Some("logs/".into()),
            Self::Runs => Some("runs/".into()),
        }
    }
}

/// A text as a part of a path. What is no letter, digit, `-`, `_` or `.` becomes `~` and two digits for
/// each byte, as does a dot at the beginning; so nothing in it can leave its folder, and it is the same in
/// a URL and in a file system.
fn segment(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            b'.' if at > 0 => out.push('.'),
            other => write!(out, "~{other:02x}").ok()?,
        }
    }
    Some(out)
}

/// The text of which a part of a path was made; none if it is none.
pub fn text(segment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'~' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty() && text.len() <= LONGEST)
}

/// A page's place, from which links go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What leads to the site's root: `../../`, empty at the root itself.
    root: String,
    /// Whether the pages are files, of which nobody can ask anything.
    files: bool,
}

impl Place {
    /// The place of a page.
    pub fn of(page: &Target<'_>, files: bool) -> Self {
        let depth = page.path().unwrap_or_default().matches('/').count();
        let root = if depth == 0 && !files { "./".into() } else { "../".repeat(depth) };
        Self { root, files }
    }

    /// Whether the pages are files: no forms, nothing that is asked with a query.
    pub const fn is_files(&self) -> bool {
        self.files
    }

    /// What leads to the site's root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A link; none to what has no address.
    pub fn link(&self, target: Target<'_>) -> Option<String> {
        let path = target.path()?;
        let index = self.files && (path.is_empty() || path.ends_with('/'));
        Some(format!("{}{path}{}", self.root, if index { "index.html" } else { "" }))
    }

    /// The same, the first page instead of none.
    pub fn to(&self, target: Target<'_>) -> String {
        self.link(target).or_else(|| self.link(Target::Home)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_are_relative_and_name_files_where_pages_are_files() {
        let page = Target::Pair("rhel5.3", "hyper v");
        let served = Place::of(&page, false);
        assert_eq!(served.to(Target::Style), "../../../style.css");
        assert_eq!(served.to(Target::Home), "../../../");
        assert_eq!(Place::of(&Target::Home, false).to(Target::Home), "./");
        let files = Place::of(&Target::Home, true);
        assert_eq!(files.to(page), "pairs/rhel5.3/hyper~20v/index.html");
        assert_eq!(files.to(Target::Home), "index.html");
        assert_eq!(Place::of(&page, true).to(Target::Style), "../../../style.css");
    }

    #[test]
    fn what_is_too_long_or_empty_has_no_address() {
        let place = Place::of(&Target::Home, false);
        assert_eq!(place.link(Target::Product(&"x".repeat(LONGEST + 1))), None);
        assert_eq!(place.link(Target::Product("")), None);
    }

    #[test]
    fn what_is_no_part_of_ours_is_no_text() {
        for bad in ["", "~", "~4", "~zz", "~ff", &"x".repeat(LONGEST + 1)] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_stays_in_its_folder(given in "\\PC{1,20}|\\.{1,3}|[./~\\\\]{1,9}") {
            let made = segment(&given);
            if given.len() <= LONGEST {
                let made = made.expect("short enough");
                prop_assert!(!made.starts_with('.') && !made.contains(['/', '\\', '%', '?', '#']));
                prop_assert_eq!(text(&made), Some(given));
            } else {
                prop_assert_eq!(made, None);
            }
        }
    }
}
