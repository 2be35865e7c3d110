//! JSON forms of what has none by itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

/// Text that lives as long as the program. A name of its own keeps serde from borrowing it from what it reads.
pub(crate) type Kept = &'static str;

/// The same text, for ever. Each text is kept once.
pub(crate) fn keep(text: &str) -> Kept {
    static KEPT: Mutex<BTreeSet<Kept>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = kept.get(text) {
        return same;
    }
    let new: Kept = Box::leak(text.to_owned().into_boxed_str());
    kept.insert(new);
    new
}

/// The same texts, for ever. Each list is kept once.
pub(crate) fn keep_all(texts: &[String]) -> &'static [Kept] {
    static KEPT: Mutex<BTreeSet<&'static [Kept]>> = Mutex::new(BTreeSet::new());
    let all: Vec<Kept> = texts.iter().map(|text| keep(text)).collect();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = kept.get(all.as_slice()) {
        return same;
    }
    let new: &'static [Kept] = all.leak();
    kept.insert(new);
    new
}

/// Reads a text that lives as long as the program.
pub(crate) fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
    String::deserialize(deserializer).map(|text| keep(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_kept_once() {
        let (one, other) = (keep("stopping"), keep(&["stop", "ping"].concat()));
        assert!(std::ptr::eq(one, other));
        let list = ["a".to_owned(), "b".to_owned()];
        assert!(std::ptr::eq(keep_all(&list), keep_all(&list)));
    }
}
