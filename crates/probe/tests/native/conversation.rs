//! Talking with the probe: frames, numbers, refusals, and the form of it that ships.

use std::path::Path;
use std::process::Command;

use hospitium_wire::{
    Arch, Domain, LinuxRequest, MAX_DATA, MAX_FRAME, Os, PROTOCOL, Refusal, Reply, Request, Verbs,
    errno,
};

use crate::SOON;
use crate::session::{Session, pattern, sha256};

#[test]
fn hello_returns_the_nonce_and_the_kernel() {
    let mut probe = Session::start();
    let Reply::Hello { protocol, nonce, os, arch, verbs, uname, uptime_ms, is_init } =
        probe.ask(Request::Hello { nonce: 7 })
    else {
        panic!("no hello");
    };
    assert_eq!((protocol, nonce, is_init), (PROTOCOL, 7, false));
    assert_eq!((os, verbs), (Os::Linux, Verbs::LINUX));
    // Which of them is tried is said from outside.
    assert!(matches!(arch, Arch::X86_64 | Arch::X86), "{arch:?}");
    assert!(uname.starts_with(b"Linux\0") && uname.ends_with(b"\0x86_64\0"));
    assert_eq!(uname.iter().filter(|&&byte| byte == 0).count(), 4);
    assert!(uptime_ms > 0);
}

#[test]
fn the_longest_data_is_echoed() {
    let mut probe = Session::start();
    for data in [pattern(1, MAX_DATA), vec![0; MAX_DATA], vec![0xFF; MAX_DATA], Vec::new()] {
        assert_eq!(probe.data(Request::Echo { data: &data }), data);
    }
}

#[test]
fn a_number_is_answered_once_but_hello_always() {
    let mut probe = Session::start();
    probe.post(9, Request::Echo { data: b"a" });
    probe.post(9, Request::Echo { data: b"b" });
    assert_eq!(probe.next(SOON).expect("an answer").body, Reply::Data { data: b"a" });
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
    let unknown = hospitium_wire::encode(&(5_u32, 9999_u32), &mut frame).expect("fits").to_vec();
    probe.send(&unknown);
    let refused = probe.next(SOON).expect("an answer");
    let code = Refusal::Unknown.code();
    assert_eq!(refused.seq, 5);
    assert_eq!(refused.body, Reply::Failed { domain: Domain::Probe, code, call: "request" });
    assert_eq!(probe.next(SOON), None);
    assert_eq!(probe.data(Request::Echo { data: b"still here" }), b"still here");
}

#[test]
fn a_daemon_lets_its_login_go_and_answers() {
    let mut probe = Session::daemon();
    let read = Request::ReadFile { path: "/proc/self/stat", offset: 0, max: 200 };
    let stat = String::from_utf8(probe.data(read)).expect("ASCII");
    // After the name in brackets: state, parent, process group, session.
    let mut fields = stat.rsplit(')').next().expect("fields").split_ascii_whitespace();
    let (own, session) = (stat.split(' ').next(), fields.nth(3));
    assert_eq!(own, session, "a session of its own");
    assert_eq!(probe.data(Request::ReadLink { path: "/proc/self/fd/1" }), b"/dev/null");
    // It ends by its own hand, because nothing else would end it.
    probe.post(1000, Request::Run { arguments: b"sh\0-c\0kill -9 $PPID\0", limit_ms: 1000 });
    assert_eq!(probe.next(SOON), None);
}

#[test]
fn what_is_not_there_is_an_answer_too() {
    let mut probe = Session::start();
    let none = "/dev/none-such";
    for request in [
        Request::BlockInfo { path: none },
        Request::BlockDiscard { path: none, offset: 0, length: 4096 },
        Request::PatternWrite {
            path: none,
            offset: 0,
            length: 4096,
            seed: 0,
            flush: true,
            direct: true,
        },
        Request::RtcRead { path: none },
        Request::RtcWrite { path: none, seconds: 0 },
        Request::Linux(LinuxRequest::InputOpen { slot: 0, path: none }),
        Request::Linux(LinuxRequest::ObeyPowerButton { path: none }),
        Request::Linux(LinuxRequest::WatchdogArm { path: none, seconds: 10 }),
        Request::Linux(LinuxRequest::LoadModule { path: none, parameters: "" }),
        Request::Linux(LinuxRequest::Ioctl { path: none, request: 0, argument: &[] }),
        Request::List { path: none, skip: 0 },
    ] {
        assert_eq!(probe.failure(request), errno::ENOENT);
    }
    for request in [
        Request::Linux(LinuxRequest::WatchdogDisarm),
        Request::Linux(LinuxRequest::InputRead { slot: 0, limit_ms: 0 }),
    ] {
        assert_eq!(probe.refusal(request), Refusal::Empty);
    }
    let data = &[0; 1025];
    assert_eq!(
        probe.refusal(Request::Linux(LinuxRequest::Ioctl {
            path: "/dev/zero",
            request: 0,
            argument: data
        })),
        Refusal::Invalid
    );
    let long = "x".repeat(4096);
    assert_eq!(probe.refusal(Request::MakeDir { path: &long }), Refusal::TooLong);
    let name = "a name that is too long";
    assert_eq!(probe.refusal(Request::NetDown { name }), Refusal::Invalid);
    assert!(!Path::new(none).exists());
}

/// The form that goes into guests is another build than the one above; it has to have the
/// properties that the guests rely on, and to talk.
#[test]
fn what_ships_is_small_static_and_answers() {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hospitium-probe", "--profile", "probe"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let report = String::from_utf8(build.stdout).expect("JSON");
    let (_, program) = report.rsplit_once("\"executable\":\"").expect("an executable");
    let program = Path::new(program.split('"').next().expect("its path"));
    let image = std::fs::read(program).expect("the probe");
    assert!(image.len() < 300 * 1024, "{} bytes", image.len());

    let number = |at: usize, size: usize| {
        image[at..at + size].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    };
    const EXEC: usize = 2;
    assert_eq!(number(16, 2), EXEC, "a fixed address");
    let kinds: Vec<_> = (0..number(56, 2)).map(|n| number(number(32, 8) + n * 56, 4)).collect();
    const DYNAMIC: usize = 2;
    const INTERPRETER: usize = 3;
    assert!(!kinds.contains(&DYNAMIC) && !kinds.contains(&INTERPRETER), "{kinds:?}");

    let mut probe = Session::of(program, &[]);
    let data = pattern(6, MAX_DATA);
    assert_eq!(probe.data(Request::Echo { data: &data }), data);
    let fill = Request::MemoryFill { slot: 0, length: 1_000_003, seed: 6 };
    assert_eq!(probe.digest(fill).0, sha256(&pattern(6, 1_000_003)));
    let Reply::ClockScan { backward: 0, cpus: 1, .. } =
        probe.ask(Request::ClockScan { milliseconds: 20, cpus: 1 })
    else {
        panic!("no sound clock");
    };
    let run = Request::Run { arguments: b"sh\0-c\0echo $PATH\0", limit_ms: 5000 };
    let Reply::Exit { code: 0, output } = probe.ask(run) else { panic!("no shell") };
    assert!(output.ends_with(b"/bin\n"));
}
