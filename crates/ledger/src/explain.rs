//! What a verified certificate says, in words.

use std::sync::Arc;

use hospitium_model::standing::assurance_words;
use hospitium_model::{Digest, Verdict};
use jiff::Timestamp;

use crate::evidence::EvidenceFound;
use crate::history::{History, Needed};
use crate::key::Algorithm;
use crate::note::{Checkpoint, Cosigned};
use crate::statement::{MachineCoverage, Record, Statement, Validation};

/// What a certificate is worth at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The pair is validated.
    Valid {
        /// Until when.
        until: Timestamp,
    },
    /// It was, until then.
    Lapsed {
        /// Since when it no longer is.
        since: Timestamp,
    },
    /// It will be.
    NotYet {
        /// From when.
        from: Timestamp,
    },
    /// The record says that the pair failed.
    Failed,
    /// The party has suspended it.
    Suspended {
        /// The suspension's entry.
        index: u64,
        /// When.
        at: Timestamp,
        /// Until when; open if absent.
        until: Option<Timestamp>,
        /// Why.
        reason: String,
    },
    /// The party has withdrawn it.
    Withdrawn {
        /// The withdrawal's entry.
        index: u64,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It passed, and something that it rests on was taken back or is not what it is said to be.
    Fallen {
        /// What, in words.
        what: String,
        /// Why.
        why: String,
    },
    /// It is a record of another kind, and certifies nothing.
    Notice(&'static str),
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Fingerprint of the key.
    pub key: Digest,
    /// How it signs.
    pub algorithm: Algorithm,
}

/// Where the record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKnown {
    /// The log.
    pub origin: String,
    /// The record's entry.
    pub index: u64,
    /// Entries under the certificate's checkpoint.
    pub size: u64,
}

/// A certificate that was verified, and all that is known about it. Texts in the statement are the
/// party's: escape them before showing them.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What it is worth.
    pub standing: Standing,
    /// Who says so.
    pub party: String,
    /// With which key.
    pub signed: Signed,
    /// What is said.
    pub statement: Statement,
    /// The record's name: SHA-256 of its entry.
    pub record: Digest,
    /// Where it is.
    pub log: LogKnown,
    /// The head under which it was verified.
    pub checkpoint: Arc<Checkpoint>,
    /// Witnesses of the policy that have cosigned, and when.
    pub cosigned: Vec<Cosigned>,
    /// Witnesses of the policy that have not.
    pub not_cosigned: Vec<String>,
    /// Cosignatures that do not count, as they are from the future; each in words.
    pub ahead: Vec<String>,
    /// What the policy asks for.
    pub quorum: String,
    /// What became of the evidence.
    pub evidence: EvidenceFound,
    /// What a copy of the log says besides, if one was given.
    pub history: Option<History>,
    /// The time for which all this holds.
    pub now: Timestamp,
}

impl Explained {
    /// True if the pair is validated now, nothing is wrong with evidence that was given, and everything
    /// that may be about it in a copy of the log could be read.
    pub fn is_good(&self) -> bool {
        matches!(self.standing, Standing::Valid { .. })
            && self.evidence.is_good()
            && self.unread().is_empty()
            && self.forked().is_none()
    }

    /// Entries of a signed head that is kept beside the copy of the log and contradicts another: the log was forked.
    pub fn forked(&self) -> Option<u64> {
        self.history.as_ref()?.forked
    }

    /// Entries of the log's copy that may be about it and cannot be read here.
    pub fn unread(&self) -> &[(u64, String)] {
        self.history.as_ref().map_or(&[], |history| &history.unread)
    }

    /// What it rests on besides, and whether that is known.
    fn rests_lines(&self, lines: &mut Vec<(&'static str, String)>) {
        let Some(history) = &self.history else {
            let needed = self.validation().map(Needed::of).unwrap_or_default();
            if !needed.is_empty() {
                let count = needed.len();
                let text =
                    format!("{count} other records, which a copy of the log would show (--log)");
                lines.push(("rests on", text));
            }
            return;
        };
        for rests in &history.rests_on {
            let found = match &rests.found {
                Ok(()) => "in the log, as claimed".to_owned(),
                Err(why) => format!("WRONG: {why}"),
            };
            let text = format!("{}, {}: {found}", rests.what.words(), rests.record.short());
            lines.push(("rests on", text));
        }
    }

    /// The validation, if it is one.
    pub fn validation(&self) -> Option<&Validation> {
        match &self.statement.record {
            Record::Validation(validation) => Some(validation),
            _ => None,
        }
    }

    /// The standing in a sentence.
    pub fn headline(&self) -> String {
        let pair = self.validation().map_or_else(
            || "this record".to_owned(),
            |v| format!("{} on {}", v.hospitium.guest.name, v.hospitium.host.name),
        );
        let party = &self.party;
        match &self.standing {
            Standing::Valid { until } => {
                let until = day(*until);
                match self.evidence.is_good() {
                    true if !self.unread().is_empty() => format!(
                        "{party} validated {pair}, until {until}; the log has {} entries of it that \
                         this program cannot read, and a withdrawal may be among them",
                        self.unread().len()
                    ),
                    true if self.forked().is_some() => format!(
                        "{party} validated {pair}, until {until}; its log was forked, and the other branch may say \
                         otherwise"
                    ),
                    true => format!("{party} validated {pair}; valid until {until}"),
                    false => format!(
                        "{party} validated {pair}, until {until}; the evidence that was given does not bear it out"
                    ),
                }
            }
            Standing::Lapsed { since } => {
                format!("{party} had validated {pair}; lapsed on {}", day(*since))
            }
            Standing::NotYet { from } => {
                format!("{party} validated {pair}, from {} on", day(*from))
            }
            Standing::Failed => format!("{party} found that {pair} failed: not validated"),
            Standing::Suspended { at, until, reason, .. } => {
                let until = until.map(|u| format!(" until {}", day(u))).unwrap_or_default();
                format!("{party} suspended this on {}{until}: {reason}", day(*at))
            }
            Standing::Withdrawn { at, reason, .. } => {
                format!("{party} withdrew this on {}: {reason}", day(*at))
            }
            Standing::Fallen { what, why } => {
                format!(
                    "{party} validated {pair}; what that rests on, {what}, does not hold: {why}"
                )
            }
            Standing::Notice(what) => {
                format!("a record of {party}: {what}, which certifies nothing")
            }
        }
    }

    /// All of it, as pairs of a label and a line.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("decided by", self.rule().words())];
        if let Some(validation) = self.validation() {
            validation_lines(validation, &mut lines);
        }
        let Signed { key, algorithm } = &self.signed;
        lines.push(("said by", format!("{}, {algorithm} key {}", self.party, key.short())));
        let issued = self.statement.issued();
        lines.push(("said at", issued.map_or_else(|| "not told".into(), |at| at.to_string())));
        let LogKnown { origin, index, size } = &self.log;
        lines.push(("in the log", format!("{origin}, entry {index} of {size}")));
        for Cosigned { by, at } in &self.cosigned {
            lines.push(("cosigned", format!("by {by} at {at}")));
        }
        for witness in &self.not_cosigned {
            lines.push(("cosigned", format!("not by {witness}")));
        }
        lines.extend(self.ahead.iter().map(|why| ("cosigned", why.clone())));
        if let Some(size) = self.forked() {
            lines.push((
                "forked",
                format!(
                    "a head of {size} entries, signed by the log, contradicts another; both are kept beside the copy, and \
                     what the other branch says is not known here"
                ),
            ));
        }
        for (index, why) in self.unread().iter().take(20) {
            lines.push(("not read", format!("entry {index}: {why}")));
        }
        if self.cosigned.is_empty() && self.not_cosigned.is_empty() {
            lines.push(("cosigned", self.quorum.clone()));
        }
        if self.validation().is_some() {
            lines.push(("assurance", assurance_words(&self.assured_by())));
        }
        lines.push(("known since", self.known()));
        evidence_lines(&self.evidence, &mut lines);
        self.rests_lines(&mut lines);
        lines
    }

    /// As of when suspensions and withdrawals are known.
    fn known(&self) -> String {
        match &self.history {
            None => {
                let size = self.log.size;
                format!(
                    "suspensions and withdrawals after entry {} are not known: give a copy of the log",
                    size.saturating_sub(1)
                )
            }
            Some(history) => {
                let as_of = match (history.cosigned_at, history.last_record) {
                    (Some(at), _) => format!("cosigned at {at}"),
                    (None, Some(at)) => format!("whose last record is of {at}"),
                    (None, None) => "of unknown age".to_owned(),
                };
                let none = if !history.unread.is_empty() {
                    "suspensions and withdrawals, as far as entries can be read, by"
                } else if history.notices.is_empty() {
                    "no suspension and no withdrawal in"
                } else {
                    "suspensions and withdrawals by"
                };
                format!("{none} a copy of the log with {} entries, {as_of}", history.size)
            }
        }
    }
}

fn validation_lines(validation: &Validation, lines: &mut Vec<(&'static str, String)>) {
    let ours = &validation.hospitium;
    let (guest, host, envelope) = (&ours.guest, &ours.host, &ours.envelope);
    lines.push(("result", validation.result.word().to_owned()));
    let product = |id: &Option<String>| id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
    lines.push((
        "guest",
        format!("{}{}, sha256:{}", guest.name, product(&guest.product), guest.digest),
    ));
    lines.push(("host", format!("{}{}, {}", host.name, product(&host.product), host.build)));
    lines.push((
        "ran under",
        format!("{} (measured: {})", host.accelerator.used.name(), host.accelerator.how),
    ));
    if let Some(booted) = ours.run.booted.filter(|booted| *booted < ours.run.started) {
        lines.push(("boot", format!("of {booted}, kept from an earlier run")));
    }
    if !host.accelerator.used.is_hardware() {
        let text = "under emulation: says nothing about the processor's virtualization extensions";
        lines.push(("limit", text.to_owned()));
    }
    lines.push((
        "envelope",
        format!(
            "{} to {} vCPU, {} to {} memory, {} firmware, disks on {}, network {}",
            envelope.vcpus,
            envelope.vcpus_max,
            envelope.memory,
            envelope.memory_max,
            serde_json::to_value(envelope.firmware)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default(),
            envelope.disk_buses.join("/"),
            envelope.nics.join("/"),
        ),
    ));
    let c = &ours.coverage;
    lines.push((
        "checks",
        format!(
            "{} passed ({} of them seen by one witness), {} failed, {} waived, {} do not apply, \
             {} came to no end; {} are required",
            c.passed, c.one_witness, c.failed, c.waived, c.skipped, c.inconclusive, c.required
        ),
    ));
    for line in ours.checks.iter().filter(|l| matches!(l.verdict, Verdict::Fail { .. })) {
        let flaky = line.flaky.map(|[k, n]| format!(" ({k} of {n} attempts)")).unwrap_or_default();
        let required = if line.required { "" } else { ", not required" };
        lines.push(("failed", format!("{}{required}{flaky}: {}", line.id, line.verdict.reason())));
    }
    for waiver in &ours.waivers {
        let text = format!(
            "{} until {} by {}: {}",
            waiver.check,
            day(waiver.until),
            waiver.by,
            waiver.reason
        );
        lines.push(("waived", text));
    }
    for line in &ours.excluded {
        lines.push(("excluded", format!("{}: {}", line.id, line.reason)));
    }
    if let Some(machines) = &ours.machines {
        machine_lines(machines, lines);
    }
    let v = &ours.validity;
    let text = format!("{} to {} ({})", day(v.from), day(v.until), v.decided_by);
    lines.push(("valid", text));
    lines.push(("rule", format!("{}; applied again, it gives this day", v.rule_words())));
    let known = v.agreed.iter().flat_map(|agreed| &agreed.known);
    for fact in known.chain(&v.next_version).chain(&v.ends) {
        let source = match fact.source.is_empty() {
            true => String::new(),
            false => format!(" ({})", fact.source),
        };
        lines.push(("counts on", format!("{}: {}{source}", fact.what, day(fact.at))));
    }
}

fn machine_lines(m: &MachineCoverage, lines: &mut Vec<(&'static str, String)>) {
    let mut line = |text: String| lines.push(("machines", text));
    let counted = match m.rows.len() {
        0 => String::new(),
        1 => "1 row covers ".to_owned(),
        n => format!("{n} rows cover "),
    };
    line(format!(
        "{counted}{} of {} feasible {}-way combinations",
        m.covered, m.feasible, m.strength
    ));
    for parameter in &m.parameters {
        line(format!("{:<9} {}", parameter.name, parameter.values.join(", ")));
    }
    for row in &m.failed {
        line(format!("failed: {}", row.row.join(" ")));
    }
    for rule in &m.infeasible {
        line(format!("cannot be: {}, for {}", rule.what, rule.reason));
    }
}

fn evidence_lines(evidence: &EvidenceFound, lines: &mut Vec<(&'static str, String)>) {
    let mut line = |text: String| lines.push(("evidence", text));
    match evidence {
        EvidenceFound::NotGiven => line("not looked at: none was given".to_owned()),
        EvidenceFound::Unreadable { why } => line(format!("absent or unreadable: {why}")),
        EvidenceFound::Other { found, expected } => line(format!(
            "another bundle, or its manifest was altered: its digest is {found}, \
             the certificate names {expected}"
        )),
        EvidenceFound::Sound { files } => line(format!(
            "present: {files} files, none absent or altered, and it bears out every verdict"
        )),
        EvidenceFound::Altered { problems } => {
            for problem in problems.iter().take(20) {
                line(problem.to_string());
            }
            if let Some(more) = problems.len().checked_sub(20).filter(|n| *n > 0) {
                line(format!("and {more} more problems"));
            }
        }
        EvidenceFound::Contradicts { differences } => {
            for difference in differences.iter().take(20) {
                line(format!("contradicts the certificate: {difference}"));
            }
        }
    }
}

/// The day, in UTC.
fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
