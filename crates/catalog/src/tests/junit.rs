//! The export for continuous-integration servers.

use hospitium_ledger::Statement;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::Desk;

/// A name of each kind that XML has to be kept from.
const HOSTILE: &str = "]]><testcase name=\"x\"/>&'\u{1b}\u{0}\u{fffe}\u{ffff}\u{202e}";

async fn export(world: &World, agreements: &[Agreement], as_of: Date) -> String {
    let (catalog, products) = (world.catalog().await, products());
    let desk = Desk::new(&catalog, &products, agreements, as_of).await.expect("is ready");
    let mut out = Vec::new();
    desk.export_junit(&mut out).await.expect("written");
    String::from_utf8(out).expect("is text")
}

/// The elements of a document that is well-formed, each with its attributes as they are meant.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let legal =
        |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    assert!(xml.chars().all(legal), "{xml:?}");
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut elements, mut depth) = (Vec::new(), 0);
    loop {
        let event = reader.read_event().expect("is well-formed");
        let element = match &event {
            Event::Start(element) => {
                depth += 1;
                element
            }
            Event::Empty(element) => element,
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let attributes = element.attributes().map(|attribute| {
            let attribute = attribute.expect("is well-formed");
            let value = quick_xml::escape::unescape(&attribute.value).expect("ends").into();
            (attribute.key.as_ref().to_owned(), value)
        });
        elements.push((element.name().as_ref().to_owned(), attributes.collect()));
    }
    assert_eq!(depth, 0, "{xml}");
    elements
}

fn of<'e>(elements: &'e [(String, Vec<(String, String)>)], tag: &str, key: &str) -> Vec<&'e str> {
    let of_tag = elements.iter().filter(|(name, _)| name == tag).flat_map(|(_, all)| all);
    of_tag.filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn each_agreement_and_party_is_a_suite_and_each_case_says_its_word_and_rule() {
    let mut world = World::new(&["a.example", "b.example"]);
    let bad = Sample { passed: false, ..Sample::new("b.example", OSA, VMMO_2, at("2022-05-01")) };
    let said = [sample("2022-05-01"), sample("2022-04-01"), bad];
    world.say("b.example", &said.map(|sample| statement(&sample)));
    let taken_back = Sample::new("a.example", OSA_510, VMMO_2, at("2022-03-01"));
    let record = world.say("a.example", &[statement(&taken_back)])[0];
    let back = Statement::withdrawal("a.example", at("2022-04-01"), record, "a wrong disk");
    world.say("a.example", &[back]);
    let xml = elements(&export(&world, &[deal()], DAY).await);
    assert_eq!(of(&xml, "testsuite", "name"), ["The deal (deal)", "a.example", "b.example"]);
    assert_eq!(of(&xml, "testsuite", "tests"), ["1", "1", "2"]);
    assert_eq!(of(&xml, "testsuites", "tests"), ["4"]);
    assert_eq!(of(&xml, "testsuites", "failures"), ["1"]);
    assert_eq!(of(&xml, "testsuites", "skipped"), ["1"]);
    let messages = of(&xml, "failure", "message");
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].contains("a required check failed (2022-05-01, b.example/log entry")
            && messages[0].contains("cpu.count/v0")
    );
    assert!(of(&xml, "skipped", "message")[0].contains(" was withdrawn on "));
    // The same a year later: what held is over, and the agreement's own word is said.
    let xml = elements(&export(&world, &[deal()], jiff::civil::date(2023, 6, 1)).await);
    let messages = of(&xml, "failure", "message");
    assert!(
        messages[0].starts_with("lapsed, since 2022-11-01; b.example owes it."),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .any(|words| words.contains("by its own rule until 2023-05-01: 12 months after"))
    );
    // And before anything was delivered.
    let xml = elements(&export(&world, &[deal()], jiff::civil::date(2022, 2, 1)).await);
    assert_eq!(of(&xml, "testsuites", "tests"), ["1"]);
    assert!(of(&xml, "skipped", "message")[0].starts_with("due, by 2022-07-01"), "{xml:?}");
}

#[tokio::test]
async fn hostile_names_are_text_in_a_document_that_stays_well_formed() {
    let mut world = World::new(&["b.example"]);
    let passed = Sample::new("b.example", (HOSTILE, ""), VMMO, at("2022-03-01"));
    let failed =
        Sample { passed: false, ..Sample::new("b.example", OSA, (HOSTILE, ""), at("2022-03-01")) };
    world.say("b.example", &[statement(&passed), statement(&failed)]);
    let unknown = Agreement { title: HOSTILE.to_owned(), ..deal() };
    let xml = elements(&export(&world, &[unknown], DAY).await);
    let shown = "]]><testcase name=\"x\"/>&'";
    let names = of(&xml, "testcase", "name");
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains(shown)).count(), 2, "{names:?}");
    assert!(of(&xml, "testsuite", "name")[0].starts_with(shown));
}

#[tokio::test]
async fn what_an_agreement_names_and_nobody_knows_is_an_error() {
    let world = World::new(&["b.example"]);
    let unknown =
        DEAL.replace("guests = [\"osa5.2\"]", "guests = [\"osa5.2\", \"nothing-like-it\"]");
    let unknown = read_agreement("deal", &unknown).expect("reads");
    let xml = elements(&export(&world, &[unknown], DAY).await);
    let errors = of(&xml, "error", "message");
    assert!(errors.len() == 1 && errors[0].contains("nothing-like-it"), "{xml:?}");
}
