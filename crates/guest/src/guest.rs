//! What every kind of guest can do: say what it is, get ready to boot, let the probe answer.

mod error;
mod restarts;
mod screen;
mod signs;
mod trouble;

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hospitium_host::Machine;
use hospitium_model::{Answer, GuestFacts, InputPin, MachineSpec};
use hospitium_system::text::short;
use hospitium_system::{Console, Platform, Session, SessionError, Trace};

use self::error::LAST;
pub use self::error::{GuestError, Seen};
use self::trouble::{Kind, Sign};

/// Something bootable made ready for validation.
#[async_trait]
pub trait Guest: Send + Sync {
    /// What it is.
    fn facts(&self) -> &GuestFacts;

    /// Everything of it that goes into a machine, by digest.
    fn inputs(&self) -> Vec<InputPin>;

    /// Can the guest drive this device? The names are those of `guests/linux-modules.toml`.
    /// A guest that manages its devices itself is taken at its word: yes.
    fn driver(&self, device: &str) -> Answer {
        let _ = device;
        Answer::Yes
    }

    /// Puts the boot media into a machine; files that must be made for it go to `folder`, which
    /// lives as long as the machine. The guest itself is never written to.
    fn prepare(&self, folder: &Path, spec: MachineSpec) -> Result<MachineSpec, GuestError>;

    /// Gets in: waits, at most `limit`, until the probe has answered in a machine that runs.
    async fn enter(
        &self,
        machine: &dyn Machine,
        console: &Console,
        trace: Option<Trace>,
        limit: Duration,
    ) -> Result<Session, GuestError>;

    /// Does what there is to do so that the probe comes back after a restart of the guest, whose
    /// next boot is on the console from line `from` on. It ends with an error, or never: race it
    /// against the probe's answer. Where the probe starts at every boot, there is nothing to do.
    async fn come_back(&self, console: &Console, from: u64, limit: Duration) -> GuestError {
        let _ = (console, from, limit);
        std::future::pending().await
    }
}

/// Takes the machine's `probe` channel and waits, at most `limit`, for the first answer of a probe for one of
/// these platforms, racing everything that can go wrong before it. For all guests whose probe starts by itself,
/// and for the others once they have started it.
pub async fn await_probe(
    machine: &dyn Machine,
    console: &Console,
    trace: Option<Trace>,
    platforms: &[Platform],
    limit: Duration,
) -> Result<Session, GuestError> {
    let stream = machine.serial("probe").await?;
    let session = Session::attach(stream, trace);
    raced(machine, console, session.greet_as(platforms, limit)).await?;
    Ok(session)
}

/// What is asked of the probe before the guest counts as entered, raced against everything that can go
/// wrong meanwhile: a hang becomes an error that names its cause.
pub async fn raced<T>(
    machine: &dyn Machine,
    console: &Console,
    asked: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, GuestError> {
    let begun = Instant::now();
    let failed = tokio::select! {
        biased;
        answer = asked => match answer {
            Ok(answer) => return Ok(answer),
            Err(SessionError::NoAnswer { .. }) => GuestError::NoProbe {
                waited: begun.elapsed(),
                silent: console.silent_for(),
                last: console.last_lines(LAST),
            },
            Err(SessionError::Closed { .. }) => match ended_soon(machine).await {
                Some(how) => GuestError::Ended {
                    waited: begun.elapsed(),
                    how,
                    last: console.last_lines(LAST),
                },
                None => GuestError::ChannelClosed { last: console.last_lines(LAST) },
            },
            // Who answers what it is asked with too much else may be a firmware or a boot loader.
            Err(flood @ SessionError::Flood { .. }) => match signs::on_console(console) {
                Some(ending) => ending.into_error(begun, console),
                None => flood.into(),
            },
            Err(other) => other.into(),
        },
        error = ends_badly(machine, console, begun) => error,
        ending = signs::until_one(machine, console) => ending.into_error(begun, console),
        ended = machine.ended() => GuestError::Ended {
            waited: begun.elapsed(),
            how: short(&ended.to_string(), 400),
            last: console.last_lines(LAST),
        },
    };
    Err(failed)
}

/// When a channel closes, the machine's end is a moment away.
async fn ended_soon(machine: &dyn Machine) -> Option<String> {
    let ended = tokio::time::timeout(Duration::from_secs(5), machine.ended()).await.ok()?;
    Some(short(&ended.to_string(), 400))
}

/// Ends with what went wrong, if anything does that the console or the machine's events show.
async fn ends_badly(machine: &dyn Machine, console: &Console, begun: Instant) -> GuestError {
    let panicked = |line: &str| line.contains("Kernel panic - not syncing");
    tokio::select! {
        () = until_flooded(console) => GuestError::Flooded {
            waited: begun.elapsed(),
            bytes: console.total(),
            last: console.last_lines(LAST),
        },
        (n, line) = until_line(console, panicked) => {
            // The rest of the panic is what a person needs to see.
            let rest = Duration::from_secs(3);
            let _ = console.wait_line("", n + 1, rest, |l| l.contains("end Kernel panic")).await;
            // The line had perhaps not come whole when it was noticed.
            let whole = console.lines_since(n).into_iter().find(|(number, _)| *number == n);
            let panic = short(whole.as_ref().map_or(&line, |(_, line)| line), 300);
            let last = console.last_lines(LAST);
            match trouble::recognise(&panic) {
                Some(&Sign { kind: Kind::NoRoot, means, .. }) => {
                    GuestError::NeedsInitrd { said: panic, place: Seen::Console, means, last }
                }
                _ => GuestError::Panicked { waited: begun.elapsed(), panic, last },
            }
        }
        count = restarts::too_many(machine) => GuestError::Rebooting {
            waited: begun.elapsed(),
            count,
            last: console.last_lines(LAST),
        },
    }
}

async fn until_flooded(console: &Console) {
    let mut seen = 0;
    while !console.flooded() {
        if console.changed(seen).await.is_err() {
            std::future::pending::<()>().await;
        }
        seen = console.total();
    }
}

async fn until_line(console: &Console, wanted: impl Fn(&str) -> bool) -> (u64, String) {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    match console.wait_line("", 0, YEAR, wanted).await {
        Ok(found) => found,
        Err(_) => std::future::pending().await,
    }
}
