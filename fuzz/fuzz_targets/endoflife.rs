//! endoflife.date's YAML and JSON: any text is read or refused, and joins the definitions.
#![no_main]

use hospitium_products::Builder;
use hospitium_products::endoflife::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for file in ["rhel.yaml", "rhel.json", "freebsd.json"] {
        if let Ok(product) = read(file, text) {
            let mut builder = Builder::with_built_in().expect("what is built in is sound");
            builder.add_endoflife(product);
            let products = builder.finish().expect("what is built in is sound");
            for product in products.line("rhel") {
                let _ = (product.conflicts(), product.ends());
            }
        }
    }
});
