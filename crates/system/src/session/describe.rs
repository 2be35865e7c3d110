//! Requests in words, for errors and the timeline: what is done to what, never the data.

use hospitium_wire::{LinuxRequest, PowerAction, Request};

use crate::text::short;

fn p(path: &str) -> String {
    short(path, 120)
}

/// What a request does, to follow "while".
pub fn describe(request: &Request<'_>) -> String {
    let ip = |a: [u8; 4], port: u16| format!("{}.{}.{}.{}:{port}", a[0], a[1], a[2], a[3]);
    match *request {
        Request::Hello { .. } => "asking the probe who it is".into(),
        Request::Adopt { .. } => "giving the guest fresh entropy".into(),
        Request::Echo { data } => format!("echoing {} bytes", data.len()),
        Request::ReadFile { path, offset: 0, .. } => format!("reading {}", p(path)),
        Request::ReadFile { path, offset, .. } => format!("reading {} from byte {offset}", p(path)),
        Request::WriteFile { path, data, .. } => {
            format!("writing {} bytes to {}", data.len(), p(path))
        }
        Request::List { path, .. } => format!("listing {}", p(path)),
        Request::ReadLink { path } => format!("reading the link {}", p(path)),
        Request::MakeDir { path } => format!("making the folder {}", p(path)),
        Request::Remove { path } => format!("removing {}", p(path)),
        Request::Sync => "flushing the file systems".into(),
        Request::Run { arguments, .. } => {
            let program = arguments.split(|&b| b == 0).next().unwrap_or_default();
            format!("running {}", p(&String::from_utf8_lossy(program)))
        }
        Request::Cpuid { cpu, leaf, subleaf } => {
            format!("reading CPUID leaf {leaf:#x}.{subleaf} on vCPU {cpu}")
        }
        Request::Clock => "reading the clocks".into(),
        Request::ClockScan { milliseconds, cpus } => {
            format!("comparing the clocks of {cpus} vCPUs for {milliseconds} ms")
        }
        Request::Ticks { period_us, count } => {
            format!("taking {count} timer ticks {period_us} µs apart")
        }
        Request::RtcRead { path } => format!("reading the real-time clock {}", p(path)),
        Request::RtcWrite { path, .. } => format!("setting the real-time clock {}", p(path)),
        Request::Load { cpu, io_path, milliseconds } => {
            let io = if io_path.is_empty() { "no device".into() } else { p(io_path) };
            format!("starting load on {cpu} vCPUs and {io} for {milliseconds} ms")
        }
        Request::PatternWrite { path, offset, length, flush, .. } => {
            let flush = if flush { ", flushed" } else { "" };
            format!("writing {length} bytes of pattern to {} at {offset}{flush}", p(path))
        }
        Request::PatternRead { path, offset, length, .. } => {
            format!("reading {length} bytes of {} at {offset}", p(path))
        }
        Request::BlockInfo { path } => format!("asking for the size of {}", p(path)),
        Request::BlockDiscard { path, offset, length } => {
            format!("discarding {length} bytes of {} at {offset}", p(path))
        }
        Request::NetUp { name, address, prefix, .. } => format!(
            "bringing {} up as {}.{}.{}.{}/{prefix}",
            p(name),
            address[0],
            address[1],
            address[2],
            address[3]
        ),
        Request::NetDown { name } => format!("taking {} down", p(name)),
        Request::TcpSend { address, port, length, .. } => {
            format!("sending {length} bytes to {}", ip(address, port))
        }
        Request::TcpReceive { address, port, .. } => {
            format!("receiving from {}", ip(address, port))
        }
        Request::TcpOpen { slot, address, port } => {
            format!("connecting to {} in slot {slot}", ip(address, port))
        }
        Request::TcpExchange { slot, data, .. } => {
            format!("exchanging {} bytes on the connection in slot {slot}", data.len())
        }
        Request::UdpEcho { address, port, length, .. } => {
            format!("echoing {length} bytes by UDP off {}", ip(address, port))
        }
        Request::MemoryFill { slot, length, .. } => {
            format!("filling {length} bytes of memory in slot {slot}")
        }
        Request::MemoryDigest { slot } => format!("digesting the memory in slot {slot}"),
        Request::MemoryFree { slot } => format!("freeing the memory in slot {slot}"),
        Request::MemoryScan { .. } => "scanning the guest's memory".into(),
        Request::Random { count } => format!("taking {count} random bytes"),
        Request::ReadDevice { path, .. } => format!("reading from the device {}", p(path)),
        Request::Linux(ref request) => describe_linux(request),
        Request::Power { action } => match action {
            PowerAction::Off => "powering off".into(),
            PowerAction::Reboot => "rebooting".into(),
            PowerAction::Halt => "halting".into(),
            PowerAction::Crash => "crashing the kernel on purpose".into(),
            PowerAction::Suspend => "suspending to RAM".into(),
        },
    }
}

fn describe_linux(request: &LinuxRequest<'_>) -> String {
    match *request {
        LinuxRequest::MakeNode { path, major, minor, .. } => {
            format!("making the device node {} ({major}:{minor})", p(path))
        }
        LinuxRequest::Mount { source, target, kind, .. } => {
            format!("mounting {} ({}) on {}", p(source), p(kind), p(target))
        }
        LinuxRequest::Unmount { target } => format!("unmounting {}", p(target)),
        LinuxRequest::LoadModule { path, .. } => format!("loading the kernel module {}", p(path)),
        LinuxRequest::UnloadModule { name } => format!("unloading the kernel module {}", p(name)),
        LinuxRequest::Ioctl { path, request, .. } => format!("ioctl {request:#x} on {}", p(path)),
        LinuxRequest::InputOpen { slot, path } => {
            format!("opening the input device {} in slot {slot}", p(path))
        }
        LinuxRequest::InputRead { slot, .. } => format!("reading input events of slot {slot}"),
        LinuxRequest::ObeyPowerButton { path } => format!("watching the power button {}", p(path)),
        LinuxRequest::WatchdogArm { path, seconds } => {
            format!("arming the watchdog {} for {seconds} s", p(path))
        }
        LinuxRequest::WatchdogDisarm => "disarming the watchdog".into(),
        LinuxRequest::ActAs { release } => format!("acting as Linux {}", p(release)),
        LinuxRequest::KernelLog { offset } => {
            format!("reading the kernel's log from byte {offset}")
        }
    }
}

/// True if the request changes nothing in the guest, so that it may be sent again.
pub const fn only_reads(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::Hello { .. }
            | Request::Echo { .. }
            | Request::ReadFile { .. }
            | Request::List { .. }
            | Request::ReadLink { .. }
            | Request::Cpuid { .. }
            | Request::Clock
            | Request::RtcRead { .. }
            | Request::BlockInfo { .. }
            | Request::MemoryDigest { .. }
            | Request::Random { .. }
            | Request::Linux(LinuxRequest::KernelLog { .. })
    )
}
