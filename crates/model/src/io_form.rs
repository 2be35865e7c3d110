//! The form of an I/O error in a file: its text. For `#[serde(with = "hospitium_model::io_form")]`.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes its text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(error: &std::io::Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// Reads a text as an error of no particular kind.
///
/// # Errors
/// If it is no text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<std::io::Error, D::Error> {
    String::deserialize(deserializer).map(std::io::Error::other)
}
