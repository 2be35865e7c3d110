//! What a site is made from, and what of it is made ready once and served many times.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hospitium_catalog::{Catalog, Desk, LogRow, LogSource, Numbers, Ready};
use hospitium_model::Agreement;
use hospitium_plan::obligation::Plan;
use hospitium_products::{Product, ProductId, Products};
use jiff::civil::Date;
use tokio::sync::{Mutex, OnceCell, watch};

use crate::SiteError;

/// How long the catalog's state is taken as it was seen.
const FRESH: Duration = Duration::from_secs(2);
/// Other days whose state is kept: those that were asked for last.
const DAYS: usize = 8;

/// What a site is made from.
#[derive(Debug)]
pub struct Sources {
    /// Products and their facts.
    pub products: Products,
    /// The agreements, in the order in which they are shown.
    pub agreements: Vec<Agreement>,
    /// Logs from which certificates are taken, each with the policy under which it is believed.
    pub logs: Vec<LogSource>,
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
    /// Products by the end of their address.
    slugs: HashMap<String, ProductId>,
    pub(crate) evidence: Arc<crate::evidence::Evidence>,
    view: std::sync::Mutex<Option<(Instant, Arc<View>)>>,
    /// Whose turn it is to make the state anew.
    turn: Mutex<()>,
    /// The state on other days, the one that was asked for last at the end.
    others: Mutex<Vec<Arc<View>>>,
    closing: watch::Sender<bool>,
    beside: axum::Router,
    counter: Option<crate::Counter>,
}

/// The state of the catalog on a day, and what is computed from it once. A page is made from one view,
/// so that all that it says belongs together.
pub struct View {
    /// The day.
    pub as_of: Date,
    /// Whether it is another day than the site's, which was asked for.
    pub other_day: bool,
    /// A mark of the catalog's state; with the day it says whether a page can have changed.
    pub mark: String,
    /// The logs.
    pub logs: Vec<LogRow>,
    /// How much the catalog holds.
    pub numbers: Numbers,
    ready: Arc<Ready>,
    /// Names in records by the end of their address, of guests and of hosts.
    names: HashMap<(bool, String), String>,
    tried: BTreeSet<ProductId>,
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
        let mut slugs = HashMap::new();
        for product in sources.products.iter() {
            let slug = crate::links::slug(product.short());
            slugs.entry(slug).or_insert_with(|| product.id.clone());
        }
        let evidence = Arc::new(crate::evidence::Evidence::new(sources.evidence.clone()));
        Self {
            catalog,
            sources,
            slugs,
            evidence,
            view: std::sync::Mutex::default(),
            turn: Mutex::default(),
            others: Mutex::default(),
            closing,
            beside: axum::Router::new(),
            counter: None,
        }
    }

    /// With further routes beside its own, under the same headers and limits.
    #[must_use]
    pub fn beside(self, routes: axum::Router) -> Self {
        Self { beside: self.beside.merge(routes), ..self }
    }

    /// With the pages of a support desk.
    #[must_use]
    pub fn with_counter(self, counter: crate::Counter) -> Self {
        Self { counter: Some(counter), ..self }
    }

    /// The support desk, if there is one.
    pub(crate) const fn counter(&self) -> Option<&crate::Counter> {
        self.counter.as_ref()
    }

    pub(crate) fn routes_beside(&self) -> axum::Router {
        self.beside.clone()
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

    /// The product whose address ends so.
    pub fn product(&self, slug: &str) -> Option<&Product> {
        self.products().get(self.slugs.get(slug)?)
    }

    /// The log of this origin, if it is at hand.
    pub fn log(&self, origin: &str) -> Option<&LogSource> {
        // Origins are in the policy; of one policy with many logs, the checkpoint says which it is.
        self.sources.logs.iter().find(|source| {
            let checkpoint = source.folder.checkpoint();
            checkpoint.is_ok_and(|checkpoint| checkpoint.head().origin == origin)
        })
    }

    /// What to ask for, for a guest or host whose address ends so: a product's short id, or a name as
    /// records have it.
    pub fn named(&self, view: &View, guest: bool, slug: &str) -> Option<String> {
        use hospitium_products::ProductKind;
        let kind = if guest { ProductKind::Guest } else { ProductKind::Host };
        match self.product(slug).filter(|product| product.kind == kind) {
            Some(product) => Some(product.short().to_owned()),
            None => view.names.get(&(guest, slug.to_owned())).cloned(),
        }
    }

    /// Products of which there is a record.
    pub fn of_records<'v>(&self, view: &'v View) -> &'v BTreeSet<ProductId> {
        &view.tried
    }

    /// Products of which there is a record, or that an agreement owes.
    pub fn of_interest(&self, view: &View) -> BTreeSet<ProductId> {
        view.tried.iter().chain(view.ready.owed_products()).cloned().collect()
    }

    /// The state now. It is made anew if the catalog was built again or the day is over; a catalog
    /// that is being built is read as it was before. One request makes it anew; those that come meanwhile
    /// get the state of before, unless it is of another day.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn view(&self) -> Result<Arc<View>, SiteError> {
        let as_of = self.sources.as_of.unwrap_or_else(today);
        let before = match self.held(as_of) {
            Some((seen, view)) if seen.elapsed() < FRESH => return Ok(view),
            before => before.map(|(_, view)| view),
        };
        let _turn = match (self.turn.try_lock(), before) {
            (Ok(turn), _) => turn,
            (Err(_), Some(view)) => return Ok(view),
            (Err(_), None) => self.turn.lock().await,
        };
        // Another may have made it while this one waited for its turn.
        let before = match self.held(as_of) {
            Some((seen, view)) if seen.elapsed() < FRESH => return Ok(view),
            before => before.map(|(_, view)| view),
        };
        let mark = self.catalog.mark().await?;
        let view = match before {
            Some(view) if view.mark == mark => view,
            before => Arc::new(self.made(as_of, mark, before.as_deref()).await?),
        };
        let mut held = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((Instant::now(), Arc::clone(&view)));
        Ok(view)
    }

    /// The state of this day that was seen last, and when.
    fn held(&self, as_of: Date) -> Option<(Instant, Arc<View>)> {
        let held = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|(_, view)| view.as_of == as_of)
    }

    /// The state on a day that was asked for; now, if none was. Nothing that was said later is in it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn view_on(&self, day: Option<Date>) -> Result<Arc<View>, SiteError> {
        let now = self.view().await?;
        let Some(day) = day.filter(|day| *day != now.as_of) else { return Ok(now) };
        let mut held = self.others.lock().await;
        held.retain(|view| view.mark == now.mark);
        if let Some(at) = held.iter().position(|view| view.as_of == day) {
            let view = held.remove(at);
            held.push(Arc::clone(&view));
            return Ok(view);
        }
        let made = self.made(day, now.mark.clone(), None).await?;
        let view = Arc::new(View { other_day: true, ..made });
        if held.len() >= DAYS {
            held.remove(0);
        }
        held.push(Arc::clone(&view));
        Ok(view)
    }

    /// Made from nothing, or from the state of the same day before.
    async fn made(
        &self,
        as_of: Date,
        mark: String,
        before: Option<&View>,
    ) -> Result<View, SiteError> {
        let Sources { products, agreements, .. } = &self.sources;
        let ready = match before {
            Some(before) => before.ready.again(&self.catalog, products).await?,
            None => Ready::new(&self.catalog, products, agreements, as_of).await?,
        };
        let mut names = HashMap::new();
        let mut tried = BTreeSet::new();
        for (guest, name, product) in ready.subjects() {
            match product.and_then(|id| id.parse::<ProductId>().ok()) {
                Some(id) if products.get(&id).is_some() => {
                    tried.insert(id);
                }
                _ => {
                    names.insert((guest, crate::links::slug(name)), name.to_owned());
                }
            }
        }
        Ok(View {
            as_of,
            other_day: false,
            mark,
            logs: self.catalog.log_rows().await?,
            numbers: self.catalog.numbers().await?,
            ready: Arc::new(ready),
            names,
            tried,
            plans: agreements.iter().map(|_| OnceCell::new()).collect(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::world;

    #[tokio::test]
    async fn while_one_request_makes_the_state_anew_the_others_get_that_of_before() {
        let world = world().await;
        let site = &world.site;
        let before = site.view().await.expect("is there");
        assert_eq!(before.numbers.records, 3);
        let old = Instant::now().checked_sub(FRESH).expect("the computer runs longer");
        let set = |view: &Arc<View>| {
            let mut held = site.view.lock().unwrap_or_else(PoisonError::into_inner);
            *held = Some((old, Arc::clone(view)));
        };
        set(&before);
        site.catalog.clone().rebuild(&[]).await.expect("is emptied");
        let turn = site.turn.lock().await;
        let meanwhile = tokio::time::timeout(Duration::from_secs(20), site.view()).await;
        let meanwhile = meanwhile.expect("does not wait").expect("is there");
        assert!(Arc::ptr_eq(&meanwhile, &before));
        drop(turn);
        let after = site.view().await.expect("is made");
        assert_eq!(after.numbers.records, 0);
        assert_eq!(
            after.ready.owed_products().count(),
            before.ready.owed_products().count(),
            "what is owed does not rest on records"
        );
        // Yesterday's is nobody's.
        let yesterday = View {
            as_of: before.as_of.yesterday().expect("is a day"),
            other_day: false,
            mark: before.mark.clone(),
            logs: Vec::new(),
            numbers: before.numbers,
            ready: Arc::clone(&before.ready),
            names: HashMap::new(),
            tried: BTreeSet::new(),
            plans: Vec::new(),
        };
        set(&Arc::new(yesterday));
        assert_eq!(site.view().await.expect("is made").as_of, before.as_of);
    }
}
