//! The invariants of a case, over random sequences of legal and illegal events.

use proptest::prelude::*;

use crate::sample::*;
use crate::*;

/// One step of a random life: which deed, whether it is picked among the legal ones, its content, how
/// much later, and (of an illegal one) by whom.
type Step = (u16, bool, u64, i64, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![
        6 => 0_i64..7_200,
        // An event that was dated before the last one.
        1 => -7_200_i64..0,
        2 => 0..40 * DAY,
        3 => 22 * DAY..32 * DAY,
    ];
    let step = (0_u16.., prop::bool::weighted(0.75), 0_u64.., wait, prop::bool::ANY);
    prop::collection::vec(step, 1..60)
}

fn event_of(case: &Case, step: &Step) -> Event {
    let (which, is_legal, pick, wait, submitter) = *step;
    let at = later(case.at, wait);
    let all = DeedKind::ALL;
    let mut kind = all[usize::from(which) % all.len()];
    let mut by = if submitter { Side::Submitter } else { Side::Receiver };
    if is_legal {
        // Half of the time what moves the case on.
        let mut legal = legal(case, at.max(case.at));
        let moves = |next: &Next| moves_on(next.deed);
        if pick % 2 == 0 && legal.iter().any(moves) {
            legal.retain(moves);
        }
        let idle = |next: &Next| matches!(next.deed, DeedKind::IdleWarned | DeedKind::AutoClosed);
        if pick % 8 < 6 && legal.iter().any(idle) {
            legal.retain(idle);
        }
        if let Some(next) = legal.get(usize::from(which) % legal.len().max(1)) {
            (kind, by) = (next.deed, next.by);
        }
    }
    event(at, by, deed(kind, pick / 2, at.max(case.at), by))
}

/// Plays a random life; gives every case on the way, and the events that were legal.
fn play(
    steps: &[Step],
    mut each: impl FnMut(&Case, &Event, &Result<Case, Illegal>),
) -> (Case, Vec<Event>) {
    let first = opened();
    let mut case = open(&first).expect("opens");
    let mut events = vec![first];
    for step in steps {
        let event = event_of(&case, step);
        let result = apply(&case, &event);
        each(&case, &event, &result);
        if let Ok(next) = result {
            case = next;
            events.push(event);
        }
    }
    (case, events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 128 } else { 4_000 }))]

    #[test]
    fn the_ball_is_with_one_party_which_has_something_to_do(steps in steps()) {
        play(&steps, |case, event, _| {
            let owner = case.owner;
            assert!(Side::BOTH.contains(&owner));
            let sides: Vec<Side> = match case.ball() {
                Holder::Submitter => vec![Side::Submitter],
                Holder::Receiver => vec![Side::Receiver],
                // The owner passes on what the customer says.
                Holder::Customer => vec![owner],
            };
            let legal = legal(case, event.at);
            if case.state.is_open() {
                let can = |next: &Next| sides.contains(&next.by) && moves_on(next.deed);
                assert!(legal.iter().any(can), "{}: nobody can move it on: {legal:?}", case.state);
            }
        });
    }

    #[test]
    fn the_customers_owner_changes_only_by_an_accepted_transfer(steps in steps()) {
        play(&steps, |case, event, result| {
            if let Ok(next) = result {
                let transferred = event.deed.kind() == DeedKind::TransferAccepted;
                assert_eq!(next.owner != case.owner, transferred, "{}", event.deed.kind());
                if transferred {
                    assert_eq!((event.by, next.owner), (case.owner.other(), event.by));
                }
            }
        });
    }

    #[test]
    fn nothing_is_accepted_without_number_engineer_and_response_time(steps in steps()) {
        play(&steps, |case, _, _| {
            let taken = matches!(
                case.state,
                State::Accepted {} | State::Working {} | State::Waiting { .. }
                    | State::ResolutionProposed { .. } | State::TransferOffered { .. } | State::Closed { .. }
            );
            if taken {
                assert!(case.numbers.receiver.is_some());
                let engineer = case.engineers.receiver.as_ref().expect("an engineer");
                assert!(engineer.address.is_of(&case.parties.receiver));
                let responds = |lap: &Lap| lap.clock == ClockName::Update && lap.within.count() > 0;
                assert!(case.laps.iter().any(responds));
            }
        });
    }

    #[test]
    fn nothing_is_closed_without_the_layer_at_fault(steps in steps()) {
        play(&steps, |case, _, _| {
            let closed = matches!(case.state, State::Closed { .. } | State::AutoClosed { .. });
            assert_eq!(closed, case.state.layer().is_some());
        });
    }

    #[test]
    fn declining_leaves_a_next_step(steps in steps()) {
        play(&steps, |case, event, _| {
            if let State::Declined { next_step, .. } = &case.state {
                assert!(!next_step.as_str().trim().is_empty());
                let again = Next { deed: DeedKind::Offered, by: Side::Submitter };
                assert!(legal(case, event.at).contains(&again));
            }
        });
    }

    #[test]
    fn every_pause_ends_and_closing_leaves_none(steps in steps()) {
        let (case, _) = play(&steps, |case, _, _| {
            for pause in &case.pauses {
                assert!(pause.began <= pause.end() && pause.end() <= pause.until);
                let longest = pause.began.saturating_add(LONGEST_PAUSE).expect("in range");
                assert!(pause.until <= longest);
            }
            if !case.state.is_open() {
                assert!(case.pauses.iter().all(|pause| pause.ended.is_some()));
                assert!(case.laps.iter().all(|lap| lap.ended.is_some()));
            }
        });
        // After its longest time, none stops a clock any more.
        let late = case.at.saturating_add(LONGEST_PAUSE).expect("in range");
        prop_assert!(clocks(&case, late).iter().all(|reading| reading.paused.is_none()));
    }

    #[test]
    fn clocks_never_run_backwards(steps in steps()) {
        play(&steps, |case, event, result| {
            let Ok(next) = result else { return };
            assert!(next.at >= case.at && next.active >= case.active);
            let (before, after) = (clocks(case, case.at), clocks(next, next.at));
            // A draft that is changed has none yet.
            assert!(after.len() >= before.len());
            for (before, after) in before.iter().zip(&after) {
                assert!(after.used >= before.used, "{}: {before:?} {after:?}", event.deed.kind());
                let missed = before.standing == Standing::Breached;
                assert!(!missed || after.standing == Standing::Breached);
            }
        });
    }

    #[test]
    fn an_illegal_event_lists_the_legal_ones_and_changes_nothing(steps in steps()) {
        play(&steps, |case, event, result| {
            let before = case.digest();
            if let Err(illegal) = result {
                let now = event.at.max(case.at);
                assert_eq!(illegal.legal, legal(case, now));
                assert_eq!(illegal.state, Some(case.state.name()));
                if illegal.fault == Fault::State {
                    let listed = |next: &Next| next.deed == event.deed.kind() && next.by == event.by;
                    assert!(!illegal.legal.iter().any(listed), "{illegal}");
                }
            }
            assert_eq!(case.digest(), before);
        });
    }

    #[test]
    fn what_is_listed_as_legal_can_be_done(steps in steps()) {
        let (case, _) = play(&steps, |_, _, _| {});
        let now = later(case.at, 3600);
        for next in legal(&case, now) {
            // Some content will do.
            let tried = (0..60).map(|pick| {
                let deed = deed(next.deed, pick, now, next.by);
                apply(&case, &event(now, next.by, deed)).map_err(|illegal| illegal.fault)
            });
            let results: Vec<_> = tried.collect();
            let content = |fault: &Fault| matches!(
                fault,
                Fault::NoSuch(_) | Fault::NotAttached | Fault::Others(_) | Fault::Level(_) | Fault::Consent(_)
                    | Fault::NotEntitled(_) | Fault::NewFacts | Fault::NoNewFacts
            );
            let good = results.iter().any(|result| result.is_ok());
            prop_assert!(
                good || results.iter().all(|result| result.as_ref().is_err_and(content)),
                "{next:?} {results:?}"
            );
        }
    }

    #[test]
    fn replaying_the_events_gives_the_same_case_after_their_file_form_too(steps in steps()) {
        let (case, events) = play(&steps, |_, _, _| {});
        let mut again: Option<Case> = None;
        for event in &events {
            let text = serde_json::to_string(event).expect("written");
            let read: Event = serde_json::from_str(&text).expect("reads");
            assert_eq!(&read, event);
            again = Some(match again {
                None => open(&read),
                Some(case) => apply(&case, &read),
            }.expect("legal as before"));
        }
        let again = again.expect("opened");
        prop_assert_eq!(again.digest(), case.digest());
        prop_assert_eq!(&again, &case);
        let text = serde_json::to_string(&case).expect("written");
        prop_assert_eq!(serde_json::from_str::<Case>(&text).expect("reads"), case);
    }

    #[test]
    fn nothing_of_the_customers_is_shared_without_consent(steps in steps()) {
        play(&steps, |case, event, result| {
            let Ok(next) = result else { return };
            let is_draft = matches!(case.state, State::Draft {});
            if !is_draft {
                assert!(case.not_allowed(&event.carries(case.owner)).is_empty());
            } else if !matches!(next.state, State::Draft {} | State::Withdrawn { .. }) {
                let base = [Shareable::Problem, Shareable::Configuration];
                assert!(case.not_allowed(&base).is_empty());
            }
        });
    }

    #[test]
    fn a_customer_sees_its_own_notes_only(steps in steps()) {
        let (case, _) = play(&steps, |_, _, _| {});
        let seen = case.for_customer();
        prop_assert!(seen.notes.iter().all(|note| note.visibility == Visibility::Customer));
        prop_assert!(seen.attachments.iter().all(|file| file.file.classification.is_customers()));
        prop_assert_eq!(seen.escalation_paths, Both::default());
        prop_assert!(seen.facts.is_empty() && seen.escalations.is_empty() && seen.actions.is_empty());
    }
}

#[test]
fn random_lives_reach_every_state_and_every_deed() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut states, mut deeds) =
        (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for _ in 0..600 {
        let steps = steps().new_tree(&mut runner).expect("made").current();
        let (_, events) = play(&steps, |case, _, _| {
            states.insert(case.state.name());
        });
        deeds.extend(events.iter().map(|event| event.deed.kind()));
    }
    assert_eq!(states.len(), 12, "{states:?}");
    let missing: Vec<_> = DeedKind::ALL.iter().filter(|deed| !deeds.contains(deed)).collect();
    assert!(missing.is_empty(), "never legal: {missing:?}");
}
