//! What a check is called and how much it disturbs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text_form::text_form;

/// The id of a check: `subsystem.name` or `subsystem.name/variant`, such as
/// `stor.flush-durable` or `stor.hot-add-remove/virtio`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct CheckId(String);

/// Why a text is no check id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckIdError {
    /// The part before the dot is no subsystem.
    #[error("{0:?} names no subsystem; a check id looks like \"stor.flush-durable\"")]
    Subsystem(String),
    /// The rest holds something else than letters, digits, `-` and one `/`.
    #[error("{0:?} is no check id; it looks like \"stor.flush-durable\"")]
    Name(String),
}

/// The part of the machine that a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "title() says what each is")]
pub enum Subsystem {
    Boot,
    Ident,
    Cpu,
    Mem,
    Clk,
    Irq,
    Stor,
    Net,
    Power,
    Life,
    Hot,
    Con,
    Rng,
    Tpm,
    Sb,
    Wdt,
    Crash,
    Agent,
    Stress,
    Iso,
    /// The harness's own canary, which must fail.
    Canary,
}

impl Subsystem {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 21] = [
        Self::Boot,
        Self::Ident,
        Self::Cpu,
        Self::Mem,
        Self::Clk,
        Self::Irq,
        Self::Stor,
        Self::Net,
        Self::Power,
        Self::Life,
        Self::Hot,
        Self::Con,
        Self::Rng,
        Self::Tpm,
        Self::Sb,
        Self::Wdt,
        Self::Crash,
        Self::Agent,
        Self::Stress,
        Self::Iso,
        Self::Canary,
    ];

    /// The prefix of its checks' ids.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Ident => "ident",
            Self::Cpu => "cpu",
            Self::Mem => "mem",
            Self::Clk => "clk",
            Self::Irq => "irq",
            Self::Stor => "stor",
            Self::Net => "net",
            Self::Power => "power",
            Self::Life => "life",
            Self::Hot => "hot",
            Self::Con => "con",
            Self::Rng => "rng",
            Self::Tpm => "tpm",
            Self::Sb => "sb",
            Self::Wdt => "wdt",
            Self::Crash => "crash",
            Self::Agent => "agent",
            Self::Stress => "stress",
            Self::Iso => "iso",
            Self::Canary => "canary",
        }
    }

    /// Its heading in a report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Boot => "Boot and firmware",
            Self::Ident => "Identity",
            Self::Cpu => "CPU",
            Self::Mem => "Memory",
            Self::Clk => "Clock",
            Self::Irq => "Interrupts and timers",
            Self::Stor => "Storage",
            Self::Net => "Network",
            Self::Power => "Power",
            Self::Life => "Lifecycle",
            Self::Hot => "Hotplug",
            Self::Con => "Graphics and console",
            Self::Rng => "Random numbers",
            Self::Tpm => "TPM",
            Self::Sb => "Secure Boot",
            Self::Wdt => "Watchdog",
            Self::Crash => "Panic and crash dump",
            Self::Agent => "Guest agent",
            Self::Stress => "Stress",
            Self::Iso => "Isolation",
            Self::Canary => "Canary",
        }
    }
}

impl CheckId {
    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subsystem, from the prefix.
    pub fn subsystem(&self) -> Subsystem {
        let prefix = self.0.split('.').next().unwrap_or_default();
        Subsystem::ALL.into_iter().find(|s| s.prefix() == prefix).unwrap_or(Subsystem::Canary)
    }

    /// The id without its variant: `stor.hot-add-remove` of `stor.hot-add-remove/virtio`.
    pub fn base(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The id as a file name: `/` becomes `+`.
    pub fn file_name(&self) -> String {
        self.0.replace('/', "+")
    }
}

impl FromStr for CheckId {
    type Err = CheckIdError;

    fn from_str(text: &str) -> Result<Self, CheckIdError> {
        let shown = || text.chars().take(60).collect::<String>();
        let (prefix, name) = text.split_once('.').ok_or_else(|| CheckIdError::Name(shown()))?;
        if !Subsystem::ALL.iter().any(|s| s.prefix() == prefix) {
            return Err(CheckIdError::Subsystem(shown()));
        }
        let word = |w: &str| {
            !w.is_empty()
                && w.len() <= 40
                && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let mut parts = name.split('/');
        let good = parts.next().is_some_and(word)
            && parts.next().is_none_or(word)
            && parts.next().is_none();
        if good { Ok(Self(text.to_owned())) } else { Err(CheckIdError::Name(shown())) }
    }
}

text_form!(CheckId);

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a check disturbs the machine that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Reads only: all of them share one clone.
    Reads,
    /// A reversible stimulus, in a clone of its own.
    Reversible,
    /// Disruptive: its own clone, or its own boot.
    Disruptive,
    /// Needs a second host or a special device.
    SecondHost,
}

impl Tier {
    /// 0 to 3, as the tables of checks count.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_know_their_subsystem_and_base() {
        let id: CheckId = "stor.hot-add-remove/virtio".parse().expect("a good id");
        assert_eq!(id.subsystem(), Subsystem::Stor);
        assert_eq!(id.base(), "stor.hot-add-remove");
        assert_eq!(id.file_name(), "stor.hot-add-remove+virtio");
    }

    #[test]
    fn a_path_or_markup_is_no_id() {
        for bad in
            ["", "stor", "stor.", "stor.../x", "stor.a/b/c", "what.is-this", "stor.A", "stor.<b>"]
        {
            assert!(bad.parse::<CheckId>().is_err(), "{bad}");
        }
    }
}
