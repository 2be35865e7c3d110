//! From a clause to its pairs: the named products, and the later versions that its rule takes in.

use hospitium_model::{Agreement, Clause, Reach};
use hospitium_products::{FactValue, Product, ProductKind, Products, Property};
use jiff::civil::Date;

use super::Because;

/// A guest and a host that the clause speaks of.
pub struct Pair<'a> {
    pub guest: &'a Product,
    pub host: &'a Product,
    pub because: Because,
    /// From when it is owed, if both releases are known.
    pub from: Option<Date>,
}

/// All pairs of a clause that were ever alive together while the deal held. Products that cannot be
/// made out are left out, with a problem for each.
pub fn pairs<'a>(
    agreement: &Agreement,
    clause: &Clause,
    products: &'a Products,
    problems: &mut Vec<String>,
) -> Vec<Pair<'a>> {
    let later = clause.later.as_ref();
    let (to_guests, to_hosts) = later.map_or((Reach::None, Reach::None), |l| (l.guests, l.hosts));
    let mut made_out = |names: &[String], kind, reach| {
        let mut named = Vec::new();
        for name in names {
            match products.resolve_kind(name, Some(kind)) {
                Ok(product) => named.push(product),
                Err(error) => problems.push(format!("clause {}: {error}", clause.id)),
            }
        }
        with_later(products, &named, reach)
    };
    let guests = made_out(&clause.guests, ProductKind::Guest, to_guests);
    let hosts = made_out(&clause.hosts, ProductKind::Host, to_hosts);
    let mut pairs = Vec::new();
    for &(guest, guest_is_later) in &guests {
        for &(host, host_is_later) in &hosts {
            let because = match (guest_is_later, host_is_later) {
                (false, false) => Because::Named,
                (true, false) => Because::LaterGuest,
                (false, true) => Because::LaterHost,
                (true, true) => Because::LaterBoth,
            };
            let from = guest
                .released()
                .zip(host.released())
                .map(|(guest, host)| guest.max(host).max(agreement.made));
            if because != Because::Named && !lived_together(agreement, guest, host, from) {
                continue;
            }
            pairs.push(Pair { guest, host, because, from });
        }
    }
    pairs
}

/// The named products and the later ones in reach, each once, each with whether it came in later.
fn with_later<'a>(
    products: &'a Products,
    named: &[&'a Product],
    reach: Reach,
) -> Vec<(&'a Product, bool)> {
    let mut all: Vec<(&Product, bool)> = named.iter().map(|product| (*product, false)).collect();
    if reach == Reach::None {
        return all;
    }
    for product in named {
        for later in products.after(product) {
            let in_reach = reach == Reach::All || later.release.major() == product.release.major();
            // Where a service pack or minor version is named, those before it are not meant.
            let newer_is_named = named.iter().any(|other| {
                other.line == later.line
                    && other.release.major() == later.release.major()
                    && other.release > later.release
            });
            let known = all.iter().any(|(other, _)| other.id == later.id);
            let released = !later.release.is_prerelease() && later.released().is_some();
            if in_reach && !newer_is_named && !known && released {
                all.push((later, true));
            }
        }
    }
    all
}

/// Whether there was a day on which both were released and neither's life had ended, within the deal.
fn lived_together(
    agreement: &Agreement,
    guest: &Product,
    host: &Product,
    from: Option<Date>,
) -> bool {
    let Some(from) = from else { return true };
    let ends = [end_of_life(guest), end_of_life(host), agreement.ends];
    ends.into_iter().flatten().all(|end| from <= end)
}

/// The last day of a product's life, by the source to be believed first. What can be bought on top
/// does not count.
pub fn end_of_life(product: &Product) -> Option<Date> {
    product
        .said(Property::EndOfLife)
        .into_iter()
        .find(|fact| matches!(fact.value, FactValue::Date(_) | FactValue::Flag(false)))
        .and_then(|fact| fact.value.as_date())
}
