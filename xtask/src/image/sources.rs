//! Where the packages come from: Debian's mirror as this machine's apt is configured.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{RELEASE, run};

/// Debian's own entries of this machine's apt configuration, so that its mirror is used; the
/// usual mirror if there are none (the machine runs another distribution).
pub fn debian_sources() -> String {
    let suites = [RELEASE.to_owned(), format!("{RELEASE}-updates"), format!("{RELEASE}-security")];
    let ours = |suite: &str| suites.iter().any(|s| s == suite);
    let mut found = Vec::new();
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir(folder) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if path.extension() == Some(OsStr::new("sources")) {
            for stanza in text.split("\n\n") {
                let field = |name: &str| {
                    stanza.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
                };
                let main = field("Components:").split_whitespace().any(|word| word == "main");
                if !main || !field("Types:").split_whitespace().any(|word| word == "deb") {
                    continue;
                }
                for suite in field("Suites:").split_whitespace().filter(|s| ours(s)) {
                    found.extend(
                        field("URIs:")
                            .split_whitespace()
                            .map(|uri| format!("deb {} {suite} main", uri.trim_end_matches('/'))),
                    );
                }
            }
        } else if path.extension() == Some(OsStr::new("list")) {
            for line in text.lines().filter(|line| line.starts_with("deb ")) {
                let plain = line.rsplit(']').next().unwrap_or(line).trim_start_matches("deb ");
                let mut words = plain.split_whitespace();
                if let (Some(uri), Some(suite)) = (words.next(), words.next())
                    && ours(suite)
                    && words.any(|word| word == "main")
                {
                    found.push(format!("deb {} {suite} main", uri.trim_end_matches('/')));
                }
            }
        }
    }
    if found.is_empty() {
        let base = "deb http://deb.debian.org/debian";
        found.push(format!("{base} {RELEASE} main"));
        found.push(format!("{base}-security {RELEASE}-security main"));
    }
    found.dedup();
    found.join("\n") + "\n"
}

/// The HTTP proxy that apt is told to use on this machine.
pub fn apt_proxy() -> Option<String> {
    let out = run(Command::new("apt-config").args(["shell", "P", "Acquire::http::Proxy"])).ok()?;
    let proxy = out.trim().strip_prefix("P='")?.strip_suffix('\'')?.to_owned();
    (!proxy.is_empty()).then_some(proxy)
}
