//! Power, life and death; what the kernel says of them.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_wire::PowerAction;
use serde::{Deserialize, Serialize};

use crate::{Done, Told};

/// A line of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Severity, 0 the worst, as syslog has it (RFC 5424, 6.2.1); none where the line has none.
    pub level: Option<u8>,
    /// The text, as the guest wrote it.
    pub text: String,
}

/// What a system calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemName {
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// What stands before it in the line of the console in which the system shows it as it starts.
    pub before: String,
    /// What stands behind it there.
    pub behind: String,
}

impl SystemName {
    /// The name in a line of the console; none if the line is no such.
    pub fn in_line<'l>(&self, line: &'l str) -> Option<&'l str> {
        let (_, rest) = line.split_once(&self.before)?;
        let (name, _) = rest.split_once(&self.behind)?;
        Some(name.trim())
    }
}

/// How a guest listens to its power button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Button {
    /// It sees none.
    None,
    /// By itself, and says in its own words what it stops.
    ByItself,
    /// Through the probe, which writes this on the console.
    Probe(#[serde(deserialize_with = "crate::forms::kept")] crate::forms::Kept),
}

/// A place in a kernel's log; by default its beginning.
///
/// Serialized as a number alone where nothing is known of what stands before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct LogPosition {
    /// Bytes of the log before it.
    pub at: u32,
    /// The last of these bytes, at most 128: a log that has them elsewhere, or not at all, has moved meanwhile.
    pub before: Vec<u8>,
}

/// How a position is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    At(u32),
    Behind { at: u32, before: Vec<u8> },
}

impl From<Form> for LogPosition {
    fn from(form: Form) -> Self {
        match form {
            Form::At(at) => Self { at, before: Vec::new() },
            Form::Behind { at, before } => Self { at, before },
        }
    }
}

impl From<LogPosition> for Form {
    fn from(LogPosition { at, before }: LogPosition) -> Self {
        if before.is_empty() { Self::At(at) } else { Self::Behind { at, before } }
    }
}

/// Power, life and death.
#[async_trait]
pub trait Power {
    /// Which boot of its system the guest is in: another text after every restart.
    async fn boot_id(&self) -> Told<String>;

    /// Waits, at most `limit`, until the guest answers at all. What was asked before a restart may be lost, so that
    /// this is asked again and again.
    async fn answers(&self, limit: Duration) -> Done;

    /// What the system says of its own start: `running` and the like, once it has finished.
    async fn state(&self, limit: Duration) -> Told<String>;

    /// Since the start of the guest's kernel.
    async fn uptime(&self) -> Told<Duration>;

    /// Version that the system reports of itself.
    async fn version(&self) -> Told<String>;

    /// What the system calls itself in full.
    async fn name(&self) -> Told<SystemName>;

    /// Answers first, then does it.
    async fn act(&self, action: PowerAction) -> Done;

    /// Makes ready for the power button, where the system does not listen to it by itself.
    async fn obey_power_button(&self) -> Told<Button>;

    /// Console texts of an orderly shutdown by the system's own account, any of them.
    fn shutdown_marks(&self) -> &'static [&'static str];

    /// Console text of a kernel that gave up.
    fn panic_mark(&self) -> &'static str;

    /// Opens the watchdog, sets its time-out and does not pet it; seconds in force.
    async fn arm_watchdog(&self, seconds: u32) -> Told<u64>;

    /// The kernel's log, oldest first.
    async fn log(&self) -> Told<Vec<LogLine>>;

    /// What has come to the log since this position, and the position now. All that there is where what stood before
    /// the position is in the log no more: the log has begun anew, or its oldest lines were dropped.
    async fn log_since(&self, position: &LogPosition) -> Told<(Vec<LogLine>, LogPosition)>;
}
