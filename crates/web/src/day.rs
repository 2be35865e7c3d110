//! The day for which something is asked, as it stands in an address: `as_of=2022-06-01`.

use hospitium_model::asked_day;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use crate::Refused;

/// A day that was asked for, in exactly this form: a year of four digits, month and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub Date);

impl Day {
    /// Reads one; else says what to write.
    fn read(text: &str) -> Result<Self, String> {
        asked_day(text).map(Self).map_err(|why| format!("{why}, or leave as_of out"))
    }

    /// Of a form on a page: an empty field asks for no other day.
    ///
    /// # Errors
    /// If there is something, and it is no day.
    pub fn of_field(text: Option<&str>) -> Result<Option<Date>, Refused> {
        let day = text.map(str::trim).filter(|text| !text.is_empty()).map(Self::read);
        day.transpose()
            .map(|day| day.map(|Self(day)| day))
            .map_err(|why| Refused::Bad(format!("{}.", why.replacen("write", "Write", 1))))
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_one_form_and_what_is_none_is_told_what_to_write() {
        assert_eq!(Day::read("2022-06-01"), Ok(Day(jiff::civil::date(2022, 6, 1))));
        for bad in [
            "",
            "today",
            "20220601",
            "2022-6-1",
            "2022-02-30",
            "-009999-01-01",
            "2022-06-01T00",
            "２０２２-06",
        ] {
            let why = Day::read(bad).expect_err("is none");
            assert!(why.contains("YYYY-MM-DD"), "{why}");
        }
        assert_eq!(Day::of_field(Some(" ")).ok(), Some(None));
    }
}
