//! Which function answers which request.

use hospitium_wire::{MAX_DATA, PROTOCOL, Refusal, Reply, Request, Verbs};

use crate::failure::{Failure, Result};
use crate::os::{self, block, clock, device, files, memory, net, process};
use crate::pattern::Tally;

/// How many things of a kind can be held open.
pub const SLOTS: usize = 8;

/// Room for data on its way to or from a device, aligned as O_DIRECT wants it.
#[repr(C, align(4096))]
pub struct Block(pub [u8; 65536]);

/// What the probe holds between requests.
pub struct State {
    /// Data of the answer.
    data: [u8; MAX_DATA],
    block: Block,
    connections: [Option<os::Connection>; SLOTS],
    memory: [Option<memory::Held>; SLOTS],
    /// What the requests of this operating system alone hold.
    pub own: os::Own,
}

impl State {
    /// Nothing held. All zero, so that it costs nothing in the file.
    pub const fn new() -> Self {
        Self {
            data: [0; MAX_DATA],
            block: Block([0; 65536]),
            connections: [const { None }; SLOTS],
            memory: [const { None }; SLOTS],
            own: os::Own::new(),
        }
    }
}

/// The slot of this number.
pub fn slot<T>(slots: &mut [Option<T>; SLOTS], number: u8) -> Result<&mut Option<T>> {
    slots.get_mut(usize::from(number)).ok_or(Failure::invalid("slot"))
}

/// What a slot holds.
pub fn held<T>(slots: &mut [Option<T>; SLOTS], number: u8) -> Result<&mut T> {
    let empty = Failure::refused(Refusal::Empty, "slot");
    slot(slots, number)?.as_mut().ok_or(empty)
}

/// As many bytes of an answer's buffer as were asked for.
fn wanted(data: &mut [u8; MAX_DATA], max: u32) -> &mut [u8] {
    let max = usize::try_from(max).unwrap_or(MAX_DATA);
    &mut data[..max.min(MAX_DATA)]
}

/// Runs what makes a tally, and times it.
fn timed<'a>(work: impl FnOnce() -> Result<Tally>) -> Result<Reply<'a>> {
    let start = clock::monotonic_ns();
    let (sha256, length) = work()?.finish();
    let nanoseconds = clock::monotonic_ns().saturating_sub(start);
    Ok(Reply::Digest { sha256, length, nanoseconds })
}

/// Answers a request. `Power` is only acknowledged here: it happens after the answer is out.
pub fn answer<'a>(state: &'a mut State, request: &Request<'a>) -> Result<Reply<'a>> {
    let State { data, block: Block(room), connections, memory, own } = state;
    Ok(match *request {
        Request::Hello { nonce } => Reply::Hello {
            protocol: PROTOCOL,
            nonce,
            os: os::OS,
            arch: os::ARCH,
            verbs: Verbs::LINUX,
            uname: os::uname(data)?,
            uptime_ms: clock::monotonic_ns() / 1_000_000,
            is_init: process::is_init(),
        },
        Request::Adopt { ref entropy } => done(os::entropy::adopt(entropy))?,
        Request::Echo { data } => Reply::Data { data },
        Request::ReadFile { path, offset, max } => {
            Reply::Data { data: files::read(path, offset, wanted(data, max))? }
        }
        Request::WriteFile { path, offset, data, flags } => {
            Reply::Count { count: files::write(path, offset, data, flags)? }
        }
        Request::List { path, skip } => Reply::Data { data: files::list(path, skip, room, data)? },
        Request::ReadLink { path } => Reply::Data { data: files::read_link(path, data)? },
        Request::MakeDir { path } => done(files::make_dir(path))?,
        Request::Remove { path } => done(files::remove(path))?,
        Request::Sync => {
            files::sync();
            Reply::Done
        }
        Request::Run { arguments, limit_ms } => {
            let (code, output) = process::run(arguments, limit_ms, data)?;
            Reply::Exit { code, output }
        }
        Request::Cpuid { cpu, leaf, subleaf } => Reply::Cpuid(os::cpu::cpuid(cpu, leaf, subleaf)?),
        Request::Clock => Reply::Clock(clock::read()),
        Request::ClockScan { milliseconds, cpus } => os::clock_scan::scan(milliseconds, cpus)?,
        Request::Ticks { period_us, count } => clock::ticks(period_us, count)?,
        Request::RtcRead { path } => Reply::RtcTime { seconds: device::rtc_read(path)? },
        Request::RtcWrite { path, seconds } => done(device::rtc_write(path, seconds))?,
        Request::Load { cpu, io_path, milliseconds } => {
            done(process::load(cpu, io_path, milliseconds, room))?
        }
        Request::PatternWrite { path, offset, length, seed, flush, direct } => {
            let area = block::Area { path, offset, length, direct };
            timed(|| area.write(seed, flush, room))?
        }
        Request::PatternRead { path, offset, length, direct } => {
            timed(|| block::Area { path, offset, length, direct }.read(room))?
        }
        Request::BlockInfo { path } => block::info(path)?,
        Request::BlockDiscard { path, offset, length } => {
            done(block::discard(path, offset, length))?
        }
        Request::NetUp { name, address, prefix, mtu } => done(net::up(name, address, prefix, mtu))?,
        Request::NetDown { name } => done(net::down(name))?,
        Request::TcpSend { address, port, length, seed } => {
            timed(|| net::tcp_send(address, port, length, seed, room))?
        }
        Request::TcpReceive { address, port, length } => {
            timed(|| net::tcp_receive(address, port, length, room))?
        }
        Request::TcpOpen { slot: number, address, port } => {
            let slot = slot(connections, number)?;
            *slot = None;
            *slot = Some(net::Connection::open(address, port)?);
            Reply::Done
        }
        Request::TcpExchange { slot, data: sent, limit_ms } => {
            Reply::Data { data: held(connections, slot)?.exchange(sent, limit_ms, data)? }
        }
        Request::UdpEcho { address, port, length, seed, limit_ms } => {
            timed(|| net::udp_echo(address, port, length, seed, limit_ms, room))?
        }
        Request::MemoryFill { slot: number, length, seed } => {
            let slot = slot(memory, number)?;
            *slot = None;
            timed(|| Ok(slot.insert(memory::Held::filled(length, seed)?).tally()))?
        }
        Request::MemoryDigest { slot } => {
            let held = held(memory, slot)?;
            timed(|| Ok(held.tally()))?
        }
        Request::MemoryFree { slot: number } => {
            *slot(memory, number)? = None;
            Reply::Done
        }
        Request::MemoryScan { ref needle } => os::kcore::scan(needle, room)?,
        Request::Random { count } => {
            if count > 256 {
                return Err(Failure::invalid("getrandom"));
            }
            Reply::Data { data: os::entropy::random(wanted(data, count))? }
        }
        Request::ReadDevice { path, max, limit_ms } => {
            Reply::Data { data: device::read(path, limit_ms, wanted(data, max))? }
        }
        Request::Power { .. } => Reply::Done,
        Request::Linux(ref request) => own.answer(request, data, room)?,
    })
}

/// A call that tells nothing but that it worked.
pub fn done<'a>(result: Result<()>) -> Result<Reply<'a>> {
    result.map(|()| Reply::Done)
}
