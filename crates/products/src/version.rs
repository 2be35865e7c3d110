//! Versions and their order: 5.9 before 5.10, SP1 before SP2, a base and its service packs before R2.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest version, in characters; the rest is cut off.
const LONGEST: usize = 64;

/// A version as its vendor writes it, in a total order.
///
/// The order is that of releases, not of characters: numbers by value, `5.9 < 5.10`;
/// pre-releases before the release, `6.0-rc1 < 6.0`; then its service packs and updates,
/// `2003 < 2003 SP1 < 2003 SP2`; then its R2 with the service packs of that,
/// `2003 SP2 < 2003 R2 < 2003 R2 SP2`; then further numbers, `6.2 < 6.12 < 6.12.117`. Trailing
/// zeros are of no weight; where only they or the punctuation differ, the text decides, so that
/// versions are equal only if they are written alike. See [`Version::same_release`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Version {
    text: String,
    key: Vec<Token>,
}

/// A piece of a version; the order of variants is the order of releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Token {
    /// `alpha`, `beta`, `preview`, `rc`: before what it leads to.
    Pre(u8),
    /// Nothing more.
    End,
    /// A service pack or update; the number follows inside.
    ServicePack(u64),
    /// A second release of the same: R2.
    Release(u64),
    /// Any other word.
    Word(String),
    /// A number.
    Number(u64),
}

impl Version {
    /// Reads a version; every text is one. What cannot be printed is left out.
    pub fn new(text: &str) -> Self {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let text: String = text.trim().chars().take(LONGEST).collect();
        let text = text.trim_end().to_owned();
        let key = key(&text);
        Self { text, key }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether both name the same release: `11` and `11.0`, `2003 SP2` and `2003-sp2`.
    pub fn same_release(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The leading number: 5 of 5.3, 2003 of 2003 SP2.
    pub fn major(&self) -> Option<u64> {
        match self.key.first() {
            Some(Token::Number(n)) => Some(*n),
            _ => None,
        }
    }

    /// The second number: 3 of 5.3. 0 if there is a first but no second.
    pub fn minor(&self) -> Option<u64> {
        match (self.key.first(), self.key.get(1)) {
            (Some(Token::Number(_)), Some(Token::Number(n))) => Some(*n),
            (Some(Token::Number(_)), _) => Some(0),
            _ => None,
        }
    }

    /// The service pack, 0 if none is named.
    pub fn service_pack(&self) -> u64 {
        self.key
            .iter()
            .find_map(|t| if let Token::ServicePack(n) = t { Some(*n) } else { None })
            .unwrap_or(0)
    }

    /// The second release (2 of `2008 R2`), if it is one.
    pub fn second_release(&self) -> Option<u64> {
        self.key.iter().find_map(|t| if let Token::Release(n) = t { Some(*n) } else { None })
    }

    /// Whether it is an alpha, beta, preview or release candidate.
    pub fn is_prerelease(&self) -> bool {
        self.key.iter().any(|t| matches!(t, Token::Pre(_)))
    }

    /// Whether `self` is this `line` or within it: 5.3 within 5, 5.3.1 within 5.3, `2003 R2 SP2`
    /// within `2003 R2`. An R2 is not within its base: it is a product of its own.
    pub fn is_within(&self, line: &Self) -> bool {
        let (stem, whole) = (pieces(&line.text), pieces(&self.text));
        let next = whole.get(stem.len()).map(String::as_str);
        let after = whole.get(stem.len() + 1).is_some_and(|n| n.parse::<u64>().is_ok());
        let is_r2 = next == Some("r") && after;
        self.same_release(line) || (!stem.is_empty() && whole.starts_with(&stem) && !is_r2)
    }
}

/// Cuts a version into its pieces, ended by [`Token::End`].
fn key(text: &str) -> Vec<Token> {
    let mut key = Vec::new();
    let mut words = pieces(text).into_iter().peekable();
    while let Some(piece) = words.next() {
        if let Ok(number) = piece.parse::<u64>() {
            key.push(Token::Number(number));
            continue;
        }
        if piece.bytes().all(|b| b.is_ascii_digit()) {
            // More than 64 bits: in order among themselves by length, then text.
            key.push(Token::Number(u64::MAX));
            key.push(Token::Word(format!("{:03}{piece}", piece.len())));
            continue;
        }
        let number = |words: &mut std::iter::Peekable<std::vec::IntoIter<String>>| {
            let found = words.peek().and_then(|next| next.parse::<u64>().ok());
            if found.is_some() {
                words.next();
            }
            found
        };
        match piece.as_str() {
            "sp" | "servicepack" | "u" | "update" => {
                zeros_off(&mut key);
                key.push(Token::ServicePack(number(&mut words).unwrap_or(1)));
            }
            "service" if words.peek().is_some_and(|next| next == "pack") => {
                words.next();
                zeros_off(&mut key);
                key.push(Token::ServicePack(number(&mut words).unwrap_or(1)));
            }
            "r" if words.peek().is_some_and(|next| next.parse::<u64>().is_ok()) => {
                zeros_off(&mut key);
                key.push(Token::Release(number(&mut words).unwrap_or(2)));
            }
            _ => match pre_release(&piece) {
                Some(rank) => {
                    zeros_off(&mut key);
                    key.push(Token::Pre(rank));
                }
                None => key.push(Token::Word(piece)),
            },
        }
    }
    zeros_off(&mut key);
    key.push(Token::End);
    key
}

fn pre_release(word: &str) -> Option<u8> {
    match word {
        "dev" | "pre" | "preview" => Some(0),
        "alpha" => Some(1),
        "beta" => Some(2),
        "rc" => Some(3),
        _ => None,
    }
}

/// `11.0` is `11`; the first number always stays.
fn zeros_off(key: &mut Vec<Token>) {
    while key.len() > 1 && key.last() == Some(&Token::Number(0)) {
        key.pop();
    }
}

/// Runs of digits and runs of letters, in lower case; all else divides.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut before = None;
    for c in text.chars().flat_map(char::to_lowercase) {
        let kind = if c.is_ascii_digit() {
            Some(true)
        } else if c.is_alphanumeric() {
            Some(false)
        } else {
            None
        };
        match (kind, pieces.last_mut()) {
            (None, _) => {}
            (Some(_), Some(last)) if kind == before => last.push(c),
            (Some(_), _) => pieces.push(c.into()),
        }
        before = kind;
    }
    pieces
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Version {}

impl std::hash::Hash for Version {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v(text: &str) -> Version {
        Version::new(text)
    }

    fn rising(texts: &[&str]) {
        for pair in texts.windows(2) {
            assert!(v(pair[0]) < v(pair[1]), "{} is not before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        rising(&["5", "5.2", "5.3", "5.9", "5.10", "5.11", "6.0", "6.10"]);
        rising(&["6.2", "6.12", "6.12.117", "6.13"]);
        rising(&["10.0.14393", "10.0.17763", "10.0.26100"]);
    }

    #[test]
    fn service_packs_come_before_the_second_release() {
        rising(&[
            "2000",
            "2000 SP4",
            "2003",
            "2003 SP1",
            "2003 SP2",
            "2003 R2",
            "2003 R2 SP2",
            "2008",
            "2008 SP2",
            "2008 R2",
            "2008-r2-sp1",
            "2012",
        ]);
        rising(&["11", "11 SP1", "11 SP4", "12"]);
        rising(&["4.0", "4.0 Update 2", "4.1"]);
    }

    #[test]
    fn pre_releases_come_before_the_release() {
        rising(&["6.0-alpha1", "6.0-beta2", "6.0-rc1", "6.0-rc2", "6.0", "6.0.1"]);
    }

    #[test]
    fn the_same_release_may_be_written_in_several_ways() {
        for (a, b) in [
            ("11", "11.0"),
            ("2003 SP2", "2003-sp2"),
            ("2008 R2", "2008r2"),
            ("2000 Service Pack 4", "2000 SP4"),
        ] {
            assert!(v(a).same_release(&v(b)), "{a} {b}");
        }
        assert!(!v("5.1").same_release(&v("5.10")));
        assert!(!v("2008").same_release(&v("2008 R2")));
    }

    #[test]
    fn a_minor_is_within_its_major_and_r2_is_not_within_its_base() {
        assert!(v("5.3").is_within(&v("5")));
        assert!(v("2003 SP2").is_within(&v("2003")));
        assert!(v("2008 R2 SP1").is_within(&v("2008 R2")));
        assert!(!v("2008 R2").is_within(&v("2008")));
        assert!(!v("15.3").is_within(&v("5")));
        assert!(!v("5").is_within(&v("5.3")));
        assert!(!v("6.12").is_within(&v("6.0")));
        assert!(!v("5.10").is_within(&v("5.1")));
    }

    #[test]
    fn a_number_of_a_thousand_digits_is_a_version_too() {
        assert!(v(&"9".repeat(1000)).as_str().len() <= LONGEST);
        assert!(v("18446744073709551615") < v("18446744073709551616"));
    }

    #[test]
    fn what_cannot_be_printed_is_left_out() {
        assert_eq!(v("\0 5.3\u{1b} \n").as_str(), "5.3");
        assert_eq!(v("\0 \0").as_str(), "");
    }

    proptest! {
        #[test]
        fn the_order_is_total(
            a in "[0-9a-zA-Z. _+~-]{0,12}|[0-9]{1,3}(\\.[0-9]{1,3}){0,3}( SP[0-9])?( R2)?",
            b in "[0-9a-zA-Z. _+~-]{0,12}|[0-9]{1,3}(\\.[0-9]{1,3}){0,3}( SP[0-9])?( R2)?",
            c in "[0-9a-zA-Z. _+~-]{0,12}|[0-9]{1,3}(\\.[0-9]{1,3}){0,3}( SP[0-9])?( R2)?",
        ) {
            let (a, b, c) = (v(&a), v(&b), v(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a.same_release(&b) {
                prop_assert_eq!(a.key.cmp(&c.key), b.key.cmp(&c.key));
            }
        }

        #[test]
        fn any_text_is_a_version(text in ".*") {
            let version = v(&text);
            prop_assert_eq!(v(version.as_str()).cmp(&version), Ordering::Equal);
        }
    }
}
