//! Processors.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hospitium_wire::CpuidWords;
use serde::{Deserialize, Serialize};

use crate::{Done, Told};

/// How a guest's processors are arranged, counted over those that are online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Sockets.
    pub sockets: usize,
    /// Cores in all sockets.
    pub cores: usize,
    /// Threads of a core, the most of any.
    pub threads: usize,
}

/// Processors.
#[async_trait]
pub trait Cpus {
    /// Numbers of the processors that are online, ascending.
    async fn online(&self) -> Told<Vec<u32>>;

    /// Their sockets, cores and threads.
    async fn topology(&self) -> Told<Topology>;

    /// What CPUID answers on one processor.
    async fn cpuid(&self, cpu: u32, leaf: u32, subleaf: u32) -> Told<CpuidWords>;

    /// Names of the features that the kernel lists.
    async fn features(&self) -> Told<Vec<String>>;

    /// What the kernel says of each CPU vulnerability that it knows. Unable where it says nothing of any.
    async fn vulnerabilities(&self) -> Told<BTreeMap<String, String>>;

    /// Takes a processor offline, or brings it back.
    async fn set_online(&self, cpu: u32, online: bool) -> Done;

    /// Brings plugged-in processors online, as an administrator does where no rule of the system does it.
    async fn bring_cpus_online(&self) -> Done;

    /// Has `cpus` processes compute, each, for so long. Returns at once.
    async fn busy(&self, cpus: u32, time: std::time::Duration) -> Done;
}
