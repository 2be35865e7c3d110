//! How values are read that are typed.

use hospitium_desk::{Driver, Line};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// One of the words of a type, as its JSON form has them.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// `NAME=VERSION`.
pub fn driver(text: &str) -> Result<Driver, String> {
    let (name, version) = text.split_once('=').ok_or("a driver looks like NAME=VERSION")?;
    let line = |text: &str| text.parse::<Line>().map_err(|error| error.to_string());
    Ok(Driver { name: line(name)?, version: line(version)? })
}

/// A time, or a span from now.
pub fn until(text: &str) -> Result<Timestamp, String> {
    hospitium_desk::until(text, super::now())
}
