//! The nearest configurations that are validated: the same guest on another version of the host, and
//! another version of the guest on the same host.

use hospitium_products::Product;

use crate::answer::{Certified, Nearest};
use crate::pair::Stands;
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
        if fixed.subjects.is_empty() {
            continue;
        }
        let mut tried = 0;
        for (steps, other) in by_distance(desk, product) {
            let subjects = desk.ready.subjects.of(of_guest, other);
            if subjects.is_empty() {
                continue;
            }
            tried += 1;
            if tried > TRIED {
                break;
            }
            let judged = match of_guest {
                true => desk.of_pair(&subjects, &fixed.subjects).await?,
                false => desk.of_pair(&fixed.subjects, &subjects).await?,
            };
            // The newest that counts decides, as for the pair itself.
            let newest = judged.iter().find(|j| j.counts());
            let Some(valid) = newest.filter(|j| j.stands == Stands::Valid) else { continue };
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
            break;
        }
    }
    Ok(found)
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
