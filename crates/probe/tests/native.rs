//! The probe as an ordinary process: what every request promises, and what bad input does not do.

mod session;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hospitium_wire::{Flags, MAX_DATA, MAX_FRAME, PROTOCOL, Reply, Request, errno};
use session::{Session, pattern, sha256};

const LOCALHOST: [u8; 4] = [127, 0, 0, 1];
const SOON: Duration = Duration::from_millis(300);

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder
        .path()
        .join(name)
        .to_str()
        .expect("a path in UTF-8")
        .to_owned()
}

#[test]
fn hello_returns_the_nonce_and_the_kernel() {
    let mut probe = Session::start();
    let Reply::Hello {
        protocol,
        nonce,
        uname,
        uptime_ms,
        is_init,
    } = probe.ask(Request::Hello { nonce: 7 })
    else {
        panic!("no hello");
    };
    assert_eq!((protocol, nonce, is_init), (PROTOCOL, 7, false));
    assert!(uname.starts_with(b"Linux\0") && uname.ends_with(b"\0x86_64\0"));
    assert_eq!(uname.iter().filter(|&&byte| byte == 0).count(), 4);
    assert!(uptime_ms > 0);
}

#[test]
fn the_longest_data_is_echoed() {
    let mut probe = Session::start();
    for data in [
        pattern(1, MAX_DATA),
        vec![0; MAX_DATA],
        vec![0xFF; MAX_DATA],
        Vec::new(),
    ] {
        assert_eq!(probe.data(Request::Echo { data: &data }), data);
    }
}

#[test]
fn a_number_is_answered_once_but_hello_always() {
    let mut probe = Session::start();
    probe.post(9, Request::Echo { data: b"a" });
    probe.post(9, Request::Echo { data: b"b" });
    assert_eq!(
        probe.next(SOON).expect("an answer").body,
        Reply::Data { data: b"a" }
    );
    assert_eq!(probe.next(SOON), None);
    for nonce in [1, 2] {
        probe.post(9, Request::Hello { nonce });
        assert!(
            matches!(probe.next(SOON).expect("an answer").body, Reply::Hello { nonce: n, .. } if n == nonce)
        );
    }
}

#[test]
fn broken_oversized_and_unknown_frames_are_survived() {
    let mut probe = Session::start();
    probe.send(b"login: root\r\n\0");
    probe.send(&[0x41; 5 * MAX_FRAME]);
    probe.send(&[0, 0, 0xFF, 0, 3, 1, 0]);
    // A sound frame around something that is no request of this protocol.
    let mut frame = [0; MAX_FRAME];
    let unknown = hospitium_wire::encode(&(5_u32, 9999_u32), &mut frame)
        .expect("fits")
        .to_vec();
    probe.send(&unknown);
    assert_eq!(probe.next(SOON), None);
    assert_eq!(
        probe.data(Request::Echo {
            data: b"still here"
        }),
        b"still here"
    );
}

#[test]
fn files_are_written_read_listed_and_removed() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let (file, sub) = (path(&folder, "file"), path(&folder, "sub"));
    let data = pattern(2, MAX_DATA);
    let flags = Flags {
        create: true,
        sync: true,
        ..Flags::default()
    };
    let write = |offset, data, flags| Request::WriteFile {
        path: &file,
        offset,
        data,
        flags,
    };
    assert_eq!(
        probe.failure(write(0, &data, Flags::default())),
        errno::ENOENT
    );
    assert_eq!(
        probe.ask(write(0, &data, flags)),
        Reply::Count {
            count: MAX_DATA as u64
        }
    );
    let append = Flags {
        append: true,
        ..Flags::default()
    };
    assert_eq!(
        probe.ask(write(0, b"tail", append)),
        Reply::Count { count: 4 }
    );
    let read = |offset, max| Request::ReadFile {
        path: &file,
        offset,
        max,
    };
    assert_eq!(probe.data(read(0, u32::MAX)), data);
    assert_eq!(
        probe.data(read(4090, 10)),
        [&data[4090..], b"tail"].concat()
    );
    let truncate = Flags {
        truncate: true,
        ..Flags::default()
    };
    assert_eq!(
        probe.ask(write(0, b"x", truncate)),
        Reply::Count { count: 1 }
    );
    assert_eq!(std::fs::read(&file).expect("the file"), b"x");
    for _ in 0..2 {
        assert_eq!(probe.ask(Request::MakeDir { path: &sub }), Reply::Done);
    }
    std::os::unix::fs::symlink("sub", path(&folder, "link")).expect("a link");
    assert_eq!(
        probe.data(Request::ReadLink {
            path: &path(&folder, "link")
        }),
        b"sub"
    );
    for path in [&sub, &file] {
        assert_eq!(probe.ask(Request::Remove { path }), Reply::Done);
        assert_eq!(probe.failure(Request::Remove { path }), errno::ENOENT);
    }
    assert_eq!(
        probe.failure(Request::Remove { path: "nul\0nul" }),
        errno::EINVAL
    );
}

#[test]
fn files_of_the_kernel_are_read_whole() {
    let mut probe = Session::start();
    let data = probe.data(Request::ReadFile {
        path: "/proc/self/status",
        offset: 0,
        max: 4096,
    });
    assert!(
        data.starts_with(b"Name:\thospitium-probe\n") || data.starts_with(b"Name:\thospitium-pro")
    );
}

#[test]
fn a_long_folder_is_listed_in_parts_without_loss_or_repetition() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let mut names: Vec<_> = (0..200).map(|n| format!("{n:060}")).collect();
    for name in &names {
        std::fs::write(folder.path().join(name), "").expect("a file");
    }
    let folder = folder.path().to_str().expect("a path in UTF-8");
    let mut found = Vec::new();
    loop {
        let part = probe.data(Request::List {
            path: folder,
            skip: found.len() as u32,
        });
        if part.is_empty() {
            break;
        }
        assert_eq!(part.last(), Some(&0));
        let part = String::from_utf8(part).expect("names in UTF-8");
        found.extend(part.split_terminator('\0').map(str::to_owned));
    }
    found.sort();
    names.sort();
    assert_eq!(found, names);
}

#[test]
fn a_pattern_on_a_file_has_the_digest_of_another_computation() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let file = path(&folder, "file");
    let length = 3 * 65536 + 4096;
    let expected = (sha256(&pattern(0, length)), length as u64);
    let (offset, length) = (8192, length as u64);
    let write = |direct| Request::PatternWrite {
        path: &file,
        offset,
        length,
        seed: 0,
        flush: true,
        direct,
    };
    assert_eq!(probe.digest(write(false)), expected);
    let bytes = std::fs::read(&file).expect("the file");
    // The first value of SplitMix64 with seed 0, as published with it.
    assert_eq!(bytes[8192..8200], 0xE220_A839_7B1D_CDAF_u64.to_le_bytes());
    assert_eq!(sha256(&bytes[8192..]), expected.0);
    let read = |offset, length| Request::PatternRead {
        path: &file,
        offset,
        length,
        direct: false,
    };
    assert_eq!(probe.digest(read(8192, length)), expected);
    assert_eq!(
        probe.digest(read(8192, length + 4096)),
        expected,
        "the file's end"
    );
    assert_eq!(probe.failure(read(1, 4096)), errno::EINVAL);
    assert_eq!(probe.failure(read(u64::MAX - 4095, 4096)), errno::EINVAL);
    // Not every file system takes O_DIRECT; one that does gives the same.
    if let Reply::Digest { sha256, .. } = probe.ask(write(true)) {
        assert_eq!(sha256, expected.0);
    }
}

#[test]
fn clocks_are_read_and_do_not_step_back() {
    let mut probe = Session::start();
    let read = |probe: &mut Session| match probe.ask(Request::Clock) {
        Reply::Clock(reading) => reading,
        other => panic!("no clock but {other:?}"),
    };
    let (first, second) = (read(&mut probe), read(&mut probe));
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_nanos() as i64;
    assert!((now - second.realtime_ns).abs() < 10_000_000_000);
    assert!(second.monotonic_ns > first.monotonic_ns && second.tsc > first.tsc);
    assert!(second.raw_ns > first.raw_ns && second.boottime_ns > first.boottime_ns);
    let Reply::ClockScan {
        readings,
        backward,
        worst_ns,
        cpus,
    } = probe.ask(Request::ClockScan {
        milliseconds: 100,
        cpus: 2,
    })
    else {
        panic!("no scan");
    };
    assert!(readings > 1000 && (1..=2).contains(&cpus));
    assert_eq!((backward, worst_ns), (0, 0));
    assert_eq!(
        probe.failure(Request::ClockScan {
            milliseconds: 1,
            cpus: 0
        }),
        errno::EINVAL
    );
}

#[test]
fn ticks_come_as_many_as_asked_and_not_early() {
    let mut probe = Session::start();
    let Reply::Sleeps {
        count,
        total_ns,
        least_ns,
        most_ns,
    } = probe.ask(Request::Ticks {
        period_us: 2000,
        count: 26,
    })
    else {
        panic!("no ticks");
    };
    assert_eq!(count, 26);
    // Only the first can be late and so shorten the whole.
    assert!(total_ns + most_ns >= 25 * 2_000_000 - 2_000_000 && least_ns <= 2_000_000);
    assert!(least_ns <= total_ns / 25 && total_ns / 25 <= most_ns);
    assert_eq!(
        probe.failure(Request::Ticks {
            period_us: 0,
            count: 1
        }),
        errno::EINVAL
    );
    assert_eq!(
        probe.failure(Request::Ticks {
            period_us: u32::MAX,
            count: u32::MAX
        }),
        errno::EINVAL
    );
}

#[test]
fn a_program_runs_with_its_output_and_its_limit() {
    let mut probe = Session::start();
    let run = |arguments, limit_ms| Request::Run {
        arguments,
        limit_ms,
    };
    assert_eq!(
        probe.ask(run(b"sh\0-c\0echo out; echo err >&2; exit 3\0", 10_000)),
        Reply::Exit {
            code: 3,
            output: b"out\nerr\n"
        }
    );
    assert_eq!(
        probe.ask(run(b"/bin/sh\0-c\0kill -9 $$\0", 10_000)),
        Reply::Exit {
            code: 137,
            output: b""
        }
    );
    assert_eq!(
        probe.ask(run(b"sh\0-c\0echo begun; sleep 600\0", 300)),
        Reply::Exit {
            code: -1,
            output: b"begun\n"
        }
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
        Reply::Exit {
            code: 0,
            output: b"gone\n"
        }
    );
    assert_eq!(
        probe.failure(run(b"no-such-program\0", 1000)),
        errno::ENOENT
    );
    assert_eq!(probe.failure(run(b"not ended", 1000)), errno::EINVAL);
    assert_eq!(probe.failure(run(b"", 1000)), errno::EINVAL);
    assert_eq!(probe.failure(run(&b"a\0".repeat(200), 1000)), 7, "E2BIG");
}

#[test]
fn a_daemon_lets_its_login_go_and_answers() {
    let mut probe = Session::daemon();
    let read = Request::ReadFile {
        path: "/proc/self/stat",
        offset: 0,
        max: 200,
    };
    let stat = String::from_utf8(probe.data(read)).expect("ASCII");
    // After the name in brackets: state, parent, process group, session.
    let mut fields = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_ascii_whitespace();
    let (own, session) = (stat.split(' ').next(), fields.nth(3));
    assert_eq!(own, session, "a session of its own");
    assert_eq!(
        probe.data(Request::ReadLink {
            path: "/proc/self/fd/1"
        }),
        b"/dev/null"
    );
    // It ends by its own hand, because nothing else would end it.
    probe.post(
        1000,
        Request::Run {
            arguments: b"sh\0-c\0kill -9 $PPID\0",
            limit_ms: 1000,
        },
    );
    assert_eq!(probe.next(SOON), None);
}

#[test]
fn load_returns_at_once_and_ends_by_itself() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let (file, bad) = (path(&folder, "load"), path(&folder, "no/load"));
    let load = |io_path| Request::Load {
        cpu: 1,
        io_path,
        milliseconds: 300,
    };
    assert_eq!(probe.ask(load(&file)), Reply::Done);
    assert_eq!(probe.failure(load(&bad)), errno::ENOENT);
    let children = format!("/proc/{0}/task/{0}/children", probe.process());
    let ended = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        probe.ask(Request::Clock);
        std::fs::read_to_string(&children)
            .expect("the probe's children")
            .is_empty()
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
    assert_eq!(probe.failure(Request::Random { count: 257 }), errno::EINVAL);
}

#[test]
fn memory_is_held_until_it_is_freed() {
    let mut probe = Session::start();
    let length = 1_000_003;
    let expected = (sha256(&pattern(5, length)), length as u64);
    let fill = Request::MemoryFill {
        slot: 7,
        length: length as u64,
        seed: 5,
    };
    for _ in 0..2 {
        assert_eq!(probe.digest(fill.clone()), expected);
        assert_eq!(probe.digest(Request::MemoryDigest { slot: 7 }), expected);
    }
    assert_eq!(
        probe.failure(Request::MemoryDigest { slot: 0 }),
        errno::EBADF
    );
    assert_eq!(probe.ask(Request::MemoryFree { slot: 7 }), Reply::Done);
    assert_eq!(
        probe.failure(Request::MemoryDigest { slot: 7 }),
        errno::EBADF
    );
    assert_eq!(
        probe.failure(Request::MemoryFree { slot: 8 }),
        errno::EINVAL
    );
    assert_eq!(
        probe.failure(Request::MemoryFill {
            slot: 0,
            length: u64::MAX,
            seed: 0
        }),
        12,
        "ENOMEM"
    );
}

#[test]
fn cpuid_names_the_processor_and_refuses_one_that_is_not_there() {
    let mut probe = Session::start();
    let Reply::Cpuid(words) = probe.ask(Request::Cpuid {
        cpu: 0,
        leaf: 0,
        subleaf: 0,
    }) else {
        panic!("no CPUID");
    };
    let expected = core::arch::x86_64::__cpuid(0);
    assert_eq!(
        [words.ebx, words.ecx, words.edx],
        [expected.ebx, expected.ecx, expected.edx]
    );
    let absent = Request::Cpuid {
        cpu: 8000,
        leaf: 0,
        subleaf: 0,
    };
    assert_eq!(probe.failure(absent), errno::EINVAL);
}

#[test]
fn tcp_and_udp_carry_the_pattern() {
    let mut probe = Session::start();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let length = 300_001;
    let expected = (sha256(&pattern(3, length)), length as u64);
    let server = std::thread::spawn(move || {
        let (mut received, mut echoed) = (Vec::new(), [0; 10]);
        let accept = || listener.accept().expect("a connection").0;
        accept().read_to_end(&mut received).expect("all of it");
        accept().write_all(&pattern(3, length)).expect("room");
        let mut kept = accept();
        kept.read_exact(&mut echoed).expect("ten bytes");
        kept.write_all(&echoed).expect("room");
        // Kept, and silent.
        (received, kept)
    });
    let (address, bytes) = (LOCALHOST, length as u64);
    assert_eq!(
        probe.digest(Request::TcpSend {
            address,
            port,
            length: bytes,
            seed: 3
        }),
        expected
    );
    assert_eq!(
        probe.digest(Request::TcpReceive {
            address,
            port,
            length: u64::MAX
        }),
        expected
    );
    assert_eq!(
        probe.ask(Request::TcpOpen {
            slot: 0,
            address,
            port
        }),
        Reply::Done
    );
    let exchange = |limit_ms| Request::TcpExchange {
        slot: 0,
        data: b"ten bytes!",
        limit_ms,
    };
    assert_eq!(probe.data(exchange(5000)), b"ten bytes!");
    let (received, kept) = server.join().expect("the server");
    assert_eq!(sha256(&received), expected.0);
    assert_eq!(probe.failure(exchange(50)), errno::ETIMEDOUT);
    drop(kept);
    let refused = Request::TcpOpen {
        slot: 1,
        address,
        port,
    };
    assert_eq!(probe.failure(refused), 111, "ECONNREFUSED");

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = socket.local_addr().expect("its number").port();
    let echo = |length| Request::UdpEcho {
        address,
        port,
        length,
        seed: 4,
        limit_ms: 2000,
    };
    let server = std::thread::spawn(move || {
        let mut buffer = [0; 20000];
        let (count, from) = socket.recv_from(&mut buffer).expect("a datagram");
        socket.send_to(&buffer[..count], from).expect("room");
        // Kept, so that its port is not refused.
        socket
    });
    assert_eq!(
        probe.digest(echo(16384)),
        (sha256(&pattern(4, 16384)), 16384)
    );
    assert_eq!(probe.failure(echo(16385)), errno::EINVAL);
    let _socket = server.join().expect("the server");
    assert_eq!(probe.failure(echo(10)), errno::ETIMEDOUT);
}

#[test]
fn a_device_is_read_until_its_limit() {
    let mut probe = Session::start();
    let read = |path, limit_ms| Request::ReadDevice {
        path,
        max: 100,
        limit_ms,
    };
    assert_eq!(probe.data(read("/dev/zero", 1000)), [0; 100]);
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = path(&folder, "fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let mut writer = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("a FIFO");
    assert_eq!(probe.failure(read(&fifo, 50)), errno::ETIMEDOUT);
    writer.write_all(b"something").expect("room");
    assert_eq!(probe.data(read(&fifo, 5000)), b"something");
}

#[test]
fn what_is_not_there_is_an_answer_too() {
    let mut probe = Session::start();
    let none = "/dev/none-such";
    for request in [
        Request::BlockInfo { path: none },
        Request::BlockDiscard {
            path: none,
            offset: 0,
            length: 4096,
        },
        Request::PatternWrite {
            path: none,
            offset: 0,
            length: 4096,
            seed: 0,
            flush: true,
            direct: true,
        },
        Request::RtcRead { path: none },
        Request::RtcWrite {
            path: none,
            seconds: 0,
        },
        Request::InputOpen {
            slot: 0,
            path: none,
        },
        Request::ObeyPowerButton { path: none },
        Request::WatchdogArm {
            path: none,
            seconds: 10,
        },
        Request::LoadModule {
            path: none,
            parameters: "",
        },
        Request::Ioctl {
            path: none,
            request: 0,
            argument: &[],
        },
        Request::List {
            path: none,
            skip: 0,
        },
    ] {
        assert_eq!(probe.failure(request), errno::ENOENT);
    }
    for request in [
        Request::WatchdogDisarm,
        Request::InputRead {
            slot: 0,
            limit_ms: 0,
        },
    ] {
        assert_eq!(probe.failure(request), errno::EBADF);
    }
    let data = &[0; 1025];
    assert_eq!(
        probe.failure(Request::Ioctl {
            path: "/dev/zero",
            request: 0,
            argument: data
        }),
        errno::EINVAL
    );
    let long = "x".repeat(4096);
    assert_eq!(
        probe.failure(Request::MakeDir { path: &long }),
        36,
        "ENAMETOOLONG"
    );
    let name = "a name that is too long";
    assert_eq!(probe.failure(Request::NetDown { name }), errno::EINVAL);
    assert!(!Path::new(none).exists());
}

/// The form that goes into guests is another build than the one above; it has to have the
/// properties that the guests rely on, and to talk.
#[test]
fn what_ships_is_small_static_and_answers() {
    let build = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "hospitium-probe",
            "--profile",
            "probe",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(
        build.status.success(),
        "{}",
        String::from_utf8_lossy(&build.stderr)
    );
    let report = String::from_utf8(build.stdout).expect("JSON");
    let (_, program) = report
        .rsplit_once("\"executable\":\"")
        .expect("an executable");
    let program = Path::new(program.split('"').next().expect("its path"));
    let image = std::fs::read(program).expect("the probe");
    assert!(image.len() < 300 * 1024, "{} bytes", image.len());

    let number = |at: usize, size: usize| {
        image[at..at + size]
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    };
    const EXEC: usize = 2;
    assert_eq!(number(16, 2), EXEC, "a fixed address");
    let kinds: Vec<_> = (0..number(56, 2))
        .map(|n| number(number(32, 8) + n * 56, 4))
        .collect();
    const DYNAMIC: usize = 2;
    const INTERPRETER: usize = 3;
    assert!(
        !kinds.contains(&DYNAMIC) && !kinds.contains(&INTERPRETER),
        "{kinds:?}"
    );

    let mut probe = Session::of(program, &[]);
    let data = pattern(6, MAX_DATA);
    assert_eq!(probe.data(Request::Echo { data: &data }), data);
    let fill = Request::MemoryFill {
        slot: 0,
        length: 1_000_003,
        seed: 6,
    };
    assert_eq!(probe.digest(fill).0, sha256(&pattern(6, 1_000_003)));
    let Reply::ClockScan {
        backward: 0,
        cpus: 1,
        ..
    } = probe.ask(Request::ClockScan {
        milliseconds: 20,
        cpus: 1,
    })
    else {
        panic!("no sound clock");
    };
    let run = Request::Run {
        arguments: b"sh\0-c\0echo $PATH\0",
        limit_ms: 5000,
    };
    let Reply::Exit { code: 0, output } = probe.ask(run) else {
        panic!("no shell")
    };
    assert!(output.ends_with(b"/bin\n"));
}
