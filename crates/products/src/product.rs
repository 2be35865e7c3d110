//! A product: a guest system or a hypervisor, down to minor version, service pack and edition.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fact::{Conflict, conflicts, rank};
use crate::{DeviceId, Fact, FactValue, ProductId, Property, Source, Version};

/// Processor architecture, by the names that osinfo-db uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct Arch(Arc<str>);

/// What else an architecture is called, the name that is used first.
const ARCHS: [(&str, &[&str]); 7] = [
    ("x86_64", &["amd64", "x64", "em64t", "x86-64", "64bit", "64-bit"]),
    ("i686", &["i386", "i486", "i586", "x86", "ia32", "ia-32", "32bit", "32-bit"]),
    ("aarch64", &["arm64"]),
    ("armv7l", &["armhf", "armv7"]),
    ("ia64", &["itanium", "ia-64"]),
    ("ppc64le", &["ppc64el"]),
    ("s390x", &[]),
];

impl Arch {
    /// 64-bit PCs.
    pub fn x86_64() -> Self {
        Self("x86_64".into())
    }

    /// 32-bit PCs.
    pub fn i686() -> Self {
        Self("i686".into())
    }

    /// The architecture of this name or other name; a name that is not known stays as it is.
    pub fn new(text: &str) -> Self {
        Self::known(text).unwrap_or_else(|| {
            Self(text.chars().filter(|c| c.is_ascii_graphic()).take(24).collect::<String>().into())
        })
    }

    /// The architecture of this name or other name, if it is one that is known.
    pub fn known(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        ARCHS
            .iter()
            .find(|(name, others)| *name == text || others.contains(&text.as_str()))
            .map(|(name, _)| Self((*name).into()))
            .or_else(|| (text == "ppc64").then(|| Self("ppc64".into())))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Arch {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Arch> for String {
    fn from(arch: Arch) -> Self {
        arch.0.as_ref().to_owned()
    }
}

/// What a product can be in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ProductKind {
    /// An operating system that can be a guest.
    Guest,
    /// A hypervisor that can be a host.
    Host,
}

/// How one product stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LinkKind {
    /// It replaces the other in an upgrade.
    Upgrades,
    /// It is made from the other and has its devices.
    DerivesFrom,
    /// It is built from the other's sources and behaves the same.
    Clones,
    /// It is the other with a service pack.
    ServicePackOf,
    /// It is an edition of the other.
    EditionOf,
    /// It is delivered in the other, as a hypervisor is in an operating system.
    PartOf,
}

impl LinkKind {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Upgrades => "upgrades",
            Self::DerivesFrom => "derives from",
            Self::Clones => "clones",
            Self::ServicePackOf => "service pack of",
            Self::EditionOf => "edition of",
            Self::PartOf => "part of",
        }
    }

    /// Whether the devices of the other are this one's, too, unless it says otherwise.
    pub const fn inherits(self) -> bool {
        !matches!(self, Self::Upgrades | Self::PartOf)
    }
}

/// A tie to another product.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    /// How they stand to each other.
    pub kind: LinkKind,
    /// The other.
    pub to: ProductId,
    /// Who says so.
    pub source: Source,
}

/// Another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alias {
    /// The name.
    pub text: String,
    /// Who uses it.
    pub source: Source,
}

/// What a product says of a device: that it drives it (a guest) or offers it (a host), or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceStatement {
    /// The device.
    pub device: DeviceId,
    /// Whether it is there; `false` takes away what was inherited.
    pub supported: bool,
    /// Only with drivers that do not come with the product.
    #[serde(default)]
    pub with_drivers: bool,
    /// The architecture that it holds for; all if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Who says so.
    pub source: Source,
}

/// What a product says of a firmware.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FirmwareStatement {
    /// The firmware.
    pub firmware: hospitium_model::Firmware,
    /// Whether it starts from it (a guest) or offers it (a host).
    pub supported: bool,
    /// The architecture that it holds for; all if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Who says so.
    pub source: Source,
}

/// A product and everything that is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Guest or host.
    pub kind: ProductKind,
    /// Its name, in English.
    pub name: String,
    /// Short ids, osinfo-db's first: `rhel5.3`.
    pub short_ids: Vec<String>,
    /// Other names, such as a catalog's.
    pub aliases: Vec<Alias>,
    /// The line of releases that it is one of: `rhel`, `windows-server`, `qemu`.
    pub line: String,
    /// Which release of its line it is; orders the products of a line.
    pub release: Version,
    /// Family, as osinfo-db has it: `linux`, `winnt`, `freebsd`; empty for hosts.
    pub family: String,
    /// Its edition, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    /// Architectures that it exists for, as far as told.
    pub archs: Vec<Arch>,
    /// All facts, contradicting ones too.
    pub facts: Vec<Fact>,
    /// Ties to other products.
    pub links: Vec<Link>,
    /// What it says of devices itself; what it inherits is not here.
    pub devices: Vec<DeviceStatement>,
    /// What it says of firmware itself.
    pub firmware: Vec<FirmwareStatement>,
    /// osinfo-db's `inherit="true"`: limits are those of what it derives from.
    #[serde(default)]
    pub inherits_limits: bool,
}

impl Product {
    /// A product of which nothing more is known.
    pub fn new(
        id: ProductId,
        kind: ProductKind,
        name: String,
        line: String,
        release: Version,
    ) -> Self {
        Self {
            id,
            kind,
            name,
            short_ids: Vec::new(),
            aliases: Vec::new(),
            line,
            release,
            family: String::new(),
            edition: None,
            archs: Vec::new(),
            facts: Vec::new(),
            links: Vec::new(),
            devices: Vec::new(),
            firmware: Vec::new(),
            inherits_limits: false,
        }
    }

    /// The short id, or else the id.
    pub fn short(&self) -> &str {
        self.short_ids.first().map_or(self.id.as_str(), String::as_str)
    }

    /// What is said of a property, the most to be believed first.
    pub fn said(&self, property: Property) -> Vec<&Fact> {
        let mut facts: Vec<_> = self.facts.iter().filter(|f| f.property == property).collect();
        facts.sort_by_key(|fact| rank(fact));
        facts
    }

    /// The fact to go by where one is needed: our definitions before osinfo-db before
    /// endoflife.date. [`Product::conflicts`] tells whether others say otherwise.
    pub fn best(&self, property: Property) -> Option<&Fact> {
        self.said(property).into_iter().next()
    }

    /// The same for an architecture: what is said of it, else what is said of all.
    pub fn best_for(&self, property: Property, arch: &Arch) -> Option<&Fact> {
        let said = self.said(property);
        let own = said.iter().find(|fact| fact.arch.as_ref() == Some(arch));
        own.or_else(|| said.iter().find(|fact| fact.arch.is_none())).copied()
    }

    /// The day of general availability, by the source to be believed first.
    pub fn released(&self) -> Option<Date> {
        self.said(Property::ReleaseDate).into_iter().find_map(|fact| fact.value.as_date())
    }

    /// Everything that is said of the end of its support, in the order of days.
    pub fn ends(&self) -> Vec<&Fact> {
        let mut ends: Vec<_> = self.facts.iter().filter(|fact| fact.property.is_end()).collect();
        ends.sort_by_key(|fact| (fact.value.as_date(), fact.property, fact.source.clone()));
        ends
    }

    /// The end of life by the source to be believed first.
    pub fn end_of_life(&self) -> Option<&Fact> {
        self.said(Property::EndOfLife)
            .into_iter()
            .find(|fact| matches!(fact.value, FactValue::Date(_) | FactValue::Flag(_)))
    }

    /// Facts that contradict each other.
    pub fn conflicts(&self) -> Vec<Conflict<'_>> {
        conflicts(&self.facts)
    }

    /// The products that it is tied to in this way.
    pub fn linked(&self, kind: LinkKind) -> impl Iterator<Item = &ProductId> {
        self.links.iter().filter(move |link| link.kind == kind).map(|link| &link.to)
    }

    /// Every name by which it is found: name, short ids, aliases, id.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str())
            .chain(self.short_ids.iter().map(String::as_str))
            .chain(self.aliases.iter().map(|alias| alias.text.as_str()))
            .chain(std::iter::once(self.id.as_str()))
    }
}
