//! Two desks that exchange files through folders which somebody carries.

use hospitium_catalog::sample::database::address;

use super::*;
use crate::exchange::Pair;
use crate::people::Side;
use crate::sample::*;
use crate::{Aside, Case, Deed, DeedKind, Draft, Visibility};

struct Desk {
    side: Side,
    store: Store,
    vault: Vault,
    folder: tempfile::TempDir,
    us: PartyName,
}

struct World {
    pair: Pair,
    one: Desk,
    other: Desk,
    now: Timestamp,
}

impl Desk {
    async fn new(side: Side) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::open(&folder.path().join("attachments")).expect("made");
        let store = Store::open(&address().await.expect("an address")).await.expect("opens");
        Self { side, store, vault, folder, us: opening().parties.of(side).clone() }
    }

    async fn case(&self) -> Case {
        self.store.load(&opening().id).await.expect("loads").case().clone()
    }

    fn carry(&self, to: &Self) -> usize {
        let from = self.folder.path().join("outbox").join(to.us.as_str());
        let into = to.folder.path().join("inbox").join(self.us.as_str());
        fs::create_dir_all(&into).expect("made");
        let names = files_of(&from).expect("listed");
        for name in &names {
            fs::copy(from.join(name), into.join(name)).expect("carried");
        }
        names.len()
    }
}

impl World {
    async fn new() -> Self {
        let (one, other) = (Desk::new(Side::Submitter).await, Desk::new(Side::Receiver).await);
        Self { pair: Pair::new(), one, other, now: later(start(), DAY) }
    }

    async fn sync(&self, desk: &Desk) -> Exchanged {
        let other = desk.side.other();
        let peer = Peer {
            name: opening().parties.of(other).clone(),
            keys: self.pair.public(other).to_vec(),
        };
        let exchange = Exchange {
            store: &desk.store,
            vault: &desk.vault,
            us: &desk.us,
            key: self.pair.key(desk.side),
            folder: desk.folder.path(),
        };
        exchange.with(&peer, self.now).await.expect("exchanged")
    }

    async fn offer(&self) {
        let draft = Draft { opening: opening(), files: Vec::new(), opened: start(), person: None };
        let key = self.pair.key(Side::Submitter);
        self.one.store.offer(&draft, start(), None, key).await.expect("offered");
    }

    async fn post(&self, desk: &Desk, deed: Deed) {
        let event = event(self.now, desk.side, deed);
        let key = self.pair.key(desk.side);
        desk.store.post(&opening().id, event, key).await.expect("posted");
    }

    /// Everything there and back, until nothing is left to do.
    async fn round(&self) {
        for _ in 0..3 {
            self.sync(&self.one).await;
            self.one.carry(&self.other);
            self.sync(&self.other).await;
            self.other.carry(&self.one);
        }
        self.sync(&self.one).await;
    }
}

#[tokio::test]
async fn a_case_goes_there_and_back_and_the_outbox_is_empty_afterwards() {
    let world = World::new().await;
    world.offer().await;
    let sent = world.sync(&world.one).await;
    assert_eq!((sent.sent, sent.taken), (2, 0));
    assert_eq!(world.one.carry(&world.other), 2);
    let taken = world.sync(&world.other).await;
    assert_eq!((taken.taken, taken.sent, taken.refused.len()), (2, 0, 0));
    world.post(&world.other, accepted().1).await;
    world.round().await;
    assert_eq!(world.one.case().await, world.other.case().await);
    assert_eq!(world.one.case().await.state.name(), "accepted");
    let left = files_of(&world.one.folder.path().join("outbox/host.example")).expect("listed");
    assert!(left.iter().all(|name| name.ends_with(".receipt")), "{left:?}");
}

#[tokio::test]
async fn what_is_lost_repeated_and_out_of_order_on_the_way_arrives() {
    let world = World::new().await;
    world.offer().await;
    for _ in 0..3 {
        let note = deed(DeedKind::Noted, 0, world.now, Side::Submitter);
        world.post(&world.one, note).await;
    }
    world.sync(&world.one).await;
    world.one.carry(&world.other);
    let inbox = world.other.folder.path().join("inbox/guest.example");
    let names = files_of(&inbox).expect("listed");
    assert_eq!(names.len(), 5);
    fs::remove_file(inbox.join(&names[1])).expect("lost");
    let done = world.sync(&world.other).await;
    assert_eq!((done.taken, done.waiting), (1, 3), "they wait in the inbox");
    // The second time everything is there, half of it for the second time.
    world.one.carry(&world.other);
    let done = world.sync(&world.other).await;
    assert_eq!((done.known, done.taken, done.waiting), (1, 4, 0));
    assert!(files_of(&inbox).expect("listed").iter().all(|name| name == "refused"));
    assert_eq!(world.one.case().await, world.other.case().await);
}

/// Attaches these bytes at the one desk; the other one's question for them has come back.
async fn asked_for(world: &World, bytes: &[u8]) -> hospitium_model::Digest {
    let (sha256, size) = world.one.vault.put(bytes, 1 << 20).expect("taken");
    let attachment = crate::Attachment { sha256, size, ..attachment(1) };
    world.post(&world.one, Deed::Attached { attachment }).await;
    world.sync(&world.one).await;
    world.one.carry(&world.other);
    world.sync(&world.other).await;
    world.other.carry(&world.one);
    sha256
}

#[tokio::test]
async fn an_attachment_is_asked_for_sent_and_verified() {
    let world = World::new().await;
    world.offer().await;
    let sha256 = asked_for(&world, &[3; 200_000]).await;
    assert_eq!(world.sync(&world.one).await.files_sent, 1);
    world.one.carry(&world.other);
    // Other bytes under its name are not taken; it is asked for again.
    let inbox = world.other.folder.path().join("inbox/guest.example");
    fs::write(inbox.join(format!("{sha256}.file")), vec![4; 200_000]).expect("altered");
    let done = world.sync(&world.other).await;
    assert_eq!((done.files, done.refused.len()), (0, 1));
    assert!(done.refused[0].contains("others than were announced"), "{:?}", done.refused);
    let vault = world.other.vault.theirs(&opening().id);
    assert!(!vault.has(&sha256));
    world.round().await;
    assert!(vault.has(&sha256));
    assert!(!world.other.vault.has(&sha256), "it is that case's");
    let left = files_of(&world.one.folder.path().join("outbox/host.example")).expect("listed");
    assert!(!left.iter().any(|name| name.ends_with(".file")), "{left:?}");
}

#[tokio::test]
async fn an_attachment_stays_here_once_the_customer_withdraws_its_consent() {
    let world = World::new().await;
    world.offer().await;
    asked_for(&world, &[5; 10]).await;
    world.post(&world.one, Deed::ConsentWithdrawn { by: text("Pat Doe") }).await;
    let done = world.sync(&world.one).await;
    assert_eq!(done.files_sent, 0);
    assert!(done.held.iter().any(|held| held.contains("evidence")), "{:?}", done.held);
}

#[tokio::test]
async fn rubbish_links_and_strangers_files_are_put_aside_with_the_reason() {
    let world = World::new().await;
    world.offer().await;
    world.sync(&world.one).await;
    world.one.carry(&world.other);
    let inbox = world.other.folder.path().join("inbox/guest.example");
    fs::write(inbox.join("x.message"), "{}").expect("written");
    fs::write(inbox.join("y.message"), vec![b' '; 70_000]).expect("written");
    fs::write(inbox.join("z.receipt"), "[]").expect("written");
    fs::write(inbox.join("../traversal.file"), "x").expect("written");
    fs::write(inbox.join(format!("{}.file", Digest::of(b"q"))), "q").expect("written");
    std::os::unix::fs::symlink("/etc/hostname", inbox.join("l.message")).expect("made");
    let done = world.sync(&world.other).await;
    assert_eq!((done.taken, done.refused.len()), (2, 5), "{:?}", done.refused);
    let why = fs::read_to_string(inbox.join("refused/x.message.why")).expect("the reason");
    assert!(why.contains("cannot be believed"), "{why}");
    assert_eq!(world.sync(&world.other).await.refused.len(), 0);
}

#[tokio::test]
async fn internal_notes_are_in_no_file_that_goes_out() {
    let world = World::new().await;
    world.offer().await;
    let aside = Aside { at: start(), person: None, text: text("SECRET words") };
    world.one.store.add_aside(&opening().id, &aside).await.expect("added");
    let said = Deed::Noted { visibility: Visibility::Both, text: text("SHARED words") };
    world.post(&world.one, said).await;
    world.sync(&world.one).await;
    let outbox = world.one.folder.path().join("outbox/host.example");
    let mut all = String::new();
    for name in files_of(&outbox).expect("listed") {
        let bytes = fs::read(outbox.join(name)).expect("read");
        let sealed = crate::exchange::Sealed::parse(&bytes).expect("a message");
        all.push_str(&format!("{:?}", sealed.message));
    }
    assert!(all.contains("SHARED words") && !all.contains("SECRET"));
}

#[tokio::test]
async fn a_digest_that_another_party_only_names_opens_nothing_of_what_is_here() {
    let world = World::new().await;
    world.offer().await;
    world.round().await;
    // What another customer gave us, in another case.
    let (sha256, size) =
        world.one.vault.put(&b"a dump of somebody else"[..], 1 << 20).expect("taken");
    let named = crate::Attachment { sha256, size, ..attachment(0) };
    world.post(&world.other, Deed::Attached { attachment: named }).await;
    world.round().await;
    let case = world.one.case().await;
    let file = case.attachments.last().expect("announced");
    let got = world.one.vault.of_case(&case.id, Side::Submitter, file);
    assert!(matches!(got, Err(VaultError::Absent(_))), "{got:?}");
    let wanted = missing(&world.one.store, &world.one.vault, &opening().parties.receiver).await;
    assert_eq!(wanted.expect("read").len(), 1, "it is asked for");
    // Of another size than was told, it is not here either.
    let (sha256, size) = world.one.vault.put(&b"ours"[..], 1 << 20).expect("taken");
    let ours = crate::Attachment { sha256, size: size + 1, ..attachment(0) };
    let file = crate::Attached { file: ours, by: Side::Submitter, at: start() };
    assert!(world.one.vault.of_case(&case.id, Side::Submitter, &file).is_err());
}
