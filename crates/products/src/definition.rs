//! Definitions: what neither osinfo-db nor endoflife.date has, as TOML, each value with its source.
//!
//! A file holds any number of `[[line]]` (a line of releases and how other sources call it),
//! `[[product]]` (a new product, or more about one that osinfo-db has), `[[device]]` and
//! `[[implied]]` (devices that whole generations of systems drive).

use std::sync::Arc;

use hospitium_model::Firmware;
use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use crate::error::printable;
use crate::{
    Arch, DeviceId, DeviceStatement, Fact, FactValue, FirmwareStatement, FormError, Link, LinkKind,
    ProductId, ProductKind, Property, Source, SourceKind, Version,
};

/// What one file says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definitions {
    /// Lines of releases.
    #[serde(default)]
    pub(crate) line: Vec<Line>,
    /// Products.
    #[serde(default)]
    pub(crate) product: Vec<Spanned<Definition>>,
    /// Devices.
    #[serde(default)]
    pub(crate) device: Vec<Spanned<DeviceDefinition>>,
    /// Devices that generations of systems drive.
    #[serde(default)]
    pub(crate) implied: Vec<Spanned<Implied>>,
    #[serde(skip)]
    pub(crate) file: Arc<str>,
    #[serde(skip)]
    pub(crate) text: String,
    /// Where the lines of the text end.
    #[serde(skip)]
    ends: Vec<usize>,
}

/// A line of releases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Line {
    /// Its name in our files.
    pub name: String,
    /// The product's name without its version.
    pub title: String,
    /// Guest or host.
    #[serde(default = "guest")]
    pub kind: ProductKind,
    /// What ids of its products begin with; the first is used for new ones.
    pub ids: Vec<String>,
    /// endoflife.date's name for it.
    #[serde(default)]
    pub endoflife: Option<String>,
    /// How endoflife.date's cycles stand to our products.
    #[serde(default)]
    pub cycles: Cycles,
    /// The release is what follows the title in the name, not the version.
    #[serde(default)]
    pub release_in_name: bool,
    /// What people call it.
    #[serde(default)]
    pub words: Vec<String>,
    /// Family of its products that osinfo-db does not have.
    #[serde(default)]
    pub family: String,
    /// Releases that are a line of their own: the end of their version, and that line's name.
    #[serde(default)]
    pub apart: Vec<Apart>,
    /// Code names of releases, and suites.
    #[serde(default)]
    pub codenames: Vec<Codename>,
}

fn guest() -> ProductKind {
    ProductKind::Guest
}

/// How endoflife.date's cycles stand to our products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cycles {
    /// A cycle is a release.
    #[default]
    Release,
    /// A cycle is a major version, and holds for every minor in it.
    Major,
}

/// Releases that are a line of their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Apart {
    /// What their versions end with.
    pub ends_with: String,
    /// Their line.
    pub line: String,
}

/// A code name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Codename {
    /// The name.
    pub name: String,
    /// The release.
    pub release: String,
    /// Who says so.
    pub source: String,
}

/// A product.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Definition {
    pub id: Spanned<ProductId>,
    /// The document for every value that names none itself.
    pub source: String,
    pub name: Option<String>,
    #[serde(default)]
    pub short_ids: Vec<String>,
    pub line: Option<String>,
    pub release: Option<String>,
    pub kind: Option<ProductKind>,
    pub family: Option<String>,
    #[serde(default)]
    pub archs: Vec<String>,
    #[serde(default)]
    pub aliases: Vec<Spanned<AliasDefinition>>,
    pub upgrades: Option<ProductId>,
    pub derives_from: Option<ProductId>,
    pub clones: Option<ProductId>,
    pub service_pack_of: Option<ProductId>,
    pub edition_of: Option<ProductId>,
    pub part_of: Option<ProductId>,
    #[serde(default)]
    pub editions: Vec<Spanned<EditionDefinition>>,
    #[serde(default)]
    pub facts: Vec<Spanned<FactDefinition>>,
    #[serde(default)]
    pub devices: Vec<Spanned<DeviceUse>>,
    #[serde(default)]
    pub firmware: Vec<Spanned<FirmwareUse>>,
}

/// Another name; with its own source or with the product's.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum AliasDefinition {
    Plain(String),
    Sourced { name: String, source: String },
}

/// An edition of a product, a product itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditionDefinition {
    pub name: String,
    #[serde(default)]
    pub facts: Vec<Spanned<FactDefinition>>,
}

/// A value with its source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactDefinition {
    pub what: Property,
    pub value: toml::Value,
    pub arch: Option<String>,
    pub source: Option<String>,
    pub note: Option<String>,
    /// What kind of source said it, if it was not this file's author: it is believed as that is.
    pub by: Option<SourceKind>,
}

/// Devices that a product drives or offers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeviceUse {
    pub ids: Vec<DeviceId>,
    #[serde(default = "yes")]
    pub supported: bool,
    #[serde(default)]
    pub with_drivers: bool,
    pub arch: Option<String>,
    pub source: Option<String>,
}

fn yes() -> bool {
    true
}

/// A firmware that a product starts from or offers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirmwareUse {
    pub kind: Firmware,
    #[serde(default = "yes")]
    pub supported: bool,
    pub arch: Option<String>,
    pub source: Option<String>,
}

/// A device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceDefinition {
    pub id: DeviceId,
    pub name: String,
    pub class: String,
    pub bus: String,
    #[serde(default)]
    pub vendor: String,
    #[serde(default)]
    pub product: String,
    pub source: String,
}

/// Devices that a family drives from some generation on, or up to one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Implied {
    /// Families, as osinfo-db has them.
    pub families: Vec<String>,
    /// Released on this day or later.
    #[serde(default, deserialize_with = "day")]
    pub released_from: Option<Date>,
    /// Version of the product, as it tells it itself, or later.
    pub version_from: Option<String>,
    /// Version of the product before this one.
    pub version_before: Option<String>,
    /// The devices.
    pub devices: Vec<DeviceId>,
    /// Why, in words.
    pub why: String,
    /// Who says so.
    pub source: String,
}

fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let written = toml::value::Datetime::deserialize(deserializer)?;
    written.to_string().parse().map(Some).map_err(serde::de::Error::custom)
}

impl Definitions {
    /// Reads a file's text; `file` is its name in sources and errors.
    pub fn read(file: &str, text: &str) -> Result<Self, FormError> {
        let mut read: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            FormError::at_offset(file, text, offset, error.message())
        })?;
        read.file = printable(file, 300).into();
        text.clone_into(&mut read.text);
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        read.ends = ends.map(|(place, _)| place).collect();
        Ok(read)
    }

    pub(crate) fn source<T>(&self, document: &str, at: &Spanned<T>) -> Source {
        let start = at.span().start;
        Source {
            kind: SourceKind::Definition,
            document: printable(document, 300).into(),
            file: self.file.clone(),
            line: self.ends.partition_point(|end| *end < start) as u32 + 1,
        }
    }

    pub(crate) fn wrong<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> FormError {
        FormError::at_offset(&self.file, &self.text, at.span().start, what)
    }

    pub(crate) fn fact(
        &self,
        fact: &Spanned<FactDefinition>,
        document: &str,
    ) -> Result<Fact, FormError> {
        let inner = fact.get_ref();
        let mut source = self.source(inner.source.as_deref().unwrap_or(document), fact);
        source.kind = inner.by.unwrap_or(source.kind);
        Ok(Fact {
            property: inner.what,
            value: value(inner).map_err(|what| self.wrong(fact, what))?,
            arch: inner.arch.as_deref().map(Arch::new),
            source,
            note: inner.note.as_deref().map(|note| printable(note, 300).into()),
        })
    }

    pub(crate) fn device_statements(
        &self,
        used: &Spanned<DeviceUse>,
        document: &str,
    ) -> Vec<DeviceStatement> {
        let inner = used.get_ref();
        let statement = |device: &DeviceId| DeviceStatement {
            device: device.clone(),
            supported: inner.supported,
            with_drivers: inner.with_drivers,
            arch: inner.arch.as_deref().map(Arch::new),
            source: self.source(inner.source.as_deref().unwrap_or(document), used),
        };
        inner.ids.iter().map(statement).collect()
    }

    pub(crate) fn firmware_statement(
        &self,
        used: &Spanned<FirmwareUse>,
        document: &str,
    ) -> FirmwareStatement {
        let inner = used.get_ref();
        FirmwareStatement {
            firmware: inner.kind,
            supported: inner.supported,
            arch: inner.arch.as_deref().map(Arch::new),
            source: self.source(inner.source.as_deref().unwrap_or(document), used),
        }
    }
}

impl Definition {
    pub(crate) fn links(&self) -> impl Iterator<Item = (LinkKind, &ProductId)> {
        [
            (LinkKind::Upgrades, &self.upgrades),
            (LinkKind::DerivesFrom, &self.derives_from),
            (LinkKind::Clones, &self.clones),
            (LinkKind::ServicePackOf, &self.service_pack_of),
            (LinkKind::EditionOf, &self.edition_of),
            (LinkKind::PartOf, &self.part_of),
        ]
        .into_iter()
        .filter_map(|(kind, id)| Some((kind, id.as_ref()?)))
    }

    pub(crate) fn link(&self, kind: LinkKind, to: &ProductId, source: Source) -> Link {
        Link { kind, to: to.clone(), source }
    }

    pub(crate) fn version(&self) -> Option<Version> {
        self.release.as_deref().map(Version::new)
    }
}

/// The value of a fact, as its property wants it.
fn value(fact: &FactDefinition) -> Result<FactValue, String> {
    let is_day = matches!(
        fact.what,
        Property::ReleaseDate
            | Property::LatestDate
            | Property::EndOfFullSupport
            | Property::EndOfLife
            | Property::EndOfExtendedSupport
    );
    let is_size = matches!(
        fact.what,
        Property::MinimumMemory
            | Property::RecommendedMemory
            | Property::MaximumMemory
            | Property::MinimumStorage
            | Property::RecommendedStorage
            | Property::MaximumStorage
    );
    let is_count = matches!(
        fact.what,
        Property::MinimumCpus
            | Property::RecommendedCpus
            | Property::MaximumCpus
            | Property::MinimumClock
            | Property::RecommendedClock
            | Property::MaximumClock
    );
    match &fact.value {
        toml::Value::Datetime(day) if is_day && day.time.is_none() => day
            .to_string()
            .parse()
            .map(FactValue::Date)
            .map_err(|_| format!("{day} is not a day; write 2009-01-20")),
        toml::Value::String(text) if is_size => {
            text.parse().map(FactValue::Size).map_err(|error| format!("{error}"))
        }
        toml::Value::Integer(count) if is_count => u64::try_from(*count)
            .map(FactValue::Count)
            .map_err(|_| format!("{count} is less than none")),
        toml::Value::String(text) if !is_day && !is_size && !is_count => {
            Ok(FactValue::Text(printable(text, 300)))
        }
        // Some say that a life has ended, and not when.
        toml::Value::Boolean(flag) if is_day || fact.what == Property::LongTerm => {
            Ok(FactValue::Flag(*flag))
        }
        _ => Err(format!(
            "the value of {:?} is {}",
            fact.what.words(),
            match (is_day, is_size, is_count) {
                (true, _, _) => "a day: 2009-01-20, without quotes",
                (_, true, _) => "a size: \"512 MiB\"",
                (_, _, true) => "a whole number",
                _ => "a text",
            }
        )),
    }
}
