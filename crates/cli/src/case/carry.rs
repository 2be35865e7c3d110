//! Files in and out: attachments, exports, and the exchange through folders.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use hospitium_desk::export as file_form;
use hospitium_desk::folder::{Exchange, Exchanged};
use hospitium_desk::{
    Attachment, Deed, DeskAddress, Event, KnownPeer, LARGEST_ATTACHMENT, Line, Side, by_itself,
    store::StoreError, write_address,
};
use hospitium_desk_http::{Limits, exchange_with};
use hospitium_model::printable;
use serde_json::json;

use super::place::Place;
use super::show;
use super::verbs::Class;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// `hospitium case attach`.
pub async fn attach(
    place: &Place,
    case: &str,
    path: &Path,
    classification: Class,
    redaction: Option<Line>,
    json: bool,
) -> Result<End> {
    let id = place.find(case).await?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = printable(&name, 200).parse().context("the file's name")?;
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (sha256, size) = place.office.vault.put(file, LARGEST_ATTACHMENT)?;
    let classification = classification.into();
    let attachment = Attachment { sha256, size, name, classification, redaction };
    if let Some(mut draft) = place.office.store.draft(&id).await? {
        draft.files.push(attachment);
        place.office.store.keep_draft(&draft).await?;
        out!("{id}: {sha256} attached to the draft");
        return Ok(End::Good);
    }
    let thread = place.office.store.load(&id).await?;
    let deed = Deed::Attached { attachment };
    let event = Event { at: super::now(), by: thread.us(), person: place.person.clone(), deed };
    let kind = event.deed.kind();
    let now =
        place.office.store.post(&id, event, &place.office.party.record).await.map_err(|error| {
            Usage::error(error.to_string(), "record the customer's consent: hospitium case consent")
        })?;
    place.office.ring();
    show::after(&now, kind, json);
    if !json {
        out!("  sha256       {sha256}");
    }
    Ok(End::Good)
}

/// A new file for its owner only.
fn new_file(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let next = "name a file that does not exist, in a folder that does";
        Usage::because(error, format!("{} cannot be written", path.display()), next)
    })
}

/// `hospitium case fetch`.
pub async fn fetch(place: &Place, case: &str, sha256: &str, to: &Path) -> Result<End> {
    let thread = place.load(case).await?;
    let files = &thread.case().attachments;
    let found: Vec<_> = files
        .iter()
        .filter(|file| sha256.len() >= 4 && file.file.sha256.to_string().starts_with(sha256))
        .collect();
    let [file] = found.as_slice() else {
        return Err(Usage::error(
            format!("{} attachments of this case begin with {:?}", found.len(), safe(sha256)),
            format!("list them: hospitium case show {}", thread.id()),
        ));
    };
    let mut from = place.office.vault.get(&file.file.sha256)?;
    let mut out = new_file(to)?;
    std::io::copy(&mut from, &mut out)
        .and_then(|_| out.sync_all())
        .with_context(|| format!("{} cannot be written", to.display()))?;
    out!("{} ({} bytes)", to.display(), file.file.size);
    Ok(End::Good)
}

/// `hospitium case export`.
pub async fn export(place: &Place, case: &str, path: &Path, json: bool) -> Result<End> {
    let thread = place.load(case).await?;
    let file = new_file(path)?;
    let out = BufWriter::new(&file);
    let key = &place.office.party.record;
    let absent = file_form::export(&thread, &place.office.vault, key, super::now(), out)?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))?;
    match json {
        true => out!("{}", json!({ "case": thread.id(), "absent-attachments": absent })),
        false => out!("{}: {} messages", path.display(), thread.timeline().count()),
    }
    if absent > 0 {
        note!("{absent} attachments are not here and not in the file");
    }
    note!("the file is confidential: it has all of the case but internal notes");
    Ok(End::Good)
}

/// `hospitium case import`.
pub async fn import(place: &Place, path: &Path, json: bool) -> Result<End> {
    let open = || {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok::<_, anyhow::Error>(BufReader::new(file))
    };
    let keys = |party: &hospitium_desk::PartyName| place.keys(party);
    // Once to verify all of it, then to take it in.
    let refused = |error: file_form::ExportError| {
        Usage::because(error, format!("{} was not taken in", path.display()), "get the file again")
    };
    let read = file_form::import(open()?, keys, None).map_err(refused)?;
    let Some(us) = read.thread.case().parties.side(&place.office.us) else {
        return Err(Usage::error(
            format!("the case is between other parties than {}", place.office.us),
            "import it at the desk of one of them",
        ));
    };
    let read_again =
        file_form::import(open()?, keys, Some(&place.office.vault)).map_err(refused)?;
    let (thread, added) = match place.office.store.import(us, read_again.chains).await {
        Ok(done) => done,
        Err(error @ StoreError::Branch { .. }) => {
            let next = "show both sides to the other vendor; ask which one holds";
            return Err(Usage::error(error.to_string(), next));
        }
        Err(error) => return Err(error.into()),
    };
    match json {
        true => {
            out!("{}", json!({ "case": thread.id(), "new-messages": added, "files": read.files }))
        }
        false => out!(
            "{}: verified, {added} new messages, {} attachments; {}",
            thread.id(),
            read.files,
            thread.case().state
        ),
    }
    Ok(End::Good)
}

/// `hospitium case peer`: where another party's desk is called.
pub fn peer(place: &Place, name: &str, address: Option<DeskAddress>, none: bool) -> Result<End> {
    let peer = place.peer(name)?;
    if address.is_some() || none {
        write_address(&place.office.known, &peer.name, address.as_ref())?;
        place.office.ring();
    }
    let now = place.office.peers()?;
    let now = now.iter().find(|known| known.name == peer.name);
    match now.and_then(|known| known.address.as_ref()) {
        Some(address) => out!("{name}: {}", address.url()),
        None => out!("{name}: not called; it calls, or files are carried"),
    }
    Ok(End::Good)
}

/// `hospitium case sync`.
pub async fn sync(place: &Place, only: Option<&str>, by_folder: bool, json: bool) -> Result<End> {
    timers(place, json).await?;
    let peers = match only {
        Some(name) => vec![place.peer(name)?],
        None => place.peers.iter().collect(),
    };
    if peers.is_empty() {
        return Err(Usage::error(
            "no other party is known here",
            "put the party.toml of the others into peers in the party's folder",
        ));
    }
    let mut all = serde_json::Map::new();
    let mut good = true;
    for known in peers {
        let done = match known.address.as_ref().filter(|_| !by_folder) {
            Some(address) => call(place, known, address).await,
            None => by_files(place, known).await,
        };
        let name = known.name.as_str();
        match done {
            Ok(done) => {
                good &= done.refused.is_empty();
                match json {
                    true => {
                        all.insert(name.to_owned(), serde_json::to_value(&done).context("JSON")?);
                    }
                    false => tell(name, &done),
                }
            }
            // The others are exchanged with all the same.
            Err(error) => {
                good = false;
                let words = format!("{error:#}");
                match json {
                    true => {
                        all.insert(name.to_owned(), json!({ "trouble": words }));
                    }
                    false => note!("{name}: not exchanged: {}", safe(&words)),
                }
            }
        }
    }
    if json {
        out!("{}", json!({ "schema": "hospitium-sync/1", "peers": all }));
    }
    Ok(if good { End::Good } else { End::Bad })
}

async fn call(place: &Place, known: &KnownPeer, address: &DeskAddress) -> Result<Exchanged> {
    let most = Limits::default().attachment;
    let done = exchange_with(&place.office, &known.exchange(), address, true, most).await;
    done.context("what was said stays in the desk and goes with the next exchange")
}

async fn by_files(place: &Place, known: &KnownPeer) -> Result<Exchanged> {
    let office = &place.office;
    let exchange = Exchange {
        store: &office.store,
        vault: &office.vault,
        us: &office.us,
        key: &office.party.record,
        folder: &office.folder,
    };
    Ok(exchange.with(&known.exchange(), jiff::Timestamp::now()).await?)
}

fn tell(peer: &str, done: &Exchanged) {
    let Exchanged { taken, known, waiting, files, sent, files_sent, .. } = done;
    out!(
        "{peer}: in {taken} new messages, {known} known, {waiting} waiting, {files} attachments; \
         out {sent} messages, {files_sent} attachments"
    );
    for why in &done.refused {
        note!("refused {}", safe(why));
    }
    for why in &done.voided {
        note!("came to nothing: {}", safe(why));
    }
    for what in &done.held {
        note!("held back, for the customer does not allow it: {}", safe(what));
    }
}

/// Warns of and closes idle cases of our customers.
async fn timers(place: &Place, json: bool) -> Result<()> {
    let (ids, _) = place.office.store.ids().await?;
    for id in ids {
        let thread = place.office.store.load(&id).await?;
        let us: Side = thread.us();
        let Some(deed) = by_itself(thread.case(), us, jiff::Timestamp::now()) else { continue };
        let kind = deed.kind();
        let event = Event { at: super::now(), by: us, person: None, deed };
        let now = place.office.store.post(&id, event, &place.office.party.record).await?;
        if !json {
            show::after(&now, kind, false);
        }
    }
    Ok(())
}
