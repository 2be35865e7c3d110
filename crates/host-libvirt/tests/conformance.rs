//! The promises that every driver makes, on a libvirt daemon of the test's own.

mod common;

use common::Lab;
use hospitium_host::Host as _;
use hospitium_host::conformance::{self, Outcome};
use hospitium_model::{Answer, Capability};

#[tokio::test]
async fn libvirt_keeps_every_promise_but_those_that_it_refuses_with_a_reason() {
    let lab = Lab::new().await;
    let promises = conformance::all(&lab.host, lab.path()).await;
    let not_held = promises.iter().filter(|promise| promise.outcome != Outcome::Held);
    let not_held: Vec<String> = not_held.map(ToString::to_string).collect();
    // What is refused, and why, word for word: a refusal that nobody expected is a fault too.
    let refused = [
        "clones are new generations, and a machine that goes on is none: refused, the host cannot: libvirt gives \
         every machine that goes on from a file a new VM generation id",
        "a running machine moves and goes on: refused, the host cannot: libvirt moves machines from one daemon to \
         another; one daemon is driven here",
    ];
    let mut refused = refused.map(str::to_owned).to_vec();
    if let Answer::No(why) = lab.host.offers(Capability::Tpm) {
        let what = "a machine has a TPM if it is to have one, and else none";
        refused.push(format!("{what}: refused, the host cannot: {why}"));
    }
    assert_eq!(not_held, refused);
}
