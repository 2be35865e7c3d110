//! A party's folder opened, and its public keys shown.

use std::path::Path;

use anyhow::{Context, Result};
use hospitium_ledger::{Party, PublicParty};

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

/// Opens a party's folder.
pub fn open(folder: &Path) -> Result<Party> {
    Party::open(folder).with_context(|| format!("the party {} cannot be used", folder.display()))
}
