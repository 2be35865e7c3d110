//! A suite's list: the fields of a Release file (Debian's repository format) that are used here.

use std::collections::BTreeMap;

use hospitium_model::printable;
use jiff::civil::Date;

use crate::WatchError;

/// Most files that a list may name; sid's names about 2000.
const MOST: usize = 100_000;

/// What the list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// `stable`, `oldstable-security`
    pub suite: String,
    /// `bookworm`
    pub codename: String,
    /// `12.11`; testing has none.
    pub version: Option<String>,
    /// The day on which it was made.
    pub date: Option<Date>,
    /// Until when it is good, if it says so.
    pub valid_until: Option<Date>,
    /// `main`, `contrib`, …
    pub components: Vec<String>,
    sha256: BTreeMap<String, String>,
}

/// Reads the text of a list, its signature taken away. `what` is its name in errors.
pub fn read(what: &str, text: &str) -> Result<List, WatchError> {
    List::read(what, text)
}

impl List {
    pub(crate) fn read(what: &str, text: &str) -> Result<Self, WatchError> {
        let wrong = |why: &str| WatchError::Archive { what: what.to_owned(), why: why.to_owned() };
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut sha256 = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix(' ') {
                if section == "SHA256" {
                    let mut words = entry.split_ascii_whitespace();
                    let (Some(sum), Some(_), Some(name)) =
                        (words.next(), words.next(), words.next())
                    else {
                        return Err(wrong("a line of SHA256 is not sum, size and name"));
                    };
                    if sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()) {
                        return Err(wrong("a line of SHA256 has no such sum"));
                    }
                    if sha256.len() >= MOST {
                        let (what, limit) = (what.to_owned(), MOST as u64);
                        return Err(WatchError::TooMuch { what, limit, unit: "files" });
                    }
                    sha256.insert(name.to_owned(), sum.to_ascii_lowercase());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                name.clone_into(&mut section);
                if fields.len() < 100 {
                    fields.insert(name.to_owned(), printable(value.trim(), 200));
                }
            }
        }
        let day = |name: &str| -> Result<Option<Date>, WatchError> {
            let Some(text) = fields.get(name) else { return Ok(None) };
            // `Sat, 09 Aug 2025 10:27:35 UTC`: RFC 2822 with a zone that jiff takes as GMT only.
            let text = text.replace(" UTC", " GMT");
            let read = jiff::fmt::rfc2822::parse(&text);
            read.map(|time| Some(time.date())).map_err(|_| wrong(&format!("{name} is no day")))
        };
        let field = |name: &str| fields.get(name).filter(|v| !v.is_empty()).cloned();
        let codename = field("Codename").ok_or_else(|| wrong("it has no Codename"))?;
        Ok(Self {
            suite: field("Suite").unwrap_or_else(|| codename.clone()),
            version: field("Version"),
            date: day("Date")?,
            valid_until: day("Valid-Until")?,
            // `updates/main` in old lists of security.
            components: field("Components")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
                .collect(),
            codename,
            sha256,
        })
    }

    /// The SHA-256 of a file below the suite, in lower-case hexadecimal.
    pub fn sha256(&self, file: &str) -> Option<&str> {
        self.sha256.get(file).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "Origin: Debian\nSuite: oldstable\nVersion: 12.12\nCodename: bookworm\n\
        Date: Sat, 06 Sep 2025 09:57:00 UTC\nComponents: main contrib\nMD5Sum:\n abc 1 main/x\n\
        SHA256:\n 0000000000000000000000000000000000000000000000000000000000000abc 12 main/binary-amd64/Packages\n";

    #[test]
    fn a_list_tells_its_suite_its_day_and_its_files() {
        let list = List::read("l", LIST).expect("reads");
        assert_eq!((list.suite.as_str(), list.codename.as_str()), ("oldstable", "bookworm"));
        assert_eq!(list.version.as_deref(), Some("12.12"));
        assert_eq!(list.date, "2025-09-06".parse().ok());
        assert!(list.sha256("main/binary-amd64/Packages").is_some_and(|sum| sum.ends_with("abc")));
        assert_eq!(list.sha256("main/x"), None);
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "Codename"),
            ("Codename: x\nDate: yesterday\n", "Date is no day"),
            ("Codename: x\nSHA256:\n 12 3 main/x\n", "no such sum"),
            ("Codename: x\nSHA256:\n x\n", "sum, size and name"),
        ] {
            let error = List::read("l", bad).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
