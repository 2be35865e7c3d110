//! Mutexes whose content a panic elsewhere leaves as good as it was.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The content.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
