//! Covering models in the text forms of other tools, and what is made of the small ones.
#![no_main]

use hospitium_plan::covering::{Generator, read_acts, read_casa, read_pict, read_pict_rows, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = read_acts("m", text);
    let (model, rules) = text.split_once('|').unwrap_or((text, ""));
    let _ = read_casa(("m", model), Some(("c", rules)));
    let Ok(model) = read_pict("m", text) else { return };
    let _ = read_pict_rows("r", text, &model);
    let values: usize = model.parameters().iter().map(|p| p.values().len()).sum();
    if values <= 30 && model.constraints().len() <= 10 {
        if let Ok(array) = Generator::new(&model).iterations(1_000).generate() {
            if let Ok(coverage) = verify(&model, array.strength, &array.rows) {
                assert!(coverage.is_complete(), "{coverage}");
            }
        }
    }
});
