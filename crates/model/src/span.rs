//! Spans of time as people write them.

use std::time::Duration;

/// A span for an error or a report, as exact as it is worth: `230 s`, `1.5 s`, `300 ms`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 9.95 {
        format!("{seconds:.0} s")
    } else if seconds >= 1.0 {
        let tenths = format!("{seconds:.1}");
        format!("{} s", tenths.strip_suffix(".0").unwrap_or(&tenths))
    } else {
        format!("{:.0} ms", seconds * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_digits_that_say_something() {
        let told = [0.0, 0.3, 0.9994, 1.0, 1.52, 9.96, 30.0, 230.432_712_714]
            .map(|seconds| span(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["0 ms", "300 ms", "999 ms", "1 s", "1.5 s", "10 s", "30 s", "230 s"]);
    }
}
