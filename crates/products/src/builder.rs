//! Puts what the sources say together: merges, maps cycles to products, spreads what is inherited.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use crate::definition::{Cycles, Definition, Definitions, Implied, Line};
use crate::endoflife::{Cycle, EndoflifeProduct};
use crate::osinfo::Osinfo;
use crate::search::Index;
use crate::{
    Alias, Deployment, Device, DeviceId, Fact, FormError, Link, LinkKind, Product, ProductId,
    ProductKind, Products, ProductsError, Property, Source, SourceKind, Sources, Version, file,
};

/// Largest definition file that is read.
const LARGEST: u64 = 1 << 20;

/// The definitions that are built in: file name and text.
const BUILT_IN: [(&str, &str); 6] = [
    ("products/lines.toml", include_str!("../../../products/lines.toml")),
    ("products/windows.toml", include_str!("../../../products/windows.toml")),
    ("products/linux.toml", include_str!("../../../products/linux.toml")),
    ("products/hosts.toml", include_str!("../../../products/hosts.toml")),
    ("products/qemu.toml", include_str!("../../../products/qemu.toml")),
    ("products/devices.toml", include_str!("../../../products/devices.toml")),
];

/// Collects what sources say, in any order, and makes [`Products`] of it.
#[derive(Debug, Default)]
pub struct Builder {
    products: BTreeMap<ProductId, Product>,
    devices: BTreeMap<DeviceId, Device>,
    deployments: Vec<Deployment>,
    definitions: Vec<Definitions>,
    endoflife: Vec<EndoflifeProduct>,
}

impl Products {
    /// Reads all sources, the built-in definitions among them.
    pub fn load(sources: &Sources) -> Result<Self, ProductsError> {
        let mut builder = Builder::with_built_in()?;
        if let Some(folder) = &sources.osinfo {
            builder.add_osinfo(Osinfo::read(folder)?);
        }
        if let Some(folder) = &sources.definitions {
            for path in file::below(folder, &["toml"])? {
                let text = file::text(&path, LARGEST)?;
                builder.add_definitions(Definitions::read(&path.to_string_lossy(), &text)?);
            }
        }
        if let Some(place) = &sources.endoflife {
            for product in crate::fetch::endoflife(place)? {
                builder.add_endoflife(product);
            }
        }
        Ok(builder.finish()?)
    }
}

impl Builder {
    /// One that knows nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One that knows what is built in.
    pub fn with_built_in() -> Result<Self, FormError> {
        let mut builder = Self::default();
        for (name, text) in BUILT_IN {
            builder.add_definitions(Definitions::read(name, text)?);
        }
        Ok(builder)
    }

    /// Adds what osinfo-db says.
    pub fn add_osinfo(&mut self, osinfo: Osinfo) {
        for product in osinfo.products {
            merge(&mut self.products, product);
        }
        for device in osinfo.devices {
            let known = self.devices.entry(device.id.clone()).or_insert_with(|| device.clone());
            for (known, new) in [
                (&mut known.name, &device.name),
                (&mut known.class, &device.class),
                (&mut known.vendor, &device.vendor),
                (&mut known.product, &device.product),
            ] {
                if known.is_empty() {
                    known.clone_from(new);
                }
            }
        }
        self.deployments.extend(osinfo.deployments);
    }

    /// Adds definitions.
    pub fn add_definitions(&mut self, definitions: Definitions) {
        self.definitions.push(definitions);
    }

    /// Adds a product of endoflife.date.
    pub fn add_endoflife(&mut self, product: EndoflifeProduct) {
        self.endoflife.push(product);
    }

    /// Puts it all together.
    ///
    /// # Errors
    /// A definition that contradicts its own form: an unknown line, a new product without a name.
    pub fn finish(mut self) -> Result<Products, FormError> {
        let definitions = std::mem::take(&mut self.definitions);
        let lines: Vec<Line> = definitions.iter().flat_map(|d| d.line.clone()).collect();
        for product in self.products.values_mut() {
            place_in_line(product, &lines);
        }
        let mut implied: Vec<(Implied, Source)> = Vec::new();
        for definitions in &definitions {
            for definition in &definitions.product {
                self.define(definitions, definition, &lines)?;
            }
            for device in &definitions.device {
                let source = definitions.source(&device.get_ref().source, device);
                let device = device.get_ref().clone();
                self.devices.entry(device.id.clone()).or_insert(Device {
                    id: device.id,
                    name: device.name,
                    class: device.class,
                    bus: device.bus,
                    vendor: device.vendor,
                    product: device.product,
                    source,
                });
            }
            for entry in &definitions.implied {
                let source = definitions.source(&entry.get_ref().source, entry);
                implied.push((entry.get_ref().clone(), source));
            }
        }
        let before: BTreeSet<ProductId> = self.products.keys().cloned().collect();
        for product in std::mem::take(&mut self.endoflife) {
            self.date(product, &lines);
        }
        self.follow(&before);
        spread(&mut self.products);
        for product in self.products.values_mut() {
            name_by_line(product, &lines);
        }
        let index = Index::new(&self.products, &lines);
        Ok(Products {
            products: self.products,
            devices: self.devices,
            deployments: self.deployments,
            lines,
            implied,
            index,
        })
    }

    /// Makes a defined product, or adds to one.
    fn define(
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
                crate::definition::AliasDefinition::Plain(text) => (text, &inner.source),
                crate::definition::AliasDefinition::Sourced { name, source } => (name, source),
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

    /// endoflife.date tells of no devices: what only it knows drives what its predecessor does.
    fn follow(&mut self, before: &BTreeSet<ProductId>) {
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

    /// Gives the cycles of endoflife.date to the products that they are about.
    fn date(&mut self, from: EndoflifeProduct, lines: &[Line]) {
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
        }
    }
}

/// Adds the facts of a cycle to a product; `alone` if the cycle is about this product only.
fn give(product: &mut Product, cycle: &Cycle, alone: bool, line: Option<&Line>) {
    let title = line.map_or(product.line.as_str(), |line| line.title.as_str());
    let wider = !alone && !product.release.as_str().eq(cycle.version.as_str());
    let note: Option<std::sync::Arc<str>> = wider.then(|| {
        format!("said of all of {title} {}, not of {} alone", cycle.version, product.release).into()
    });
    let latest = cycle.facts.iter().find(|fact| fact.property == Property::Latest);
    let is_latest = latest
        .is_some_and(|fact| Version::new(&fact.value.to_string()).same_release(&product.release));
    for fact in &cycle.facts {
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

/// Adds up two entries of one product.
fn merge(products: &mut BTreeMap<ProductId, Product>, new: Product) {
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
fn line_of<'a>(id: &str, lines: &'a [Line]) -> Option<&'a Line> {
    lines
        .iter()
        .flat_map(|line| line.ids.iter().map(move |prefix| (prefix, line)))
        .filter(|(prefix, _)| id.starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, line)| line)
}

fn place_in_line(product: &mut Product, lines: &[Line]) {
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
fn name_by_line(product: &mut Product, lines: &[Line]) {
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
fn spread(products: &mut BTreeMap<ProductId, Product>) {
    // Chains are short (an edition of a service pack of a base); each pass goes one step further.
    for _ in 0..4 {
        let mut changes = Vec::new();
        for product in products.values() {
            let parents = product.links.iter().filter(|link| match link.kind {
                LinkKind::ServicePackOf | LinkKind::EditionOf => true,
                LinkKind::DerivesFrom | LinkKind::Clones => product.inherits_limits,
                LinkKind::Upgrades | LinkKind::PartOf => false,
            });
            for parent in parents.filter_map(|link| Some((link.kind, products.get(&link.to)?))) {
                let (kind, parent) = parent;
                let missing = |fact: &&Fact| {
                    let wide = matches!(kind, LinkKind::ServicePackOf | LinkKind::EditionOf);
                    let copied = match fact.property {
                        Property::Name | Property::Variant => false,
                        // A service pack has days of its own.
                        Property::ReleaseDate | Property::Latest | Property::LatestDate => {
                            kind == LinkKind::EditionOf
                        }
                        property => wide || property.is_limit(),
                    };
                    copied && !product.facts.iter().any(|f| f.property == fact.property)
                };
                let note: std::sync::Arc<str> = format!("said of {}", parent.name).into();
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
