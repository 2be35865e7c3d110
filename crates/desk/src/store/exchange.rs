//! The exchange's outbox and inbox in the store.

use hospitium_ledger::VerifierKey;
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::Row as _;

use super::{Store, StoreError, rows};
use crate::exchange::{Receipt, Refusal, Sealed, Taken, Thread, case_of, check_next};
use crate::people::{Both, Side};
use crate::text::{CaseId, Line, PartyName};

/// The first wait before something is sent again, in seconds; it doubles up to a quarter of an hour.
const FIRST_WAIT: i64 = 15;
const LONGEST_WAIT: i64 = 900;
/// The most refused messages that are kept with their reason.
const REFUSED: i64 = 10_000;

/// A case of which something has to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub case: CaseId,
    /// To whom.
    pub peer: PartyName,
    /// How often that was tried without an answer.
    pub tries: u32,
}

/// What became of a message that came in, and the receipt that goes back.
#[derive(Debug)]
pub struct Got {
    /// What became of it.
    pub taken: Result<Taken, Refusal>,
    /// The receipt, to be signed; nothing if the case is not known and was not opened.
    pub receipt: Option<Receipt>,
}

/// Files of a case that the other desk asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The case.
    pub case: CaseId,
    /// The files.
    pub files: Vec<Digest>,
}

impl Store {
    /// Takes a message in. It is stored before this returns; what is refused is noted with its reason.
    ///
    /// # Errors
    /// If the database fails; nothing was changed then, and the message has to come again.
    pub async fn take_message(
        &self,
        bytes: &[u8],
        keys: &[VerifierKey],
        us: &PartyName,
        now: Timestamp,
    ) -> Result<Got, StoreError> {
        let Some((id, _)) = case_of(bytes) else {
            // Why, says the verification.
            let taken = Thread::begin(bytes, keys, us, now).map(|(_, taken)| taken);
            self.note_refused(bytes, None, &taken, now).await?;
            return Ok(Got { taken, receipt: None });
        };
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        let (taken, thread) = match rows::lock(&mut tx, &id).await {
            Ok(()) => {
                let mut thread = rows::load(&mut tx, &id).await?;
                let known = thread.divergences().len();
                let taken = thread.receive(bytes, keys, now);
                rows::add_divergences(&mut tx, &thread, known).await?;
                (taken, Some(thread))
            }
            Err(StoreError::NoCase(_) | StoreError::Draft(_)) => {
                match Thread::begin(bytes, keys, us, now) {
                    Ok((thread, taken)) => {
                        rows::insert_case(&mut tx, &thread).await?;
                        (Ok(taken), Some(thread))
                    }
                    Err(refusal) => (Err(refusal), None),
                }
            }
            Err(error) => return Err(error),
        };
        if let (Ok(Taken::New { stored, .. }), Some(thread)) = (&taken, &thread) {
            rows::append(&mut tx, thread, stored).await?;
        }
        tx.commit().await.map_err(StoreError::database("commit"))?;
        self.note_refused(bytes, Some(&id), &taken, now).await?;
        let why = taken.as_ref().err().and_then(|refusal| line(&refusal.to_string()));
        // Only the other party of a case learns how it stands.
        let believed = !matches!(taken, Err(Refusal::Message(_) | Refusal::Stranger(_)));
        let receipt = thread.filter(|_| believed).map(|thread| thread.receipt(now, why));
        Ok(Got { taken, receipt })
    }

    async fn note_refused(
        &self,
        bytes: &[u8],
        case: Option<&CaseId>,
        taken: &Result<Taken, Refusal>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Err(refusal) = taken else { return Ok(()) };
        if refusal.is_for_now() {
            return Ok(());
        }
        let sender = case_of(bytes).map_or_else(String::new, |(_, from)| from.to_string());
        let sql = "INSERT INTO desk_refused (digest, case_id, sender, seen, why) \
                   SELECT $1, $2, $3, $4, $5 WHERE (SELECT COUNT(*) FROM desk_refused) < $6 \
                   ON CONFLICT (digest) DO NOTHING";
        let done = sqlx::query(sql)
            .bind(Digest::of(bytes).to_string())
            .bind(case.map_or("", CaseId::as_str))
            .bind(sender)
            .bind(now.to_string())
            .bind(printable(&refusal.to_string(), 500))
            .bind(REFUSED)
            .execute(&self.pool)
            .await;
        done.map(drop).map_err(StoreError::database("note a refused message"))
    }

    /// Messages that were refused: when, from whom they say they are, why. The newest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn refused(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let failed = || StoreError::database("read what was refused");
        let sql = "SELECT seen, sender, why FROM desk_refused ORDER BY seen DESC, digest LIMIT 100";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// Takes a verified receipt in, with the files that the other desk asks for.
    ///
    /// # Errors
    /// If the case is not known, or the database fails.
    pub async fn take_receipt(&self, receipt: &Receipt, now: Timestamp) -> Result<(), StoreError> {
        let id = &receipt.case;
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        rows::lock(&mut tx, id).await?;
        let mut thread = rows::load(&mut tx, id).await?;
        let (known, acked) = (thread.divergences().len(), thread.acked());
        let newest = thread.take_receipt(receipt, now);
        rows::add_divergences(&mut tx, &thread, known).await?;
        if !newest {
            return tx.commit().await.map_err(StoreError::database("commit"));
        }
        let wants: Vec<_> = receipt.wants.iter().map(Digest::to_string).collect();
        // Something new arrived there: the way is open, so that what is left goes at once.
        let tries = if thread.acked() > acked { 0 } else { 1 };
        let sql = "UPDATE desk_cases SET acked = $2, wants = $3, tries = tries * $4, \
                   next_try = next_try * $4, receipt_at = $5 WHERE id = $1";
        sqlx::query(sql)
            .bind(id.as_str())
            .bind(i64::try_from(thread.acked()).unwrap_or(i64::MAX))
            .bind(wants.join(" "))
            .bind(i64::from(tries))
            .bind(thread.receipt_at().map_or_else(String::new, |at| at.to_string()))
            .execute(&mut *tx)
            .await
            .map_err(StoreError::database("note a receipt"))?;
        rows::vouch(&mut tx, &thread).await?;
        tx.commit().await.map_err(StoreError::database("commit"))
    }

    /// Files that the other desk asked for last.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn wanted(&self, peer: &PartyName) -> Result<Vec<Wanted>, StoreError> {
        let failed = || StoreError::database("read which files are asked for");
        let sql = "SELECT id, wants FROM desk_cases WHERE peer = $1 AND wants <> '' ORDER BY id";
        let rows = sqlx::query(sql).bind(peer.as_str()).fetch_all(&self.pool).await;
        let mut wanted = Vec::new();
        for row in rows.map_err(failed())? {
            let (id, files): (String, String) =
                (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
            let case = id.parse().map_err(|error| StoreError::damaged(&id, error))?;
            let files = files.split(' ').filter_map(|file| file.parse().ok()).collect();
            wanted.push(Wanted { case, files });
        }
        Ok(wanted)
    }

    /// Cases of which something may have to be sent at this time.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let failed = || StoreError::database("read what is to be sent");
        let sql = "SELECT c.id, c.peer, c.tries FROM desk_cases c WHERE c.next_try <= $1 \
                   AND c.acked < (SELECT COUNT(*) FROM desk_messages m WHERE m.case_id = c.id \
                   AND m.side = c.side) ORDER BY c.next_try, c.id";
        let rows = sqlx::query(sql).bind(now.as_second()).fetch_all(&self.pool).await;
        let mut all = Vec::new();
        for row in rows.map_err(failed())? {
            let id: String = row.try_get(0).map_err(failed())?;
            let peer: String = row.try_get(1).map_err(failed())?;
            let tries: i64 = row.try_get(2).map_err(failed())?;
            all.push(Due {
                case: id.parse().map_err(|error| StoreError::damaged(&id, error))?,
                peer: peer.parse().map_err(|error| StoreError::damaged(&id, error))?,
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
            });
        }
        Ok(all)
    }

    /// It was sent, and is sent again after a while if no receipt comes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tried(&self, due: &Due, now: Timestamp) -> Result<(), StoreError> {
        let wait = FIRST_WAIT.saturating_mul(1 << due.tries.min(10)).min(LONGEST_WAIT);
        let sql = "UPDATE desk_cases SET tries = tries + 1, next_try = $2 WHERE id = $1";
        let next = now.as_second().saturating_add(wait);
        let done = sqlx::query(sql).bind(due.case.as_str()).bind(next).execute(&self.pool).await;
        done.map(drop).map_err(StoreError::database("note what was sent"))
    }

    /// Takes the messages of a verified export in: those that are not here. Chains that are here have to be
    /// beginnings of those of the export, or the other way round. What is new has to be what the exchange would take,
    /// and among the first `sure` of its chain, which a key of now bears out.
    ///
    /// # Errors
    /// If they branch, make no case, or are refused; nothing was changed.
    pub async fn import(
        &self,
        us: Side,
        chains: Both<Vec<Sealed>>,
        sure: Both<usize>,
        now: Timestamp,
    ) -> Result<(Thread, usize), StoreError> {
        let thread = Thread::restore(us, chains, 0)?;
        if !thread.hears_rightly() {
            return Err(StoreError::Hearsay);
        }
        let id = thread.id().clone();
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        let here = match rows::lock(&mut tx, &id).await {
            Ok(()) => Some(rows::load(&mut tx, &id).await?),
            Err(StoreError::NoCase(_)) => {
                rows::insert_case(&mut tx, &thread).await?;
                None
            }
            Err(error) => return Err(error),
        };
        let mut added = 0;
        for side in Side::BOTH {
            let known = here.as_ref().map(|here| here.chain(side)).unwrap_or_default();
            let both = known.iter().zip(thread.chain(side));
            if let Some((one, _)) = both.clone().find(|(one, other)| one.digest != other.digest) {
                return Err(StoreError::Branch { side, seq: one.message.seq });
            }
            let new = thread.chain(side).get(known.len()..).unwrap_or_default();
            if let Some(first) = thread.chain(side).get(known.len().max(*sure.of(side))) {
                return Err(StoreError::OldKey { side, seq: first.message.seq });
            }
            let mut before = known.last();
            for sealed in new {
                check_next(sealed, before, now).map_err(|why| StoreError::NotNow {
                    side,
                    seq: sealed.message.seq,
                    why: Box::new(why),
                })?;
                before = Some(sealed);
            }
            rows::append(&mut tx, &thread, new).await?;
            added += new.len();
        }
        let whole = rows::load(&mut tx, &id).await?;
        rows::settle(&mut tx, &whole).await?;
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok((whole, added))
    }
}

/// The reason as it fits into a receipt.
fn line(text: &str) -> Option<Line> {
    printable(text, crate::text::LINE_LIMIT).parse().ok()
}
