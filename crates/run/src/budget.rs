//! CPU and memory that machines may take at once, and who is next.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use hospitium_host::{Facet, HostWitness};
use hospitium_model::{ByteSize, HostFacts};
use tokio::sync::oneshot;

/// Limits on what runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Machines.
    pub jobs: usize,
    /// What all of them may ask of the CPUs, in halves of one.
    pub halves: usize,
    /// Memory of all of them.
    pub memory: ByteSize,
}

/// What a job asks of the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Next to nothing: it waits for time to pass, or for the guest to give up.
    Waits,
    /// Half a CPU: it computes and waits in turns. What is not known is taken for this.
    Usual,
    /// A whole CPU and for long, as a guest does that boots. The vCPUs of an emulated machine that has to share
    /// its CPU spend their turns waiting for each other's locks: more at once takes longer in all.
    Works,
}

/// Hands out permits: the most urgent waiting job comes first; while it has to wait for a CPU, one may go past it that
/// asks for none.
///
/// A job that needs more than there is at all runs alone rather than never.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limits: Limits,
    jobs: usize,
    halves: usize,
    memory: u64,
    arrivals: u64,
    waiting: BinaryHeap<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    urgency: Urgency,
    load: Load,
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
    load: Load,
    memory: u64,
}

impl Load {
    /// Of a job that used so much CPU time in so long a time.
    pub fn seen(cpu_ms: f64, took_ms: f64) -> Self {
        // Beside others a job that could use a whole CPU may get less than half of one.
        if cpu_ms >= 2000.0 && cpu_ms >= 0.35 * took_ms {
            Self::Works
        } else if took_ms >= 1500.0 && cpu_ms < 0.15 * took_ms {
            Self::Waits
        } else {
            Self::Usual
        }
    }

    const fn halves(self) -> usize {
        match self {
            Self::Waits => 0,
            Self::Usual => 1,
            Self::Works => 2,
        }
    }
}

impl State {
    /// Whether a job may start beside what runs.
    fn fits(&self, job: &Waiting) -> bool {
        let memory = self.memory.saturating_add(job.memory) <= self.limits.memory.as_bytes();
        let halves = self.halves + job.load.halves() <= self.limits.halves;
        self.jobs == 0 || (self.jobs < self.limits.jobs && memory && halves)
    }

    /// Takes out the most urgent job, if it may start. If it may not because the CPUs are taken, none goes past
    /// it that would take them too: work that is let past would keep it waiting to the end.
    fn next(&mut self) -> Option<Waiting> {
        let mut passed = Vec::new();
        let mut found = None;
        while let Some(job) = self.waiting.pop() {
            if self.fits(&job) && (passed.is_empty() || job.load == Load::Waits) {
                found = Some(job);
                break;
            }
            passed.push(job);
        }
        self.waiting.extend(passed);
        found
    }
}

/// What a person says of how much is to run at once on a computer; the rest follows from what its host tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Machines.
    pub jobs: Option<usize>,
    /// Memory of all of them.
    pub memory: Option<ByteSize>,
}

impl Limits {
    /// For a host's computer: work for each CPU and as much again, because checks wait a good part of their time (a
    /// whole run of a kernel guest on 2 CPUs took 81 s with 3 jobs and 66 s with 5), half as many machines again
    /// that only wait, and three quarters of the memory that is free; where the host does not tell what is free, of half
    /// of what there is.
    pub async fn of(
        facts: &HostFacts,
        witness: Facet<'_, dyn HostWitness>,
        wanted: Wanted,
    ) -> Self {
        let cpus = usize::try_from(facts.cpus).unwrap_or(usize::MAX / 8).max(1);
        let free = match witness {
            Ok(witness) => witness.free_memory().await.ok().map(|seen| seen.value),
            Err(_) => None,
        };
        let free = free.unwrap_or_else(|| ByteSize::mib(facts.memory_mib / 2));
        let memory = wanted.memory.unwrap_or(ByteSize::bytes(free.as_bytes() / 4 * 3));
        let (jobs, halves) = (cpus.saturating_mul(3), cpus.saturating_mul(2));
        match wanted.jobs {
            Some(jobs) => Self { jobs, halves: halves.max(jobs), memory },
            None => Self { jobs, halves, memory },
        }
    }

    /// Machines that work at once, at most.
    fn at_once(self) -> usize {
        self.jobs.min(self.halves).max(1)
    }
}

/// Budgets of hosts, by their places: hosts of one computer have one between them.
#[derive(Debug)]
pub struct Budgets {
    of_hosts: Vec<Budget>,
    jobs: usize,
}

impl Budgets {
    /// Asks each host for its computer and what is free there. Hosts that do not tell which computer they are, are
    /// taken for one.
    pub async fn of<'a>(
        hosts: impl Iterator<Item = (&'a HostFacts, Facet<'a, dyn HostWitness>)>,
        wanted: Wanted,
    ) -> Self {
        let (mut known, mut of_hosts, mut jobs) = (Vec::new(), Vec::new(), 0);
        for (facts, witness) in hosts {
            let computer = match &witness {
                Ok(witness) => witness.computer().await.ok().map(|seen| seen.value),
                Err(_) => None,
            };
            let same = known.iter().find(|(other, _): &&(_, Budget)| *other == computer);
            if let Some((_, budget)) = same {
                of_hosts.push(budget.clone());
                continue;
            }
            let limits = Limits::of(facts, witness, wanted).await;
            jobs += limits.at_once();
            let budget = Budget::new(limits);
            known.push((computer, budget.clone()));
            of_hosts.push(budget);
        }
        Self { of_hosts, jobs: jobs.max(1) }
    }

    /// That of the host at this place.
    pub fn of_host(&self, place: usize) -> &Budget {
        &self.of_hosts[place]
    }

    /// Machines that work at once on all of them, at most.
    pub const fn jobs(&self) -> usize {
        self.jobs
    }
}

impl Budget {
    /// Nothing is taken yet.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { jobs: limits.jobs.max(1), ..limits };
        Self(Arc::new(Mutex::new(State {
            limits,
            jobs: 0,
            halves: 0,
            memory: 0,
            arrivals: 0,
            waiting: BinaryHeap::new(),
        })))
    }

    /// Waits until the job may run. `milliseconds` is how long it is thought to take.
    pub async fn permit(
        &self,
        class: Class,
        milliseconds: u64,
        load: Load,
        memory: ByteSize,
    ) -> Permit {
        let (go, told) = oneshot::channel();
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.arrivals += 1;
            let arrival = std::cmp::Reverse(state.arrivals);
            let urgency = Urgency { class, milliseconds, arrival };
            state.waiting.push(Waiting { urgency, load, memory: memory.as_bytes(), go });
        }
        admit(&self.0);
        // The sender is dropped only with the budget, of which this call holds a share.
        told.await.unwrap_or(Permit { state: None, load: Load::Waits, memory: 0 })
    }
}

/// Lets in whoever is next, as long as there is room.
fn admit(shared: &Arc<Mutex<State>>) {
    loop {
        let refused = {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(next) = state.next() else {
                return;
            };
            state.jobs += 1;
            state.halves += next.load.halves();
            state.memory += next.memory;
            let (load, memory) = (next.load, next.memory);
            let permit = Permit { state: Some(shared.clone()), load, memory };
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
            state.halves -= self.load.halves();
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
    use hospitium_host::Sight;
    use hospitium_model::{Accelerator, AcceleratorProof, Digest, HostSource, Inability};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn budget(jobs: usize, mib: u64) -> Budget {
        Budget::new(Limits { jobs, halves: 2 * jobs, memory: ByteSize::mib(mib) })
    }

    #[tokio::test]
    async fn boots_go_first_then_the_longest_check() {
        let budget = budget(1, 1000);
        let first = budget.permit(Class::Check, 1, Load::Usual, ByteSize::mib(1)).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, class, ms) in
            [("short", Class::Check, 5), ("long", Class::Check, 50), ("boot", Class::Boot, 1)]
        {
            let (budget, order) = (budget.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _permit = budget.permit(class, ms, Load::Usual, ByteSize::mib(1)).await;
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
                let _permit =
                    budget.permit(Class::Check, i % 7, Load::Usual, ByteSize::mib(40)).await;
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
        let big = budget.permit(Class::Check, 1, Load::Usual, ByteSize::mib(100)).await;
        let second = budget.permit(Class::Check, 1, Load::Usual, ByteSize::mib(1));
        tokio::pin!(second);
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut second).await;
        assert!(early.is_err(), "it must wait for the big one");
        drop(big);
        second.await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_hole() {
        let budget = budget(1, 10);
        let first = budget.permit(Class::Check, 1, Load::Usual, ByteSize::mib(1)).await;
        {
            let gone = budget.permit(Class::Boot, 1, Load::Usual, ByteSize::mib(1));
            tokio::pin!(gone);
            let early = tokio::time::timeout(std::time::Duration::from_millis(5), &mut gone).await;
            assert!(early.is_err(), "there is no room for it");
        }
        drop(first);
        budget.permit(Class::Check, 1, Load::Usual, ByteSize::mib(1)).await;
    }

    #[tokio::test]
    async fn who_only_waits_goes_past_work_that_has_to_wait_for_a_cpu() {
        let limits = Limits { jobs: 3, halves: 4, memory: ByteSize::mib(1000) };
        let budget = Budget::new(limits);
        let mib = ByteSize::mib(1);
        let one = budget.permit(Class::Check, 9, Load::Works, mib).await;
        let _two = budget.permit(Class::Check, 8, Load::Works, mib).await;
        let third = budget.permit(Class::Check, 7, Load::Works, mib);
        tokio::pin!(third);
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut third).await.is_err(), "both CPUs are at work");
        let usual = budget.permit(Class::Check, 6, Load::Usual, mib);
        assert!(tokio::time::timeout(soon, usual).await.is_err(), "work stands before it");
        let waits = budget.permit(Class::Check, 1, Load::Waits, mib);
        let waits = tokio::time::timeout(std::time::Duration::from_secs(20), waits).await;
        let waits = waits.expect("it asks nothing of the CPUs");
        let more = budget.permit(Class::Check, 1, Load::Waits, mib);
        assert!(tokio::time::timeout(soon, more).await.is_err(), "three machines are there");
        drop(waits);
        drop(one);
        third.await;
    }

    #[test]
    fn a_load_is_told_by_cpu_time_and_time() {
        assert_eq!(Load::seen(9880.0, 15_090.0), Load::Works);
        assert_eq!(Load::seen(760.0, 10_540.0), Load::Waits);
        assert_eq!(Load::seen(200.0, 500.0), Load::Usual);
    }

    /// A computer that is not this one.
    struct Elsewhere {
        name: Option<&'static str>,
        free: Option<ByteSize>,
    }

    fn told<T>(value: Option<T>) -> Sight<T> {
        let untold = || Inability::of_host("it does not tell");
        value.map(|value| HostSource::Hardware.saw(value)).ok_or_else(untold)
    }

    #[async_trait::async_trait]
    impl HostWitness for Elsewhere {
        async fn load(&self) -> hospitium_host::Load {
            hospitium_host::Load { short_of_cpu: told(None), average: told(None) }
        }

        async fn cpu(&self) -> Sight<hospitium_host::PhysicalCpu> {
            told(None)
        }

        async fn vulnerabilities(&self) -> Sight<std::collections::BTreeMap<String, String>> {
            told(None)
        }

        async fn free_memory(&self) -> Sight<ByteSize> {
            told(self.free)
        }

        async fn computer(&self) -> Sight<String> {
            told(self.name.map(str::to_owned))
        }

        async fn has_process(&self, _pid: u32) -> Sight<bool> {
            told(None)
        }
    }

    fn facts(cpus: u32, memory_mib: u64) -> HostFacts {
        HostFacts {
            name: "elsewhere".into(),
            kind: "fake".into(),
            version: "1".into(),
            build: String::new(),
            vmm: Digest::of(b"vmm"),
            firmware: Vec::new(),
            accelerator: AcceleratorProof { used: Accelerator::Kvm, how: String::new() },
            cpu_model: "cpu".into(),
            cpus,
            memory_mib,
            kernel: "6.1".into(),
        }
    }

    #[tokio::test]
    async fn how_much_runs_at_once_is_asked_of_the_hosts_computer_and_not_of_this_one() {
        let facts = facts(1000, 1 << 20);
        let busy = Elsewhere { name: Some("a"), free: Some(ByteSize::gib(4)) };
        let limits = Limits::of(&facts, Ok(&busy), Wanted::default()).await;
        let expected = Limits { jobs: 3000, halves: 2000, memory: ByteSize::gib(3) };
        assert_eq!(limits, expected);
        for silent in [
            Ok(&Elsewhere { name: None, free: None } as &dyn HostWitness),
            Err(Inability::of_host("no")),
        ] {
            let limits = Limits::of(&facts, silent, Wanted::default()).await;
            assert_eq!(limits.memory, ByteSize::gib(384), "three quarters of half of 1 TiB");
        }
        let wanted = Wanted { jobs: Some(2), memory: Some(ByteSize::gib(1)) };
        let limits = Limits::of(&facts, Ok(&busy), wanted).await;
        assert_eq!((limits.jobs, limits.memory), (2, ByteSize::gib(1)));
    }

    #[tokio::test]
    async fn hosts_of_one_computer_share_what_it_has_and_those_of_two_do_not() {
        let on = |name| Elsewhere { name, free: Some(ByteSize::gib(1)) };
        let (facts, here, there, silent) = (facts(1, 1024), on(Some("a")), on(Some("b")), on(None));
        let hosts: [&dyn HostWitness; 5] = [&here, &there, &here, &silent, &silent];
        let hosts = hosts.into_iter().map(|witness| (&facts, Ok(witness)));
        let budgets = Budgets::of(hosts, Wanted { jobs: Some(1), memory: None }).await;
        assert_eq!(budgets.jobs(), 3, "three computers, as far as is known");
        let mib = ByteSize::mib(1);
        let soon = std::time::Duration::from_millis(20);
        let waits = async |place: usize| {
            let permit = budgets.of_host(place).permit(Class::Check, 1, Load::Usual, mib);
            tokio::time::timeout(soon, permit).await.is_err()
        };
        let _a = budgets.of_host(0).permit(Class::Check, 1, Load::Usual, mib).await;
        assert!(waits(2).await, "the same computer is busy");
        assert!(!waits(1).await, "another is not");
        let _silent = budgets.of_host(3).permit(Class::Check, 1, Load::Usual, mib).await;
        assert!(waits(4).await, "it could be the same");
    }
}
