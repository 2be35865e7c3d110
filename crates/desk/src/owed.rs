//! What one desk may give another, and what it still lacks, whichever way they exchange.

use std::collections::BTreeSet;

use hospitium_model::Digest;

use crate::case::Attached;
use crate::exchange::Thread;
use crate::people::Shareable;
use crate::store::{Store, StoreError};
use crate::text::{CaseId, PartyName};
use crate::vault::Vault;

/// An attachment that another desk announced and that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The case.
    pub case: CaseId,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Why an attachment is not given to the other desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// Not ours, or not in the case.
    #[error("the case has no attachment of ours with these bytes")]
    Unknown,
    /// No consent.
    #[error("the customer does not allow that its evidence goes out")]
    Held,
}

/// The attachments of a case that are the other desk's, and not here.
pub fn missing_of<'t>(thread: &'t Thread, vault: &'t Vault) -> impl Iterator<Item = Missing> + 't {
    let (us, them) = (thread.us(), thread.us().other());
    let absent =
        move |file: &&Attached| file.by == them && vault.of_case(thread.id(), us, file).is_err();
    thread.case().attachments.iter().filter(absent).map(|file| Missing {
        case: thread.id().clone(),
        sha256: file.file.sha256,
        size: file.file.size,
    })
}

/// The digests of all attachments that this party announced, here or not.
///
/// # Errors
/// If the database fails.
pub async fn announced(store: &Store, peer: &PartyName) -> Result<BTreeSet<Digest>, StoreError> {
    let mut all = BTreeSet::new();
    for id in store.with_peer(peer).await? {
        let thread = store.load(&id).await?;
        let theirs = thread.case().attachments.iter().filter(|file| file.by != thread.us());
        all.extend(theirs.map(|file| file.file.sha256));
    }
    Ok(all)
}

/// The attachments of all cases with this party that are its, and not here.
///
/// # Errors
/// If the database fails.
pub async fn missing(
    store: &Store,
    vault: &Vault,
    peer: &PartyName,
) -> Result<Vec<Missing>, StoreError> {
    let mut missing = Vec::new();
    for id in store.with_peer(peer).await? {
        let thread = store.load(&id).await?;
        missing.extend(missing_of(&thread, vault));
    }
    Ok(missing)
}

/// The attachment of this digest, if it is ours to give and the customer allows it.
///
/// # Errors
/// If it is not.
pub fn to_give<'t>(thread: &'t Thread, digest: &Digest) -> Result<&'t Attached, NotGiven> {
    let known = thread.case().attachments.iter().find(|file| file.file.sha256 == *digest);
    let file = known.filter(|file| file.by == thread.us()).ok_or(NotGiven::Unknown)?;
    let customers = file.file.classification.is_customers();
    if customers && !thread.case().not_allowed(&[Shareable::Evidence]).is_empty() {
        return Err(NotGiven::Held);
    }
    Ok(file)
}
