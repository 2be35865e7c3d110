//! A certificate's page: the record in words, every check with both witnesses, what bears it out; and
//! the list of the newest.

use std::collections::BTreeMap;

use askama::Template;
use hospitium_catalog::{Cursor, Listed};
use hospitium_ledger::statement::{CheckLine, ExcludedWhy, Validation};
use hospitium_ledger::{Certificate, EvidenceFound, Given, Statement};
use hospitium_model::standing::assurance_words;
use hospitium_model::{Digest, Subsystem, Verdict};
use hospitium_report::words;

use super::{Context, Frame, Row, Text, name, row, sentence, side};
use crate::Refused;
use crate::evidence::Compared;
use crate::mark::Mark;
use crate::site::Site;

/// Checks on a page.
const CHECKS: usize = 600;
/// Findings of a check.
const FINDINGS: usize = 60;
/// Files of evidence that are listed.
const FILES: usize = 1000;
/// Certificates on a page of the list.
const LISTED: u32 = 50;

/// The page.
#[derive(Debug, Template)]
#[template(path = "certificate.html")]
pub struct CertificatePage {
    frame: Frame,
    mark: Mark,
    guest: Text,
    host: Text,
    pair: String,
    party: String,
    stands: String,
    uncertain: String,
    terms: Vec<(&'static str, String)>,
    tested: Vec<String>,
    proof: Vec<(&'static str, String)>,
    distrust: String,
    counts: String,
    groups: Vec<Group>,
    excluded: Vec<(String, &'static str, String, bool)>,
    waivers: Vec<String>,
    issues: Vec<String>,
    coverage: Option<(String, Vec<(String, String)>)>,
    evidence: Mark,
    evidence_words: String,
    evidence_lines: Vec<String>,
    manifest: String,
    files: Vec<Text>,
    more_files: usize,
    download: String,
    digest: String,
    also: Vec<String>,
    failed: Vec<String>,
}

/// The checks of a subsystem.
#[derive(Debug)]
struct Group {
    title: &'static str,
    counts: String,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    id: String,
    mark: Mark,
    open: bool,
    notes: Vec<String>,
    reason: String,
    findings: Vec<[String; 4]>,
    left_out: usize,
}

/// What the log has of a record, verified here.
struct Proved {
    statement: Statement,
    lines: Vec<(&'static str, String)>,
    distrust: String,
}

impl CertificatePage {
    /// Makes the page of a record, by its name.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn new(context: Context<'_>, digest: &str) -> Result<Self, Refused> {
        let site = context.site;
        let listed = records(&context, digest).await?;
        let Some(first) = listed.first() else {
            return Err(Refused::NotFound("No log here has a record of this name.".into()));
        };
        let frame = context.frame(1, "certificates");
        let links = &frame.links;
        let record = &first.record;
        let proved = prove(site, first).await;
        let (statement, proof, distrust) = match proved {
            Ok(Proved { statement, mut lines, distrust }) => {
                // Endorsements stand in other logs, which the catalog has.
                lines.push(("assurance", assurance_words(&record.assured_by)));
                (Some(statement), lines, distrust)
            }
            Err(why) => (None, Vec::new(), why),
        };
        let validation = statement.as_ref().and_then(|statement| match &statement.record {
            hospitium_ledger::statement::Record::Validation(validation) => Some(&**validation),
            _ => None,
        });
        let (found, files) = match validation {
            Some(validation) => evidence(site, record.digest.parse().ok(), validation).await,
            None => (None, Vec::new()),
        };
        let (found, looked) = match found {
            Some(Compared { found, at, .. }) => (found, format!("Looked at {at:.0}.")),
            None => (EvidenceFound::NotGiven, String::new()),
        };
        let manifest = record.detail.evidence.to_string();
        let (mark, words, lines) = evidence_words(site, &found, validation.is_some());
        let counts = &record.detail.coverage;
        let guest = context.key(&first.guest_product, &record.guest);
        let host = context.key(&first.host_product, &record.host);
        Ok(Self {
            mark: Mark::from(&first.stands).unless(record.uncertain.is_some()),
            uncertain: record.uncertain.as_deref().map(sentence).unwrap_or_default(),
            guest: side(&context, links, &first.guest_product, &record.guest),
            host: side(&context, links, &first.host_product, &record.host),
            pair: links.pair(guest, host),
            party: name(&record.party),
            stands: sentence(&first.rule.words()),
            terms: terms(first, validation),
            tested: hospitium_catalog::tested(record).iter().map(|t| name(t)).collect(),
            proof: proof.into_iter().map(|(label, line)| (label, sentence(&line))).collect(),
            distrust,
            counts: format!(
                "{} passed ({} of them seen by one witness), {} failed, {} waived, {} do not apply, \
                 {} came to no end; {} are required",
                counts.passed,
                counts.one_witness,
                counts.failed,
                counts.waived,
                counts.skipped,
                counts.inconclusive,
                counts.required
            ),
            groups: validation.map(groups).unwrap_or_default(),
            excluded: validation.map(excluded).unwrap_or_default(),
            waivers: waivers(first),
            issues: issues(record),
            coverage: validation.and_then(coverage),
            evidence: mark,
            evidence_words: [words, looked].join(" ").trim_end().to_owned(),
            evidence_lines: lines,
            files: files
                .iter()
                .take(FILES)
                .map(|path| match context.live {
                    true => Text::link(name(path), links.evidence(&manifest, path)),
                    false => Text::plain(name(path)),
                })
                .collect(),
            more_files: files.len().saturating_sub(FILES),
            manifest,
            download: match site.log(&record.log) {
                Some(_) => links.certificate_file(&record.digest),
                None => String::new(),
            },
            digest: record.digest.clone(),
            failed: record.detail.failed.iter().take(CHECKS).map(|check| name(check)).collect(),
            also: listed.iter().skip(1).map(|other| name(&other.record.place())).collect(),
            frame,
        })
    }
}

/// The records of exactly this name.
async fn records(context: &Context<'_>, digest: &str) -> Result<Vec<Listed>, Refused> {
    if digest.parse::<Digest>().is_err() {
        return Err(Refused::NotFound("A record's name is 64 hexadecimal digits.".into()));
    }
    let found = context.site.catalog().records_named(digest, context.view.as_of, 8).await?;
    Ok(found)
}

/// The certificate's file of a record that a log at hand has.
///
/// # Errors
/// If there is none, or the log cannot be read there.
pub async fn file(context: Context<'_>, digest: &str) -> Result<Vec<u8>, Refused> {
    for listed in records(&context, digest).await? {
        let Some(source) = context.site.log(&listed.record.log).cloned() else { continue };
        let entry = listed.record.entry;
        let made = tokio::task::spawn_blocking(move || {
            let checkpoint = source.folder.checkpoint().ok()?;
            Certificate::of(&source.folder, &checkpoint, entry).ok()
        });
        if let Ok(Some(certificate)) = made.await
            && certificate.record().to_string() == listed.record.digest
        {
            return Ok(certificate.to_bytes());
        }
    }
    Err(Refused::NotFound("No log at hand here has a sound certificate of this name.".into()))
}

/// Verifies a record in its log again, now.
async fn prove(site: &Site, listed: &Listed) -> Result<Proved, String> {
    let Some(source) = site.log(&listed.record.log).cloned() else {
        return Err(
            "The log itself is not at hand here, so only what the catalog keeps is shown. \
                    Whoever serves this site can name it with --log."
                .into(),
        );
    };
    let entry = listed.record.entry;
    let wanted = listed.record.digest.clone();
    let proved = tokio::task::spawn_blocking(move || {
        let unreadable = "The record cannot be read from the log at hand";
        let checkpoint =
            source.folder.checkpoint().map_err(|error| format!("{unreadable}: {error}."))?;
        let certificate = Certificate::of(&source.folder, &checkpoint, entry)
            .map_err(|error| format!("{unreadable}: {error}."))?;
        if certificate.record().to_string() != wanted {
            return Err("The log at hand has another record in this place.".to_owned());
        }
        let statement = Statement::parse(certificate.envelope().payload())
            .map_err(|error| format!("{unreadable}: {error}."))?;
        let now = jiff::Timestamp::now();
        let given = Given { policy: &source.policy, evidence: None, log: None, now };
        let (lines, distrust) = match hospitium_ledger::verify_bytes(&certificate.to_bytes(), given)
        {
            Ok(explained) => {
                let wanted = ["said by", "said at", "in the log", "cosigned"];
                let lines = explained.lines().into_iter();
                (lines.filter(|(label, _)| wanted.contains(label)).collect(), String::new())
            }
            Err(error) => (Vec::new(), format!("It does not verify here: {error}.")),
        };
        Ok(Proved { statement, lines, distrust })
    });
    match proved.await {
        Ok(proved) => proved.map_err(|why| sentence(&why)),
        Err(_) => Err("Reading the log failed.".into()),
    }
}

/// What becomes of the evidence, and its files if it is at hand.
async fn evidence(
    site: &Site,
    record: Option<Digest>,
    validation: &Validation,
) -> (Option<Compared>, Vec<String>) {
    let (Some(record), false) = (record, site.evidence.is_empty()) else {
        return (None, Vec::new());
    };
    let (evidence, validation) = (std::sync::Arc::clone(&site.evidence), validation.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let found = evidence.compare(record, &validation);
        let manifest = validation.hospitium.evidence.manifest;
        let bundle = found.as_ref().and_then(|_| evidence.bundle(manifest));
        let files = bundle.map(|bundle| bundle.files().map(str::to_owned).collect());
        (found, files.unwrap_or_default())
    });
    looked.await.unwrap_or((None, Vec::new()))
}

fn evidence_words(
    site: &Site,
    found: &EvidenceFound,
    has_record: bool,
) -> (Mark, String, Vec<String>) {
    let mark = |word, class, sign| Mark { word, class, sign };
    let lines = |lines: Vec<String>| lines.iter().take(50).map(|line| sentence(line)).collect();
    match found {
        EvidenceFound::NotGiven => {
            let words = match (site.evidence.is_empty(), has_record) {
                (true, _) => "No folder of evidence is named to this site (--evidence).",
                (_, false) => "Evidence is compared with the record, which is not at hand.",
                _ => "No bundle with this digest is in the folders of evidence named to this site.",
            };
            (mark("absent", "skip", "–"), words.to_owned(), Vec::new())
        }
        EvidenceFound::Unreadable { why } => {
            (mark("unreadable", "fail", "✗"), sentence(why), Vec::new())
        }
        EvidenceFound::Other { found, .. } => (
            mark("altered", "fail", "✗"),
            format!("The manifest that is there has the digest {found}."),
            Vec::new(),
        ),
        EvidenceFound::Altered { problems } => (
            mark("altered", "fail", "✗"),
            "The bundle that was signed, with files absent, altered or added:".into(),
            lines(problems.iter().map(ToString::to_string).collect()),
        ),
        EvidenceFound::Contradicts { differences } => (
            mark("contradicts", "fail", "✗"),
            "The bundle that was signed does not say what the certificate says:".into(),
            lines(differences.clone()),
        ),
        EvidenceFound::Sound { files } => (
            mark("present", "pass", "✓"),
            format!(
                "{} at hand, every one as it was signed, and they say what the certificate says.",
                words::plural(*files, "file")
            ),
            Vec::new(),
        ),
    }
}

fn terms(listed: &Listed, validation: Option<&Validation>) -> Vec<(&'static str, String)> {
    let record = &listed.record;
    let mut terms = vec![
        ("Result", record.result.clone()),
        ("Said by", name(&record.party)),
        ("Validated", record.validated.to_string()),
    ];
    if record.passed() {
        terms.push((
            "Valid until",
            format!("{}, by the rule: {}", record.until, sentence(&record.detail.decided_by)),
        ));
    }
    terms.push(("Place in the log", name(&record.place())));
    terms.push(("Suite", name(&record.detail.suite)));
    terms.push(("Run", name(&record.detail.run)));
    terms.push(("Cell", name(&record.detail.cell)));
    if let Some(validation) = validation {
        let ours = &validation.hospitium;
        let used = &ours.host.accelerator;
        terms.push(("Ran under", sentence(&format!("{} ({})", used.used.name(), used.how))));
        terms.push(("Guest's image", format!("sha256:{}", ours.guest.digest)));
        terms.push(("Host's build", sentence(&ours.host.build)));
        terms.push(("Processor", name(&ours.host.cpu_model)));
        if let Some(agreement) = &ours.agreement {
            terms.push(("Agreement", name(&agreement.name)));
        }
        terms.push(("Signed", name(&ours.issued.to_string())));
    }
    terms.retain(|(_, text)| !text.is_empty());
    terms
}

fn groups(validation: &Validation) -> Vec<Group> {
    let mut groups: BTreeMap<Subsystem, Vec<&CheckLine>> = BTreeMap::new();
    for line in validation.hospitium.checks.iter().take(CHECKS) {
        groups.entry(line.id.subsystem()).or_default().push(line);
    }
    groups
        .into_iter()
        .map(|(subsystem, lines)| {
            let passed = lines.iter().filter(|l| matches!(l.verdict, Verdict::Pass)).count();
            Group {
                title: subsystem.title(),
                counts: format!("{passed} of {} passed", lines.len()),
                checks: lines.into_iter().map(check).collect(),
            }
        })
        .collect()
}

fn check(line: &CheckLine) -> Check {
    let mut notes = Vec::new();
    if !line.required {
        notes.push("not required".to_owned());
    }
    if let Some([failed, of]) = line.flaky {
        notes.push(format!("flaky: failed {failed} of {of} times"));
    }
    if let Some(why) = &line.one_witness {
        notes.push(format!("one witness: {}", name(why)));
    }
    Check {
        id: name(line.id.as_str()),
        mark: (&line.verdict).into(),
        open: matches!(line.verdict, Verdict::Fail { .. }),
        notes,
        reason: match &line.verdict {
            Verdict::Fail { reason } => sentence(reason),
            _ => String::new(),
        },
        findings: line
            .findings
            .iter()
            .take(FINDINGS)
            .map(|finding| {
                [
                    name(&finding.what),
                    words::witnessed(finding.guest.as_ref(), finding.guest_source, &finding.unit),
                    words::witnessed(finding.host.as_ref(), finding.host_source, &finding.unit),
                    words::rule(finding),
                ]
            })
            .collect(),
        left_out: line.left_out + line.findings.len().saturating_sub(FINDINGS),
    }
}

fn excluded(validation: &Validation) -> Vec<(String, &'static str, String, bool)> {
    let lines = validation.hospitium.excluded.iter().take(CHECKS);
    lines
        .map(|line| {
            let why = match line.why {
                ExcludedWhy::UnsupportedByGuest => "the guest does not support it",
                ExcludedWhy::UnsupportedByHost => "the host does not support it",
                ExcludedWhy::NotRequired => "not required here",
                ExcludedWhy::Error => "came to no end: the harness or the lab failed",
                ExcludedWhy::Miss => "did not get to run",
            };
            (name(line.id.as_str()), why, sentence(&line.reason), line.required)
        })
        .collect()
}

/// What parties tell its users beside it.
fn issues(record: &hospitium_catalog::Stored) -> Vec<String> {
    let told = record.known_issues.iter().take(CHECKS);
    told.map(|issue| sentence(&issue.words())).collect()
}

fn waivers(listed: &Listed) -> Vec<String> {
    let waivers = listed.record.detail.waivers.iter().take(CHECKS);
    waivers
        .map(|waiver| {
            let until = waiver.until.to_zoned(jiff::tz::TimeZone::UTC).date();
            sentence(&format!(
                "{} failed and is waived until {until} by {}: {}",
                waiver.check, waiver.by, waiver.reason
            ))
        })
        .collect()
}

fn coverage(validation: &Validation) -> Option<(String, Vec<(String, String)>)> {
    let machines = validation.hospitium.machines.as_ref()?;
    let words = format!(
        "The plan that this run is part of covers {} of {} feasible combinations of {} values of the \
         machine's configuration.",
        machines.covered, machines.feasible, machines.strength
    );
    let infeasible = machines.infeasible.iter().take(CHECKS);
    let infeasible = infeasible.map(|line| (name(&line.what), sentence(&line.reason)));
    Some((words, infeasible.collect()))
}

/// The list of the newest records.
#[derive(Debug, Template)]
#[template(path = "certificates.html")]
pub struct CertificatesPage {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

impl CertificatesPage {
    /// Makes a page of the list: what comes after a place, which is written `ENDED-LOG-ENTRY`.
    ///
    /// # Errors
    /// If the place is none, or the database fails.
    pub async fn new(context: Context<'_>, after: Option<&str>) -> Result<Self, Refused> {
        Self::listed(context, after, LISTED).await
    }

    /// The same, with so many records.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub async fn listed(
        context: Context<'_>,
        after: Option<&str>,
        most: u32,
    ) -> Result<Self, Refused> {
        let frame = context.frame(0, "certificates");
        let after = match after {
            Some(text) => Some(cursor(text).ok_or_else(|| {
                Refused::Bad("No such place in the list; go from its first page on.".into())
            })?),
            None => None,
        };
        let catalog = context.site.catalog();
        let (listed, next) = catalog.newest_records(context.view.as_of, after, most).await?;
        let next = next.filter(|_| context.live).map(|Cursor { ended, log, entry }| {
            format!("{}?after={ended}-{log}-{entry}", frame.links.certificates())
        });
        Ok(Self {
            rows: listed.iter().map(|listed| row(&context, &frame.links, listed)).collect(),
            next,
            first: after.is_none(),
            frame,
        })
    }
}

fn cursor(text: &str) -> Option<Cursor> {
    let mut numbers = text.splitn(3, '-').map(str::parse::<i64>);
    let mut number = || numbers.next()?.ok();
    Some(Cursor { ended: number()?, log: number()?, entry: number()? })
}
