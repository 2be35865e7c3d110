//! The signature inside an InRelease file, checked by Debian's gpgv against a keyring.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hospitium_model::printable;

use crate::WatchError;

/// Debian's own keys (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is known of a list's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// It holds, by these keys (fingerprints).
    Good(Vec<String>),
    /// It could not be checked here.
    NotChecked(String),
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(keys) => {
                let short = |key: &String| {
                    let from = key.len().saturating_sub(16);
                    key.get(from..).unwrap_or(key).to_owned()
                };
                let keys: Vec<String> = keys.iter().map(short).collect();
                write!(f, "signature good, by {}", keys.join(" and "))
            }
            Self::NotChecked(why) => write!(f, "signature not checked: {why}"),
        }
    }
}

/// Checks a list; gives its text, only what is signed where that was checked.
pub fn check(
    raw: &[u8],
    what: &str,
    keyring: Option<&Path>,
) -> Result<(String, Signature), WatchError> {
    let named = keyring.is_some();
    let keyring: PathBuf = keyring.map_or_else(|| KEYRING.into(), Path::to_owned);
    if !keyring.is_file() {
        let why = format!("{} is not here (package debian-archive-keyring)", keyring.display());
        return match named {
            true => {
                let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
                Err(WatchError::Read { path: keyring, cause })
            }
            false => Ok((unsigned(raw), Signature::NotChecked(why))),
        };
    }
    match gpgv(raw, &keyring) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = "gpgv is not here (package gpgv)".into();
            Ok((unsigned(raw), Signature::NotChecked(why)))
        }
        Err(cause) => Err(WatchError::Packed { what: format!("the signature of {what}"), cause }),
        Ok((status, text)) => {
            let wrong = |why: String| WatchError::Signature {
                what: what.to_owned(),
                keyring: keyring.display().to_string(),
                why,
            };
            let keys = judge(&status).map_err(wrong)?;
            Ok((String::from_utf8_lossy(&text).into_owned(), Signature::Good(keys)))
        }
    }
}

/// The keys whose signatures hold; why not, if one is bad or none is known.
fn judge(status: &str) -> Result<Vec<String>, String> {
    let mut good = Vec::new();
    let (mut unknown, mut ended) = (Vec::new(), Vec::new());
    for line in status.lines() {
        let Some(line) = line.strip_prefix("[GNUPG:] ") else { continue };
        let mut words = line.split(' ');
        let (word, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let key = printable(key, 60);
        match word {
            // Beside a key that has ended there is a VALIDSIG as well, after it.
            "VALIDSIG" if !ended.iter().any(|e: &String| key.ends_with(e.as_str())) => {
                good.push(key)
            }
            "BADSIG" => return Err(format!("the signature by {key} is bad")),
            "REVKEYSIG" | "EXPKEYSIG" => ended.push(key),
            "NO_PUBKEY" => unknown.push(key),
            _ => {}
        }
    }
    if let (true, Some(key)) = (good.is_empty(), ended.first()) {
        return Err(format!("the key {key} has ended or was revoked"));
    }
    match (good.is_empty(), unknown.is_empty()) {
        (false, _) => Ok(good),
        (true, false) => Err(format!("it is signed by {}", unknown.join(", "))),
        (true, true) => Err("there is no signature that can be read".into()),
    }
}

/// What gpgv says, and the text that is signed.
fn gpgv(raw: &[u8], keyring: &Path) -> std::io::Result<(String, Vec<u8>)> {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("text");
    let mut child = Command::new("gpgv")
        .args(["--status-fd", "1", "--keyring"])
        .arg(keyring.canonicalize()?)
        .arg("--output")
        .arg(&text)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // If it has gone away, its status says why.
        let _ = input.write_all(raw);
    }
    let mut status = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(1 << 20).read_to_end(&mut status)?;
    }
    child.wait()?;
    let mut signed = Vec::new();
    if let Ok(file) = std::fs::File::open(&text) {
        file.take(raw.len() as u64 + 1).read_to_end(&mut signed)?;
    }
    Ok((String::from_utf8_lossy(&status).into_owned(), signed))
}

/// The text between the lines of a clear-signed message (RFC 9580, section 7), unchecked.
fn unsigned(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let Some((_, rest)) = text.split_once("-----BEGIN PGP SIGNED MESSAGE-----") else {
        return text.into_owned();
    };
    let body = rest.split_once("\n\n").map_or("", |(_, body)| body);
    let body = body.split("-----BEGIN PGP SIGNATURE-----").next().unwrap_or_default();
    let plain = |line: &str| line.strip_prefix("- ").unwrap_or(line).to_owned();
    body.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_signature_is_enough_and_one_bad_is_too_many() {
        let good = "[GNUPG:] NO_PUBKEY AA\n[GNUPG:] VALIDSIG 4CB5 2025-09-06\n";
        assert_eq!(judge(good), Ok(vec!["4CB5".to_owned()]));
        assert!(judge(&format!("{good}[GNUPG:] BADSIG BB x\n")).is_err());
        assert!(judge("[GNUPG:] NO_PUBKEY AA\n").expect_err("unknown").contains("AA"));
        let ended = "[GNUPG:] EXPKEYSIG B5 x\n[GNUPG:] VALIDSIG 4CB5 2025-09-06\n";
        assert!(judge(ended).expect_err("ended").contains("has ended"));
        assert!(judge("").is_err());
        assert!(judge("VALIDSIG 4CB5\n").is_err(), "gpgv's own lines only");
    }

    #[test]
    fn a_clear_signed_text_is_taken_out_of_its_frame() {
        let raw = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: x\n- -dash\n\
            -----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n";
        assert_eq!(unsigned(raw), "Suite: x\n-dash");
        assert_eq!(unsigned(b"Suite: x"), "Suite: x");
    }

    #[test]
    fn what_nobody_signed_is_refused_where_it_can_be_checked() {
        if !Path::new(KEYRING).is_file() || Command::new("gpgv").arg("--version").output().is_err()
        {
            return;
        }
        let error = check(b"Codename: bookworm\n", "bookworm", None).expect_err("refused");
        assert!(matches!(error, WatchError::Signature { .. }), "{error}");
    }
}
