//! From the words of a question, and from the names in records, to products.

use std::collections::HashMap;

use hospitium_model::printable;
use hospitium_products::{Product, ProductKind, Products, Version};

use crate::answer::Unclear;
use crate::record::Subject;

/// Names without a product that are looked up; a log that has more names none of them.
const LOOKED_UP: usize = 2000;

/// The guests and hosts of all records.
pub struct Subjects {
    by_id: HashMap<i64, Subject>,
    by_product: HashMap<(bool, String), Vec<i64>>,
    by_name: HashMap<(bool, String), Vec<i64>>,
    product_of: HashMap<i64, String>,
    /// Names that were not looked up, for there are too many.
    pub left_out: usize,
}

/// Names of records that are given as candidates.
const CANDIDATES: usize = 12;

/// One side of a question, understood.
pub struct Side<'a> {
    pub product: Option<&'a Product>,
    pub name: String,
    /// Its subjects in records.
    pub subjects: Vec<i64>,
}

const fn kind(guest: bool) -> ProductKind {
    if guest { ProductKind::Guest } else { ProductKind::Host }
}

impl Subjects {
    pub fn new(all: Vec<Subject>, products: &Products) -> Self {
        let mut this = Self {
            by_id: HashMap::new(),
            by_product: HashMap::new(),
            by_name: HashMap::new(),
            product_of: HashMap::new(),
            left_out: 0,
        };
        let mut looked_up = 0;
        for subject in all {
            let guest = subject.kind == "guest";
            let product = match subject.product.as_str() {
                "" if looked_up < LOOKED_UP => {
                    looked_up += 1;
                    named(&subject, products, guest)
                }
                "" => {
                    this.left_out += 1;
                    None
                }
                id => Some(id.to_owned()),
            };
            if let Some(product) = product {
                this.product_of.insert(subject.id, product.clone());
                this.by_product.entry((guest, product)).or_default().push(subject.id);
            }
            let name = subject.name.trim().to_lowercase();
            this.by_name.entry((guest, name)).or_default().push(subject.id);
            this.by_id.insert(subject.id, subject);
        }
        this
    }

    /// The name of a subject as records have it.
    pub fn name(&self, id: i64) -> Option<&str> {
        self.by_id.get(&id).map(|subject| subject.name.as_str())
    }

    /// The id of a subject's product.
    pub fn product(&self, id: i64) -> Option<&str> {
        self.product_of.get(&id).map(String::as_str)
    }

    /// Every subject: whether it is a guest, its name, and its product's id, if that is known.
    pub fn all(&self) -> impl Iterator<Item = (bool, &str, Option<&str>)> {
        self.by_id.iter().map(|(id, subject)| {
            (subject.kind == "guest", subject.name.as_str(), self.product(*id))
        })
    }

    pub fn of(&self, guest: bool, product: &Product) -> Vec<i64> {
        self.by_product.get(&(guest, product.id.to_string())).cloned().unwrap_or_default()
    }

    /// What a side of a question means, or what it may mean.
    pub fn side<'a>(
        &self,
        text: &str,
        guest: bool,
        products: &'a Products,
    ) -> Result<Side<'a>, Unclear> {
        let found = products.search_kind(text, Some(kind(guest)));
        if let (true, Some(best)) = (found.decided, found.candidates.first()) {
            let product = best.product;
            let subjects = self.of(guest, product);
            return Ok(Side { product: Some(product), name: product.name.clone(), subjects });
        }
        // A name or an id as records have it, of something that is no known product.
        let exact = self.by_name.get(&(guest, text.trim().to_lowercase()));
        let exact = exact.or_else(|| self.by_product.get(&(guest, text.trim().to_owned())));
        if let Some(subjects) = exact {
            let first = subjects.first().and_then(|id| self.by_id.get(id));
            let name = first.map_or_else(String::new, |subject| subject.name.clone());
            return Ok(Side { product: None, name, subjects: subjects.clone() });
        }
        // `linux 6.12`, of which a record has `linux 6.12.117+deb12-amd64`.
        let covered = self.covered(text, guest);
        if let [name] = covered.as_slice() {
            let subjects = self.by_name.get(&(guest, (*name).clone())).cloned().unwrap_or_default();
            return Ok(Side { product: None, name: (*name).clone(), subjects });
        }
        let of_records = covered.iter().take(CANDIDATES).map(|name| {
            let name = printable(name, 200);
            (name.clone(), name)
        });
        let of_products = found.candidates.iter().map(|candidate| {
            (candidate.product.short().to_owned(), candidate.product.name.clone())
        });
        Err(Unclear {
            side: if guest { "guest" } else { "host" },
            text: found.query.text.clone(),
            candidates: of_records.chain(of_products).collect(),
            why: found.newer.map(|newer| newer.words()),
        })
    }

    /// Names in records that this text covers: every word of it is one of theirs, or a version that
    /// one of theirs is within.
    fn covered(&self, text: &str, guest: bool) -> Vec<&String> {
        let asked: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let covers = |name: &str| {
            let words: Vec<&str> = name.split_whitespace().collect();
            asked.iter().all(|asked| {
                let version = asked.starts_with(|c: char| c.is_ascii_digit());
                words.iter().any(|word| {
                    word == asked || version && Version::new(word).is_within(&Version::new(asked))
                })
            })
        };
        let mut found: Vec<&String> = self
            .by_name
            .keys()
            .filter(|(of_guest, name)| *of_guest == guest && !asked.is_empty() && covers(name))
            .map(|(_, name)| name)
            .collect();
        found.sort();
        found
    }
}

/// The product that a record's name means without doubt.
fn named(subject: &Subject, products: &Products, guest: bool) -> Option<String> {
    // `qemu 7.2.22 (TCG)`: what stands in parentheses is no part of the name.
    let name = subject.name.split('(').next().unwrap_or_default().trim();
    let with_version = format!("{name} {}", subject.version);
    [name, &with_version].into_iter().find_map(|text| {
        let found = products.search_kind(text, Some(kind(guest)));
        let best = found.candidates.first().filter(|_| found.decided && !text.is_empty())?;
        Some(best.product.id.to_string())
    })
}
