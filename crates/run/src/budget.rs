//! CPU and memory that machines may take at once, and who is next.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use hospitium_model::ByteSize;
use tokio::sync::oneshot;

/// Limits on what runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Machines.
    pub jobs: usize,
    /// Memory of all of them.
    pub memory: ByteSize,
}

/// Hands out permits: the most urgent waiting job first, as long as its memory fits.
///
/// A job that needs more memory than there is at all runs alone rather than never.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limits: Limits,
    jobs: usize,
    memory: u64,
    arrivals: u64,
    waiting: BinaryHeap<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    urgency: Urgency,
    memory: u64,
    go: oneshot::Sender<Permit>,
}

/// Greater is sooner: first by class, then the longer job, then who came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Urgency {
    class: Class,
    milliseconds: u64,
    /// Counts down, so that the earlier is greater.
    arrival: std::cmp::Reverse<u64>,
}

/// What a job is to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// One of many.
    Check,
    /// Others wait for it.
    Boot,
}

/// The right to run one machine. Dropping it lets the next one start.
#[derive(Debug)]
pub struct Permit {
    state: Option<Arc<Mutex<State>>>,
    memory: u64,
}

impl Limits {
    /// For this machine: two jobs a CPU, because checks wait a good part of their time (a whole run of a
    /// kernel guest on 2 CPUs took 81 s with 3 jobs and 66 s with 5), and three quarters of the memory
    /// that is free.
    pub fn of_this_machine() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let available = std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| available_kib(&text))
            .unwrap_or(1 << 20);
        Self { jobs: cpus * 2, memory: ByteSize::bytes(available / 4 * 3 * 1024) }
    }
}

fn available_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

impl Budget {
    /// Nothing is taken yet.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { jobs: limits.jobs.max(1), ..limits };
        Self(Arc::new(Mutex::new(State {
            limits,
            jobs: 0,
            memory: 0,
            arrivals: 0,
            waiting: BinaryHeap::new(),
        })))
    }

    /// Waits until the job may run. `milliseconds` is how long it is thought to take.
    pub async fn permit(&self, class: Class, milliseconds: u64, memory: ByteSize) -> Permit {
        let (go, told) = oneshot::channel();
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.arrivals += 1;
            let arrival = std::cmp::Reverse(state.arrivals);
            let urgency = Urgency { class, milliseconds, arrival };
            state.waiting.push(Waiting { urgency, memory: memory.as_bytes(), go });
        }
        admit(&self.0);
        // The sender is dropped only with the budget, of which this call holds a share.
        told.await.unwrap_or(Permit { state: None, memory: 0 })
    }
}

/// Lets in whoever is next, as long as there is room.
fn admit(shared: &Arc<Mutex<State>>) {
    loop {
        let refused = {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(next) = state.waiting.peek() else {
                return;
            };
            let fits = state.memory.saturating_add(next.memory) <= state.limits.memory.as_bytes();
            if state.jobs >= state.limits.jobs || !(fits || state.jobs == 0) {
                return;
            }
            let Some(next) = state.waiting.pop() else {
                return;
            };
            state.jobs += 1;
            state.memory += next.memory;
            let permit = Permit { state: Some(shared.clone()), memory: next.memory };
            next.go.send(permit).err()
        };
        // Whoever waited has gone away: its permit comes back here, outside the lock.
        drop(refused);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = self.state.take() else {
            return;
        };
        {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.jobs -= 1;
            state.memory -= self.memory;
        }
        admit(&shared);
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.urgency == other.urgency
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.urgency.cmp(&other.urgency)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn budget(jobs: usize, mib: u64) -> Budget {
        Budget::new(Limits { jobs, memory: ByteSize::mib(mib) })
    }

    #[tokio::test]
    async fn boots_go_first_then_the_longest_check() {
        let budget = budget(1, 1000);
        let first = budget.permit(Class::Check, 1, ByteSize::mib(1)).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, class, ms) in
            [("short", Class::Check, 5), ("long", Class::Check, 50), ("boot", Class::Boot, 1)]
        {
            let (budget, order) = (budget.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _permit = budget.permit(class, ms, ByteSize::mib(1)).await;
                order.lock().expect("whole").push(name);
            }));
        }
        while budget.0.lock().expect("whole").waiting.len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.expect("ends");
        }
        assert_eq!(*order.lock().expect("whole"), ["boot", "long", "short"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn neither_jobs_nor_memory_are_exceeded() {
        let budget = budget(3, 100);
        let running = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for i in 0..40 {
            let (budget, running) = (budget.clone(), running.clone());
            tasks.push(tokio::spawn(async move {
                let _permit = budget.permit(Class::Check, i % 7, ByteSize::mib(40)).await;
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                now
            }));
        }
        for task in tasks {
            assert!(task.await.expect("ends") <= 2, "100 MiB hold two jobs of 40 MiB");
        }
    }

    #[tokio::test]
    async fn a_job_larger_than_the_machine_runs_alone() {
        let budget = budget(4, 10);
        let big = budget.permit(Class::Check, 1, ByteSize::mib(100)).await;
        let second = budget.permit(Class::Check, 1, ByteSize::mib(1));
        tokio::pin!(second);
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut second).await;
        assert!(early.is_err(), "it must wait for the big one");
        drop(big);
        second.await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_hole() {
        let budget = budget(1, 10);
        let first = budget.permit(Class::Check, 1, ByteSize::mib(1)).await;
        {
            let gone = budget.permit(Class::Boot, 1, ByteSize::mib(1));
            tokio::pin!(gone);
            let early = tokio::time::timeout(std::time::Duration::from_millis(5), &mut gone).await;
            assert!(early.is_err(), "there is no room for it");
        }
        drop(first);
        budget.permit(Class::Check, 1, ByteSize::mib(1)).await;
    }

    #[test]
    fn free_memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(available_kib("MemTotal: 1 kB\nMemAvailable:   23485 kB\n"), Some(23485));
        assert_eq!(available_kib("MemTotal: 1 kB\n"), None);
    }
}
