//! What programs send.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::super::fields::Fields;
use crate::api::Problem;

/// A case to be opened. Guest and host are named, or told by the machine's definition.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewCase {
    /// The other vendor, by its domain.
    #[schema(example = "host.example")]
    to: String,
    /// The problem in one line.
    summary: String,
    /// The problem in full.
    description: String,
    /// `critical`, `high`, `normal` or `low`: how much it hurts.
    #[serde(default = "normal")]
    severity: String,
    /// The guest, down to its build.
    guest: Option<String>,
    /// The host, down to its build.
    host: Option<String>,
    /// The definition of the machine, as a file of its own: libvirt XML, `.vmx`, `.ovf`, …
    vm: Option<Definition>,
    /// Features in use: live migration, snapshots.
    #[serde(default)]
    features: Vec<String>,
    /// What changed before it began.
    changed: Option<String>,
    /// What was tried already.
    #[serde(default)]
    tried: Vec<String>,
    /// Our own case number. Not from a customer.
    number: Option<String>,
    /// Our engineer, `Ann Smith <ann@vendor.example>`; without it, the one whose token it is. Not from a customer.
    engineer: Option<String>,
    /// The customer's organisation. Not from a customer: its account says it.
    customer: Option<String>,
    /// The customer's mail address.
    contact: Option<String>,
    /// `yes`, `no`, `expired` or `unknown`: whether the customer has an agreement with this vendor.
    entitled: Option<String>,
    /// The customer's own reference.
    reference: Option<String>,
    /// What the customer allows to be shared: `problem`, `configuration`, `evidence`, `contact`.
    #[serde(default)]
    consent: Vec<String>,
    /// Who at the customer said so.
    consent_by: Option<String>,
    /// Offer it to the other vendor at once; else it is a draft.
    #[serde(default)]
    pub offer: bool,
}

/// A machine's definition.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Definition {
    /// The file's name, whose ending tells the format where the text does not.
    pub name: String,
    /// The file's text.
    pub text: String,
}

fn normal() -> String {
    "normal".to_owned()
}

impl NewCase {
    /// The definition, if there is one.
    pub const fn definition(&self) -> Option<&Definition> {
        self.vm.as_ref()
    }

    /// The same as a form would send it, so that it is read in one place.
    pub fn fields(&self) -> Fields {
        let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut all = vec![
            one("to", &self.to),
            one("summary", &self.summary),
            one("description", &self.description),
            one("severity", &self.severity),
            one("features", &self.features.join(",")),
            one("tried", &self.tried.join("\n")),
        ];
        let optional = [
            ("guest", &self.guest),
            ("host", &self.host),
            ("changed", &self.changed),
            ("number", &self.number),
            ("engineer", &self.engineer),
            ("customer", &self.customer),
            ("contact", &self.contact),
            ("entitled", &self.entitled),
            ("reference", &self.reference),
            ("by", &self.consent_by),
        ];
        all.extend(
            optional.into_iter().filter_map(|(name, value)| Some(one(name, value.as_ref()?))),
        );
        all.extend(self.consent.iter().map(|what| one("covers", what)));
        Fields::new(all)
    }
}

/// Words to be said.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reply {
    /// The words. They answer what this vendor was asked, if it was asked something.
    pub text: String,
    /// Who reads them.
    #[serde(default)]
    pub to: Readers,
}

/// Who reads a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Readers {
    /// Both vendors.
    #[default]
    Both,
    /// Both vendors and the customer.
    Customer,
    /// This desk only.
    Internal,
}

/// A JSON body, of a bounded size, with a typed problem where it is none.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("The body is not read: {error}."),
            )
        })
    }
}
