//! The nearest configurations that are validated: the same guest on another version of the host, and
//! another version of the guest on the same host.

use std::collections::HashMap;

use hospitium_products::Product;

use crate::answer::{Certified, Nearest};
use crate::newest::{Pair, SPEAKING};
use crate::pair::{Judged, Stands};
use crate::side::Side;
use crate::{CatalogError, Desk};

/// Versions that are tried on each side.
const TRIED: usize = 24;

/// Up to one of each kind.
pub async fn nearest(
    desk: &Desk<'_>,
    guest: &Side<'_>,
    host: &Side<'_>,
) -> Result<Vec<Nearest>, CatalogError> {
    let mut found = Vec::new();
    for of_guest in [false, true] {
        let (moving, fixed) = if of_guest { (guest, host) } else { (host, guest) };
        let Some(product) = moving.product else { continue };
        let mut met: HashMap<i64, Vec<Pair>> = HashMap::new();
        for own in &fixed.subjects {
            let kind = if of_guest { "host" } else { "guest" };
            for other in desk.catalog.partners(kind, *own).await? {
                let pair = if of_guest { (other, *own) } else { (*own, other) };
                met.entry(other).or_default().push(pair);
            }
        }
        // Each other version with the pairs that it is in; none of it has no record.
        let tried = by_distance(desk, product).into_iter().filter_map(|(steps, other)| {
            let subjects = desk.ready.subjects.of(of_guest, other);
            let pairs: Vec<Pair> =
                subjects.iter().filter_map(|s| met.get(s)).flatten().copied().collect();
            (!pairs.is_empty()).then_some((steps, other, pairs))
        });
        let tried: Vec<_> = tried.take(TRIED).collect();
        if let Some((steps, other, valid)) = first_valid(desk, &tried).await? {
            let side = if of_guest { "guest" } else { "host" };
            let versions = if steps == 1 { "version" } else { "versions" };
            let way = if other.release > product.release { "later" } else { "earlier" };
            let name = |product: Option<&Product>, side: &Side<'_>| {
                product.map_or_else(|| side.name.clone(), |product| product.name.clone())
            };
            found.push(Nearest {
                guest: name(of_guest.then_some(other).or(guest.product), guest),
                host: name((!of_guest).then_some(other).or(host.product), host),
                why: format!(
                    "{steps} {versions} of the {side} {way}, the nearest that is validated"
                ),
                certificate: Certified::of(&valid.record),
            });
        }
    }
    Ok(found)
}

/// The first of these of which the newest record that counts is valid, as for the pair itself.
async fn first_valid<'a>(
    desk: &Desk<'_>,
    tried: &[(usize, &'a Product, Vec<Pair>)],
) -> Result<Option<(usize, &'a Product, Judged)>, CatalogError> {
    // The nearest is mostly valid: the others are read only if it is not.
    let (first, others) = tried.split_at(tried.len().min(1));
    for some in [first, others] {
        let pairs: Vec<Pair> = some.iter().flat_map(|(.., pairs)| pairs.iter().copied()).collect();
        let mut last =
            desk.catalog.judged(&pairs, desk.as_of, SPEAKING, &desk.ready.doubts).await?;
        for (steps, other, pairs) in some {
            let newest = last.of(pairs).0.into_iter().find(Judged::counts);
            if let Some(valid) = newest.filter(|j| j.stands == Stands::Valid) {
                return Ok(Some((*steps, *other, valid)));
            }
        }
    }
    Ok(None)
}

/// The other versions of a product's line by how many releases they are away; of two alike, the
/// earlier first: what ran on it has longer been known to run.
fn by_distance<'a>(desk: &Desk<'a>, product: &Product) -> Vec<(usize, &'a Product)> {
    let mut line = desk.products.line(&product.line);
    line.retain(|other| other.kind == product.kind);
    let Some(own) = line.iter().position(|other| other.id == product.id) else {
        return Vec::new();
    };
    let mut others: Vec<_> = line
        .into_iter()
        .enumerate()
        .filter(|(at, _)| *at != own)
        .map(|(at, other)| (at.abs_diff(own), other))
        .collect();
    others.sort_by_key(|(steps, _)| *steps);
    others
}
