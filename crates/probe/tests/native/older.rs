//! Acting as an older kernel.

use hospitium_wire::{LinuxRequest, Refusal, Reply, Request, errno};

use crate::session::Session;

fn act_as(release: &str) -> Request<'_> {
    Request::Linux(LinuxRequest::ActAs { release })
}

#[test]
fn as_on_2_6_18_newer_files_are_not_there_and_older_ones_are() {
    let mut probe = Session::start();
    let read = |path| Request::ReadFile { path, offset: 0, max: 100 };
    let list = |path| Request::List { path, skip: 0 };
    assert!(!probe.data(read("/sys/devices/system/cpu/online")).is_empty());
    assert_eq!(probe.ask(act_as("2.6.18")), Reply::Done);
    for path in [
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/cpu/vulnerabilities/meltdown",
        "/sys/firmware/memmap/0/start",
        "/sys/class/dmi/id/product_serial",
        "/sys/block/vda/queue/logical_block_size",
        "/sys/block/vda/serial",
    ] {
        assert_eq!(probe.failure(read(path)), errno::ENOENT, "{path}");
    }
    assert_eq!(probe.failure(list("/sys/devices/system/cpu/vulnerabilities/")), errno::ENOENT);
    let names = String::from_utf8(probe.data(list("/sys/devices/system/cpu"))).expect("UTF-8");
    assert!(names.split('\0').any(|name| name == "cpu0"), "{names:?}");
    assert!(!names.split('\0').any(|name| ["online", "vulnerabilities"].contains(&name)));
    for there in ["/proc/cpuinfo", "/proc/meminfo"] {
        assert!(!probe.data(read(there)).is_empty(), "{there}");
    }
    assert_eq!(probe.ask(act_as("")), Reply::Done);
    assert!(!probe.data(read("/sys/devices/system/cpu/online")).is_empty());
    assert_eq!(probe.refusal(act_as("two")), Refusal::Invalid);
}

#[test]
fn as_on_2_6_18_newer_calls_and_clocks_are_not_there_and_what_replaces_them_is() {
    let mut probe = Session::start();
    assert_eq!(probe.ask(act_as("2.6.18")), Reply::Done);
    let Reply::Clock(clock) = probe.ask(Request::Clock) else { panic!("no clock") };
    assert_eq!((clock.raw_ns, clock.boottime_ns), (0, 0));
    assert!(clock.monotonic_ns > 0 && clock.realtime_ns > 0);
    let random = probe.data(Request::Random { count: 64 });
    assert_eq!(random.len(), 64);
    assert_ne!(random, [0; 64]);
    const BLKDISCARD: u64 = 0x1277;
    let discard =
        LinuxRequest::Ioctl { path: "/dev/null", request: BLKDISCARD, argument: &[0; 16] };
    assert_eq!(probe.failure(Request::Linux(discard)), errno::ENOTTY);
    let file = "/proc/version";
    assert_eq!(
        probe.failure(Request::BlockDiscard { path: file, offset: 0, length: 4096 }),
        // Opened for writing before.
        errno::ENOTTY
    );
}
