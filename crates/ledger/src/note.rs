//! Signed notes and checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).

use jiff::Timestamp;
use signed_note::{Note, Signature};

use crate::key::SecretKey;
use crate::text::{decimal, hash_from_base64, shown, to_base64};
use crate::tile::MAX_SIZE;
use crate::vkey::{VerifierKey, is_good_name};

/// The most bytes of a checkpoint with all its signatures.
pub const CHECKPOINT_LIMIT: u64 = 64 << 10;
/// The most signatures of a note that are looked at; above, the note is refused.
const SIGNATURES: usize = 64;
/// How far the clock of a cosigner may be ahead of ours.
pub const CLOCK_TOLERANCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// A Merkle tree hash (RFC 6962 section 2.1).
pub type Hash = [u8; 32];

/// The head of a tree: what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Hash of the tree's root.
    pub root: Hash,
}

/// A checkpoint: a head with its signatures, as yet unverified.
#[derive(Debug)]
pub struct Checkpoint {
    head: Head,
    note: Note,
    bytes: Vec<u8>,
}

/// A cosignature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Name of the cosigner's key.
    pub by: String,
    /// When it was made, by the cosigner's clock.
    pub at: Timestamp,
}

/// What a witness's cosignatures under a checkpoint come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It has not cosigned.
    None,
    /// It has.
    At(Cosigned),
    /// It has by a time that is still to come, which does not count; in words.
    Ahead(String),
}

/// Why something is no checkpoint, or cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Larger than one may be.
    #[error("the checkpoint has more than {CHECKPOINT_LIMIT} bytes or {SIGNATURES} signatures")]
    TooLarge,
    /// Not a signed note.
    #[error("the checkpoint is no signed note: text, an empty line, and signature lines are due")]
    Form,
    /// A line of the head.
    #[error("the checkpoint's {0}")]
    Line(&'static str),
    /// Not one line of the log's key.
    #[error("{origin:?} has not signed this checkpoint with the key that is expected ({key})")]
    Unsigned {
        /// The log.
        origin: String,
        /// Name and id of the key.
        key: String,
    },
    /// A signature that is wrong, under a key that is known.
    #[error("the signature of {key} on this checkpoint is wrong: it was altered, or forged")]
    Wrong {
        /// Name and id of the key.
        key: String,
    },
    /// The checkpoint of another log.
    #[error("this is the checkpoint of {found:?}, not of {expected:?}")]
    Origin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

fn key_name(key: &VerifierKey) -> String {
    format!("{}+{:08x}", key.name(), key.id())
}

impl Head {
    /// The text of the note: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, to_base64(&self.root))
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Form)?.split('\n');
        let mut next = |what| lines.next().filter(|l| !l.is_empty()).ok_or(NoteError::Line(what));
        let origin = next("first line, the origin, is not there")?;
        let size = next("second line, the size, is not there")?;
        let root = next("third line, the root hash, is not there")?;
        if !is_good_name(origin) {
            return Err(NoteError::Line("origin is empty, too long, or has spaces or plus signs"));
        }
        let size = decimal(size)
            .ok_or(NoteError::Line("size is no whole number without leading zeroes"))?;
        if size > MAX_SIZE {
            return Err(NoteError::Line("size is larger than any log can be (2^40 entries)"));
        }
        let root = hash_from_base64(root)
            .ok_or(NoteError::Line("root hash is not the base64 of 32 bytes"))?;
        if lines.any(str::is_empty) {
            return Err(NoteError::Line("text has an empty line in it"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl PartialEq for Checkpoint {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Checkpoint {}

impl Checkpoint {
    /// Signs a head with a log's key.
    ///
    /// # Errors
    /// If the head's origin cannot be one.
    pub fn sign(head: &Head, name: &VerifierKey, key: &SecretKey) -> Result<Self, NoteError> {
        let text = head.text();
        Head::parse(&text)?;
        let line = Signature::new(name.name().to_owned(), name.id(), key.sign(text.as_bytes()))
            .map_err(|_| NoteError::Form)?;
        let note = Note::new(text.as_bytes(), &[line]).map_err(|_| NoteError::Form)?;
        let bytes = note.to_bytes();
        Ok(Self { head: head.clone(), note, bytes })
    }

    /// Reads a checkpoint; verifies nothing.
    ///
    /// # Errors
    /// If it is too large or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() as u64 > CHECKPOINT_LIMIT {
            return Err(NoteError::TooLarge);
        }
        let lines = bytes.windows(2).rev().take_while(|pair| *pair != b"\n\n");
        if lines.filter(|pair| pair.ends_with(b"\n")).count() > SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        let note = Note::from_bytes(bytes).map_err(|_| NoteError::Form)?;
        let text = std::str::from_utf8(note.text()).map_err(|_| NoteError::Form)?;
        Ok(Self { head: Head::parse(text)?, note, bytes: bytes.to_vec() })
    }

    /// What it says.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The whole note.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The signed text, extension lines included.
    pub fn text(&self) -> &[u8] {
        self.note.text()
    }

    /// The signature lines, each with its newline.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let signatures = self.bytes.get(self.note.text().len() + 1..).unwrap_or_default();
        std::str::from_utf8(signatures).unwrap_or_default().split_inclusive('\n')
    }

    /// The signatures under this key's name and id.
    fn signatures(&self, key: &VerifierKey) -> impl Iterator<Item = Signature> {
        let (name, id) = (key.name().to_owned(), key.id());
        self.lines()
            .filter_map(|line| Signature::from_bytes(line.trim_end_matches('\n').as_bytes()).ok())
            .filter(move |line| line.name() == name && line.id() == id)
    }

    /// Verifies the log's own signature; gives the head, which is now what this log says.
    ///
    /// # Errors
    /// If the key has not signed, or one of its signatures is wrong.
    pub fn verify_log(&self, key: &VerifierKey) -> Result<&Head, NoteError> {
        if self.head.origin != key.name() {
            let (found, expected) = (shown(&self.head.origin), shown(key.name()));
            return Err(NoteError::Origin { found, expected });
        }
        let mut found = false;
        for line in self.signatures(key) {
            if !key.key().verifies(self.text(), line.signature()) {
                return Err(NoteError::Wrong { key: key_name(key) });
            }
            found = true;
        }
        let origin = shown(&self.head.origin);
        if found { Ok(&self.head) } else { Err(NoteError::Unsigned { origin, key: key_name(key) }) }
    }

    /// Verifies the cosignatures of a witness. Of several, the latest that counts: one that is from the
    /// future by more than [`CLOCK_TOLERANCE`] does not.
    ///
    /// # Errors
    /// If one of its cosignatures is wrong.
    pub fn cosignature(&self, key: &VerifierKey, now: Timestamp) -> Result<Seen, NoteError> {
        let mut seen = Seen::None;
        for line in self.signatures(key) {
            let wrong = || NoteError::Wrong { key: key_name(key) };
            let (time, signature) = line.signature().split_first_chunk::<8>().ok_or_else(wrong)?;
            let seconds = u64::from_be_bytes(*time);
            if !key.key().verifies(&cosigned_message(seconds, self.text()), signature) {
                return Err(wrong());
            }
            let at = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
            match (at.filter(|at| at.duration_since(now) <= CLOCK_TOLERANCE), &seen) {
                (Some(at), Seen::At(other)) if at <= other.at => {}
                (Some(at), _) => seen = Seen::At(Cosigned { by: key.name().to_owned(), at }),
                (None, Seen::At(_)) => {}
                (None, _) => {
                    let at = at.map_or_else(|| format!("second {seconds}"), |at| at.to_string());
                    seen = Seen::Ahead(format!(
                        "{} says that it cosigned at {at}, which is in the future: this clock or its \
                         is wrong",
                        key_name(key)
                    ));
                }
            }
        }
        Ok(seen)
    }

    /// Adds a cosignature, in the place of an older one of the same key. Sign only what was found
    /// consistent with everything seen before: see [`Witness`](crate::Witness).
    pub(crate) fn cosigned(
        &self,
        name: &VerifierKey,
        key: &SecretKey,
        at: Timestamp,
    ) -> Result<(Self, String), NoteError> {
        let seconds = u64::try_from(at.as_second())
            .map_err(|_| NoteError::Line("cosignature would be from before 1970"))?;
        let mut signature = seconds.to_be_bytes().to_vec();
        signature.extend(key.sign(&cosigned_message(seconds, self.text())));
        let line = Signature::new(name.name().to_owned(), name.id(), signature)
            .map_err(|_| NoteError::Form)?;
        let line = String::from_utf8(line.to_bytes()).map_err(|_| NoteError::Form)?;
        Ok((self.with_line(&line)?, line))
    }

    /// With the signature lines of this key alone.
    ///
    /// # Errors
    /// If it has none.
    pub(crate) fn only(&self, key: &VerifierKey) -> Result<Self, NoteError> {
        let lines: Vec<Signature> = self.signatures(key).collect();
        let note = Note::new(self.text(), &lines).map_err(|_| NoteError::Form)?;
        Self::parse(&note.to_bytes())
    }

    /// The same head with the signatures that another copy of it has and this one lacks. Where both have one of a key, this
    /// one's stays. Of another head, nothing is taken.
    ///
    /// # Errors
    /// If there are too many.
    pub fn with_signatures_of(&self, other: &Self) -> Result<Self, NoteError> {
        let mut with = Self::parse(&self.bytes)?;
        if other.text() != self.text() {
            return Ok(with);
        }
        let named = |line: &str| {
            let signature = Signature::from_bytes(line.trim_end_matches('\n').as_bytes()).ok()?;
            Some((signature.name().to_owned(), signature.id()))
        };
        let own: Vec<_> = self.lines().filter_map(named).collect();
        for line in other.lines() {
            if named(line).is_some_and(|name| !own.contains(&name)) {
                with = with.with_line(line)?;
            }
        }
        Ok(with)
    }

    /// With one more signature line, in the place of one under the same name and id.
    ///
    /// # Errors
    /// If the line is none, or there are too many.
    pub fn with_line(&self, line: &str) -> Result<Self, NoteError> {
        let added = Signature::from_bytes(line.trim_end_matches('\n').as_bytes())
            .map_err(|_| NoteError::Form)?;
        let mut bytes = self.note.text().to_vec();
        bytes.push(b'\n');
        for old in self.lines() {
            let same = Signature::from_bytes(old.trim_end_matches('\n').as_bytes())
                .is_ok_and(|old| old.name() == added.name() && old.id() == added.id());
            if !same {
                bytes.extend(old.as_bytes());
            }
        }
        bytes.extend(added.to_bytes());
        Self::parse(&bytes)
    }
}

/// c2sp.org/tlog-cosignature, "Ed25519 signed message".
fn cosigned_message(seconds: u64, text: &[u8]) -> Vec<u8> {
    let mut message = format!("cosignature/v1\ntime {seconds}\n").into_bytes();
    message.extend(text);
    message
}

#[cfg(test)]
mod tests;
