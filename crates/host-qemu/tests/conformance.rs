//! The promises that every driver makes, on the installed QEMU.

mod common;

use common::{Lab, options, qemu};
use hospitium_host::conformance::{self, Outcome};
use hospitium_host::{Host, Isolation};
use hospitium_host_qemu::Qemu;

async fn kept(host: &dyn Host, lab: &Lab) -> Vec<String> {
    let promises = conformance::all(host, lab.path()).await;
    let not_held = promises.iter().filter(|promise| promise.outcome != Outcome::Held);
    not_held.map(ToString::to_string).collect()
}

#[tokio::test]
async fn qemu_keeps_every_promise() {
    assert_eq!(kept(&qemu().await, &Lab::new()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_qemu_that_reverts_keeps_every_promise() {
    let mut options = options();
    options.isolation = Isolation::Revert;
    let host = Qemu::open(options).await.expect("opened");
    assert_eq!(kept(&host, &Lab::new()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_host_that_only_boots_anew_refuses_to_go_on_from_a_saved_machine_and_says_why() {
    let mut options = options();
    options.isolation = Isolation::Reboot;
    let host = Qemu::open(options).await.expect("opened");
    let lab = Lab::new();
    let lab = conformance::Lab { host: &host, folder: lab.path().to_owned() };
    let promises = conformance::saving(&lab).await;
    assert!(matches!(&promises[..], [one] if matches!(one.outcome, Outcome::Refused(_))));
}
