//! `hospitium config`: what holds, and from where.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{At, Config, Held, NAME, PARTY};
use crate::failure::End;
use crate::out::out;
use crate::view::safe;

/// A value that holds.
#[derive(Debug, Serialize)]
struct Line {
    key: String,
    value: String,
    /// `FILE:LINE`, or the name of an environment variable.
    from: String,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    schema: &'static str,
    file: Option<&'a Path>,
    values: Vec<Line>,
}

/// Environment variables that decide the same.
const VARIABLES: [(&str, &str); 6] = [
    (PARTY, "party.folder"),
    ("HOSPITIUM_CATALOG", "catalog.db"),
    ("HOSPITIUM_DESK", "desk.db"),
    ("HOSPITIUM_CACHE", "cache"),
    ("HOSPITIUM_CACHE_SIZE", "run.cache-size"),
    ("HOSPITIUM_ENDOFLIFE", "endoflife"),
];

/// `hospitium config`.
pub fn show(held: &Held, json: bool) -> Result<End> {
    let config = held.config();
    let mut values = lines(config);
    for (variable, key) in VARIABLES {
        let Ok(value) = std::env::var(variable) else { continue };
        // It overrides the file.
        values.retain(|line| line.key != key);
        let value = without_password(&value);
        values.push(Line { key: key.into(), value, from: format!("${variable}") });
    }
    if json {
        let shown = Shown { schema: "hospitium-config/1", file: config.file.as_deref(), values };
        out!("{}", serde_json::to_string(&shown).context("cannot write JSON")?);
        return Ok(End::Good);
    }
    match &config.file {
        Some(file) => out!("{}", file.display()),
        None => out!("no {NAME} is here, in a folder above, or in the user's configuration folder"),
    }
    for Line { key, value, from } in &values {
        out!("  {key:<20} {}  [{}]", safe(value), safe(from));
    }
    Ok(End::Good)
}

fn lines(config: &Config) -> Vec<Line> {
    let Some(file) = &config.file else { return Vec::new() };
    let mut lines = Vec::new();
    let mut add = |key: String, value: String, line: usize| {
        lines.push(Line { key, value, from: format!("{}:{line}", file.display()) });
    };
    if let Some(At { value, line }) = &config.party {
        add("party.folder".into(), value.display().to_string(), *line);
    }
    for (n, trusted) in config.trust.iter().enumerate() {
        let At { value, line } = &trusted.party;
        add(format!("trust[{n}].party"), value.display().to_string(), *line);
        let At { value, line } = &trusted.fingerprint;
        add(format!("trust[{n}].fingerprint"), value.clone(), *line);
    }
    for (n, log) in config.logs.iter().enumerate() {
        add(format!("log[{n}].source"), log.source.value.clone(), log.source.line);
        for (what, at) in [("copy", &log.copy), ("policy", &log.policy)] {
            if let Some(At { value, line }) = at {
                add(format!("log[{n}].{what}"), value.display().to_string(), *line);
            }
        }
    }
    for (n, At { value, line }) in config.agreements.iter().enumerate() {
        add(format!("agreements[{n}]"), value.display().to_string(), *line);
    }
    if let Some(At { value, line }) = &config.db {
        add("catalog.db".into(), without_password(value), *line);
    }
    for default in &config.run {
        add(format!("run.{}", default.option), default.values.value.join(" "), default.values.line);
    }
    lines
}

/// An address without the password that it may have (RFC 3986, 3.2.1).
fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let (user, host) = rest.split_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{host}"))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("postgres://ann:secret@db/x"), "postgres://ann:…@db/x");
        for text in ["postgres://ann@db/x", "postgres://db:5432/x", "catalog.db"] {
            assert_eq!(without_password(text), text);
        }
    }
}
