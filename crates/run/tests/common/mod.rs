//! What the end-to-end tests share: a kernel guest, the installed QEMU, a folder.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hospitium_host::{Isolation, Reaper, Reapers};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions, QemuReaper};
use hospitium_run::{Observer, PlannedGuest, PlannedHost, RunEvent, RunPlan, Selection};
use hospitium_suite::StandardOptions;

/// A Debian kernel package. Set-up fetches some; without one there is nothing to test, and that
/// is a failure.
pub fn kernel() -> PathBuf {
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS");
    let named = named.and_then(|all| std::env::split_paths(&all).next());
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = variable("HOSPITIUM_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|c| c.join("hospitium")))
        .or_else(|| variable("HOME").map(|h| h.join(".cache/hospitium")))
        .unwrap_or_default();
    let fetched = || {
        let items = std::fs::read_dir(cache.join("debs")).ok()?;
        let mut paths: Vec<_> = items.flatten().map(|item| item.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "deb"));
        paths.sort();
        paths.into_iter().next()
    };
    named.or_else(fetched).unwrap_or_else(|| {
        panic!("no kernel package is here to test with; fetch some: cargo xtask setup")
    })
}

/// A folder for a test, with the cache in it.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// A plan of these checks on the installed QEMU under emulation.
    pub async fn plan(&self, out: &str, checks: &[&str]) -> RunPlan {
        self.plan_on(out, checks, Isolation::Fork).await
    }

    /// The same on a QEMU that says that it can do no more than this.
    pub async fn plan_on(&self, out: &str, checks: &[&str], isolation: Isolation) -> RunPlan {
        let cache = self.cache();
        std::fs::create_dir_all(&cache).expect("made");
        let options = QemuOptions {
            accelerator: AcceleratorChoice::Tcg,
            cache: Some(cache.join("hosts")),
            isolation,
            ..QemuOptions::new("qemu-system-x86_64")
        };
        let host = Qemu::open(options).await.expect("the installed QEMU can be used");
        let guest =
            hospitium_guest::open(&kernel(), &cache.join("guests")).expect("a kernel guest");
        let guest = PlannedGuest {
            guest: Arc::from(guest),
            options: StandardOptions::default(),
            origin: kernel().to_string_lossy().into_owned(),
            boot_limit: None,
        };
        let host = PlannedHost { host: Arc::new(host), origin: "qemu".into() };
        let mut plan = RunPlan::new(vec![guest], vec![host], self.out(out), cache).expect("a plan");
        plan.reapers = Reapers::from([Box::new(QemuReaper) as Box<dyn Reaper>]);
        let only = checks.iter().map(|check| (*check).to_owned()).collect();
        plan.selecting(&Selection { only, without: vec![] }).expect("known checks")
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Keeps all events, and prints them for whoever reads a failure.
#[derive(Default)]
pub struct Events(Mutex<Vec<RunEvent>>);

impl Observer for Events {
    fn tell(&self, event: &RunEvent) {
        eprintln!("{}", serde_json::to_string(event).unwrap_or_default());
        self.0.lock().expect("whole").push(event.clone());
    }
}

impl Events {
    pub fn any(&self, wanted: impl Fn(&RunEvent) -> bool) -> bool {
        self.0.lock().expect("whole").iter().any(wanted)
    }
}

/// Processes whose working folder lies in this one: machines that run.
pub fn machines_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().expect("there");
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let pids = processes.filter_map(|item| item.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd"));
        cwd.is_ok_and(|cwd| cwd.starts_with(&folder)) && *pid != std::process::id()
    })
    .collect()
}
