//! Promises of parties and their keys.

use super::*;

#[test]
fn a_party_opens_again_and_its_secrets_are_its_owners_alone() {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("vendor");
    let made = Party::init(&folder, "vendor.example", Algorithm::Ed25519).expect("made");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(&folder.join("secret")), 0o700);
    for key in ["record", "log", "witness"] {
        assert_eq!(mode(&folder.join("secret").join(format!("{key}.pem"))), 0o600);
    }
    let opened = Party::open(&folder).expect("opens");
    assert_eq!(opened.public, made.public);
    assert_eq!(opened.public.log.name(), "vendor.example/log");
    assert_eq!(PublicParty::read(&folder).expect("reads"), made.public);
}

#[test]
fn keys_are_never_overwritten() {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("vendor");
    Party::init(&folder, "vendor.example", Algorithm::Ed25519).expect("made");
    let again = Party::init(&folder, "vendor.example", Algorithm::Ed25519);
    assert!(matches!(again, Err(PartyError::Exists { .. })));
}

#[test]
fn a_party_that_could_not_be_written_leaves_nothing_so_that_it_can_be_made_again() {
    let top = tempfile::tempdir().expect("a folder");
    // Its folders can be made, and its files cannot: their paths are longer than the system's 4,095 bytes.
    let mut folder = top.path().to_owned();
    while folder.as_os_str().len() < 4085 {
        let left = 4085 - folder.as_os_str().len() - 1;
        let next = if left > 250 { 200 } else { left };
        folder.push("d".repeat(next));
    }
    let above = folder.parent().expect("has one").to_owned();
    fs::create_dir_all(&above).expect("made");
    let made = Party::init(&folder, "vendor.example", Algorithm::Ed25519);
    assert!(matches!(made, Err(PartyError::File(_))), "{made:?}");
    assert_eq!(fs::read_dir(&above).expect("lists").count(), 0, "something stayed");
}

#[test]
fn keys_that_others_can_reach_or_that_were_swapped_are_refused() {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("vendor");
    Party::init(&folder, "vendor.example", Algorithm::EcdsaP256).expect("made");
    let secret = folder.join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o750)).expect("set");
    assert!(matches!(Party::open(&folder), Err(PartyError::Open { .. })));
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).expect("set");
    let log = secret.join("log.pem");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(matches!(Party::open(&folder), Err(PartyError::File(FileError::Exposed { .. }))));
    fs::rename(secret.join("witness.pem"), &log).expect("moved");
    assert!(matches!(Party::open(&folder), Err(PartyError::Mismatch { which: "log", .. })));
}

#[test]
fn what_is_no_domain_names_no_party() {
    for bad in ["", "vendor", "Vendor.example", "a..b", "-a.b", "a.b/", "a b.c", "ä.example"] {
        assert!(check_name(bad).is_err(), "{bad:?}");
    }
    check_name("a-1.vendor.example").expect("good");
}

#[test]
fn a_longer_name_with_the_same_start_is_another_party() {
    assert!(belongs_to("vendor.example/log", "vendor.example"));
    assert!(!belongs_to("vendor.example.evil.test/log", "vendor.example"));
    assert!(!belongs_to("vendor.example", "vendor.example/log"));
}
