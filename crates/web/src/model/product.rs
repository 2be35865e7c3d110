//! Products: the lines of releases, and a product with every fact, who says it, and what it is
//! validated on.

use askama::Template;
use hospitium_products::{Product, ProductKind};

use super::{Context, Frame, Row, Text, name, pair_row};
use crate::{Refused, SiteError};

/// Pairs on a product's page.
const PAIRS: usize = 60;
/// Facts on a product's page.
const FACTS: usize = 300;
/// Releases of a line that are shown around a product.
const RELEASES: usize = 60;

/// The page of a product.
#[derive(Debug, Template)]
#[template(path = "product.html")]
pub struct ProductPage {
    frame: Frame,
    title: String,
    kind: &'static str,
    terms: Vec<(&'static str, String)>,
    facts: Vec<Said>,
    more_facts: usize,
    conflicts: usize,
    line: Vec<Release>,
    links_to: Vec<(&'static str, Text)>,
    pairs: Vec<Row>,
    more_pairs: bool,
    of_guest: bool,
    ask: String,
}

/// A fact.
#[derive(Debug)]
struct Said {
    what: &'static str,
    value: String,
    arch: String,
    source: String,
    note: String,
    contradicted: bool,
}

/// A release of the product's line.
#[derive(Debug)]
struct Release {
    title: Text,
    released: String,
    ends: String,
    own: bool,
}

impl ProductPage {
    /// Makes the page of the product whose address ends so.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn new(context: Context<'_>, slug: &str) -> Result<Self, Refused> {
        let Some(product) = context.site.product(slug) else {
            return Err(Refused::NotFound(format!("No product here has this short id: {slug}")));
        };
        let frame = context.frame(1, "products");
        let links = &frame.links;
        let of_guest = product.kind == ProductKind::Guest;
        let conflicts = product.conflicts();
        let mut facts: Vec<&hospitium_products::Fact> = product.facts.iter().collect();
        facts.sort_by_key(|fact| (fact.property, fact.arch.clone(), fact.source.clone()));
        let said = facts.iter().take(FACTS).map(|fact| Said {
            what: fact.property.words(),
            value: name(&fact.value.to_string()),
            arch: fact.arch.as_ref().map_or_else(String::new, |arch| name(arch.as_str())),
            source: name(&fact.source.to_string()),
            note: fact.note.as_deref().map_or_else(String::new, name),
            contradicted: conflicts
                .iter()
                .any(|c| c.property == fact.property && c.arch == fact.arch.as_ref()),
        });
        let links_to = product.links.iter().take(RELEASES).map(|link| {
            let to = context.products().get(&link.to);
            let text = match to {
                Some(to) => Text::link(name(&to.name), links.product(to.short())),
                None => Text::plain(name(link.to.as_str())),
            };
            (link.kind.words(), text)
        });
        let desk = context.site.desk(context.view);
        let (pairs, more_pairs) = desk.pairs_of(of_guest, product, PAIRS).await?;
        let mut terms = vec![("Id", name(product.id.as_str()))];
        let also: Vec<String> = product
            .short_ids
            .iter()
            .map(String::as_str)
            .chain(product.aliases.iter().map(|alias| alias.text.as_str()))
            .take(20)
            .map(name)
            .collect();
        if !also.is_empty() {
            terms.push(("Also called", also.join(", ")));
        }
        if let Some(edition) = &product.edition {
            terms.push(("Edition", name(edition)));
        }
        if !product.archs.is_empty() {
            let archs: Vec<String> = product.archs.iter().map(|arch| name(arch.as_str())).collect();
            terms.push(("Architectures", archs.join(", ")));
        }
        Ok(Self {
            title: name(&product.name),
            kind: if of_guest { "guest" } else { "host" },
            terms,
            facts: said.collect(),
            more_facts: product.facts.len().saturating_sub(FACTS),
            conflicts: conflicts.len(),
            line: line(&context, &frame, product),
            links_to: links_to.collect(),
            pairs: pairs.iter().map(|pair| pair_row(&context, links, pair)).collect(),
            more_pairs,
            of_guest,
            ask: if of_guest { format!("{} on ", product.short()) } else { String::new() },
            frame,
        })
    }
}

/// The releases around a product, of its kind.
fn line(context: &Context<'_>, frame: &Frame, product: &Product) -> Vec<Release> {
    let mut line = context.products().line(&product.line);
    line.retain(|other| other.kind == product.kind);
    let own = line.iter().position(|other| other.id == product.id).unwrap_or_default();
    let from = own.saturating_sub(RELEASES / 2).min(line.len().saturating_sub(RELEASES));
    line.into_iter()
        .skip(from)
        .take(RELEASES)
        .map(|other| {
            let ends = other.end_of_life().map(|fact| name(&fact.value.to_string()));
            let own = other.id == product.id;
            let href = frame.links.product(other.short());
            let title = name(&other.name);
            Release {
                title: if own { Text::plain(title) } else { Text::link(title, href) },
                released: other.released().map_or_else(String::new, |day| day.to_string()),
                ends: ends.unwrap_or_default(),
                own,
            }
        })
        .collect()
}

/// The lines of products.
#[derive(Debug, Template)]
#[template(path = "products.html")]
pub struct ProductsPage {
    frame: Frame,
    tried: Vec<Line>,
    others: Vec<Line>,
    count: String,
}

/// A line of releases.
#[derive(Debug)]
struct Line {
    title: String,
    products: Vec<Text>,
    more: usize,
}

/// Products of a line on the list.
const OF_LINE: usize = 12;

impl ProductsPage {
    /// Makes the page: products with records or obligations first, then the newest of every line.
    ///
    /// # Errors
    /// None at present.
    pub fn new(context: Context<'_>) -> Result<Self, SiteError> {
        let frame = context.frame(0, "products");
        let site = context.site;
        let known = site.of_interest(context.view);
        let mut lines: std::collections::BTreeMap<(bool, &str), Vec<&Product>> = Default::default();
        for product in context.products().iter().filter(|product| product.edition.is_none()) {
            let host = product.kind == ProductKind::Host;
            lines.entry((host, product.line.as_str())).or_default().push(product);
        }
        let (mut tried, mut others) = (Vec::new(), Vec::new());
        for ((host, line), products) in lines {
            let of_interest: Vec<&Product> =
                products.iter().filter(|product| known.contains(&product.id)).copied().collect();
            let title = format!("{}{}", name(line), if host { " (hosts)" } else { "" });
            let link = |product: &Product| {
                Text::link(name(&product.name), frame.links.product(product.short()))
            };
            if !of_interest.is_empty() {
                tried.push(Line {
                    title: title.clone(),
                    products: of_interest.iter().map(|p| link(p)).collect(),
                    more: 0,
                });
            }
            // On the static site only these have a page.
            if context.live {
                let from = products.len().saturating_sub(OF_LINE);
                others.push(Line {
                    title,
                    products: products.iter().skip(from).rev().map(|p| link(p)).collect(),
                    more: from,
                });
            }
        }
        let count = super::home::grouped(context.products().len() as u64);
        Ok(Self { frame, tried, others, count })
    }
}
