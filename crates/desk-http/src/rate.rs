//! How much one party may ask in a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_desk::PartyName;

/// What a party has left, filled again as time goes by.
#[derive(Debug, Clone, Copy)]
struct Left {
    amount: f64,
    seen: Instant,
}

/// A bound of so much a minute for each party. What was not used in one minute can be used at once in the next.
#[derive(Debug)]
pub struct Rate {
    a_minute: u32,
    left: Mutex<HashMap<PartyName, Left>>,
}

impl Rate {
    /// So much a minute.
    pub fn new(a_minute: u32) -> Self {
        Self { a_minute, left: Mutex::default() }
    }

    /// Takes so much. Only parties that are known come here, so that there are few.
    ///
    /// # Errors
    /// If it is more than is left: how long to wait.
    pub fn take(&self, party: &PartyName, amount: u32, now: Instant) -> Result<(), Duration> {
        let most = f64::from(self.a_minute);
        let amount = f64::from(amount).min(most);
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.entry(party.clone()).or_insert(Left { amount: most, seen: now });
        let passed = now.saturating_duration_since(left.seen).as_secs_f64();
        left.amount = (left.amount + passed * most / 60.0).min(most);
        left.seen = now;
        if left.amount < amount {
            let wait = (amount - left.amount) * 60.0 / most.max(1.0);
            return Err(Duration::from_secs_f64(wait.clamp(1.0, 60.0)));
        }
        left.amount -= amount;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_that_asks_too_much_waits_and_takes_nothing_from_another() {
        let rate = Rate::new(60);
        let (one, other): (PartyName, PartyName) =
            ("a.example".parse().expect("a name"), "b.example".parse().expect("a name"));
        let now = Instant::now();
        assert!(rate.take(&one, 60, now).is_ok());
        let wait = rate.take(&one, 2, now).expect_err("nothing is left");
        assert_eq!(wait, Duration::from_secs(2));
        assert!(rate.take(&other, 1, now).is_ok());
        assert!(rate.take(&one, 2, now + wait).is_ok());
    }
}
