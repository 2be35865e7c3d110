//! Files in and out: attachments, exports, and the exchange through folders.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_desk::export::{self as file_form, Exported, Scope};
use hospitium_desk::folder::{Exchange, Exchanged};
use hospitium_desk::{
    Attachment, Deed, DeskAddress, Event, KnownPeer, LARGEST_ATTACHMENT, Line, Side, by_itself,
    store::StoreError, write_address,
};
use hospitium_desk_http::{Limits, exchange_with};
use hospitium_model::printable;
use serde_json::json;

use super::evidence::packed;
use super::place::Place;
use super::show;
use super::verbs::Class;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// What is attached.
pub struct What {
    /// A file.
    pub file: Option<PathBuf>,
    /// A run.
    pub run: Option<PathBuf>,
    /// How it has to be handled.
    pub classification: Class,
    /// What was removed from it.
    pub redaction: Option<Line>,
}

impl What {
    /// Keeps its bytes.
    fn keep(self, place: &Place) -> Result<Attachment> {
        let Self { file, run, classification, redaction } = self;
        let classification = classification.into();
        if let Some(run) = run {
            let (attachment, ran) = packed(place, &run, classification, redaction)?;
            ran.lines().iter().for_each(|line| note!("  {}", safe(line)));
            return Ok(attachment);
        }
        let Some(path) = file else {
            return Err(Usage::error("no file is named", "name a file, or a run: --run RUN"));
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = printable(&name.unwrap_or_default(), 200).parse().context("the file's name")?;
        let file =
            File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let (sha256, size) = place.office.vault.put(file, LARGEST_ATTACHMENT)?;
        Ok(Attachment { sha256, size, name, classification, redaction, run: None })
    }
}

/// `hospitium case attach`.
pub async fn attach(place: &Place, case: &str, what: What, json: bool) -> Result<End> {
    let id = place.find(case).await?;
    let attachment = what.keep(place)?;
    let sha256 = attachment.sha256;
    if place.office.store.draft(&id).await?.is_some() {
        place.office.store.add_file(&id, &attachment).await?;
        out!("{id}: {sha256} attached to the draft");
        return Ok(End::Good);
    }
    let thread = place.office.store.load(&id).await?;
    let deed = Deed::Attached { attachment };
    let event = Event { at: super::now(), by: thread.us(), person: place.person.clone(), deed };
    let kind = event.deed.kind();
    let now = place.office.store.post(&id, event, &place.office.party().record).await.map_err(
        |error| {
            Usage::error(error.to_string(), "record the customer's consent: hospitium case consent")
        },
    )?;
    place.office.ring();
    show::after(&now, kind, json);
    if !json {
        out!("  sha256       {sha256}");
    }
    Ok(End::Good)
}

/// A new file for its owner only.
pub fn new_file(path: &Path) -> Result<File> {
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
    let mut from = place.office.vault.of_case(thread.id(), thread.us(), file)?;
    let mut out = new_file(to)?;
    std::io::copy(&mut from, &mut out)
        .and_then(|_| out.sync_all())
        .with_context(|| format!("{} cannot be written", to.display()))?;
    out!("{} ({} bytes)", to.display(), file.file.size);
    Ok(End::Good)
}

/// `hospitium case export`.
pub async fn export(
    place: &Place,
    case: &str,
    path: &Path,
    scope: Scope,
    json: bool,
) -> Result<End> {
    let thread = place.load(case).await?;
    let file = new_file(path)?;
    let out = BufWriter::new(&file);
    let party = place.office.party();
    let done =
        file_form::export(&thread, &place.office.vault, &party.record, super::now(), scope, out);
    // What was begun is no export.
    let done = done.inspect_err(|_| drop(std::fs::remove_file(path)))?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))?;
    let Exported { messages, held, withheld, absent } = done;
    match json {
        true => out!(
            "{}",
            json!({ "case": thread.id(), "messages": messages, "held-messages": held,
                    "withheld-attachments": withheld, "absent-attachments": absent })
        ),
        false => out!("{}: {messages} messages", path.display()),
    }
    if absent > 0 {
        note!("{absent} attachments are not here and not in the file");
    }
    if held + withheld > 0 {
        note!(
            "left out, for the customer does not allow that it goes out: {held} messages, {withheld} attachments; \
             --all takes them in, for this party's own archive"
        );
    }
    match scope {
        Scope::Own => note!("all of the case but internal notes: not for the other vendor"),
        Scope::Other => note!("the file is confidential: it has the case without internal notes"),
    }
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
    // Once to verify all of it; then messages are taken in, and then their files.
    let refused = |error: file_form::ExportError| {
        Usage::because(error, format!("{} was not taken in", path.display()), "get the file again")
    };
    let read = file_form::import(open()?, keys, None).map_err(refused)?;
    if read.thread.is_bridged() && read.manifest.exporter != place.office.us {
        return Err(Usage::error(
            format!(
                "the case goes through TSANet Connect and is of the desk of {} alone",
                read.manifest.exporter
            ),
            "import it there; here, take in what TSANet Connect gives: hospitium case import FILE --tsanet",
        ));
    }
    let Some(us) = read.thread.case().parties.side(&place.office.us) else {
        return Err(Usage::error(
            format!("the case is between other parties than {}", place.office.us),
            "import it at the desk of one of them",
        ));
    };
    let taken = place.office.store.import(us, read.chains, read.sure, super::now()).await;
    let (thread, added) = match taken {
        Ok(done) => done,
        Err(error @ (StoreError::OldKey { .. } | StoreError::NotNow { .. })) => {
            let next = "take it in by the exchange: hospitium case sync";
            return Err(Usage::error(error.to_string(), next));
        }
        Err(error @ StoreError::Branch { .. }) => {
            let next = "show both sides to the other vendor; ask which one holds";
            return Err(Usage::error(error.to_string(), next));
        }
        Err(error) => return Err(error.into()),
    };
    file_form::import(open()?, keys, Some((&place.office.vault, us))).map_err(refused)?;
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
    let party = office.party();
    let exchange = Exchange {
        store: &office.store,
        vault: &office.vault,
        us: &office.us,
        key: &party.record,
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
        let now = place.office.store.post(&id, event, &place.office.party().record).await?;
        if !json {
            show::after(&now, kind, false);
        }
    }
    Ok(())
}
