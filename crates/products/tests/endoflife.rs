//! endoflife.date's forms: what is read, whose it is, and what is refused.

use std::io::{Read, Write};

use hospitium_products::endoflife::read;
use hospitium_products::{
    Builder, FactValue, LinkKind, Products, ProductsError, Property, read_endoflife,
};

const RHEL: &str = "\
title: Red Hat Enterprise Linux
releases:
  - releaseCycle: \"5\"
    releaseDate: 2007-03-15
    eoas: 2013-01-08
    eol: 2017-03-31
    eoes: 2020-11-30
    lts: true
    latest: 5.10
    latestReleaseDate: 2013-10-01
    link: null
  - releaseCycle: \"11\"
    releaseDate: 2030-05-20
    eol: false
";

const API: &str = r#"[{"cycle":"5","releaseDate":"2007-03-15","support":"2013-01-08","eol":"2017-03-31",
  "extendedSupport":"2020-11-30","lts":true,"latest":"5.10","latestReleaseDate":"2013-10-01","link":null},
  {"cycle":"11","releaseDate":"2030-05-20","eol":false}]"#;

const API_V1: &str = r#"{"schema_version":"1.2.0","result":{"name":"rhel","label":"Red Hat Enterprise Linux",
  "releases":[{"name":"5","label":"5","releaseDate":"2007-03-15","isLts":true,"ltsFrom":null,"eoasFrom":"2013-01-08",
  "isEol":true,"eolFrom":"2017-03-31","eoesFrom":"2020-11-30","latest":{"name":"5.10","date":"2013-10-01","link":null}},
  {"name":"11","label":"11","releaseDate":"2030-05-20","eolFrom":null}]}}"#;

const MINORS: &str = r#"
[[line]]
name = "rhel"
title = "Red Hat Enterprise Linux"
ids = ["http://redhat.com/rhel/"]
endoflife = "rhel"
cycles = "major"
[[product]]
id = "http://redhat.com/rhel/5.0"
source = "s"
name = "RHEL 5.0"
release = "5.0"
[[product]]
id = "http://redhat.com/rhel/5.3"
source = "s"
name = "RHEL 5.3"
release = "5.3"
facts = [{ what = "end-of-life", value = 2020-03-31 }]
[[product]]
id = "http://redhat.com/rhel/5.10"
source = "s"
name = "RHEL 5.10"
release = "5.10"
"#;

fn with(file: &str, text: &str) -> Products {
    let mut builder = Builder::empty();
    builder
        .add_definitions(hospitium_products::Definitions::read("d.toml", MINORS).expect("reads"));
    builder.add_endoflife(read(file, text).expect("reads"));
    builder.finish().expect("sound")
}

fn day(text: &str) -> FactValue {
    FactValue::Date(text.parse().expect("a day"))
}

#[test]
fn all_three_forms_say_the_same() {
    let said = |file, text| {
        let products = with(file, text);
        let rhel = products.resolve("RHEL 5.3").expect("5.3");
        rhel.ends().iter().map(|f| (f.property, f.value.clone())).collect::<Vec<_>>()
    };
    let yaml = said("rhel.yaml", RHEL);
    assert_eq!(yaml.len(), 4);
    assert_eq!(said("rhel.json", API), yaml);
    assert_eq!(said("https://x.org/api/v1/products/rhel.json", API_V1), yaml);
}

#[test]
fn the_days_of_a_major_go_to_its_minors_with_a_note_and_its_release_to_the_first() {
    let products = with("rhel.yaml", RHEL);
    let get = |release: &str| products.resolve(&format!("RHEL {release}")).expect("known");
    let rhel = get("5.3");
    assert!(rhel.best(Property::ReleaseDate).is_none(), "5.3 was not released with 5.0");
    assert_eq!(get("5.0").best(Property::ReleaseDate).map(|f| &f.value), Some(&day("2007-03-15")));
    assert_eq!(get("5.10").best(Property::ReleaseDate).map(|f| &f.value), Some(&day("2013-10-01")));
    let conflicts = rhel.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].property, Property::EndOfLife);
    let values: Vec<_> = conflicts[0].facts.iter().map(|f| f.value.clone()).collect();
    assert_eq!(values, [day("2020-03-31"), day("2017-03-31")]);
    let note = conflicts[0].facts[1].note.as_deref().unwrap_or_default();
    assert!(note.starts_with("said of all of Red Hat Enterprise Linux 5"), "{note}");
    assert!(conflicts[0].facts[1].source.to_string().contains("rhel.yaml:3"));
}

#[test]
fn a_cycle_that_no_product_fits_becomes_one_whose_devices_are_assumed() {
    let products = with("rhel.json", API);
    let new = products.resolve("rhel 11").expect("made");
    assert_eq!(new.id.as_str(), "http://redhat.com/rhel/11");
    assert_eq!(new.best(Property::EndOfLife).map(|f| &f.value), Some(&FactValue::Flag(false)));
    let link = new.links.iter().find(|l| l.kind == LinkKind::DerivesFrom).expect("a predecessor");
    assert_eq!(link.to.as_str(), "http://redhat.com/rhel/5.10");
    assert!(link.source.document.contains("assumed"));
}

#[test]
fn a_branch_beside_its_first_release_is_about_all_of_it() {
    let cycles = r#"[{"cycle":"14","eol":"2028-11-30"},{"cycle":"14.1","eol":"2025-03-31"},
        {"cycle":"14.0","eol":"2024-09-30"}]"#;
    let mut builder = Builder::with_built_in().expect("sound");
    builder.add_endoflife(read("freebsd.json", cycles).expect("reads"));
    let products = builder.finish().expect("sound");
    // No product is the branch itself.
    let freebsd = products.line("freebsd");
    assert!(freebsd.iter().all(|p| p.release.as_str().contains('.')), "{freebsd:?}");
    let first = products.resolve("freebsd 14.0").expect("known");
    let notes: Vec<_> = first.ends().iter().filter_map(|fact| fact.note.clone()).collect();
    assert!(notes.iter().any(|note| note.contains("all of FreeBSD 14")), "{notes:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = |file: &str, text: &str| read(file, text).expect_err(text).to_string();
    let soon = wrong("a.yaml", "releases:\n  - releaseCycle: \"5\"\n    eol: soon\n");
    assert!(soon.starts_with("a.yaml:2") && soon.contains("\"soon\""), "{soon}");
    let broken = wrong("a.yaml", "releases:\n  - [");
    assert!(broken.starts_with("a.yaml:"), "{broken}");
    let comma = wrong("a.json", "[{\"cycle\":\"5\"},\n ,]");
    assert!(comma.starts_with("a.json:2:") && comma.contains('^'), "{comma}");
    assert!(wrong("a.json", "[{\"eol\":true}]").contains("cycle"));
    assert!(wrong("a.json", "[{\"cycle\":\"\"}]").contains("without a name"));
    assert!(wrong("a.json", "{}").contains("a.json"));
}

#[test]
fn aliases_anchors_and_depth_without_end_are_refused() {
    let bomb = "a: &a [x, x]\nreleases: [*a, *a]\n";
    assert!(read("a.yaml", bomb).is_err());
    assert!(read("a.yaml", &format!("releases: {}", "[".repeat(100_000))).is_err());
    assert!(read("a.json", &"[".repeat(100_000)).is_err());
}

#[test]
fn a_folder_a_file_and_an_address_of_a_file_are_read_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rhel.json");
    std::fs::write(&file, API).expect("written");
    let path = folder.path().to_string_lossy().into_owned();
    for place in [path.clone(), format!("file://{path}"), format!("{path}/rhel.json")] {
        let found = read_endoflife(&place).expect("read");
        assert_eq!((found.len(), found[0].name.as_str(), found[0].cycles.len()), (1, "rhel", 2));
    }
    let refused = |place: &str| read_endoflife(place).expect_err(place);
    assert!(matches!(refused("ftp://x/y"), ProductsError::Address { .. }));
    assert!(matches!(refused("/no/such/folder"), ProductsError::Read { .. }));
    std::fs::remove_file(&file).expect("removed");
    assert!(matches!(refused(&path), ProductsError::Nothing { .. }));
}

/// A server that answers a few requests by their paths.
fn serve(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0_u8; 2048];
            let n = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..n]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = answers.iter().find(|(at, _)| *at == path);
            let (status, body) = match found {
                Some((_, body)) => ("200 OK", *body),
                None => ("404 Not Found", ""),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn an_api_is_read_from_its_address_and_names_that_lead_elsewhere_are_left_out() {
    let root = serve(&[
        ("/api/all.json", r#"["rhel","../../secret","a/b",""]"#),
        ("/api/rhel.json", API),
        ("/bad/all.json", "<html>"),
    ]);
    let found = read_endoflife(&format!("{root}/api/")).expect("fetched");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cycles.len(), 2);
    let one = read_endoflife(&format!("{root}/api/rhel.json")).expect("fetched");
    assert_eq!(one[0].name, "rhel");
    let error = |path: &str| read_endoflife(&format!("{root}{path}")).expect_err(path).to_string();
    assert!(error("/bad").contains("no list of names"));
    assert!(error("/none/rhel.json").contains("404"));
}

proptest::proptest! {
    #[test]
    fn damaged_files_are_read_or_refused(
        cuts in proptest::collection::vec((0_usize..500, 0_usize..20, "[\\[\\]{}:\"&*,a-z0-9 \n\\-]{0,4}"), 1..4),
    ) {
        for (file, whole) in [("rhel.yaml", RHEL), ("rhel.json", API), ("rhel.json", API_V1)] {
            let mut text = whole.as_bytes().to_vec();
            for (at, length, instead) in &cuts {
                let at = (*at).min(text.len());
                let end = (at + length).min(text.len());
                text.splice(at..end, instead.bytes());
            }
            match read(file, &String::from_utf8_lossy(&text)) {
                Ok(product) => proptest::prop_assert!(product.cycles.len() < 100),
                Err(error) => proptest::prop_assert!(error.to_string().starts_with("rhel.")),
            }
        }
    }
}
