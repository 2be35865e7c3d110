//! An agreement: who validates which guests on which hosts, until when that holds, how later versions
//! come in, who supports whom, and what is left out. In comes TOML, out go these types.

mod calendar;
mod formula;
mod read;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::standing::Assurance;
use crate::{Bus, ByteSize, Firmware, MachineValues, NicModel};

pub use calendar::{Day, Days, Term};
pub use formula::{Formula, FormulaError, Until};
pub use read::{LARGEST_AGREEMENT, read_agreement};

/// The form of agreement files that this reads.
pub const AGREEMENT_FORMAT: u32 = 1;

/// A deal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Agreement {
    /// Its name: lower-case letters, digits, hyphens and points.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is about, for people.
    pub summary: String,
    /// The day from which it binds.
    pub made: Date,
    /// The day on which it ends, if one was agreed.
    pub ends: Option<Date>,
    /// Where its terms were published.
    pub sources: Vec<String>,
    /// Who made it: at least two.
    pub parties: Vec<Party>,
    /// Where outcomes are listed.
    pub catalogs: Vec<CatalogOf>,
    /// What the parties owe: at least one.
    pub clauses: Vec<Clause>,
    /// Until when a validation holds.
    pub validity: Validity,
    /// What a validation has to consist of.
    pub validation: Validation,
    /// Who supports customers of both.
    pub support: Option<Support>,
    /// What is left out on purpose.
    pub exclusions: Vec<Exclusion>,
}

/// An organisation that made the deal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Party {
    /// Its domain, in lower case: `redhat.com`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its public key in the form of a signed note's verifier key (`name+hash+base64`); none if the
    /// party has published none, and then nothing can be verified as said by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where its log is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The name under which it takes support calls, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<String>,
}

/// A list of what is validated, kept by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CatalogOf {
    /// Its short name.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The party that keeps it.
    pub kept_by: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One party's part: every one of its guests on every one of its hosts is an obligation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Clause {
    /// Its short name, which obligations begin with.
    pub id: String,
    /// The party that owes it.
    pub party: String,
    /// Guests, by product id, short id or name.
    pub guests: Vec<String>,
    /// Hosts, in the same way.
    pub hosts: Vec<String>,
    /// The architecture of guest and host.
    pub arch: String,
    /// Catalogs in which the outcome is listed.
    pub listed_in: Vec<String>,
    /// How long after the latest of the deal and both releases the validation is due.
    pub within: Term,
    /// Which later versions come in, and how; none if only the named ones are owed.
    pub later: Option<Later>,
    /// How far another party of the agreement has to bear a validation out before it fulfils the clause.
    pub assurance: Assurance,
}

/// How later versions come into the validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Later {
    /// Which later versions of the clause's guests.
    #[serde(default)]
    pub guests: Reach,
    /// Which later versions of the clause's hosts.
    #[serde(default)]
    pub hosts: Reach,
    /// How long after the later release of both the validation is due; the clause's own time if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Term>,
}

/// How far a rule reaches over the versions of a product.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Reach {
    /// The version itself only.
    #[default]
    None,
    /// Later minor versions and service packs of the same major version.
    Major,
    /// All later versions of the product.
    All,
}

/// Until when a validation holds, and for what else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Validity {
    /// The formula of its last day.
    pub until: Formula,
    /// How long before that day it is called about to lapse.
    pub warn: Term,
    /// Which versions it is carried forward to without being done again.
    pub carry_forward: CarryForward,
    /// What makes it due again before that day.
    pub again_on: Vec<Trigger>,
}

/// The last day of a validation, if an agreement says nothing else.
pub const USUAL_VALIDITY: &str =
    "min(max(validated + 12 months, next-version + 9 months), guest-end-of-life, host-end-of-life)";

/// To which versions a validation is carried forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CarryForward {
    /// To which versions of the guest.
    pub guests: Reach,
    /// To which versions of the host.
    pub hosts: Reach,
    /// Whether also to earlier ones within that reach.
    pub down_level: bool,
}

/// What makes a validation due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Trigger {
    /// A minor version of the host.
    HostMinor,
    /// A major version of the host.
    HostMajor,
    /// A minor version or service pack of the guest.
    GuestMinor,
    /// A major version of the guest.
    GuestMajor,
    /// Another paravirtual driver in the guest.
    Driver,
    /// A changed suite.
    Suite,
}

/// The profile that requires every check of the suite.
pub const STANDARD: &str = "standard";
/// The profiles that there are.
pub const PROFILES: [&str; 1] = [STANDARD];

/// What a validation has to consist of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Validation {
    /// Which checks have to pass.
    pub profile: String,
    /// Every combination of so many values of the machine's configuration is met by a cell, 1 to 6; 0
    /// where one machine of any kind is enough.
    pub strength: u32,
    /// Whether a run under emulation counts. Such a certificate says so, and does not hold for the
    /// hardware path.
    pub emulation: bool,
    /// How many other parties have to cosign the log.
    pub cosigners: u32,
    /// The values of the machine's configuration that are tried.
    pub machines: MachineValues,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            profile: STANDARD.into(),
            strength: 2,
            emulation: false,
            cosigners: 1,
            machines: MachineValues::default(),
        }
    }
}

/// Who supports a customer of both parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Support {
    /// Whom the customer may call.
    pub call: Call,
    /// With whom the customer has to have a support agreement.
    pub needs: Needs,
    /// Who owns the case until it is solved or handed over.
    pub owner: Owner,
    /// What else was agreed, for people.
    #[serde(default)]
    pub words: String,
}

/// Whom the customer may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Call {
    /// Either party.
    Either,
    /// The guest's maker.
    GuestMaker,
    /// The host's maker.
    HostMaker,
}

/// With whom the customer has to have a support agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Needs {
    /// With both.
    Both,
    /// With the one that is called.
    Called,
    /// With nobody: a community supports.
    None,
}

/// Who owns a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Owner {
    /// The party that was called first.
    FirstCalled,
    /// The guest's maker.
    GuestMaker,
    /// The host's maker.
    HostMaker,
}

/// Something that the deal leaves out on purpose. One that says what of a machine it is about decides an
/// answer; others are for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exclusion {
    /// What is left out, in a word or two.
    pub what: String,
    /// The terms.
    pub words: String,
    /// For which guests, by product id, short id or name; for all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<String>,
    /// On which hosts, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Buses of disks that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub buses: Vec<Bus>,
    /// Network interfaces that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub nics: Vec<NicModel>,
    /// Firmwares that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firmware: Vec<Firmware>,
    /// More vCPUs than so many are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus_above: Option<u32>,
    /// More memory than so much is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_above: Option<ByteSize>,
}

impl Exclusion {
    /// Whether it says what of a machine it is about.
    pub const fn is_of_machines(&self) -> bool {
        !(self.buses.is_empty() && self.nics.is_empty() && self.firmware.is_empty())
            || self.vcpus_above.is_some()
            || self.memory_above.is_some()
    }
}

impl Agreement {
    /// The party of this name.
    pub fn party(&self, name: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.name == name)
    }
}
