//! One look: what the sources say now, held against what was known, and what that obliges to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hospitium_products::{Definitions, Fact, ProductId, Products};
use jiff::civil::Date;
use serde::Serialize;

use crate::oblige::{Deal, Obliged, compare};
use crate::release::is_watched;
use crate::state::{lock, replace};
use crate::{Found, Ground, Options, Release, Source, State, WatchError, overlay};

/// How that is called which is known here without looking elsewhere.
pub(crate) const HERE: &str = "here";

/// What a look found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Look {
    /// The day.
    pub as_of: Date,
    /// Each source, and how reading it went.
    pub sources: Vec<Seen>,
    /// Releases that nobody had told of before.
    pub news: Vec<News>,
    /// Days of known releases that a source now tells differently.
    pub changes: Vec<Change>,
    /// What each agreement has to say to that, in the order in which they were given.
    pub obliged: Vec<Obliged>,
}

/// How reading a source went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// The source.
    pub source: String,
    /// Whether it was read for the first time: then everything in it counts as seen.
    pub first: bool,
    /// How many releases it tells of.
    pub releases: usize,
    /// What a reader must know of it.
    pub notes: Vec<String>,
    /// Why it could not be read, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A release that is new.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct News {
    /// The source that told of it.
    pub source: String,
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// Whether the product was known before, so that this is only another build of it.
    pub known_product: bool,
}

/// Something that a source says differently.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// The source.
    pub source: String,
    /// The product.
    pub product: ProductId,
    /// Its name for people.
    pub name: String,
    /// What was said.
    pub before: Vec<Fact>,
    /// What is said now.
    pub after: Vec<Fact>,
}

impl Look {
    /// Whether there is anything new.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty() || !self.changes.is_empty()
    }

    /// Whether there is something to be done that was not before: an obligation that was created,
    /// or something that holds or is due until an earlier day.
    pub fn obliges(&self) -> bool {
        self.obliged.iter().any(|obliged| {
            !obliged.created.is_empty() || obliged.moved.iter().any(|moved| moved.is_earlier())
        })
    }

    /// Whether a source could not be read.
    pub fn is_partial(&self) -> bool {
        self.sources.iter().any(|source| source.error.is_some())
    }
}

/// Looks once: reads the sources, compares, and replaces what was known and the overlay.
///
/// A source that cannot be read is told and the others are taken in; what it said before stays.
///
/// # Errors
/// What was known cannot be read or kept, somebody else looks with the same file, or the overlay
/// cannot be written.
pub fn look(
    sources: &[Source],
    ground: &Ground,
    options: &Options,
    deals: &[Deal<'_>],
    state: &Path,
    overlay: &Path,
) -> Result<Look, WatchError> {
    let _lock = lock(state)?;
    let before = State::read(state)?;
    let mut read: Vec<(String, Result<Found, WatchError>)> =
        vec![(HERE.to_owned(), Ok(found_here(&ground.products)))];
    for source in sources {
        read.push((source.label(), source.read(ground, options)));
    }
    let (after, mut look) = take_in(&before, read, options.as_of);
    let text = overlay::write(&after, &ground.products);
    let name = overlay.to_string_lossy();
    let now = with(ground, &name, &text)?;
    if look.has_news() && !deals.is_empty() {
        let then = with(ground, &name, &overlay::write(&before, &ground.products))?;
        let (then, changed) = as_it_was(&then, &before, &look);
        look.obliged = deals.iter().map(|deal| compare(deal, &then, &now, &changed)).collect();
    }
    // The overlay first: if the state cannot be kept, the same is told once more.
    replace(overlay, text.as_bytes())?;
    after.write(state)?;
    Ok(look)
}

fn found_here(products: &Products) -> Found {
    let own = products.iter().filter(|product| product.edition.is_none());
    let releases = own.map(|product| Release::of_product(product, None)).collect();
    Found { releases, notes: Vec::new() }
}

/// What is known here, with an overlay.
fn with(ground: &Ground, name: &str, overlay: &str) -> Result<Products, WatchError> {
    let mut builder = ground.builder.clone();
    builder.add_definitions(Definitions::read(name, overlay)?);
    Ok(builder.finish()?)
}

/// Takes in what was read: what is known now, and what is new in it.
fn take_in(
    before: &State,
    read: Vec<(String, Result<Found, WatchError>)>,
    as_of: Date,
) -> (State, Look) {
    let mut after = before.clone();
    let known_products = before.products();
    let mut news: BTreeMap<String, News> = BTreeMap::new();
    let mut changes = Vec::new();
    let mut seen = Vec::new();
    for (label, found) in read {
        let first = !before.sources.contains_key(&label);
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let error = Some(chain(&error));
                seen.push(Seen { source: label, first, releases: 0, notes: Vec::new(), error });
                continue;
            }
        };
        after.sources.entry(label.clone()).or_insert(as_of);
        let releases = found.releases.len();
        for release in found.releases {
            let key = release.key();
            let known = before.releases.get(&key);
            let said = known.and_then(|known| known.said.get(&label));
            match (known, said) {
                // Nobody told of it; but on a first look all that is there counts as seen.
                (None, _) if !first => {
                    let known_product = known_products.contains(&release.product);
                    news.entry(key).or_insert_with(|| News {
                        source: label.clone(),
                        known_product,
                        release: release.clone(),
                    });
                }
                (Some(_), Some(said)) if days(&said.facts) != days(&release.facts) => {
                    let of = |facts: &[Fact]| {
                        facts.iter().filter(|fact| is_watched(fact.property)).cloned().collect()
                    };
                    changes.push(Change {
                        source: label.clone(),
                        product: release.product.clone(),
                        name: release.name.clone(),
                        before: of(&said.facts),
                        after: of(&release.facts),
                    });
                }
                _ => {}
            }
            after.learn(&label, &release, as_of);
        }
        seen.push(Seen { source: label, first, releases, notes: found.notes, error: None });
    }
    let mut news: Vec<News> = news.into_values().collect();
    // Products before builds, each in the order of releases.
    news.sort_by(|a, b| {
        let key = |n: &News| (n.release.build.is_some(), n.release.kind, n.release.line.clone());
        key(a)
            .cmp(&key(b))
            .then_with(|| a.release.release.cmp(&b.release.release))
            .then_with(|| a.release.build.cmp(&b.release.build))
    });
    let look = Look { as_of, sources: seen, news, changes, obliged: Vec::new() };
    (after, look)
}

/// What is said of days, whoever and wherever it stands.
fn days(facts: &[Fact]) -> BTreeSet<(hospitium_products::Property, String)> {
    facts
        .iter()
        .filter(|fact| is_watched(fact.property))
        .map(|fact| (fact.property, fact.value.to_string()))
        .collect()
}

/// The products as they were known before this look, and which have changed since: what is new is
/// taken away, also where it has come to be known here in the meantime, and of what is said
/// differently the old is put back.
fn as_it_was(now: &Products, before: &State, look: &Look) -> (Products, BTreeSet<ProductId>) {
    let new: BTreeSet<&ProductId> = look
        .news
        .iter()
        .filter(|news| !news.known_product && news.release.build.is_none())
        .map(|news| &news.release.product)
        .collect();
    let changed: BTreeSet<&ProductId> = look.changes.iter().map(|change| &change.product).collect();
    let then = now.altered(|product| {
        if new.contains(&product.id) {
            return None;
        }
        let mut product = product.clone();
        let known = before.releases.get(product.id.as_str());
        if let Some(known) = known.filter(|_| changed.contains(&product.id)) {
            product.facts.retain(|fact| !is_watched(fact.property));
            let old = known.facts().map(|(_, fact)| fact);
            product.facts.extend(old.filter(|fact| is_watched(fact.property)).cloned());
        }
        Some(product)
    });
    (then, new.into_iter().chain(changed).cloned().collect())
}

/// An error with its causes, in one line.
fn chain(error: &WatchError) -> String {
    let text = hospitium_model::chain(error);
    hospitium_model::printable(&text.replace('\n', " "), 600)
}

#[cfg(test)]
mod tests;
