//! How a machine ended, as a type: who asked for it decides what its end says about the pair.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// The machine was powered off, by its guest or by what its guest caused.
    PoweredOff,
    /// We ended it.
    ByUs,
    /// The hypervisor's process for it ended by itself with this code.
    Exited {
        /// Exit code.
        code: i32,
        /// The last that it said, escaped; empty if nothing.
        said: String,
    },
    /// A signal ended the hypervisor's process for it.
    Signalled {
        /// Signal number (signal(7)).
        signal: i32,
        /// The last that it said, escaped; empty if nothing.
        said: String,
    },
    /// The hypervisor says that the machine is no more, and not by which exit code or signal.
    Failed {
        /// What it says, escaped.
        why: String,
    },
    /// The host can no longer be asked, so the machine is lost; it may still run.
    Lost {
        /// Why, escaped.
        why: String,
    },
}

/// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: a program does these to itself (signal(7)).
const OWN_FAULT: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

impl Ended {
    /// True if we or the guest asked for it.
    pub const fn expected(&self) -> bool {
        matches!(self, Self::PoweredOff | Self::ByUs)
    }

    /// True if the hypervisor crashed: it fell over its own fault and nobody killed it.
    pub fn is_crash(&self) -> bool {
        matches!(self, Self::Signalled { signal, .. } if OWN_FAULT.contains(signal))
    }

    /// True if somebody killed it: a person, or the host's kernel for want of memory.
    pub const fn was_killed(&self) -> bool {
        matches!(self, Self::Signalled { signal: 9, .. })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            Self::PoweredOff => return f.write_str("it was powered off"),
            Self::ByUs => return f.write_str("the harness ended it"),
            Self::Lost { why } => return write!(f, "the host can no longer be asked: {why}"),
            Self::Failed { why } => return write!(f, "the hypervisor lost it: {why}"),
            Self::Exited { code, said } => {
                write!(f, "exit code {code}")?;
                said
            }
            Self::Signalled { signal, said } => {
                write!(f, "signal {signal}")?;
                said
            }
        };
        if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_told_from_a_kill_and_from_an_end_that_was_wanted() {
        let signal = |signal| Ended::Signalled { signal, said: String::new() };
        assert!(signal(11).is_crash() && signal(6).is_crash());
        assert!(!signal(9).is_crash() && signal(9).was_killed() && !signal(15).was_killed());
        assert!(Ended::PoweredOff.expected() && Ended::ByUs.expected() && !signal(9).expected());
        let exit = Ended::Exited { code: 1, said: "no memory".into() };
        assert!(!exit.expected() && !exit.is_crash());
        assert_eq!(exit.to_string(), "exit code 1: no memory");
        assert_eq!(signal(9).to_string(), "signal 9");
    }
}
