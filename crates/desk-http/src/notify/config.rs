//! Who is told, and how: `notify.toml` in the desk's folder.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hospitium_desk::{Address, DeskAddress};
use serde::Deserialize;

/// The most bytes of the file.
const LIMIT: u64 = 64 << 10;
/// The fewest and the most bytes of a webhook's secret (Standard Webhooks, "Signature scheme").
const SECRET: (usize, usize) = (24, 64);

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The system refused.
    #[error("{path} cannot be read", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not as it has to be.
    #[error("{path} does not say who is told: {why}", path = path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Who is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Programs.
    #[serde(default)]
    pub webhook: Vec<Webhook>,
    /// People.
    pub mail: Option<Mail>,
}

/// A program that is told by a request.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address: `https://…`, or `http://` on this computer.
    pub url: String,
    /// `whsec_` and the secret in base64.
    secret: String,
    /// The events that it wants; all if none is named.
    #[serde(default)]
    events: Vec<String>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Its name among those who are told.
    pub fn name(&self) -> String {
        format!("webhook {}", self.url)
    }

    /// The secret's bytes.
    pub fn secret(&self) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(self.secret.strip_prefix("whsec_")?).ok()?;
        (SECRET.0..=SECRET.1).contains(&bytes.len()).then_some(bytes)
    }
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, or nothing is sent.
    #[default]
    Starttls,
    /// No TLS: a server on this computer.
    None,
}

/// People who are told by mail.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The server's name.
    pub server: String,
    /// Its port [default: 465 for TLS, 587 for STARTTLS, 25 without].
    pub port: Option<u16>,
    /// How it is spoken to.
    #[serde(default)]
    pub tls: Tls,
    /// Who signs in there, if anybody has to.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// From whom.
    pub from: Address,
    /// To whom.
    pub to: Vec<Address>,
    /// The events that are told; all if none is named.
    #[serde(default)]
    events: Vec<String>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, from, to, .. } = self;
        f.debug_struct("Mail")
            .field("server", server)
            .field("from", from)
            .field("to", to)
            .finish_non_exhaustive()
    }
}

impl Notify {
    /// Reads the file of this folder; without one, nobody is told.
    ///
    /// # Errors
    /// If it cannot be read, an address is none or could carry a header, or a secret is too short.
    pub fn read(folder: &Path) -> Result<Self, NotifyError> {
        let path = folder.join("notify.toml");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(NotifyError::Read { path, source }),
        };
        let mut text = String::new();
        if let Err(source) = file.take(LIMIT).read_to_string(&mut text) {
            return Err(NotifyError::Read { path, source });
        }
        Self::parse(&text).map_err(|why| NotifyError::Form { path, why })
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text)
            .map_err(|error| hospitium_model::printable(&error.to_string(), 300))?;
        for webhook in &read.webhook {
            webhook.url.parse::<DeskAddress>().map_err(|_| {
                let url = hospitium_model::printable(&webhook.url, 100);
                format!(
                    "{url:?} is no address for a webhook: https://…, or http:// on this computer"
                )
            })?;
            if webhook.secret().is_none() {
                return Err(format!(
                    "the secret of {} is none: whsec_ and {} to {} random bytes in base64",
                    webhook.url, SECRET.0, SECRET.1
                ));
            }
        }
        if let Some(mail) = &read.mail {
            let here = matches!(mail.server.as_str(), "localhost" | "127.0.0.1" | "::1");
            if mail.tls == Tls::None && !here {
                return Err("without TLS a mail server has to be on this computer".to_owned());
            }
            if mail.user.is_some() != mail.password.is_some() {
                return Err(
                    "a mail server is signed in to with user and password, or with neither".into(),
                );
            }
        }
        Ok(read)
    }

    /// Whether anybody is told of anything.
    pub fn is_empty(&self) -> bool {
        self.webhook.is_empty() && self.mail.is_none()
    }

    /// Who wants to be told of this event.
    pub fn wanting(&self, event: &str) -> impl Iterator<Item = String> + use<> {
        let wants = |events: &[String]| events.is_empty() || events.iter().any(|one| one == event);
        let hooks = self.webhook.iter().filter(|webhook| wants(&webhook.events));
        let mut all: Vec<String> = hooks.map(Webhook::name).collect();
        let mail = self.mail.iter().filter(|mail| wants(&mail.events));
        all.extend(mail.flat_map(|mail| &mail.to).map(|to| format!("mail {to}")));
        all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: &str = "[[webhook]]\nurl = \"https://hooks.example/x\"\n\
                        secret = \"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n";
    const MAIL: &str = "[mail]\nserver = \"smtp.example\"\nfrom = \"desk@vendor.example\"\n\
                        to = [\"queue@vendor.example\"]\n";

    #[test]
    fn who_is_told_is_read_and_what_could_not_be_meant_refused() {
        let read = Notify::parse(&format!("{HOOK}events = [\"offered\"]\n{MAIL}")).expect("reads");
        let told: Vec<String> = read.wanting("offered").collect();
        assert_eq!(told, ["webhook https://hooks.example/x", "mail queue@vendor.example"]);
        assert_eq!(read.wanting("noted").count(), 1);
        assert!(!format!("{read:?}").contains("AAECAw"), "a secret is not shown");
        for (text, words) in [
            (HOOK.replace("https", "http"), "no address for a webhook"),
            (HOOK.replace("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAEC"), "24 to 64"),
            (MAIL.replace("queue@", "queue@vendor.example\\r\\nBcc: all@"), "no mail address"),
            (MAIL.replace("desk@vendor.example", "desk"), "no mail address"),
            (format!("{MAIL}tls = \"none\"\n"), "on this computer"),
            (format!("{MAIL}user = \"x\"\n"), "with neither"),
            (format!("{MAIL}sender = \"x\"\n"), "unknown field"),
        ] {
            let why = Notify::parse(&text).expect_err(words);
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
