//! What people write for a product, cut into words that can be compared.
//!
//! `w2k3sp2`, `Windows 2003 SP2` and `Microsoft® Windows Server 2003 Service Pack 2` become the
//! same words, but for the `server` that nobody misses.

use serde::Serialize;

use crate::Arch;
use crate::error::is_invisible;

/// Longest text that is looked at, in characters.
const LONGEST: usize = 200;

/// Words that tell nothing.
const NOISE: [&str; 19] = [
    "microsoft",
    "ms",
    "the",
    "for",
    "of",
    "on",
    "in",
    "edition",
    "version",
    "release",
    "r",
    "tm",
    "c",
    "inc",
    "corporation",
    "operating",
    "system",
    "and",
    "gnu",
];

/// Words that may be missing on one side without a doubt.
const WEAK: [&str; 9] =
    ["server", "linux", "vmware", "bit", "gold", "rtm", "advanced", "platform", "virtualization"];

/// Words for editions. Where no product is of that edition, the product itself answers.
const EDITIONS: [&str; 17] = [
    "standard",
    "enterprise",
    "datacenter",
    "web",
    "foundation",
    "essentials",
    "professional",
    "pro",
    "home",
    "ultimate",
    "business",
    "core",
    "workstation",
    "desktop",
    "client",
    "storage",
    "hpc",
];

/// A question, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// As written, cut off if long.
    pub text: String,
    /// Its words.
    pub words: Vec<String>,
    /// The architecture, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// The edition, if one is named that no product is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    /// Words taken for others, as written and as taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub corrected: Vec<(String, String)>,
}

/// A phrase and the words that stand for it.
pub(crate) type Phrase = (Vec<String>, Vec<String>);

/// From here on something that was asked for is missing.
pub(crate) const MISSING: u32 = 400;

/// How much it tells that a word is on one side only: in the question, or in the name.
pub(crate) fn weight(word: &str, in_question: bool) -> u32 {
    let service_pack = numbered(word, "sp").is_some() || numbered(word, "u").is_some();
    if WEAK.contains(&word) {
        20
    } else if in_question {
        if EDITIONS.contains(&word) { 50 } else { MISSING }
    } else if service_pack {
        100
    } else if numbered(word, "r").is_some() {
        150
    } else if word == "unknown" || word.starts_with(|c: char| c.is_ascii_digit()) {
        200
    } else {
        80
    }
}

/// Whether it is the word of an edition.
pub(crate) fn is_edition(word: &str) -> bool {
    EDITIONS.contains(&word)
}

/// Whether it is a part of a release's number: `sp2`, `r2`, `u3`.
pub(crate) fn is_release_word(word: &str) -> bool {
    ["sp", "r", "u"].iter().any(|prefix| numbered(word, prefix).is_some())
}

fn numbered(word: &str, prefix: &str) -> Option<u64> {
    word.strip_prefix(prefix)?.parse().ok()
}

/// Cuts a text into words; architectures are taken out.
pub(crate) fn words(text: &str, phrases: &[Phrase]) -> (Vec<String>, Option<Arch>) {
    let text: String = text
        .chars()
        .take(LONGEST)
        .filter(|c| !matches!(c, '®' | '™' | '©') && !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .collect();
    let mut arch = None;
    let mut found = Vec::new();
    let apart = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'));
    for raw in text.split(apart).filter(|raw| !raw.is_empty()) {
        let bare = raw.trim_matches(|c: char| !c.is_alphanumeric());
        match Arch::known(bare) {
            Some(known) => {
                arch.get_or_insert(known);
            }
            None => split(bare, &mut found),
        }
    }
    let found = joined(found);
    let found = replaced(found, phrases);
    (found.into_iter().filter(|word| !NOISE.contains(&word.as_str())).collect(), arch)
}

/// `rhel5.3` is `rhel`, `5.3`; `2008r2` is `2008`, `r2`; `w2k3` is `windows`, `server`, `2003`.
fn split(raw: &str, found: &mut Vec<String>) {
    // `8.x` is any 8.
    let raw = match raw.strip_suffix(".x") {
        Some(major) if major.starts_with(|c: char| c.is_ascii_digit()) => major,
        _ => raw,
    };
    let raw = match short_windows(raw) {
        Some((year, rest)) => {
            found.push("windows".into());
            if year > 2000 {
                found.push("server".into());
            }
            found.push(year.to_string());
            rest
        }
        None => raw,
    };
    for part in raw.split(['-', '_', '+']) {
        let mut word = String::new();
        for c in part.chars() {
            let last = word.chars().last();
            let digit = |c: char| c.is_ascii_digit();
            let turns = match last {
                None => false,
                Some(last) if digit(last) => !digit(c) && c != '.',
                Some('.') => !digit(c),
                // `sp2`, `r2` and `u3` stay together.
                Some(_) => digit(c) && !matches!(word.as_str(), "sp" | "r" | "u"),
            };
            // A dot divides words, but not numbers.
            if c == '.' && !last.is_some_and(digit) {
                push(&mut word, found);
                continue;
            }
            if turns {
                push(&mut word, found);
            }
            word.push(c);
        }
        push(&mut word, found);
    }
}

fn push(word: &mut String, found: &mut Vec<String>) {
    let done = std::mem::take(word);
    let done = done.trim_matches('.');
    match done {
        "" => {}
        "win" => found.push("windows".into()),
        _ => found.push(done.to_owned()),
    }
}

/// `w2k8r2` is 2008 and `r2`; `win2k` is 2000.
fn short_windows(raw: &str) -> Option<(u64, &str)> {
    let at = raw.find("2k")?;
    let (before, rest) = (raw.get(..at)?, raw.get(at + 2..)?);
    if !matches!(before, "" | "w" | "win" | "windows" | "ws") {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).take(2).count();
    let year = match rest.get(..digits)? {
        "" => 2000,
        digits => 2000 + digits.parse::<u64>().ok()?,
    };
    Some((year, rest.get(digits..)?))
}

/// `service pack 2` is `sp2`, `update 3` is `u3`.
fn joined(words: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let prefix = match word.as_str() {
            "sp" => Some("sp"),
            "service" if words.peek().is_some_and(|w| w == "pack") => {
                words.next();
                Some("sp")
            }
            "update" => Some("u"),
            "r" => Some("r"),
            _ => None,
        };
        let number = words.peek().filter(|w| w.bytes().all(|b| b.is_ascii_digit())).cloned();
        match (prefix, number) {
            (Some(prefix), Some(number)) => {
                words.next();
                found.push(format!("{prefix}{number}"));
            }
            _ => found.push(word),
        }
    }
    // `rhel 5 u3` is `rhel 5.3`: Red Hat called its minors updates up to 5.
    let is_rhel = found.iter().any(|w| matches!(w.as_str(), "rhel" | "redhat" | "red" | "centos"));
    let mut done: Vec<String> = Vec::new();
    for word in found {
        match (done.last_mut(), numbered(&word, "u")) {
            (Some(last), Some(minor)) if is_rhel && last.bytes().all(|b| b.is_ascii_digit()) => {
                *last = format!("{last}.{minor}");
            }
            _ => done.push(word),
        }
    }
    done
}

/// `red hat enterprise linux` is `rhel`; the longest phrase that fits is taken.
fn replaced(words: Vec<String>, phrases: &[Phrase]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = words.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let fits = |phrase: &&Phrase| rest.starts_with(&phrase.0);
        match phrases.iter().filter(fits).max_by_key(|phrase| phrase.0.len()) {
            Some((from, to)) => {
                found.extend(to.iter().cloned());
                rest = rest.get(from.len().max(1)..).unwrap_or_default();
            }
            None => {
                found.push(first.clone());
                rest = after;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> String {
        let phrase = |from: &str, to: &str| {
            let list = |t: &str| t.split(' ').map(str::to_owned).collect::<Vec<_>>();
            (list(from), list(to))
        };
        let phrases = [phrase("red hat enterprise linux", "rhel"), phrase("hyper v", "hyperv")];
        let (words, arch) = words(text, &phrases);
        format!("{}{}", words.join(" "), arch.map_or(String::new(), |a| format!(" @{a}")))
    }

    #[test]
    fn short_names_of_windows_are_spelled_out() {
        assert_eq!(cut("w2k8"), "windows server 2008");
        assert_eq!(cut("win2k3r2sp2"), "windows server 2003 r2 sp2");
        assert_eq!(cut("W2K SP4"), "windows 2000 sp4");
        assert_eq!(cut("win10"), "windows 10");
        assert_eq!(
            cut("Microsoft® Windows Server™ 2008 R2, Service Pack 1"),
            "windows server 2008 r2 sp1"
        );
    }

    #[test]
    fn names_and_numbers_are_parted_and_versions_stay_whole() {
        assert_eq!(cut("rhel5.3"), "rhel 5.3");
        assert_eq!(cut("RHEL 5.3 x86_64"), "rhel 5.3 @x86_64");
        assert_eq!(cut("Red Hat Enterprise Linux 5 Update 3 (i386)"), "rhel 5.3 @i686");
        assert_eq!(cut("sles11sp2"), "sles 11 sp2");
        assert_eq!(cut("qemu-kvm 1.2.0"), "qemu kvm 1.2.0");
        assert_eq!(cut("hyper-v server 2008"), "hyperv server 2008");
        assert_eq!(cut("linux-6.12.117"), "linux 6.12.117");
    }

    proptest! {
        #[test]
        fn any_text_is_cut_into_words_of_some_letters(text in ".{0,300}") {
            let (once, _) = words(&text, &[]);
            prop_assert!(once.iter().all(|word| !word.is_empty() && word.chars().count() <= LONGEST * 3));
        }
    }
}
