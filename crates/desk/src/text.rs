//! Texts and names in a case: bounded, never empty, without control characters.

use std::fmt;
use std::str::FromStr;

use hospitium_ledger::check_name;
use serde::{Deserialize, Serialize};

/// The most characters of a [`Line`].
pub const LINE_LIMIT: usize = 200;
/// The most characters of a [`Text`].
pub const TEXT_LIMIT: usize = 8_000;

/// Why a text cannot stand in a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing, or only spaces.
    #[error("the text is empty; say it in words")]
    Empty,
    /// Longer than its bound.
    #[error(
        "the text has {found} characters; at most {most} are taken. Attach a longer one as a file"
    )]
    Long {
        /// Its characters.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// A control character.
    #[error("the text has the control character {0:?}; write plain text")]
    Control(char),
    /// No domain name.
    #[error("{0:?} names no party; a party is a domain in lower case, such as \"vendor.example\"")]
    Party(String),
    /// No mail address.
    #[error("{0:?} is no mail address; it looks like \"ann.smith@vendor.example\"")]
    Address(String),
    /// No id of a case.
    #[error("{0:?} is no case id; it looks like \"c-0123456789abcdef0123456789abcdef\"")]
    CaseId(String),
}

fn checked(text: String, most: usize, allowed: &[char]) -> Result<String, TextError> {
    let found = text.chars().count();
    if found > most {
        return Err(TextError::Long { found, most });
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() && !allowed.contains(c)) {
        return Err(TextError::Control(bad));
    }
    if text.chars().all(|c| c.is_whitespace() || hospitium_model::is_invisible(c)) {
        return Err(TextError::Empty);
    }
    Ok(text)
}

/// Implements what all checked texts share.
macro_rules! text_type {
    ($name:ident, $parse:expr) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                let parse: fn(String) -> Result<String, TextError> = $parse;
                parse(text).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// One line: 1 to [`LINE_LIMIT`] characters, no line end, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);
text_type!(Line, |text| checked(text, LINE_LIMIT, &[]));

/// Some lines: 1 to [`TEXT_LIMIT`] characters, line ends and tabs, no other control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);
text_type!(Text, |text| checked(text, TEXT_LIMIT, &['\n', '\t']));

impl Text {
    /// Stands where nothing was said.
    pub(crate) fn unsaid() -> Self {
        Self("nothing was said".to_owned())
    }
}

/// The name of a party: a domain that it owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartyName(String);
text_type!(PartyName, |text| match check_name(&text) {
    Ok(()) => Ok(text),
    Err(_) => Err(TextError::Party(hospitium_model::printable(&text, 80))),
});

/// A mail address, of the plain form that needs no quoting: nothing in it can start a header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);
text_type!(Address, |text| {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let good = text.split_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && local.chars().all(plain)
            && !local.starts_with(['.', '-'])
            && !local.ends_with('.')
            && !local.contains("..")
            && check_name(domain).is_ok()
    });
    if good { Ok(text) } else { Err(TextError::Address(hospitium_model::printable(&text, 80))) }
});

impl Address {
    /// Whether its domain is the party's, or one below it.
    pub fn is_of(&self, party: &PartyName) -> bool {
        let domain = self.0.split_once('@').map_or("", |(_, domain)| domain);
        domain == party.as_str()
            || domain.strip_suffix(party.as_str()).is_some_and(|above| above.ends_with('.'))
    }
}

/// The id of a case: `c-` and 32 hexadecimal digits, random, the same at both parties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseId(String);
text_type!(CaseId, |text| {
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let good = text.strip_prefix("c-").is_some_and(|id| id.len() == 32 && id.chars().all(hex));
    if good { Ok(text) } else { Err(TextError::CaseId(hospitium_model::printable(&text, 80))) }
});

impl CaseId {
    /// The id that these random bytes make.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("c-{:032x}", u128::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_words_and_with_controls_are_refused() {
        assert_eq!("".parse::<Line>(), Err(TextError::Empty));
        assert_eq!(" \u{200b} ".parse::<Text>(), Err(TextError::Empty));
        assert_eq!("two\nlines".parse::<Line>(), Err(TextError::Control('\n')));
        assert!("two\nlines".parse::<Text>().is_ok());
        assert_eq!("a\u{1b}[2J".parse::<Text>(), Err(TextError::Control('\u{1b}')));
        let long = "x".repeat(TEXT_LIMIT + 1);
        assert!(matches!(long.parse::<Text>(), Err(TextError::Long { .. })));
        assert!(serde_json::from_str::<Line>("\"\"").is_err(), "read from a file as well");
    }

    #[test]
    fn an_address_cannot_carry_a_header() {
        for bad in [
            "a@vendor.example\r\nBcc: all@other.example",
            "a b@vendor.example",
            "@vendor.example",
            "a@localhost",
            "\"a\"@vendor.example",
            ".a@vendor.example",
            "a@vendor.example,b@other.example",
            "-oQ@vendor.example",
        ] {
            assert!(matches!(bad.parse::<Address>(), Err(TextError::Address(_))), "{bad:?}");
        }
        assert!("ann.smith+case@support.vendor.example".parse::<Address>().is_ok());
    }

    #[test]
    fn an_address_belongs_to_the_partys_domain_or_one_below_it() {
        let party: PartyName = "vendor.example".parse().expect("a name");
        let of = |text: &str| text.parse::<Address>().expect("an address").is_of(&party);
        assert!(of("a@vendor.example") && of("a@support.vendor.example"));
        assert!(!of("a@notvendor.example") && !of("a@vendor.example.evil.example"));
    }

    #[test]
    fn a_case_id_has_one_form() {
        let id = CaseId::from_bytes([1; 16]);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        for bad in ["", "c-12", "c-0101010101010101010101010101010G", "../c-01010101010101010101"] {
            assert!(bad.parse::<CaseId>().is_err(), "{bad}");
        }
    }
}
