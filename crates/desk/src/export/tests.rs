//! What is promised of an export.

use super::*;
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
    fn keys(&self) -> impl Fn(&PartyName) -> Vec<VerifierKey> + '_ {
        |party| match party.as_str() {
            "guest.example" => self.pair.public(Side::Submitter).to_vec(),
            "host.example" => self.pair.public(Side::Receiver).to_vec(),
            _ => Vec::new(),
        }
    }

    fn export(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let key = self.pair.key(Side::Submitter);
        assert_eq!(
            export(&self.thread, &self.vault, key, start(), &mut bytes).expect("written"),
            0
        );
        bytes
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
    let read = import(bytes.as_slice(), lab.keys(), Some(&vault)).expect("verifies");
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
    let result = import(other.as_slice(), lab.keys(), Some(&vault));
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
    let nobody = import(good.as_slice(), |_: &PartyName| Vec::new(), None);
    assert!(matches!(nobody, Err(ExportError::NoKey(_))));
}
