//! `hospitium case person`: who may sign in at the desk's pages.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context, Result};
use clap::Subcommand;
use hospitium_desk::sign_in::{FILE as OIDC, Identity, Provider};
use hospitium_desk::{Account, Address, Line, Login, Role, hash_password};
use jiff::SignedDuration;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use super::on::On;
use super::place::Place;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// The most bytes of a password that are read.
const LIMIT: u64 = 1024;

#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Make an account; the password is asked for, or read from the first line of standard input
    Add {
        /// The name to sign in with
        #[arg(value_name = "LOGIN")]
        login: Login,
        /// engineer, manager (reads too who did what), customer (its own organisation's cases), auditor (reads)
        #[arg(long)]
        role: Role,
        /// The person's name, as cases have it [default: LOGIN]
        #[arg(long, value_name = "NAME")]
        name: Option<Line>,
        /// The mail address; an engineer's is on this party's own domain
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Address>,
        /// The customer's organisation, as cases name it
        #[arg(long, value_name = "NAME")]
        customer: Option<Line>,
        /// The person's mail address, sub or oid at the provider of desk/oidc.toml, where it signs in; no password is asked
        /// for
        #[arg(long, value_name = "IDENTITY")]
        oidc: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// Say by which identity a person signs in at the provider of desk/oidc.toml; sessions and tokens end
    Oidc {
        /// The account
        #[arg(value_name = "LOGIN")]
        login: Login,
        /// The mail address, sub or oid that the provider gives the person
        #[arg(value_name = "IDENTITY", required_unless_present = "none", conflicts_with = "none")]
        identity: Option<String>,
        /// By none: with a password only
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        on: On,
    },
    /// The accounts
    List {
        #[command(flatten)]
        on: On,
    },
    /// Another password; sessions end
    Password {
        /// The name to sign in with
        #[arg(value_name = "LOGIN")]
        login: Login,
        #[command(flatten)]
        on: On,
    },
    /// Make a token with which a program calls the desk in this account's name (docs/api.md); it is shown once
    Token {
        /// The account
        #[arg(value_name = "LOGIN")]
        login: Login,
        /// How long it holds
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
        /// End all tokens of the account instead
        #[arg(long, conflicts_with = "days")]
        end: bool,
        #[command(flatten)]
        on: On,
    },
    /// Remove an account; its sessions end
    Remove {
        /// The name to sign in with
        #[arg(value_name = "LOGIN")]
        login: Login,
        #[command(flatten)]
        on: On,
    },
}

/// `hospitium case person`.
pub async fn person(command: PersonCommand) -> Result<End> {
    match command {
        PersonCommand::Add { login, role, name, address, customer, oidc, on } => {
            let place = Place::open(&on.desk).await?;
            let name = match name {
                Some(name) => name,
                None => login.as_str().parse().context("the name")?,
            };
            let account = Account { login, role, name, address, customer };
            account.check(&place.office.us).map_err(usage)?;
            let store = &place.office.store;
            if store.account(&account.login).await?.is_some() {
                return Err(Usage::error(
                    format!("the account {} is there already", account.login),
                    "change its password: hospitium case person password LOGIN",
                ));
            }
            let identity = oidc.map(|value| identity(&place, &value)).transpose()?;
            let hash = match &identity {
                // Nobody has its password, until it is given one.
                Some(_) => String::new(),
                None => hash_password(&password()?).map_err(usage)?,
            };
            store.add_account(&account, &hash).await?;
            noted(&place, "made an account", &account.login).await?;
            if let Some(identity) = &identity
                && let Err(error) = link(&place, &account.login, Some(identity)).await
            {
                // Nobody could sign in to it.
                store.remove_account(&account.login).await?;
                noted(&place, "removed an account", &account.login).await?;
                return Err(error);
            }
            tell(&on, &account);
        }
        PersonCommand::Oidc { login, identity: given, none: _, on } => {
            let place = Place::open(&on.desk).await?;
            let identity = given.map(|value| identity(&place, &value)).transpose()?;
            link(&place, &login, identity.as_ref()).await?;
            match identity {
                Some(Identity { issuer, claim, value }) => {
                    let words = format!("{login} signs in at {issuer} as {value} ({claim})");
                    out!("{}; its sessions ended", safe(&words));
                }
                None => out!("{login} signs in with a password only; its sessions ended"),
            }
        }
        PersonCommand::List { on } => {
            let place = Place::open(&on.desk).await?;
            let all = place.office.store.accounts().await?;
            let identities = place.office.store.identities().await?;
            if on.json {
                let of = |account: &Account| {
                    let found = identities.iter().find(|one| one.0 == account.login.as_str());
                    let mut value = value(account);
                    value["oidc"] = json!(found.map(|(_, claim, value)| json!({ claim: value })));
                    value
                };
                let all: Vec<_> = all.iter().map(of).collect();
                out!("{}", json!({ "schema": "hospitium-people/1", "people": all }));
            } else {
                for account in &all {
                    tell(&on, account);
                    let found = identities.iter().find(|one| one.0 == account.login.as_str());
                    if let Some((_, claim, value)) = found {
                        out!("{:<12} signs in as {}", "", safe(&format!("{value} ({claim})")));
                    }
                }
                if all.is_empty() {
                    out!(
                        "nobody has an account; hospitium case person add LOGIN --role engineer …"
                    );
                }
            }
        }
        PersonCommand::Password { login, on } => {
            let place = Place::open(&on.desk).await?;
            let hash = hash_password(&password()?).map_err(usage)?;
            place.office.store.change_password(&login, &hash).await.map_err(absent)?;
            noted(&place, "changed a password", &login).await?;
            out!("{login} has another password; its sessions ended");
        }
        PersonCommand::Token { login, days, end, on } => {
            let place = Place::open(&on.desk).await?;
            let store = &place.office.store;
            if end {
                let ended = store.end_tokens(&login).await?;
                noted(&place, "ended tokens", &login).await?;
                out!("{login}: {ended} tokens ended");
                return Ok(End::Good);
            }
            let now = super::now();
            let until = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
            let until = until.context("the time until which it holds")?;
            let token = store.add_token(&login, now, until).await.map_err(absent)?;
            noted(&place, "made a token", &login).await?;
            match on.json {
                true => out!("{}", json!({ "token": token.as_str(), "until": until })),
                false => out!("{}", token.as_str()),
            }
            note!("it holds until {until}, as long as the account and its password are the same");
        }
        PersonCommand::Remove { login, on } => {
            let place = Place::open(&on.desk).await?;
            place.office.store.remove_account(&login).await.map_err(absent)?;
            noted(&place, "removed an account", &login).await?;
            out!("{login} is removed; its sessions ended");
        }
    }
    Ok(End::Good)
}

/// A person, as the desk's provider names it.
fn identity(place: &Place, value: &str) -> Result<Identity> {
    let folder = &place.office.folder;
    let Some(provider) = Provider::read(folder)? else {
        return Err(Usage::error(
            format!("there is no {}", folder.join(OIDC).display()),
            "say in it at which provider people sign in (docs/desk.md, \"Sign-in by OpenID Connect\")",
        ));
    };
    let words = "name the person as the provider does: a mail address, or what the claim of desk/oidc.toml says";
    provider.identity(value).map_err(|error| Usage::error(error.to_string(), words))
}

async fn link(place: &Place, login: &Login, to: Option<&Identity>) -> Result<()> {
    place.office.store.link(login, to).await.map_err(absent)?;
    let what = match to {
        Some(Identity { issuer, claim, value }) => {
            format!("linked to {value} ({claim}) of {issuer}")
        }
        None => "unlinked from a provider".to_owned(),
    };
    noted(place, &what, login).await
}

fn usage(error: hospitium_desk::AccountError) -> anyhow::Error {
    Usage::error(error.to_string(), "see `hospitium case person add --help`")
}

fn absent(error: hospitium_desk::store::StoreError) -> anyhow::Error {
    Usage::error(error.to_string(), "list the accounts: hospitium case person list")
}

async fn noted(place: &Place, what: &str, login: &Login) -> Result<()> {
    let store = &place.office.store;
    store.audit(super::now(), "(command line)", what, login.as_str()).await?;
    Ok(())
}

fn value(account: &Account) -> serde_json::Value {
    let Account { login, role, name, address, customer } = account;
    json!({ "login": login.as_str(), "role": role, "name": name, "address": address, "customer": customer })
}

fn tell(on: &On, account: &Account) {
    if on.json {
        out!("{}", value(account));
        return;
    }
    let of = account.customer.as_ref().map(|customer| format!(" of {customer}"));
    let at = account.address.as_ref().map(|address| format!(" <{address}>"));
    let words = format!(
        "{} {}{}{}",
        account.role,
        account.name,
        at.unwrap_or_default(),
        of.unwrap_or_default()
    );
    out!("{:<12} {}", safe(account.login.as_str()), safe(&words));
}

/// A password: asked for twice at a terminal, without showing it; else the first line of standard input.
fn password() -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let first = asked("Password: ")?;
    match asked("Again: ")? == first {
        true => Ok(first),
        false => Err(Usage::error("the two passwords differ", "type the same one twice")),
    }
}

fn line() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LIMIT).read_line(&mut text);
    read.context("the password cannot be read")?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Shows again what is typed, whatever happens.
struct Hidden(rustix::termios::Termios);

impl Hidden {
    fn begin() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("the terminal cannot be asked")?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden);
        set.context("the terminal would show the password; give it on standard input")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn asked(prompt: &str) -> Result<String> {
    let hidden = Hidden::begin()?;
    let mut errors = std::io::stderr();
    write!(errors, "{prompt}").and_then(|()| errors.flush()).context("the terminal")?;
    let text = line();
    drop(hidden);
    note!("");
    text
}
