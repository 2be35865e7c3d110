//! What agreements speak of beside a pair of which nothing is known: the same in another version,
//! edition or architecture, which may be what is meant.

use std::collections::BTreeSet;

use hospitium_products::{Product, ProductId};

use crate::Desk;

/// Pairs that are told at most.
const TOLD: usize = 3;

/// Up to three pairs near to this one, each in a sentence with the agreement that speaks of it.
pub fn beside(desk: &Desk<'_>, guest: Option<&Product>, host: Option<&Product>) -> Vec<String> {
    let (Some(guest), Some(host)) = (guest, host) else { return Vec::new() };
    // How far a product is from another: the same, another edition of the same release, another
    // release of the same major version.
    let near = |id: &ProductId, product: &Product| {
        let other = desk.products.get(id)?;
        if other.id == product.id {
            return Some(0);
        }
        let major = other.release.major() == product.release.major();
        let edition = other.release == product.release;
        (other.line == product.line && major).then_some(if edition { 1 } else { 2 })
    };
    let mut found = BTreeSet::new();
    for ((owed_guest, owed_host), obligations) in desk.ready.owed.iter() {
        let Some((of_guest, of_host)) = near(owed_guest, guest).zip(near(owed_host, host)) else {
            continue;
        };
        for (number, owed) in obligations {
            let Some(agreement) = desk.agreements.get(*number) else { continue };
            let what = match (of_guest, of_host) {
                (0, 0) => format!("this pair for {}", owed.arch),
                (0, _) | (_, 0) => format!("{} on {}", owed.guest_name, owed.host_name),
                _ => continue,
            };
            let told = format!("{} speaks of {what}. Is that what is meant?", agreement.title);
            found.insert((of_guest + of_host, told));
        }
    }
    found.into_iter().take(TOLD).map(|(_, told)| told).collect()
}
