//! Adding up entries of one product, its place and names in its line, and what it inherits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::definition::Line;
use crate::{Alias, Fact, LinkKind, Product, ProductId, Property, Source, SourceKind, Version};

/// Adds up two entries of one product.
pub(super) fn merge(products: &mut BTreeMap<ProductId, Product>, new: Product) {
    let Some(known) = products.get_mut(&new.id) else {
        products.insert(new.id.clone(), new);
        return;
    };
    for (known, new) in
        [(&mut known.name, new.name), (&mut known.line, new.line), (&mut known.family, new.family)]
    {
        if known.is_empty() {
            *known = new;
        }
    }
    if known.release.as_str().is_empty() {
        known.release = new.release;
    }
    for short in new.short_ids {
        if !known.short_ids.contains(&short) {
            known.short_ids.push(short);
        }
    }
    for fact in new.facts {
        // Files that add drivers repeat the names.
        if !known
            .facts
            .iter()
            .any(|f| (f.property, &f.value, &f.arch) == (fact.property, &fact.value, &fact.arch))
        {
            known.facts.push(fact);
        }
    }
    for arch in new.archs {
        if !known.archs.contains(&arch) {
            known.archs.push(arch);
        }
    }
    known.links.extend(new.links);
    known.devices.extend(new.devices);
    known.firmware.extend(new.firmware);
    known.inherits_limits |= new.inherits_limits;
}

/// The line whose ids this one is of; the longest beginning wins.
pub(super) fn line_of<'a>(id: &str, lines: &'a [Line]) -> Option<&'a Line> {
    lines
        .iter()
        .flat_map(|line| line.ids.iter().map(move |prefix| (prefix, line)))
        .filter(|(prefix, _)| id.starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, line)| line)
}

pub(super) fn place_in_line(product: &mut Product, lines: &[Line]) {
    let Some(line) = line_of(product.id.as_str(), lines) else { return };
    product.line.clone_from(&line.name);
    if line.release_in_name
        && let Some(rest) = product.name.strip_prefix(&line.title)
        && !rest.trim().is_empty()
    {
        product.release = Version::new(rest);
    }
}

/// Gives each product the names that its line makes up: `rhel 5.3`, `debian bookworm`.
pub(super) fn name_by_line(product: &mut Product, lines: &[Line]) {
    let Some(line) = lines.iter().find(|line| line.name == product.line) else { return };
    let source = |document: &str| Source {
        kind: SourceKind::Definition,
        document: document.into(),
        file: "products/lines.toml".into(),
        line: 0,
    };
    let by_fact = product.said(Property::Codename).into_iter().map(|fact| {
        let name = fact.value.to_string();
        (name.split_whitespace().next().unwrap_or_default().to_lowercase(), fact.source.clone())
    });
    let by_line = line
        .codenames
        .iter()
        .filter(|codename| Version::new(&codename.release).same_release(&product.release))
        .map(|codename| (codename.name.to_lowercase(), source(&codename.source)));
    let mut named: Vec<(String, Source)> = by_fact.chain(by_line).collect();
    named.retain(|(name, _)| !name.is_empty());
    for (name, source) in named {
        let text = format!("{} {name}", line.name);
        if product.edition.is_none() && !product.aliases.iter().any(|a| a.text == text) {
            product.aliases.push(Alias { text, source });
        }
    }
}

/// What is not said of a service pack, an edition, or a product with `inherit="true"` is as said
/// of what it comes from.
pub(super) fn spread(products: &mut BTreeMap<ProductId, Product>) {
    // Chains are short (an edition of a service pack of a base); each pass goes one step further.
    for _ in 0..4 {
        let mut changes = Vec::new();
        for product in products.values() {
            let parents = product.links.iter().filter(|link| match link.kind {
                LinkKind::ServicePackOf | LinkKind::EditionOf => true,
                LinkKind::DerivesFrom | LinkKind::Clones => product.inherits_limits,
                // A hypervisor lives as long as the system that it is delivered in.
                LinkKind::PartOf => true,
                LinkKind::Upgrades => false,
            });
            for parent in parents.filter_map(|link| Some((link.kind, products.get(&link.to)?))) {
                let (kind, parent) = parent;
                let missing = |fact: &&Fact| {
                    let wide = matches!(kind, LinkKind::ServicePackOf | LinkKind::EditionOf);
                    let life = matches!(
                        fact.property,
                        Property::EndOfFullSupport
                            | Property::EndOfLife
                            | Property::EndOfExtendedSupport
                    );
                    let copied = match fact.property {
                        _ if kind == LinkKind::PartOf => life,
                        Property::Name | Property::Variant => false,
                        // A service pack has days of its own.
                        Property::ReleaseDate | Property::Latest | Property::LatestDate => {
                            kind == LinkKind::EditionOf
                        }
                        property => wide || property.is_limit(),
                    };
                    copied && !product.facts.iter().any(|f| f.property == fact.property)
                };
                let note: Arc<str> = format!("said of {}", parent.name).into();
                let facts: Vec<Fact> = parent
                    .facts
                    .iter()
                    .filter(missing)
                    .map(|fact| Fact {
                        note: fact.note.clone().or_else(|| Some(note.clone())),
                        ..fact.clone()
                    })
                    .collect();
                if !facts.is_empty() {
                    changes.push((product.id.clone(), facts));
                }
            }
        }
        if changes.is_empty() {
            return;
        }
        for (id, facts) in changes {
            if let Some(product) = products.get_mut(&id) {
                product.facts.extend(facts);
            }
        }
    }
}
