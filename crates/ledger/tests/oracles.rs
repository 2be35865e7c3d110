//! Tools that share no code with this project verify its real output.
//!
//! They run where `HOSPITIUM_ORACLES` names a Python that has securesystemslib and cryptography
//! (PyPI), `HOSPITIUM_SIGSTORE` a folder of packages with @sigstore/verify and @sigstore/bundle (npm), and
//! `openssl`, `node`, `go` and Debian's `golang-golang-x-mod-dev` are installed. They are ignored
//! otherwise: `cargo test -p hospitium-ledger --test oracles -- --ignored`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Lab, now, passing};
use hospitium_ledger::dsse::{IN_TOTO, pae, sigstore_bundle};
use hospitium_ledger::{Algorithm, Certificate, Checkpoint, VerifierKey, Witness};

const WHY: &str =
    "needs Python with securesystemslib, node with @sigstore/verify, openssl, and Go's x/mod";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(name)
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: {WHY}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{command:?}: {} {}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

fn python() -> Command {
    Command::new(std::env::var_os("HOSPITIUM_ORACLES").expect(WHY))
}

#[test]
#[ignore = "needs Python with securesystemslib; HOSPITIUM_ORACLES names it"]
fn securesystemslib_verifies_records_and_cryptography_cosignatures() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let lab = Lab::new(algorithm);
        let other = lab.other();
        lab.certify(&passing());
        let key = &lab.party.public.log;
        let made = Witness::new(&other).cosign(&lab.folder(), key, now()).expect("cosigned");
        let mut log = lab.log();
        log.add_signatures(&[made.line]).expect("added");
        let path = lab.path("certificate.tlog-proof");
        let certificate = Certificate::of(log.folder(), log.checkpoint(), 0).expect("made");
        certificate.write(&path).expect("written");
        let told = run(python()
            .arg(script("check.py"))
            .arg(lab.path("vendor/record.pub.pem"))
            .arg(&path)
            .arg(other.public.witness.to_string()));
        assert_eq!(told.trim(), "PASSED linux 6.1 cosigned", "{algorithm}");
    }
}

#[test]
#[ignore = "needs node with @sigstore/verify; HOSPITIUM_SIGSTORE names its folder"]
fn sigstores_own_library_verifies_the_bundle() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let lab = Lab::new(algorithm);
        let certificate = lab.certify(&passing());
        let path = lab.path("record.sigstore.json");
        fs::write(&path, sigstore_bundle(certificate.envelope()).expect("made")).expect("written");
        let told = run(Command::new("node")
            .arg(script("check.cjs"))
            .arg(lab.path("vendor/record.pub.pem"))
            .arg(&path)
            .env("NODE_PATH", std::env::var_os("HOSPITIUM_SIGSTORE").expect(WHY)));
        assert_eq!(told.trim(), "PASSED linux 6.1", "{algorithm}");
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_verifies_the_signature_over_the_encoding() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let lab = Lab::new(algorithm);
        let certificate = lab.certify(&passing());
        let envelope = certificate.envelope();
        let (message, signature) = (lab.path("message"), lab.path("signature"));
        fs::write(&message, pae(IN_TOTO, envelope.payload())).expect("written");
        fs::write(&signature, &envelope.signatures()[0].sig).expect("written");
        let verify = || {
            let mut command = Command::new("openssl");
            let pem = lab.path("vendor/record.pub.pem");
            match algorithm {
                Algorithm::Ed25519 => command
                    .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
                    .arg(pem)
                    .arg("-in")
                    .arg(&message)
                    .arg("-sigfile")
                    .arg(&signature),
                Algorithm::EcdsaP256 => command
                    .args(["dgst", "-sha256", "-verify"])
                    .arg(pem)
                    .arg("-signature")
                    .arg(&signature)
                    .arg(&message),
            };
            command
        };
        run(&mut verify());
        fs::write(&message, b"other words").expect("written");
        assert!(!verify().output().expect(WHY).status.success(), "{algorithm}");
        // Our secret key is one that openssl reads.
        let secret = lab.path("vendor/secret/record.pem");
        let public = run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(secret));
        assert_eq!(public, lab.party.record.public().to_pem());
    }
}

#[test]
#[ignore = "needs go and Debian's golang-golang-x-mod-dev"]
fn gos_sumdb_verifies_checkpoints_tiles_and_proofs() {
    let lab = Lab::new(Algorithm::Ed25519);
    lab.certify(&passing());
    let mut heads = vec![lab.log().checkpoint().head().clone()];
    for step in [1, 253, 1, 1, 255, 300, 66_000] {
        let entries: Vec<_> = (0..step).map(|n| format!("entry {n} of {step}")).collect();
        heads.push(lab.log().append(&entries).expect("appended").head);
    }
    lab.certify(&{
        fs::remove_dir_all(lab.path("evidence")).expect("removed");
        passing()
    });
    let log = lab.log();
    let head = log.checkpoint().head();
    let mut lines = String::new();
    for old in &heads {
        let proof = log.folder().tree(head).consistency(old.size).expect("proved");
        let mut words = vec![old.size.to_string(), STANDARD.encode(old.root)];
        words.extend(proof.iter().map(|hash| STANDARD.encode(hash)));
        lines.push_str(&format!("{}\n", words.join(" ")));
    }
    let consistency = lab.path("consistency");
    fs::write(&consistency, lines).expect("written");
    let mut certificates = Vec::new();
    for index in [0, head.size - 1] {
        let path = lab.path(&format!("{index}.tlog-proof"));
        let certificate = Certificate::of(log.folder(), log.checkpoint(), index).expect("made");
        certificate.write(&path).expect("written");
        certificates.push(path);
    }
    let told = run(Command::new("go")
        .arg("run")
        .arg(script("check.go"))
        .arg(log.folder().path())
        .arg(lab.party.public.log.to_string())
        .arg(&consistency)
        .args(&certificates)
        // Debian's packages are found by path, not fetched.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .env("GOCACHE", lab.path("go-cache")));
    let mut told = told.lines();
    let counted = format!("{} entries, {} older heads, 2 certificates", head.size, heads.len());
    assert_eq!(told.next(), Some(counted.as_str()));
    // The other way: what Go signs, we verify.
    let key: VerifierKey = told.next().expect("a key").parse().expect("reads");
    let note = STANDARD.decode(told.next().expect("a note")).expect("base64");
    let verified = Checkpoint::parse(&note).expect("reads");
    assert_eq!(verified.verify_log(&key).expect("verifies").root, head.root);
}
