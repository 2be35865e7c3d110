//! Why the probe could not do something: whose number it is, and the numbers.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Whose number a failure carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// `errno` of Linux.
    Errno,
    /// An NTSTATUS of Windows.
    NtStatus,
    /// `GetLastError` of Windows.
    Win32,
    /// The probe's own: a [`Refusal`].
    Probe,
}

impl Domain {
    /// One of its numbers for people: the usual name where there is one.
    pub const fn words(self, code: i32) -> impl fmt::Display {
        Words(self, code)
    }
}

struct Words(Domain, i32);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(domain, code) = *self;
        match domain {
            Domain::Errno => match errno::name(code) {
                "error" => write!(f, "errno {code}"),
                name => write!(f, "{name} ({code})"),
            },
            Domain::NtStatus => write!(f, "NTSTATUS {:#010x}", code.cast_unsigned()),
            Domain::Win32 => write!(f, "Win32 error {code}"),
            Domain::Probe => match Refusal::of(code) {
                Some(refusal) => f.write_str(refusal.name()),
                None => write!(f, "refusal {code}"),
            },
        }
    }
}

/// Why the probe itself did not do something, without the guest's system having refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request asks for something out of bounds.
    Invalid = 1,
    /// Nothing came within the request's own limit.
    Timeout = 2,
    /// The slot holds nothing.
    Empty = 3,
    /// A path, a name or an argument is longer than the probe has room for.
    TooLong = 4,
    /// A request that this probe does not know.
    Unknown = 5,
}

impl Refusal {
    const ALL: [Self; 5] =
        [Self::Invalid, Self::Timeout, Self::Empty, Self::TooLong, Self::Unknown];

    /// Its number on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The refusal of this number.
    pub fn of(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// For people, to follow "failed in the guest with".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "an argument out of bounds",
            Self::Timeout => "its time limit",
            Self::Empty => "an empty slot",
            Self::TooLong => "an argument that is too long",
            Self::Unknown => "a request that the probe does not know",
        }
    }
}

/// The errno values that callers tell apart.
#[expect(missing_docs, reason = "the values' own names")]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const EBADF: i32 = 9;
    pub const EEXIST: i32 = 17;
    pub const EINVAL: i32 = 22;
    pub const ENOTTY: i32 = 25;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const EPIPE: i32 = 32;
    pub const ENOSYS: i32 = 38;
    pub const EMSGSIZE: i32 = 90;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ETIMEDOUT: i32 = 110;

    /// The usual name, for people; the number where it has none here.
    pub fn name(errno: i32) -> &'static str {
        match errno {
            EPERM => "EPERM",
            ENOENT => "ENOENT",
            EIO => "EIO",
            ENXIO => "ENXIO",
            EBADF => "EBADF",
            EEXIST => "EEXIST",
            EINVAL => "EINVAL",
            ENOTTY => "ENOTTY",
            ENOSPC => "ENOSPC",
            EROFS => "EROFS",
            EPIPE => "EPIPE",
            ENOSYS => "ENOSYS",
            EMSGSIZE => "EMSGSIZE",
            EOPNOTSUPP => "EOPNOTSUPP",
            ETIMEDOUT => "ETIMEDOUT",
            _ => "error",
        }
    }
}
