//! A validation as a row of the catalog: what is kept of it, made while it is verified.

use hospitium_ledger::statement::{Outcome, Validation};
use hospitium_ledger::{Needed, Statement, VerifierKey};
use hospitium_model::{Accelerator, Digest, printable};

use crate::record::Detail;

/// Longest name that is kept, in characters.
pub const NAME: usize = 200;
/// Longest name of an architecture that is kept, in characters.
const ARCH: usize = 24;

/// What is kept of a validation, all text fit for a page or a terminal.
#[derive(Debug)]
pub struct Row {
    /// The guest: `guest`, product id, name, version.
    pub guest: [String; 4],
    /// The host, in the same way.
    pub host: [String; 4],
    /// Architecture.
    pub arch: String,
    /// Whether the guest ran under emulation.
    pub emulated: bool,
    /// The machine configuration in words.
    pub machine: String,
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: &'static str,
    /// When the run ended, in seconds since 1970-01-01 UTC.
    pub ended: i64,
    /// Until when it is valid by itself, in the same way.
    pub until: i64,
    /// [`Detail`] as JSON.
    pub detail: String,
    /// What it rests on in its log, if it passed: a failure stands by itself.
    pub needs: Vec<(Digest, Needed)>,
}

impl Row {
    /// Of a statement that is this validation.
    pub fn of(statement: &Statement, validation: &Validation, by: &VerifierKey) -> Self {
        let ours = &validation.hospitium;
        let side = |kind: &str, product: Option<&str>, name: &str, version: &str| {
            [kind, product.unwrap_or_default(), name, version].map(|text| printable(text, NAME))
        };
        let (guest, host) = (&ours.guest, &ours.host);
        // Records from before the guest told it are of 64-bit PCs, unless their subject says otherwise.
        let noted = || statement.subject.iter().find_map(|subject| subject.annotations.get("arch"));
        let arch = ours.guest.arch.as_ref().or_else(noted);
        let detail = Detail { key: by.to_string(), ..Detail::of(validation) };
        Self {
            guest: side("guest", guest.product.as_deref(), &guest.name, &guest.version),
            host: side("host", host.product.as_deref(), &host.name, &host.version),
            arch: printable(arch.map_or("x86_64", String::as_str), ARCH),
            emulated: ours.envelope.accelerator == Accelerator::Tcg,
            result: validation.result.word(),
            ended: ours.validity.from.as_second(),
            until: ours.validity.until.as_second(),
            detail: serde_json::to_string(&detail).unwrap_or_default(),
            needs: match validation.result {
                Outcome::Failed => Vec::new(),
                _ => Needed::of(validation),
            },
            machine: detail.machine,
        }
    }
}
