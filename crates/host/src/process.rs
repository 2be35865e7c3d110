//! The hypervisor's process for a machine, as the operating system of its host shows it.

use std::time::Duration;

use hospitium_model::ByteSize;
use serde::{Deserialize, Serialize};

use crate::Sight;

/// The hypervisor's process for a machine, as the operating system of its host shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: Sight<u32>,
    /// Effective user id.
    pub uid: Sight<u32>,
    /// Seccomp mode: 0 none, 2 filter.
    pub seccomp: Sight<u32>,
    /// True if it can gain privileges by executing a program (`NoNewPrivs` is 0).
    pub may_gain_privileges: Sight<bool>,
    /// Effective capabilities.
    pub capabilities: Sight<u64>,
    /// Resident memory.
    pub rss: Sight<ByteSize>,
    /// Proportional share of memory.
    pub pss: Sight<ByteSize>,
    /// CPU time so far.
    pub cpu_time: Sight<Duration>,
    /// The longest that any of its threads has wanted a CPU so far and got none. What the guest did not do in
    /// this time says nothing about it.
    pub cpu_wait: Sight<Duration>,
    /// Inodes of the network, mount and pid name spaces that differ from the harness's own.
    pub own_namespaces: Sight<Vec<String>>,
}

/// What a hypervisor's process has had of the CPUs so far: the part of [`ProcessFacts`] that costs next to nothing
/// to read, for those who ask often.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuUse {
    /// As [`ProcessFacts::cpu_time`].
    pub time: Sight<Duration>,
    /// As [`ProcessFacts::cpu_wait`].
    pub wait: Sight<Duration>,
}

impl From<ProcessFacts> for CpuUse {
    fn from(facts: ProcessFacts) -> Self {
        Self { time: facts.cpu_time, wait: facts.cpu_wait }
    }
}
