//! The probe as an ordinary process: what every request promises, and what bad input does not do.

mod conversation;
mod log;
mod machine;
mod net;
mod older;
mod session;
mod storage;

use std::time::Duration;

/// Long enough for an answer that comes at all, short enough to wait for one that does not.
const SOON: Duration = Duration::from_millis(300);

/// A path in a folder.
fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path in UTF-8").to_owned()
}
