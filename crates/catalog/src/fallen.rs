//! What a record rests on has to be in its log, and to be what the record says: the waiver of a check, or an
//! earlier run that passed on this machine. What is not, is kept with why, and such a record does not count.

use hospitium_ledger::Needed;
use hospitium_model::Digest;
use sqlx::{AnyConnection, Row as _};

use crate::record::Detail;

/// What a validation rests on.
#[derive(Debug)]
pub struct Needs {
    /// The log.
    pub log: i64,
    /// The validation's entry.
    pub entry: u64,
    /// The records, by the digests of their entries, and what each has to be.
    pub all: Vec<(Digest, Needed)>,
}

impl Needs {
    /// Why it does not hold, if it does not; what is needed first is told.
    pub async fn wrong(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<Option<String>, sqlx::Error> {
        for (digest, needed) in &self.all {
            let found = match needed {
                Needed::Waiver { .. } => self.is_waiver(connection, digest, needed).await?,
                Needed::Row { .. } => self.is_row(connection, digest, needed).await?,
            };
            if let Err(why) = found {
                return Ok(Some(format!("{}: {why}", needed.words())));
            }
        }
        Ok(None)
    }

    async fn is_waiver(
        &self,
        connection: &mut AnyConnection,
        digest: &Digest,
        needed: &Needed,
    ) -> Result<Result<(), &'static str>, sqlx::Error> {
        let Needed::Waiver { check, guest, host, until } = needed else { return Ok(Ok(())) };
        let sql = "SELECT guest, check_id, host, until FROM waivers WHERE digest = $1 AND log = $2 LIMIT 1";
        let query = sqlx::query(sql).bind(digest.to_string()).bind(self.log);
        let Some(row) = query.fetch_optional(connection).await? else {
            return Ok(Err("the log does not have it"));
        };
        let (of_guest, of_check): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (of_host, ends): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
        let same = of_guest == guest.to_string()
            && of_check == check.as_str()
            && (of_host.is_empty() || of_host == *host);
        Ok(match (same, ends >= until.as_second()) {
            (true, true) => Ok(()),
            (true, false) => Err("it ended earlier"),
            (false, _) => Err("it waives something else"),
        })
    }

    async fn is_row(
        &self,
        connection: &mut AnyConnection,
        digest: &Digest,
        needed: &Needed,
    ) -> Result<Result<(), &'static str>, sqlx::Error> {
        let Needed::Row { guest, vmm, row } = needed else { return Ok(Ok(())) };
        let sql = "SELECT result, detail FROM records WHERE digest = $1 AND log = $2 LIMIT 1";
        let query = sqlx::query(sql).bind(digest.to_string()).bind(self.log);
        let Some(found) = query.fetch_optional(connection).await? else {
            return Ok(Err("the log does not have it"));
        };
        let (result, detail): (String, String) = (found.try_get(0)?, found.try_get(1)?);
        let tried = serde_json::from_str::<Detail>(&detail).ok().and_then(|detail| detail.tried);
        let same = tried.is_some_and(|tried| {
            tried.guest == *guest
                && tried.vmm == *vmm
                && tried.row.words().as_slice() == row.as_slice()
        });
        Ok(match (same, result.as_str()) {
            (false, _) => Err("it is of another guest, host or machine"),
            (true, "FAILED") => Err("it says that the pair failed"),
            (true, _) => Ok(()),
        })
    }
}
