//! Points at which a test ends the process as `kill -9` would. Nothing in a build that is no test.

/// Environment variable: at which point, counted from 1, the process ends.
#[cfg(test)]
pub const VARIABLE: &str = "HOSPITIUM_TEST_LEDGER_DIES_AT";

/// A point between two steps that a crash may separate.
#[cfg(not(test))]
#[inline]
pub fn point() {}

/// A point between two steps that a crash may separate.
#[cfg(test)]
pub fn point() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static DIES_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok()?.parse().ok());
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some(dies_at) = *DIES_AT else { return };
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == dies_at {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
