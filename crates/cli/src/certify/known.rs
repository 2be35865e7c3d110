//! What the products add to a record: which products guest and host are, and when their lives end.

use anyhow::Result;
use hospitium_ledger::statement::Issue;
use hospitium_ledger::{Agreed, DatedFact};
use hospitium_model::{CellRecord, Days, Formula, GuestFacts, GuestKind, HostFacts};
use hospitium_plan::obligation::next_version;
use hospitium_products::{Product, ProductKind, Products, Property, ResolveError};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::failure::Usage;
use crate::out::note;
use crate::view::safe;

/// Fills in what the caller did not name: products, the ends of their lives, the next version of
/// either, and with an agreement the days that its rule counts on. A product that cannot be made out
/// stays open, with a note.
pub fn fill(
    issue: &mut Issue,
    cell: &CellRecord,
    ended: Option<Timestamp>,
    rule: Option<&Formula>,
    products: &Products,
) {
    let told = issue.guest_product.clone();
    let guest = guest_product(products, &cell.guest, told.as_deref());
    let told = issue.host_product.clone();
    let host = host_product(products, &cell.host, told.as_deref());
    let validated = ended.map(|at| TimeZone::UTC.to_datetime(at).date());
    let (mut days, mut known, mut next) = (Days::default(), Vec::new(), Vec::new());
    for (found, is_guest) in [(guest, true), (host, false)] {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                note!("note: {}; name it with --guest or --host", safe(&error.to_string()));
                continue;
            }
        };
        let (product, end, version) = match is_guest {
            true => (
                &mut issue.guest_product,
                &mut days.guest_end_of_life,
                &mut days.next_guest_version,
            ),
            false => {
                (&mut issue.host_product, &mut days.host_end_of_life, &mut days.next_host_version)
            }
        };
        *product = Some(found.id.to_string());
        if let Some((day, fact)) = end_of_life(found) {
            *end = Some(day);
            issue.ends.push(fact.clone());
            known.push(fact);
        }
        let later = validated.and_then(|day| next_version(products, found, day));
        if let Some((later, day)) = later {
            *version = Some(day);
            next.extend(release(later, day));
        }
    }
    next.sort_by_key(|fact: &DatedFact| fact.at);
    issue.next_version = next.into_iter().next();
    issue.agreed = rule.map(|until| Agreed { until: until.clone(), days, known });
}

/// Refuses a product that was named, where the evidence shows another.
pub fn refuse_contradicted(issue: &Issue, cell: &CellRecord, products: &Products) -> Result<()> {
    let shown = [
        (&issue.guest_product, guest_product(products, &cell.guest, None), ProductKind::Guest),
        (&issue.host_product, host_product(products, &cell.host, None), ProductKind::Host),
    ];
    for (told, shown, kind) in shown {
        let (Some(told), Ok(shown)) = (told, shown) else { continue };
        let named = products.resolve_kind(told, Some(kind))?;
        if named.id != shown.id {
            let option = if kind == ProductKind::Guest { "guest" } else { "host" };
            return Err(Usage::error(
                format!(
                    "--{option}-product names {}, and the evidence shows {}",
                    named.name, shown.name
                ),
                format!("leave --{option}-product out: what the evidence shows decides"),
            ));
        }
    }
    Ok(())
}

/// The release of a version, with who says so.
fn release(product: &Product, day: Date) -> Option<DatedFact> {
    let said = product.said(Property::ReleaseDate);
    let fact = said.into_iter().find(|fact| fact.value.as_date() == Some(day));
    Some(DatedFact {
        what: format!("the release of {} on {day}", product.name),
        at: day.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        source: fact.map(|fact| fact.source.to_string()).unwrap_or_default(),
    })
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

/// The last day of a product's life, and the moment after it.
fn end_of_life(product: &Product) -> Option<(Date, DatedFact)> {
    let day = hospitium_plan::obligation::end_of_life(product)?;
    let said = product.said(Property::EndOfLife);
    let fact = said.into_iter().find(|fact| fact.value.as_date() == Some(day))?;
    let midnight = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    let fact = DatedFact {
        what: format!("the end of life of {} on {day}", product.name),
        at: midnight.timestamp(),
        source: fact.source.to_string(),
    };
    Some((day, fact))
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
