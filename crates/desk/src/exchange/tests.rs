//! What is promised of the exchange, case by case; `simulation` has the random schedules.

use hospitium_ledger::{Algorithm, SecretKey, VerifierKey};
use jiff::Timestamp;

use super::*;
use crate::sample::*;
use crate::*;

/// Two desks with their keys.
pub(crate) struct Pair {
    keys: Both<SecretKey>,
    public: Both<Vec<VerifierKey>>,
}

impl Pair {
    pub fn new() -> Self {
        let key = || SecretKey::generate(Algorithm::Ed25519).expect("made");
        let named = |name, key: &SecretKey| {
            vec![VerifierKey::for_records(name, key.public()).expect("named")]
        };
        let (submitter, receiver) = (key(), key());
        let public = Both {
            submitter: named("guest.example", &submitter),
            receiver: named("host.example", &receiver),
        };
        Self { keys: Both { submitter, receiver }, public }
    }

    pub fn key(&self, side: Side) -> &SecretKey {
        self.keys.of(side)
    }

    /// What the other side knows of this one.
    pub fn public(&self, side: Side) -> &[VerifierKey] {
        self.public.of(side)
    }

    pub fn offer(&self) -> Thread {
        let key = self.key(Side::Submitter);
        Thread::offer(opening(), &[], start(), start(), None, key).expect("offered")
    }
}

pub fn receiver() -> PartyName {
    text("host.example")
}

/// Gives the receiver everything that the submitter has.
fn deliver(pair: &Pair, thread: &Thread) -> Thread {
    let keys = pair.public(Side::Submitter);
    let chain = thread.chain(Side::Submitter);
    let (mut other, _) =
        Thread::begin(&chain[0].bytes, keys, &receiver(), start()).expect("begins");
    for sealed in &chain[1..] {
        other.receive(&sealed.bytes, keys, start()).expect("taken");
    }
    other
}

fn note(words: &str) -> Deed {
    Deed::Noted { visibility: Visibility::Both, text: text(words) }
}

#[test]
fn both_desks_have_the_same_case_and_a_repetition_changes_nothing() {
    let pair = Pair::new();
    let ours = pair.offer();
    let mut theirs = deliver(&pair, &ours);
    assert_eq!(ours.case(), theirs.case());
    let keys = pair.public(Side::Submitter);
    for sealed in ours.chain(Side::Submitter) {
        assert_eq!(theirs.receive(&sealed.bytes, keys, start()), Ok(Taken::Known));
    }
    assert_eq!(ours.case(), theirs.case());
    assert!(theirs.divergences().is_empty());
}

#[test]
fn messages_out_of_order_wait_for_those_before_them() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    for words in ["one", "two", "three"] {
        let at = later(ours.case().at, 60);
        ours.post(event(at, Side::Submitter, note(words)), pair.key(Side::Submitter))
            .expect("posted");
    }
    let now = later(start(), 8 * DAY);
    let keys = pair.public(Side::Submitter);
    let chain = ours.chain(Side::Submitter);
    assert_eq!(chain.len(), 5);
    let early = Thread::begin(&chain[1].bytes, keys, &receiver(), now).expect_err("not the first");
    assert!(early.is_for_now(), "{early}");
    let (mut theirs, _) = Thread::begin(&chain[0].bytes, keys, &receiver(), now).expect("begins");
    for place in [4, 3, 2] {
        let held = theirs.receive(&chain[place].bytes, keys, now);
        assert_eq!(held, Ok(Taken::Held { missing: 2 }));
    }
    let taken = theirs.receive(&chain[1].bytes, keys, now).expect("taken");
    assert!(matches!(taken, Taken::New { stored, .. } if stored.len() == 4));
    assert_eq!(theirs.case(), ours.case());
}

#[test]
fn of_two_events_that_cannot_both_be_the_later_one_comes_to_nothing_at_both_desks() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let mut theirs = deliver(&pair, &ours);
    let at = |seconds| later(start(), seconds);
    let withdrawn = Deed::Withdrawn { comment: text("solved by itself") };
    let ours_said = ours
        .post(event(at(60), Side::Submitter, withdrawn), pair.key(Side::Submitter))
        .expect("legal");
    let (_, accepted) = accepted();
    let theirs_said = theirs
        .post(event(at(90), Side::Receiver, accepted), pair.key(Side::Receiver))
        .expect("legal");
    assert_eq!(theirs.case().state.name(), "accepted");
    let taken =
        theirs.receive(&ours_said.bytes, pair.public(Side::Submitter), at(200)).expect("taken");
    let Taken::New { voided, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(voided.iter().map(|void| void.link).collect::<Vec<_>>(), [theirs_said.link()]);
    ours.receive(&theirs_said.bytes, pair.public(Side::Receiver), at(200)).expect("taken");
    assert_eq!(ours.case(), theirs.case());
    assert_eq!(ours.case().state.name(), "withdrawn");
    assert_eq!(ours.voided(), theirs.voided());
}

#[test]
fn forged_altered_readdressed_and_early_messages_are_refused_and_change_nothing() {
    let pair = Pair::new();
    let ours = pair.offer();
    let mut theirs = deliver(&pair, &ours);
    let before = theirs.case().digest();
    let keys = pair.public(Side::Submitter);
    let key = pair.key(Side::Submitter);
    let good = Message {
        case: ours.id().clone(),
        from: opening().parties.submitter,
        to: receiver(),
        seq: 3,
        prev: ours.head(Side::Submitter).map(|link| link.digest),
        seen: None,
        event: event(start(), Side::Submitter, note("words")),
        heard: None,
    };
    let now = later(start(), 60);
    let mut refused = |message: Message, key: &SecretKey| {
        let sealed = sign_message(message, key).expect("signed");
        theirs.receive(&sealed.bytes, keys, now).expect_err("refused")
    };
    let forged = refused(good.clone(), pair.key(Side::Receiver));
    assert!(matches!(forged, Refusal::Message(MessageError::Envelope(_))), "{forged}");
    let to = text("third.example");
    let other = refused(Message { to, ..good.clone() }, key);
    assert!(matches!(other, Refusal::NotForUs { .. }), "{other}");
    let late = event(later(now, 301), Side::Submitter, note("words"));
    let early = refused(Message { event: late, ..good.clone() }, key);
    assert!(matches!(early, Refusal::Future { .. }) && early.is_for_now(), "{early}");
    let ancient = event(text("1970-01-01T00:00:00Z"), Side::Submitter, note("words"));
    let ancient = refused(Message { event: ancient, ..good.clone() }, key);
    assert!(matches!(ancient, Refusal::TooOld(_)), "{ancient}");
    let case = CaseId::from_bytes([9; 16]);
    assert!(matches!(refused(Message { case, ..good.clone() }, key), Refusal::OtherCase(_)));
    let as_other = event(start(), Side::Receiver, note("words"));
    let as_other = refused(Message { event: as_other, ..good.clone() }, key);
    assert!(matches!(as_other, Refusal::OtherSide(_)), "{as_other}");
    let amended = event(start(), Side::Submitter, Deed::Amended { opening: Box::new(opening()) });
    assert_eq!(refused(Message { event: amended, ..good.clone() }, key), Refusal::Draft);
    let old = event(later(start(), -60), Side::Submitter, note("words"));
    let old = refused(Message { event: old, ..good.clone() }, key);
    assert!(matches!(old, Refusal::Backwards { .. }), "{old}");
    let from = text("third.example");
    let named = refused(Message { from, ..good.clone() }, key);
    assert!(matches!(named, Refusal::Message(MessageError::Signer { .. })), "{named}");
    let far = refused(Message { seq: 1000, ..good.clone() }, key);
    assert!(matches!(far, Refusal::TooFar { .. }), "{far}");
    // Each byte of a good one, bent.
    let bytes = sign_message(good, key).expect("signed").bytes;
    for place in (0..bytes.len()).step_by(7) {
        let mut bent = bytes.clone();
        bent[place] ^= 1;
        let result = theirs.receive(&bent, keys, now);
        assert!(result.is_err(), "byte {place}: {result:?}");
    }
    assert_eq!(theirs.case().digest(), before);
    assert!(theirs.divergences().is_empty());
    assert!(theirs.receive(&bytes, keys, now).is_ok(), "the message itself is good");
}

#[test]
fn a_branch_is_shown_and_both_sides_of_it_are_kept() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let mut theirs = deliver(&pair, &ours);
    // A backup was restored: the same desk says two things in one place.
    let mut restored = ours.clone();
    let (key, keys) = (pair.key(Side::Submitter), pair.public(Side::Submitter));
    let now = later(start(), 600);
    let one =
        ours.post(event(later(start(), 60), Side::Submitter, note("one")), key).expect("legal");
    let two =
        restored.post(event(later(start(), 70), Side::Submitter, note("two")), key).expect("legal");
    let behind = restored
        .post(event(later(start(), 80), Side::Submitter, note("three")), key)
        .expect("legal");
    theirs.receive(&one.bytes, keys, now).expect("taken");
    let before = theirs.case().digest();
    for branched in [&two, &behind] {
        let refused = theirs.receive(&branched.bytes, keys, now).expect_err("branches");
        assert!(matches!(refused, Refusal::Branch(_)), "{refused}");
        // Said again, it is not kept again.
        theirs.receive(&branched.bytes, keys, now).expect_err("branches");
    }
    assert_eq!(theirs.case().digest(), before);
    let kept: Vec<_> = theirs
        .divergences()
        .iter()
        .filter_map(|found| match found {
            Divergence::Branch { other, .. } => Some(other.link()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, [two.link(), behind.link()]);
    assert_eq!(theirs.chain(Side::Submitter)[2], one);
    // The one who branched learns it from the receipt.
    restored.take_receipt(&theirs.receipt(now, None), now);
    let shown = restored.divergences().first().expect("shown").to_string();
    assert!(shown.contains("restore a newer backup"), "{shown}");
}

#[test]
fn a_message_that_rests_on_one_of_ours_that_we_lost_is_shown() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let backup = ours.clone();
    let mut theirs = deliver(&pair, &ours);
    let (key, now) = (pair.key(Side::Submitter), later(start(), 600));
    let said =
        ours.post(event(later(start(), 60), Side::Submitter, note("one")), key).expect("legal");
    theirs.receive(&said.bytes, pair.public(Side::Submitter), now).expect("taken");
    let answer = event(later(start(), 90), Side::Receiver, note("two"));
    let answer = theirs.post(answer, pair.key(Side::Receiver)).expect("legal");
    let mut restored = backup;
    let refused =
        restored.receive(&answer.bytes, pair.public(Side::Receiver), now).expect_err("lost");
    assert!(refused.to_string().contains("which is not here"), "{refused}");
    assert_eq!(restored.divergences().len(), 1);
    // With its own message back, it goes on.
    ours.receive(&answer.bytes, pair.public(Side::Receiver), now).expect("taken");
    assert_eq!(ours.case(), theirs.case());
}

#[test]
fn nothing_goes_out_that_the_customer_does_not_allow_any_more() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let (key, at) = (pair.key(Side::Submitter), later(start(), 60));
    ours.acked = 2;
    let facts = Deed::FactsAdded { text: text("it began in May"), configuration: None };
    ours.post(event(at, Side::Submitter, facts), key).expect("legal");
    assert_eq!(ours.outgoing().messages.len(), 1);
    let withdrawn = Deed::ConsentWithdrawn { by: text("Pat Doe") };
    ours.post(event(at, Side::Submitter, withdrawn), key).expect("legal");
    let outgoing = ours.outgoing();
    assert!(outgoing.messages.is_empty());
    assert_eq!(outgoing.held, [Shareable::Problem]);
    let given = Deed::ConsentGiven { consent: consent(&[Shareable::Problem]) };
    ours.post(event(at, Side::Submitter, given), key).expect("legal");
    assert_eq!(ours.outgoing().messages.len(), 3);
}

#[test]
fn a_case_without_consent_is_not_taken() {
    let pair = Pair::new();
    let mut opening = opening();
    opening.consent = None;
    let first = Message {
        case: opening.id.clone(),
        from: opening.parties.submitter.clone(),
        to: receiver(),
        seq: 1,
        prev: None,
        seen: None,
        event: event(start(), Side::Submitter, Deed::Opened { opening: Box::new(opening) }),
        heard: None,
    };
    let bytes = sign_message(first, pair.key(Side::Submitter)).expect("signed").bytes;
    let refused = Thread::begin(&bytes, pair.public(Side::Submitter), &receiver(), start());
    assert!(matches!(refused, Err(Refusal::NoConsent(_))), "{refused:?}");
}

#[test]
fn receipts_move_on_what_is_sent_and_old_ones_change_nothing() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let theirs = deliver(&pair, &ours);
    let at = |seconds| later(start(), seconds);
    assert_eq!(ours.outgoing().messages.len(), 2);
    let receipt = theirs.receipt(at(20), None);
    let bytes = sign_receipt(&receipt, pair.key(Side::Receiver)).expect("signed");
    let now = at(60);
    let read = verify_receipt(&bytes, pair.public(Side::Receiver), now).expect("verifies");
    assert_eq!(read, receipt);
    assert!(verify_receipt(&bytes, pair.public(Side::Submitter), now).is_err());
    ours.take_receipt(&read, now);
    assert!(ours.outgoing().messages.is_empty());
    ours.take_receipt(&Receipt { have: None, at: at(10), ..receipt.clone() }, now);
    assert_eq!(ours.acked(), 2, "an old one");
    // A newer one that says less: that desk lost something.
    ours.take_receipt(&Receipt { have: None, at: at(30), ..receipt.clone() }, now);
    assert_eq!(ours.outgoing().messages.len(), 2);
    let other = Receipt { state: Some(hospitium_model::Digest::of(b"x")), at: at(40), ..receipt };
    ours.take_receipt(&other, now);
    assert!(matches!(ours.divergences(), [Divergence::State { .. }]));
}

#[test]
fn a_receipt_of_the_future_is_refused_and_one_that_was_taken_outweighs_nothing() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let theirs = deliver(&pair, &ours);
    let (now, ahead) = (later(start(), 60), later(start(), 100 * 365 * 86_400));
    let wrong = Receipt { have: None, ..theirs.receipt(ahead, None) };
    let bytes = sign_receipt(&wrong, pair.key(Side::Receiver)).expect("signed");
    let refused = verify_receipt(&bytes, pair.public(Side::Receiver), now);
    assert!(matches!(refused, Err(MessageError::Future { .. })), "{refused:?}");
    assert!(
        verify_receipt(&bytes, pair.public(Side::Receiver), ahead).is_ok(),
        "its time has come"
    );
    // As a desk has it that took one in before.
    ours.take_receipt(&wrong, ahead);
    assert_eq!(ours.outgoing().messages.len(), 2);
    assert!(ours.take_receipt(&theirs.receipt(now, None), now), "it counts");
    assert_eq!((ours.outgoing().messages.len(), ours.receipt_at()), (0, Some(now)));
}

#[test]
fn a_message_is_signed_again_with_a_new_key_and_stays_the_same_message() {
    let pair = Pair::new();
    let ours = pair.offer();
    let new = SecretKey::generate(Algorithm::EcdsaP256).expect("made");
    let named = VerifierKey::for_records("guest.example", new.public()).expect("named");
    let sealed = &ours.chain(Side::Submitter)[0];
    let again = verify_message(&sealed.signed_by(&new), &[named]).expect("verifies");
    assert_eq!(again.digest, sealed.digest);
    assert_eq!(sealed.signed_by(pair.key(Side::Submitter)), sealed.bytes);
}

#[test]
fn a_restored_desk_has_what_it_had() {
    let pair = Pair::new();
    let ours = pair.offer();
    let parse = |side| {
        let chain = ours.chain(side).iter().map(|sealed| Sealed::parse(&sealed.bytes));
        chain.collect::<Result<Vec<_>, _>>().expect("reads")
    };
    let chains = Both { submitter: parse(Side::Submitter), receiver: parse(Side::Receiver) };
    let restored = Thread::restore(Side::Submitter, chains, 1).expect("restored");
    assert_eq!(restored.case(), ours.case());
    assert_eq!(restored.outgoing().messages.len(), 1);
}

#[test]
fn a_message_too_large_for_its_envelope_is_refused_before_anything_changes() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let before = ours.clone();
    let wide = "\u{1f980}".repeat(TEXT_LIMIT);
    let outcome = Outcome { resolution: text(&wide), workaround: Some(text(&wide)), ..outcome() };
    let _: Timestamp = start();
    let deed = Deed::Proposed { outcome: Box::new(outcome) };
    for (by, deed) in [accepted(), started()] {
        // Play the receiver's part directly: only the size is of interest.
        ours.case = apply(ours.case(), &event(start(), by, deed)).expect("legal");
    }
    let refused = ours.post(event(start(), Side::Submitter, deed), pair.key(Side::Submitter));
    assert!(matches!(refused, Err(PostError::Message(MessageError::TooLarge(_)))), "{refused:?}");
    assert_eq!(ours.chain(Side::Submitter), before.chain(Side::Submitter));
}

#[test]
fn what_a_receipt_vouches_for_cannot_be_unseen_by_a_later_message() {
    let pair = Pair::new();
    let mut ours = pair.offer();
    let mut theirs = deliver(&pair, &ours);
    let (accept, now) = (accepted().1, later(start(), 100));
    let said = event(later(start(), 60), Side::Receiver, accept);
    let sealed = theirs.post(said, pair.key(Side::Receiver)).expect("legal");
    let mut whole = ours.clone();
    whole.receive(&sealed.bytes, pair.public(Side::Receiver), now).expect("taken");
    // It withdraws as if it had not seen that.
    let comment = text("not any more");
    let said = event(later(start(), 50), Side::Submitter, Deed::Withdrawn { comment });
    let unseen = ours.post(said, pair.key(Side::Submitter)).expect("legal");
    let keys = pair.public(Side::Submitter);
    let mut before = theirs.clone();
    assert!(before.receive(&unseen.bytes, keys, now).is_ok(), "nobody vouched for anything");
    assert_eq!(before.case().state.name(), "withdrawn");
    assert!(theirs.take_receipt(&whole.receipt(later(start(), 70), None), now));
    assert_eq!(theirs.told(), Vouched { mine: 2, have: 1 });
    let refused = theirs.receive(&unseen.bytes, keys, now);
    assert!(matches!(refused, Err(Refusal::Branch(_))), "{refused:?}");
    assert_eq!(theirs.case().state.name(), "accepted");
    assert!(matches!(theirs.divergences(), [Divergence::Branch { .. }]));
}

#[test]
fn a_case_takes_so_much_of_a_side_and_not_more() {
    let pair = Pair::new();
    let ours = pair.offer();
    let chain = ours.chain(Side::Submitter);
    assert!(!super::chain::is_full(chain, 48_000));
    assert!(super::chain::is_full(chain, 16 << 20));
    let many: Vec<Sealed> = chain.iter().cycle().take(5_000).cloned().collect();
    assert!(super::chain::is_full(&many, 1) && !super::chain::is_full(&many[1..], 1));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
        let keys: &[VerifierKey] = &[];
        assert!(verify_message(&bytes, keys).is_err());
        assert!(verify_receipt(&bytes, keys, start()).is_err());
        assert!(case_of(&bytes).is_none());
    }

    #[test]
    fn a_signed_payload_with_anything_in_it_is_read_or_refused_and_replayed_alike(
        place in 0_usize..4_000,
        byte in 0x20_u8..0x7f,
    ) {
        // What a peer signs need not be what we would write: bend the payload, and sign that.
        let pair = Pair::new();
        let sealed = pair.offer().chain(Side::Submitter)[0].clone();
        let mut payload = serde_json::to_vec(&sealed.message).expect("written");
        let place = place % payload.len();
        payload[place] = byte;
        let key = pair.key(Side::Submitter);
        let bytes = hospitium_ledger::dsse::Envelope::sign_as(MESSAGE_TYPE, &payload, &[key]).to_bytes();
        let keys = pair.public(Side::Submitter);
        if let Ok((thread, Taken::New { stored, .. })) =
            Thread::begin(&bytes, keys, &receiver(), start())
        {
            let again = Sealed::parse(&stored[0].bytes).expect("what was taken is read again");
            let chains = Both { submitter: vec![again], receiver: Vec::new() };
            let again = Thread::restore(Side::Receiver, chains, 0).expect("and makes the case again");
            assert_eq!(again.case(), thread.case());
        }
    }
}

#[test]
fn messages_taken_at_once_make_the_same_case_as_one_by_one_and_a_bad_one_keeps_none_of_the_others()
{
    let pair = Pair::new();
    let mut ours = pair.offer();
    let theirs = deliver(&pair, &ours);
    let (mut at_once, mut one_by_one) = (theirs.clone(), theirs);
    let at = |seconds| later(start(), seconds);
    for desk in [&mut at_once, &mut one_by_one] {
        // Said without having seen anything of what comes, between two of those messages.
        let (_, accepted) = accepted();
        desk.post(event(at(90), Side::Receiver, accepted), pair.key(Side::Receiver))
            .expect("legal");
    }
    for (seconds, deed) in [
        (30, note("one")),
        (60, note("two")),
        (80, Deed::Withdrawn { comment: text("solved by itself") }),
    ] {
        let key = pair.key(Side::Submitter);
        ours.post(event(at(seconds), Side::Submitter, deed), key).expect("posted");
    }
    let chain = ours.chain(Side::Submitter);
    let forged = b"{}".as_slice();
    let bytes = |place: usize| chain[place].bytes.as_slice();
    let messages = [bytes(1), forged, bytes(3), bytes(2), bytes(4)];
    let (keys, now) = (pair.public(Side::Submitter), at(200));
    let all = at_once.receive_all(&messages, keys, now);
    let each: Vec<_> = messages.iter().map(|bytes| one_by_one.receive(bytes, keys, now)).collect();
    assert_eq!(all, each);
    assert_eq!(all[0], Ok(Taken::Known));
    assert!(matches!(all[1], Err(Refusal::Message(_))), "{:?}", all[1]);
    assert_eq!(all[2], Ok(Taken::Held { missing: 3 }));
    assert!(matches!(&all[3], Ok(Taken::New { stored, .. }) if stored.len() == 2), "{:?}", all[3]);
    assert!(matches!(&all[4], Ok(Taken::New { voided, .. }) if voided.len() == 1), "{:?}", all[4]);
    assert_eq!(at_once.case(), one_by_one.case());
    assert_eq!(at_once.case().state.name(), "withdrawn");
    assert_eq!(at_once.voided(), one_by_one.voided());
    assert_eq!(at_once.chains(), one_by_one.chains());
}
