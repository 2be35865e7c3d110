//! What the products add to a record: which products guest and host are, and when their lives end.

use hospitium_ledger::DatedFact;
use hospitium_ledger::statement::Issue;
use hospitium_model::{CellRecord, GuestFacts, GuestKind, HostFacts};
use hospitium_products::{Product, ProductKind, Products, Property, ResolveError};
use jiff::tz::TimeZone;

use crate::out::note;
use crate::view::safe;

/// Fills in what the caller did not name. A product that cannot be made out stays open, with a note.
pub fn fill(issue: &mut Issue, cell: &CellRecord, products: &Products) {
    let told = issue.guest_product.clone();
    let guest = guest_product(products, &cell.guest, told.as_deref());
    let told = issue.host_product.clone();
    let host = host_product(products, &cell.host, told.as_deref());
    for (found, product) in [(guest, &mut issue.guest_product), (host, &mut issue.host_product)] {
        match found {
            Ok(found) => {
                *product = Some(found.id.to_string());
                issue.ends.extend(end_of_life(found));
            }
            Err(error) => note!(
                "note: {}; name it with --guest-product or --host-product",
                safe(&error.to_string())
            ),
        }
    }
}

/// The product that a guest is: of this id or name, else as it says itself.
pub fn guest_product<'a>(
    products: &'a Products,
    guest: &GuestFacts,
    told: Option<&str>,
) -> Result<&'a Product, ResolveError> {
    let text = match guest.kind {
        GuestKind::Kernel => format!("linux kernel {}", upstream(&guest.version)),
        GuestKind::Disk => guest.name.clone(),
    };
    let told = told.or(guest.product.as_deref());
    products.resolve_kind(told.unwrap_or(&text), Some(ProductKind::Guest))
}

/// The product that a host is: of this id or name, else by its kind and version.
pub fn host_product<'a>(
    products: &'a Products,
    host: &HostFacts,
    told: Option<&str>,
) -> Result<&'a Product, ResolveError> {
    let text = format!("{} {}", host.kind, host.version);
    products.resolve_kind(told.unwrap_or(&text), Some(ProductKind::Host))
}

/// `6.1.0` of `6.1.0-50-amd64`: what a distribution adds is no part of the kernel's own version.
fn upstream(version: &str) -> &str {
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

fn end_of_life(product: &Product) -> Option<DatedFact> {
    let said = product.said(Property::EndOfLife);
    let (fact, day) = said.into_iter().find_map(|fact| Some((fact, fact.value.as_date()?)))?;
    let midnight = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(DatedFact {
        what: format!("the end of life of {} on {day}", product.name),
        at: midnight.timestamp(),
        source: fact.source.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_distribution_adds_is_no_part_of_the_kernels_version() {
        assert_eq!(upstream("6.1.0-50-amd64"), "6.1.0");
        assert_eq!(upstream("6.12.117+deb12-amd64"), "6.12.117");
        assert_eq!(upstream("6.1"), "6.1");
    }
}
