//! A release that a source tells of: a product of its own, or a build of one.

use hospitium_products::{
    Arch, Fact, FactValue, Placed, Product, ProductId, ProductKind, Property, Source, SourceKind,
    Version,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A release, and what one source says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// The product that it is, or is a build of.
    pub product: ProductId,
    /// The product's name for people.
    pub name: String,
    /// The product's short id.
    pub short: String,
    /// Guest or host.
    pub kind: ProductKind,
    /// The line of releases.
    pub line: String,
    /// The product's place in it.
    pub release: Version,
    /// Family of the product, as osinfo-db has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Architectures that it exists for, as far as told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<Arch>,
    /// Which build of the product, if it is one: `6.1.176-1`, `9.8`, the name of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// What is said of it.
    pub facts: Vec<Fact>,
}

/// What a look at a source found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Releases.
    pub releases: Vec<Release>,
    /// What a reader must know of it: whether a signature was checked, what was passed over.
    pub notes: Vec<String>,
}

impl Release {
    /// A product's days as its sources of one kind say; of all kinds if none is named.
    pub fn of_product(product: &Product, kind: Option<SourceKind>) -> Self {
        let fits = |fact: &&Fact| {
            kind.is_none_or(|kind| fact.source.kind == kind) && is_watched(fact.property)
        };
        Self {
            product: product.id.clone(),
            name: product.name.clone(),
            short: product.short().to_owned(),
            kind: product.kind,
            line: product.line.clone(),
            release: product.release.clone(),
            family: product.family.clone(),
            archs: product.archs.clone(),
            build: None,
            facts: product.facts.iter().filter(fits).cloned().collect(),
        }
    }

    /// A release that was seen somewhere and placed in its line: the build, if it is one, and the
    /// product itself, if nobody knew of it before.
    pub fn seen(placed: &Placed, line: &str, build: Option<String>, facts: Vec<Fact>) -> Vec<Self> {
        let of = |build: Option<String>, facts: Vec<Fact>| Self {
            product: placed.id.clone(),
            name: placed.name.clone(),
            short: placed.short.clone(),
            kind: placed.kind,
            line: line.to_owned(),
            release: placed.release.clone(),
            family: String::new(),
            archs: Vec::new(),
            build,
            facts,
        };
        let mut releases = Vec::new();
        if !placed.known || build.is_none() {
            let days: Vec<Fact> =
                facts.iter().filter(|fact| is_watched(fact.property)).cloned().collect();
            // Without a day, there is still who says so.
            releases.push(of(None, if days.is_empty() { facts.clone() } else { days }));
        }
        if build.is_some() {
            releases.push(of(build, facts));
        }
        releases
    }

    /// What tells it apart: the product's id, and the build.
    pub fn key(&self) -> String {
        match &self.build {
            Some(build) => format!("{}#{build}", self.product),
            None => self.product.to_string(),
        }
    }

    /// The day on which it was released, as far as this source says.
    pub fn released(&self) -> Option<Date> {
        self.day(Property::ReleaseDate)
    }

    fn day(&self, property: Property) -> Option<Date> {
        self.facts.iter().filter(|f| f.property == property).find_map(|fact| fact.value.as_date())
    }

    /// Who says it.
    pub fn source(&self) -> Option<&Source> {
        self.facts.first().map(|fact| &fact.source)
    }
}

/// Whether a change of it can change what is owed.
pub fn is_watched(property: Property) -> bool {
    property == Property::ReleaseDate || property.is_end()
}

/// A fact that was seen in an index, a feed or a folder.
pub fn seen_fact(property: Property, value: FactValue, document: &str, file: &str) -> Fact {
    let source = Source {
        kind: SourceKind::Seen,
        document: hospitium_model::printable(document, 300).into(),
        file: hospitium_model::printable(file, 300).into(),
        line: 0,
    };
    Fact { property, value, arch: None, source, note: None }
}
