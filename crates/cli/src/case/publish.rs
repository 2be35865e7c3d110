//! `hospitium case publish`: what a closed case gives back to the catalog, as records in the party's own log. A case is
//! confidential and a log is public, so all that would be written is shown before anything is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_desk::{Aside, Case, Feedback, Side, State};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{EndorsedRecord, FORMAT, KnownIssue, Record};
use hospitium_ledger::{
    Certificate, Explained, Given, Log, LogFolder, Peers, Policy, Statement, verify_bytes, walk,
};
use hospitium_model::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::on::OnCase;
use super::place::Place;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Args)]
pub struct Publish {
    /// Write it; without this, all that would be written is shown, and nothing is
    #[arg(long)]
    pub yes: bool,
    /// The party's log [default: the party's folder's log]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// A copy of the log that has the certificate, if it is another party's [default: those in the party's peers]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub copy: Vec<PathBuf>,
    /// The certificate: its log and entry, `vendor.example/log entry 7` [default: the one that bore the verdict out]
    #[arg(long, value_name = "PLACE")]
    pub certificate: Option<String>,
    /// The known issue in words for the public [default: as the resolution was proposed]
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// What helps until it is fixed, in words for the public
    #[arg(long, value_name = "TEXT")]
    pub workaround: Option<String>,
    /// An update, an article, a commit, for the public; may be given several times
    #[arg(long, value_name = "ID")]
    pub fix: Vec<String>,
}

/// `hospitium case publish`.
pub async fn publish(it: OnCase<Publish>) -> Result<End> {
    let OnCase { case, what, on } = it;
    let place = Place::open(&on.desk).await?;
    let thread = place.load(&case).await?;
    let case = thread.case();
    let State::Closed { outcome, .. } = &case.state else {
        return Err(Usage::error(
            format!("the case is {}; only a closed one gives something to the catalog", case.state),
            format!("see what may be done: hospitium case show {}", case.id),
        ));
    };
    if outcome.feedback.is_empty() {
        return Err(Usage::error(
            "its resolution has nothing for the catalog",
            "name it when a resolution is proposed: --known-issue, --suspend, --new-check",
        ));
    }
    let (statements, checks) = statements(&place, &on.desk.party, case, &outcome.feedback, &what)?;
    for statement in &statements {
        confidential(case, statement)?;
    }
    let folder = what.log.clone().unwrap_or_else(|| place.office.party().usual_log());
    let known = entries(&folder, &statements)?;
    if !what.yes {
        tell(&folder, &statements, &known, &checks, on.json, false);
        if !on.json && known.iter().any(Option::is_none) {
            note!("nothing was written; everybody can read a log for ever: write it with --yes");
        }
        return Ok(End::Good);
    }
    let mut now = known.clone();
    let new: Vec<(usize, Statement)> = statements
        .iter()
        .enumerate()
        .filter(|(at, _)| known.get(*at).is_some_and(Option::is_none))
        .map(|(at, statement)| (at, statement.clone()))
        .collect();
    if !new.is_empty() {
        let party = &*place.office.party();
        let mut log = Log::open(&folder, party).context("the log cannot be opened")?;
        let all: Vec<Statement> = new.iter().map(|(_, statement)| statement.clone()).collect();
        let made = Certificate::issue(&mut log, party, &all)?;
        for ((at, _), certificate) in new.iter().zip(&made) {
            if let Some(entry) = now.get_mut(*at) {
                *entry = Some(certificate.proof().index);
            }
        }
        let entries: Vec<String> =
            made.iter().map(|certificate| certificate.proof().index.to_string()).collect();
        let origin = log.checkpoint().head().origin.clone();
        let text = format!("Published in {origin} as entry {}", entries.join(", "));
        let aside = Aside { at: super::now(), person: place.person.clone(), text: text.parse()? };
        place.office.store.add_aside(&case.id, &aside).await?;
    }
    tell(&folder, &statements, &now, &checks, on.json, true);
    Ok(End::Good)
}

/// The records that the feedback makes, and the checks that it proposes.
fn statements(
    place: &Place,
    party: &Path,
    case: &Case,
    feedback: &[Feedback],
    what: &Publish,
) -> Result<(Vec<Statement>, Vec<String>)> {
    let issues = feedback.iter().filter(|one| matches!(one, Feedback::KnownIssue { .. })).count();
    let worded = what.text.is_some() || what.workaround.is_some() || !what.fix.is_empty();
    if worded && issues != 1 {
        return Err(Usage::error(
            format!(
                "--text, --workaround and --fix are of one known issue, and the case has {issues}"
            ),
            "leave them out",
        ));
    }
    let (mut statements, mut checks) = (Vec::new(), Vec::new());
    let now = Timestamp::now();
    let us = place.office.us.as_str();
    for one in feedback {
        match one {
            Feedback::KnownIssue { certificate, text } => {
                let found =
                    certified(place, party, certificate.as_ref().map(|line| line.as_str()), what)?;
                let issue = KnownIssue {
                    format: FORMAT,
                    party: us.to_owned(),
                    issued: now,
                    of: EndorsedRecord {
                        party: found.party.clone(),
                        log: found.log.origin.clone(),
                        entry: found.log.index,
                    },
                    text: what.text.clone().unwrap_or_else(|| text.to_string()),
                    workaround: what.workaround.clone(),
                    fixes: what.fix.clone(),
                    case: Some(Digest::of(case.id.as_str().as_bytes())),
                };
                statements.push(Statement::known_issue(found.record, issue));
            }
            Feedback::Suspend { certificate, reason } => {
                let found = certified(place, party, Some(certificate.as_str()), what)?;
                if found.party != us {
                    return Err(Usage::error(
                        format!("the certificate that is to be suspended is {}'s", found.party),
                        "that party suspends it: let it run hospitium case publish at its desk",
                    ));
                }
                let reason = reason.as_str();
                statements.push(Statement::suspension(us, now, found.record, reason, None));
            }
            Feedback::NewCheck { requirement } => checks.push(requirement.to_string()),
        }
    }
    Ok((statements, checks))
}

/// The certificate of this place, verified, from the party's own log or a copy of another's.
fn certified(
    place: &Place,
    party: &Path,
    certificate: Option<&str>,
    what: &Publish,
) -> Result<Explained> {
    let named = what.certificate.as_deref().or(certificate).ok_or_else(|| {
        Usage::error(
            "no certificate bore the verdict out when the case was opened",
            "name the certificate that the issue is of: --certificate \"vendor.example/log entry 7\"",
        )
    })?;
    let (origin, index) = named
        .split_once(" entry ")
        .and_then(|(origin, entry)| Some((origin.trim(), entry.trim().parse::<u64>().ok()?)))
        .ok_or_else(|| {
            Usage::error(
                format!("{:?} names no certificate", safe(named)),
                "it looks like: vendor.example/log entry 7",
            )
        })?;
    let own = what.log.clone().unwrap_or_else(|| place.office.party().usual_log());
    let mut folders = vec![(own, party.join("policy"))];
    let peers = Peers::of(party);
    if let Some(policy) = peers.policy_of(origin) {
        let name = origin.split('/').next().unwrap_or_default();
        let usual = peers.known(name)?.map(|(_, known)| peers.log_of(&known));
        let copies = what.copy.iter().cloned().chain(usual);
        folders.extend(copies.map(|folder| (folder, policy.clone())));
    }
    for (folder, policy) in folders {
        let log = LogFolder::new(&folder);
        let Ok(checkpoint) = log.checkpoint() else { continue };
        if checkpoint.head().origin != origin {
            continue;
        }
        let made = Certificate::of(&log, &checkpoint, index)
            .with_context(|| format!("{} has no sound entry {index}", folder.display()))?;
        let policy = Policy::read(&policy).context("the policy cannot be used")?;
        let given = Given { policy: &policy, evidence: None, log: None, now: Timestamp::now() };
        let explained = verify_bytes(&made.to_bytes(), given)
            .with_context(|| format!("{} is not accepted", safe(named)))?;
        return match &explained.statement.record {
            Record::Validation(_) => Ok(explained),
            _ => Err(Usage::error(
                format!("{} is no certificate of a validation", safe(named)),
                "`hospitium log show` lists the entries",
            )),
        };
    }
    Err(Usage::error(
        format!("no log here has {}", safe(named)),
        "bring a copy of it: hospitium log mirror URL DIR; and name it: --copy DIR",
    ))
}

/// What a record says, for people and for programs.
fn words(statement: &Statement) -> Vec<(&'static str, String)> {
    let about = statement.subject.iter().find_map(|s| s.sha256()).map(|d| d.to_string());
    let about = about.unwrap_or_default();
    match &statement.record {
        Record::KnownIssue(issue) => {
            let KnownIssue { party, of, text, workaround, fixes, case, .. } = &**issue;
            let mut lines = vec![
                ("kind", "known issue".to_owned()),
                ("party", party.clone()),
                ("of", format!("{} entry {} (sha256:{about})", of.log, of.entry)),
                ("text", text.clone()),
            ];
            lines.extend(workaround.iter().map(|text| ("workaround", text.clone())));
            lines.extend(fixes.iter().map(|fix| ("fix", fix.clone())));
            lines.extend(case.iter().map(|case| ("case", format!("sha256:{case}, of its id"))));
            lines
        }
        Record::Suspension(notice) => vec![
            ("kind", "suspension".to_owned()),
            ("party", notice.party.clone()),
            ("of", format!("sha256:{about}")),
            ("text", notice.reason.clone()),
        ],
        _ => Vec::new(),
    }
}

/// The words that a record carries into the public.
fn public_words(statement: &Statement) -> String {
    let carried = |(label, _): &(&str, String)| matches!(*label, "text" | "workaround" | "fix");
    let lines = words(statement).into_iter().filter(carried).map(|(_, words)| words);
    lines.collect::<Vec<_>>().join("\n")
}

/// Refuses words that name whom or what only the case may name.
fn confidential(case: &Case, statement: &Statement) -> Result<()> {
    let text = public_words(statement).to_lowercase();
    let mut names = vec![("the customer", case.customer.name.to_string())];
    let contact = case.customer.contact.as_ref();
    names.extend(contact.map(|address| ("the customer's contact", address.to_string())));
    let reference = case.customer.reference.as_ref();
    names.extend(reference.map(|line| ("the customer's reference", line.to_string())));
    names.push(("the case's id", case.id.to_string()));
    for side in Side::BOTH {
        names.extend(case.numbers.of(side).iter().map(|n| ("a case number", n.to_string())));
        let engineer = case.engineers.of(side).as_ref();
        names.extend(engineer.map(|one| ("an engineer", one.name.to_string())));
        names.extend(engineer.map(|one| ("an engineer's address", one.address.to_string())));
    }
    // A number such as 7 would be found in every sentence.
    let said = names
        .iter()
        .find(|(_, name)| name.chars().count() >= 3 && text.contains(&name.to_lowercase()));
    match said {
        None => Ok(()),
        Some((what, name)) => Err(Usage::error(
            format!("the words for the public name {what}: {:?}", safe(name)),
            "word it without: --text \"the clock is late after a migration\"",
        )),
    }
}

/// Which of these records the log has already, by their entries.
fn entries(folder: &Path, statements: &[Statement]) -> Result<Vec<Option<u64>>> {
    let mut known = vec![None; statements.len()];
    if !folder.exists() {
        // The first record makes it.
        return Ok(known);
    }
    let log = LogFolder::new(folder);
    let checkpoint =
        log.checkpoint().with_context(|| format!("the log {} cannot be read", folder.display()))?;
    walk(&log, checkpoint.head(), |index, entry| {
        let Ok(envelope) = Envelope::parse(entry) else { return };
        let Ok(said) = Statement::parse(envelope.payload()) else { return };
        for (statement, known) in statements.iter().zip(&mut known) {
            let alike = said.subject == statement.subject
                && said.predicate_type() == statement.predicate_type()
                && public_words(&said) == public_words(statement);
            if alike && known.is_none() {
                *known = Some(index);
            }
        }
    });
    Ok(known)
}

fn tell(
    folder: &Path,
    statements: &[Statement],
    entries: &[Option<u64>],
    checks: &[String],
    as_json: bool,
    written: bool,
) {
    if as_json {
        let records = statements.iter().zip(entries).map(|(statement, entry)| {
            let mut record: serde_json::Map<String, Value> = serde_json::Map::new();
            for (label, words) in words(statement) {
                match (label, record.get_mut(label)) {
                    ("fix", Some(Value::Array(all))) => all.push(words.into()),
                    ("fix", _) => drop(record.insert(label.into(), json!([words]))),
                    _ => drop(record.insert(label.into(), words.into())),
                }
            }
            record.insert("entry".into(), json!(entry));
            Value::Object(record)
        });
        let records: Vec<Value> = records.collect();
        out!(
            "{}",
            json!({ "schema": "hospitium-publish/1", "log": folder, "written": written,
                    "records": records, "proposed-checks": checks })
        );
        return;
    }
    for (statement, entry) in statements.iter().zip(entries) {
        match (entry, written) {
            (Some(entry), true) => out!("in {} as entry {entry}:", folder.display()),
            (Some(entry), false) => {
                out!("in {} already, as entry {entry}:", folder.display());
            }
            (None, _) => out!("would be written into {}:", folder.display()),
        }
        for (label, words) in words(statement) {
            out!("  {label:<12} {}", safe(&words));
        }
    }
    for check in checks {
        out!("proposed check, in no log: {}", safe(check));
    }
    if !checks.is_empty() && !written {
        note!("all proposed checks: hospitium case list --proposed-checks");
    }
}
