//! A record that contradicts the products known here: the answer says so, and is limited.

use hospitium_model::standing::Word;

use super::*;

#[tokio::test]
async fn a_name_of_another_product_than_the_id_is_a_limit() {
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!((answer.verdict, answer.limits.len()), (Word::Validated, 0), "{answer:#?}");
    let mut world = World::new(&["b.example"]);
    // A hypervisor's product in the guest's place has no name of its own here: only what is surely another is told.
    let unknown = Sample::new("b.example", ("Osa of ours", OSA.1), VMMO, at("2022-03-01"));
    world.say("b.example", &[statement(&unknown)]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
    let other = Sample::new("b.example", ("Osb 7", OSA.1), VMMO, at("2022-03-02"));
    world.say("b.example", &[statement(&other)]);
    let catalog = world.catalog().await;
    let more = r#"
line = [{ name = "osb", title = "Osb", ids = ["http://a.example/osb/"] }]
[[product]]
id = "http://a.example/osb/7"
source = "A"
name = "Osb 7"
short-ids = ["osb7"]
line = "osb"
release = "7"
[[product]]
id = "http://a.example/osa/5.2"
source = "A"
facts = [{ what = "end-of-life", value = 2022-12-31 }]
"#;
    let mut builder = hospitium_products::Builder::empty();
    builder.add_definitions(Definitions::read("products", PRODUCTS).expect("reads"));
    builder.add_definitions(Definitions::read("more", more).expect("reads"));
    let products = builder.finish().expect("finishes");
    let reply = catalog.ask(QUESTION, &products, &[], DAY).await.expect("answers");
    let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    let has = |words: &str| answer.limits.iter().any(|limit| limit.contains(words));
    assert!(
        has("has the id of Osa 5.2 and names it \"Osb 7\", which is Osb 7"),
        "{:?}",
        answer.limits
    );
    assert!(has("Osa 5.2's life ends on 2022-12-31"), "{:?}", answer.limits);
}
