//! How often somebody may try to sign in: of one name from one address, of one name, from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which failures count.
const WITHIN: Duration = Duration::from_secs(15 * 60);
/// Failures within it: of a name from an address, of a name, from an address (behind a proxy, all come from one).
const BOTH: usize = 5;
const NAME: usize = 50;
const ADDRESS: usize = 200;
/// The most names and addresses that are remembered.
const KEYS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Both(String, Option<IpAddr>),
    Name(String),
    Address(Option<IpAddr>),
}

/// Failures, by whom.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Key, Vec<Instant>>>,
}

fn keys(name: &str, address: Option<IpAddr>) -> [(Key, usize); 3] {
    let address = address.map(crate::connections::network);
    [
        (Key::Both(name.to_owned(), address), BOTH),
        (Key::Name(name.to_owned()), NAME),
        (Key::Address(address), ADDRESS),
    ]
}

impl Throttle {
    /// Counts a try as failed before it is made, so that tries side by side count too.
    ///
    /// # Errors
    /// If there were too many: how long to wait.
    pub fn begin(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut all = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < WITHIN;
        let keys = keys(name, address);
        for (key, most) in &keys {
            let Some(failures) = all.get_mut(key) else { continue };
            failures.retain(recent);
            if let (true, Some(first)) = (failures.len() >= *most, failures.first()) {
                return Err(WITHIN.saturating_sub(now.saturating_duration_since(*first)));
            }
        }
        if all.len() + keys.len() > KEYS {
            all.retain(|_, failures| failures.iter().any(recent));
        }
        // Nobody is exempt because the table is full: those make room whose last failure is the oldest, of a name from an
        // address before others. What counts for a name as a whole, and for a network, goes last.
        if all.len() + keys.len() > KEYS {
            let mut oldest: Vec<(bool, Instant, Key)> = all
                .iter()
                .filter_map(|(key, failures)| {
                    let whole = !matches!(key, Key::Both(..)) && failures.len() > 1;
                    Some((whole, *failures.last()?, key.clone()))
                })
                .collect();
            oldest.sort_by_key(|(whole, last, _)| (*whole, *last));
            for (.., key) in oldest.into_iter().take(KEYS / 10) {
                all.remove(&key);
            }
        }
        for (key, _) in keys {
            all.entry(key).or_default().push(now);
        }
        Ok(())
    }

    /// It was good: the name's failures from this address are forgotten.
    pub fn succeeded(&self, name: &str, address: Option<IpAddr>) {
        let mut all = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in keys(name, address) {
            match key {
                Key::Both(..) => {
                    all.remove(&key);
                }
                _ => {
                    all.get_mut(&key).and_then(Vec::pop);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_a_name_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let (here, there) = (Some([127, 0, 0, 1].into()), Some([127, 0, 0, 2].into()));
        let now = Instant::now();
        for _ in 0..BOTH {
            assert!(throttle.begin("ann", here, now).is_ok());
        }
        assert_eq!(throttle.begin("ann", here, now), Err(WITHIN));
        assert!(throttle.begin("ann", there, now).is_ok());
        assert!(throttle.begin("bo", here, now).is_ok());
        assert!(throttle.begin("ann", here, now + WITHIN).is_ok());
    }

    #[test]
    fn who_signs_in_is_not_held_up_by_what_was_mistyped_before() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..100 {
            assert!(throttle.begin("ann", None, now).is_ok());
            throttle.succeeded("ann", None);
        }
    }

    #[test]
    fn a_full_table_exempts_nobody() {
        let throttle = Throttle::default();
        let begun = Instant::now();
        for n in 0..KEYS as u32 {
            let address = Some(std::net::Ipv4Addr::from(0x0a00_0000 + n / 100).into());
            let _ = throttle.begin(&format!("made-up-{n}"), address, begun);
        }
        let mine = Some([192, 0, 2, 1].into());
        let now = begun + Duration::from_secs(1);
        let tried = (0..20).filter(|_| throttle.begin("ann", mine, now).is_ok()).count();
        assert_eq!(tried, BOTH);
        let all = throttle.failures.lock().expect("whole").len();
        assert!(all <= KEYS, "{all}");
    }

    #[test]
    fn all_of_an_ipv6_network_is_one_address() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let address =
            |n: u16| Some(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, n, 0, 0, n).into());
        let tried = (0..20).filter(|n| throttle.begin("ann", address(*n), now).is_ok()).count();
        assert_eq!(tried, BOTH);
    }

    #[test]
    fn a_name_that_is_tried_from_many_addresses_waits_too() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let tried =
            (0..=255u8).filter(|n| throttle.begin("ann", Some([10, 0, 0, *n].into()), now).is_ok());
        assert_eq!(tried.count(), NAME);
    }
}
