//! Signed records, the append-only log, cosignatures, and certificates that verify offline.
//!
//! In comes a cell of a run's evidence ([`hospitium_evidence::Bundle`]); [`statement::validation`]
//! makes a [`Statement`] of it, or says why the evidence allows none. A [`Party`] signs it and
//! appends it to its [`Log`]; out comes a [`Certificate`], one file with the record, the proof
//! that it is in the log, and the log's checkpoint. Other parties cosign that checkpoint as a
//! [`Witness`]. Anybody with a [`Policy`] can [`verify`] the file without any network, and gets an
//! [`Explained`]: who says what, valid as of when, cosigned by whom, borne out by which evidence.
//!
//! The formats are published ones, so that other tools verify them too: in-toto statements, DSSE,
//! and C2SP's signed-note, tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof and
//! tlog-policy. docs/ledger.md has every field.

mod certificate;
pub mod dsse;
mod entry;
mod evidence;
mod explain;
mod fault;
mod files;
mod fingerprint;
mod head;
mod heads;
mod history;
mod kept;
mod key;
mod keys;
mod log;
mod note;
mod party;
mod peers;
mod policy;
mod proof;
mod rekey;
mod ruling;
mod standing;
pub mod statement;
mod text;
mod tile;
mod tree;
mod validity;
mod verify;
mod vkey;
mod witness;

pub use certificate::{
    Certificate, CertificateError, SUFFIX, find_notice, find_validation, find_waivers,
};
pub use entry::{FUTURE, MayBe, NotBelieved, believe};
pub use evidence::{EvidenceFound, compare as compare_evidence};
pub use explain::{Explained, LogKnown, Signed, Standing};
pub use files::FileError;
pub use fingerprint::{DIGITS, Fingerprint, FingerprintError};
pub use head::{HeadError, NotAccepted, Trusted};
pub use heads::{Continues, Heads, HeadsError, continues};
pub use history::{Found, History, Needed, RestsOn, forked, is_within};
pub use key::{Algorithm, KeyError, PublicKey, SecretKey};
pub use keys::{GivenUp, KeySpan, NotFollowed, change_key, followed, given_up, holding};
pub use log::{
    Appended, BUNDLE_LIMIT, Bounds, Checked, ENTRY_LIMIT, Log, LogError, LogFolder, LogProblem,
    PullError, Pulled, Source, SourceError, Tree, pull, refused_heads, walk, walk_on,
};
pub use note::{CLOCK_TOLERANCE, Checkpoint, Cosigned, Hash, Head, NoteError, Seen};
pub use party::{
    PARTY_LIMIT, PUBLIC, Party, PartyError, PublicParty, RetiredKey, belongs_to, check_name,
    log_origin,
};
pub use peers::Peers;
pub use policy::{
    NotChosen, POLICY_LIMIT, Policies, Policy, PolicyError, PolicyReadError, PolicyWitness,
};
pub use proof::{PROOF_LIMIT, ProofError, TlogProof, check_consistency, check_inclusion};
pub use rekey::{RekeyError, Rekeyed, rekey};
pub use standing::{ByItself, NoticeDays, NoticeKind, by_itself, day_of, in_force, last_day};
pub use statement::Statement;
pub use tile::is_tile_path;
pub use validity::{Agreed, DatedFact, Validity, ValidityError, ValidityRule};
pub use verify::{Given, VerifyError, verify, verify_bytes};
pub use vkey::{Purpose, VerifierKey, VerifierKeyError};
pub use witness::{
    AddCheckpoint, CosignError, Cosignature, MalformedRequest, REQUEST_LIMIT, Refused, Witness,
    WitnessKey,
};
