//! What badges promise: the answer's word, well-formed pictures, hostile names as text, no script.

use axum::http::StatusCode;

use super::{Badge, GOOD};
use crate::sample::{HOSTILE, world};

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

#[test]
fn a_hostile_name_is_text_in_a_badge() {
    for name in [HOSTILE, "]]></title><script>x</script>", "a\u{0}\u{1b}b", &"x".repeat(100_000)] {
        let svg = Badge { label: name.into(), message: name.into(), colour: GOOD }.svg();
        let names = elements(&svg);
        assert!(!names.contains(&"script".to_owned()), "{svg}");
        assert!(svg.len() < 4000);
    }
}
