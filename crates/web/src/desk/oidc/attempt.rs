//! A sign-in on its way. It lives in a cookie of the browser that began it, so that nobody fills a memory of ours by
//! beginning many, and counts once and for ten minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use hospitium_desk::store::{StoreError, Token};
use hospitium_model::Digest;
use jiff::Timestamp;
use sha2::Sha256;

/// How long a sign-in may take, in seconds.
pub const WITHIN: i64 = 600;
/// The most sign-ins that are remembered after they came back.
const MOST: usize = 10_000;

/// A sign-in that a browser began. What goes with it is derived from a token that only this browser and we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    token: Token,
    made: i64,
    /// Where to go on afterwards.
    pub next: String,
}

impl Attempt {
    /// A new one.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn new(next: String, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self { token: Token::new()?, made: now.as_second(), next })
    }

    fn derived(&self, what: &str) -> String {
        Digest::of(format!("{what} of sign-in {}", self.token.as_str()).as_bytes()).to_string()
    }

    /// What the provider gives back with the browser.
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// What the ID token has to carry.
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// What proves to the provider that the code comes from whoever asked for it (RFC 7636).
    pub fn verifier(&self) -> String {
        self.derived("verifier")
    }

    fn name(&self) -> String {
        self.derived("name")
    }
}

/// Which sign-ins are ours, and which came back already.
pub struct Attempts {
    key: Token,
    back: Mutex<HashMap<String, i64>>,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts")
    }
}

impl Attempts {
    /// None yet. A restart of the server ends all that are on their way.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self { key: Token::new()?, back: Mutex::default() })
    }

    fn mac(&self, text: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_str().as_bytes()).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    }

    /// The cookie's value: the attempt, and that we made it.
    pub fn write(&self, attempt: &Attempt) -> String {
        let text = format!("{}.{}.{}", attempt.token.as_str(), attempt.made, attempt.next);
        let mac = self.mac(&text).map(|mac| mac.finalize().into_bytes());
        let hex: String = mac.into_iter().flatten().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}.{hex}")
    }

    /// The attempt of a cookie; nothing if we did not make it, or it took too long.
    pub fn read(&self, value: &str, now: Timestamp) -> Option<Attempt> {
        let (text, hex) = value.rsplit_once('.')?;
        if hex.len() != 64 {
            return None;
        }
        let digits = |n: usize| u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok();
        let mac: Vec<u8> = (0..32).map(digits).collect::<Option<_>>()?;
        self.mac(text)?.verify_slice(&mac).ok()?;
        let mut parts = text.splitn(3, '.');
        let token = Token::read(parts.next()?)?;
        let (made, next) = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
        let took = now.as_second().checked_sub(made)?;
        (0..=WITHIN).contains(&took).then_some(Attempt { token, made, next })
    }

    /// Notes that it came back. Gives whether it does so for the first time.
    pub fn comes_back(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let mut all = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, made| *made + WITHIN >= now.as_second());
        // The oldest make room. The provider gives a token for a code once, however often its browser comes.
        if all.len() >= MOST {
            let mut times: Vec<i64> = all.values().copied().collect();
            times.sort_unstable();
            let kept = times.get(MOST / 10).copied().unwrap_or(i64::MAX);
            all.retain(|_, made| *made > kept);
        }
        all.insert(attempt.name(), attempt.made).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    #[test]
    fn a_cookie_holds_for_ten_minutes_at_the_server_that_made_it_and_unaltered() {
        let ours = Attempts::new().expect("random");
        let attempt = Attempt::new("/desk/open".to_owned(), at(0)).expect("random");
        let value = ours.write(&attempt);
        assert_eq!(ours.read(&value, at(WITHIN)), Some(attempt.clone()));
        assert_eq!(ours.read(&value, at(WITHIN + 1)), None);
        assert_eq!(ours.read(&value, at(-1)), None);
        assert_eq!(Attempts::new().expect("random").read(&value, at(0)), None);
        let later = value.replacen("1800000000", "1800000300", 1);
        assert_ne!(later, value);
        let elsewhere = value.replacen("/desk/open", "/desk/audit", 1);
        for bad in ["", ".", "a.b.c.d", &value[1..], &later, &elsewhere, &format!("{value}é")] {
            assert_eq!(ours.read(bad, at(0)), None, "{bad:?}");
        }
    }

    #[test]
    fn what_goes_with_an_attempt_is_its_own_and_tells_nothing_of_the_rest() {
        let [one, other] = [0, 0].map(|_| Attempt::new(String::new(), at(0)).expect("random"));
        let all: Vec<String> = [&one, &other]
            .iter()
            .flat_map(|one| [one.state(), one.nonce(), one.verifier(), one.name()])
            .collect();
        let apart: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(apart.len(), 8);
    }

    #[test]
    fn an_attempt_comes_back_once_and_many_fill_no_memory() {
        let all = Attempts::new().expect("random");
        let first = Attempt::new(String::new(), at(0)).expect("random");
        assert!(all.comes_back(&first, at(1)));
        assert!(!all.comes_back(&first, at(2)));
        for n in 0..MOST {
            let made = at(1 + n as i64 / 100);
            let other = Attempt::new(String::new(), made).expect("random");
            assert!(all.comes_back(&other, made));
        }
        let kept = all.back.lock().expect("whole").len();
        assert!((MOST / 2..=MOST).contains(&kept), "{kept}");
        let late = Attempt::new(String::new(), at(2 * WITHIN)).expect("random");
        assert!(all.comes_back(&late, at(2 * WITHIN)));
        assert_eq!(all.back.lock().expect("whole").len(), 1, "what is too old is forgotten");
    }
}
