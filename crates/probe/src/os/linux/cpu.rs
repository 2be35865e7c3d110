//! vCPUs: being on one of them, and what it says of itself.

#[cfg(target_arch = "x86")]
use core::arch::x86::__cpuid_count;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::__cpuid_count;

use hospitium_wire::CpuidWords;

use super::sys;
use crate::failure::{Failure, Result};

/// Most vCPUs that can be named (CONFIG_NR_CPUS is 8192 at most; masks are this long).
const CPUS: usize = 8192;

/// A set of vCPUs.
#[derive(Clone, Copy)]
pub struct Mask([u64; CPUS / 64]);

impl Mask {
    /// Those that this process may run on.
    pub fn current() -> Result<Self> {
        let mut mask = Self([0; CPUS / 64]);
        let (length, at) = (size_of_val(&mask.0), mask.0.as_mut_ptr() as usize);
        // SAFETY: the room is good for its length.
        unsafe { sys::call(sys::GETAFFINITY, [0, length, at, 0, 0, 0]) }?;
        Ok(mask)
    }

    /// One vCPU.
    pub fn only(cpu: u32) -> Result<Self> {
        let mut mask = Self([0; CPUS / 64]);
        let word = mask.0.get_mut(cpu as usize / 64).ok_or(Failure::invalid("vCPU"))?;
        *word = 1 << (cpu % 64);
        Ok(mask)
    }

    /// Runs this process on these only. On one: it is there when this returns.
    pub fn apply(&self) -> Result<()> {
        let (length, at) = (size_of_val(&self.0), self.0.as_ptr() as usize);
        // SAFETY: the mask is good for its length.
        unsafe { sys::call(sys::SETAFFINITY, [0, length, at, 0, 0, 0]) }.map(drop)
    }
}

/// CPUID on one vCPU.
pub fn cpuid(cpu: u32, leaf: u32, subleaf: u32) -> Result<CpuidWords> {
    let before = Mask::current()?;
    Mask::only(cpu)?.apply()?;
    let words = __cpuid_count(leaf, subleaf);
    before.apply()?;
    Ok(CpuidWords { eax: words.eax, ebx: words.ebx, ecx: words.ecx, edx: words.edx })
}
