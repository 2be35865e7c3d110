//! What a distribution says it is: `/etc/os-release`, os-release(5).

/// The lines of the file that say which product it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `12`; empty for a rolling release.
    pub version: String,
    /// `PRETTY_NAME`: for people.
    pub name: String,
}

/// Reads the file's text. What a guest wrote there may be anything: values are cut and made visible.
pub fn parse(text: &str) -> OsRelease {
    let value = |key: &str| {
        let raw =
            text.lines().filter_map(|line| line.trim().split_once('=')).find(|(k, _)| *k == key);
        let raw = raw.map(|(_, value)| value.trim()).unwrap_or_default();
        let quoted = |q: char| raw.len() >= 2 && raw.starts_with(q) && raw.ends_with(q);
        let plain = if quoted('"') || quoted('\'') { &raw[1..raw.len() - 1] } else { raw };
        hospitium_system::text::short(plain, 120)
    };
    OsRelease { id: value("ID"), version: value("VERSION_ID"), name: value("PRETTY_NAME") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_and_plain_values_are_read_and_tricks_are_not_passed_on() {
        let os =
            parse("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID='12'\n");
        assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "12"));
        assert_eq!(os.name, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(parse("ID=\"\nID_LIKE=x").id, "\"");
        assert!(!parse(&format!("ID=\x1b[31m{}", "x".repeat(10_000))).id.contains('\x1b'));
        assert_eq!(parse(""), OsRelease::default());
    }
}
