//! What is promised of the store, for SQLite and (with `HOSPITIUM_TEST_POSTGRES`) PostgreSQL.

use hospitium_catalog::sample::database::address;

use super::*;
use crate::exchange::{Pair, Receipt, Refusal, Sealed, Taken, sign_receipt, verify_receipt};
use crate::sample::*;
use crate::sign_in::{Claim, Identity};
use crate::*;

/// Two desks with a database and keys each.
struct Desks {
    stores: Both<Store>,
    pair: Pair,
}

impl Desks {
    async fn new() -> Self {
        let open =
            async || Store::open(&address().await.expect("an address")).await.expect("opens");
        let stores = Both { submitter: open().await, receiver: open().await };
        Self { stores, pair: Pair::new() }
    }

    async fn offer(&self) -> CaseId {
        let key = self.pair.key(Side::Submitter);
        let store = &self.stores.submitter;
        store.keep_draft(&draft()).await.expect("kept");
        store.offer(&draft(), start(), None, key).await.expect("offered").id().clone()
    }

    /// Gives the other desk what it is not known to have, and takes the receipts.
    async fn send(&self, from: Side, id: &CaseId) {
        let store = self.stores.of(from);
        let thread = store.load(id).await.expect("loads");
        let us = thread.case().party(from.other()).clone();
        let (keys, now) = (self.pair.public(from), later(start(), 10 * DAY));
        for sealed in thread.outgoing().messages {
            let got = self.stores.of(from.other()).take_message(&sealed.bytes, keys, &us, now);
            let receipt = got.await.expect("stored").receipt.expect("a receipt");
            let bytes = sign_receipt(&receipt, self.pair.key(from.other())).expect("signed");
            let read = verify_receipt(&bytes, self.pair.public(from.other()), now);
            let read = read.expect("verifies");
            store.take_receipt(&read, now).await.expect("taken");
        }
    }
}

fn draft() -> Draft {
    Draft { opening: opening(), files: Vec::new(), opened: start(), person: None }
}

fn note(words: &str) -> Event {
    let deed = Deed::Noted { visibility: Visibility::Both, text: text(words) };
    event(later(start(), 60), Side::Submitter, deed)
}

#[tokio::test]
async fn a_case_comes_back_as_it_was_at_both_desks() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let Both { submitter, receiver } = &desks.stores;
    submitter.post(&id, note("one"), desks.pair.key(Side::Submitter)).await.expect("posted");
    desks.send(Side::Submitter, &id).await;
    let (by, deed) = accepted();
    let accept = event(later(start(), 120), by, deed);
    receiver.post(&id, accept, desks.pair.key(Side::Receiver)).await.expect("posted");
    desks.send(Side::Receiver, &id).await;
    let (ours, theirs) =
        (submitter.load(&id).await.expect("loads"), receiver.load(&id).await.expect("loads"));
    assert_eq!(ours.case(), theirs.case());
    assert_eq!(ours.case().state.name(), "accepted");
    assert_eq!(ours.acked(), 3);
    assert!(ours.outgoing().messages.is_empty() && theirs.outgoing().messages.is_empty());
    assert!(submitter.due(later(start(), 20 * DAY)).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_draft_is_changed_offered_and_thrown_away() {
    let store = Store::open(&address().await.expect("an address")).await.expect("opens");
    let pair = Pair::new();
    let mut one = draft();
    store.keep_draft(&one).await.expect("kept");
    one.opening.problem.summary = text("another");
    store.keep_draft(&one).await.expect("kept again");
    let id = one.opening.id.clone();
    assert_eq!(store.draft(&id).await.expect("read"), Some(one.clone()));
    let early = store.post(&id, note("x"), pair.key(Side::Submitter)).await.expect_err("a draft");
    assert!(matches!(early, StoreError::Draft(_)), "{early}");
    store.offer(&one, start(), None, pair.key(Side::Submitter)).await.expect("offered");
    assert_eq!(store.draft(&id).await.expect("read"), None);
    assert!(matches!(store.keep_draft(&one).await, Err(StoreError::Taken(_))));
    assert!(matches!(store.drop_draft(&id).await, Err(StoreError::NoCase(_))));
    let mut licence = draft();
    licence.opening.problem.topic = Topic::Licensing;
    assert!(matches!(store.keep_draft(&licence).await, Err(StoreError::Illegal(_))));
}

#[tokio::test]
async fn an_illegal_event_and_a_repeated_message_store_nothing() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    desks.send(Side::Submitter, &id).await;
    let Both { submitter, receiver } = &desks.stores;
    let before = submitter.load(&id).await.expect("loads");
    let started = event(later(start(), 60), Side::Submitter, Deed::Started {});
    let key = desks.pair.key(Side::Submitter);
    assert!(matches!(submitter.post(&id, started, key).await, Err(StoreError::Post(_))));
    let after = submitter.load(&id).await.expect("loads");
    assert_eq!(before.chains(), after.chains());
    let (keys, us) = (desks.pair.public(Side::Submitter), opening().parties.receiver);
    let again = &before.chain(Side::Submitter)[1].bytes;
    let got = receiver.take_message(again, keys, &us, later(start(), 60)).await.expect("works");
    assert_eq!(got.taken, Ok(Taken::Known));
    assert_eq!(got.receipt.and_then(|receipt| receipt.have), before.head(Side::Submitter));
}

#[tokio::test]
async fn a_refused_message_is_noted_with_its_reason_and_changes_nothing() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    desks.send(Side::Submitter, &id).await;
    let Both { submitter, receiver } = &desks.stores;
    let sealed = {
        let key = desks.pair.key(Side::Receiver);
        let mut thread = submitter.load(&id).await.expect("loads");
        thread.post(note("forged"), key).expect("made")
    };
    let before = receiver.load(&id).await.expect("loads");
    let (keys, us) = (desks.pair.public(Side::Submitter), opening().parties.receiver);
    for bytes in [sealed.bytes.as_slice(), b"{}", b"\xff"] {
        let got = receiver.take_message(bytes, keys, &us, later(start(), 60)).await.expect("works");
        assert!(matches!(got.taken, Err(Refusal::Message(_))));
        assert!(got.receipt.is_none(), "a stranger learns nothing");
    }
    assert_eq!(receiver.load(&id).await.expect("loads").chains(), before.chains());
    let refused = receiver.refused().await.expect("read");
    assert_eq!(refused.len(), 3);
    assert!(
        refused
            .iter()
            .any(|(_, from, why)| from == "guest.example" && why.contains("no trusted key"))
    );
}

#[tokio::test]
async fn a_branch_outlives_a_restart() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let key = desks.pair.key(Side::Submitter);
    let Both { submitter, receiver } = &desks.stores;
    let mut backup = submitter.load(&id).await.expect("loads");
    submitter.post(&id, note("one"), key).await.expect("posted");
    desks.send(Side::Submitter, &id).await;
    let two = backup.post(note("two"), key).expect("made");
    let (keys, us) = (desks.pair.public(Side::Submitter), opening().parties.receiver);
    for _ in 0..2 {
        let got = receiver.take_message(&two.bytes, keys, &us, later(start(), DAY)).await;
        assert!(matches!(got.expect("works").taken, Err(Refusal::Branch(_))));
    }
    let thread = receiver.load(&id).await.expect("loads");
    assert_eq!(thread.divergences().len(), 1);
    assert!(thread.divergences()[0].to_string().contains("branch at number 3"));
    assert_eq!(thread.case().notes.len(), 1);
}

#[tokio::test]
async fn what_is_not_answered_is_sent_again_after_longer_and_longer_waits() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let store = &desks.stores.submitter;
    let mut now = start();
    let mut waits = Vec::new();
    for _ in 0..9 {
        let due = store.due(now).await.expect("read");
        let [due] = due.as_slice() else { panic!("{due:?}") };
        store.tried(std::slice::from_ref(due), now).await.expect("noted");
        let mut wait = 0;
        while store.due(later(now, wait)).await.expect("read").is_empty() {
            wait += 5;
        }
        waits.push(wait);
        now = later(now, wait);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
    // A new event goes at once.
    store.tried(&store.due(now).await.expect("read")[..1], now).await.expect("noted");
    assert!(store.due(now).await.expect("read").is_empty());
    store.post(&id, note("new"), desks.pair.key(Side::Submitter)).await.expect("posted");
    assert_eq!(store.due(now).await.expect("read").len(), 1);
}

#[tokio::test]
async fn internal_notes_are_kept_in_their_order_and_are_in_no_message() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let store = &desks.stores.submitter;
    for words in ["SECRET one", "SECRET two"] {
        let aside = Aside { at: start(), person: None, text: text(words) };
        store.add_aside(&id, &aside).await.expect("added");
    }
    let words: Vec<_> =
        store.asides(&id).await.expect("read").into_iter().map(|a| a.text.to_string()).collect();
    assert_eq!(words, ["SECRET one", "SECRET two"]);
    desks.send(Side::Submitter, &id).await;
    assert!(desks.stores.receiver.asides(&id).await.expect("read").is_empty());
    for thread in [store.load(&id).await, desks.stores.receiver.load(&id).await] {
        let all = format!("{:?}", thread.expect("loads"));
        assert!(!all.contains("SECRET"));
    }
    let nobody = CaseId::from_bytes([1; 16]);
    let aside = Aside { at: start(), person: None, text: text("x") };
    assert!(matches!(store.add_aside(&nobody, &aside).await, Err(StoreError::NoCase(_))));
}

#[tokio::test]
async fn a_case_is_found_by_the_beginning_of_its_id() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let store = &desks.stores.submitter;
    for short in [id.as_str(), "c-0707", "0707", "C-0707"] {
        assert_eq!(store.find(short).await.expect(short), id);
    }
    for bad in ["", "07", "c-08", "%", "c-%%%%", "../x"] {
        assert!(matches!(store.find(bad).await, Err(StoreError::NoCase(_))), "{bad}");
    }
    let mut other = draft();
    other.opening.id = CaseId::from_bytes([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8]);
    store.keep_draft(&other).await.expect("kept");
    assert!(matches!(store.find("0707").await, Err(StoreError::Several { .. })));
}

#[tokio::test]
async fn an_export_brings_a_lost_desk_back_and_cannot_contradict_what_is_there() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let Both { submitter, receiver } = &desks.stores;
    submitter.post(&id, note("one"), desks.pair.key(Side::Submitter)).await.expect("posted");
    desks.send(Side::Submitter, &id).await;
    let whole = receiver.load(&id).await.expect("loads");
    let lost = Store::open(&address().await.expect("an address")).await.expect("opens");
    let (sure, now) = (Both { submitter: 3, receiver: 0 }, later(start(), 20 * DAY));
    let import = |chains: &Both<Vec<Sealed>>, sure, now| {
        lost.import(Side::Submitter, chains.clone(), sure, now)
    };
    // What is new by an import passes the same checks as what comes by the exchange.
    let old_key = import(whole.chains(), Both { submitter: 2, receiver: 0 }, now).await;
    assert!(matches!(old_key, Err(StoreError::OldKey { seq: 3, .. })), "{old_key:?}");
    for (at, future) in [(later(start(), -DAY), true), (later(start(), 4_000 * DAY), false)] {
        let refused = import(whole.chains(), sure, at).await;
        let Err(StoreError::NotNow { why, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(matches!(*why, Refusal::Future { .. }), future, "{why}");
    }
    assert!(lost.ids().await.expect("listed").0.is_empty(), "nothing was taken");
    let (thread, added) = import(whole.chains(), sure, now).await.expect("imported");
    assert_eq!((thread.case(), added), (whole.case(), 3));
    // What is here needs nobody's word any more.
    let none = Both { submitter: 0, receiver: 0 };
    let (_, again) = import(whole.chains(), none, now).await.expect("imported");
    assert_eq!(again, 0);
    let mut other = submitter.load(&id).await.expect("loads").chains().clone();
    other.submitter.pop();
    let mut branch = Thread::restore(Side::Submitter, other, 0).expect("restored");
    branch.post(note("two"), desks.pair.key(Side::Submitter)).expect("made");
    let refused = import(branch.chains(), sure, now).await;
    assert!(matches!(refused, Err(StoreError::Branch { seq: 3, .. })));
}

#[tokio::test]
async fn an_older_receipt_and_one_of_another_party_change_nothing() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    desks.send(Side::Submitter, &id).await;
    let store = &desks.stores.submitter;
    let file = hospitium_model::Digest::of(b"file");
    let newest = {
        let thread = desks.stores.receiver.load(&id).await.expect("loads");
        Receipt { wants: vec![file], ..thread.receipt(later(start(), 11 * DAY), None) }
    };
    store.take_receipt(&newest, later(start(), 20 * DAY)).await.expect("taken");
    let older = Receipt { have: None, wants: Vec::new(), at: start(), ..newest.clone() };
    let others =
        Receipt { from: text("third.example"), at: later(start(), 12 * DAY), ..older.clone() };
    for receipt in [older, others] {
        store.take_receipt(&receipt, later(start(), 20 * DAY)).await.expect("passed over");
    }
    assert_eq!(store.load(&id).await.expect("loads").acked(), 2);
    let wanted = store.wanted(&opening().parties.receiver).await.expect("read");
    assert_eq!(wanted.iter().flat_map(|wanted| wanted.files.clone()).collect::<Vec<_>>(), [file]);
}

#[tokio::test]
async fn a_damaged_row_is_told_and_what_another_program_wrote_is_not_read() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let store = &desks.stores.submitter;
    let sql = "DELETE FROM desk_messages WHERE seq = 1";
    sqlx::query(sql).execute(&store.pool).await.expect("deleted");
    let damaged = store.load(&id).await.expect_err("damaged").to_string();
    assert!(damaged.contains("message 1 of the submitter is missing"), "{damaged}");
    let sql = "UPDATE desk_meta SET value = '99'";
    sqlx::query(sql).execute(&store.pool).await.expect("changed");
    assert!(matches!(store.prepare().await, Err(StoreError::Form { .. })));
}

fn account(login: &str) -> Account {
    Account {
        login: login.parse().expect("a name"),
        role: Role::Engineer,
        name: text("Ann Smith"),
        address: Some(text("ann@guest.example")),
        customer: None,
    }
}

#[tokio::test]
async fn an_account_and_its_sessions_come_and_go_together() {
    let store = Store::open(&address().await.expect("an address")).await.expect("opens");
    let ann = account("ann");
    store.add_account(&ann, "hash").await.expect("added");
    assert!(matches!(store.add_account(&ann, "other").await, Err(StoreError::Account(..))));
    assert_eq!(store.account(&ann.login).await.expect("read"), Some((ann.clone(), "hash".into())));
    let token = store.begin_session(&ann.login, start()).await.expect("begun");
    let at = async |seconds| store.session(&token, later(start(), seconds)).await.expect("read");
    assert_eq!(at(60).await, Some(ann.clone()));
    // Each request lets it go on; without one it ends, and after half a day in any case.
    for minute in (0..700).step_by(25) {
        assert_eq!(at(minute * 60).await, Some(ann.clone()), "minute {minute}");
    }
    assert_eq!(at(SESSION.1 + 1).await, None);
    let token = store.begin_session(&ann.login, start()).await.expect("begun");
    let idle = later(start(), SESSION.0 + 1);
    assert_eq!(store.session(&token, idle).await.expect("read"), None);
    let token = store.begin_session(&ann.login, start()).await.expect("begun");
    store.change_password(&ann.login, "new").await.expect("changed");
    assert_eq!(store.session(&token, start()).await.expect("read"), None);
    store.remove_account(&ann.login).await.expect("removed");
    assert!(matches!(store.remove_account(&ann.login).await, Err(StoreError::Account(..))));
    store.audit(start(), "ann", "one", "x").await.expect("noted");
    store.audit(later(start(), 1), "ann", "two", "x").await.expect("noted");
    let what: Vec<_> =
        store.audited(9).await.expect("read").into_iter().map(|row| row.what).collect();
    assert_eq!(what, ["two", "one"]);
}

#[tokio::test]
async fn a_request_and_a_form_count_once_and_a_notice_is_told_until_it_is_heard() {
    let desks = Desks::new().await;
    let id = desks.offer().await;
    let store = &desks.stores.submitter;
    let (request, until) = (hospitium_model::Digest::of(b"request"), later(start(), 600));
    assert!(store.first_time(&request, until, start()).await.expect("noted"));
    assert!(!store.first_time(&request, until, later(start(), 599)).await.expect("noted"));
    // Forgotten once it is too old to be believed.
    let other = hospitium_model::Digest::of(b"another");
    assert!(
        store.first_time(&other, later(start(), 2_000), later(start(), 601)).await.expect("noted")
    );
    assert!(store.first_time(&request, until, later(start(), 602)).await.expect("noted"));
    let unnoticed = store.unnoticed().await.expect("read");
    assert_eq!(unnoticed, [(id.clone(), Both { submitter: 0, receiver: 0 })]);
    let notice = Notice { id: "n".into(), to: "x".into(), body: "{}".into(), tries: 0 };
    let seen = Both { submitter: 2, receiver: 0 };
    for _ in 0..2 {
        store
            .notice(Some((&id, seen)), std::slice::from_ref(&notice), start())
            .await
            .expect("kept");
    }
    assert!(store.unnoticed().await.expect("read").is_empty());
    assert_eq!(store.notices(start()).await.expect("read"), std::slice::from_ref(&notice));
    store.not_told(&notice, start()).await.expect("noted");
    assert!(store.notices(start()).await.expect("read").is_empty());
    let again = store.notices(later(start(), 10)).await.expect("read");
    assert_eq!(again.iter().map(|notice| notice.tries).collect::<Vec<_>>(), [1]);
    store.told(&notice, later(start(), 10)).await.expect("noted");
    assert_eq!(store.next_notice().await.expect("read"), None);
    // Given up after a day.
    let late = Notice { id: "late".into(), ..notice };
    store.notice(None, std::slice::from_ref(&late), start()).await.expect("kept");
    store.not_told(&late, later(start(), DAY + 1)).await.expect("noted");
    assert_eq!(store.next_notice().await.expect("read"), None);
}

/// Two cases that are offered, and what their first messages are.
async fn two_cases(desks: &Desks) -> [(CaseId, Vec<Vec<u8>>); 2] {
    let store = &desks.stores.submitter;
    let mut both = [7, 8].map(|number| (CaseId::from_bytes([number; 16]), Vec::new()));
    for (id, messages) in &mut both {
        let opening = Opening { id: id.clone(), ..opening() };
        let draft = Draft { opening, ..draft() };
        let key = desks.pair.key(Side::Submitter);
        let thread = store.offer(&draft, start(), None, key).await.expect("offered");
        let chain = thread.chain(Side::Submitter).iter();
        messages.extend(chain.map(|sealed| sealed.bytes.clone()));
    }
    both
}

fn of_cases(cases: &[(CaseId, Vec<Vec<u8>>)]) -> Vec<OfCase<'_>> {
    cases
        .iter()
        .map(|(case, messages)| OfCase {
            case: case.clone(),
            messages: messages.iter().map(Vec::as_slice).collect(),
        })
        .collect()
}

#[tokio::test]
async fn messages_of_several_cases_are_stored_together_and_a_damaged_case_does_not_keep_the_others()
{
    let desks = Desks::new().await;
    let cases = two_cases(&desks).await;
    let Both { submitter, receiver } = &desks.stores;
    let (keys, us) = (desks.pair.public(Side::Submitter), opening().parties.receiver);
    let now = later(start(), 60);
    let got = receiver.take_messages(&of_cases(&cases), keys, &us, now).await.expect("stored");
    assert!(got.iter().flatten().all(|got| matches!(got.taken, Ok(Taken::New { .. }))), "{got:?}");
    let mut more = cases.clone();
    for (id, messages) in &mut more {
        let said = submitter.post(id, note("more"), desks.pair.key(Side::Submitter)).await;
        let thread = said.expect("posted");
        *messages = vec![thread.chain(Side::Submitter).last().expect("one").bytes.clone()];
        let here = receiver.load(id).await.expect("loads");
        assert_eq!(here.chain(Side::Submitter).len() + 1, thread.chain(Side::Submitter).len());
    }
    let [(first, _), (second, _)] = &cases;
    let sql = "UPDATE desk_messages SET envelope = '{}' WHERE case_id = $1";
    sqlx::query(sql).bind(second.as_str()).execute(&receiver.pool).await.expect("damaged");
    let all = receiver.take_messages(&of_cases(&more), keys, &us, now).await;
    assert!(matches!(all, Err(StoreError::Damaged { .. })), "{all:?}");
    assert_eq!(receiver.load(first).await.expect("loads").case().notes.len(), 1);
    let theirs = receiver.load(first).await.expect("loads").receipt(now, None);
    let of = |case: &CaseId| Receipt { case: case.clone(), ..theirs.clone() };
    let unknown = CaseId::from_bytes([9; 16]);
    let known = submitter.take_receipts(&[of(first), of(&unknown)], now).await.expect("stored");
    assert_eq!(known, [true, false]);
    assert!(submitter.load(first).await.expect("loads").outgoing().messages.is_empty());
}

#[tokio::test]
async fn a_bridged_case_is_kept_heard_once_and_never_due_to_be_sent() {
    let desks = Desks::new().await;
    let (store, key) = (&desks.stores.submitter, desks.pair.key(Side::Submitter));
    let bridged = Opening { channel: Channel::Bridge, ..opening() };
    let draft = Draft { opening: bridged, ..draft() };
    store.keep_draft(&draft).await.expect("kept");
    let id = store.offer(&draft, start(), None, key).await.expect("offered").id().clone();
    store.post(&id, note("ours"), key).await.expect("posted");
    let parts = || {
        let heard = crate::exchange::Heard {
            by: text("guest.example"),
            through: text("TSANet Connect"),
            request: text("request 1"),
            part: text("response 1"),
        };
        let (by, deed) = accepted();
        vec![(event(later(start(), 90), by, deed), heard)]
    };
    assert_eq!(store.hear(&id, parts(), key).await.expect("heard").1, 1);
    assert_eq!(store.hear(&id, parts(), key).await.expect("known").1, 0);
    let thread = store.load(&id).await.expect("loads");
    assert_eq!((thread.case().state.name(), thread.hears_rightly()), ("accepted", true));
    assert_eq!(store.due(later(start(), DAY)).await.expect("read"), []);
    // All of it or nothing.
    let mut both = parts();
    both[0].1.part = text("response 2");
    let (by, deed) = started();
    both.insert(0, (event(later(start(), 120), by, deed), both[0].1.clone()));
    both[0].1.part = text("response 3");
    assert!(store.hear(&id, both, key).await.is_err(), "accepted twice");
    assert_eq!(store.load(&id).await.expect("loads").case().state.name(), "accepted");
}

#[tokio::test]
async fn an_archive_of_a_bridged_case_comes_back_to_its_own_desk_and_to_no_other() {
    let desks = Desks::new().await;
    let key = desks.pair.key(Side::Submitter);
    let bridged = Opening { channel: Channel::Bridge, ..opening() };
    let mut thread = Thread::offer(bridged, &[], start(), start(), None, key).expect("offered");
    let heard = crate::exchange::Heard {
        by: text("guest.example"),
        through: text("TSANet Connect"),
        request: text("request 1"),
        part: text("response 1"),
    };
    let (by, deed) = accepted();
    let event = event(later(start(), 90), by, deed);
    thread.hear(event, heard, key).expect("legal").expect("new");
    let (chains, now) = (thread.chains().clone(), later(start(), DAY));
    let sure = Both { submitter: usize::MAX, receiver: usize::MAX };
    let theirs = desks.stores.receiver.import(Side::Receiver, chains.clone(), sure, now).await;
    assert!(matches!(theirs, Err(StoreError::Hearsay)), "{theirs:?}");
    let ours = desks.stores.submitter.import(Side::Submitter, chains, sure, now).await;
    let (whole, added) = ours.expect("taken");
    assert_eq!((added, whole.case()), (3, thread.case()));
    assert_eq!(desks.stores.submitter.due(now).await.expect("read"), []);
}

#[tokio::test]
async fn an_identity_begins_sessions_of_its_account_alone_and_ends_them_when_it_goes() {
    let store = Store::open(&address().await.expect("an address")).await.expect("opens");
    let (ann, bo) = (account("ann"), account("bo"));
    for account in [&ann, &bo] {
        store.add_account(account, "").await.expect("added");
    }
    let of = |issuer: &str, value: &str| {
        Identity::new(issuer, Claim::Email, value).expect("an identity")
    };
    let hers = of("https://login.example", "ann@vendor.example");
    let signed = async |identity: &Identity| {
        let begun = store.sign_in_as(identity, start()).await.expect("asked");
        begun.map(|(account, token)| (account.login, token))
    };
    assert_eq!(signed(&hers).await, None);
    store.link(&ann.login, Some(&hers)).await.expect("linked");
    let (login, token) = signed(&hers).await.expect("known");
    assert_eq!(login, ann.login);
    let goes_on = async |token| store.session(token, start()).await.expect("read").is_some();
    assert!(goes_on(&token).await);
    for other in [
        of("https://other.example", "ann@vendor.example"),
        of("https://login.example", "bo@vendor.example"),
        Identity { claim: Claim::Sub, ..hers.clone() },
    ] {
        assert_eq!(signed(&other).await, None, "{other:?}");
    }
    let taken = store.link(&bo.login, Some(&hers)).await.expect_err("hers");
    assert!(taken.to_string().contains("another account"), "{taken}");
    assert!(goes_on(&token).await, "a link that is refused changes nothing");
    store.link(&ann.login, None).await.expect("unlinked");
    assert!(!goes_on(&token).await);
    assert_eq!(signed(&hers).await, None);
    store.link(&ann.login, Some(&hers)).await.expect("linked");
    let (_, token) = signed(&hers).await.expect("known");
    store.remove_account(&ann.login).await.expect("removed");
    assert!(!goes_on(&token).await);
    store.add_account(&ann, "").await.expect("another of the name");
    assert_eq!(signed(&hers).await, None, "the name alone gives no identity");
    assert!(store.link(&"nobody".parse().expect("a name"), Some(&hers)).await.is_err());
}
