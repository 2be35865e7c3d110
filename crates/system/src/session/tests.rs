//! A session against a made-up probe, honest and hostile.

use hospitium_wire::{
    Arch, Decoder, Envelope, LinuxRequest, MAX_DATA, MAX_FRAME, Os, PROTOCOL, Reply, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const SOON: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// What a made-up probe sends back for a request.
type Answerer = Box<dyn FnMut(u32, &Request<'_>) -> Vec<u8> + Send>;

pub fn framed(seq: u32, body: Reply<'_>) -> Vec<u8> {
    let mut frame = [0; MAX_FRAME];
    encode(&Envelope { seq, body }, &mut frame).expect("fits").to_vec()
}

async fn serve(mut guest: DuplexStream, mut answer: Answerer) {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = guest.read(&mut buffer).await {
        for &byte in &buffer[..count] {
            let back = match decoder.push(byte) {
                Some(Ok(bytes)) => match Decoder::message::<Envelope<Request<'_>>>(bytes) {
                    Ok(message) => answer(message.seq, &message.body),
                    Err(_) => continue,
                },
                _ => continue,
            };
            if guest.write_all(&back).await.is_err() {
                return;
            }
        }
    }
}

pub fn session(answer: impl FnMut(u32, &Request<'_>) -> Vec<u8> + Send + 'static) -> Session {
    let (ours, guest) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(guest, Box::new(answer)));
    Session::attach(Box::new(ours), None)
}

fn hello(seq: u32, nonce: u64, protocol: u16) -> Vec<u8> {
    let uname = b"Linux\x006.1.0\x00#1 SMP\x00x86_64\0";
    let (os, arch, verbs) = (Os::Linux, Arch::X86_64, Verbs::LINUX);
    let hello =
        Reply::Hello { protocol, nonce, os, arch, verbs, uname, uptime_ms: 1500, is_init: true };
    framed(seq, hello)
}

pub fn failed(code: i32, call: &str) -> Reply<'_> {
    Reply::Failed { domain: Domain::Errno, code, call }
}

#[tokio::test]
async fn a_greeting_that_gets_lost_is_sent_again() {
    let mut asked = 0;
    let session = session(move |seq, request| {
        asked += 1;
        match request {
            Request::Hello { nonce } if asked > 2 => hello(seq, *nonce, PROTOCOL),
            _ => Vec::new(),
        }
    });
    let hello = session.greet(SOON).await.expect("answers in the end");
    assert_eq!(hello.uname, ["Linux", "6.1.0", "#1 SMP", "x86_64"]);
    assert_eq!(hello.uptime, Duration::from_millis(1500));
}

#[tokio::test]
async fn a_probe_of_another_version_is_refused() {
    let session = session(|seq, request| match request {
        Request::Hello { nonce } => hello(seq, *nonce, PROTOCOL + 1),
        _ => Vec::new(),
    });
    let error = session.greet(SOON).await.expect_err("another version");
    assert!(matches!(error, SessionError::Protocol { .. }), "{error}");
}

/// What a probe of protocol 1 sent as its hello: sequence number, reply 0, protocol, nonce, names, uptime,
/// whether it is process 1.
fn old_hello(seq: u32, nonce: u64) -> Vec<u8> {
    let mut frame = [0; MAX_FRAME];
    let names: &[u8] = b"Linux\x002.6.18\x00#1 SMP\x00x86_64\0";
    encode(&(seq, 0_u32, 1_u16, nonce, names, 1500_u64, true), &mut frame).expect("fits").to_vec()
}

#[tokio::test]
async fn a_probe_of_a_version_of_before_is_named_at_once() {
    let session = session(|seq, request| match request {
        Request::Hello { nonce } => old_hello(seq, *nonce),
        _ => Vec::new(),
    });
    let error = session.greet(SOON).await.expect_err("a version of before");
    assert!(matches!(error, SessionError::Protocol { theirs: 1, ours: PROTOCOL }), "{error}");
}

#[tokio::test]
async fn a_probe_of_another_architecture_is_refused_and_both_are_named() {
    let session = session(|seq, request| match request {
        Request::Hello { nonce } => hello(seq, *nonce, PROTOCOL),
        _ => Vec::new(),
    });
    session.greet_as(&[Platform::LINUX_X86_64], SOON).await.expect("the same");
    let error = session.greet_as(&[Platform::LINUX_X86], SOON).await.expect_err("another");
    let text = error.to_string();
    assert!(text.contains("Linux on x86-64") && text.contains("Linux on 32-bit x86"), "{text}");
}

#[tokio::test]
async fn what_a_smaller_probe_cannot_do_is_not_asked() {
    let session = session(|seq, request| match *request {
        Request::Hello { nonce } => {
            let verbs = Verbs { neutral: 1, own: 0 };
            let (os, arch, protocol) = (Os::Windows, Arch::X86, PROTOCOL);
            let uname = b"Windows\0";
            let (uptime_ms, is_init) = (1, false);
            let hello =
                Reply::Hello { protocol, nonce, os, arch, verbs, uname, uptime_ms, is_init };
            framed(seq, hello)
        }
        _ => panic!("it said that it knows nothing else"),
    });
    session.greet(SOON).await.expect("answers");
    for error in [
        session.sync().await.expect_err("not known"),
        session.kernel_log().await.expect_err("of another system"),
    ] {
        assert!(matches!(error, SessionError::NoVerb { .. }), "{error}");
        assert!(error.to_string().contains("Windows on 32-bit x86"), "{error}");
    }
}

#[tokio::test]
async fn a_failure_keeps_whose_number_it_is() {
    let session = session(|seq, request| {
        let (domain, code) = match request {
            Request::Sync => (Domain::Win32, 2),
            Request::Clock => (Domain::NtStatus, 0xC000_0034_u32.cast_signed()),
            _ => (Domain::Probe, Refusal::Timeout.code()),
        };
        framed(seq, Reply::Failed { domain, code, call: "call" })
    });
    let error = session.sync().await.expect_err("refused");
    assert_eq!(error.errno(), None, "2 is not ENOENT here");
    assert!(error.to_string().contains("Win32 error 2"), "{error}");
    let error = session.clock().await.expect_err("refused");
    assert!(error.to_string().contains("NTSTATUS 0xc0000034"), "{error}");
    let error = session.random(1).await.expect_err("refused");
    assert_eq!(error.refusal(), Some(Refusal::Timeout));
}

#[tokio::test]
async fn an_answer_with_another_nonce_is_not_taken() {
    let session = session(|seq, _| hello(seq, 1, PROTOCOL));
    let error = session.greet(SOON).await.expect_err("somebody else's");
    assert!(matches!(error, SessionError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a_file_is_read_whole_and_within_its_bound() {
    let file: Vec<u8> = (0..10_000).map(|n| n as u8).collect();
    let served = file.clone();
    let session = session(move |seq, request| match *request {
        Request::ReadFile { offset, max, .. } => {
            let rest = &served[served.len().min(offset as usize)..];
            framed(seq, Reply::Data { data: &rest[..rest.len().min(max as usize)] })
        }
        _ => Vec::new(),
    });
    assert_eq!(session.read_file("/f", 10_000).await.expect("reads"), file);
    let error = session.read_file("/f", 9_999).await.expect_err("longer");
    assert!(matches!(error, SessionError::TooLarge { most: 9_999, .. }), "{error}");
}

#[tokio::test]
async fn an_endless_file_of_a_hostile_guest_ends_at_the_bound() {
    let session = session(|seq, _| framed(seq, Reply::Data { data: &[7; MAX_DATA] }));
    let error = session.read_file("/f", 100_000).await.expect_err("endless");
    assert!(matches!(error, SessionError::TooLarge { .. }), "{error}");
    let error = session.kernel_log().await.expect_err("endless");
    assert!(matches!(error, SessionError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn an_endless_folder_of_a_hostile_guest_ends_at_the_bound() {
    let session =
        session(|seq, _| framed(seq, Reply::Data { data: &[b"a\0".repeat(2048)].concat() }));
    let error = session.list("/d").await.expect_err("endless");
    assert!(matches!(error, SessionError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_long_write_goes_in_pieces_and_truncates_once() {
    use std::sync::{Arc, Mutex};

    let file = Arc::new(Mutex::new(Vec::new()));
    let guest = Arc::clone(&file);
    let session = session(move |seq, request| match *request {
        Request::WriteFile { offset, data, flags, .. } => {
            let mut file = guest.lock().expect("no panic");
            if flags.truncate {
                file.clear();
            }
            // A short write, as a full pipe gives.
            let data = &data[..data.len().min(3000)];
            file.resize(offset as usize, 0);
            file.extend_from_slice(data);
            framed(seq, Reply::Count { count: data.len() as u64 })
        }
        _ => Vec::new(),
    });
    let data: Vec<u8> = (0..9_001_u32).map(|n| n as u8).collect();
    let flags = hospitium_wire::Flags { create: true, truncate: true, ..Default::default() };
    session.write_file("/f", &data, flags).await.expect("writes");
    assert_eq!(*file.lock().expect("no panic"), data);
}

#[tokio::test]
async fn the_guests_refusal_names_call_and_errno() {
    let session = session(|seq, _| framed(seq, failed(2, "open\u{1b}[m")));
    let error = session.read_text("/gone").await.expect_err("refused");
    assert_eq!(error.errno(), Some(2));
    let text = error.to_string();
    assert!(
        text.contains("/gone") && text.contains("ENOENT") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[tokio::test]
async fn silence_and_broken_frames_are_told_apart() {
    let silent = session(|_, _| Vec::new()).with_limit(SHORT);
    let error = silent.clock().await.expect_err("silence");
    assert!(matches!(error, SessionError::NoAnswer { .. }), "{error}");
    let broken = session(|_, _| b"\x05junk\0".to_vec()).with_limit(SHORT);
    let error = broken.sync().await.expect_err("broken");
    assert!(matches!(error, SessionError::Broken { frames: 1, .. }), "{error}");
}

#[tokio::test]
async fn only_a_request_that_changes_nothing_is_sent_again_after_a_broken_frame() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let session = session(move |seq, request| {
        let good = match request {
            Request::ReadLink { .. } => framed(seq, Reply::Data { data: b"target" }),
            _ => framed(seq, Reply::Done),
        };
        match counter.fetch_add(1, Ordering::SeqCst) {
            0 => good.iter().map(|b| if *b == 0 { 0 } else { b ^ 0x10 }).collect(),
            _ => good,
        }
    })
    .with_limit(SHORT);
    assert_eq!(session.read_link("/l").await.expect("the second time"), "target");
    asked.store(0, Ordering::SeqCst);
    let error = session.make_dir("/d").await.expect_err("not again");
    assert!(matches!(error, SessionError::Broken { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_flood_is_cut_off_with_or_without_frames() {
    for flood in [vec![b'A'; 4096], framed(0, Reply::Done)] {
        let (ours, mut guest) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move { while guest.write_all(&flood).await.is_ok() {} });
        let session = Session::attach(Box::new(ours), None);
        let error = session.clock().await.expect_err("a flood");
        assert!(matches!(error, SessionError::Flood { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_that_of_the_next_question() {
    let mut late = None;
    let session = session(move |seq, request| match request {
        Request::Sync => {
            late = Some(framed(seq, Reply::Done));
            Vec::new()
        }
        _ => {
            let mut both = late.take().unwrap_or_default();
            both.extend(framed(seq, Reply::Data { data: b"right" }));
            both
        }
    });
    assert!(session.with_limit(SHORT).sync().await.is_err());
    assert_eq!(session.read_link("/l").await.expect("answers"), "right");
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_and_a_closed_channel_are_errors() {
    let session = session(|seq, _| framed(seq, Reply::Done));
    let error = session.clock().await.expect_err("wrong kind");
    assert!(matches!(error, SessionError::Unexpected { got: "done", .. }), "{error}");
    let (ours, guest) = tokio::io::duplex(64);
    drop(guest);
    let error = Session::attach(Box::new(ours), None).clock().await.expect_err("closed");
    assert!(matches!(error, SessionError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_path_that_does_not_fit_is_not_sent() {
    let session = session(|_, _| panic!("nothing must be sent"));
    let error = session.read_link(&"x".repeat(5000)).await.expect_err("too long");
    assert!(matches!(error, SessionError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn a_patch_alters_what_the_caller_sees() {
    let session = session(|seq, _| framed(seq, Reply::Data { data: b"true" }));
    session.set_patch(Some(Box::new(|request, reply| {
        if matches!(request, Request::ReadLink { .. }) {
            *reply = OwnedReply::Data(b"false".to_vec());
        }
    })));
    assert_eq!(session.read_link("/l").await.expect("answers"), "false");
    assert_eq!(session.random(4).await.expect("answers"), b"true");
    session.set_patch(None);
    assert_eq!(session.read_link("/l").await.expect("answers"), "true");
}

#[tokio::test]
async fn the_timeline_gets_words_and_no_data() {
    use std::sync::{Arc, Mutex};

    let (ours, guest) = tokio::io::duplex(1 << 16);
    let answer = |seq, _: &Request<'_>| framed(seq, Reply::Data { data: b"secret" });
    tokio::spawn(serve(guest, Box::new(answer)));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let trace = Trace::new(move |_, line| sink.lock().expect("no panic").push(line.to_owned()));
    let session = Session::attach(Box::new(ours), Some(trace));
    session.read_text("/proc/\u{1b}x").await.expect("answers");
    let lines = lines.lock().expect("no panic");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("reading /proc/\\x1bx: data after "), "{lines:?}");
    assert!(!lines[0].contains("secret"));
}

#[tokio::test]
async fn input_events_are_read_from_their_bytes() {
    let session = session(|seq, _| {
        framed(seq, Reply::Input { events: &[1, 0, 30, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9] })
    });
    let events = session.input_read(0, SHORT).await.expect("answers");
    assert_eq!(events.len(), 2, "a half event is left out");
    assert_eq!((events[0].kind, events[0].code, events[0].value), (1, 30, 1));
}

/// A guest with this table of drivers, of whose modules `core` is loaded already.
fn with_drivers(seq: u32, request: &Request<'_>) -> Vec<u8> {
    match *request {
        Request::ReadFile { path: crate::DRIVER_TABLE, offset: 0, .. } => framed(
            seq,
            Reply::Data {
                data: b"rng\nnvme /m/nvme-core.ko /m/nvme.ko\nflux /m/flux.ko\nnet /m/net.ko\n",
            },
        ),
        Request::ReadFile { path: crate::CONFIG, offset: 0, .. } => {
            framed(seq, Reply::Data { data: b"channel /dev/ttyS1\ndriver flux\ndriver nvme\n" })
        }
        Request::ReadFile { path: "/proc/modules", offset: 0, .. } => {
            framed(seq, Reply::Data { data: b"nvme_core 155648 0 - Live 0x0\n" })
        }
        Request::Linux(LinuxRequest::LoadModule { path: "/m/nvme.ko", .. }) => {
            framed(seq, Reply::Done)
        }
        Request::Linux(LinuxRequest::LoadModule { path: "/m/flux.ko", .. }) => {
            framed(seq, failed(19, "init_module"))
        }
        _ => framed(seq, failed(22, "?")),
    }
}

#[tokio::test]
async fn drivers_are_loaded_by_the_guests_own_table() {
    let session = session(with_drivers);
    let loaded = session.load_driver("nvme").await.expect("loads only what is not loaded");
    assert_eq!(loaded, DriverLoad::Loaded(2));
    assert_eq!(session.load_driver("rng").await.expect("built in"), DriverLoad::Loaded(0));
    assert_eq!(session.load_driver("nvm").await.expect("no error"), DriverLoad::Absent);
    session.load_driver("net").await.expect_err("its module does not load");
}

#[tokio::test]
async fn a_driver_that_does_not_load_does_not_keep_a_guest_from_being_entered() {
    let session = session(with_drivers);
    session.load_boot_drivers().await.expect("nvme is loaded, flux is left to its checks");
}
