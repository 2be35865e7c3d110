//! The exchange's outbox and inbox in the store.

use hospitium_ledger::VerifierKey;
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::{AnyConnection, Row as _};

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

/// Messages of one case that came in together, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfCase<'m> {
    /// The case that they speak of.
    pub case: CaseId,
    /// The messages.
    pub messages: Vec<&'m [u8]>,
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
        let of_case = OfCase { case: id.clone(), messages: vec![bytes] };
        let got = self.take_messages(&[of_case], keys, us, now).await?;
        let got = got.into_iter().flatten().next();
        got.ok_or_else(|| StoreError::damaged(&id, "nothing became of a message of it"))
    }

    /// Takes messages of several cases in: they are stored before this returns, and get onto the medium together. Where
    /// that fails, case by case: one that is damaged does not keep those before it. Gives what became of each message of
    /// each case.
    ///
    /// # Errors
    /// If the database fails or one of the cases is damaged; what was taken before is stored.
    pub async fn take_messages(
        &self,
        cases: &[OfCase<'_>],
        keys: &[VerifierKey],
        us: &PartyName,
        now: Timestamp,
    ) -> Result<Vec<Vec<Got>>, StoreError> {
        if let Ok(all) = self.take_together(cases, keys, us, now).await {
            return Ok(all);
        }
        let mut all = Vec::new();
        for case in cases {
            all.extend(self.take_together(std::slice::from_ref(case), keys, us, now).await?);
        }
        Ok(all)
    }

    /// The same in one transaction; if it fails, nothing was changed.
    async fn take_together(
        &self,
        cases: &[OfCase<'_>],
        keys: &[VerifierKey],
        us: &PartyName,
        now: Timestamp,
    ) -> Result<Vec<Vec<Got>>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        let mut all = Vec::new();
        for OfCase { case, messages } in cases {
            all.push(take_of(&mut tx, case, messages, keys, us, now).await?);
        }
        tx.commit().await.map_err(StoreError::database("commit"))?;
        for (OfCase { case, messages }, got) in cases.iter().zip(&all) {
            for (bytes, got) in messages.iter().zip(got) {
                self.note_refused(bytes, Some(case), &got.taken, now).await?;
            }
        }
        Ok(all)
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
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        receipt_of(&mut tx, receipt, now).await?;
        tx.commit().await.map_err(StoreError::database("commit"))
    }

    /// The same of several, which get onto the medium together; where that fails, one by one. Gives of each whether its
    /// case is known.
    ///
    /// # Errors
    /// If the database fails or one of the cases is damaged; what was taken before is stored.
    pub async fn take_receipts(
        &self,
        receipts: &[Receipt],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        if let Ok(known) = self.receipts_together(receipts, now).await {
            return Ok(known);
        }
        let mut known = Vec::new();
        for receipt in receipts {
            known.extend(self.receipts_together(std::slice::from_ref(receipt), now).await?);
        }
        Ok(known)
    }

    async fn receipts_together(
        &self,
        receipts: &[Receipt],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        let mut known = Vec::new();
        for receipt in receipts {
            known.push(match receipt_of(&mut tx, receipt, now).await {
                Ok(()) => true,
                Err(StoreError::NoCase(_) | StoreError::Draft(_)) => false,
                Err(error) => return Err(error),
            });
        }
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok(known)
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

    /// These were sent, and are sent again after a while if no receipt comes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tried(&self, sent: &[Due], now: Timestamp) -> Result<(), StoreError> {
        let failed = || StoreError::database("note what was sent");
        let mut tx = self.pool.begin().await.map_err(failed())?;
        for due in sent {
            let wait = FIRST_WAIT.saturating_mul(1 << due.tries.min(10)).min(LONGEST_WAIT);
            let sql = "UPDATE desk_cases SET tries = tries + 1, next_try = $2 WHERE id = $1";
            let next = now.as_second().saturating_add(wait);
            let update = sqlx::query(sql).bind(due.case.as_str()).bind(next);
            update.execute(&mut *tx).await.map_err(failed())?;
        }
        tx.commit().await.map_err(failed())
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

/// Takes messages of one case in, within somebody's transaction.
async fn take_of(
    tx: &mut AnyConnection,
    id: &CaseId,
    messages: &[&[u8]],
    keys: &[VerifierKey],
    us: &PartyName,
    now: Timestamp,
) -> Result<Vec<Got>, StoreError> {
    let mut thread = match rows::lock(tx, id).await {
        Ok(()) => Some(rows::load(tx, id).await?),
        Err(StoreError::NoCase(_) | StoreError::Draft(_)) => None,
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    let mut left = messages;
    while let (None, Some((first, rest))) = (&thread, left.split_first()) {
        left = rest;
        let taken = Thread::begin(first, keys, us, now);
        if let Ok((begun, _)) = &taken {
            rows::insert_case(tx, begun).await?;
        }
        all.push(match taken {
            Ok((begun, taken)) => {
                thread = Some(begun);
                Ok(taken)
            }
            Err(refusal) => Err(refusal),
        });
    }
    if let Some(thread) = &mut thread {
        let known = thread.divergences().len();
        all.extend(thread.receive_all(left, keys, now));
        rows::add_divergences(tx, thread, known).await?;
        for taken in &all {
            if let Ok(Taken::New { stored, .. }) = taken {
                rows::append(tx, thread, stored).await?;
            }
        }
    }
    let got = |taken: Result<Taken, Refusal>| {
        let why = taken.as_ref().err().and_then(|refusal| line(&refusal.to_string()));
        // Only the other party of a case learns how it stands.
        let believed = !matches!(taken, Err(Refusal::Message(_) | Refusal::Stranger(_)));
        let receipt = thread.as_ref().filter(|_| believed).map(|thread| thread.receipt(now, why));
        Got { taken, receipt }
    };
    Ok(all.into_iter().map(got).collect())
}

/// Takes a verified receipt in, within somebody's transaction.
async fn receipt_of(
    tx: &mut AnyConnection,
    receipt: &Receipt,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = &receipt.case;
    rows::lock(tx, id).await?;
    let mut thread = rows::load(tx, id).await?;
    let (known, acked) = (thread.divergences().len(), thread.acked());
    let newest = thread.take_receipt(receipt, now);
    rows::add_divergences(tx, &thread, known).await?;
    if !newest {
        return Ok(());
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
    rows::vouch(tx, &thread).await
}
