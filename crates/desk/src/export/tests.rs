//! What is promised of an export.

use super::*;
use hospitium_ledger::VerifierKey;

use crate::exchange::{Pair, sign_message};
use crate::sample::*;
use crate::{Attachment, Deed, Visibility};

struct Lab {
    pair: Pair,
    _top: tempfile::TempDir,
    vault: Vault,
    thread: Thread,
}

fn lab() -> Lab {
    let top = tempfile::tempdir().expect("a folder");
    let vault = Vault::open(top.path()).expect("made");
    let pair = Pair::new();
    let mut thread = pair.offer();
    let (sha256, size) = vault.put([9; 100].as_slice(), 100).expect("taken");
    let attachment = Attachment { sha256, size, ..attachment(1) };
    let key = pair.key(Side::Submitter);
    let attach = event(later(start(), 60), Side::Submitter, Deed::Attached { attachment });
    thread.post(attach, key).expect("legal");
    let note = Deed::Noted { visibility: Visibility::Both, text: text("words") };
    thread.post(event(later(start(), 90), Side::Submitter, note), key).expect("legal");
    Lab { pair, _top: top, vault, thread }
}

impl Lab {
    fn keys(&self) -> impl Fn(&PartyName) -> PartyKeys + '_ {
        |party| PartyKeys {
            now: match party.as_str() {
                "guest.example" => self.pair.public(Side::Submitter).to_vec(),
                "host.example" => self.pair.public(Side::Receiver).to_vec(),
                _ => Vec::new(),
            },
            before: Vec::new(),
        }
    }

    fn export(&self) -> Vec<u8> {
        let (bytes, done) = self.export_for(Scope::Other, self.pair.key(Side::Submitter));
        assert_eq!((done.absent, done.held, done.withheld), (0, 0, 0));
        bytes
    }

    fn export_for(&self, scope: Scope, key: &SecretKey) -> (Vec<u8>, Exported) {
        let mut bytes = Vec::new();
        let done = export(&self.thread, &self.vault, key, start(), scope, &mut bytes);
        (bytes, done.expect("written"))
    }

    fn import(&self, bytes: &[u8]) -> Result<Imported, ExportError> {
        import(bytes, self.keys(), None)
    }
}

/// The entries of an archive, changed.
fn changed(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<(String, Vec<u8>)>) -> Vec<u8> {
    let mut archive = tar::Archive::new(bytes);
    let mut builder = tar::Builder::new(Vec::new());
    for entry in archive.entries().expect("read") {
        let mut entry = entry.expect("read");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        let Some((path, content)) = change(&path, content) else { continue };
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, path, content.as_slice()).expect("written");
    }
    builder.into_inner().expect("written")
}

#[test]
fn an_export_reads_back_with_its_attachments() {
    let lab = lab();
    let bytes = lab.export();
    assert_eq!(bytes, lab.export(), "the same case is the same file");
    let top = tempfile::tempdir().expect("a folder");
    let vault = Vault::open(top.path()).expect("made");
    let read =
        import(bytes.as_slice(), lab.keys(), Some((&vault, Side::Submitter))).expect("verifies");
    assert_eq!(read.thread.case(), lab.thread.case());
    assert_eq!((read.files, read.chains.submitter.len()), (1, 4));
    assert!(vault.has(&lab.thread.case().attachments[0].file.sha256));
}

#[test]
fn an_altered_cut_or_extended_export_is_refused() {
    let lab = lab();
    let good = lab.export();
    let refused = |bytes: &[u8], words: &str| {
        let said = lab.import(bytes).map(|read| read.files).expect_err(words);
        let mut told = said.to_string();
        let mut cause: &dyn std::error::Error = &said;
        while let Some(next) = cause.source() {
            told.push_str(&format!(": {next}"));
            cause = next;
        }
        assert!(told.contains(words), "{told}");
    };
    let same = changed(&good, |path, content| Some((path.to_owned(), content)));
    assert!(lab.import(&same).is_ok());
    let without = |name: &'static str| {
        changed(&good, move |path, content| (path != name).then(|| (path.to_owned(), content)))
    };
    refused(&without("manifest.json"), "does not begin with its manifest");
    refused(&without("messages/submitter/000004.json"), "missing at the end");
    refused(&without("messages/submitter/000003.json"), "missing at the end");
    refused(&without("messages/submitter/000001.json"), "make no case");
    let flipped = changed(&good, |path, mut content| {
        if path.ends_with("000002.json") {
            let place = content.len() / 2;
            content[place] = if content[place] == b'A' { b'B' } else { b'A' };
        }
        Some((path.to_owned(), content))
    });
    refused(&flipped, "cannot be believed");
    let more = changed(&good, |path, content| {
        let path = if path.starts_with("attachments/") { "../../evil" } else { path };
        Some((path.replace("../", "up-"), content))
    });
    refused(&more, "does not belong there");
    refused(&good[..good.len() / 2], "");
    refused(b"", "it is empty");
    let top = tempfile::tempdir().expect("a folder");
    let vault = Vault::open(top.path()).expect("made");
    let other = changed(&good, |path, content| {
        let content = if path.starts_with("attachments/") { vec![8; 100] } else { content };
        Some((path.to_owned(), content))
    });
    let result = import(other.as_slice(), lab.keys(), Some((&vault, Side::Submitter)));
    assert!(matches!(result, Err(ExportError::Vault(VaultError::Other { .. }))));
}

#[test]
fn a_message_that_its_party_did_not_sign_is_refused() {
    let lab = lab();
    let good = lab.export();
    let forged = changed(&good, |path, content| {
        if !path.ends_with("000004.json") {
            return Some((path.to_owned(), content));
        }
        let mut message = Sealed::parse(&content).expect("a message").message;
        let words = Deed::Noted { visibility: Visibility::Both, text: text("other words") };
        message.event.deed = words;
        let sealed = sign_message(message, lab.pair.key(Side::Receiver)).expect("signed");
        Some((path.to_owned(), sealed.bytes))
    });
    assert!(matches!(lab.import(&forged), Err(ExportError::Message { .. })));
    let nobody = import(good.as_slice(), |_: &PartyName| PartyKeys::default(), None);
    assert!(matches!(nobody, Err(ExportError::NoKey(_))));
}

#[test]
fn an_export_for_the_other_vendor_leaves_out_what_the_customer_does_not_allow() {
    let mut lab = lab();
    let key = lab.pair.key(Side::Submitter);
    let post = |thread: &mut Thread, seconds, deed| {
        let said = event(later(start(), seconds), Side::Submitter, deed);
        thread.post(said, key).expect("legal");
    };
    let consent = consent(&[crate::Shareable::Problem, crate::Shareable::Configuration]);
    post(&mut lab.thread, 100, Deed::ConsentGiven { consent });
    // Without consent for evidence now, the file's own message is held, and all behind it.
    let (bytes, done) = lab.export_for(Scope::Other, key);
    assert_eq!((done.messages, done.held), (2, 3), "{done:?}");
    let names = |bytes: &[u8]| {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().expect("read").map(|entry| entry.expect("read"));
        entries.map(|entry| entry.path().expect("one").display().to_string()).collect::<Vec<_>>()
    };
    assert!(!names(&bytes).iter().any(|name| name.starts_with("attachments/")));
    let read = lab.import(&bytes).expect("it is whole by itself");
    assert_eq!(read.thread.timeline().count(), done.messages);
    let (whole, done) = lab.export_for(Scope::Own, key);
    assert_eq!((done.held, done.withheld), (0, 0));
    assert!(names(&whole).iter().any(|name| name.starts_with("attachments/")));
}

#[test]
fn a_key_that_was_given_up_bears_out_only_what_a_message_of_the_new_key_continues() {
    let mut lab = lab();
    let new = SecretKey::generate(hospitium_ledger::Algorithm::Ed25519).expect("made");
    let named = VerifierKey::for_records("guest.example", new.public()).expect("named");
    let old = lab.pair.public(Side::Submitter).to_vec();
    let keys = |name: &PartyName| match name.as_str() {
        "guest.example" => PartyKeys { now: vec![named.clone()], before: old.clone() },
        _ => (lab.keys())(name),
    };
    let count = lab.thread.chain(Side::Submitter).len();
    // What the party exports now, it signs now.
    let (bytes, _) = lab.export_for(Scope::Own, &new);
    let read = import(bytes.as_slice(), keys, None).expect("verifies");
    assert_eq!(read.sure.submitter, count);
    // Whoever has the old key only cannot write a manifest.
    let (forged, _) = lab.export_for(Scope::Own, lab.pair.key(Side::Submitter));
    let refused = import(forged.as_slice(), keys, None);
    assert!(matches!(refused, Err(ExportError::Message { .. })), "{refused:?}");
    // The other vendor has them as they were signed: they verify, and nobody vouches for them now.
    let theirs = Thread::restore(Side::Receiver, lab.thread.chains().clone(), 0).expect("restored");
    let mut bytes = Vec::new();
    let key = lab.pair.key(Side::Receiver);
    export(&theirs, &lab.vault, key, start(), Scope::Own, &mut bytes).expect("written");
    assert_eq!(import(bytes.as_slice(), keys, None).expect("verifies").sure.submitter, 0);
    // Until the party says something with its new key.
    let note = Deed::Noted { visibility: Visibility::Both, text: text("new key") };
    lab.thread.post(event(later(start(), 100), Side::Submitter, note), &new).expect("legal");
    let theirs = Thread::restore(Side::Receiver, lab.thread.chains().clone(), 0).expect("restored");
    let mut bytes = Vec::new();
    export(&theirs, &lab.vault, key, start(), Scope::Own, &mut bytes).expect("written");
    let keys = |name: &PartyName| match name.as_str() {
        "guest.example" => PartyKeys { now: vec![named.clone()], before: old.clone() },
        _ => (lab.keys())(name),
    };
    assert_eq!(import(bytes.as_slice(), keys, None).expect("verifies").sure.submitter, count + 1);
}

#[test]
fn a_case_of_which_nothing_may_go_out_is_not_exported_for_the_other_vendor() {
    let mut lab = lab();
    let key = lab.pair.key(Side::Submitter);
    let back = Deed::ConsentWithdrawn { by: text("Pat Doe") };
    lab.thread.post(event(later(start(), 100), Side::Submitter, back), key).expect("legal");
    let refused = export(&lab.thread, &lab.vault, key, start(), Scope::Other, Vec::new());
    assert!(matches!(refused, Err(ExportError::Held)), "{refused:?}");
}

#[test]
fn a_bridged_case_is_archived_for_its_own_party_only() {
    let Lab { pair, _top, vault, .. } = lab();
    let key = pair.key(Side::Submitter);
    let bridged = crate::Opening { channel: crate::Channel::Bridge, ..opening() };
    let mut thread = Thread::offer(bridged, &[], start(), start(), None, key).expect("offered");
    let heard = crate::exchange::Heard {
        by: text("guest.example"),
        through: text("TSANet Connect"),
        request: text("request 1"),
        part: text("response 1"),
    };
    let (by, deed) = accepted();
    thread.hear(event(later(start(), 90), by, deed), heard, key).expect("legal").expect("new");
    let refused = export(&thread, &vault, key, start(), Scope::Other, Vec::new());
    assert!(matches!(refused, Err(ExportError::Bridged)), "{refused:?}");
    let keys = |party: &PartyName| PartyKeys {
        now: match party.as_str() {
            "guest.example" => pair.public(Side::Submitter).to_vec(),
            _ => Vec::new(),
        },
        before: Vec::new(),
    };
    let mut bytes = Vec::new();
    export(&thread, &vault, key, start(), Scope::Own, &mut bytes).expect("written");
    let read = import(bytes.as_slice(), keys, None).expect("verifies");
    assert_eq!(read.thread.case(), thread.case());
    // The other vendor exports what the first one says that it heard of it.
    let theirs = Thread::restore(Side::Receiver, thread.chains().clone(), 0).expect("replays");
    let mut bytes = Vec::new();
    export(&theirs, &vault, pair.key(Side::Receiver), start(), Scope::Own, &mut bytes)
        .expect("written");
    let keys = |party: &PartyName| PartyKeys {
        now: match party.as_str() {
            "guest.example" => pair.public(Side::Submitter).to_vec(),
            _ => pair.public(Side::Receiver).to_vec(),
        },
        before: Vec::new(),
    };
    assert!(import(bytes.as_slice(), keys, None).is_err());
}
