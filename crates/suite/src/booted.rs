//! The boot of a guest's machine, and what was seen of it.

use std::time::{Duration, Instant};

use hospitium_guest::{Guest, GuestError};
use hospitium_host::{Event, EventKind, Host, HostError, Machine, PowerVerb, WorkDir};
use hospitium_model::{Inability, MachineSpec, TimelineSource};
use hospitium_system::{Console, Diagnosis, Session, SessionError, diagnose};
use serde::{Deserialize, Serialize};

use crate::hand_over::hand_over;
use crate::patience::cpu_wait;
use crate::sink::forward_events;
use crate::{CheckError, Sink};
use hospitium_model::chain;

/// What was seen while the machine booted. Kept with the snapshot, so that a run that needs no boot
/// still has its evidence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BootFacts {
    /// From start to the probe's first answer, in milliseconds.
    pub ready_ms: f64,
    /// What of that its VMM wanted a CPU and got none, in milliseconds.
    #[serde(default)]
    pub cpu_wait_ms: f64,
    /// Saving the snapshot, in milliseconds.
    pub snapshot_ms: f64,
    /// The console, lines escaped.
    pub console: Vec<String>,
    /// The console, raw, bounded.
    #[serde(default)]
    pub console_raw: Vec<u8>,
    /// Resets before the probe answered.
    pub resets: u32,
    /// Events that should not be in a boot: crash, power-off, disk error, watchdog.
    pub bad_events: Vec<String>,
    /// Uptime that the guest told at its first answer, in milliseconds.
    pub uptime_ms: u64,
    /// The wall clocks at the first answer; none in what an earlier version wrote.
    #[serde(default)]
    pub clocks: Option<BootClocks>,
    /// Kernel name, release, version and machine, as the guest told.
    pub uname: Vec<String>,
    /// The command by which the VMM was started.
    pub command: Vec<String>,
}

/// The wall clocks of guest and host at one moment, in milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootClocks {
    /// The guest's.
    pub guest_ms: f64,
    /// The host's.
    pub host_ms: f64,
    /// How exactly they were read at one moment: half of the round trip.
    pub uncertain_ms: f64,
    /// By how many seconds somebody set the host's while the machine booted, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<f64>,
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest could not be entered.
    #[error("{}{seen}", chain(.error))]
    NotEntered {
        /// Why not, with the console's last lines.
        error: GuestError,
        /// What the machine did then.
        seen: Box<Diagnosis>,
    },
    /// The probe.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The host cannot do what a lab needs.
    #[error(transparent)]
    Unable(#[from] Inability),
}

impl From<LabError> for CheckError {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Host(error) => error.into(),
            LabError::Guest(error) | LabError::NotEntered { error, .. } => Self::Guest(error),
            LabError::Session(error) => Self::Session(error),
            LabError::Unable(why) => Self::Unable(why),
        }
    }
}

/// A machine that has booted, before it is saved.
pub struct Booted {
    /// The machine.
    pub machine: Box<dyn Machine>,
    /// The probe in it.
    pub session: Session,
    /// Its console.
    pub console: Console,
    /// What was seen.
    pub facts: BootFacts,
}

/// Boots `spec` with the guest's media and waits for the probe. `dir` must exist.
pub async fn boot(
    host: &dyn Host,
    guest: &dyn Guest,
    spec: &MachineSpec,
    dir: &WorkDir,
    limit: Duration,
    sink: &Sink,
) -> Result<Booted, LabError> {
    let say = |text: &str| sink.say(&dir.name, TimelineSource::Harness, text);
    let prepared = hand_over(host, guest.prepare(&dir.folder, spec.clone())?).await?;
    let machine = host.define(&prepared, dir).await?;
    let trace = sink.trace(&dir.name);
    let console = Console::start(machine.serial("console").await?, Some(trace.clone()));
    let (begun, clock) = (Instant::now(), host.clock().await?);
    machine.power(PowerVerb::On).await?;
    say("started");
    let session = match guest.enter(&*machine, &console, Some(trace), limit).await {
        Ok(session) => session,
        Err(error) => {
            let seen = diagnose(&*machine, &console).await.without_console();
            return Err(LabError::NotEntered { error, seen: Box::new(seen) });
        }
    };
    let hello = session.greet(limit).await?;
    let ready_ms = begun.elapsed().as_secs_f64() * 1e3;
    let cpu_wait_ms = cpu_wait(&*machine).await.as_secs_f64() * 1e3;
    say("the probe answers");
    let set_by = host.clock().await?.set_since(&clock);
    let clocks = Some(BootClocks { set_by, ..wall_clocks(host, &session).await? });
    let events = machine.events();
    forward_events(sink, &dir.name, &events);
    let bad = |event: &&Event| {
        matches!(
            event.kind,
            EventKind::Crashed
                | EventKind::PoweredOff { .. }
                | EventKind::DiskError { .. }
                | EventKind::Watchdog { .. }
        )
    };
    let facts = BootFacts {
        ready_ms,
        cpu_wait_ms,
        snapshot_ms: 0.0,
        console: console.lines_since(0).into_iter().map(|(_, line)| line).collect(),
        console_raw: console.raw(),
        resets: events.iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count() as u32,
        bad_events: events.iter().filter(bad).map(|e| format!("{:?}", e.kind)).collect(),
        uptime_ms: hello.uptime.as_millis() as u64,
        clocks,
        uname: hello.uname.iter().map(|word| word.escape_default().to_string()).collect(),
        command: machine.command(),
    };
    Ok(Booted { machine, session, console, facts })
}

/// The wall clocks of guest and host, the best of three readings.
async fn wall_clocks(host: &dyn Host, session: &Session) -> Result<BootClocks, LabError> {
    let mut best: Option<BootClocks> = None;
    for _ in 0..3 {
        let before = host.clock().await?;
        let guest_ms = session.clock().await?.realtime_ns as f64 / 1e6;
        let round_trip = host.clock().await?.monotonic.saturating_sub(before.monotonic);
        let uncertain_ms = round_trip.as_secs_f64() * 1e3 / 2.0;
        if best.is_none_or(|best| uncertain_ms < best.uncertain_ms) {
            let host_ms = before.unix_ns() as f64 / 1e6 + uncertain_ms;
            best = Some(BootClocks { guest_ms, host_ms, uncertain_ms, set_by: None });
        }
    }
    best.ok_or_else(|| HostError::io("reading the clocks")(std::io::ErrorKind::Other.into()).into())
}
