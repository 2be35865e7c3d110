//! What an agreement obliges to, with what the catalog's records say of it.

use std::collections::{BTreeSet, HashMap};

use hospitium_model::Agreement;
use hospitium_plan::obligation::{Grounds, Plan};
use hospitium_products::{Product, ProductId};

use crate::decide::LINES;
use crate::desk::outcomes;
use crate::tell::LogRow;
use crate::{CatalogError, Desk};

/// Why a guest cannot be run on a host here, if it cannot.
pub type Blocked<'b> = dyn Fn(&Product, &Product) -> Option<String> + Sync + 'b;

/// Pairs of products whose records are looked at for one agreement.
const PAIRS: usize = 20_000;

impl Desk<'_> {
    /// The plan of an agreement as of the desk's day. Only the records of guests and hosts that the
    /// agreement is about are read, and of their other versions, from which a validation may be
    /// carried forward; so its cost does not grow with the catalog.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan(&self, agreement: &Agreement) -> Result<Plan, CatalogError> {
        self.plan_with(agreement, Some(env!("CARGO_PKG_VERSION")), &|_, _| None).await
    }

    /// The same with the suite that is current, and with why a pair cannot be run here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan_with(
        &self,
        agreement: &Agreement,
        suite: Option<&str>,
        blocked: &Blocked<'_>,
    ) -> Result<Plan, CatalogError> {
        let grounds = |outcomes| Grounds {
            products: self.products,
            outcomes,
            suite,
            as_of: self.as_of,
            blocked,
        };
        let bare = Plan::make(agreement, &grounds(&[]));
        let guests = self.tried(true, bare.obligations.iter().map(|owed| &owed.guest));
        let hosts = self.tried(false, bare.obligations.iter().map(|owed| &owed.host));
        if guests.is_empty() || hosts.is_empty() {
            return Ok(bare);
        }
        let of_pairs = self.of_products(&guests, &hosts, PAIRS + 1).await?;
        let logs = &self.ready.logs;
        let found: Vec<_> = of_pairs
            .iter()
            .take(PAIRS)
            .flat_map(|of| outcomes(&of.judged, &of.pair, logs))
            .collect();
        let mut plan = Plan::make(agreement, &grounds(&found));
        // What decides and is not certain is told with it.
        let doubts: HashMap<String, &String> = of_pairs
            .iter()
            .flat_map(|of| &of.judged)
            .filter_map(|judged| Some((judged.record.place(), judged.record.uncertain.as_ref()?)))
            .collect();
        for owed in &mut plan.obligations {
            let record = owed.rule.record();
            owed.uncertain =
                record.and_then(|record| doubts.get(&record.certificate)).map(|why| (*why).clone());
        }
        // How old what is known is, of each log that something was read of.
        let read: BTreeSet<i64> = of_pairs
            .iter()
            .flat_map(|of| &of.judged)
            .flat_map(|judged| {
                let endorsed = judged.record.endorsed.iter().map(|by| by.log_id);
                endorsed.chain([judged.record.log_id])
            })
            .collect();
        let rows = logs.iter().map(|log| &log.row).filter(|row| read.contains(&row.id));
        plan.heads = rows.map(LogRow::as_of).collect();
        for of in of_pairs.iter().filter(|of| of.cut).take(LINES) {
            let (guest, host) = &of.pair;
            plan.problems.push(format!(
                "of {guest} on {host} there are more records than the {} that are looked at; one that says \
                 otherwise may be among the rest",
                of.judged.len()
            ));
        }
        if of_pairs.len() > PAIRS {
            plan.problems.push(format!(
                "the agreement is about more than {PAIRS} pairs that were tried; the records of \
                 the others are not looked at"
            ));
        }
        Ok(plan)
    }

    /// These products and the other versions of their lines, of which there is a record.
    fn tried<'p>(&self, guest: bool, named: impl Iterator<Item = &'p ProductId>) -> Vec<&Product> {
        let named: BTreeSet<&ProductId> = named.collect();
        let mut lines = BTreeSet::new();
        let mut found = BTreeSet::new();
        for product in named.into_iter().filter_map(|id| self.products.get(id)) {
            found.insert(&product.id);
            if lines.insert(product.line.as_str()) {
                let line = self.products.line(&product.line);
                found.extend(line.iter().filter(|p| p.kind == product.kind).map(|p| &p.id));
            }
        }
        let tried = |product: &&Product| !self.ready.subjects.of(guest, product).is_empty();
        found.into_iter().filter_map(|id| self.products.get(id)).filter(tried).collect()
    }
}
