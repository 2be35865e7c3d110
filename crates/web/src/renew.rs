//! Takes in what comes into the logs of a catalog that was made on the spot, as long as the site runs: a word that holds
//! for today does not rest on a head of last week.

use std::sync::Arc;
use std::time::Duration;

use hospitium_catalog::{CatalogError, Given, LogSource, Rebuilt};
use jiff::Timestamp;

use crate::Site;

/// How often the logs' heads are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// The heads of a site's logs, as they are in their folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads(Vec<Option<Vec<u8>>>);

impl Heads {
    /// As they are now.
    pub fn of(site: &Site) -> Self {
        let head = |source: &LogSource| {
            source.folder.checkpoint().ok().map(|head| head.as_bytes().to_vec())
        };
        Self(site.sources().logs.iter().map(head).collect())
    }

    /// Takes in what came since, if the heads are others now. `look` verifies each log's head.
    ///
    /// # Errors
    /// If the database fails; it is tried again the next time.
    pub async fn renew(
        &mut self,
        site: &Site,
        look: impl Fn(&LogSource) -> Given,
    ) -> Result<Option<Rebuilt>, CatalogError> {
        let now = Self::of(site);
        if now == *self {
            return Ok(None);
        }
        let looked = site.sources().logs.iter().map(look).collect();
        let taken = site.catalog().clone().take_in(looked, Timestamp::now()).await?;
        *self = now;
        Ok(Some(taken))
    }
}

/// Renews the site's catalog until the site closes. `seen` are heads that are in already; none, if that is not known.
pub async fn renew(
    site: Arc<Site>,
    mut seen: Heads,
    look: impl Fn(&LogSource) -> Given + Send + Sync,
    tell: impl Fn(Result<Rebuilt, CatalogError>) + Send + Sync,
) {
    let mut closing = site.closing();
    loop {
        tokio::select! {
            _ = closing.changed() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match seen.renew(&site, &look).await {
            Ok(None) => {}
            Ok(Some(taken)) => tell(Ok(taken)),
            Err(error) => tell(Err(error)),
        }
    }
}
