//! endoflife.date's cycles: whose they are, and what becomes of those that are nobody's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Builder;
use crate::definition::{Cycles, Line};
use crate::endoflife::{Cycle, EndoflifeProduct};
use crate::{Fact, Link, LinkKind, Product, ProductId, ProductKind, Property, Source, Version};

impl Builder {
    /// Gives the cycles of endoflife.date to the products that they are about.
    pub(super) fn date(&mut self, from: EndoflifeProduct, lines: &[Line]) {
        let line = lines.iter().find(|line| line.endoflife.as_deref() == Some(from.name.as_str()));
        let name = line.map_or(from.name.as_str(), |line| line.name.as_str()).to_owned();
        // A cycle `14` beside a cycle `14.0` is the branch, not the release.
        let zero = |cycle: &Version| {
            cycle.minor() == Some(0)
                && from.cycles.iter().any(|c| c.version != *cycle && c.version.same_release(cycle))
        };
        for cycle in &from.cycles {
            let is_branch = zero(&cycle.version) && !cycle.version.as_str().contains('.');
            let major = is_branch || line.is_some_and(|line| line.cycles == Cycles::Major);
            let fits = |product: &Product| {
                product.line == name
                    && product.edition.is_none()
                    && if major {
                        product.release.is_within(&cycle.version)
                    } else {
                        product.release.same_release(&cycle.version)
                    }
            };
            let mut found: Vec<_> = self.products.values_mut().filter(|p| fits(p)).collect();
            if found.is_empty() {
                if let Some(new) = made_of(cycle, line, &from) {
                    self.products.insert(new.id.clone(), new);
                }
                continue;
            }
            let alone = !major;
            for product in &mut found {
                give(product, cycle, alone, line);
            }
            if let Some(new) = newest_minor(cycle, line, &found) {
                self.products.insert(new.id.clone(), new);
            }
        }
    }

    /// endoflife.date tells of no devices: what only it knows drives what its predecessor does.
    pub(super) fn follow(&mut self, before: &BTreeSet<ProductId>) {
        let mut links = Vec::new();
        for new in self.products.values().filter(|p| !before.contains(&p.id)) {
            let predecessor = self
                .products
                .values()
                .filter(|p| p.line == new.line && p.kind == new.kind && p.edition.is_none())
                // `rhel9-unknown` and the like stand for nothing in particular.
                .filter(|p| !p.short().ends_with("unknown") && p.release < new.release)
                .max_by(|a, b| a.release.cmp(&b.release));
            let said = new.facts.first().map(|fact| fact.source.clone());
            if let (Some(predecessor), Some(source)) = (predecessor, said) {
                let document = "assumed: it drives what its predecessor drives".into();
                let source = Source { document, ..source };
                let (kind, to) = (LinkKind::DerivesFrom, predecessor.id.clone());
                links.push((new.id.clone(), Link { kind, to, source }));
            }
        }
        for (id, link) in links {
            if let Some(product) = self.products.get_mut(&id) {
                product.links.push(link);
            }
        }
    }
}

/// Adds the facts of a cycle to a product; `alone` if the cycle is about this product only.
fn give(product: &mut Product, cycle: &Cycle, alone: bool, line: Option<&Line>) {
    let title = line.map_or(product.line.as_str(), |line| line.title.as_str());
    let wider = !alone && !product.release.as_str().eq(cycle.version.as_str());
    let note: Option<Arc<str>> = wider.then(|| {
        format!("said of all of {title} {}, not of {} alone", cycle.version, product.release).into()
    });
    let latest = cycle.facts.iter().find(|fact| fact.property == Property::Latest);
    let is_latest = latest
        .is_some_and(|fact| Version::new(&fact.value.to_string()).same_release(&product.release));
    for fact in &cycle.facts {
        // What is built in says the same of younger releases, from the same source.
        let known = |known: &Fact| {
            (known.property, &known.value, known.source.kind)
                == (fact.property, &fact.value, fact.source.kind)
        };
        if product.facts.iter().any(known) {
            continue;
        }
        match fact.property {
            // A major version is released with its first minor, and with no other.
            Property::ReleaseDate if wider && !product.release.same_release(&cycle.version) => {}
            Property::ReleaseDate => product.facts.push(Fact { note: None, ..fact.clone() }),
            // When the newest was released is the release of that minor.
            Property::LatestDate if wider && is_latest => {
                let note = Some("as the latest of its major version".into());
                let property = Property::ReleaseDate;
                product.facts.push(Fact { property, note, ..fact.clone() });
            }
            Property::Latest | Property::LatestDate if wider => {}
            _ => product.facts.push(Fact { note: note.clone(), ..fact.clone() }),
        }
    }
}

/// The newest minor of a major version, where no product is that minor yet: what endoflife.date
/// says of the major version is said of it, too.
fn newest_minor(cycle: &Cycle, line: Option<&Line>, known: &[&mut Product]) -> Option<Product> {
    let line = line.filter(|line| line.cycles == Cycles::Major)?;
    let latest =
        cycle.facts.iter().find(|fact| fact.property == Property::Latest)?.value.to_string();
    let version = Version::new(&latest);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_minor = latest.contains('.') && latest.split('.').all(number);
    if !is_minor
        || !version.is_within(&cycle.version)
        || known.iter().any(|product| product.release.same_release(&version))
    {
        return None;
    }
    let id = format!("{}{latest}", line.ids.first()?).parse().ok()?;
    let name = format!("{} {latest}", line.title);
    let mut product = Product::new(id, line.kind, name, line.name.clone(), version);
    product.family.clone_from(&line.family);
    product.short_ids.push(format!("{}{latest}", line.name));
    give(&mut product, cycle, false, Some(line));
    Some(product)
}

/// A product that only endoflife.date knows.
fn made_of(cycle: &Cycle, line: Option<&Line>, from: &EndoflifeProduct) -> Option<Product> {
    let slug: String = cycle
        .version
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' })
        .collect();
    let prefix = line.and_then(|line| line.ids.first());
    let id = match prefix {
        Some(prefix) => format!("{prefix}{slug}"),
        None => format!("https://endoflife.date/{}/{slug}", from.name),
    };
    let id: ProductId = id.parse().ok()?;
    let title = line.map(|l| l.title.clone()).or_else(|| from.title.clone());
    let title = title.unwrap_or_else(|| from.name.clone());
    let name = match &cycle.label {
        Some(label) if label.to_lowercase().contains(&title.to_lowercase()) => label.clone(),
        Some(label) if label.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{title} {label}")
        }
        _ => format!("{title} {}", cycle.version),
    };
    let kind = line.map_or(ProductKind::Guest, |line| line.kind);
    let apart = line.and_then(|line| {
        line.apart.iter().find(|apart| cycle.version.as_str().ends_with(&apart.ends_with))
    });
    let line_name = match (apart, line) {
        (Some(apart), _) => apart.line.clone(),
        (None, Some(line)) => line.name.clone(),
        (None, None) => from.name.clone(),
    };
    let mut product = Product::new(id, kind, name, line_name, cycle.version.clone());
    product.family = line.map(|line| line.family.clone()).unwrap_or_default();
    if let Some(line) = line {
        product.short_ids.push(format!("{}{slug}", line.name));
    }
    product.facts.clone_from(&cycle.facts);
    Some(product)
}
