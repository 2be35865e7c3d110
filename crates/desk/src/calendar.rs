//! Business calendars: a time zone, working hours for each day of the week, holidays.
//!
//! Working hours are wall-clock times of the zone. On the days on which its clocks are changed a working
//! day has as much time as really passes between its ends.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// The most holidays of a calendar.
const HOLIDAYS: usize = 1_000;
/// The most days that are searched for a due time.
const FURTHEST: u32 = 20 * 366;
/// The most spans of working hours in a day.
const SPANS: usize = 8;

/// Why something is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// No zone of that name.
    #[error(
        "{0:?} is no time zone; name one of the IANA database, such as \"Europe/Berlin\" or \"UTC\""
    )]
    Zone(String),
    /// No working hours at all.
    #[error(
        "the calendar has no working day, so no clock would ever run out; give hours for one day of the week"
    )]
    NoWorkingDay,
    /// Not `HH:MM-HH:MM`.
    #[error("{0:?} are no working hours; they look like \"09:00-17:30\", and end by \"24:00\"")]
    Hours(String),
    /// Hours that overlap or are out of order.
    #[error("the working hours of {0} overlap, or are not in order")]
    Overlap(&'static str),
    /// Too many holidays or spans.
    #[error("the calendar has more than {0} {1}")]
    Many(usize, &'static str),
}

/// Working hours of one stretch, in minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u16,
    to: u16,
}

/// A business calendar with at least one working day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Calendar {
    name: String,
    zone: TimeZone,
    /// From Monday.
    week: [Vec<Span>; 7],
    holidays: BTreeSet<Date>,
}

impl Eq for Calendar {}

/// The file form.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    zone: String,
    hours: BTreeMap<Day, Vec<String>>,
    #[serde(default)]
    holidays: BTreeSet<Date>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

const DAYS: [(Day, &str); 7] = [
    (Day::Monday, "Monday"),
    (Day::Tuesday, "Tuesday"),
    (Day::Wednesday, "Wednesday"),
    (Day::Thursday, "Thursday"),
    (Day::Friday, "Friday"),
    (Day::Saturday, "Saturday"),
    (Day::Sunday, "Sunday"),
];

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let good = minutes < 60 && (hours < 24 || (hours, minutes) == (24, 0));
    good.then_some(hours * 60 + minutes)
}

fn span(text: &str) -> Result<Span, CalendarError> {
    let read = || {
        let (from, to) = text.split_once('-')?;
        Some(Span { from: minutes(from)?, to: minutes(to)? }).filter(|span| span.from < span.to)
    };
    read().ok_or_else(|| CalendarError::Hours(hospitium_model::printable(text, 40)))
}

impl TryFrom<Form> for Calendar {
    type Error = CalendarError;

    fn try_from(form: Form) -> Result<Self, CalendarError> {
        let zone = TimeZone::get(&form.zone)
            .map_err(|_| CalendarError::Zone(hospitium_model::printable(&form.zone, 60)))?;
        if form.holidays.len() > HOLIDAYS {
            return Err(CalendarError::Many(HOLIDAYS, "holidays"));
        }
        let mut week: [Vec<Span>; 7] = Default::default();
        for (place, (day, name)) in week.iter_mut().zip(DAYS) {
            let texts = form.hours.get(&day).map(Vec::as_slice).unwrap_or_default();
            if texts.len() > SPANS {
                return Err(CalendarError::Many(SPANS, "spans of working hours in a day"));
            }
            *place = texts.iter().map(|text| span(text)).collect::<Result<_, _>>()?;
            if place.windows(2).any(|pair| matches!(pair, [a, b] if a.to > b.from)) {
                return Err(CalendarError::Overlap(name));
            }
        }
        if week.iter().all(Vec::is_empty) {
            return Err(CalendarError::NoWorkingDay);
        }
        Ok(Self { name: form.zone, zone, week, holidays: form.holidays })
    }
}

impl From<Calendar> for Form {
    fn from(calendar: Calendar) -> Self {
        let time = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
        let text = |span: &Span| format!("{}-{}", time(span.from), time(span.to));
        let hours = calendar
            .week
            .iter()
            .zip(DAYS)
            .filter(|(spans, _)| !spans.is_empty())
            .map(|(spans, (day, _))| (day, spans.iter().map(text).collect()))
            .collect();
        Self { zone: calendar.name, hours, holidays: calendar.holidays }
    }
}

impl Calendar {
    /// Every hour of every day.
    pub fn always() -> Self {
        let week = std::array::from_fn(|_| vec![Span { from: 0, to: 24 * 60 }]);
        let holidays = BTreeSet::new();
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC, week, holidays }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// If it is no JSON of a calendar, or a calendar without a working day.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The name of its zone.
    pub fn zone(&self) -> &str {
        &self.name
    }

    /// Its zone.
    pub const fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The working stretches of a date, as instants.
    fn stretches(&self, date: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let place = match date.weekday() {
            Weekday::Monday => 0,
            Weekday::Tuesday => 1,
            Weekday::Wednesday => 2,
            Weekday::Thursday => 3,
            Weekday::Friday => 4,
            Weekday::Saturday => 5,
            Weekday::Sunday => 6,
        };
        let free = self.holidays.contains(&date);
        let spans = if free { &[] } else { self.week.get(place).map_or(&[][..], Vec::as_slice) };
        spans.iter().filter_map(move |span| {
            let from = self.instant(date, span.from)?;
            let to = self.instant(date, span.to)?;
            (from < to).then_some((from, to))
        })
    }

    /// When the zone's clocks show this time of this date for the first time; where they skip it, when they
    /// are put forward.
    fn instant(&self, date: Date, minutes: u16) -> Option<Timestamp> {
        let (date, minutes) =
            if minutes >= 24 * 60 { (date.tomorrow().ok()?, 0) } else { (date, minutes) };
        let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
        let found = self.zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
        if !matches!(found.offset(), AmbiguousOffset::Gap { .. }) {
            return found.earlier().ok();
        }
        let before = found.earlier().ok()?;
        self.zone.following(before).next().map(|change| change.timestamp())
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// How many seconds of working time lie between two instants; 0 if the second is not later.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> i64 {
        let mut sum = 0;
        // A day earlier: where a zone skips a day, its last stretch may end in the next.
        let mut date = self.date(from).saturating_sub(1.day());
        let last = self.date(to);
        while from < to && date <= last {
            for (begin, end) in self.stretches(date) {
                let (begin, end) = (begin.max(from), end.min(to));
                if begin < end {
                    sum += end.as_second() - begin.as_second();
                }
            }
            match date.tomorrow() {
                Ok(next) => date = next,
                Err(_) => break,
            }
        }
        sum
    }

    /// When so many seconds of working time will have passed. Nothing if that takes more than twenty years: the
    /// calendar is the other vendor's too, and may have a minute a week.
    pub fn after(&self, from: Timestamp, seconds: i64) -> Option<Timestamp> {
        let mut left = seconds.max(0);
        let mut date = self.date(from).saturating_sub(1.day());
        for _ in 0..FURTHEST {
            for (begin, end) in self.stretches(date) {
                let begin = begin.max(from);
                let here = end.as_second() - begin.as_second();
                if here <= 0 {
                    continue;
                }
                if left <= here {
                    return begin.checked_add(left.seconds()).ok();
                }
                left -= here;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(zone: &str, hours: &str, holidays: &str) -> Calendar {
        let text = format!(
            r#"{{"zone":"{zone}","hours":{{"monday":["{hours}"],"tuesday":["{hours}"],
            "wednesday":["{hours}"],"thursday":["{hours}"],"friday":["{hours}"],
            "sunday":["01:00-05:00"]}},"holidays":[{holidays}]}}"#
        );
        Calendar::from_json(&text).expect("a calendar")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn a_calendar_without_a_working_day_is_an_error() {
        for hours in ["{}", "{\"monday\":[]}"] {
            let text = format!("{{\"zone\":\"UTC\",\"hours\":{hours}}}");
            let error = Calendar::from_json(&text).expect_err("no hours").to_string();
            assert!(error.contains("no working day"), "{error}");
        }
    }

    #[test]
    fn wrong_zones_and_hours_are_errors() {
        let read = |zone: &str, hours: &str| {
            let text = format!("{{\"zone\":\"{zone}\",\"hours\":{{\"monday\":{hours}}}}}");
            Calendar::from_json(&text).map_err(|error| error.to_string())
        };
        assert!(read("Mars/Olympus", "[\"09:00-17:00\"]").expect_err("no zone").contains("IANA"));
        for bad in
            ["09:00", "17:00-09:00", "09:00-24:30", "9:00-17:00", "09:60-17:00", "+9:00-17:00"]
        {
            let error = read("UTC", &format!("[\"{bad}\"]")).expect_err(bad);
            assert!(error.contains("working hours"), "{error}");
        }
        let twice = read("UTC", "[\"09:00-12:00\",\"11:00-13:00\"]").expect_err("overlap");
        assert!(twice.contains("overlap"), "{twice}");
    }

    #[test]
    fn nights_weekends_and_holidays_do_not_count() {
        let berlin = calendar("Europe/Berlin", "09:00-17:00", "\"2026-05-25\"");
        // Friday 16:00 in Berlin to Tuesday 10:00; Whit Monday is a holiday; Sunday has 4 hours.
        let (from, to) = (at("2026-05-22T14:00:00Z"), at("2026-05-26T08:00:00Z"));
        assert_eq!(berlin.between(from, to), 3600 + 4 * 3600 + 3600);
        assert_eq!(berlin.after(from, 6 * 3600), Some(to));
        assert_eq!(berlin.between(to, from), 0);
    }

    #[test]
    fn the_hour_that_a_change_of_clocks_takes_or_gives_counts_as_it_passes() {
        let berlin = calendar("Europe/Berlin", "09:00-17:00", "");
        // Sundays 01:00 to 05:00: 2026-03-29 skips 02:00 to 03:00, 2026-10-25 has it twice.
        let night = |from: &str, to: &str| berlin.between(at(from), at(to));
        assert_eq!(night("2026-03-28T20:00:00Z", "2026-03-29T12:00:00Z"), 3 * 3600);
        assert_eq!(night("2026-10-24T20:00:00Z", "2026-10-25T12:00:00Z"), 5 * 3600);
    }

    #[test]
    fn a_day_that_a_zone_skipped_has_no_working_time() {
        // Samoa went from Thursday, 2011-12-29, 24:00 (UTC-10) straight to Saturday the 31st (UTC+14).
        let apia = calendar("Pacific/Apia", "09:00-17:00", "");
        let thursday = apia.between(at("2011-12-29T10:00:00Z"), at("2011-12-30T10:00:00Z"));
        assert_eq!(thursday, 8 * 3600);
        // Saturday is free, and of Sunday's hours (01:00 is 11:00 UTC of the 31st) all four pass.
        assert_eq!(apia.between(at("2011-12-30T10:00:00Z"), at("2011-12-31T20:00:00Z")), 4 * 3600);
    }

    #[test]
    fn a_time_that_is_never_over_is_not_searched_for_without_end() {
        let text = r#"{"zone":"UTC","hours":{"monday":["09:00-09:01"]}}"#;
        let rare = Calendar::from_json(text).expect("a calendar");
        assert!(rare.after(at("2026-03-02T00:00:00Z"), 52 * 60).is_some());
        assert_eq!(rare.after(at("2026-03-02T00:00:00Z"), 525_600 * 60), None);
    }

    #[test]
    fn a_calendar_survives_its_file_form() {
        let calendar = calendar("America/New_York", "09:00-17:00", "\"2026-12-25\"");
        let text = serde_json::to_string(&calendar).expect("written");
        assert_eq!(Calendar::from_json(&text).expect("read"), calendar);
        let always = serde_json::to_string(&Calendar::always()).expect("written");
        assert_eq!(Calendar::from_json(&always).expect("read"), Calendar::always());
    }

    proptest! {
        #[test]
        fn what_is_added_is_what_lies_between(
            start in 1_600_000_000_i64..1_900_000_000,
            seconds in 1_i64..2_000_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
        ) {
            let calendar = calendar(zone, "08:30-17:45", "\"2026-12-25\"");
            let from = Timestamp::from_second(start).expect("in range");
            let to = calendar.after(from, seconds).expect("in range");
            prop_assert_eq!(calendar.between(from, to), seconds);
        }

        #[test]
        fn working_time_never_runs_backwards(
            start in 1_600_000_000_i64..1_900_000_000,
            one in 0_i64..5_000_000,
            more in 0_i64..5_000_000,
        ) {
            let calendar = calendar("Europe/Berlin", "09:00-17:00", "");
            let instant = |second| Timestamp::from_second(second).expect("in range");
            let first = calendar.between(instant(start), instant(start + one));
            let second = calendar.between(instant(start), instant(start + one + more));
            prop_assert!(first <= second);
            let rest = calendar.between(instant(start + one), instant(start + one + more));
            prop_assert_eq!(first + rest, second);
        }
    }
}
