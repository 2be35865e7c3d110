//! Questions and versions: any text has an answer, and the order stays total.
#![no_main]

use std::sync::LazyLock;

use hospitium_products::{Builder, Products, Version};
use libfuzzer_sys::fuzz_target;

static PRODUCTS: LazyLock<Products> = LazyLock::new(|| {
    let builder = Builder::with_built_in().expect("what is built in is sound");
    builder.finish().expect("what is built in is sound")
});

fuzz_target!(|text: &str| {
    let found = PRODUCTS.search(text);
    assert!(found.candidates.len() <= 12);
    let mut versions: Vec<Version> = text.split('\n').map(Version::new).collect();
    // Panics if the order is none.
    versions.sort();
});
