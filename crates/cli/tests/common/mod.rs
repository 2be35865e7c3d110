//! What the end-to-end tests of the program share: a place, the program, its events.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// The longest that anything in a test takes: a boot on a machine that does other things too.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A Debian kernel package. Set-up fetches some; without one there is nothing to test, and that
/// is a failure.
pub fn kernel() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    if let Some(all) = variable("HOSPITIUM_TEST_KERNELS")
        && let Some(first) = std::env::split_paths(&all).next()
    {
        return first;
    }
    let cache = variable("HOSPITIUM_CACHE")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_CACHE_HOME").map(|c| PathBuf::from(c).join("hospitium")))
        .or_else(|| variable("HOME").map(|h| PathBuf::from(h).join(".cache/hospitium")))
        .unwrap_or_default();
    let items = std::fs::read_dir(cache.join("debs")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = items.map(|item| item.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "deb"));
    paths.sort();
    paths.into_iter().next().unwrap_or_else(|| {
        panic!("no kernel package is here to test with; fetch some: cargo xtask setup")
    })
}

/// A folder with a cache whose booted machines are shared by all tests, so that one boot serves all.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        std::fs::create_dir(&cache).expect("made");
        for name in ["snapshots", "guests", "hosts"] {
            let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            std::fs::create_dir_all(&shared).expect("made");
            if name == "snapshots" {
                forget_old(&shared);
            }
            std::os::unix::fs::symlink(shared, cache.join(name)).expect("linked");
        }
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program with this place's cache.
    pub fn hospitium(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hospitium"));
        command.env("HOSPITIUM_CACHE", self.path("cache")).current_dir(self.0.path());
        // What is remembered of logs is each place's own.
        command.env("XDG_STATE_HOME", self.path("state"));
        // No configuration of the person who tests.
        command.env("XDG_CONFIG_HOME", self.path("config")).env_remove("HOSPITIUM_PARTY");
        command.stdin(Stdio::null());
        command
    }

    /// The arguments of a run of these checks on the kernel guest.
    pub fn run_arguments(&self, out: &str, checks: &[&str]) -> Vec<String> {
        let mut all: Vec<String> =
            ["run", "--json", "--accelerator", "tcg"].map(str::to_owned).into();
        all.push(kernel().to_string_lossy().into_owned());
        all.extend(["--out".to_owned(), self.path(out).to_string_lossy().into_owned()]);
        all.extend(checks.iter().flat_map(|check| ["--check".to_owned(), (*check).to_owned()]));
        all
    }

    /// A run that goes on.
    pub fn start(&self, out: &str, checks: &[&str]) -> Running {
        let mut command = self.hospitium();
        command.args(self.run_arguments(out, checks));
        Running::of(command)
    }

    /// Processes of machines of this place.
    pub fn machines(&self) -> Vec<(u32, PathBuf)> {
        let top = self.0.path().canonicalize().expect("there");
        let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
        processes
            .filter_map(|item| {
                let pid = item.file_name().to_str()?.parse().ok()?;
                let cwd = std::fs::read_link(item.path().join("cwd")).ok()?;
                cwd.starts_with(&top).then_some((pid, cwd))
            })
            .filter(|(_, cwd)| *cwd != top)
            .collect()
    }

    /// Waits until no machine of this place runs.
    pub fn wait_no_machines(&self) {
        let begun = std::time::Instant::now();
        while !self.machines().is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{:?} are left running",
                self.machines()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes booted machines that are nearly too old to certify anything.
fn forget_old(snapshots: &Path) {
    const OLD: Duration = Duration::from_secs(5 * 24 * 3_600);
    for item in std::fs::read_dir(snapshots).expect("there").flatten() {
        let booted = std::fs::metadata(item.path().join("entry.json")).and_then(|m| m.modified());
        if booted.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD)) {
            // Another test may have removed it.
            let _ = std::fs::remove_dir_all(item.path());
        }
    }
}

/// A run that goes on, and its events.
pub struct Running {
    child: Child,
    events: mpsc::Receiver<Value>,
    pub seen: Vec<Value>,
}

impl Running {
    pub fn of(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let stdout = child.stdout.take().expect("piped");
        let (tell, events) = mpsc::channel();
        std::thread::spawn(move || forward(stdout, &tell));
        Self { child, events, seen: Vec::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.events.recv_timeout(LIMIT) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(_) => {
                    let _ = self.child.kill();
                    let errors = self.errors();
                    panic!("{what} did not come; last: {:?}; {errors}", self.seen.last());
                }
            }
        }
    }

    /// Waits until a check has begun.
    pub fn wait_check(&mut self, id: &str) {
        self.wait(id, |event| event["event"] == "check-started" && event["id"] == id);
    }

    /// Waits for the end; the exit code.
    pub fn end(mut self) -> (Option<i32>, Vec<Value>, String) {
        while let Ok(event) = self.events.recv_timeout(LIMIT) {
            self.seen.push(event);
        }
        let status = self.child.wait().expect("ends");
        let errors = self.errors();
        (status.code(), self.seen, errors)
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

fn forward(stdout: ChildStdout, tell: &mpsc::Sender<Value>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
        if tell.send(event).is_err() {
            return;
        }
    }
}

/// Sends a signal, by its name.
pub fn signal(name: &str, pid: u32) {
    let status =
        Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -s {name} {pid}");
}

/// The end of a check among events: its verdict and reason.
pub fn ended<'a>(events: &'a [Value], id: &str) -> Option<(&'a str, &'a str)> {
    let event = events.iter().rfind(|e| e["event"] == "check-ended" && e["id"] == id)?;
    Some((event["verdict"].as_str()?, event["reason"].as_str().unwrap_or_default()))
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs it with these arguments: it ends with this code and says these words.
pub fn says(place: &Place, code: i32, arguments: &[&str], words: &[&str]) -> String {
    let output = place.hospitium().args(arguments).output().expect("runs");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
    }
    said
}

impl Running {
    /// Waits until the probe answers in a check's clone.
    pub fn wait_answers(&self, place: &Place, out: &str, check: &str) {
        let begun = std::time::Instant::now();
        let cells = place.path(out).join("evidence/cells");
        let answers = || {
            let mut cells = std::fs::read_dir(&cells).ok()?.flatten();
            let text = std::fs::read_to_string(cells.next()?.path().join("timeline.jsonl")).ok()?;
            let machine = format!("\"machine\":\"{check}\"");
            text.lines()
                .any(|line| line.contains(&machine) && line.contains("the clone answers"))
                .then_some(())
        };
        while answers().is_none() {
            assert!(begun.elapsed() < LIMIT, "the clone of {check} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the machine of a check's clone: its process id.
    pub fn wait_machine(&self, place: &Place, check: &str) -> u32 {
        let begun = std::time::Instant::now();
        loop {
            let machines = place.machines();
            let of_check = machines.iter().find(|(_, cwd)| cwd.iter().any(|part| part == check));
            if let Some((pid, _)) = of_check {
                return *pid;
            }
            assert!(begun.elapsed() < LIMIT, "no machine of {check}; there are {machines:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
