//! What a form brought, and how it is read.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;

/// The fields of a form, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// These.
    pub fn new(all: Vec<(String, String)>) -> Self {
        Self(all)
    }

    /// One more.
    pub fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The value of this name, without spaces around it; nothing if it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// All values of this name that are not empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A value that has to be there, read as it should be.
    pub fn must<T>(&self, name: &'static str, label: &str) -> Result<T, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.may(name, label)?.ok_or_else(|| format!("{label} is missing."))
    }

    /// A value that may be absent.
    pub fn may<T>(&self, name: &'static str, label: &str) -> Result<Option<T>, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        // A browser sends lines that end as in a mail.
        let text = self.get(name).map(|text| text.replace("\r\n", "\n"));
        let read = text.map(|text| text.parse().map_err(|error| format!("{label}: {error}.")));
        read.transpose()
    }

    /// One of the words of a type.
    pub fn word<T: DeserializeOwned>(&self, name: &str, label: &str) -> Result<T, String> {
        let text = self.get(name).ok_or_else(|| format!("{label} is missing."))?;
        word(text).ok_or_else(|| format!("{label}: this is none of the choices."))
    }
}

/// One of the words of a type, as its JSON form has them.
pub fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}
