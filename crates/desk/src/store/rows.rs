//! Rows in and out, within somebody's transaction.

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};

use super::StoreError;
use crate::exchange::{Divergence, Link, Sealed, Thread, Vouched};
use crate::people::{Both, Side};
use crate::text::CaseId;

/// Sides as they are stored.
pub const fn word(side: Side) -> &'static str {
    match side {
        Side::Submitter => "submitter",
        Side::Receiver => "receiver",
    }
}

fn side(word: &str, case: &CaseId) -> Result<Side, StoreError> {
    match word {
        "submitter" => Ok(Side::Submitter),
        "receiver" => Ok(Side::Receiver),
        _ => Err(StoreError::damaged(case, "a row is of neither side")),
    }
}

/// Takes the row of a case for this transaction: whoever else writes it waits. A write is the first statement,
/// because SQLite gives up a transaction that reads first and writes later beside another one.
pub async fn lock(connection: &mut AnyConnection, id: &CaseId) -> Result<(), StoreError> {
    let sql = "UPDATE desk_cases SET tries = tries WHERE id = $1";
    let done = sqlx::query(sql).bind(id.as_str()).execute(&mut *connection).await;
    match done.map_err(StoreError::database("lock a case"))?.rows_affected() {
        0 => Err(absent(connection, id).await?),
        _ => Ok(()),
    }
}

async fn absent(connection: &mut AnyConnection, id: &CaseId) -> Result<StoreError, StoreError> {
    let sql = "SELECT 1 FROM desk_drafts WHERE id = $1";
    let draft = sqlx::query(sql).bind(id.as_str()).fetch_optional(&mut *connection).await;
    let is_draft = draft.map_err(StoreError::database("look for a case"))?.is_some();
    Ok(if is_draft { StoreError::Draft(id.clone()) } else { StoreError::NoCase(id.to_string()) })
}

/// Reads a case and replays it.
pub async fn load(connection: &mut AnyConnection, id: &CaseId) -> Result<Thread, StoreError> {
    let failed = || StoreError::database("read a case");
    let sql = "SELECT side, acked, receipt_at FROM desk_cases WHERE id = $1";
    let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&mut *connection).await;
    let Some(row) = row.map_err(failed())? else {
        return Err(absent(connection, id).await?);
    };
    let us: String = row.try_get(0).map_err(failed())?;
    let acked: i64 = row.try_get(1).map_err(failed())?;
    let receipt_at: String = row.try_get(2).map_err(failed())?;
    let sql = "SELECT side, seq, envelope FROM desk_messages WHERE case_id = $1 ORDER BY side, seq";
    let rows = sqlx::query(sql).bind(id.as_str()).fetch_all(&mut *connection).await;
    let mut chains = Both { submitter: Vec::new(), receiver: Vec::new() };
    for row in rows.map_err(failed())? {
        let whose: String = row.try_get(0).map_err(failed())?;
        let seq: i64 = row.try_get(1).map_err(failed())?;
        let envelope: String = row.try_get(2).map_err(failed())?;
        let sealed = Sealed::parse(envelope.as_bytes()).map_err(|e| StoreError::damaged(id, e))?;
        let chain: &mut Vec<Sealed> = chains.of_mut(side(&whose, id)?);
        let due = chain.len() as u64 + 1;
        let continues = sealed.message.prev == chain.last().map(|last| last.digest);
        if i64::try_from(due) != Ok(seq) || sealed.message.seq != due || !continues {
            return Err(StoreError::damaged(
                id,
                format!("message {due} of the {whose} is missing"),
            ));
        }
        chain.push(sealed);
    }
    let us = side(&us, id)?;
    let thread = Thread::restore(us, chains, u64::try_from(acked).unwrap_or_default())
        .map_err(|error| StoreError::damaged(id, error))?;
    let vouched = vouched(connection, id).await?;
    Ok(thread.with(divergences(connection, id).await?, receipt_at.parse().ok()).vouched(vouched))
}

async fn vouched(connection: &mut AnyConnection, id: &CaseId) -> Result<Vouched, StoreError> {
    let failed = || StoreError::database("read what a receipt vouched for");
    let sql = "SELECT mine, have FROM desk_vouched WHERE case_id = $1";
    let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&mut *connection).await;
    let Some(row) = row.map_err(failed())? else { return Ok(Vouched::default()) };
    let count = |column: usize| row.try_get::<i64, _>(column).map_err(failed());
    let count = |column| Ok::<_, StoreError>(u64::try_from(count(column)?).unwrap_or_default());
    Ok(Vouched { mine: count(0)?, have: count(1)? })
}

/// Keeps what the newest receipt vouches for.
pub async fn vouch(connection: &mut AnyConnection, thread: &Thread) -> Result<(), StoreError> {
    let Vouched { mine, have } = thread.told();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "INSERT INTO desk_vouched (case_id, mine, have) VALUES ($1, $2, $3) \
               ON CONFLICT (case_id) DO UPDATE SET mine = EXCLUDED.mine, have = EXCLUDED.have";
    let done = sqlx::query(sql).bind(thread.id().as_str()).bind(number(mine)).bind(number(have));
    let done = done.execute(&mut *connection).await;
    done.map(drop).map_err(StoreError::database("keep what a receipt vouched for"))
}

/// Inserts a case that is not there.
pub async fn insert_case(
    connection: &mut AnyConnection,
    thread: &Thread,
) -> Result<(), StoreError> {
    let peer = thread.case().party(thread.us().other());
    let sql = "INSERT INTO desk_cases (id, side, peer, acked, receipt_at, wants, tries, next_try) \
               VALUES ($1, $2, $3, 0, '', '', 0, 0) ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(thread.id().as_str())
        .bind(word(thread.us()))
        .bind(peer.as_str())
        .execute(&mut *connection)
        .await;
    match done.map_err(StoreError::database("add a case"))?.rows_affected() {
        0 => Err(StoreError::Taken(thread.id().clone())),
        _ => Ok(()),
    }
}

/// Adds messages to a case.
pub async fn append(
    connection: &mut AnyConnection,
    thread: &Thread,
    messages: &[Sealed],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO desk_messages (case_id, side, seq, envelope) VALUES ($1, $2, $3, $4)";
    for sealed in messages {
        let seq = i64::try_from(sealed.message.seq).unwrap_or(i64::MAX);
        let envelope = String::from_utf8_lossy(&sealed.bytes).into_owned();
        sqlx::query(sql)
            .bind(thread.id().as_str())
            .bind(word(sealed.message.event.by))
            .bind(seq)
            .bind(envelope)
            .execute(&mut *connection)
            .await
            .map_err(StoreError::database("add a message"))?;
    }
    Ok(())
}

/// There is something new to be sent: no waiting for the next try.
pub async fn try_now(connection: &mut AnyConnection, id: &CaseId) -> Result<(), StoreError> {
    let sql = "UPDATE desk_cases SET tries = 0, next_try = 0 WHERE id = $1";
    let done = sqlx::query(sql).bind(id.as_str()).execute(&mut *connection).await;
    done.map(drop).map_err(StoreError::database("note what is to be sent"))
}

/// Nothing of a bridged case is to be sent.
pub async fn settle(connection: &mut AnyConnection, thread: &Thread) -> Result<(), StoreError> {
    if !thread.is_bridged() {
        return Ok(());
    }
    let said = thread.chain(thread.us()).len();
    let sql = "UPDATE desk_cases SET acked = $2 WHERE id = $1";
    let done = sqlx::query(sql)
        .bind(thread.id().as_str())
        .bind(i64::try_from(said).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await;
    done.map(drop).map_err(StoreError::database("note what is to be sent"))
}

/// Removes a draft, if it is there.
pub async fn remove_draft(connection: &mut AnyConnection, id: &CaseId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM desk_drafts WHERE id = $1";
    let done = sqlx::query(sql).bind(id.as_str()).execute(&mut *connection).await;
    Ok(done.map_err(StoreError::database("remove a draft"))?.rows_affected() > 0)
}

/// A divergence as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
enum Form {
    Branch { by: Side, seq: u64, ours: Option<hospitium_model::Digest>, other: String },
    Lost { link: Link, other: Option<String> },
    State { ours: hospitium_model::Digest, theirs: hospitium_model::Digest },
}

fn text(sealed: &Sealed) -> String {
    String::from_utf8_lossy(&sealed.bytes).into_owned()
}

fn form(found: &Divergence) -> Form {
    match found {
        Divergence::Branch { by, seq, ours, other } => {
            Form::Branch { by: *by, seq: *seq, ours: *ours, other: text(other) }
        }
        Divergence::Lost { link, other } => {
            Form::Lost { link: *link, other: other.as_deref().map(text) }
        }
        Divergence::State { ours, theirs } => Form::State { ours: *ours, theirs: *theirs },
    }
}

async fn divergences(
    connection: &mut AnyConnection,
    id: &CaseId,
) -> Result<Vec<Divergence>, StoreError> {
    let failed = || StoreError::database("read where desks differ");
    let sql = "SELECT body FROM desk_divergences WHERE case_id = $1 ORDER BY seq";
    let rows = sqlx::query(sql).bind(id.as_str()).fetch_all(&mut *connection).await;
    let mut all = Vec::new();
    for row in rows.map_err(failed())? {
        let body: String = row.try_get(0).map_err(failed())?;
        let form = serde_json::from_str(&body).map_err(|error| StoreError::damaged(id, error))?;
        let read = |text: &str| {
            let sealed = Sealed::parse(text.as_bytes());
            sealed.map(Box::new).map_err(|error| StoreError::damaged(id, error))
        };
        all.push(match form {
            Form::Branch { by, seq, ours, other } => {
                Divergence::Branch { by, seq, ours, other: read(&other)? }
            }
            Form::Lost { link, other } => {
                Divergence::Lost { link, other: other.as_deref().map(read).transpose()? }
            }
            Form::State { ours, theirs } => Divergence::State { ours, theirs },
        });
    }
    Ok(all)
}

/// Stores the divergences that are not stored yet: those behind the first `known`.
pub async fn add_divergences(
    connection: &mut AnyConnection,
    thread: &Thread,
    known: usize,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO desk_divergences (case_id, seq, body) VALUES ($1, $2, $3)";
    for (place, found) in thread.divergences().iter().enumerate().skip(known) {
        let body = serde_json::to_string(&form(found)).unwrap_or_default();
        sqlx::query(sql)
            .bind(thread.id().as_str())
            .bind(i64::try_from(place).unwrap_or(i64::MAX))
            .bind(body)
            .execute(&mut *connection)
            .await
            .map_err(StoreError::database("keep where desks differ"))?;
    }
    Ok(())
}
