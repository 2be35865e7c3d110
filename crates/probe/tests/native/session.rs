//! A probe as an ordinary process on a pseudo-terminal, and a conversation with it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hospitium_wire::{Decoder, Domain, Envelope, MAX_FRAME, Refusal, Reply, Request, encode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use sha2::{Digest as _, Sha256};

/// The probe that is tried: as this build made it, or the file that `HOSPITIUM_TEST_PROBE` names, such as
/// one for 32-bit x86.
fn probe() -> PathBuf {
    let given = std::env::var_os("HOSPITIUM_TEST_PROBE");
    given.map_or_else(|| env!("CARGO_BIN_EXE_hospitium-probe").into(), PathBuf::from)
}

/// A running probe; killed when dropped.
pub struct Session {
    child: Child,
    line: File,
    decoder: Decoder,
    seq: u32,
    message: Vec<u8>,
}

impl Session {
    /// The probe as this build made it.
    pub fn start() -> Self {
        Self::of(&probe(), &[])
    }

    /// The same, in the background: returns after the first process has ended well.
    pub fn daemon() -> Self {
        let mut session = Self::of(&probe(), &["--daemon"]);
        assert!(session.child.wait().expect("the first process").success());
        session
    }

    /// A probe of another build, or with other arguments.
    pub fn of(program: &Path, arguments: &[&str]) -> Self {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&line).expect("a pseudo-terminal of ours");
        unlockpt(&line).expect("an unlocked pseudo-terminal");
        let path = ptsname(&line, Vec::new()).expect("its name").into_string().expect("in ASCII");
        let mut child = Command::new(program)
            .args(arguments)
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the probe");
        let mut ready = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("standard output"));
        output.read_line(&mut ready).expect("a first line");
        assert_eq!(ready, "hospitium-probe: ready\n");
        let line = File::from(line);
        Self { child, line, decoder: Decoder::new(), seq: 0, message: Vec::new() }
    }

    /// The probe's number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends bytes that may be no frame.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).expect("a line to write to");
    }

    /// Sends a request under a number and does not wait.
    pub fn post(&mut self, seq: u32, body: Request<'_>) {
        let mut frame = [0; MAX_FRAME];
        let frame = encode(&Envelope { seq, body }, &mut frame).expect("a request that fits");
        self.line.write_all(frame).expect("a line to write to");
    }

    /// The next answer, or `None` if there is none within the limit or the probe has gone.
    pub fn next(&mut self, limit: Duration) -> Option<Envelope<Reply<'_>>> {
        let end = Instant::now() + limit;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            let left = Timespec::try_from(left).expect("a short time");
            let mut files = [PollFd::new(&self.line, PollFlags::IN)];
            if poll(&mut files, Some(&left)).expect("poll") == 0 {
                return None;
            }
            let mut byte = [0];
            // Hung up: the probe has gone.
            if rustix::io::read(&self.line, &mut byte) != Ok(1) {
                return None;
            }
            if let Some(frame) = self.decoder.push(byte[0]) {
                self.message = frame.expect("a sound frame").to_vec();
                break;
            }
        }
        Some(Decoder::message(&self.message).expect("a reply"))
    }

    /// Asks and waits for the answer under the same number.
    pub fn ask(&mut self, body: Request<'_>) -> Reply<'_> {
        self.seq += 1;
        let seq = self.seq;
        self.post(seq, body);
        let answer = self.next(Duration::from_secs(60)).expect("an answer");
        assert_eq!(answer.seq, seq);
        answer.body
    }

    /// Asks for data.
    pub fn data(&mut self, body: Request<'_>) -> Vec<u8> {
        match self.ask(body) {
            Reply::Data { data } => data.to_vec(),
            other => panic!("no data but {other:?}"),
        }
    }

    /// Asks for a digest.
    pub fn digest(&mut self, body: Request<'_>) -> ([u8; 32], u64) {
        match self.ask(body) {
            Reply::Digest { sha256, length, .. } => (sha256, length),
            other => panic!("no digest but {other:?}"),
        }
    }

    /// Asks for what fails, and returns the errno.
    pub fn failure(&mut self, body: Request<'_>) -> i32 {
        match self.ask(body) {
            Reply::Failed { domain: Domain::Errno, code, .. } => code,
            other => panic!("no failure of the system but {other:?}"),
        }
    }

    /// Asks for what the probe itself refuses, and returns why.
    pub fn refusal(&mut self, body: Request<'_>) -> Refusal {
        match self.ask(body) {
            Reply::Failed { domain: Domain::Probe, code, .. } => {
                Refusal::of(code).expect("a known one")
            }
            other => panic!("no refusal but {other:?}"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The pattern by another hand: SplitMix64 as a running state.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
