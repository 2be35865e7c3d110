//! Clocks, processes, memory and processors.

use std::time::Duration;

use hospitium_wire::{Domain, MAX_DATA, Refusal, Reply, Request, errno};

use crate::path;
use crate::session::{Session, pattern, sha256};

#[test]
fn clocks_are_read_and_do_not_step_back() {
    let mut probe = Session::start();
    let read = |probe: &mut Session| match probe.ask(Request::Clock) {
        Reply::Clock(reading) => reading,
        other => panic!("no clock but {other:?}"),
    };
    let (first, second) = (read(&mut probe), read(&mut probe));
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i64;
    assert!((now - second.realtime_ns).abs() < 10_000_000_000);
    assert!(second.monotonic_ns > first.monotonic_ns && second.tsc > first.tsc);
    assert!(second.raw_ns > first.raw_ns && second.boottime_ns > first.boottime_ns);
    let Reply::ClockScan { readings, backward, worst_ns, cpus } =
        probe.ask(Request::ClockScan { milliseconds: 100, cpus: 2 })
    else {
        panic!("no scan");
    };
    assert!(readings > 1000 && (1..=2).contains(&cpus));
    assert_eq!((backward, worst_ns), (0, 0));
    assert_eq!(probe.refusal(Request::ClockScan { milliseconds: 1, cpus: 0 }), Refusal::Invalid);
}

#[test]
fn ticks_come_as_many_as_asked_and_not_early() {
    let mut probe = Session::start();
    let Reply::Sleeps { count, total_ns, least_ns, most_ns } =
        probe.ask(Request::Ticks { period_us: 2000, count: 26 })
    else {
        panic!("no ticks");
    };
    assert_eq!(count, 26);
    // Only the first can be late and so shorten the whole.
    assert!(total_ns + most_ns >= 25 * 2_000_000 - 2_000_000 && least_ns <= 2_000_000);
    assert!(least_ns <= total_ns / 25 && total_ns / 25 <= most_ns);
    assert_eq!(probe.refusal(Request::Ticks { period_us: 0, count: 1 }), Refusal::Invalid);
    assert_eq!(
        probe.refusal(Request::Ticks { period_us: u32::MAX, count: u32::MAX }),
        Refusal::Invalid
    );
}

#[test]
fn a_program_runs_with_its_output_and_its_limit() {
    let mut probe = Session::start();
    let run = |arguments, limit_ms| Request::Run { arguments, limit_ms };
    assert_eq!(
        probe.ask(run(b"sh\0-c\0echo out; echo err >&2; exit 3\0", 10_000)),
        Reply::Exit { code: 3, output: b"out\nerr\n" }
    );
    assert_eq!(
        probe.ask(run(b"/bin/sh\0-c\0kill -9 $$\0", 10_000)),
        Reply::Exit { code: 137, output: b"" }
    );
    assert_eq!(
        probe.ask(run(b"sh\0-c\0echo begun; sleep 600\0", 300)),
        Reply::Exit { code: -1, output: b"begun\n" }
    );
    let Reply::Exit { code: 0, output } =
        probe.ask(run(b"sh\0-c\0yes | head -c 1000000\0", 10_000))
    else {
        panic!("a program that writes much did not end well");
    };
    assert_eq!(output, b"y\n".repeat(MAX_DATA / 2));
    // What it leaves in the background is not waited for.
    assert_eq!(
        probe.ask(run(b"sh\0-c\0echo gone; sleep 5 &\0", 4000)),
        Reply::Exit { code: 0, output: b"gone\n" }
    );
    assert_eq!(probe.failure(run(b"no-such-program\0", 1000)), errno::ENOENT);
    assert_eq!(probe.refusal(run(b"not ended", 1000)), Refusal::Invalid);
    assert_eq!(probe.refusal(run(b"", 1000)), Refusal::Invalid);
    assert_eq!(probe.refusal(run(&b"a\0".repeat(200), 1000)), Refusal::TooLong);
}

#[test]
fn load_returns_at_once_and_ends_by_itself() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let (file, bad) = (path(&folder, "load"), path(&folder, "no/load"));
    let load = |io_path| Request::Load { cpu: 1, io_path, milliseconds: 300 };
    assert_eq!(probe.ask(load(&file)), Reply::Done);
    assert_eq!(probe.failure(load(&bad)), errno::ENOENT);
    let children = format!("/proc/{0}/task/{0}/children", probe.process());
    let ended = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        probe.ask(Request::Clock);
        std::fs::read_to_string(&children).expect("the probe's children").is_empty()
    });
    assert!(ended, "the load goes on");
    assert!(std::fs::metadata(&file).expect("the file").len() > 0);
}

#[test]
fn random_bytes_differ_and_are_bounded() {
    let mut probe = Session::start();
    let first = probe.data(Request::Random { count: 256 });
    assert_eq!(first.len(), 256);
    assert_ne!(first, probe.data(Request::Random { count: 256 }));
    assert_eq!(probe.refusal(Request::Random { count: 257 }), Refusal::Invalid);
}

#[test]
fn memory_is_held_until_it_is_freed() {
    let mut probe = Session::start();
    let length = 1_000_003;
    let expected = (sha256(&pattern(5, length)), length as u64);
    let fill = Request::MemoryFill { slot: 7, length: length as u64, seed: 5 };
    for _ in 0..2 {
        assert_eq!(probe.digest(fill.clone()), expected);
        assert_eq!(probe.digest(Request::MemoryDigest { slot: 7 }), expected);
    }
    assert_eq!(probe.refusal(Request::MemoryDigest { slot: 0 }), Refusal::Empty);
    assert_eq!(probe.ask(Request::MemoryFree { slot: 7 }), Reply::Done);
    assert_eq!(probe.refusal(Request::MemoryDigest { slot: 7 }), Refusal::Empty);
    assert_eq!(probe.refusal(Request::MemoryFree { slot: 8 }), Refusal::Invalid);
    // More than there can be: refused by the kernel, or by the probe where it is no length of an address space.
    let too_much = Request::MemoryFill { slot: 0, length: u64::MAX, seed: 0 };
    let Reply::Failed { domain, code, .. } = probe.ask(too_much) else { panic!("memory") };
    let refused = [(Domain::Errno, 12), (Domain::Probe, Refusal::Invalid.code())];
    assert!(refused.contains(&(domain, code)), "{domain:?} {code}");
}

#[test]
fn cpuid_names_the_processor_and_refuses_one_that_is_not_there() {
    let mut probe = Session::start();
    let Reply::Cpuid(words) = probe.ask(Request::Cpuid { cpu: 0, leaf: 0, subleaf: 0 }) else {
        panic!("no CPUID");
    };
    let expected = core::arch::x86_64::__cpuid(0);
    assert_eq!([words.ebx, words.ecx, words.edx], [expected.ebx, expected.ecx, expected.edx]);
    let absent = Request::Cpuid { cpu: 8000, leaf: 0, subleaf: 0 };
    assert_eq!(probe.failure(absent), errno::EINVAL);
}
