//! How a record stands on a day: the one rule, by whole days in UTC, that certificates are verified by and
//! catalogs answer by. What holds until a moment holds to the end of the day in which that moment is.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The day of a moment, in UTC.
pub fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// The last day, in UTC, of what holds until this moment: the day that the moment ends or is in.
pub fn last_day(until: Timestamp) -> Date {
    day_of(until.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(until))
}

/// What was said of a record later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// It is not to be relied on for now.
    Suspension,
    /// What suspended it until then does so no more.
    Lifting,
    /// It is not to be relied on any more.
    Withdrawal,
}

/// The day on which what was said, and the last day for which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeDays {
    /// What.
    pub kind: NoticeKind,
    /// When.
    pub issued: Date,
    /// Of a suspension, its last day.
    pub until: Option<Date>,
}

/// Which of the notices of a record, in the log's order, is in force on a day; its place among them. What
/// was said after that day is not known on it. A withdrawal is for good; a suspension ends with its last
/// day, or with a lifting that stands further on.
pub fn in_force(notices: &[NoticeDays], day: Date) -> Option<usize> {
    let known = || notices.iter().enumerate().filter(|(_, notice)| notice.issued <= day);
    let of = |kind| move |(_, notice): &(usize, &NoticeDays)| notice.kind == kind;
    let lifted = known().filter(of(NoticeKind::Lifting)).map(|(place, _)| place).max();
    let withdrawn = known().find(of(NoticeKind::Withdrawal));
    let holds = |(place, notice): &(usize, &NoticeDays)| {
        lifted.is_none_or(|lifted| *place > lifted) && notice.until.is_none_or(|last| last >= day)
    };
    let suspended = || known().filter(of(NoticeKind::Suspension)).find(holds);
    withdrawn.or_else(suspended).map(|(place, _)| place)
}

/// How a record stands that nothing was said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByItself {
    /// It says that the pair failed.
    Failed,
    /// It is not valid yet.
    NotYet,
    /// It is valid.
    Valid,
    /// It was.
    Lapsed,
}

/// The same, of its result, its first day and its last.
pub fn by_itself(passed: bool, (first, last): (Date, Date), day: Date) -> ByItself {
    match (passed, day) {
        (false, _) => ByItself::Failed,
        (true, day) if day > last => ByItself::Lapsed,
        (true, day) if day < first => ByItself::NotYet,
        (true, _) => ByItself::Valid,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn said(kind: NoticeKind, day: i8, until: Option<i8>) -> NoticeDays {
        let of = |day| date(2022, 5, day);
        NoticeDays { kind, issued: of(day), until: until.map(of) }
    }

    #[test]
    fn what_holds_until_midnight_does_not_hold_on_the_day_that_begins() {
        let day = |text: &str| last_day(text.parse().expect("a time"));
        assert_eq!(day("2027-01-31T00:00:00Z"), date(2027, 1, 30));
        assert_eq!(day("2027-01-31T00:00:01Z"), date(2027, 1, 31));
        assert_eq!(day("2027-01-31T23:59:59Z"), date(2027, 1, 31));
    }

    #[test]
    fn a_suspension_ends_with_its_lifting_and_a_withdrawal_never() {
        use NoticeKind::{Lifting, Suspension, Withdrawal};
        let on = |notices: &[NoticeDays], day| in_force(notices, date(2022, 5, day));
        let lifted = [said(Suspension, 1, None), said(Lifting, 5, None)];
        assert_eq!([1, 4, 5].map(|day| on(&lifted, day)), [Some(0), Some(0), None]);
        let again = [lifted[0], lifted[1], said(Suspension, 7, Some(8))];
        assert_eq!([6, 7, 8, 9].map(|day| on(&again, day)), [None, Some(2), Some(2), None]);
        let gone = [said(Withdrawal, 3, None), said(Lifting, 5, None)];
        assert_eq!([2, 3, 9].map(|day| on(&gone, day)), [None, Some(0), Some(0)]);
    }
}
