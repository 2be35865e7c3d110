//! osinfo-db's XML: what is read, inherited, taken away, and refused.

use std::sync::Arc;

use hospitium_model::Firmware;
use hospitium_products::osinfo::Osinfo;
use hospitium_products::{Arch, Builder, FactValue, Products, ProductsError, Property, Sources};

fn source() -> Arc<str> {
    "osinfo-db 20990101".into()
}

fn read(inner: &str) -> Result<Osinfo, String> {
    let text =
        format!("<?xml version=\"1.0\"?>\n<libosinfo version=\"0.0.1\">\n{inner}\n</libosinfo>");
    let mut osinfo = Osinfo::default();
    osinfo.add("os/a.xml", &text, &source()).map_err(|error| error.to_string())?;
    Ok(osinfo)
}

fn products(inner: &str) -> Products {
    let mut builder = Builder::empty();
    builder.add_osinfo(read(inner).expect("reads"));
    builder.finish().expect("no definitions")
}

const FAMILY: &str = r#"
  <device id="http://p.org/pci/1/1"><name>disk</name><class>block</class></device>
  <os id="http://a.org/a/1">
    <short-id>a1</short-id><name>A 1</name><name xml:lang="de">A eins</name>
    <version>1</version><family>linux</family><distro>a</distro>
    <release-date>2009-01-20</release-date><eol-date>2020-03-31</eol-date>
    <devices><device id="http://p.org/pci/1/1"/><device id="http://p.org/pci/2/2"/></devices>
    <firmware arch="x86_64" type="bios" supported="false"/>
    <firmware arch="x86_64" type="efi"/>
    <resources arch="all"><minimum><ram>536870912</ram></minimum></resources>
    <resources arch="x86_64"><minimum><n-cpus>2</n-cpus></minimum></resources>
  </os>
  <os id="http://a.org/a/2">
    <short-id>a2</short-id><name>A 2</name><version>2</version><family>linux</family><distro>a</distro>
    <derives-from id="http://a.org/a/1"/><upgrades id="http://a.org/a/1"/>
    <devices><device id="http://p.org/pci/2/2" supported="false"/></devices>
    <resources arch="all" inherit="true"/>
  </os>
  <os id="http://b.org/b/2"><short-id>b2</short-id><name>B 2</name><clones id="http://a.org/a/2"/></os>
  <os id="http://c.org/c/1"><short-id>c1</short-id><name>C</name>
    <derives-from id="http://b.org/b/2"/>
    <devices><device id="http://p.org/pci/2/2" supported="true"/></devices>
    <driver arch="x86_64" location="http://d"><devices><device id="http://p.org/pci/3/3"/></devices></driver>
  </os>
"#;

fn devices(products: &Products, short: &str) -> Vec<String> {
    let product = products.resolve(short).expect("known");
    let support = products.devices_of(product, &Arch::x86_64());
    support
        .iter()
        .map(|s| format!("{}{}", &s.device.as_str()[17..], if s.with_drivers { "+" } else { "" }))
        .collect()
}

#[test]
fn devices_are_inherited_through_derives_from_and_clones() {
    let products = products(FAMILY);
    assert_eq!(devices(&products, "a1"), ["1/1", "2/2"]);
    assert_eq!(devices(&products, "b2"), ["1/1"]);
}

#[test]
fn what_is_not_supported_is_taken_away_from_it_and_what_derives_from_it_until_said_again() {
    let products = products(FAMILY);
    assert_eq!(devices(&products, "a2"), ["1/1"]);
    assert_eq!(devices(&products, "c1"), ["1/1", "2/2", "3/3+"]);
}

#[test]
fn each_fact_names_its_file_and_line() {
    let products = products(FAMILY);
    let a = products.resolve("a1").expect("a1");
    let end = a.end_of_life().expect("an end");
    assert_eq!(end.value, FactValue::Date("2020-03-31".parse().expect("a day")));
    assert_eq!(end.source.to_string(), "osinfo-db 20990101 (os/a.xml:8)");
    assert_eq!(a.said(Property::Name).len(), 1, "translations are left out");
    let cpus = a.best_for(Property::MinimumCpus, &Arch::x86_64()).expect("CPUs");
    assert_eq!(cpus.value, FactValue::Count(2));
    assert!(a.best_for(Property::MinimumCpus, &Arch::i686()).is_none());
    assert!(a.best_for(Property::MinimumMemory, &Arch::i686()).is_some());
}

#[test]
fn limits_are_inherited_where_the_entry_says_so_and_the_note_says_from_whom() {
    let products = products(FAMILY);
    let a2 = products.resolve("a2").expect("a2");
    let memory = a2.best(Property::MinimumMemory).expect("inherited");
    assert_eq!(memory.note.as_deref(), Some("said of A 1"));
    assert!(a2.best(Property::EndOfLife).is_none(), "days are not inherited");
}

#[test]
fn firmware_is_inherited_like_devices() {
    let products = products(FAMILY);
    let c = products.resolve("c1").expect("c1");
    let bios = products.firmware_of(c, Firmware::Bios, &Arch::x86_64()).expect("said");
    assert!(!bios.supported);
    assert!(products.firmware_of(c, Firmware::Bios, &Arch::i686()).is_none());
}

#[test]
fn products_that_derive_from_each_other_in_a_circle_do_not_hang() {
    let products = products(
        r#"<os id="http://a.org/1"><short-id>x1</short-id><name>X</name><derives-from id="http://a.org/2"/>
           <resources arch="all" inherit="true"/></os>
           <os id="http://a.org/2"><short-id>y2</short-id><name>Y</name><derives-from id="http://a.org/1"/>
           <devices><device id="http://p.org/pci/1/1"/></devices><resources arch="all" inherit="true"/></os>"#,
    );
    assert_eq!(devices(&products, "x1"), ["1/1"]);
}

#[test]
fn deployments_are_read() {
    let osinfo = read(
        r#"<deployment id="http://d.org/1"><os id="http://a.org/a/1"/><platform id="http://q.org/q/1"/>
           <devices><device id="http://p.org/pci/1/1"><driver>virtio</driver></device></devices></deployment>"#,
    )
    .expect("reads");
    let deployment = &osinfo.deployments[0];
    assert_eq!(deployment.guest.as_str(), "http://a.org/a/1");
    assert_eq!(deployment.devices[0].1.as_deref(), Some("virtio"));
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let cases = [
        ("<os><name>x</name></os>", "a.xml:3: <os> has no id"),
        ("<os id=\"not a uri\"/>", "a.xml:3: \"not a uri\" is not an id"),
        ("<os id=\"http://a/1\"><release-date>soon</release-date></os>", "\"soon\" is not a day"),
        (
            "<os id=\"http://a/1\"><devices><device id=\"http://d/1\" supported=\"maybe\"/></devices></os>",
            "neither true nor false",
        ),
        (
            "<os id=\"http://a/1\"><resources arch=\"all\"><minimum><ram>lots</ram></minimum></resources></os>",
            "\"lots\" is not a whole number",
        ),
        ("<deployment id=\"http://d/1\"/>", "the deployment has no <os>"),
        ("<os id=\"http://a/1\">", "no XML"),
    ];
    for (text, words) in cases {
        let error = read(text).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
        assert!(error.starts_with("os/a.xml:"), "{error}");
    }
    let mut osinfo = Osinfo::default();
    let error = osinfo.add("b.xml", "<html/>", &source()).expect_err("another root");
    assert!(error.to_string().contains("the root is <html>"), "{error}");
}

#[test]
fn a_hostile_name_stays_text_without_commands() {
    let products = products(
        "<os id=\"http://a.org/1\"><short-id>evil</short-id><name>&lt;script&gt;\u{202e}x&#27;</name></os>",
    );
    let name = &products.resolve("evil").expect("known").name;
    assert_eq!(name, "<script>·x·");
}

#[test]
fn a_folder_without_osinfo_and_a_file_that_is_too_large_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |folder: &std::path::Path| {
        let osinfo = Some(folder.to_owned());
        Products::load(&Sources { osinfo, ..Sources::default() })
    };
    let error = load(folder.path()).expect_err("empty").to_string();
    assert!(error.contains("holds no osinfo-db files"), "{error}");
    let os = folder.path().join("os");
    std::fs::create_dir(&os).expect("made");
    let file = std::fs::File::create(os.join("huge.xml")).expect("made");
    file.set_len(1 << 30).expect("sparse");
    assert!(matches!(load(folder.path()), Err(ProductsError::TooLarge { .. })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 256, ..Default::default() })]
    #[test]
    fn damaged_files_are_read_or_refused_and_what_is_read_can_be_asked_everything(
        cuts in proptest::collection::vec((0_usize..2200, 0_usize..40, "[<>/\"&;a-z0-9\\-]{0,4}"), 1..4),
    ) {
        let mut text = format!("<libosinfo version=\"0.0.1\">{FAMILY}</libosinfo>").into_bytes();
        for (at, length, instead) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, instead.into_bytes());
        }
        let text = String::from_utf8_lossy(&text);
        let mut osinfo = Osinfo::default();
        if osinfo.add("os/a.xml", &text, &source()).is_ok() {
            let mut builder = Builder::with_built_in().expect("sound");
            builder.add_osinfo(osinfo);
            let products = builder.finish().expect("sound");
            let host = products.resolve("qemu 7.2").expect("built in");
            for product in products.iter() {
                let _ = (product.conflicts(), product.ends(), products.after(product));
                if let Ok(resolved) = products.machine(product, host, &Arch::x86_64()) {
                    resolved.machine.check().expect("a machine that can be");
                }
            }
        }
    }
}
