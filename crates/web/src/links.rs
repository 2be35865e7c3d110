//! The addresses of pages, relative to the page that they stand on, so that the site works under any
//! path, and as files.

use std::collections::HashSet;
use std::sync::Arc;

use hospitium_model::Digest;
use jiff::civil::Date;

/// The pages of a static site of which there may be too many, so that not all are written.
#[derive(Debug, Default)]
pub struct Written {
    /// Certificates, by their record's name.
    pub certificates: HashSet<String>,
    /// Pairs, by the ends of their address.
    pub pairs: HashSet<(String, String)>,
}

/// Where other pages are, seen from one. A page that is not there has an empty address.
#[derive(Debug, Clone)]
pub struct Links {
    /// From the page to the first page's folder: empty, `../` or `../../`.
    pub root: String,
    /// Whether a server answers; the static site has no search and no questions.
    pub live: bool,
    /// Of a static site, what of it there is.
    pub written: Option<Arc<Written>>,
    /// The day that was asked for, if it is not the site's: other questions keep to it.
    pub as_of: Option<Date>,
}

impl Links {
    /// For a page so many folders deep.
    pub fn new(live: bool, depth: usize) -> Self {
        Self { root: "../".repeat(depth), live, written: None, as_of: None }
    }

    fn to(&self, path: &str) -> String {
        let suffix = if self.live { "" } else { ".html" };
        format!("{}{path}{suffix}", self.root)
    }

    /// The first page.
    pub fn home(&self) -> String {
        match (self.live, self.root.as_str()) {
            (false, root) => format!("{root}index.html"),
            (true, "") => "./".to_owned(),
            (true, root) => root.to_owned(),
        }
    }

    /// The form for questions; on the static site, the list of pairs.
    pub fn ask(&self) -> String {
        self.to("ask")
    }

    /// A question.
    pub fn question(&self, question: &str) -> String {
        let day = self.as_of.map_or_else(String::new, |day| format!("&as_of={day}"));
        format!("{}ask?q={}{day}", self.root, encoded(question))
    }

    /// An agreement.
    pub fn agreement(&self, id: &str) -> String {
        self.to(&format!("agreements/{}", slug(id)))
    }

    /// The lines of products.
    pub fn products(&self) -> String {
        self.to("products")
    }

    /// A product, by its short id.
    pub fn product(&self, short: &str) -> String {
        self.to(&format!("products/{}", slug(short)))
    }

    /// The answer for a guest on a host, each by its short id or its name in records.
    pub fn pair(&self, guest: &str, host: &str) -> String {
        let pair = (slug(guest), slug(host));
        if self.written.as_ref().is_some_and(|written| !written.pairs.contains(&pair)) {
            return String::new();
        }
        self.to(&format!("pairs/{}/{}", pair.0, pair.1))
    }

    /// The newest certificates.
    pub fn certificates(&self) -> String {
        self.to("certificates")
    }

    /// A certificate's page, by its record's name.
    pub fn certificate(&self, digest: &str) -> String {
        if self.written.as_ref().is_some_and(|written| !written.certificates.contains(digest)) {
            return String::new();
        }
        self.to(&format!("certificates/{digest}"))
    }

    /// A certificate's file.
    pub fn certificate_file(&self, digest: &str) -> String {
        format!("{}certificates/{digest}.{}", self.root, hospitium_ledger::SUFFIX)
    }

    /// A file of evidence.
    pub fn evidence(&self, manifest: &str, path: &str) -> String {
        let parts: Vec<String> = path.split('/').map(encoded).collect();
        format!("{}evidence/{manifest}/{}", self.root, parts.join("/"))
    }

    /// The hosts that can be held against each other.
    pub fn hosts(&self) -> String {
        self.to("hosts")
    }

    /// Two hosts held against each other.
    pub fn differences(&self, a: &str, b: &str) -> String {
        self.to(&format!("hosts/{}/{}", slug(a), slug(b)))
    }

    /// The logs.
    pub fn logs(&self) -> String {
        self.to("logs")
    }

    /// The search.
    pub fn search(&self) -> String {
        self.to("search")
    }
}

/// A name as a part of an address and as a file's name: letters, digits, `.`, `_`, `+` and `-` as they
/// are. What has anything else, or is long, gets a part of its SHA-256 behind it, so that two names
/// never share an address.
pub fn slug(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    let whole = !name.is_empty() && name.len() <= 64 && !name.starts_with('.');
    if whole && name.chars().all(plain) {
        return name.to_owned();
    }
    let mut short: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    short = short.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let mut mark = Digest::of(name.as_bytes()).to_string();
    mark.truncate(10);
    match short.is_empty() {
        true => mark,
        false => format!("{short}-{mark}"),
    }
}

/// Text as a part of an address (RFC 3986): all but unreserved characters in percent form.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_folder_and_no_two_names_share_an_address() {
        assert_eq!(slug("debian12"), "debian12");
        for name in ["..", ".", "", "../../etc/passwd", "a/b", "a\\b", "a\0b", "ä", "%2e%2e"] {
            let slug = slug(name);
            assert!(!slug.is_empty() && !slug.starts_with('.'), "{name:?} became {slug:?}");
            assert!(slug.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{slug:?}");
        }
        assert_ne!(slug("a b"), slug("a-b"));
        assert_ne!(slug("a/b"), slug("a b"));
        assert!(slug(&"x".repeat(100_000)).len() < 80);
    }

    #[test]
    fn a_question_keeps_to_its_place_in_an_address() {
        assert_eq!(
            Links::new(true, 1).question("a&b=\"<c> on d"),
            "../ask?q=a%26b%3D%22%3Cc%3E%20on%20d"
        );
    }
}
