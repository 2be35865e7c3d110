//! The promises that every driver makes, on a libvirt daemon of the test's own.

mod common;

use common::Lab;
use hospitium_host::conformance::{self, Outcome};

#[tokio::test]
async fn libvirt_keeps_every_promise_but_those_that_it_refuses_with_a_reason() {
    let lab = Lab::new().await;
    let promises = conformance::all(&lab.host, lab.path()).await;
    let not_held = promises.iter().filter(|promise| promise.outcome != Outcome::Held);
    let not_held: Vec<String> = not_held.map(ToString::to_string).collect();
    assert_eq!(not_held, Vec::<String>::new());
}
