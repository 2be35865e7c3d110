//! The keys of a party as a number that two people can compare by voice.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha512};

use crate::party::PublicParty;

/// Decimal digits of a fingerprint: 12 groups of five, nearly 200 bits. Signal's safety numbers have the same form:
/// digits are read out alike in every language.
pub const DIGITS: usize = 60;
/// Digits of a group.
const GROUP: usize = 5;
/// Bytes of the hash for each group: 40 bits modulo 100,000 leave no digit noticeably more likely.
const BYTES: usize = 5;

/// Of all that a party's `party.toml` says: another name or any other key has another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; DIGITS]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has {DIGITS} digits, and this has {found}")]
pub struct FingerprintError {
    found: usize,
}

impl PublicParty {
    /// The number to compare before its keys are trusted.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha512::new();
        // The form has a name of its own: no other hash of the same text is this one.
        hash.update(b"hospitium party fingerprint v1\n");
        for line in [&self.name, &self.record.to_string(), &self.log.to_string()] {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hash.update(format!("{}\n", self.witness).as_bytes());
        // Keys that were given up are trusted for what they signed.
        for retired in &self.retired {
            hash.update(format!("{} {}\n", retired.key, retired.until).as_bytes());
        }
        let mut digits = [b'0'; DIGITS];
        for (group, bytes) in digits.chunks_mut(GROUP).zip(hash.finalize().chunks(BYTES)) {
            let mut number = bytes.iter().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
            for digit in group.iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        }
        Fingerprint(digits)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.chunks(GROUP).enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}", String::from_utf8_lossy(group))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Digits, with whatever between them that people write there.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        let separates = |c: char| c.is_ascii_digit() || c.is_whitespace() || "-._".contains(c);
        let digits = <[u8; DIGITS]>::try_from(all.as_slice());
        digits
            .ok()
            .filter(|_| text.chars().all(separates))
            .map(Self)
            .ok_or(FingerprintError { found: all.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;
    use crate::party::{Party, RetiredKey};

    #[test]
    fn another_name_key_or_retired_key_has_another_fingerprint() {
        let top = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            Party::init(&top.path().join(name), name, Algorithm::Ed25519).expect("made").public
        };
        let (party, other) = (make("a.example"), make("b.example"));
        let print = party.fingerprint();
        let text = print.to_string();
        assert_eq!(text.len(), DIGITS + 11);
        assert_eq!(text.replace(' ', "-").parse(), Ok(print.clone()));
        assert!(text[1..].parse::<Fingerprint>().is_err(), "a digit is missing");
        assert!(format!("{text} x").parse::<Fingerprint>().is_err());
        type Change = fn(&mut PublicParty, &PublicParty);
        let changes: [Change; 5] = [
            |party, other| party.name.clone_from(&other.name),
            |party, other| party.record = other.record.clone(),
            |party, other| party.log = other.log.clone(),
            |party, other| party.witness = other.witness.clone(),
            |party, other| {
                party.retired.push(RetiredKey { key: other.record.clone(), until: 3 });
            },
        ];
        for change in changes {
            let mut changed = party.clone();
            change(&mut changed, &other);
            assert_ne!(changed.fingerprint(), print, "{changed:?}");
        }
    }
}
