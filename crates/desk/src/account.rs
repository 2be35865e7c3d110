//! Who may sign in at a desk, and as what.

use std::fmt;
use std::str::FromStr;

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use serde::{Deserialize, Serialize};

use crate::people::Engineer;
use crate::text::{Address, Line, PartyName};

/// The fewest and the most characters of a password (OWASP ASVS 4.0.3, 2.1.1 and 2.1.2).
pub const PASSWORD: (usize, usize) = (12, 128);

/// What somebody may do at a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads and works on every case.
    Engineer,
    /// The same, and reads who did what at the desk.
    Manager,
    /// Sees its own organisation's cases, without what the vendors say to each other, and answers in them.
    Customer,
    /// Reads every case and who did what; changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Engineer, Self::Manager, Self::Customer, Self::Auditor];

    /// As it is stored and typed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engineer => "engineer",
            Self::Manager => "manager",
            Self::Customer => "customer",
            Self::Auditor => "auditor",
        }
    }

    /// Whether it works on cases for the vendor.
    pub const fn works(self) -> bool {
        matches!(self, Self::Engineer | Self::Manager)
    }

    /// Whether it may read who did what at the desk.
    pub const fn audits(self) -> bool {
        matches!(self, Self::Manager | Self::Auditor)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let found = Self::ALL.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| AccountError::Role(hospitium_model::printable(text, 40)))
    }
}

/// Why somebody cannot have an account so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No name to sign in with.
    #[error("{0:?} is no name to sign in with; write 1 to 40 of a-z, 0-9, '.', '-' and '_'")]
    Login(String),
    /// No role.
    #[error("{0:?} is no role; there are engineer, manager, customer and auditor")]
    Role(String),
    /// An engineer without a mail address of the party.
    #[error("an engineer or manager needs a mail address on {0}: --address NAME@{0}")]
    Address(PartyName),
    /// A customer of nobody.
    #[error(
        "a customer belongs to an organisation, named as cases name it: --customer \"Customer Inc.\""
    )]
    Customer,
    /// An organisation for somebody who is no customer.
    #[error("only a customer belongs to an organisation; leave --customer out")]
    NoCustomer,
    /// Too short or too long.
    #[error("a password has {least} to {most} characters", least = PASSWORD.0, most = PASSWORD.1)]
    Password,
    /// It cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// The name that somebody signs in with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login(String);

impl Login {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Login {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        match (1..=40).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(AccountError::Login(hospitium_model::printable(text, 60))),
        }
    }
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name to sign in with.
    pub login: Login,
    /// What it may do.
    pub role: Role,
    /// The person's name, as cases have it.
    pub name: Line,
    /// The mail address.
    pub address: Option<Address>,
    /// Of a customer: the organisation, as cases name it.
    pub customer: Option<Line>,
}

impl Account {
    /// Checks that it is whole, at the desk of this party.
    ///
    /// # Errors
    /// If a customer has no organisation, or somebody who works on cases no address of the party.
    pub fn check(&self, us: &PartyName) -> Result<(), AccountError> {
        match (self.role, &self.customer) {
            (Role::Customer, None) => return Err(AccountError::Customer),
            (Role::Customer, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(AccountError::NoCustomer),
        }
        let own = self.address.as_ref().is_some_and(|address| address.is_of(us));
        match self.role.works() && !own {
            true => Err(AccountError::Address(us.clone())),
            false => Ok(()),
        }
    }

    /// As an engineer, if it is one.
    pub fn engineer(&self) -> Option<Engineer> {
        let address = self.address.clone().filter(|_| self.role.works())?;
        Some(Engineer { name: self.name.clone(), address })
    }
}

/// A password's hash: Argon2id with 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet; the defaults of the
/// `argon2` crate), and a salt of its own. Takes some tens of milliseconds.
///
/// # Errors
/// If the password is too short or too long.
pub fn hash_password(password: &str) -> Result<String, AccountError> {
    if !(PASSWORD.0..=PASSWORD.1).contains(&password.chars().count()) {
        return Err(AccountError::Password);
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| AccountError::Hash(error.to_string()))
}

/// A hash that nobody knows a password of, with the parameters above.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ\
                      $AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Whether this is the password. With nothing to compare, as much time is used, so that nobody learns which names have an
/// account.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODY));
    let same = parsed.is_ok_and(|parsed| {
        password.chars().count() <= PASSWORD.1
            && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    });
    same && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::text;

    #[test]
    fn a_password_is_known_by_its_hash_alone_and_no_two_hashes_are_alike() {
        let (one, other) =
            (hash_password("correct horse battery"), hash_password("correct horse battery"));
        let (one, other) = (one.expect("hashed"), other.expect("hashed"));
        assert_ne!(one, other);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(is_password("correct horse battery", Some(&one)));
        assert!(!is_password("correct horse batterz", Some(&one)));
        assert!(!is_password("correct horse battery", None));
        assert!(!is_password("correct horse battery", Some("no hash")));
        for bad in ["short", &"x".repeat(129)] {
            assert_eq!(hash_password(bad), Err(AccountError::Password));
        }
    }

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_anybodys() {
        let nobody = PasswordHash::new(NOBODY).expect("a hash");
        let hash = hash_password("correct horse battery").expect("hashed");
        let anybody = PasswordHash::new(&hash).expect("a hash");
        let length = |hash: &PasswordHash<'_>| hash.hash.map(|output| output.len());
        assert_eq!(length(&nobody), length(&anybody));
        assert_eq!((nobody.algorithm, nobody.params), (anybody.algorithm, anybody.params));
    }

    #[test]
    fn an_account_is_whole_or_refused() {
        let us: PartyName = text("guest.example");
        let account = |role, address: Option<&str>, customer: Option<&str>| Account {
            login: "ann".parse().expect("a name"),
            role,
            name: text("Ann Smith"),
            address: address.map(text),
            customer: customer.map(text),
        };
        assert_eq!(account(Role::Engineer, Some("a@guest.example"), None).check(&us), Ok(()));
        assert_eq!(account(Role::Auditor, None, None).check(&us), Ok(()));
        assert_eq!(account(Role::Customer, None, Some("Customer Inc.")).check(&us), Ok(()));
        let own = AccountError::Address(us.clone());
        assert_eq!(account(Role::Manager, None, None).check(&us), Err(own.clone()));
        assert_eq!(account(Role::Engineer, Some("a@host.example"), None).check(&us), Err(own));
        assert_eq!(account(Role::Customer, None, None).check(&us), Err(AccountError::Customer));
        let both = account(Role::Auditor, None, Some("Customer Inc."));
        assert_eq!(both.check(&us), Err(AccountError::NoCustomer));
        for bad in ["", "Ann", "a b", "a/../b", &"x".repeat(41)] {
            assert!(bad.parse::<Login>().is_err(), "{bad:?}");
        }
    }
}
