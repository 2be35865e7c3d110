//! A time as people write it.

use jiff::Timestamp;

/// Reads a time (`2026-03-02T12:00:00Z`), or a span from now (`2d`, `36h`).
///
/// # Errors
/// If it is neither.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.trim().parse::<Timestamp>() {
        return Ok(at);
    }
    let shown = hospitium_model::printable(text, 60);
    let wrong = || format!("{shown:?} is no time; write 2026-03-02T12:00:00Z, or 2d, or 36h");
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let later = now.to_zoned(jiff::tz::TimeZone::UTC).checked_add(span);
    later.map(|at| at.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{DAY, later, start};

    #[test]
    fn a_time_and_a_span_are_read_and_nothing_else() {
        assert_eq!(until(" 2d ", start()), Ok(later(start(), 2 * DAY)));
        assert_eq!(until("2026-03-02T08:00:00Z", start()), Ok(start()));
        for bad in ["", "soon", "2", "99999999y", "2026-03-02"] {
            assert!(until(bad, start()).is_err(), "{bad:?}");
        }
    }
}
