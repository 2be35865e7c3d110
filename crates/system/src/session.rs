//! Typed calls to the probe inside a guest.
//!
//! A [`Session`] is a handle on one byte stream; clones share it, and calls through it are made
//! one after the other, as the protocol wants. After a machine was cloned or moved, take the new
//! machine's `probe` channel and [attach](Session::attach) again: nothing but the stream ties
//! a session to a machine.

mod calls;
mod describe;
mod drivers;
mod link;
mod reply;
mod values;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_host::ByteStream;
use hospitium_model::span;
use hospitium_wire::{Domain, PROTOCOL, Refusal, Request, Verbs};
use serde::{Deserialize, Serialize};

use self::describe::describe;
use self::link::{Fault, Link, Resend};
pub use self::reply::OwnedReply;
pub use self::values::{
    BlockInfo, ClockScan, DriverLoad, Hello, MemoryScan, PatternDone, Platform, Ran, Range, Ticks,
};
use crate::text::short;
use crate::trace::Trace;

/// The file in the initramfs that says which modules drive which device: one device a line,
/// followed by the modules' paths in the order to load them.
pub const DRIVER_TABLE: &str = "/etc/hospitium.drivers";
/// The file that the probe reads as init: `channel …` lines, and `module …` lines for what it loads itself, which
/// are those of its channel. The `driver …` lines name the machine's other devices; they are loaded
/// once the probe answers, so that a restart in a check takes no longer than what it asks for.
pub const CONFIG: &str = "/etc/hospitium";

/// The folder in an initrd, where ours is behind another's: the probe as `init`, and its `config`. The probe starts the
/// initrd's own init then, and follows it into the root file system that it mounts.
pub const HANDOVER: &str = "/hospitium-handover";

/// How long a call may take when nothing else is said, beyond what the request itself asks for.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// Alters an answer before the caller sees it, so that a test can show that a check notices.
pub type Patch = Box<dyn FnMut(&Request<'_>, &mut OwnedReply) + Send>;

/// A way to talk to the probe.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    limit: Duration,
}

struct Shared {
    link: tokio::sync::Mutex<Link>,
    patch: Mutex<Option<Patch>>,
    trace: Option<Trace>,
    /// What the probe said of itself when it was last greeted.
    known: Mutex<Option<(Platform, Verbs)>>,
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionError {
    /// The guest's own system refused.
    #[error("while {doing}: {call} failed in the guest with {}", domain.words(*.code))]
    Guest {
        /// What was being done.
        doing: String,
        /// The system call, as the probe names it.
        call: String,
        /// Whose number it is: the guest's system has its own, and the probe has some.
        domain: Domain,
        /// The number.
        code: i32,
    },
    /// Nothing came back.
    #[error(
        "while {doing}: the probe did not answer within {}; the guest hangs or is very slow",
        span(*.limit)
    )]
    NoAnswer {
        /// What was being done.
        doing: String,
        /// How long it was waited.
        limit: Duration,
    },
    /// Only broken frames came back.
    #[error(
        "while {doing}: no whole answer within {}, but {frames} broken frames: something \
         else writes to the probe's channel, or it loses bytes",
        span(*.limit)
    )]
    Broken {
        /// What was being done.
        doing: String,
        /// How many.
        frames: u64,
        /// How long it was waited.
        limit: Duration,
    },
    /// Bytes without end, and no answer among them.
    #[error(
        "while {doing}: the guest sent {bytes} bytes without an answer among them; it floods the probe's channel"
    )]
    Flood {
        /// What was being done.
        doing: String,
        /// How many.
        bytes: u64,
    },
    /// The stream ended.
    #[error("while {doing}: the probe's channel was closed; the machine has ended or was moved")]
    Closed {
        /// What was being done.
        doing: String,
    },
    /// The stream failed.
    #[error("while {doing}: the probe's channel failed")]
    Io {
        /// What was being done.
        doing: String,
        /// Cause.
        #[source]
        #[serde(with = "hospitium_model::io_form")]
        source: std::io::Error,
    },
    /// An answer to something else.
    #[error("while {doing}: the probe answered with {got:?}, which is no answer to that")]
    Unexpected {
        /// What was being done.
        doing: String,
        /// The kind of answer.
        #[serde(deserialize_with = "crate::forms::kept")]
        got: crate::forms::Kept,
    },
    /// A probe of another version.
    #[error(
        "the probe in the guest speaks protocol {theirs}, this program {ours}; make the guest ready anew"
    )]
    Protocol {
        /// Version of the probe.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// A probe for something else than what was put into the guest.
    #[error(
        "the probe in the guest is one for {theirs}, and one for {ours} was expected; another program \
         answers on its channel, or the guest was made ready for another machine"
    )]
    OtherPlatform {
        /// What the probe is for.
        theirs: Platform,
        /// What was expected.
        ours: String,
    },
    /// The probe has said that it does not know such requests.
    #[error("while {doing}: the probe in the guest ({platform}) cannot do that")]
    NoVerb {
        /// What was being done.
        doing: String,
        /// What the probe is for.
        platform: Platform,
    },
    /// More than the caller takes.
    #[error("while {doing}: more than {most} bytes, which is the most that is read here")]
    TooLarge {
        /// What was being done.
        doing: String,
        /// The bound.
        most: u64,
    },
    /// The request does not fit a message.
    #[error(
        "while {doing}: the request does not fit one message ({} bytes)",
        hospitium_wire::MAX_MESSAGE
    )]
    TooLong {
        /// What was being done.
        doing: String,
    },
}

impl SessionError {
    /// The guest's `errno`, if it was a system that has such numbers that refused.
    pub const fn errno(&self) -> Option<i32> {
        match self {
            Self::Guest { domain: Domain::Errno, code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Why the probe itself refused, if it was not the guest's system.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Guest { domain: Domain::Probe, code, .. } => Refusal::of(*code),
            _ => None,
        }
    }
}

impl Session {
    /// Takes a stream to a probe. Nothing is sent yet; begin with [`Session::greet`]. What
    /// is asked and how it ended goes to `trace`, without the data.
    pub fn attach(stream: Box<dyn ByteStream>, trace: Option<Trace>) -> Self {
        let link = tokio::sync::Mutex::new(Link::new(stream));
        let shared = Shared { link, patch: Mutex::new(None), trace, known: Mutex::new(None) };
        let shared = Arc::new(shared);
        Self { shared, limit: DEFAULT_LIMIT }
    }

    /// The same session with another time limit for its calls (30 s at first). Time that a
    /// request itself asks for, such as a wait in the guest, comes on top.
    #[must_use]
    pub fn with_limit(&self, limit: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), limit }
    }

    /// From now on alters answers (of all clones of this session); `None` ends it.
    pub fn set_patch(&self, patch: Option<Patch>) {
        *lock(&self.shared.patch) = patch;
    }

    /// Waits, at most `limit`, for the probe to be there. The question is asked again and again,
    /// since it can be lost while the guest sets up its serial port.
    pub async fn greet(&self, limit: Duration) -> Result<Hello, SessionError> {
        let nonce = fresh_number();
        let doing = "asking the probe who it is";
        let reply = self.exchange(&Request::Hello { nonce }, doing, limit, Resend::Often).await?;
        let hello = reply::hello(reply, nonce, doing)?;
        *lock(&self.shared.known) = Some((hello.platform, hello.verbs));
        Ok(hello)
    }

    /// The same, and refuses a probe that is for none of `ours`.
    pub async fn greet_as(
        &self,
        ours: &[Platform],
        limit: Duration,
    ) -> Result<Hello, SessionError> {
        let hello = self.greet(limit).await?;
        if !ours.contains(&hello.platform) {
            let ours = ours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            return Err(SessionError::OtherPlatform { theirs: hello.platform, ours });
        }
        Ok(hello)
    }

    /// What the probe is for, once it was greeted.
    pub fn platform(&self) -> Option<Platform> {
        lock(&self.shared.known).map(|(platform, _)| platform)
    }

    /// True unless the probe has said that it does not know this request.
    pub fn has_verb(&self, request: &Request<'_>) -> bool {
        lock(&self.shared.known).is_none_or(|(platform, verbs)| verbs.has(platform.os, request))
    }

    /// One request, one answer; `own` is the time that the request itself asks for.
    async fn call(&self, request: &Request<'_>, own: Duration) -> Result<OwnedReply, SessionError> {
        let doing = describe(request);
        let known = *lock(&self.shared.known);
        if let Some((platform, verbs)) = known
            && !verbs.has(platform.os, request)
        {
            return Err(SessionError::NoVerb { doing, platform });
        }
        let resend = if describe::only_reads(request) { Resend::IfBroken } else { Resend::Never };
        let limit = self.limit.saturating_add(own);
        match self.exchange(request, &doing, limit, resend).await? {
            OwnedReply::Failed { domain, code, call } => {
                Err(SessionError::Guest { doing, call: short(&call, 40), domain, code })
            }
            reply => Ok(reply),
        }
    }

    async fn exchange(
        &self,
        request: &Request<'_>,
        doing: &str,
        limit: Duration,
        resend: Resend,
    ) -> Result<OwnedReply, SessionError> {
        let mut link = self.shared.link.lock().await;
        let begun = Instant::now();
        let result = link.exchange(request, limit, resend).await;
        drop(link);
        if let Some(trace) = &self.shared.trace {
            let how = match &result {
                Ok(OwnedReply::Failed { domain, code, .. }) => domain.words(*code).to_string(),
                Ok(reply) => reply.kind().to_owned(),
                Err(fault) => fault.word().to_owned(),
            };
            let took = begun.elapsed().as_secs_f64() * 1e3;
            trace.probe(&format!("{doing}: {how} after {took:.1} ms"));
        }
        let mut reply = result.map_err(|fault| fault.into_error(doing.to_owned(), limit))?;
        let mut patch = lock(&self.shared.patch);
        if let Some(patch) = patch.as_mut() {
            patch(request, &mut reply);
        }
        Ok(reply)
    }
}

impl Fault {
    fn into_error(self, doing: String, limit: Duration) -> SessionError {
        match self {
            Self::NoAnswer { broken: 0 } => SessionError::NoAnswer { doing, limit },
            Self::NoAnswer { broken } => SessionError::Broken { doing, frames: broken, limit },
            Self::Flood { bytes } => SessionError::Flood { doing, bytes },
            Self::Closed => SessionError::Closed { doing },
            Self::Io(source) => SessionError::Io { doing, source },
            Self::TooLong => SessionError::TooLong { doing },
            Self::Foreign { protocol } => {
                SessionError::Protocol { theirs: protocol, ours: PROTOCOL }
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("limit", &self.limit).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that was not used before: to tell an answer from that of an earlier question.
fn fresh_number() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};

    // Each state is keyed by the system's random numbers.
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
