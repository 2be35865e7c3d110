//! A fact: what is said of a product, and who says it.

use std::fmt;
use std::sync::Arc;

use hospitium_model::ByteSize;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Arch;

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Property {
    /// The product's name.
    Name,
    /// Who makes it.
    Vendor,
    /// The version that the product itself tells (5.2 for Windows Server 2003).
    Version,
    /// Its build or kernel.
    Build,
    /// The name given while it was made.
    Codename,
    /// Alpha, beta, or in steady change; a product without it was released.
    ReleaseStatus,
    /// General availability.
    ReleaseDate,
    /// End of active or full support: no new hardware, no features.
    EndOfFullSupport,
    /// End of life as the source means it: the end of what comes with the product.
    EndOfLife,
    /// End of what can be bought on top (ELS, ESU, LTSS).
    EndOfExtendedSupport,
    /// Whether the vendor calls it a release for the long term, or until when.
    LongTerm,
    /// The newest version within it.
    Latest,
    /// When that was released.
    LatestDate,
    /// Least memory.
    MinimumMemory,
    /// Memory to give.
    RecommendedMemory,
    /// Most memory.
    MaximumMemory,
    /// Fewest CPUs.
    MinimumCpus,
    /// CPUs to give.
    RecommendedCpus,
    /// Most CPUs.
    MaximumCpus,
    /// Slowest CPU, in Hz.
    MinimumClock,
    /// CPU to give, in Hz.
    RecommendedClock,
    /// Fastest CPU, in Hz.
    MaximumClock,
    /// Smallest disk.
    MinimumStorage,
    /// Disk to give.
    RecommendedStorage,
    /// Largest disk.
    MaximumStorage,
    /// An edition or variant.
    Variant,
}

impl Property {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Vendor => "vendor",
            Self::Version => "version",
            Self::Build => "build",
            Self::Codename => "code name",
            Self::ReleaseStatus => "release status",
            Self::ReleaseDate => "released",
            Self::EndOfFullSupport => "end of full support",
            Self::EndOfLife => "end of life",
            Self::EndOfExtendedSupport => "end of extended support",
            Self::LongTerm => "long-term support",
            Self::Latest => "latest",
            Self::LatestDate => "latest released",
            Self::MinimumMemory => "minimum memory",
            Self::RecommendedMemory => "recommended memory",
            Self::MaximumMemory => "maximum memory",
            Self::MinimumCpus => "minimum CPUs",
            Self::RecommendedCpus => "recommended CPUs",
            Self::MaximumCpus => "maximum CPUs",
            Self::MinimumClock => "minimum CPU clock",
            Self::RecommendedClock => "recommended CPU clock",
            Self::MaximumClock => "maximum CPU clock",
            Self::MinimumStorage => "minimum storage",
            Self::RecommendedStorage => "recommended storage",
            Self::MaximumStorage => "maximum storage",
            Self::Variant => "variant",
        }
    }

    /// Whether a product has but one of it for an architecture, so that two values contradict.
    pub const fn is_single(self) -> bool {
        // Sources spell names and vendors differently; that is no contradiction.
        !matches!(self, Self::Variant | Self::Name | Self::Vendor | Self::Codename | Self::LongTerm)
    }

    /// Whether it is a least, a most or a recommendation.
    pub const fn is_limit(self) -> bool {
        matches!(
            self,
            Self::MinimumMemory
                | Self::RecommendedMemory
                | Self::MaximumMemory
                | Self::MinimumCpus
                | Self::RecommendedCpus
                | Self::MaximumCpus
                | Self::MinimumClock
                | Self::RecommendedClock
                | Self::MaximumClock
                | Self::MinimumStorage
                | Self::RecommendedStorage
                | Self::MaximumStorage
        )
    }

    /// Whether it tells of some end of support. What sources call so differs, so they are shown
    /// together.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::EndOfFullSupport | Self::EndOfLife | Self::EndOfExtendedSupport)
    }
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactValue {
    /// A day.
    Date(Date),
    /// A size in bytes.
    Size(ByteSize),
    /// A number.
    Count(u64),
    /// Yes or no: endoflife.date has `true` and `false` where it knows no day.
    Flag(bool),
    /// Anything else, as it stood there.
    Text(String),
}

impl FactValue {
    /// The day, if it is one.
    pub const fn as_date(&self) -> Option<Date> {
        match self {
            Self::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// The size, if it is one.
    pub const fn as_size(&self) -> Option<ByteSize> {
        match self {
            Self::Size(size) => Some(*size),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub const fn as_count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            _ => None,
        }
    }
}

impl fmt::Display for FactValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::Size(size) => size.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What kind of source a fact is from; the first is believed before the next where one value is
/// needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SourceKind {
    /// A definition of ours, which names a document for each value.
    Definition,
    /// osinfo-db.
    Osinfo,
    /// endoflife.date.
    Endoflife,
    /// A package index, a feed or a folder, in which it was seen.
    Seen,
}

/// Who says it, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// What kind of source.
    pub kind: SourceKind,
    /// The document: `osinfo-db 20221203`, `endoflife.date`, or what a definition names.
    pub document: Arc<str>,
    /// File, relative to its collection.
    pub file: Arc<str>,
    /// Line in the file, from 1; 0 if not known.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.document, self.file)?;
        match self.line {
            0 => f.write_str(")"),
            line => write!(f, ":{line})"),
        }
    }
}

/// Something said of a product.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about.
    pub property: Property,
    /// What is said.
    pub value: FactValue,
    /// The architecture that it holds for; all if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Who says it.
    pub source: Source,
    /// What a reader must know of it: that it is said of the whole major version, for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Arc<str>>,
}

/// Facts of one product that contradict each other. All of them are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict<'a> {
    /// What they are about.
    pub property: Property,
    /// The architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<&'a Arch>,
    /// The facts, the one to be believed first first.
    pub facts: Vec<&'a Fact>,
}

/// The contradictions among these facts.
pub fn conflicts(facts: &[Fact]) -> Vec<Conflict<'_>> {
    let mut groups: std::collections::BTreeMap<_, Vec<&Fact>> = Default::default();
    for fact in facts.iter().filter(|fact| fact.property.is_single()) {
        groups.entry((fact.property, fact.arch.as_ref())).or_default().push(fact);
    }
    let contradict = |facts: &[&Fact]| {
        let Some((first, rest)) = facts.split_first() else { return false };
        rest.iter().any(|fact| !agree(&first.value, &fact.value))
    };
    groups
        .into_iter()
        .filter(|(_, facts)| contradict(facts))
        .map(|((property, arch), mut facts)| {
            facts.sort_by_key(|fact| rank(fact));
            Conflict { property, arch, facts }
        })
        .collect()
}

/// Which of several facts is believed where one is needed: by kind of source; of one kind, what is
/// said of the product itself before what is said of something wider.
pub(crate) fn rank(fact: &Fact) -> (SourceKind, bool) {
    (fact.source.kind, fact.note.is_some())
}

/// A day and a mere "yes, ended" do not contradict; all else must be equal.
fn agree(a: &FactValue, b: &FactValue) -> bool {
    match (a, b) {
        (FactValue::Date(_), FactValue::Flag(true))
        | (FactValue::Flag(true), FactValue::Date(_)) => true,
        (FactValue::Text(a), FactValue::Text(b)) => {
            crate::Version::new(a).same_release(&crate::Version::new(b))
        }
        _ => a == b,
    }
}
