//! A QMP client: commands with ids, descriptors passed along, events into the history.
//!
//! The VMM may be taken over by its guest, so its lines are bounded and a line that is no QMP
//! ends the connection.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

use crate::process::{Process, wait_ended};
use hospitium_host::History;
use hospitium_host::{Ended, EventKind, HostError};
use hospitium_model::escaped;
use hospitium_qmp::translate;

/// A line longer than this is no QMP. The longest real one, the schema, has about 300 KiB.
const LONGEST_LINE: usize = 1 << 20;
/// A command that takes longer is taken for lost. Those that wait for the guest return at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How exactly QEMU tells the time of an event: in microseconds.
const TIMESTAMP: Duration = Duration::from_micros(1);

/// Between the end of the connection and that of the process.
const GRACE: Duration = Duration::from_secs(3);

type Answer = Result<Value, String>;

/// The connection to a VMM.
pub(crate) struct Qmp {
    stream: Arc<UnixStream>,
    writing: tokio::sync::Mutex<()>,
    pending: Arc<Mutex<Pending>>,
    next: AtomicU64,
    ended: watch::Receiver<Option<Ended>>,
}

#[derive(Default)]
struct Pending {
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    closed: Option<String>,
}

/// A line from the VMM.
#[derive(Debug, PartialEq)]
enum Line {
    Greeting,
    Answer { id: u64, answer: Answer },
    Event { name: String, data: Value, at: Option<SystemTime> },
}

/// A QMP event's time; none of nonsense, and of a negative one, by which QEMU says that it has no clock.
fn time_of(stamp: &Value) -> Option<SystemTime> {
    let part = |name: &str| stamp.get(name).and_then(Value::as_u64);
    let (seconds, micros) = (part("seconds")?, part("microseconds")?);
    let since = Duration::from_secs(seconds).checked_add(Duration::from_micros(micros))?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let wrong =
        || format!("the VMM sent what is no QMP: {}", escaped(&String::from_utf8_lossy(line), 80));
    let mut value: Value = serde_json::from_slice(line).map_err(|_| wrong())?;
    let object = value.as_object_mut().ok_or_else(wrong)?;
    if object.contains_key("QMP") {
        return Ok(Line::Greeting);
    }
    if let Some(Value::String(name)) = object.remove("event") {
        let at = object.get("timestamp").and_then(time_of);
        return Ok(Line::Event { name, data: object.remove("data").unwrap_or_default(), at });
    }
    let answer = match (object.remove("return"), object.remove("error")) {
        (Some(value), None) => Ok(value),
        (None, Some(error)) => {
            let words = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
            Err(escaped(words, 500))
        }
        _ => return Err(wrong()),
    };
    match object.get("id").and_then(Value::as_u64) {
        Some(id) => Ok(Line::Answer { id, answer }),
        // An error without an id answers a line that it could not parse.
        None => Err(answer.err().unwrap_or_else(wrong)),
    }
}

/// Reads lines until the stream ends or is no QMP; returns why.
async fn read_lines(stream: &UnixStream, mut each: impl FnMut(Line)) -> String {
    let mut kept: Vec<u8> = Vec::new();
    loop {
        if let Err(error) = stream.readable().await {
            return error.to_string();
        }
        let searched = kept.len();
        let mut buffer = [0; 16 << 10];
        match stream.try_read(&mut buffer) {
            Ok(0) => return "the VMM closed its control connection".into(),
            Ok(n) => kept.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return error.to_string(),
        }
        let mut start = 0;
        let mut search = searched;
        while let Some(at) = kept[search..].iter().position(|&b| b == b'\n').map(|at| search + at) {
            let line = kept[start..at].trim_ascii();
            if !line.is_empty() {
                match parse(line) {
                    Ok(line) => each(line),
                    Err(why) => return why,
                }
            }
            start = at + 1;
            search = start;
        }
        kept.drain(..start);
        if kept.len() > LONGEST_LINE {
            return format!("the VMM sent a line of more than {LONGEST_LINE} bytes");
        }
    }
}

impl Qmp {
    /// Takes over our end of the control connection and negotiates.
    pub(crate) async fn new(
        stream: UnixStream,
        history: Arc<History>,
        process: &Process,
    ) -> Result<Self, HostError> {
        let ended = process.watch();
        let prospect = process.prospect().clone();
        prospect.reading(true);
        let killer = process.killer();
        let stream = Arc::new(stream);
        let pending = Arc::new(Mutex::new(Pending::default()));
        tokio::spawn({
            let (stream, pending, ended) = (stream.clone(), pending.clone(), ended.clone());
            async move {
                let why = read_lines(&stream, |line| match line {
                    Line::Greeting => {}
                    Line::Answer { id, answer } => {
                        let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
                        // An id that nobody waits for belongs to a call that timed out.
                        if let Some(waiter) = pending.calls.remove(&id) {
                            let _ = waiter.send(answer);
                        }
                    }
                    Line::Event { name, data, at } => {
                        let Some(kind) = translate(&name, &data) else { return };
                        if matches!(kind, EventKind::PoweredOff { .. }) {
                            prospect.add(Ended::PoweredOff);
                        }
                        let at = at.unwrap_or_else(SystemTime::now);
                        history.push_at(at, TIMESTAMP, kind);
                    }
                })
                .await;
                prospect.reading(false);
                {
                    let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.closed = Some(why.clone());
                    pending.calls.clear();
                }
                // A VMM that ends closes the connection a moment before; one that does not end is
                // of no use any more.
                let ending = tokio::time::timeout(GRACE, wait_ended(ended.clone())).await;
                if ending.is_err() {
                    prospect.add(Ended::Lost { why });
                    killer();
                }
                history.push(EventKind::Died(wait_ended(ended).await));
            }
        });
        let writing = tokio::sync::Mutex::new(());
        let qmp = Self { stream, writing, pending, next: AtomicU64::new(1), ended };
        qmp.call("greeting the VMM", "qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs a command. `doing` says what for, in errors.
    pub(crate) async fn call(
        &self,
        doing: &str,
        command: &str,
        arguments: Value,
    ) -> Result<Value, HostError> {
        self.call_with(doing, command, arguments, None).await
    }

    /// Runs a command that takes a descriptor along (`getfd`, `add-fd`).
    pub(crate) async fn call_with(
        &self,
        doing: &str,
        command: &str,
        arguments: Value,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<Value, HostError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (waiter, answer) = oneshot::channel();
        let closed = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            if pending.closed.is_none() {
                pending.calls.insert(id, waiter);
            }
            pending.closed.clone()
        };
        if let Some(why) = closed {
            return Err(self.ended(doing, why).await);
        }
        // QEMU reads its monitor byte by byte, at several system calls each, so lines are kept short.
        let mut message = json!({"execute": command, "id": id});
        if arguments.as_object().is_some_and(|arguments| !arguments.is_empty()) {
            message["arguments"] = arguments;
        }
        let mut line = message.to_string();
        line.push('\n');
        let exchange = async {
            let _one = self.writing.lock().await;
            let sent = self.send(line.as_bytes(), fd).await;
            drop(_one);
            match sent {
                Ok(()) => answer.await.map_err(|_| "the control connection closed".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(why))) => Err(HostError::Refused { doing: doing.to_owned(), why }),
            Ok(Err(why)) => Err(self.ended(doing, why).await),
            Err(_) => {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                pending.calls.remove(&id);
                let what = format!("the VMM's answer to {command} while {doing}");
                Err(HostError::TimedOut { what, limit: PATIENCE })
            }
        }
    }

    /// The connection is gone: the cause is how the process ended, if it did.
    async fn ended(&self, doing: &str, why: String) -> HostError {
        let ended = wait_ended(self.ended.clone());
        let ended = match tokio::time::timeout(Duration::from_secs(5), ended).await {
            Ok(ended) => ended,
            Err(_) => Ended::Lost { why },
        };
        HostError::Ended { doing: doing.to_owned(), ended }
    }

    async fn send(&self, mut bytes: &[u8], mut fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.stream.async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut along = SendAncillaryBuffer::new(&mut space);
                let fds: Vec<BorrowedFd> = fd.iter().copied().collect();
                if !fds.is_empty() {
                    along.push(SendAncillaryMessage::ScmRights(&fds));
                }
                let parts = [io::IoSlice::new(bytes)];
                Ok(sendmsg(self.stream.as_fd(), &parts, &mut along, SendFlags::NOSIGNAL)?)
            });
            bytes = &bytes[n.await?..];
            fd = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn fed(bytes: &[u8]) -> (String, Vec<Line>) {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        let bytes = bytes.to_vec();
        let feed = tokio::spawn(async move {
            let _ = theirs.write_all(&bytes).await;
        });
        let mut lines = Vec::new();
        let why = read_lines(&ours, |line| lines.push(line)).await;
        drop(ours);
        let _ = feed.await;
        (why, lines)
    }

    #[tokio::test]
    async fn lines_are_read_however_they_are_cut() {
        let (why, lines) = fed(
            b"{\"QMP\": {}}\r\n{\"return\": {}, \"id\": 4}\r\n{\"event\":\"STOP\",\"data\":{}}\n",
        )
        .await;
        assert!(why.contains("closed"));
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], Line::Answer { id: 4, answer: Ok(json!({})) });
    }

    #[tokio::test]
    async fn a_line_without_end_or_that_is_no_qmp_ends_the_connection() {
        let (why, lines) = fed(&vec![b'['; 3 << 20]).await;
        assert!(why.contains("more than"), "{why}");
        assert!(lines.is_empty());
        for bad in [
            "\x1b[2J\n",
            "[]\n",
            "{\"id\":1}\n",
            "{\"return\":{},\"error\":{},\"id\":1}\n",
            "{\"return\":1}\n",
            "{\"return\":1,\"id\":-1}\n",
        ] {
            let (why, lines) = fed(bad.as_bytes()).await;
            assert!(why.contains("no QMP") && !why.contains('\x1b'), "{bad:?}: {why}");
            assert!(lines.is_empty());
        }
        let deep = "[".repeat(100_000) + "\n";
        assert!(fed(deep.as_bytes()).await.0.contains("no QMP"));
    }

    #[test]
    fn a_refusal_is_escaped() {
        let told = parse(b"{\"error\": {\"class\": \"X\", \"desc\": \"a\\u001b[0m\"}, \"id\": 3}");
        assert_eq!(told, Ok(Line::Answer { id: 3, answer: Err("a\\x1b[0m".into()) }));
    }

    /// A process that answers nothing, and the other end of its control connection.
    async fn mute() -> (Process, UnixStream, UnixStream, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = crate::process::Launch {
            argv: ["/bin/sleep", "600"].map(Into::into).to_vec(),
            environment: Vec::new(),
            folder: folder.path().to_owned(),
            inherited: Vec::new(),
            confinement: crate::process::Confinement { user: None, group: None, namespaces: false },
        };
        let process = launch.start(&folder.path().join("log")).await.expect("started");
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        (process, ours, theirs, folder)
    }

    /// Reads a line, and answers it as done.
    async fn answer(vmm: &mut tokio::io::BufReader<UnixStream>) {
        use tokio::io::AsyncBufReadExt as _;

        let mut line = String::new();
        vmm.read_line(&mut line).await.expect("a question");
        let id = serde_json::from_str::<Value>(&line).expect("JSON")["id"].clone();
        let answer = json!({"return": {}, "id": id}).to_string() + "\n";
        vmm.get_mut().write_all(answer.as_bytes()).await.expect("answered");
    }

    #[tokio::test]
    async fn a_control_connection_that_closes_ends_all_that_waits_with_that_reason_and_the_machine()
    {
        let (process, ours, theirs, _folder) = mute().await;
        let history = Arc::new(History::new());
        let mut vmm = tokio::io::BufReader::new(theirs);
        let (qmp, ()) = tokio::join!(Qmp::new(ours, history.clone(), &process), answer(&mut vmm));
        let qmp = qmp.expect("greeted");
        let event = history.wait(0, "a reset", Duration::from_secs(60), &|kind| {
            matches!(kind, EventKind::Reset { .. })
        });
        let close = async {
            use tokio::io::AsyncBufReadExt as _;

            // In the middle: the question has come, and half of an answer has gone.
            vmm.read_line(&mut String::new()).await.expect("a question");
            vmm.get_mut().write_all(b"{\"return\": {\"status\": \"run").await.expect("sent");
            drop(vmm);
        };
        let asked = qmp.call("asking for the state", "query-status", json!({}));
        let (asked, waited, ()) = tokio::join!(asked, event, close);
        let lost = |error: &HostError| {
            let HostError::Ended { ended: Ended::Lost { why }, .. } = error else { return false };
            why.contains("closed its control connection")
        };
        let asked = asked.expect_err("no answer came");
        assert!(lost(&asked), "{asked}");
        assert!(asked.to_string().contains("asking for the state"), "{asked}");
        let waited = waited.expect_err("no event came");
        assert!(waited.to_string().contains("closed its control connection"), "{waited}");
        let later = qmp.call("asking again", "query-status", json!({})).await;
        assert!(later.as_ref().is_err_and(lost), "{later:?}");
        assert!(
            matches!(process.ended().await, Ended::Lost { .. }),
            "a machine out of reach is ended"
        );
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_waited_for_no_longer_than_its_limit() {
        let (process, ours, theirs, _folder) = mute().await;
        let mut vmm = tokio::io::BufReader::new(theirs);
        let qmp = Qmp::new(ours, Arc::new(History::new()), &process);
        let (qmp, ()) = tokio::join!(qmp, answer(&mut vmm));
        let qmp = qmp.expect("greeted");
        tokio::time::pause();
        let told = qmp.call("asking", "query-status", json!({})).await;
        let told = told.expect_err("none came").to_string();
        assert!(told.contains("the VMM's answer to query-status while asking"), "{told}");
    }
}
