//! What a site is made from, and what of it is made ready once and served many times.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_catalog::{Catalog, Desk, LogRow, Numbers, Ready};
use hospitium_model::Agreement;
use hospitium_plan::obligation::Plan;
use hospitium_products::Products;
use jiff::civil::Date;
use tokio::sync::{Mutex, OnceCell, watch};

use crate::SiteError;

/// How long the catalog's state is taken as it was seen.
const FRESH: Duration = Duration::from_secs(2);

/// What a site is made from.
#[derive(Debug)]
pub struct Sources {
    /// Products and their facts.
    pub products: Products,
    /// The agreements, in the order in which they are shown.
    pub agreements: Vec<Agreement>,
    /// Folders of logs from which certificates are taken.
    pub logs: Vec<PathBuf>,
    /// Folders under which evidence is looked for: bundles, or folders of bundles.
    pub evidence: Vec<PathBuf>,
    /// The folder of runs that are going on or are over.
    pub runs: Option<PathBuf>,
    /// The day for which everything is shown; today in UTC if none is given.
    pub as_of: Option<Date>,
    /// The site's own address as the world sees it, without a slash at its end. Feeds and badges
    /// need it; without one, the address by which a request came is used.
    pub base: Option<String>,
}

/// A site: everything that its pages are made from.
#[derive(Debug)]
pub struct Site {
    catalog: Catalog,
    sources: Sources,
    view: Mutex<Option<(Instant, Arc<View>)>>,
    closing: watch::Sender<bool>,
}

/// The state of the catalog on a day, and what is computed from it once. A page is made from one view,
/// so that all that it says belongs together.
pub struct View {
    /// The day.
    pub as_of: Date,
    /// A mark of the catalog's state; with the day it says whether a page can have changed.
    pub mark: String,
    /// The logs.
    pub logs: Vec<LogRow>,
    /// How much the catalog holds.
    pub numbers: Numbers,
    ready: Arc<Ready>,
    plans: Vec<OnceCell<Plan>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { as_of, mark, .. } = self;
        f.debug_struct("View").field("as_of", as_of).field("mark", mark).finish_non_exhaustive()
    }
}

impl Site {
    /// A site over a catalog.
    pub fn new(catalog: Catalog, sources: Sources) -> Self {
        let (closing, _) = watch::channel(false);
        Self { catalog, sources, view: Mutex::new(None), closing }
    }

    /// The catalog.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the site is made from.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The products.
    pub const fn products(&self) -> &Products {
        &self.sources.products
    }

    /// The agreements.
    pub fn agreements(&self) -> &[Agreement] {
        &self.sources.agreements
    }

    /// The agreement of this id, with its place.
    pub fn agreement(&self, id: &str) -> Option<(usize, &Agreement)> {
        self.agreements().iter().enumerate().find(|(_, agreement)| agreement.id == id)
    }

    /// The state now. It is made anew if the catalog was built again or the day is over; a catalog
    /// that is being built is read as it was before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn view(&self) -> Result<Arc<View>, SiteError> {
        let mut held = self.view.lock().await;
        let as_of = self.sources.as_of.unwrap_or_else(today);
        if let Some((seen, view)) = &mut *held
            && view.as_of == as_of
        {
            if seen.elapsed() < FRESH {
                return Ok(Arc::clone(view));
            }
            if self.catalog.mark().await? == view.mark {
                *seen = Instant::now();
                return Ok(Arc::clone(view));
            }
        }
        let mark = self.catalog.mark().await?;
        let Sources { products, agreements, .. } = &self.sources;
        let view = Arc::new(View {
            as_of,
            mark,
            logs: self.catalog.log_rows().await?,
            numbers: self.catalog.numbers().await?,
            ready: Arc::new(Ready::new(&self.catalog, products, agreements, as_of).await?),
            plans: agreements.iter().map(|_| OnceCell::new()).collect(),
        });
        *held = Some((Instant::now(), Arc::clone(&view)));
        Ok(view)
    }

    /// Where questions are asked in this state.
    pub fn desk(&self, view: &View) -> Desk<'_> {
        let Sources { products, agreements, .. } = &self.sources;
        Desk::at(&self.catalog, products, agreements, Arc::clone(&view.ready))
    }

    /// What an agreement, by its place, obliges to in this state. Made once for a view.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan<'v>(
        &self,
        view: &'v View,
        number: usize,
    ) -> Result<Option<&'v Plan>, SiteError> {
        let (Some(cell), Some(agreement)) = (view.plans.get(number), self.agreements().get(number))
        else {
            return Ok(None);
        };
        let plan = cell.get_or_try_init(|| async { self.desk(view).plan(agreement).await }).await?;
        Ok(Some(plan))
    }

    /// Becomes true when the site is to close; what is open for long listens to it.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

/// Today, in UTC.
fn today() -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}
