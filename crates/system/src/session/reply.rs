//! Answers of the probe that own what they hold.

use std::time::Duration;

use hospitium_model::Digest;
use hospitium_wire::{Arch, ClockReading, CpuidWords, Domain, Os, PROTOCOL, Reply, Verbs};

use super::SessionError;
use super::values::{Hello, PatternDone, Platform};

/// A [`Reply`] that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "hospitium_wire::Reply says what each is")]
pub enum OwnedReply {
    Hello {
        protocol: u16,
        nonce: u64,
        os: Os,
        arch: Arch,
        verbs: Verbs,
        uname: Vec<u8>,
        uptime_ms: u64,
        is_init: bool,
    },
    Done,
    Data(Vec<u8>),
    Count(u64),
    Digest(PatternDone),
    Exit {
        code: i32,
        output: Vec<u8>,
    },
    Cpuid(CpuidWords),
    Clock(ClockReading),
    ClockScan {
        readings: u64,
        backward: u64,
        worst_ns: u64,
        cpus: u32,
    },
    Sleeps {
        count: u32,
        total_ns: u64,
        least_ns: u64,
        most_ns: u64,
    },
    RtcTime {
        seconds: i64,
    },
    Block {
        size: u64,
        logical: u32,
        physical: u32,
        read_only: bool,
    },
    Ioctl {
        result: i64,
        argument: Vec<u8>,
    },
    Scan {
        scanned: u64,
        hits: u64,
    },
    Input(Vec<u8>),
    Failed {
        domain: Domain,
        code: i32,
        call: String,
    },
}

impl OwnedReply {
    /// Its name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Done => "done",
            Self::Data(_) => "data",
            Self::Count(_) => "count",
            Self::Digest(_) => "digest",
            Self::Exit { .. } => "exit",
            Self::Cpuid(_) => "cpuid",
            Self::Clock(_) => "clock",
            Self::ClockScan { .. } => "clock scan",
            Self::Sleeps { .. } => "sleeps",
            Self::RtcTime { .. } => "rtc time",
            Self::Block { .. } => "block",
            Self::Ioctl { .. } => "ioctl",
            Self::Scan { .. } => "scan",
            Self::Input(_) => "input",
            Self::Failed { .. } => "failed",
        }
    }
}

impl From<Reply<'_>> for OwnedReply {
    fn from(reply: Reply<'_>) -> Self {
        match reply {
            Reply::Hello { protocol, nonce, os, arch, verbs, uname, uptime_ms, is_init } => {
                let uname = uname.to_vec();
                Self::Hello { protocol, nonce, os, arch, verbs, uname, uptime_ms, is_init }
            }
            Reply::Done => Self::Done,
            Reply::Data { data } => Self::Data(data.to_vec()),
            Reply::Count { count } => Self::Count(count),
            Reply::Digest { sha256, length, nanoseconds } => Self::Digest(PatternDone {
                digest: Digest::from_bytes(sha256),
                length,
                took: Duration::from_nanos(nanoseconds),
            }),
            Reply::Exit { code, output } => Self::Exit { code, output: output.to_vec() },
            Reply::Cpuid(words) => Self::Cpuid(words),
            Reply::Clock(reading) => Self::Clock(reading),
            Reply::ClockScan { readings, backward, worst_ns, cpus } => {
                Self::ClockScan { readings, backward, worst_ns, cpus }
            }
            Reply::Sleeps { count, total_ns, least_ns, most_ns } => {
                Self::Sleeps { count, total_ns, least_ns, most_ns }
            }
            Reply::RtcTime { seconds } => Self::RtcTime { seconds },
            Reply::Block { size, logical, physical, read_only } => {
                Self::Block { size, logical, physical, read_only }
            }
            Reply::Ioctl { result, argument } => {
                Self::Ioctl { result, argument: argument.to_vec() }
            }
            Reply::Scan { scanned, hits } => Self::Scan { scanned, hits },
            Reply::Input { events } => Self::Input(events.to_vec()),
            Reply::Failed { domain, code, call } => {
                Self::Failed { domain, code, call: call.to_owned() }
            }
        }
    }
}

/// Checks the answer to a greeting.
pub fn hello(reply: OwnedReply, asked: u64, doing: &str) -> Result<Hello, SessionError> {
    match reply {
        OwnedReply::Hello { protocol, .. } if protocol != PROTOCOL => {
            Err(SessionError::Protocol { theirs: protocol, ours: PROTOCOL })
        }
        OwnedReply::Hello { nonce, os, arch, verbs, uname, uptime_ms, is_init, .. }
            if nonce == asked =>
        {
            Ok(Hello {
                platform: Platform { os, arch },
                verbs,
                uname: nul_separated(&uname),
                uptime: Duration::from_millis(uptime_ms),
                is_init,
            })
        }
        OwnedReply::Hello { .. } => Err(SessionError::Unexpected {
            doing: doing.to_owned(),
            got: "a hello to somebody else",
        }),
        other => Err(SessionError::Unexpected { doing: doing.to_owned(), got: other.kind() }),
    }
}

/// Texts each ended by a NUL; what is not UTF-8 in them is replaced.
pub fn nul_separated(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split_inclusive(|&b| b == 0);
    parts.map(|p| String::from_utf8_lossy(p.strip_suffix(&[0]).unwrap_or(p)).into_owned()).collect()
}
