//! What a product and a device are called, once and for all: a URI, as osinfo-db has it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest id, in bytes. The longest of osinfo-db has 61.
const LONGEST: usize = 200;

/// The id of a product: osinfo-db's where it has one (`http://redhat.com/rhel/5.3`), else one of
/// the same form under the vendor's domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct ProductId(Arc<str>);

/// The id of a device, such as `http://pcisig.com/pci/1af4/1001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

/// Not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an id; ids are URIs of up to {LONGEST} printable characters, such as \
     http://redhat.com/rhel/5.3"
)]
pub struct IdError {
    text: String,
}

fn check(text: &str) -> Result<Arc<str>, IdError> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let sound = text.len() <= LONGEST
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.bytes().all(|b| b.is_ascii_graphic() && !br#"<>"'`{}|\^"#.contains(&b));
    match sound {
        true => Ok(text.into()),
        false => Err(IdError { text: text.chars().take(80).collect() }),
    }
}

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// The URI.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id!(ProductId);
id!(DeviceId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uris() {
        let id: ProductId = "http://redhat.com/rhel/5.3".parse().expect("an id");
        assert_eq!(id.as_str(), "http://redhat.com/rhel/5.3");
        assert!("https://a.org/b#c".parse::<DeviceId>().is_ok());
    }

    #[test]
    fn what_could_break_out_of_a_page_or_a_line_is_no_id() {
        let long = format!("http://a/{}", "x".repeat(300));
        for bad in [
            "",
            "rhel5.3",
            "http://",
            "http:///x",
            "http://a/\"x",
            "http://a/<b>",
            "http://a b",
            "http://a\n",
            "javascript:alert(1)",
            long.as_str(),
        ] {
            assert!(bad.parse::<ProductId>().is_err(), "{bad}");
        }
    }
}
