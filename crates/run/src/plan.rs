//! What to run: guests on hosts, which checks, under which limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hospitium_guest::Guest;
use hospitium_host::{Host, Isolation, Reapers};
use hospitium_model::{ByteSize, CheckId, DefinitionPin, Expectations, GuestKind};
use hospitium_suite::{Check, EXPECTATIONS, StandardOptions, checks};

use crate::RunError;
use crate::budget::Wanted;
use crate::cache::DEFAULT_SIZE;
use crate::repeat::{Order, Repeat};
use crate::select::{Selection, required};

/// A run, before it begins.
pub struct RunPlan {
    /// The guests, each with how its machines are to be.
    pub guests: Vec<PlannedGuest>,
    /// The hosts that each of them runs on.
    pub hosts: Vec<PlannedHost>,
    /// Which guest runs on which host, by their places; none to run each on each.
    pub exactly: Option<Vec<(usize, usize)>>,
    /// The checks to run.
    pub checks: Vec<&'static Check>,
    /// How often each is run.
    pub repeat: Repeat,
    /// The order in which they begin.
    pub order: Order,
    /// Ids of the checks that the profile requires, chosen or not.
    pub required: Vec<CheckId>,
    /// What is right for which guest on which host.
    pub expectations: Expectations,
    /// Seed of all patterns.
    pub seed: u64,
    /// How much runs at once, as far as it is not left to what the hosts tell.
    pub wanted: Wanted,
    /// How checks get machines that no other has touched, if it is to be less than the host can.
    pub isolation: Option<Isolation>,
    /// Where evidence and report go: a folder that does not exist yet, or is empty.
    pub folder: PathBuf,
    /// Caches and the machines' own files.
    pub cache: PathBuf,
    /// How much booted machines may take in the cache; none to keep none.
    pub snapshots: Option<ByteSize>,
    /// Boot anew, and put the booted machine in the place of the one in the cache.
    pub fresh_boot: bool,
    /// End what killed runs left running.
    pub reapers: Reapers,
    /// The definition of a virtual machine that the machines are built after, if there is one; the evidence keeps it.
    pub definition: Option<DefinitionPin>,
}

/// A guest of a plan.
#[derive(Clone)]
pub struct PlannedGuest {
    /// The guest.
    pub guest: Arc<dyn Guest>,
    /// Its machines.
    pub options: StandardOptions,
    /// Where it came from, as a person would name it again; `replay` opens it by this.
    pub origin: String,
    /// The longest that its boot may take; by default as its kind needs under emulation.
    pub boot_limit: Option<Duration>,
}

/// A host of a plan.
#[derive(Clone)]
pub struct PlannedHost {
    /// The host.
    pub host: Arc<dyn Host>,
    /// Where it came from, as a person would name it again; `replay` opens it by this.
    pub origin: String,
}

/// One cell of a plan.
#[derive(Clone)]
pub(crate) struct PlannedCell {
    /// Name: unique, and fit for a file.
    pub name: String,
    /// Guest.
    pub guest: PlannedGuest,
    /// Host.
    pub host: PlannedHost,
    /// The host's place in the plan.
    pub place: usize,
}

impl PlannedGuest {
    /// The longest that the boot may take.
    pub(crate) fn boot_limit(&self) -> Duration {
        self.boot_limit.unwrap_or(match self.guest.facts().kind {
            GuestKind::Kernel => Duration::from_secs(120),
            GuestKind::Disk => Duration::from_secs(900),
        })
    }
}

impl RunPlan {
    /// All checks of `guests` on `hosts`, with everything else as it usually is.
    ///
    /// # Errors
    /// A table that ships with the suite cannot be read.
    pub fn new(
        guests: Vec<PlannedGuest>,
        hosts: Vec<PlannedHost>,
        folder: PathBuf,
        cache: PathBuf,
    ) -> Result<Self, RunError> {
        Ok(Self {
            guests,
            hosts,
            exactly: None,
            checks: checks::all(),
            repeat: Repeat::default(),
            order: Order::default(),
            required: required(),
            expectations: Expectations::from_toml(EXPECTATIONS)?,
            seed: 2009,
            wanted: Wanted::default(),
            isolation: None,
            folder,
            cache,
            snapshots: Some(DEFAULT_SIZE),
            fresh_boot: false,
            reapers: Reapers::from([]),
            definition: None,
        })
    }

    /// With only these checks.
    ///
    /// # Errors
    /// A pattern names nothing, or nothing is left.
    pub fn selecting(mut self, selection: &Selection) -> Result<Self, RunError> {
        self.checks = selection.of_suite()?;
        Ok(self)
    }

    /// The cells, guests by hosts, in the order of the matrix.
    pub(crate) fn cells(&self) -> Vec<PlannedCell> {
        let mut taken = BTreeSet::new();
        let mut cells = Vec::new();
        for (g, guest) in self.guests.iter().enumerate() {
            for (h, host) in self.hosts.iter().enumerate() {
                if self.exactly.as_ref().is_some_and(|pairs| !pairs.contains(&(g, h))) {
                    continue;
                }
                let base = cell_name(&guest.guest.facts().name, &host.host.facts().name);
                let name = (1..)
                    .map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
                    .find(|name| taken.insert(name.clone()))
                    .unwrap_or(base);
                cells.push(PlannedCell {
                    name,
                    guest: guest.clone(),
                    host: host.clone(),
                    place: h,
                });
            }
        }
        cells
    }
}

/// A name that is good for a file: letters, digits, `.` and `-`, at most 60 of them.
fn cell_name(guest: &str, host: &str) -> String {
    let slug = |text: &str| {
        let mut out = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() || (matches!(c, '.' | '+') && !out.is_empty()) {
                out.push(c.to_ascii_lowercase());
            } else if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
        }
        out.truncate(29);
        out.trim_end_matches(['-', '.']).to_owned()
    };
    match (slug(guest), slug(host)) {
        (guest, host) if guest.is_empty() || host.is_empty() => format!("cell{guest}{host}"),
        (guest, host) => format!("{guest}@{host}").replace('@', "--"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_names_are_good_for_files_whatever_guests_are_called() {
        assert_eq!(
            cell_name("linux 6.1.0-50-amd64", "qemu 7.2.22 (TCG)"),
            "linux-6.1.0-50-amd64--qemu-7.2.22-tcg"
        );
        for (guest, host) in [
            ("../../etc", "-x"),
            ("", ""),
            ("é\n\u{1b}[2J", "q"),
            (&"long ".repeat(50), &"x".repeat(300)),
        ] {
            let name = cell_name(guest, host);
            assert_eq!(hospitium_evidence::check_cell_name(&name), Ok(()), "{name:?}");
            assert!(name.len() <= 60);
        }
    }
}
