//! Does the monotonic clock ever step back, on one vCPU or from one to another?
//!
//! Half of the time one process hops from vCPU to vCPU. The other half, one process on each
//! vCPU compares its reading with the latest that any of them has published. Read through the
//! vDSO, because that is where clocks of vCPUs come apart: the kernel's own readings are
//! corrected.

use core::sync::atomic::{AtomicU64, Ordering};

use hospitium_wire::Reply;

use super::clock::{Deadline, MONOTONIC};
use super::cpu::Mask;
use super::memory::Shared;
use super::vdso::{self, ClockGettime};
use super::{process, sys};
use crate::failure::{Failure, Result};

/// Most vCPUs that take part.
const MOST: usize = 256;
/// Longest scan in ms.
const LONGEST_MS: u32 = 600_000;
/// Readings on one vCPU before the next, when they take turns.
const TURN: u32 = 64;
/// How much longer than asked the processes may take.
const GRACE_MS: u32 = 5_000;

/// What the processes share. All zero at first.
#[derive(Default)]
struct Board {
    latest: AtomicU64,
    readings: AtomicU64,
    backward: AtomicU64,
    worst: AtomicU64,
}

impl Board {
    /// Reads the clock, compares it with the latest reading, and publishes it.
    fn step(&self, clock: ClockGettime) -> u64 {
        // Before the clock: what was published by now is earlier than what is read next.
        let latest = self.latest.load(Ordering::SeqCst);
        let now = clock.read(MONOTONIC) as u64;
        if now < latest {
            self.backward.fetch_add(1, Ordering::Relaxed);
            self.worst.fetch_max(latest - now, Ordering::Relaxed);
        }
        self.latest.fetch_max(now, Ordering::SeqCst);
        self.readings.fetch_add(1, Ordering::Relaxed);
        now
    }
}

/// Scans for so long on vCPUs 0 to `cpus`. Those that cannot be run on are left out.
pub fn scan<'a>(milliseconds: u32, cpus: u32) -> Result<Reply<'a>> {
    let milliseconds = milliseconds.min(LONGEST_MS);
    if cpus == 0 || cpus as usize > MOST {
        return Err(Failure::invalid("vCPUs"));
    }
    let clock = vdso::clock_gettime();
    let board = Shared::<Board>::new()?;
    let before = Mask::current()?;
    let reached = in_turn(&board, clock, cpus, Deadline::after_ms(milliseconds / 2));
    before.apply()?;
    in_parallel(&board, clock, cpus, milliseconds.div_ceil(2))?;
    Ok(Reply::ClockScan {
        readings: board.readings.load(Ordering::Relaxed),
        backward: board.backward.load(Ordering::Relaxed),
        worst_ns: board.worst.load(Ordering::Relaxed),
        cpus: reached,
    })
}

/// One process on one vCPU after the other. Returns on how many it was.
fn in_turn(board: &Board, clock: ClockGettime, cpus: u32, deadline: Deadline) -> u32 {
    loop {
        let mut reached = 0;
        for cpu in 0..cpus {
            if Mask::only(cpu).and_then(|mask| mask.apply()).is_err() {
                continue;
            }
            reached += 1;
            for _ in 0..TURN {
                board.step(clock);
            }
        }
        if deadline.passed() {
            return reached;
        }
    }
}

/// A process on each vCPU, all at once.
fn in_parallel(board: &Board, clock: ClockGettime, cpus: u32, milliseconds: u32) -> Result<()> {
    let mut children = [0; MOST];
    let mut count = 0;
    let mut failed = None;
    for cpu in 0..cpus {
        match process::fork_worker() {
            Ok(None) => {
                if Mask::only(cpu).and_then(|mask| mask.apply()).is_ok() {
                    let deadline = Deadline::after_ms(milliseconds);
                    while !deadline.passed() {
                        for _ in 0..TURN {
                            board.step(clock);
                        }
                    }
                }
                sys::exit(0)
            }
            Ok(Some(child)) => {
                children[count] = child;
                count += 1;
            }
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    let deadline = Deadline::after_ms(milliseconds.saturating_add(GRACE_MS));
    for &child in &children[..count] {
        if process::wait(child, deadline).is_none() {
            process::kill(child);
            failed = Some(Failure::timeout("wait4"));
        }
    }
    failed.map_or(Ok(()), Err)
}
