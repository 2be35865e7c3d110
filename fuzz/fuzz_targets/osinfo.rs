//! osinfo-db's XML: any text is read or refused, and what was read can be asked everything.
#![no_main]

use hospitium_products::osinfo::Osinfo;
use hospitium_products::{Arch, Builder, ProductKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut osinfo = Osinfo::default();
    if osinfo.add("os/fuzz.xml", text, &"osinfo-db".into()).is_err() {
        return;
    }
    let mut builder = Builder::empty();
    builder.add_osinfo(osinfo);
    let Ok(products) = builder.finish() else { return };
    let arch = Arch::x86_64();
    for product in products.iter() {
        let _ = (product.conflicts(), product.ends(), products.after(product));
        let _ = products.devices_of(product, &arch);
        let _ = products.search(&product.name);
        for host in products.iter().filter(|host| host.kind == ProductKind::Host) {
            if let Ok(resolved) = products.machine(product, host, &arch) {
                resolved.machine.check().expect("a machine that can be");
            }
        }
    }
});
