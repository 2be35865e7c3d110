//! Sign-in by OpenID Connect: which provider says who somebody is, and by which of its names the desk knows a person.
//! What a person may do stands in the account, and nowhere else.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::peers::DeskAddress;
use crate::text::{Address, Line};

/// The file's name, in the desk's folder.
pub const FILE: &str = "oidc.toml";
/// The most bytes of the file.
const LIMIT: u64 = 16 << 10;
/// The most bytes of a client's secret.
const SECRET: u64 = 1024;
/// The most scopes, and the most characters of one.
const SCOPES: (usize, usize) = (16, 100);

/// Why nobody can sign in by OpenID Connect.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The system refused.
    #[error("{path} cannot be read", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not as it has to be.
    #[error("{path} does not say how people sign in: {why}", path = path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An environment variable that is not set.
    #[error("{path} takes the client's secret from the environment variable {name}, which is not set", path = path.display())]
    Environment {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
}

/// The claim of an ID token by which the desk knows a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The mail address, if the provider says that it is verified (OpenID Connect Core 1.0, 5.1).
    #[default]
    Email,
    /// The provider's own name for the person, which it never gives to another one (the same, 5.7).
    Sub,
    /// Microsoft Entra's object id, which is the same for all applications of a tenant.
    Oid,
}

impl Claim {
    /// As a token and the file have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sub => "sub",
            Self::Oid => "oid",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A person, as a provider names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The provider's issuer URL.
    pub issuer: String,
    /// By which claim.
    pub claim: Claim,
    /// The claim's value.
    pub value: Line,
}

/// No value of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {claim} of a person: {why}")]
pub struct IdentityError {
    claim: Claim,
    value: String,
    why: String,
}

impl Identity {
    /// The person whom this provider gives this value. Mail addresses are the same in capitals and small letters.
    ///
    /// # Errors
    /// If it is no text of one line, or no mail address where one is needed.
    pub fn new(issuer: &str, claim: Claim, value: &str) -> Result<Self, IdentityError> {
        let wrong = |why: String| IdentityError {
            claim,
            value: hospitium_model::printable(value, 80),
            why,
        };
        let value = match claim {
            Claim::Email => value.to_ascii_lowercase(),
            Claim::Sub | Claim::Oid => value.to_owned(),
        };
        if claim == Claim::Email {
            value.parse::<Address>().map_err(|error| wrong(error.to_string()))?;
        }
        let value = value.parse().map_err(|error: crate::TextError| wrong(error.to_string()))?;
        Ok(Self { issuer: issuer.to_owned(), claim, value })
    }
}

/// A client's secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// Where a client's secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Nowhere: the provider knows the desk as a public client.
    None,
    /// In a file, beside `oidc.toml` if its path is relative.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
}

/// The provider whom the desk believes, and how it knows the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The issuer URL, as the provider writes it.
    pub issuer: String,
    /// The desk's name at the provider.
    pub client_id: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// By which claim people are known.
    pub claim: Claim,
    /// Whether signing out here signs out there too.
    pub end_session: bool,
    /// The file that says so.
    path: PathBuf,
    kept: Kept,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Form {
    issuer: String,
    client_id: String,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    claim: Claim,
    #[serde(default)]
    end_session: bool,
}

impl Provider {
    /// Reads the file of this folder; without one, people sign in with a password only. The secret is not read yet.
    ///
    /// # Errors
    /// If it cannot be read, or an address or a name in it is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, ProviderError> {
        let path = folder.join(FILE);
        match text(&path, LIMIT) {
            Ok(text) => Self::parse(&text, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ProviderError::Read { path, source }),
        }
    }

    /// Reads its text. `path` is where it stands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ProviderError> {
        let wrong = |why: String| ProviderError::Form { path: path.to_owned(), why };
        let form: Form = toml::from_str(text)
            .map_err(|error| wrong(hospitium_model::printable(&error.to_string(), 300)))?;
        if !is_endpoint(&form.issuer) {
            let issuer = hospitium_model::printable(&form.issuer, 100);
            return Err(wrong(format!(
                "{issuer:?} is no issuer URL: https://…, or http:// on this computer"
            )));
        }
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if !(1..=200).contains(&form.client_id.len()) || !plain(&form.client_id) {
            return Err(wrong("the client id is empty, too long, or has a space in it".to_owned()));
        }
        let scopes = form.scopes.unwrap_or_else(|| match form.claim {
            Claim::Email => vec!["email".to_owned()],
            Claim::Sub => Vec::new(),
            // Entra gives the object id with the profile.
            Claim::Oid => vec!["profile".to_owned()],
        });
        let good = |scope: &String| (1..=SCOPES.1).contains(&scope.len()) && plain(scope);
        if scopes.len() > SCOPES.0 || !scopes.iter().all(good) {
            return Err(wrong(format!("scopes are at most {} words", SCOPES.0)));
        }
        let kept = match (form.secret_file, form.secret_env) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "the secret is in a file or in the environment, not both".into(),
                ));
            }
            (Some(file), None) => Kept::File(path.parent().unwrap_or(Path::new("")).join(file)),
            (None, Some(name)) => Kept::Environment(name),
            (None, None) => Kept::None,
        };
        Ok(Self {
            issuer: form.issuer,
            client_id: form.client_id,
            scopes,
            claim: form.claim,
            end_session: form.end_session,
            path: path.to_owned(),
            kept,
        })
    }

    /// The client's secret, read now; nothing for a public client.
    ///
    /// # Errors
    /// If its file cannot be read, its variable is not set, or there is nothing in it.
    pub fn secret(&self) -> Result<Option<ClientSecret>, ProviderError> {
        let secret = match &self.kept {
            Kept::None => return Ok(None),
            Kept::File(path) => text(path, SECRET)
                .map_err(|source| ProviderError::Read { path: path.clone(), source })?,
            Kept::Environment(name) => std::env::var(name).map_err(|_| {
                let name = hospitium_model::printable(name, 80);
                ProviderError::Environment { path: self.path.clone(), name }
            })?,
        };
        match secret.trim() {
            "" => Err(ProviderError::Form {
                path: self.path.clone(),
                why: "the client's secret is empty".to_owned(),
            }),
            secret => Ok(Some(ClientSecret(secret.to_owned()))),
        }
    }

    /// A person, as this provider names it.
    ///
    /// # Errors
    /// As [`Identity::new`].
    pub fn identity(&self, value: &str) -> Result<Identity, IdentityError> {
        Identity::new(&self.issuer, self.claim, value)
    }
}

/// Whether a provider may be called there: over TLS, or on this computer.
pub fn is_endpoint(url: &str) -> bool {
    // A question in an endpoint's address is allowed (RFC 6749, 3.1 and 3.2), and says nothing of whom it calls.
    let address = url.split_once('?').map_or(url, |(address, _)| address);
    address.parse::<DeskAddress>().is_ok() && url.len() <= 400
}

/// A small file's text.
fn text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    match text.len() as u64 > limit {
        true => Err(io::Error::other(format!("it has more than {limit} bytes"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "issuer = \"https://login.example/realms/desk\"\nclient-id = \"desk\"\n";

    fn parse(text: &str) -> Result<Provider, String> {
        Provider::parse(text, Path::new("desk/oidc.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_read_and_what_could_not_be_meant_refused() {
        let read = parse(GOOD).expect("reads");
        assert_eq!((read.claim, &read.scopes[..]), (Claim::Email, &["email".to_owned()][..]));
        assert_eq!(read.secret().expect("none is needed"), None);
        let long = GOOD.replace("\"desk\"", &format!("{:?}", "x".repeat(201)));
        for (text, words) in [
            (GOOD.replace("https", "http"), "no issuer URL"),
            (GOOD.replace("login.example", "ann@login.example"), "no issuer URL"),
            (GOOD.replace("\"desk\"", "\"\""), "client id"),
            (GOOD.replace("\"desk\"", "\"a b\""), "client id"),
            (long, "client id"),
            (format!("{GOOD}claim = \"preferred_username\"\n"), "unknown variant"),
            (format!("{GOOD}client-secret = \"x\"\n"), "unknown field"),
            (format!("{GOOD}scopes = [\"a b\"]\n"), "scopes"),
            (format!("{GOOD}secret-file = \"x\"\nsecret-env = \"X\"\n"), "not both"),
        ] {
            let why = parse(&text).expect_err(words);
            assert!(why.contains(words), "{words}: {why}");
        }
    }

    #[test]
    fn a_secret_is_in_a_file_or_the_environment_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |text: &str| std::fs::write(folder.path().join(FILE), text).expect("written");
        assert_eq!(Provider::read(folder.path()).expect("none is there"), None);
        at(&format!("{GOOD}secret-file = \"oidc.secret\"\n"));
        let read = Provider::read(folder.path()).expect("reads").expect("there");
        assert!(matches!(read.secret(), Err(ProviderError::Read { .. })));
        let secret = |text: &str| std::fs::write(folder.path().join("oidc.secret"), text);
        secret("\n").expect("written");
        assert!(matches!(read.secret(), Err(ProviderError::Form { .. })));
        secret(&"x".repeat(2_000)).expect("written");
        assert!(matches!(read.secret(), Err(ProviderError::Read { .. })));
        secret("s3cret-of-the-desk\n").expect("written");
        let kept = read.secret().expect("reads").expect("there");
        assert_eq!(kept.as_str(), "s3cret-of-the-desk");
        assert!(!format!("{kept:?} {read:?}").contains("s3cret"));
        at(&format!("{GOOD}secret-env = \"HOSPITIUM_TEST_NOT_SET\"\n"));
        let read = Provider::read(folder.path()).expect("reads").expect("there");
        assert!(matches!(read.secret(), Err(ProviderError::Environment { .. })));
    }

    #[test]
    fn a_person_is_known_by_issuer_claim_and_value() {
        let new = |claim, value| Identity::new("https://login.example", claim, value);
        assert_eq!(new(Claim::Email, "Ann@A.Example"), new(Claim::Email, "ann@a.example"));
        assert_ne!(new(Claim::Sub, "Ann"), new(Claim::Sub, "ann"));
        for (claim, bad) in [(Claim::Email, "ann"), (Claim::Sub, ""), (Claim::Sub, "a\nb")] {
            assert!(new(claim, bad).is_err(), "{claim} {bad:?}");
        }
    }
}
