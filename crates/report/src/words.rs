//! Values, rules and times as people read them; foreign text made visible and bounded.

use hospitium_model::{
    BootOf, CellRecord, CheckRecord, Finding, Growth, Repeats, Rule, Tier, Value, wilson,
};
use jiff::{SignedDuration, Timestamp};

pub use hospitium_model::median;

/// Longest observed value that is shown.
const VALUE: usize = 2_000;

/// Foreign text on one line: control characters and those that turn or hide text become symbols,
/// and what is longer than `most` characters is cut, which is said.
pub fn visible(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(most));
    let mut chars = text.chars();
    for c in chars.by_ref().take(most) {
        match c {
            '\t' => shown.push('\t'),
            c if c.is_ascii_control() => shown.push_str(&format!("⟨{}⟩", name_of(c))),
            c if is_hidden(c) => shown.push_str(&format!("⟨U+{:04X}⟩", c as u32)),
            c => shown.push(c),
        }
    }
    let left = chars.count();
    if left > 0 {
        shown.push_str(&format!("… ({left} more characters)"));
    }
    shown
}

/// Text in which digests are cut to their first 12 digits; the whole ones stand elsewhere.
pub fn short_digests(text: &str) -> String {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(hex) {
        let run = rest[start..].find(|c| !hex(c)).unwrap_or(rest.len() - start);
        let keep = if run == 64 { 12 } else { run };
        short.push_str(&rest[..start + keep]);
        if keep < run {
            short.push('…');
        }
        rest = &rest[start + run..];
    }
    short + rest
}

/// The name of an ASCII control character (ISO/IEC 646). Unicode's control pictures would be
/// shorter, but many systems have no font with them.
fn name_of(c: char) -> &'static str {
    const NAMES: [&str; 32] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR",
        "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB",
        "ESC", "FS", "GS", "RS", "US",
    ];
    NAMES.get(c as usize).unwrap_or(&"DEL")
}

/// Characters that turn the text around them or cannot be seen: C1 controls, bidirectional
/// controls (UAX #9), separators, zero-width, tag and private-use characters, non-characters.
fn is_hidden(c: char) -> bool {
    hospitium_model::is_unsafe(c) || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffe}'..='\u{ffff}')
}

/// An observed value with its unit; a dash for a witness that did not see it.
pub fn value(value: Option<&Value>, unit: &str) -> String {
    match value {
        None => "–".into(),
        Some(value) if unit.is_empty() => visible(&value.to_string(), VALUE),
        Some(value) => format!("{} {}", visible(&value.to_string(), VALUE), visible(unit, 20)),
    }
}

/// What a witness saw and where: `2 (kernel interface)`.
pub fn witnessed(
    seen: Option<&Value>,
    source: Option<impl std::fmt::Display>,
    unit: &str,
) -> String {
    match source {
        Some(source) if seen.is_some() => format!("{} ({source})", value(seen, unit)),
        _ => value(seen, unit),
    }
}

/// Where a witness saw it, for a person; empty where evidence does not say.
pub fn source(source: Option<impl std::fmt::Display>) -> String {
    source.map(|source| source.to_string()).unwrap_or_default()
}

/// The rule of a finding in words.
pub fn rule(finding: &Finding) -> String {
    let unit = if finding.unit.is_empty() { String::new() } else { format!(" {}", finding.unit) };
    let shown = |value: &Value| visible(&value.to_string(), 200);
    let number = |n: f64| Value::Float(n).to_string();
    let words = match &finding.rule {
        Rule::Same => "both the same".into(),
        Rule::SameAs { expected } => format!("both {}{unit}", shown(expected)),
        Rule::Each { guest_expected, host_expected } => {
            format!("guest: {}{unit}; host: {}{unit}", shown(guest_expected), shown(host_expected))
        }
        Rule::Within { tolerance } => format!("at most {}{unit} apart", number(*tolerance)),
        Rule::GuestIs { expected } => format!("guest: {}{unit}", shown(expected)),
        Rule::HostIs { expected } => format!("host: {}{unit}", shown(expected)),
        Rule::GuestBetween { least, most } => {
            format!("guest: {} to {}{unit}", number(*least), number(*most))
        }
        Rule::HostBetween { least, most } => {
            format!("host: {} to {}{unit}", number(*least), number(*most))
        }
        Rule::Differ => "must differ".into(),
        Rule::GuestSubsetOfHost => "all the guest's are the host's".into(),
        Rule::Recorded => "written down, not judged".into(),
    };
    visible(&words, 400)
}

/// Milliseconds as a person says them: `86 ms`, `3.2 s`, `4 min 12 s`.
pub fn duration(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() || ms < 0.0 => "–".into(),
        _ if ms < 10.0 => format!("{ms:.1} ms"),
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ if ms < 10_000.0 => format!("{:.2} s", ms / 1_000.0),
        _ if ms < 120_000.0 => format!("{:.1} s", ms / 1_000.0),
        _ => format!("{:.0} min {:.0} s", (ms / 60_000.0).floor(), (ms / 1_000.0) % 60.0),
    }
}

/// Bytes as a person says them: `31.4 MiB`.
#[expect(clippy::cast_precision_loss, reason = "for people, to three digits")]
pub fn bytes(count: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, factor)| count >= *factor) {
        Some((unit, factor)) => format!("{:.1} {unit}", count as f64 / factor as f64),
        None => format!("{count} bytes"),
    }
}

/// `1 check`, `2 checks`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Of when the boot of a cell is that was not booted for the run: `, of a boot of 2026-11-03 09:00 UTC, 12
/// days before this run`. None if it is of the run itself.
pub fn boot_of(cell: &CellRecord, started: Timestamp) -> Option<String> {
    match cell.boot(started) {
        BootOf::ThisRun => None,
        BootOf::Unknown => Some(", of a boot of an unknown day".into()),
        BootOf::Before(at, before) => {
            let at = at.strftime("%Y-%m-%d %H:%M UTC");
            Some(format!(", of a boot of {at}, {} before this run", days(before)))
        }
    }
}

/// For a check that only reads, and so judges the machine as it booted: `judged a boot of 2026-11-03`. None
/// if that is a boot of the run itself.
pub fn judged_boot(check: &CheckRecord, cell: &CellRecord, started: Timestamp) -> Option<String> {
    if check.tier != Tier::Reads || !check.verdict.ran() {
        return None;
    }
    match cell.boot(started) {
        BootOf::ThisRun => None,
        BootOf::Unknown => Some("judged a boot of an unknown day".into()),
        BootOf::Before(at, before) => {
            let day = at.strftime("%Y-%m-%d");
            Some(format!("judged a boot of {day}, {} before this run", days(before)))
        }
    }
}

/// `12 days`, `1 day`, `3 hours`, `5 minutes`.
fn days(time: SignedDuration) -> String {
    let minutes = usize::try_from(time.as_mins()).unwrap_or_default();
    match minutes {
        0..120 => plural(minutes, "minute"),
        120..2_880 => plural(minutes / 60, "hour"),
        _ => plural(minutes / 1_440, "day"),
    }
}

/// What a tier means.
pub const fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Reads => "reads only, in a clone that it shares",
        Tier::Reversible => "reversible, in a clone of its own",
        Tier::Disruptive => "disruptive, in a clone or boot of its own",
        Tier::SecondHost => "needs a second host or a special device",
    }
}

/// `passed 50 of 50 (≥ 92.9 % at 95 %)`, `failed 3 of 50 (2.1 % to 16.2 % at 95 %)`: how often, and
/// between what the true share lies.
pub fn repeated(repeats: &Repeats) -> String {
    let ended = repeats.ended();
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut words = match (ended, repeats.failed) {
        (0, _) => "no repetition came to its end".to_owned(),
        (_, 0) => {
            let (least, _) = wilson(repeats.passed, ended);
            format!("passed {} of {ended} (≥ {} at 95 %)", repeats.passed, percent(least))
        }
        (_, failed) => {
            let (least, most) = wilson(failed, ended);
            format!("failed {failed} of {ended} ({} to {} at 95 %)", percent(least), percent(most))
        }
    };
    if repeats.no_end > 0 {
        words += &format!("; {} came to no end", repeats.no_end);
    }
    words
}

/// What the repetitions took: the slowest, and how the VMM's memory and descriptors grew.
pub fn repetitions_took(repeats: &Repeats) -> String {
    let mut parts = vec![format!(
        "slowest {}, median {}",
        duration(repeats.slowest_ms),
        duration(repeats.median_ms)
    )];
    let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
    for (what, growth) in
        [("memory (PSS)", &repeats.pss_kib), ("resident memory", &repeats.rss_kib)]
    {
        if let Some(Growth { first, last, most }) = growth {
            let (first, last, most) = (mib(*first), mib(*last), mib(*most));
            parts.push(format!("the VMM's {what} {first} → {last} MiB, at most {most}"));
        }
    }
    if let Some(Growth { first, last, most }) = &repeats.descriptors {
        parts.push(format!("descriptors {first:.0} → {last:.0}, at most {most:.0}"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hospitium_model::{GuestSource, HostSource};

    #[test]
    fn hostile_text_is_shown_not_done() {
        assert_eq!(visible("a\x1b[2J\u{202e}b\n", 50), "a⟨ESC⟩[2J⟨U+202E⟩b⟨LF⟩");
        assert_eq!(visible("abcdef", 3), "abc… (3 more characters)");
    }

    #[test]
    fn only_digests_are_cut() {
        let text = format!("saw {}, not cafe", "ab".repeat(32));
        assert_eq!(short_digests(&text), "saw abababababab…, not cafe");
        assert_eq!(short_digests(&"a".repeat(65)), "a".repeat(65));
    }

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(3.22), "3.2 ms");
        assert_eq!(duration(86.4), "86 ms");
        assert_eq!(duration(15_240.0), "15.2 s");
        assert_eq!(duration(252_000.0), "4 min 12 s");
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn how_often_is_told_with_its_interval() {
        let of = |passed, failed, no_end| {
            repeated(&Repeats { passed, failed, no_end, ..Repeats::default() })
        };
        assert_eq!(of(50, 0, 0), "passed 50 of 50 (≥ 92.9 % at 95 %)");
        assert_eq!(of(47, 3, 0), "failed 3 of 50 (2.1 % to 16.2 % at 95 %)");
        assert_eq!(of(2, 0, 1), "passed 2 of 2 (≥ 34.2 % at 95 %); 1 came to no end");
        assert_eq!(of(0, 0, 4), "no repetition came to its end; 4 came to no end");
    }

    #[test]
    fn a_rule_is_a_phrase_with_its_unit() {
        assert_eq!(
            rule(&Finding::within(
                "offset",
                "ms",
                GuestSource::Kernel.saw(1.0),
                HostSource::Hypervisor.saw(2.0),
                10.0
            )),
            "at most 10 ms apart"
        );
        assert_eq!(
            rule(&Finding::same_as(
                "n",
                GuestSource::Kernel.saw(2),
                HostSource::Hypervisor.saw(2),
                2
            )),
            "both 2"
        );
    }
}
