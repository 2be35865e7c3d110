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
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || format!("{text:?} is no time; write 2026-03-02T12:00:00Z, or 2d, or 36h");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let now = super::now().to_zoned(jiff::tz::TimeZone::UTC);
    now.checked_add(span).map(|at| at.timestamp()).map_err(|_| wrong())
}
