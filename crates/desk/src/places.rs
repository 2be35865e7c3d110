//! How many files each may send at once: an account at the pages, another party's desk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of one at once.
const EACH: usize = 2;

/// The places that are taken, by whose they are.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<String, usize>>>);

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Places,
    account: String,
}

impl Places {
    /// A place for this one, if it has one left.
    pub fn take(&self, account: &str) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(account.to_owned()).or_default();
        if *count >= EACH {
            return None;
        }
        *count += 1;
        Some(Place { of: self.clone(), account: account.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.account).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => drop(taken.remove(&self.account)),
            left => drop(taken.insert(self.account.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_own_places_and_gets_them_back() {
        let places = Places::default();
        let (one, two) = (places.take("pat"), places.take("pat"));
        assert!(one.is_some() && two.is_some());
        assert!(places.take("pat").is_none());
        assert!(places.take("ann").is_some(), "another's are free");
        drop(one);
        assert!(places.take("pat").is_some());
        drop(two);
        assert!(places.0.lock().expect("whole").is_empty(), "nothing is kept of who has none");
    }
}
