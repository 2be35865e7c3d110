//! Consoles, displays and keyboards.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Done, Told};

/// Consoles, displays and keyboards.
#[async_trait]
pub trait Terminals {
    /// Writes a line to the serial console; bytes written.
    async fn say(&self, line: &str) -> Told<usize>;

    /// Has whoever else reads from the serial console (a login, a shell) hold still, so that what comes in is
    /// [heard](Self::hear). They go on by [`stop_listening`](Self::stop_listening).
    async fn listen(&self) -> Done;

    /// What came in on the serial console, as soon as there is a line of it or `limit` has passed; nothing if
    /// nothing came.
    async fn hear(&self, limit: Duration) -> Told<Vec<u8>>;

    /// Lets those who held still go on as if nothing had been.
    async fn stop_listening(&self) -> Done;

    /// What the display is, by the guest's account: `frame buffer 1280 × 800`, `VGA text`.
    async fn display(&self) -> Told<String>;

    /// Draws text on the display; bytes drawn.
    async fn draw(&self, text: &str) -> Told<usize>;

    /// Opens every keyboard; their names.
    async fn open_keyboards(&self) -> Told<Vec<String>>;

    /// Codes of keys (Linux input-event-codes.h) pressed on any of them since they were opened or last asked, as
    /// soon as there are `count` or `limit` has passed.
    async fn keys(&self, count: usize, limit: Duration) -> Told<Vec<u16>>;
}
