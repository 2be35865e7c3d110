//! A party's folder opened, and its public keys shown.

use std::path::Path;

use anyhow::{Context, Result};
use hospitium_ledger::{Party, PublicParty};
use serde_json::{Value, json};

use crate::out::out;

/// Prints a party's keys, and the digits by which people compare them.
pub fn show(public: &PublicParty) {
    out!("party     {}", public.name);
    out!("records   {}", public.record);
    out!("log       {}", public.log);
    out!("witness   {}", public.witness);
    out!("print     sha256:{}", public.record.key().fingerprint());
    let digits = public.fingerprint().to_string();
    let (first, second) = digits.split_at(digits.len() / 2);
    out!("compare   {}", first.trim());
    out!("          {}", second.trim());
}

/// A party's public keys for programs.
pub fn value(public: &PublicParty) -> Value {
    json!({
        "name": public.name,
        "fingerprint": public.fingerprint().to_string(),
        "record": public.record.to_string(),
        "log": public.log.to_string(),
        "witness": public.witness.to_string(),
    })
}

/// Opens a party's folder.
pub fn open(folder: &Path) -> Result<Party> {
    Party::open(folder).with_context(|| format!("the party {} cannot be used", folder.display()))
}
