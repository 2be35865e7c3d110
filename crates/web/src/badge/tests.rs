//! What badges promise: the answer's word, well-formed pictures, hostile names as text, no script.

use axum::http::StatusCode;

use hospitium_model::Digest;

use super::{Badge, GOOD};
use crate::sample::{HOSTILE, world, world_of_bytes};

/// Fails unless it is well-formed; gives the names of its elements.
fn elements(svg: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let mut names = Vec::new();
    loop {
        match reader.read_event().expect("is well-formed") {
            quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start) => {
                for attribute in start.attributes() {
                    let attribute = attribute.expect("is well-formed");
                    assert!(!attribute.key.as_ref().starts_with("on"), "{svg}");
                }
                names.push(start.name().as_ref().to_owned());
            }
            quick_xml::events::Event::Eof => return names,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_badge_says_what_the_catalog_answers() {
    let world = world().await;
    for (address, words) in [
        // The agreement's own rule, six months, not the certificate's twelve.
        ("/badges/pairs/osa5.2/vmmo1.svg", "Osa 5.2 on Vmmo 1: validated until 2022-08"),
        ("/badges/pairs/osa5.2/vmmo2.svg", "Osa 5.2 on Vmmo 2: failed"),
        ("/badges/agreements/deal.svg", "The deal: 1 of 2 validated"),
    ] {
        let (status, svg) = world.get(address).await;
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(svg.contains(&format!("<title>{words}")), "{address}: {svg}");
        assert!(elements(&svg).contains(&"title".to_owned()));
    }
    for address in ["/badges/pairs/none/vmmo1.svg", "/badges/agreements/none.svg"] {
        assert_eq!(world.get(address).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_badge_and_pages_of_what_is_not_certain_say_so() {
    use hospitium_ledger::Statement;

    let at = |day: &str| format!("{day}T12:00:00Z").parse().expect("is a time");
    let passed = hospitium_catalog::sample::Sample::new(
        "b.example",
        crate::sample::OSA,
        crate::sample::VMMO,
        at("2022-02-01"),
    );
    let said = [passed.statement().expect("is one")];
    // A withdrawal of a later format than this program reads.
    let later = |records: &[Digest]| {
        let back = Statement::withdrawal("b.example", at("2022-03-01"), records[0], "x");
        let back = String::from_utf8(back.to_bytes().expect("written")).expect("is text");
        vec![back.replace("\"format\":1", "\"format\":9").into_bytes()]
    };
    let folder = tempfile::tempdir().expect("made");
    let world = world_of_bytes(folder, &said, later).await;
    let certificate = format!("/certificates/{}", world.records[0]);
    let record = format!("/api/v1/records/{}", world.records[0]);
    for (address, words) in [
        ("/badges/pairs/osa5.2/vmmo1.svg", "validated until 2022-08, not certain"),
        ("/badges/agreements/deal.svg", "1 of 2 validated, 1 of them not certain"),
        (&certificate, "valid, not certain"),
        (&certificate, "cannot be read here"),
        ("/agreements/deal", "fulfilled, not certain"),
        ("/certificates", "valid, not certain"),
        ("/", "valid, not certain"),
        ("/products/osa5.2", "valid, not certain"),
        ("/api/v1/records", "\"uncertain\":"),
        (&record, "\"uncertain\":"),
        ("/api/v1/agreements/deal/obligations", "\"uncertain\":"),
    ] {
        let (status, text) = world.get(address).await;
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(text.contains(words), "{address}: {words}: {text}");
    }
    let (_, svg) = world.get("/badges/agreements/deal.svg").await;
    assert!(!svg.contains(GOOD), "{svg}");
}

#[test]
fn a_hostile_name_is_text_in_a_badge() {
    for name in [HOSTILE, "]]></title><script>x</script>", "a\u{0}\u{1b}b", &"x".repeat(100_000)] {
        let svg = Badge { label: name.into(), message: name.into(), colour: GOOD }.svg();
        let names = elements(&svg);
        assert!(!names.contains(&"script".to_owned()), "{svg}");
        assert!(svg.len() < 4000);
    }
}
