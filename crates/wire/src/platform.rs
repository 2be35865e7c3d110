//! What a probe is for, and what it can be asked.

use serde::{Deserialize, Serialize};

use crate::linux::LinuxRequest;
use crate::request::Request;

/// Operating systems that a probe can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the systems' own names")]
pub enum Os {
    Linux,
    Windows,
}

impl Os {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
        }
    }
}

/// Instruction sets that a probe can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arch {
    /// 32-bit x86.
    X86,
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "32-bit x86",
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "AArch64",
        }
    }
}

/// The set of requests that a probe answers, so that a harness knows what an older or a smaller one can
/// do before it asks. One bit a request, by [`Request::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Verbs {
    /// Those of every operating system.
    pub neutral: u64,
    /// Those of the probe's own.
    pub own: u64,
}

impl Verbs {
    /// All that a probe in Linux can be asked.
    pub const LINUX: Self =
        Self { neutral: first(Request::COUNT), own: first(LinuxRequest::COUNT) };

    /// True if a probe of `os` with these can be asked this.
    pub const fn has(self, os: Os, request: &Request<'_>) -> bool {
        let bits = match request {
            Request::Linux(_) if !matches!(os, Os::Linux) => return false,
            Request::Linux(own) => self.own >> own.number(),
            neutral => self.neutral >> neutral.number(),
        };
        bits & 1 == 1
    }
}

/// The first `count` bits; fewer than 64.
const fn first(count: u8) -> u64 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its number on the wire.
    fn on_the_wire(request: &Request<'_>) -> (u8, u8) {
        let mut room = [0; 64];
        postcard::to_slice(request, &mut room).expect("fits");
        (room[0], room[1])
    }

    #[test]
    fn a_requests_number_is_that_on_the_wire() {
        for request in [Request::Hello { nonce: 0 }, Request::Sync, Request::Clock] {
            assert_eq!(on_the_wire(&request).0, request.number());
        }
        let own = LinuxRequest::KernelLog { offset: 7 };
        let number = own.number();
        let request = Request::Linux(own);
        assert_eq!(request.number() + 1, Request::COUNT, "the last");
        assert_eq!(on_the_wire(&request), (request.number(), number));
        let last = LinuxRequest::ActAs { release: "" };
        assert_eq!(last.number() + 1, LinuxRequest::COUNT);
    }

    #[test]
    fn a_smaller_probe_says_what_it_lacks() {
        assert!(Verbs::LINUX.has(Os::Linux, &Request::Sync));
        let log = Request::Linux(LinuxRequest::KernelLog { offset: 0 });
        assert!(Verbs::LINUX.has(Os::Linux, &log));
        assert!(!Verbs::LINUX.has(Os::Windows, &log), "what only Linux has");
        let small = Verbs { neutral: 1, own: 0 };
        assert!(small.has(Os::Linux, &Request::Hello { nonce: 0 }));
        assert!(!small.has(Os::Linux, &Request::Sync));
    }
}
