//! The agreements that ship as examples.

use std::path::Path;

use hospitium_model::{Agreement, Owner, read_agreement};

fn shipped(name: &str) -> Agreement {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agreements").join(name);
    let text = std::fs::read_to_string(&path).expect("ships");
    match read_agreement(name, &text) {
        Ok(deal) => deal,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_deal_of_2009_is_complete() {
    let deal = shipped("redhat-microsoft-2009.toml");
    assert_eq!(deal.made.to_string(), "2009-02-16");
    let pairs: usize = deal.clauses.iter().map(|c| c.guests.len() * c.hosts.len()).sum();
    assert_eq!(pairs, 3 * 3 + 2 * 2, "both directions");
    let parties: Vec<&str> = deal.clauses.iter().map(|c| c.party.as_str()).collect();
    assert_eq!(parties, ["redhat.com", "microsoft.com"], "each owes the other's guests");
    assert!(deal.clauses.iter().all(|c| c.later.is_some()), "later versions come in");
    assert_eq!(deal.support.expect("support was agreed").owner, Owner::FirstCalled);
    assert!(deal.exclusions.iter().any(|e| e.what.contains("patents")));
    assert!(!deal.validation.emulation, "a run under emulation fulfils nothing in it");
}

#[test]
fn the_deal_for_this_machine_is_read() {
    let deal = shipped("debian-qemu.toml");
    assert!(
        deal.validation.emulation,
        "it can be fulfilled where there is no hardware virtualization"
    );
    assert_eq!(deal.clauses.len(), 2, "both directions");
}
