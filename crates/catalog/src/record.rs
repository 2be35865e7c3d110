//! What is kept of a record.

use hospitium_ledger::NoticeKind;
use hospitium_ledger::statement::{CheckCounts, Envelope, Validation, Waiver};
use hospitium_model::standing::{Assurance, AssuredBy, Deed, assurance};
use hospitium_model::{Digest, MachineRow, printable};
use hospitium_plan::cells::is_known_impossible;
use hospitium_plan::obligation::{Covers, Trial, Voice, repetition};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::question::firmware_word;

/// Machines that a record counts on and that are kept, at most: with more, who repeated which is not told.
const MACHINES: usize = 200;
/// Most of what a claim counts as impossible that is kept.
const IMPOSSIBLE: usize = 50;

/// What of a record is kept beside its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Detail {
    /// What was tested.
    pub envelope: Envelope,
    /// How many checks ended how.
    pub coverage: CheckCounts,
    /// Failures that are accepted for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// Checks that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The part of the rule that decided until when it is valid.
    pub decided_by: String,
    /// The suite's version.
    pub suite: String,
    /// The run.
    pub run: String,
    /// The evidence, by the digest of its manifest.
    pub evidence: Digest,
    /// The cell in it.
    pub cell: String,
    /// The machine configuration, in words: as the record tells it, else by what was tested.
    pub machine: String,
    /// Records of the same log that it rests on, by the digests of their entries: waivers, and earlier
    /// runs of machines that it counts as covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<Digest>,
    /// Which machine configuration was tried, of which guest under which VMM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// The key that signed it.
    #[serde(default)]
    pub key: String,
    /// The profile, all of whose checks were required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The guest's paravirtual drivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers: Option<String>,
    /// What it counts as impossible on its own word, in words: such combinations it does not cover.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impossible: Vec<String>,
    /// What its run covers of the machine's configurations, as it claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Covers>,
}

/// A machine configuration that a record says was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Tried {
    /// The configuration.
    pub row: MachineRow,
    /// What booted.
    pub guest: Digest,
    /// The VMM, where the record names it.
    pub vmm: Option<Digest>,
}

impl Tried {
    fn of(validation: &Validation) -> Option<Self> {
        let ours = &validation.hospitium;
        Some(Self {
            row: ours.machines.as_ref()?.own_row(&ours.evidence.cell)?,
            guest: ours.guest.digest,
            vmm: validation.vmm(),
        })
    }
}

impl Detail {
    pub(crate) fn of(validation: &Validation) -> Self {
        let ours = &validation.hospitium;
        Self {
            envelope: ours.envelope.clone(),
            coverage: ours.coverage,
            waivers: ours.waivers.clone(),
            failed: validation.failed_tests.clone(),
            decided_by: ours.validity.decided_by.clone(),
            suite: ours.run.hospitium.clone(),
            run: ours.run.id.clone(),
            evidence: ours.evidence.manifest,
            cell: ours.evidence.cell.clone(),
            machine: machine(validation),
            rests_on: rests_on(validation),
            tried: Tried::of(validation),
            key: String::new(),
            profile: ours.profile.as_deref().map(|text| printable(text, 60)),
            drivers: ours.drivers.as_deref().map(|text| printable(text, 200)),
            impossible: impossible(validation),
            covers: ours.machines.as_ref().map(|claim| Covers {
                strength: claim.strength,
                covered: claim.covered,
                feasible: claim.feasible,
                complete: claim.is_complete(),
                parameters: claim.parameters.clone(),
                rows: claim.rows.len(),
                machines: match claim.rows.len() {
                    0..=MACHINES => claim.rows.iter().map(|row| row.row.join(" ")).collect(),
                    _ => Vec::new(),
                },
            }),
        }
    }
}

fn rests_on(validation: &Validation) -> Vec<Digest> {
    let ours = &validation.hospitium;
    let rows = ours.machines.iter().flat_map(|machines| &machines.rows);
    let waivers = ours.waivers.iter().filter_map(|waiver| waiver.record);
    waivers.chain(rows.filter_map(|row| row.record)).collect()
}

/// What of a claim's coverage is left out as impossible and stands in no table of ours.
fn impossible(validation: &Validation) -> Vec<String> {
    let ours = &validation.hospitium;
    let rules = ours.machines.iter().flat_map(|claim| &claim.infeasible);
    let own = rules.filter(|rule| !is_known_impossible(&ours.host.kind, &rule.what));
    own.take(IMPOSSIBLE)
        .map(|rule| printable(&format!("{}, for {}", rule.what, rule.reason), 300))
        .collect()
}

/// The words of a record's machine configuration.
fn machine(validation: &Validation) -> String {
    if let Some(row) = validation.row() {
        return row.words().join(" ");
    }
    let Envelope { vcpus, vcpus_max, memory, memory_max, nodes, chipset, firmware, .. } =
        &validation.hospitium.envelope;
    let Envelope { disk_buses, nics, .. } = &validation.hospitium.envelope;
    let firmware = firmware_word(*firmware);
    let (disks, nics) = (disk_buses.join("+"), nics.join("+"));
    let text = format!(
        "{chipset} {firmware} {disks} {nics} {vcpus}-{vcpus_max} {memory}-{memory_max} {nodes}"
    );
    printable(&text, 300)
}

/// A guest or host as records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: i64,
    /// `guest` or `host`.
    pub kind: String,
    /// Product id; empty if the record has none.
    pub product: String,
    pub name: String,
    pub version: String,
}

/// A record of a validation, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stored {
    /// The log.
    pub log: String,
    /// Its place there.
    pub entry: u64,
    /// SHA-256 of the entry.
    pub digest: String,
    /// Who says so.
    pub party: String,
    /// The guest's name in the record.
    pub guest: String,
    /// The host's name in the record.
    pub host: String,
    /// Architecture.
    pub arch: String,
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: String,
    /// The day on which the run ended, in UTC.
    pub validated: Date,
    /// The last day on which it is valid by itself.
    pub until: Date,
    /// Whether the guest ran under emulation.
    pub emulated: bool,
    /// What else it says.
    pub detail: Detail,
    /// How far others bear it out.
    pub assurance: Assurance,
    /// Who does, and by what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assured_by: Vec<AssuredBy>,
    /// Why what rests on it is not certain, if that is so: of its log, or of one that bears it out, something is not known
    /// here, and a withdrawal may be among that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
    /// Other parties that have cosigned its log, and the day from which that is known.
    #[serde(skip)]
    pub(crate) cosigned: Vec<(String, Date)>,
    /// Known issues of it, of any party whose log is read, that are known on the day and not taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_issues: Vec<IssueOf>,
    /// Endorsements of it that are known on the day and not taken back.
    #[serde(skip)]
    pub(crate) endorsed: Vec<EndorsedBy>,
    /// Entries of its log that name it, or what it rests on, and are of a kind that is not known here.
    #[serde(skip)]
    pub(crate) unknown: Vec<OfUnknownKind>,
    #[serde(skip)]
    pub(crate) log_id: i64,
    /// The day from which it is known: on which it was recorded.
    #[serde(skip)]
    pub(crate) known: Date,
}

impl Stored {
    /// Where it is: `vendor.example/log entry 7`.
    pub fn place(&self) -> String {
        format!("{} entry {}", self.log, self.entry)
    }

    /// Which machine was tried in which run, and where that is recorded.
    pub(crate) fn trial(&self) -> Trial {
        Trial {
            machine: self.detail.machine.clone(),
            run: self.detail.run.clone(),
            cell: self.detail.cell.clone(),
            log: self.log.clone(),
            entry: self.entry,
        }
    }

    /// What of it decides whether it speaks.
    pub(crate) fn voice<'a>(&'a self, trial: &'a Trial) -> Voice<'a> {
        Voice {
            party: &self.party,
            arch: &self.arch,
            validated: self.validated,
            emulated: self.emulated,
            trial,
        }
    }

    /// Other parties that have cosigned its log.
    pub(crate) fn cosigners(&self) -> impl Iterator<Item = &str> {
        self.cosigned.iter().map(|(party, _)| party.as_str())
    }

    /// Works out how far others bear it out, by what is said of it, by what the same parties repeated of its pair beside it,
    /// and by their own records of the pair.
    pub(crate) fn assure(&mut self, repeated: &[(String, Trial)], own: Vec<AssuredBy>) {
        let (covers, trial) = (self.detail.covers.as_ref(), self.trial());
        let cosigned = self.cosigners().map(|party| AssuredBy {
            deed: Deed::Cosigned,
            party: party.to_owned(),
            at: String::new(),
            part: None,
        });
        let endorsed = self.endorsed.iter().map(|by| {
            let again = repeated.iter().filter(|(party, _)| *party == by.party);
            let (deed, part) = match by.repeated {
                true => repetition(covers, &trial, again.map(|(_, trial)| trial)),
                false => (Deed::Reviewed, None),
            };
            AssuredBy { deed, party: by.party.clone(), at: by.at.clone(), part }
        });
        self.assured_by = cosigned.chain(endorsed).chain(own).collect();
        self.assured_by.sort();
        self.assurance = assurance(&self.assured_by);
    }

    /// Whether it is known on a day: its run had ended by then, and it was recorded.
    pub fn is_known_on(&self, day: Date) -> bool {
        self.validated <= day && self.known <= day
    }

    /// The day from which it is known.
    pub fn known_from(&self) -> Date {
        self.validated.max(self.known)
    }

    /// Whether every required check passed or was waived.
    pub fn passed(&self) -> bool {
        self.result != "FAILED"
    }
}

/// An endorsement by another party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsedBy {
    /// The log in which it is.
    pub log_id: i64,
    /// Whose log that is.
    pub party: String,
    /// Where it is.
    pub at: String,
    /// The key that signed it.
    pub key: String,
    /// Whether the run was repeated.
    pub repeated: bool,
    /// The day from which it is known.
    pub known: Date,
}

/// A known issue of what a certificate is about, fit for a page or a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IssueOf {
    /// Who says so.
    pub party: String,
    /// Where: log and entry.
    pub at: String,
    /// The issue.
    pub text: String,
    /// What helps until it is fixed; empty if nothing is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workaround: String,
    /// Updates or articles, with commas between; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fixes: String,
}

impl IssueOf {
    /// In a sentence or some.
    pub fn words(&self) -> String {
        let Self { party, at, text, workaround, fixes } = self;
        let mut words = format!("known issue, says {party} ({at}): {text}");
        for (label, more) in [("until it is fixed", workaround), ("fixed by", fixes)] {
            if !more.is_empty() {
                words.push_str(&format!("; {label}: {more}"));
            }
        }
        words
    }
}

/// An entry of a kind that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfUnknownKind {
    /// The log in which it is.
    pub log: String,
    pub entry: u64,
    pub kind: String,
}

/// A suspension, its lifting, or a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    pub kind: NoticeKind,
    pub issued: Date,
    /// The last day of a suspension, if it has one.
    pub until: Option<Date>,
    pub reason: String,
}

/// The last day, in UTC, of what holds until a number of seconds since 1970.
pub fn last_day(seconds: i64) -> Date {
    hospitium_ledger::last_day(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

/// The day of a number of seconds since 1970, in UTC.
pub fn day(seconds: i64) -> Date {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    TimeZone::UTC.to_datetime(time).date()
}

/// The last second of a day, in UTC.
pub fn end_of(day: Date) -> i64 {
    let end = day.at(23, 59, 59, 0).to_zoned(TimeZone::UTC);
    end.map_or(i64::MAX, |zoned| zoned.timestamp().as_second())
}
