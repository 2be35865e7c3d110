//! The day for which something is asked, as it stands on command lines and in addresses: `2022-06-01`.

use jiff::civil::Date;

use crate::printable;

/// Years for which something can be asked: before, there was no such software, and no calendar of it goes
/// further.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2999;

/// Reads a day in exactly this form: a year of four digits, month and day.
///
/// # Errors
/// If it is of another form, is no day, or is of a year for which nothing can be said; what to write, in words.
pub fn asked_day(text: &str) -> Result<Date, String> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day = form.then(|| text.parse::<Date>().ok()).flatten();
    match day {
        Some(day) if YEARS.contains(&day.year()) => Ok(day),
        Some(day) => Err(format!(
            "nothing can be said of {day}; write a day of the years {} to {}, like 2022-06-01",
            YEARS.start(),
            YEARS.end()
        )),
        None => Err(format!(
            "write the day as YYYY-MM-DD, like 2022-06-01; {:?} is none",
            printable(text, 40)
        )),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_is_read_in_one_form_and_of_years_that_something_can_be_said_of() {
        assert_eq!(asked_day("2022-06-01"), Ok(date(2022, 6, 1)));
        assert_eq!(asked_day("1970-01-01"), Ok(date(1970, 1, 1)));
        for bad in [
            "",
            "2022-6-1",
            "2022-06-31",
            "-009999-01-01",
            "+002022-06-01",
            "2022-06-01T00",
            "20220601",
        ] {
            let error = asked_day(bad).expect_err("is none");
            assert!(error.contains("YYYY-MM-DD"), "{error}");
        }
        for far in ["0001-01-01", "1969-12-31", "3000-01-01", "9999-12-31"] {
            let error = asked_day(far).expect_err("is too far");
            assert!(error.contains("1970 to 2999"), "{error}");
        }
    }
}
