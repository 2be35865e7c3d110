//! Files in and out. What is uploaded is kept by its digest and never run, shown or made into a path; what is
//! downloaded is an attachment of no type that a browser opens.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hospitium_desk::{
    Attachment, Classification, Deed, DeedKind, Event, Line, Next, Role, Shareable, Side,
    VaultError, hindrance,
};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Counter;
use super::case::{Found, find};
use super::fields::{Fields, word};
use super::pages::{audit, back, href, now, wrong};
use super::session::{Signed, counter};
use super::shell::{failed, refuse, store};
use crate::site::Site;

/// The largest file that a customer uploads.
const CUSTOMERS: u64 = 256 << 20;
/// The most bytes of all files of a case that this desk took in from pages.
const TOGETHER: u64 = 64 << 30;
/// The most characters of a field beside the file.
const FIELD: usize = 64 << 10;
/// The most parts of a form.
const PARTS: usize = 40;
/// An upload of which nothing comes for so long is ended.
const SILENT: Duration = Duration::from_secs(30);
/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// The largest file that somebody may upload.
pub fn most(counter: &Counter, role: Role) -> u64 {
    match role {
        Role::Customer => counter.largest.min(CUSTOMERS),
        _ => counter.largest,
    }
}

/// Reads what comes over the network, for code that waits.
struct Incoming {
    chunks: mpsc::Receiver<Option<Bytes>>,
    left: Bytes,
    whole: bool,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() && !self.whole {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.left = chunk,
                Some(None) => self.whole = true,
                // Whoever sent it went away in the middle.
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.left.len().min(into.len());
        let taken = self.left.split_to(count);
        into.get_mut(..count).unwrap_or_default().copy_from_slice(&taken);
        Ok(count)
    }
}

/// Keeps an uploaded file of at most so many bytes: some chunks of it are in memory, not more. An account has a few
/// places of its own, and one that sends nothing for a while loses its place: nobody keeps the others waiting.
pub async fn keep(
    counter: &Counter,
    signed: &Signed,
    mut field: Field<'_>,
    most: u64,
) -> Result<(Digest, u64), Response> {
    let _own = counter.places.take(signed.account.login.as_str()).ok_or_else(|| {
        let words = "You upload as many files as you may at once. Wait until one of them is here.";
        refuse(StatusCode::TOO_MANY_REQUESTS, words)
    })?;
    let _turn = counter.files.acquire().await.map_err(|error| failed(&error))?;
    let (send, chunks) = mpsc::channel(4);
    let vault = counter.office.vault.clone();
    let incoming = Incoming { chunks, left: Bytes::new(), whole: false };
    let keeping = tokio::task::spawn_blocking(move || vault.put(incoming, most));
    let sent = async {
        while let Some(chunk) = timeout(SILENT, field.chunk())
            .await
            .map_err(|_| "nothing came for a while".to_owned())?
            .map_err(|error| error.to_string())?
        {
            if send.send(Some(chunk)).await.is_err() {
                return Ok(());
            }
        }
        let _ = send.send(None).await;
        Ok::<(), String>(())
    };
    let sent = sent.await;
    drop(send);
    let kept = keeping.await.map_err(|error| failed(&error))?;
    match (kept, sent) {
        (Ok(kept), Ok(())) => Ok(kept),
        (Err(error @ (VaultError::TooLarge { .. } | VaultError::Empty)), _) => {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &crate::model::sentence(&error.to_string())))
        }
        (Err(error @ VaultError::Io { .. }), _) => Err(failed(&error)),
        _ => Err(refuse(StatusCode::BAD_REQUEST, "The upload broke off; nothing of it was kept.")),
    }
}

/// A field beside the file, of a bounded length.
pub async fn words(mut field: Field<'_>) -> Result<String, Response> {
    let bad = |why: &str| refuse(StatusCode::BAD_REQUEST, why);
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|_| bad("The form broke off."))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > FIELD {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "A field of the form is too long."));
        }
    }
    String::from_utf8(bytes).map_err(|_| bad("A field of the form is no text."))
}

/// The next part of a form, if there is one.
pub async fn next<'m>(
    form: &'m mut Multipart,
    parts: &mut usize,
) -> Result<Option<(String, Field<'m>)>, Response> {
    *parts += 1;
    if *parts > PARTS {
        return Err(refuse(StatusCode::BAD_REQUEST, "The form has too many fields."));
    }
    let next = form.next_field().await;
    let next = next.map_err(|_| refuse(StatusCode::BAD_REQUEST, "The form broke off."))?;
    Ok(next.map(|field| (field.name().unwrap_or_default().to_owned(), field)))
}

/// Why a file cannot be attached now: said before any of it is kept.
fn hindered(found: &Found, role: Role, class: Option<&str>, now: Timestamp) -> Option<String> {
    let Found::Case(thread) = found else { return None };
    let next = Next { deed: DeedKind::Attached, by: thread.us() };
    if let Some(fault) = hindrance(thread.case(), next, now) {
        return Some(crate::model::sentence(&format!("No file can be attached now: {fault}.")));
    }
    let customers = role == Role::Customer || class != Some("vendor");
    let held = customers && !thread.case().not_allowed(&[Shareable::Evidence]).is_empty();
    held.then(|| "The customer has not allowed that its files are shared.".to_owned())
}

/// `POST /desk/cases/ID/files`. What says whose form it is comes before the file, so that nothing is kept of a stranger's.
pub async fn attach(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path(id): Path<String>,
    mut form: Multipart,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let role = signed.account.role;
    signed.must(role.works() || role == Role::Customer)?;
    let found = find(counter, &signed, &id).await?;
    let id = found.case().id.clone();
    let (mut given, mut parts) = (Fields::default(), 0);
    let mut kept = None;
    while let Some((name, field)) = next(&mut form, &mut parts).await? {
        if name != "file" {
            given.push(name, words(field).await?);
            continue;
        }
        signed.form(&given)?;
        if let Some(why) = hindered(&found, role, given.get("class"), now()) {
            return Err(wrong(&id, &why));
        }
        if kept.is_some() {
            return Err(wrong(&id, "One file at a time."));
        }
        let ours = found.case().attachments.iter().map(|file| file.file.size).sum::<u64>();
        let most = most(counter, role).min(TOGETHER.saturating_sub(ours));
        // A name is words for people; a path in it is none for us.
        let name =
            field.file_name().unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
        let name: Line =
            printable(name, 200).parse().map_err(|_| wrong(&id, "No file was chosen."))?;
        kept = Some((name, keep(counter, &signed, field, most).await?));
    }
    if let Some((name, (sha256, _))) = &kept {
        // Another file in the same form is another form.
        given.push("file".to_owned(), format!("{sha256} {name}"));
    }
    let once = signed.form(&given)?;
    let Some((name, (sha256, size))) = kept else {
        return Err(wrong(&id, "No file was chosen."));
    };
    let classification = match role {
        Role::Customer => Classification::Customer,
        _ => given
            .get("class")
            .and_then(word)
            .ok_or_else(|| wrong(&id, "Whose it is is missing."))?,
    };
    let redaction = given.may("redaction", "What was removed").map_err(|why| wrong(&id, &why))?;
    let attachment = Attachment { sha256, size, name, classification, redaction, run: None };
    let office = &counter.office;
    match found {
        Found::Draft(..) => {
            let added = office.store.add_file(&id, &attachment).await;
            added.map_err(|error| store(error, &href(&id)))?;
        }
        Found::Case(thread) => {
            let (by, person) = (thread.us(), signed.person(thread.case()));
            let event = Event { at: now(), by, person, deed: Deed::Attached { attachment } };
            let posted =
                office.store.post_once(&id, event, &office.party().record, Some(&once)).await;
            posted.map_err(|error| store(error, &href(&id)))?;
            office.ring();
        }
    }
    audit(counter, &signed, "attached", &id).await?;
    Ok(back(&id))
}

/// `GET /desk/cases/ID/files/SHA256`.
pub async fn download(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Path((id, sha256)): Path<(String, String)>,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let found = find(counter, &signed, &id).await?;
    let absent = || refuse(StatusCode::NOT_FOUND, "This case has no such file here.");
    let sha256: Digest = sha256.parse().map_err(|_| absent())?;
    let case = match signed.account.role {
        Role::Customer => found.case().for_customer(),
        _ => found.case().clone(),
    };
    let file =
        case.attachments.iter().find(|file| file.file.sha256 == sha256).ok_or_else(absent)?;
    let us = match &found {
        Found::Case(thread) => thread.us(),
        Found::Draft(..) => Side::Submitter,
    };
    let opened = match counter.office.vault.of_case(&case.id, us, file) {
        Ok(opened) => opened,
        Err(VaultError::Absent(_)) => return Err(absent()),
        Err(error) => return Err(failed(&error)),
    };
    audit(counter, &signed, "downloaded a file", &case.id).await?;
    let chunks = stream::try_unfold(tokio::fs::File::from_std(opened), |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        let got = file.read(&mut chunk).await?;
        chunk.truncate(got);
        Ok::<_, io::Error>((got > 0).then(|| (Bytes::from(chunk), file)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, file.file.size.to_string()),
        (header::CONTENT_DISPOSITION, crate::pages::disposition(file.file.name.as_str())),
        // Even if it is opened as a page, it can do nothing.
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}
