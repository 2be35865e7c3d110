//! What agreements leave out of the pairs that they speak of.

use hospitium_model::Exclusion;
use hospitium_model::standing::{Deal, Rule};
use hospitium_products::{ProductId, ProductKind, Products};

use crate::Limits;
use crate::decide::Owed;

/// Parts the agreements that leave out what is asked for from the others; of these, the rule by which each
/// does.
pub fn exclude<'d>(
    owed: Vec<Owed<'d>>,
    asked: &Limits,
    products: &Products,
) -> (Vec<Owed<'d>>, Vec<Rule>) {
    let (mut left, mut excluded) = (Vec::new(), Vec::new());
    for owed in owed {
        let of_pair = |exclusion: &&Exclusion| {
            let (guest, host) = (&owed.obligation.guest, &owed.obligation.host);
            is_of(&exclusion.guests, ProductKind::Guest, guest, products)
                && is_of(&exclusion.hosts, ProductKind::Host, host, products)
        };
        let mut fitting = owed.agreement.exclusions.iter().filter(of_pair);
        match fitting.find(|exclusion| leaves_out(exclusion, asked)) {
            None => left.push(owed),
            Some(Exclusion { what, words, .. }) => {
                let deal = Deal {
                    id: owed.agreement.id.clone(),
                    title: owed.agreement.title.clone(),
                    clause: owed.obligation.clause.clone(),
                };
                let (what, terms) = (what.clone(), words.clone());
                excluded.push(Rule::Excluded { deal, what, terms });
            }
        }
    }
    (left, excluded)
}

/// Whether it is one of these products, or none is named. A name that fits none, or several, is passed over:
/// the plan says so of those that clauses name.
fn is_of(names: &[String], kind: ProductKind, id: &ProductId, products: &Products) -> bool {
    let is = |name: &String| {
        products.resolve_kind(name, Some(kind)).is_ok_and(|product| product.id == *id)
    };
    names.is_empty() || names.iter().any(is)
}

/// Whether something is asked for that is left out.
fn leaves_out(exclusion: &Exclusion, asked: &Limits) -> bool {
    let Exclusion { buses, nics, firmware, vcpus_above, memory_above, .. } = exclusion;
    buses.iter().any(|bus| asked.buses.iter().any(|asked| asked == bus.name()))
        || nics.iter().any(|nic| asked.nics.iter().any(|asked| asked == nic.name()))
        || asked.firmware.is_some_and(|asked| firmware.contains(&asked))
        || asked.vcpus.zip(*vcpus_above).is_some_and(|(asked, most)| asked > most)
        || asked.memory.zip(*memory_above).is_some_and(|(asked, most)| asked > most)
}
