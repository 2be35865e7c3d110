//! What a record says of its guest and host against what the products known here say of them.

use hospitium_plan::obligation::end_of_life;
use hospitium_products::{Product, ProductKind};

use crate::Desk;
use crate::decide::shown;
use crate::record::Stored;
use crate::side::Side;

impl Desk<'_> {
    /// Where a record contradicts the products: a name that is another product's than the one whose id it has, and a day
    /// until which it is valid after the life of its guest or host. A sentence each.
    pub(crate) fn contradicts(
        &self,
        record: &Stored,
        guest: &Side<'_>,
        host: &Side<'_>,
    ) -> Vec<String> {
        let sides = [
            (ProductKind::Guest, guest.product, &record.guest),
            (ProductKind::Host, host.product, &record.host),
        ];
        let of_side = |(kind, product, name): (ProductKind, Option<&Product>, &String)| {
            let product = product?;
            let words = [self.other_name(kind, product, name), over(product, record)];
            Some(words.into_iter().flatten().collect::<Vec<_>>())
        };
        sides.into_iter().filter_map(of_side).flatten().collect()
    }

    /// Records are asked by the id that they give; their name is what their party typed, or what the guest told.
    fn other_name(&self, kind: ProductKind, product: &Product, name: &str) -> Option<String> {
        // `qemu 7.2.22 (TCG)`: what stands in parentheses is no part of the name.
        let bare = name.split('(').next().unwrap_or_default().trim();
        let found = self.products.search_kind(bare, Some(kind));
        let best = found.candidates.first().filter(|_| found.decided && !bare.is_empty())?.product;
        (best.line != product.line).then(|| {
            format!(
                "its record has the id of {} and names it {:?}, which is {}",
                product.name,
                shown(name),
                best.name
            )
        })
    }
}

fn over(product: &Product, record: &Stored) -> Option<String> {
    let end = end_of_life(product).filter(|end| *end < record.until)?;
    Some(format!(
        "{}'s life ends on {end}, by the products known here, and the certificate says that it is valid until {}",
        product.name, record.until
    ))
}
