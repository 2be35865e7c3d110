//! Answers: the word, the rule that decided, and everything that bears it out.

use hospitium_ledger::statement::Waiver;
use hospitium_model::standing::{Assurance, AssuredBy, Rule, Ruling, Word, assurance_words};
use jiff::civil::Date;
use serde::Serialize;

use crate::question::firmware_word;
use crate::record::IssueOf;
use crate::{Limits, Stored};

/// What became of a question.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reply")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Reply {
    /// It has an answer.
    Answer(Box<Answer>),
    /// It may mean several things, or nothing that is known: what it may mean.
    Unclear {
        /// The question, fit for a page or a terminal.
        question: String,
        /// The sides that are not clear.
        sides: Vec<Unclear>,
    },
}

/// A side of a question that may mean several things, or nothing that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Unclear {
    /// `guest` or `host`.
    pub side: &'static str,
    /// What was asked for.
    pub text: String,
    /// Short id and name of what comes nearest, the best first.
    pub candidates: Vec<(String, String)>,
    /// Why it is not known here, if that can be said: it is newer than all that is known of its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A certificate that bears an answer out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Certified {
    /// The record.
    #[serde(flatten)]
    pub record: Stored,
    /// Where it is: log and entry.
    pub place: String,
    /// What was tested, in words.
    pub tested: Vec<String>,
}

impl Certified {
    pub(crate) fn of(record: &Stored) -> Self {
        let (place, tested) = (record.place(), tested(record));
        Self { record: record.clone(), place, tested }
    }

    /// In one line.
    pub fn words(&self) -> String {
        let Stored { party, result, guest, host, validated, until, .. } = &self.record;
        let until =
            if self.record.passed() { format!(", valid until {until}") } else { String::new() };
        format!("{party} says {result} of {guest} on {host}, {validated}{until} ({})", self.place)
    }
}

/// A configuration near to the one asked for that is validated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Nearest {
    /// The guest.
    pub guest: String,
    /// The host.
    pub host: String,
    /// Why this one.
    pub why: String,
    /// Its certificate.
    pub certificate: Certified,
}

/// What a party says of the pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Said {
    /// The party.
    pub party: String,
    /// `passed` or `failed`.
    pub says: &'static str,
    /// When.
    pub on: Date,
    /// Where.
    pub place: String,
}

/// Who supports it, by an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SupportedBy {
    /// The agreement.
    pub agreement: String,
    /// The terms, in sentences.
    pub words: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The question, fit for a page or a terminal.
    pub question: String,
    /// The guest that was understood.
    pub guest: String,
    /// Its product id, if it is a known product.
    pub guest_id: Option<String>,
    /// The host that was understood.
    pub host: String,
    /// Its product id, if it is a known product.
    pub host_id: Option<String>,
    /// What is asked of the machine.
    pub asked: Limits,
    /// The day for which it holds.
    pub as_of: Date,
    /// The answer in a word.
    pub verdict: Word,
    /// The rule that decided.
    pub rule: Rule,
    /// The same in words, made from it.
    pub rule_words: String,
    /// What is outside of what was tested, or was accepted, or has to be said with it.
    pub limits: Vec<String>,
    /// The certificate.
    pub certificate: Option<Certified>,
    /// Further reasons, the deciding ones first.
    pub reasons: Vec<String>,
    /// Parties that contradict each other; empty if they do not.
    pub conflict: Vec<Said>,
    /// Records that do not count, each with its reason.
    pub set_aside: Vec<String>,
    /// The nearest configurations that are validated.
    pub nearest: Vec<Nearest>,
    /// Who supports it.
    pub support: Vec<SupportedBy>,
    /// How far others bear out what decides, where a validation holds.
    pub assurance: Option<Assurance>,
    /// Who does, and by what.
    pub assured_by: Vec<AssuredBy>,
    /// The logs that it rests on, each with how old the head is that is known of it.
    pub heads: Vec<String>,
    /// Whether everything could be read of the logs that it rests on. If not, a withdrawal may be among
    /// what could not.
    pub certain: bool,
    /// What keeps the answer from being certain.
    pub warnings: Vec<String>,
}

impl Answer {
    /// What decided, to be kept.
    pub fn ruling(&self) -> Ruling {
        Ruling::new(self.as_of, self.rule.clone(), self.limits.clone())
    }

    /// In one line.
    pub fn headline(&self) -> String {
        let asked = self.asked.words();
        let with = if asked.is_empty() { String::new() } else { format!(", {}", asked.join(", ")) };
        let word = self.verdict.words();
        format!("{word}: {} on {}{with} (as of {})", self.guest, self.host, self.as_of)
    }

    /// Everything else, line by line, each with its label.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("rule", self.rule_words.clone())];
        lines.extend(self.limits.iter().map(|limit| ("limit", limit.clone())));
        if let Some(certificate) = &self.certificate {
            lines.push(("certificate", certificate.words()));
            lines.push(("tested", certificate.tested.join(", ")));
        }
        if self.assurance.is_some() {
            // What the agreement does not count of that is told among the reasons.
            let aside = match &self.rule {
                Rule::Holds { unfulfilled: Some(deal), .. } => {
                    format!("; this is by the logs, and not as {} counts it", deal.title)
                }
                _ => String::new(),
            };
            lines.push(("assurance", format!("{}{aside}", assurance_words(&self.assured_by))));
        }
        for said in &self.conflict {
            let Said { party, says, on, place } = said;
            lines.push(("conflict", format!("{party} says that it {says} on {on} ({place})")));
        }
        lines.extend(self.reasons.iter().map(|reason| ("because", reason.clone())));
        lines.extend(self.set_aside.iter().map(|why| ("left out", why.clone())));
        for near in &self.nearest {
            let Nearest { guest, host, why, certificate } = near;
            lines.push(("nearest", format!("{guest} on {host}: {why}; {}", certificate.words())));
        }
        for support in &self.support {
            for words in &support.words {
                lines.push(("support", format!("{words} ({})", support.agreement)));
            }
        }
        lines.extend(self.heads.iter().map(|head| ("as known by", head.clone())));
        lines.extend(self.warnings.iter().map(|warning| ("warning", warning.clone())));
        lines
    }
}

/// What was tested, in words.
pub fn tested(record: &Stored) -> Vec<String> {
    let envelope = &record.detail.envelope;
    let range = |least: String, most: String| {
        if least == most { least } else { format!("{least} to {most}") }
    };
    let mut words = vec![
        format!("{} vCPUs", range(envelope.vcpus.to_string(), envelope.vcpus_max.to_string())),
        range(envelope.memory.to_string(), envelope.memory_max.to_string()),
        firmware_word(envelope.firmware).to_owned(),
        record.arch.clone(),
    ];
    words.push(format!("{} chipset", envelope.chipset));
    words.extend(envelope.machine_type.iter().map(|name| format!("machine type {name}")));
    words.extend(envelope.cpu_model.iter().map(|name| format!("CPU model {name}")));
    words.extend(envelope.disk_buses.iter().map(|bus| format!("disk on {bus}")));
    words.extend(envelope.nics.iter().map(|nic| format!("network {nic}")));
    words.extend(envelope.devices.iter().cloned());
    words.push(envelope.accelerator.name().to_owned());
    let counts = &record.detail.coverage;
    words.push(format!("{} checks passed", counts.passed));
    words.iter().map(|word| hospitium_model::printable(word, 200)).collect()
}

/// What of a question lies outside of what was tested.
pub fn outside(asked: &Limits, record: &Stored) -> Vec<String> {
    let envelope = &record.detail.envelope;
    let mut outside = Vec::new();
    if let Some(asked) = asked.vcpus.filter(|asked| *asked > envelope.vcpus_max) {
        outside
            .push(format!("{asked} vCPUs are asked for; tested are up to {}", envelope.vcpus_max));
    }
    if let Some(asked) = asked.memory.filter(|asked| *asked > envelope.memory_max) {
        outside.push(format!("{asked} is asked for; tested is up to {}", envelope.memory_max));
    }
    if let Some(asked) = asked.firmware.filter(|asked| *asked != envelope.firmware) {
        let (asked, tested) = (firmware_word(asked), firmware_word(envelope.firmware));
        outside.push(format!("{asked} is asked for; tested is {tested}"));
    }
    let listed = |names: &[String]| {
        let all = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        hospitium_model::printable(&all, 200)
    };
    for (what, asked, tested) in [
        ("a disk", &asked.buses, &envelope.disk_buses),
        ("a network interface", &asked.nics, &envelope.nics),
    ] {
        for name in asked.iter().filter(|name| !tested.contains(name)) {
            let tested = listed(tested);
            outside.push(format!("{what} of {name} is asked for; tested are: {tested}"));
        }
    }
    outside.extend(other_board(asked, record));
    for name in asked.devices.iter().filter(|name| !envelope.devices.contains(name)) {
        let tested = listed(&envelope.devices);
        outside.push(format!("a device, {name}, is asked for; tested are: {tested}"));
    }
    // No record says of a machine that Secure Boot was on.
    if asked.secure_boot == Some(true) {
        outside
            .push("Secure Boot is asked for; that it was on is said of no tested machine".into());
    }
    outside.extend(asked.untested.iter().map(|limit| hospitium_model::printable(limit, 300)));
    outside
}

/// What of chipset, machine type and CPU model is another than what was tested.
fn other_board(asked: &Limits, record: &Stored) -> Vec<String> {
    let envelope = &record.detail.envelope;
    let mut other = Vec::new();
    if let Some(chipset) = asked.chipset.as_ref().filter(|name| **name != envelope.chipset) {
        let tested = &envelope.chipset;
        other.push(format!("a {chipset} chipset is asked for; tested is a {tested} one"));
    }
    if let Some(asked) = &asked.machine_type {
        // Where a record names none, it was the newest of its host: `pc-q35-7.2` of QEMU 7.2.
        let version = asked.rsplit('-').next().unwrap_or_default();
        let numbered = version.starts_with(|c: char| c.is_ascii_digit());
        match &envelope.machine_type {
            Some(tested) if tested != asked => {
                other.push(format!("machine type {asked} is asked for; tested is {tested}"));
            }
            None if numbered && !record.host.contains(version) => {
                other.push(format!(
                    "machine type {asked} is asked for; tested is its host's newest"
                ));
            }
            _ => {}
        }
    }
    if let Some(asked) = &asked.cpu_model {
        match &envelope.cpu_model {
            Some(tested) if tested == asked => {}
            Some(tested) => {
                other.push(format!("CPU model {asked} is asked for; tested is {tested}"))
            }
            None => other.push(format!("CPU model {asked} is asked for; tested is the host's own")),
        }
    }
    other.iter().map(|limit| hospitium_model::printable(limit, 300)).collect()
}

/// The failures of a record that are accepted for a time, in words.
pub fn waived(record: &Stored) -> Vec<String> {
    let words = |waiver: &Waiver| {
        let until = crate::record::day(waiver.until.as_second());
        let text = format!(
            "{} failed and is waived until {until} by {}: {}",
            waiver.check, waiver.by, waiver.reason
        );
        hospitium_model::printable(&text, 500)
    };
    record.detail.waivers.iter().map(words).collect()
}

/// The known issues of a record, in words.
pub fn known_issues(record: &Stored) -> Vec<String> {
    let words = |issue: &IssueOf| hospitium_model::printable(&issue.words(), 1_000);
    record.known_issues.iter().map(words).collect()
}

/// What has to be said with a validation, whatever is asked.
pub fn reservations(record: &Stored) -> Vec<String> {
    let mut limits = Vec::new();
    if record.emulated {
        limits.push(
            "the guest ran under emulation only, which says nothing of the hardware's path".into(),
        );
    }
    if record.detail.profile.is_none() {
        let count = record.detail.coverage.required;
        limits.push(format!(
            "its record names no profile, so how much of what is usually required was tried is not known; required \
             checks: {count}"
        ));
    }
    limits.extend(waived(record));
    limits.extend(known_issues(record));
    for what in &record.detail.impossible {
        limits.push(format!(
            "its run covers no machine with {what}: that none can be is its party's word"
        ));
    }
    for check in record.detail.failed.iter().filter(|_| record.passed()) {
        let text = format!("{check}, which is not required, failed");
        limits.push(hospitium_model::printable(&text, 200));
    }
    limits
}
