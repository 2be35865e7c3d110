//! Records as the values of rows.

use hospitium_ledger::Statement;
use hospitium_ledger::statement::{EndorsementExtension, KeyRole, Record};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use crate::notices::{KINDS, REPEATED, REVIEWED};

/// Longest reason that is kept, in characters.
pub const REASON: usize = 1000;

/// The values of a row.
pub type Values = Vec<Bound>;

/// A value to bind.
pub enum Bound {
    Number(i64),
    Text(String),
}

/// A statement with these values bound.
pub fn bound<'q>(
    sql: &'q str,
    values: impl Iterator<Item = Bound>,
) -> Query<'q, Any, AnyArguments<'q>> {
    values.fold(sqlx::query(sql), |query, value| match value {
        Bound::Number(number) => query.bind(number),
        Bound::Text(text) => query.bind(text),
    })
}

/// A record that is no validation: its table, and its values after its place. It is about the first of these digests, and the second is its entry's.
pub fn other_record(
    statement: &Statement,
    (about, own): (Digest, Digest),
    known: i64,
    by: &str,
) -> (&'static str, Vec<Bound>) {
    let record = &statement.record;
    let about = Bound::Text(about.to_string());
    let issued = Bound::Number(statement.issued().map_or(known, Timestamp::as_second));
    let text = |text: &str| Bound::Text(printable(text, REASON));
    match record {
        Record::Suspension(notice) | Record::Withdrawal(notice) | Record::Lifting(notice) => {
            let suspension = matches!(record, Record::Suspension(_));
            let kind = statement.notice().map(|(kind, _)| kind);
            let word = KINDS.iter().find(|(_, known)| Some(*known) == kind).map_or("", |(w, _)| *w);
            let until = notice.until.filter(|_| suspension);
            let until = until.map_or(i64::MAX, Timestamp::as_second);
            let known = Bound::Number(known);
            ("notices", vec![text(word), about, known, Bound::Number(until), text(&notice.reason)])
        }
        Record::Waiver(waiver) => (
            "waivers",
            vec![
                Bound::Text(own.to_string()),
                about,
                text(&waiver.check.to_string()),
                text(waiver.host.as_deref().unwrap_or_default()),
                issued,
                Bound::Number(waiver.until.as_second()),
                text(&waiver.reason),
                text(&waiver.by),
            ],
        ),
        Record::KeyChange(change) => {
            let role = match change.role {
                KeyRole::Record => "record",
                KeyRole::Log => "log",
                KeyRole::Witness => "witness",
            };
            let (old, new) = (change.old.to_string(), change.new.to_string());
            ("key_changes", vec![text(role), issued, text(&old), text(&new), text(&change.reason)])
        }
        Record::Endorsement(endorsement) => {
            let EndorsementExtension { of, reason, repeated, .. } = &endorsement.hospitium;
            let how = if repeated.is_some() { REPEATED } else { REVIEWED };
            let run = repeated.as_ref().map(|repeated| repeated.run.as_str());
            let row = vec![
                Bound::Text(own.to_string()),
                about,
                text(&of.party),
                text(how),
                Bound::Number(known),
                text(by),
                text(run.unwrap_or_default()),
                text(reason),
            ];
            ("endorsements", row)
        }
        Record::KnownIssue(issue) => {
            let row = vec![
                Bound::Text(own.to_string()),
                about,
                Bound::Number(known),
                text(&issue.text),
                text(issue.workaround.as_deref().unwrap_or_default()),
                text(&issue.fixes.join(", ")),
            ];
            ("known_issues", row)
        }
        Record::Unknown(unknown) => ("unknown_kinds", vec![text(&unknown.kind), about]),
        Record::Validation(_) => ("refused", vec![text("a validation among other records")]),
    }
}

/// A count as databases have it.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
