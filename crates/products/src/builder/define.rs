//! Products as definitions make them, and their editions.

use toml::Spanned;

use super::Builder;
use super::merge::line_of;
use crate::definition::{AliasDefinition, Definition, Definitions, Line};
use crate::{Alias, FormError, Link, LinkKind, Product, ProductId, ProductKind, Version};

impl Builder {
    /// Makes a defined product, or adds to one.
    pub(super) fn define(
        &mut self,
        file: &Definitions,
        definition: &Spanned<Definition>,
        lines: &[Line],
    ) -> Result<(), FormError> {
        let inner = definition.get_ref();
        let id = inner.id.get_ref();
        if let Some(line) = &inner.line
            && !lines.iter().any(|known| known.name == *line)
        {
            return Err(file.wrong(&inner.id, format!("no line is named {line:?}; add a [[line]]")));
        }
        let mut product = match (self.products.remove(id), &inner.name) {
            (Some(known), _) => known,
            (None, Some(name)) => {
                let line = line_of(id.as_str(), lines);
                let kind = inner.kind.or(line.map(|l| l.kind)).unwrap_or(ProductKind::Guest);
                let mut new = Product::new(
                    id.clone(),
                    kind,
                    name.clone(),
                    line.map(|line| line.name.clone()).unwrap_or_default(),
                    Version::new(""),
                );
                new.family = line.map(|line| line.family.clone()).unwrap_or_default();
                new
            }
            // More about a product of osinfo-db, which is not at hand.
            (None, None) => return Ok(()),
        };
        let source = file.source(&inner.source, &inner.id);
        product.short_ids.extend(inner.short_ids.iter().cloned());
        if let Some(name) = &inner.name {
            product.name.clone_from(name);
        }
        if let Some(line) = &inner.line {
            product.line.clone_from(line);
        }
        if let Some(release) = inner.version() {
            product.release = release;
        }
        if let Some(family) = &inner.family {
            product.family.clone_from(family);
        }
        if let Some(kind) = inner.kind {
            product.kind = kind;
        }
        for arch in inner.archs.iter().map(|arch| crate::Arch::new(arch)) {
            if !product.archs.contains(&arch) {
                product.archs.push(arch);
            }
        }
        for alias in &inner.aliases {
            let (text, source) = match alias.get_ref() {
                AliasDefinition::Plain(text) => (text, &inner.source),
                AliasDefinition::Sourced { name, source } => (name, source),
            };
            let source = file.source(source, alias);
            product.aliases.push(Alias { text: text.clone(), source });
        }
        for (kind, to) in inner.links() {
            product.links.push(inner.link(kind, to, source.clone()));
        }
        for fact in &inner.facts {
            product.facts.push(file.fact(fact, &inner.source)?);
        }
        for used in &inner.devices {
            product.devices.extend(file.device_statements(used, &inner.source));
        }
        for used in &inner.firmware {
            product.firmware.push(file.firmware_statement(used, &inner.source));
        }
        for edition in &inner.editions {
            let words = &edition.get_ref().name;
            let slug: String = words
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            let id: ProductId = format!("{}/{slug}", product.id)
                .parse()
                .map_err(|error: crate::IdError| file.wrong(edition, error.to_string()))?;
            let mut new = Product::new(
                id.clone(),
                product.kind,
                format!("{} {words}", product.name),
                product.line.clone(),
                product.release.clone(),
            );
            new.family.clone_from(&product.family);
            new.archs.clone_from(&product.archs);
            new.edition = Some(words.clone());
            new.short_ids.extend(product.short_ids.first().map(|base| format!("{base}-{slug}")));
            let said = file.source(&inner.source, edition);
            new.links.push(Link {
                kind: LinkKind::EditionOf,
                to: product.id.clone(),
                source: said,
            });
            for fact in &edition.get_ref().facts {
                new.facts.push(file.fact(fact, &inner.source)?);
            }
            self.products.insert(id, new);
        }
        self.products.insert(product.id.clone(), product);
        Ok(())
    }
}
