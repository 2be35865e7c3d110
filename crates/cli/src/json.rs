//! `--json`: what a command comes to as one object, with the schema that docs/command-line.md describes.

use clap::Args;
#[cfg(feature = "deal")]
use hospitium_ledger::Trusted;
use serde_json::{Map, Value};

use crate::out::out;

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct AsJson {
    /// One JSON object (docs/command-line.md)
    #[arg(long)]
    pub json: bool,
}

/// Prints an object on one line, with its schema.
pub fn print(schema: &str, fields: Value) {
    let mut object = Map::from_iter([("schema".to_owned(), Value::from(schema))]);
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    out!("{}", Value::Object(object));
}

/// Who cosigned a head, and when.
#[cfg(feature = "deal")]
pub fn cosigned(trusted: &Trusted) -> Value {
    let all = trusted.cosigned.iter();
    all.map(|cosigned| serde_json::json!({ "by": cosigned.by, "at": cosigned.at.to_string() }))
        .collect()
}
