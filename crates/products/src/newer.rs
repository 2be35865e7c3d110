//! Releases that are newer than all that is known of their line.

use serde::Serialize;

use crate::words::{self, MISSING, Query, weight};
use crate::{Product, ProductKind, Products, Version};

/// A release that is newer than all that is known of its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// What was asked for.
    pub text: String,
    /// The line's title.
    pub line: String,
    /// Name of the newest release that is known.
    pub newest: String,
    /// Its short id.
    pub short: String,
}

impl Newer {
    /// In a sentence.
    pub fn words(&self) -> String {
        let Self { text, line, newest, .. } = self;
        format!("{text:?} is not known here; the newest known of this line, {line}, is {newest}")
    }
}

impl Products {
    /// The lines whose names have every word of the question that is no number, those with the fewest other
    /// words; if there are none, the lines that have the most of its telling words.
    pub(crate) fn alike(&self, query: &Query, kind: Option<ProductKind>) -> Vec<&str> {
        let is_word = |word: &&String| {
            !word.starts_with(|c: char| c.is_ascii_digit()) && !words::is_release_word(word)
        };
        let asked: Vec<&String> =
            query.words.iter().filter(is_word).filter(|w| !words::is_edition(w)).collect();
        let telling = |word: &&&String| weight(word, true) >= MISSING;
        if !asked.iter().any(|word| telling(&word)) {
            return Vec::new();
        }
        let mut best: Option<((usize, usize), Vec<&str>)> = None;
        for entry in self.index.entries.iter().filter(|e| kind.is_none_or(|kind| kind == e.kind)) {
            let Some(product) = self.get(&entry.id).filter(|p| p.edition.is_none()) else {
                continue;
            };
            for name in &entry.names {
                let lacks = asked.iter().filter(|word| !name.contains(word));
                let lacks: usize = lacks.map(|w| if telling(&w) { 10 } else { 1 }).sum();
                let has = asked.iter().any(|word| telling(&word) && name.contains(word));
                if !has {
                    continue;
                }
                let others =
                    name.iter().filter(is_word).filter(|word| !asked.contains(word)).count();
                let this = (lacks, others);
                match &mut best {
                    Some((least, lines)) if *least == this => {
                        if !lines.contains(&product.line.as_str()) {
                            lines.push(&product.line);
                        }
                    }
                    Some((least, _)) if *least < this => {}
                    _ => best = Some((this, vec![&product.line])),
                }
            }
        }
        let whole = best.filter(|((lacks, _), _)| *lacks < 10 || asked.len() > 1);
        whole.map(|(_, lines)| lines).unwrap_or_default()
    }

    /// What is asked for, if it is a release of one of these lines and newer than all that is known of it.
    pub(crate) fn newer(&self, query: &Query, lines: &[&str]) -> Option<Newer> {
        let number =
            query.words.iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let asked = Version::new(number);
        let newest = |line: &&str| {
            let line = self.line(line);
            let real = line.into_iter().filter(|product| {
                !product.release.is_prerelease()
                    && product.release.major().is_some()
                    && !product.short().ends_with("unknown")
            });
            real.max_by(|a, b| a.release.cmp(&b.release))
        };
        let all: Vec<&Product> = lines.iter().filter_map(newest).collect();
        // Newer than every line that it may be of; the number counts in the same way as theirs.
        if !all.iter().all(|product| asked > product.release) {
            return None;
        }
        let known = all.first()?;
        let described = self.lines.iter().find(|line| line.name == known.line);
        Some(Newer {
            text: query.text.clone(),
            line: described.map_or_else(|| known.line.clone(), |line| line.title.clone()),
            newest: known.name.clone(),
            short: known.short().to_owned(),
        })
    }
}
