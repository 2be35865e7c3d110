//! What was heard stays at the desk that wrote it down.

use super::*;
use crate::exchange::{Message, Pair, Refusal, sign_message};
use crate::sample::*;
use crate::*;

fn bridged() -> Opening {
    Opening { channel: Channel::Bridge, ..opening() }
}

fn source(by: &str, part: &str) -> Heard {
    Heard {
        by: text(by),
        through: text("TSANet Connect"),
        request: text("request 1"),
        part: text(part),
    }
}

fn note(words: &str) -> Deed {
    Deed::Noted { visibility: Visibility::Both, text: text(words) }
}

/// A bridged case at its submitter, with one note heard of the receiver.
fn ours(pair: &Pair) -> Thread {
    let key = pair.key(Side::Submitter);
    let mut thread = Thread::offer(bridged(), &[], start(), start(), None, key).expect("offered");
    let said = event(later(start(), 60), Side::Receiver, note("seen"));
    thread.hear(said, source("guest.example", "note 1"), key).expect("legal").expect("new");
    thread
}

#[test]
fn nothing_of_a_bridged_case_is_sent_and_no_desk_takes_a_message_of_it() {
    let pair = Pair::new();
    let mut thread = ours(&pair);
    assert!(thread.outgoing().messages.is_empty());
    let first = &thread.chain(Side::Submitter)[0].bytes;
    let keys = pair.public(Side::Submitter);
    let begun = Thread::begin(first, keys, &text("host.example"), later(start(), 60));
    assert!(matches!(begun, Err(Refusal::Bridged)), "{begun:?}");
    // The other vendor's own desk, if it has one after all.
    let real = Message {
        case: thread.id().clone(),
        from: text("host.example"),
        to: text("guest.example"),
        seq: 2,
        prev: thread.head(Side::Receiver).map(|link| link.digest),
        seen: None,
        event: event(later(start(), 60), Side::Receiver, note("signed")),
        heard: None,
    };
    let sealed = sign_message(real, pair.key(Side::Receiver)).expect("signed");
    let taken = thread.receive(&sealed.bytes, pair.public(Side::Receiver), later(start(), 90));
    assert_eq!(taken, Err(Refusal::Bridged));
}

#[test]
fn a_message_that_its_sender_did_not_sign_is_refused_by_every_other_desk() {
    let pair = Pair::new();
    let offered = pair.offer();
    let keys = pair.public(Side::Submitter);
    let chain = offered.chain(Side::Submitter);
    let (mut theirs, _) =
        Thread::begin(&chain[0].bytes, keys, &text("host.example"), start()).expect("begins");
    theirs.receive(&chain[1].bytes, keys, start()).expect("taken");
    let mut message = chain[1].message.clone();
    message.seq = 3;
    message.prev = Some(chain[1].digest);
    message.event = event(start(), Side::Submitter, note("said by whom?"));
    message.heard = Some(source("guest.example", "note 1"));
    let sealed = sign_message(message.clone(), pair.key(Side::Submitter)).expect("signed");
    let taken = theirs.receive(&sealed.bytes, keys, start());
    assert!(matches!(taken, Err(Refusal::Heard(_))), "{taken:?}");
    // Nor as the receiver's own words, which the submitter claims to have heard.
    message.from = text("host.example");
    let sealed = sign_message(message, pair.key(Side::Submitter)).expect("signed");
    assert!(theirs.receive(&sealed.bytes, keys, start()).is_err());
    let mut first = chain[0].message.clone();
    first.heard = Some(source("guest.example", "request 1"));
    let sealed = sign_message(first, pair.key(Side::Submitter)).expect("signed");
    let begun = Thread::begin(&sealed.bytes, keys, &text("host.example"), start());
    assert!(matches!(begun, Err(Refusal::Heard(_))), "{begun:?}");
}

#[test]
fn a_part_is_heard_once_and_what_is_not_legal_changes_nothing() {
    let pair = Pair::new();
    let mut thread = ours(&pair);
    let key = pair.key(Side::Submitter);
    let before = thread.case().digest();
    let again = event(later(start(), 90), Side::Receiver, note("seen"));
    let again = thread.hear(again, source("guest.example", "note 1"), key);
    assert!(matches!(again, Ok(None)), "{again:?}");
    let early = event(later(start(), 90), Side::Receiver, Deed::Started {});
    let early = thread.hear(early, source("guest.example", "response 1"), key);
    assert!(matches!(early, Err(PostError::Illegal(_))), "{early:?}");
    assert_eq!(thread.case().digest(), before);
}

#[test]
fn what_was_heard_is_never_of_the_side_that_wrote_it_down() {
    let pair = Pair::new();
    let mut thread = ours(&pair);
    let key = pair.key(Side::Submitter);
    let said = event(later(start(), 120), Side::Submitter, note("as ours"));
    let sealed = thread.hear(said, source("guest.example", "note 2"), key).expect("legal");
    assert_eq!(sealed.expect("new").message.event.by, Side::Receiver);
    assert!(thread.hears_rightly());
    // Replayed from its messages, it is the same case.
    let again = Thread::restore(Side::Submitter, thread.chains().clone(), 0).expect("replays");
    assert_eq!(again.case(), thread.case());
    assert!(again.hears_rightly());
    // The same messages at the other vendor's desk are nothing that it wrote down.
    let theirs = Thread::restore(Side::Receiver, thread.chains().clone(), 0).expect("replays");
    assert!(!theirs.hears_rightly());
    let mut forged = pair.offer().chains().clone();
    forged.receiver.extend(thread.chain(Side::Receiver).iter().cloned());
    let forged = Thread::restore(Side::Submitter, forged, 0).expect("replays");
    assert!(!forged.hears_rightly(), "in a case that two desks exchange");
}
