use super::*;
use crate::outcome::WaitFor;
use crate::sample::*;
use crate::{Fault, apply};

fn reading(case: &Case, clock: ClockName, now: Timestamp) -> Reading {
    let of = |reading: &Reading| reading.lap.clock == clock;
    clocks(case, now).into_iter().rfind(of).expect("a lap")
}

#[test]
fn the_acknowledgement_clock_runs_by_the_calendar_warns_and_is_missed() {
    // Offered on Monday at 10:00; four hours of work are given.
    let case = case_after(&[offered()]);
    let at = |hours: i64| reading(&case, ClockName::Acknowledge, later(start(), hours * 3600));
    assert_eq!(at(2).standing, Standing::Running);
    assert_eq!(at(2).due, Some(later(start(), 5 * 3600)));
    assert_eq!(at(4).standing, Standing::Warning);
    assert_eq!(at(5).standing, Standing::Warning, "the last second is in time");
    assert_eq!(at(6).standing, Standing::Breached);
    let mut kept = case.clone();
    kept =
        apply(&kept, &event(later(start(), 3 * 3600), accepted().0, accepted().1)).expect("legal");
    let after = reading(&kept, ClockName::Acknowledge, later(start(), 100 * DAY));
    assert_eq!((after.standing, after.used), (Standing::Kept, 2 * 3600));
}

#[test]
fn a_clock_stands_still_while_the_customer_is_asked_and_no_longer_than_the_pause_may_last() {
    let case = case_after(&[offered(), accepted(), started()]);
    let asked = later(case.at, 0);
    let wait = Deed::Waited {
        wait: WaitFor::Customer,
        reason: text("which update?"),
        until: later(asked, 2 * DAY),
    };
    let case = apply(&case, &event(asked, Side::Receiver, wait)).expect("legal");
    let paused = reading(&case, ClockName::Update, later(asked, DAY));
    assert_eq!((paused.standing, paused.used), (Standing::Paused, 0));
    assert_eq!(paused.paused.map(|pause| pause.until), Some(later(asked, 2 * DAY)));
    // Wednesday 12:00, when the pause ends by itself, to 13:00.
    let runs = reading(&case, ClockName::Update, later(asked, 2 * DAY + 3600));
    assert_eq!((runs.standing, runs.used), (Standing::Running, 3600));
    let missed = reading(&case, ClockName::Update, later(asked, 4 * DAY));
    assert_eq!(missed.standing, Standing::Breached);
}

#[test]
fn waiting_for_the_receiver_itself_stops_no_clock() {
    let case = case_after(&[offered(), accepted(), started()]);
    let at = case.at;
    let until = later(at, 2 * DAY);
    let wait = Deed::Waited { wait: WaitFor::Receiver, reason: text("a lab"), until };
    let case = apply(&case, &event(at, Side::Submitter, wait)).expect("legal");
    assert_eq!(reading(&case, ClockName::Resolve, later(at, 3600)).used, 3600 * 2);
}

#[test]
fn an_idle_case_is_warned_after_23_days_and_closed_after_30() {
    let mut case = case_after(&[
        offered(),
        accepted(),
        started(),
        (Side::Receiver, Deed::Proposed { outcome: Box::new(outcome()) }),
    ]);
    let idle = case.at;
    let at = |days: i64, seconds: i64| later(idle, days * DAY + seconds);
    assert_eq!(by_itself(&case, Side::Submitter, at(23, -1)), None);
    assert_eq!(by_itself(&case, Side::Receiver, at(40, 0)), None, "only the customer's owner");
    let close = |at| event(at, Side::Submitter, Deed::AutoClosed { layer: Layer::Unknown });
    let unwarned = apply(&case, &close(at(40, 0))).expect_err("not warned");
    assert_eq!(unwarned.fault, Fault::NotWarned);
    let warn = by_itself(&case, Side::Submitter, at(23, 0)).expect("due");
    assert_eq!(warn, Deed::IdleWarned {});
    case = apply(&case, &event(at(23, 0), Side::Submitter, warn)).expect("legal");
    assert_eq!(by_itself(&case, Side::Submitter, at(29, 0)), None);
    let early = apply(&case, &close(at(30, -1))).expect_err("a second early");
    assert_eq!(early.fault, Fault::TooEarly(at(30, 0)));
    let close = by_itself(&case, Side::Submitter, at(30, 0)).expect("due");
    assert_eq!(close, Deed::AutoClosed { layer: Layer::Hypervisor }, "the proposal's layer");
    let closed = apply(&case, &event(at(30, 0), Side::Submitter, close)).expect("legal");
    assert!(!closed.state.is_open());
    // A word in between starts the days anew.
    let note = deed(DeedKind::Noted, 0, at(24, 0), Side::Receiver);
    let awake = apply(&case, &event(at(24, 0), Side::Receiver, note)).expect("legal");
    assert_eq!(by_itself(&awake, Side::Submitter, at(40, 0)), None);
}

#[test]
fn a_late_warning_still_leaves_seven_days() {
    let case = case_after(&[
        offered(),
        accepted(),
        started(),
        (Side::Receiver, Deed::Proposed { outcome: Box::new(outcome()) }),
    ]);
    let at = |days: i64| later(case.at, days * DAY);
    let case = apply(&case, &event(at(29), Side::Submitter, Deed::IdleWarned {})).expect("legal");
    assert_eq!(by_itself(&case, Side::Submitter, at(35)), None);
    assert!(by_itself(&case, Side::Submitter, at(36)).is_some());
}

#[test]
fn a_closed_case_is_reopened_within_14_days_and_later_a_new_one_is_asked_for() {
    let confirmation = deed(DeedKind::Confirmed, 0, start(), Side::Submitter);
    let case = case_after(&[
        offered(),
        accepted(),
        started(),
        (Side::Receiver, Deed::Proposed { outcome: Box::new(outcome()) }),
        (Side::Submitter, confirmation),
    ]);
    let closed = case.at;
    let reopen = |seconds| {
        let deed = Deed::Reopened { reason: text("it drifts again") };
        apply(&case, &event(later(closed, 14 * DAY + seconds), Side::Submitter, deed))
    };
    assert_eq!(reopen(0).expect("in time").state.name(), "working");
    let late = reopen(1).expect_err("a second late");
    assert!(late.to_string().contains("open a new case that is linked"), "{late}");
    assert!(!late.legal.iter().any(|next| next.deed == DeedKind::Reopened));
}
