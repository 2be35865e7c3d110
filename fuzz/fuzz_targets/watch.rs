//! A feed, a suite's list or a package index: any bytes are read or refused, and what was read makes
//! an overlay that reads back.
#![no_main]

use std::sync::LazyLock;

use hospitium_products::{Builder, Definitions};
use hospitium_watch::{State, read_feed, read_list, read_packages, write_overlay};
use libfuzzer_sys::fuzz_target;

static BUILDER: LazyLock<Builder> =
    LazyLock::new(|| Builder::with_built_in().expect("what is built in is sound"));

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = read_list("list", &text);
    if let Ok(packages) = read_packages("index", bytes) {
        packages.iter().for_each(|package| assert!(package.upstream().is_ascii()));
    }
    let here = BUILDER.clone().finish().expect("what is built in is sound");
    let Ok(found) = read_feed("feed", &text, &here) else { return };
    if found.releases.is_empty() {
        return;
    }
    let mut state = State::default();
    for release in &found.releases {
        state.learn("feed", release, jiff::civil::date(2026, 1, 1));
    }
    let overlay = write_overlay(&state, &here);
    let mut builder = BUILDER.clone();
    builder.add_definitions(Definitions::read("overlay", &overlay).expect("reads back"));
    let products = builder.finish().expect("is sound");
    for release in found.releases.iter().filter(|release| release.build.is_none()) {
        assert!(products.get(&release.product).is_some(), "{}", release.product);
    }
});
