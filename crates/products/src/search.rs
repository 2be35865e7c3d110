//! Finding products by what people write, with the reason for each answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::definition::Line;
use crate::error::printable;
use crate::newer::Newer;
use crate::words::{self, MISSING, Phrase, Query, weight};
use crate::{Product, ProductId, ProductKind, Products, Version};

/// Most candidates that are given.
const MOST: usize = 12;
/// What one answer must be better by than the next to be taken for the one that was meant.
const MARGIN: u32 = 35;
/// Cost of a word that was taken for another.
const TYPO: u32 = 50;
/// Cost of a version that covers the product's: 5 for 5.3.
const COVERS: u32 = 60;
/// Cost of a version that is more exact than any product: 6.12.117 for 6.12.
const BEYOND: u32 = 120;

/// The names of all products, cut into words.
#[derive(Debug, Default)]
pub(crate) struct Index {
    phrases: Vec<Phrase>,
    pub(crate) entries: Vec<Entry>,
    /// Names as written, in lower case.
    exact: HashMap<String, Vec<usize>>,
    /// Words and how often names have them.
    vocabulary: BTreeMap<String, u32>,
    /// Words and the entries that have them.
    having: HashMap<String, BTreeSet<usize>>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: ProductId,
    pub(crate) kind: ProductKind,
    /// The words of each name.
    pub(crate) names: Vec<Vec<String>>,
}

impl Index {
    pub(crate) fn new(products: &BTreeMap<ProductId, Product>, lines: &[Line]) -> Self {
        let list = |text: &str| words::words(text, &[]).0;
        let mut phrases: Vec<Phrase> = vec![
            (list("hyper v"), vec!["hyperv".into()]),
            (vec!["esx".into(), "i".into()], vec!["esxi".into()]),
        ];
        for line in lines {
            // `vmware server` is two words that nobody misses: together they are a name.
            let mut name = list(&line.name);
            let telling = |word: &String| weight(word, true) >= MISSING;
            if !name.iter().any(telling) {
                name = vec![name.concat()];
            }
            for phrase in &line.words {
                phrases.push((list(phrase), name.clone()));
            }
        }
        phrases.retain(|(from, _)| !from.is_empty());
        let mut index = Self { phrases, ..Self::default() };
        for (number, product) in products.values().enumerate() {
            let mut names: Vec<Vec<String>> = Vec::new();
            let by_line = format!("{} {}", product.line, product.release);
            let titled = lines.iter().find(|line| line.name == product.line);
            let titled = titled.map(|line| format!("{} {}", line.title, product.release));
            let of_line = product.edition.is_none().then_some([Some(by_line), titled]);
            let made = of_line.into_iter().flatten().flatten();
            for name in product.names() {
                let exact = index.exact.entry(name.trim().to_lowercase()).or_default();
                if exact.last() != Some(&number) {
                    exact.push(number);
                }
            }
            for name in product.names().map(str::to_owned).chain(made) {
                if name.contains("://") {
                    continue;
                }
                let (mut cut, _) = words::words(&name, &index.phrases);
                cut.sort();
                if !cut.is_empty() && !names.contains(&cut) {
                    names.push(cut);
                }
            }
            for word in names.iter().flatten() {
                *index.vocabulary.entry(word.clone()).or_default() += 1;
                index.having.entry(word.clone()).or_default().insert(number);
            }
            index.entries.push(Entry { id: product.id.clone(), kind: product.kind, names });
        }
        index
    }

    /// Cuts a question into words and puts right what is misspelt.
    fn query(&self, text: &str) -> Query {
        let (found, arch) = words::words(text, &self.phrases);
        let mut query = Query {
            text: printable(text, 200),
            words: Vec::new(),
            arch,
            edition: None,
            corrected: Vec::new(),
        };
        let mut put_right = Vec::new();
        for word in found {
            match self.spelling(&word) {
                Some(right) => {
                    query.corrected.push((word, right.clone()));
                    put_right.push(right);
                }
                None => put_right.push(word),
            }
        }
        // What was misspelt may be part of a phrase: `red hat enterprize linux`.
        query.words = match query.corrected.is_empty() {
            true => put_right,
            false => words::words(&put_right.join(" "), &self.phrases).0,
        };
        query
    }

    /// The entries that can fit: those that have every telling word of the question; if there are
    /// none, those that have any; if there are none, all.
    fn within_reach(&self, query: &Query) -> BTreeSet<usize> {
        let nothing = BTreeSet::new();
        let telling = |word: &&String| {
            weight(word, true) >= MISSING && !word.starts_with(|c: char| c.is_ascii_digit())
        };
        let sets: Vec<_> = query
            .words
            .iter()
            .filter(telling)
            .map(|word| self.having.get(word).unwrap_or(&nothing))
            .collect();
        let mut every = sets.first().map_or_else(BTreeSet::new, |set| (*set).clone());
        every.retain(|number| sets.iter().all(|set| set.contains(number)));
        if every.is_empty() {
            every = sets.into_iter().flatten().copied().collect();
        }
        if every.is_empty() { (0..self.entries.len()).collect() } else { every }
    }

    /// The word that is meant, if this one is none.
    fn spelling(&self, word: &str) -> Option<String> {
        let length = word.chars().count();
        let known = self.vocabulary.contains_key(word)
            || words::is_edition(word)
            || self.phrases.iter().any(|(from, _)| from.iter().any(|w| w == word))
            || word.starts_with(|c: char| c.is_ascii_digit());
        let most = match length {
            0..=3 => 0,
            4..=6 => 1,
            _ => 2,
        };
        if known || most == 0 {
            return None;
        }
        let of_phrases = self.phrases.iter().flat_map(|(from, _)| from).map(|word| (word, &1));
        self.vocabulary
            .iter()
            .chain(of_phrases)
            .filter(|(other, _)| other.chars().count().abs_diff(length) <= most)
            .filter(|(other, _)| !other.starts_with(|c: char| c.is_ascii_digit()))
            .map(|(other, count)| {
                (strsim::osa_distance(word, other), std::cmp::Reverse(*count), other)
            })
            .filter(|(distance, _, _)| *distance <= most)
            .min()
            .map(|(_, _, other)| other.clone())
    }
}

/// What a search found.
#[derive(Debug, Clone, Serialize)]
pub struct Found<'a> {
    /// The question, as it was understood.
    pub query: Query,
    /// Products, the best first.
    pub candidates: Vec<Candidate<'a>>,
    /// Whether the first is what was meant, without doubt.
    pub decided: bool,
    /// Set if a release is asked for that is newer than all that is known of its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
}

/// A product that a search found.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate<'a> {
    /// The product.
    #[serde(serialize_with = "by_id")]
    pub product: &'a Product,
    /// How far it is from the question; 0 is one of its names.
    pub distance: u32,
    /// Why it is here, and what does not fit.
    pub reasons: Vec<String>,
}

fn by_id<S: serde::Serializer>(product: &&Product, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(product.id.as_str())
}

/// Why no single product is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing fits.
    #[error("no product is called {text:?}{}", hint(.nearest))]
    Unknown {
        /// What was asked for.
        text: String,
        /// Short ids of what comes nearest.
        nearest: Vec<String>,
    },
    /// It is newer than all that is known of its line.
    #[error("{}", .0.words())]
    Newer(Newer),
    /// Several fit.
    #[error("{text:?} may be any of {}; name one of them", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// Short ids of those that fit.
        candidates: Vec<String>,
    },
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        some => format!("; nearest are {}", some.join(", ")),
    }
}

impl Products {
    /// Finds products by what people write: names, short ids, aliases, ids, in any order of words,
    /// with misspelt words and without the words that nobody writes.
    pub fn search(&self, text: &str) -> Found<'_> {
        self.search_kind(text, None)
    }

    /// The same among guests or hosts only.
    pub fn search_kind(&self, text: &str, kind: Option<ProductKind>) -> Found<'_> {
        let index = &self.index;
        let mut query = index.query(text);
        let fits = |entry: &&Entry| kind.is_none_or(|kind| kind == entry.kind);
        let exact = index.exact.get(&text.trim().to_lowercase());
        let exact: Vec<&Product> = exact
            .into_iter()
            .flatten()
            .filter_map(|number| index.entries.get(*number))
            .filter(fits)
            .filter_map(|entry| self.get(&entry.id))
            .collect();
        let mut candidates: Vec<Candidate<'_>> = index
            .within_reach(&query)
            .into_iter()
            .filter_map(|number| index.entries.get(number))
            .filter(fits)
            .filter_map(|entry| {
                let product = self.get(&entry.id)?;
                let (distance, reasons) =
                    entry.names.iter().filter_map(|name| compare(&query, name)).min()?;
                Some(Candidate { product, distance, reasons })
            })
            .collect();
        let named = |c: &Candidate<'_>| exact.iter().any(|p| p.id == c.product.id);
        for product in &exact {
            match candidates.iter_mut().find(|c| c.product.id == product.id) {
                Some(found) => found.distance = 0,
                None => candidates.push(Candidate { product, distance: 0, reasons: Vec::new() }),
            }
        }
        candidates.sort_by_cached_key(|c| {
            (
                !named(c),
                c.distance,
                c.product.line.clone(),
                c.product.release.clone(),
                c.product.id.clone(),
            )
        });
        for candidate in candidates.iter_mut().filter(|c| c.distance == 0 && c.reasons.is_empty()) {
            candidate.reasons.push("its name".into());
        }
        // Where something fits fully, what lacks a word that was asked for is of no use.
        let mut newer = None;
        if candidates.first().is_some_and(|best| best.distance < MISSING) {
            candidates.retain(|c| c.distance < MISSING);
        } else {
            let alike = self.alike(&query, kind);
            newer = self.newer(&query, &alike);
            // What has nothing but a number in common with what was asked for is no help.
            match &newer {
                Some(newer) => candidates.retain(|c| c.product.short() == newer.short),
                None => candidates.retain(|c| alike.contains(&c.product.line.as_str())),
            }
            candidates.truncate(5);
        }
        let decided = match candidates.as_slice() {
            [] => false,
            _ if exact.len() == 1 => true,
            [best] => best.distance < MISSING,
            [best, next, ..] => {
                // An edition that no product is of is missing in each of them.
                let name = best.product.name.to_lowercase();
                let lost = |w: &&String| words::is_edition(w) && !name.contains(w.as_str());
                let editions = query.words.iter().filter(lost);
                let missing: u32 = editions.map(|word| weight(word, true)).sum();
                let clear = best.distance == missing && next.distance > missing;
                exact.is_empty()
                    && best.distance < MISSING
                    && (clear || best.distance + MARGIN <= next.distance)
            }
        };
        if let Some(best) = candidates.first() {
            let name = best.product.edition.as_deref().unwrap_or_default().to_lowercase();
            let edition = query.words.iter().find(|word| {
                words::is_edition(word)
                    && !name.contains(word.as_str())
                    && !best.product.name.to_lowercase().contains(word.as_str())
            });
            query.edition = edition.cloned();
        }
        candidates.truncate(MOST);
        Found { query, candidates, decided, newer }
    }

    /// The one product that a text means.
    ///
    /// # Errors
    /// Nothing fits, or several things do.
    pub fn resolve(&self, text: &str) -> Result<&Product, ResolveError> {
        self.resolve_kind(text, None)
    }

    /// The same among guests or hosts only.
    ///
    /// # Errors
    /// Nothing fits, or several things do.
    pub fn resolve_kind(
        &self,
        text: &str,
        kind: Option<ProductKind>,
    ) -> Result<&Product, ResolveError> {
        let found = self.search_kind(text, kind);
        let shorts = |far: bool| {
            let fits = |c: &&Candidate<'_>| (c.distance >= MISSING) == far;
            found.candidates.iter().filter(fits).map(|c| c.product.short().to_owned()).collect()
        };
        match found.candidates.first() {
            Some(best) if found.decided => Ok(best.product),
            Some(best) if best.distance < MISSING => Err(ResolveError::Ambiguous {
                text: found.query.text.clone(),
                candidates: shorts(false),
            }),
            _ if found.newer.is_some() => Err(found.newer.map_or_else(
                || ResolveError::Unknown { text: found.query.text.clone(), nearest: Vec::new() },
                ResolveError::Newer,
            )),
            _ => {
                Err(ResolveError::Unknown { text: found.query.text.clone(), nearest: shorts(true) })
            }
        }
    }
}

/// How far a name is from a question, and why; nothing if they have nothing in common.
fn compare(query: &Query, name: &[String]) -> Option<(u32, Vec<String>)> {
    let mut left: Vec<&String> = name.iter().collect();
    let mut distance = 0_u32;
    let mut reasons = Vec::new();
    let mut common = 0_u32;
    let mut open = Vec::new();
    for word in &query.words {
        match left.iter().position(|other| *other == word) {
            Some(at) => {
                left.swap_remove(at);
                common += u32::from(weight(word, true) >= MISSING);
            }
            None => open.push(word),
        }
    }
    for word in open {
        let near = left
            .iter()
            .enumerate()
            .filter_map(|(at, other)| Some((version_distance(word, other)?, at)))
            .min();
        match near {
            Some((cost, at)) => {
                let other = left.swap_remove(at);
                distance += cost;
                common += 1;
                match cost {
                    COVERS => reasons.push(format!("{word} covers {other}")),
                    BEYOND => {
                        reasons.push(format!("nothing is as exact as {word}; {other} covers it"))
                    }
                    _ => {}
                }
            }
            None => {
                distance += weight(word, true);
                match words::is_edition(word) {
                    true => reasons.push(format!("no product is of the edition {word:?}")),
                    false if weight(word, true) >= MISSING => {
                        reasons.push(format!("{word:?} is not in its names"));
                    }
                    false => {}
                }
            }
        }
    }
    if common == 0 {
        return None;
    }
    left.sort();
    for word in left {
        distance += weight(word, false);
        if weight(word, false) > 20 {
            reasons.push(format!("it is also {word:?}"));
        }
    }
    for (written, taken) in &query.corrected {
        distance += TYPO;
        reasons.push(format!("{written:?} taken for {taken:?}"));
    }
    Some((distance, reasons))
}

/// How far one version is from another, if one covers the other.
fn version_distance(asked: &str, has: &str) -> Option<u32> {
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if !number(asked) || !number(has) {
        return None;
    }
    let (a, b) = (Version::new(asked), Version::new(has));
    if a.same_release(&b) {
        // `10.04` is a month of a year, and no 10.4.
        let plain = |text: &str| text.trim_end_matches(['.', '0']).to_owned();
        let alike = plain(asked) == plain(has);
        // `5` may well be meant as all of 5, and not as 5.0.
        return Some(if asked.contains('.') && alike { 1 } else { COVERS });
    }
    if b.is_within(&a) {
        Some(COVERS)
    } else if a.is_within(&b) {
        Some(BEYOND)
    } else {
        None
    }
}
