//! What there is to see of a machine whose guest does not do what is waited for: its console, its display, its vCPUs,
//! the CPU time that it uses.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hospitium_host::{EventKind, HostError, Machine, Screenshot, VcpuState};
use hospitium_model::{chain, span};

use crate::text::{short, visible};
use crate::{Console, LastLines};

/// How long the machine is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long its VMM is waited for with each question. One that hangs answers none.
const ANSWER: Duration = Duration::from_secs(10);
/// Lines of the console that are shown.
const LINES: usize = 40;
/// Events of the machine that are shown.
const EVENTS: usize = 12;

/// What was seen in about a second. As text it is meant for people, several lines long, and begins with `; `, so
/// that it can follow an error.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// How the machine ended, if it has.
    ended: Option<String>,
    /// CPU time that the VMM used in so long a time.
    used: Option<(Duration, Duration)>,
    /// Each vCPU at first, and after that time.
    vcpus: Result<Vec<(VcpuState, Option<VcpuState>)>, String>,
    /// What the display shows, and as text where it is in a text mode.
    display: Result<Screenshot, String>,
    text: Option<Vec<String>>,
    /// Where the picture has been saved.
    picture: Option<PathBuf>,
    /// The machine's last events, each with how long ago it was.
    events: Vec<(Duration, String)>,
    /// How long the console has been silent, and its last lines.
    console: Option<(Duration, LastLines)>,
}

/// Looks at a machine for a second. It is not disturbed by that.
pub async fn diagnose(machine: &dyn Machine, console: &Console) -> Diagnosis {
    let events = machine.events();
    let ended = events.iter().find_map(|event| match &event.kind {
        EventKind::Died(how) => Some(short(&how.to_string(), 400)),
        _ => None,
    });
    let from = events.len().saturating_sub(EVENTS);
    let shown = events[from..].iter().map(|event| (event.at.elapsed(), told(&event.kind)));
    let before = in_time(machine.inspect()).await;
    let used = used_in(machine, LOOK).await;
    let after = in_time(machine.inspect()).await.unwrap_or_default();
    let text = after.text.map(|rows| rows.iter().map(|row| visible(row.as_bytes())).collect());
    Diagnosis {
        ended,
        used: used.map(|used| (used, LOOK)),
        vcpus: before.map(|before| pairs(&before.vcpus, &after.vcpus)),
        display: match machine.display() {
            Ok(display) => in_time(display.screenshot()).await,
            Err(why) => Err(why.to_string()),
        },
        text,
        picture: None,
        events: shown.collect(),
        console: Some((console.silent_for(), console.last_lines(LINES))),
    }
}

/// CPU time that the machine uses from now on.
async fn used_in(machine: &dyn Machine, time: Duration) -> Option<Duration> {
    let used = async || {
        let used = machine.confinement().ok()?.cpu_use().await.ok()?;
        Some(used.time.ok()?.value)
    };
    let before = used().await;
    tokio::time::sleep(time).await;
    used().await?.checked_sub(before?)
}

fn told(kind: &EventKind) -> String {
    short(&format!("{kind:?}"), 200)
}

async fn in_time<T>(asked: impl Future<Output = Result<T, HostError>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(answer) => answer.map_err(|error| short(&chain(&error), 300)),
        Err(_) => Err(format!("the VMM did not answer within {}", span(ANSWER))),
    }
}

fn pairs(before: &[VcpuState], after: &[VcpuState]) -> Vec<(VcpuState, Option<VcpuState>)> {
    before.iter().enumerate().map(|(n, vcpu)| (vcpu.clone(), after.get(n).cloned())).collect()
}

/// Whether a guest that does not answer hangs in a wait or computes, by what its machine used in some time.
fn activity(used: Duration, time: Duration) -> String {
    let share = used.as_secs_f64() / time.as_secs_f64();
    let what = match share {
        ..0.1 => "so the guest waits for something",
        0.5.. => "so the guest computes: it loops, or is not done yet",
        _ => "so the guest does little",
    };
    format!("after that its machine used {:.0} % of a CPU, {what}", 100.0 * share)
}

impl Diagnosis {
    /// In one line, what the machine does: none where nothing is known of it.
    pub fn activity(&self) -> Option<String> {
        self.used.map(|(used, time)| activity(used, time))
    }

    /// The same for an error that shows the console's last lines itself.
    #[must_use]
    pub fn without_console(self) -> Self {
        Self { console: None, ..self }
    }

    /// What the display shows, if that could be had.
    pub fn display(&self) -> Option<&Screenshot> {
        self.display.as_ref().ok()
    }

    /// Saves the picture of the display as `NAME.png` in this folder, so that the text names it. An error takes the picture's
    /// place in the text.
    pub fn save_picture(&mut self, folder: &Path, name: &str) {
        let Ok(display) = &self.display else {
            return;
        };
        let path = folder.join(format!("{name}.png"));
        let written = display.png().map_err(|error| chain(&error)).and_then(|png| {
            let made = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, png));
            made.map_err(|error| format!("writing {}: {error}", path.display()))
        });
        match written {
            Ok(()) => self.picture = Some(path),
            Err(why) => self.display = Err(why),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(how) = &self.ended {
            write!(f, "; the machine has ended: {how}")?;
        }
        if let Some(activity) = self.activity() {
            write!(f, "; {activity}")?;
        }
        match &self.vcpus {
            Ok(vcpus) => {
                for (n, (before, after)) in vcpus.iter().enumerate() {
                    write!(f, "\n  vCPU {n} {}", doing(before))?;
                    match after {
                        Some(after) if after == before => {
                            write!(f, ", {} later the same", span(LOOK))?
                        }
                        Some(after) => write!(f, ", {} later {}", span(LOOK), doing(after))?,
                        None => {}
                    }
                }
            }
            Err(why) => write!(f, "\n  vCPUs: {why}")?,
        }
        for (ago, event) in &self.events {
            write!(f, "\n  event {} ago: {event}", span(*ago))?;
        }
        match (&self.display, &self.picture) {
            (Err(why), _) => write!(f, "\n  display: {why}")?,
            (Ok(_), Some(path)) => write!(f, "\n  display: {}", path.display())?,
            (Ok(shot), None) => {
                let colours = shot.colours();
                write!(f, "\n  display: {} × {}, {colours} colours", shot.width, shot.height)?;
            }
        }
        for row in self.text.iter().flatten() {
            write!(f, "\n  > {row}")?;
        }
        match &self.console {
            Some((silent, last)) => write!(f, "\n  console: silent for {}{last}", span(*silent)),
            None => Ok(()),
        }
    }
}

fn doing(vcpu: &VcpuState) -> String {
    let VcpuState { instruction, ring, halted } = vcpu;
    let halted = if *halted { "halted " } else { "" };
    format!("{halted}at {instruction:#x} (ring {ring})")
}

/// An error of a wait, with what the machine did. `Debug` shows the text, so that `expect` does.
pub struct Undone {
    error: String,
    diagnosis: Diagnosis,
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.error, self.diagnosis)
    }
}

impl fmt::Debug for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Undone {}

/// For tests: what came of a wait for a machine. If it is an error, the machine is looked at, and the error shows
/// all that was seen. The picture of the display is saved in the system's folder for temporary files.
///
/// # Errors
/// The wait's own error, with the diagnosis.
pub async fn diagnosed<T, E: Error>(
    result: Result<T, E>,
    machine: &dyn Machine,
    console: &Console,
) -> Result<T, Undone> {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let error = match result {
        Ok(done) => return Ok(done),
        Err(error) => chain(&error),
    };
    let mut diagnosis = diagnose(machine, console).await;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{}-{count}", machine.name(), std::process::id());
    diagnosis.save_picture(&std::env::temp_dir().join("hospitium-screens"), &name);
    Err(Undone { error, diagnosis })
}

#[cfg(test)]
mod tests {
    use hospitium_host::Inspection;

    use super::*;

    #[test]
    fn a_guest_that_waits_is_told_from_one_that_computes() {
        let said = |ms| activity(Duration::from_millis(ms), Duration::from_secs(1));
        assert_eq!(
            said(20),
            "after that its machine used 2 % of a CPU, so the guest waits for something"
        );
        assert!(said(300).ends_with("30 % of a CPU, so the guest does little"), "{}", said(300));
        assert!(said(1_900).contains("190 % of a CPU, so the guest computes"), "{}", said(1_900));
    }

    fn vcpu(instruction: u64, halted: bool) -> VcpuState {
        VcpuState { instruction, ring: 0, halted }
    }

    #[test]
    fn the_text_shows_console_display_vcpus_and_cpu_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut diagnosis = Diagnosis {
            ended: None,
            used: Some((Duration::from_millis(990), LOOK)),
            vcpus: Ok(pairs(
                &[vcpu(0xfff0, true), vcpu(0x1000, false)],
                &[vcpu(0xfff0, true), vcpu(0x1002, false)],
            )),
            display: Ok(Screenshot { width: 1, height: 1, rgb: vec![0; 3] }),
            text: Some(vec!["No bootable device.".into()]),
            picture: None,
            events: vec![(Duration::from_secs(100), told(&EventKind::Reset { by_guest: true }))],
            console: Some((
                Duration::from_secs(90),
                LastLines(vec!["reboot: Restarting system".into()]),
            )),
        };
        diagnosis.save_picture(folder.path(), "boot-1");
        let picture = folder.path().join("boot-1.png");
        assert!(picture.is_file());
        let expected = format!(
            "; after that its machine used 99 % of a CPU, so the guest computes: it loops, or is not done yet\n  \
             vCPU 0 halted at 0xfff0 (ring 0), 1 s later the same\n  \
             vCPU 1 at 0x1000 (ring 0), 1 s later at 0x1002 (ring 0)\n  \
             event 100 s ago: Reset {{ by_guest: true }}\n  \
             display: {}\n  > No bootable device.\n  \
             console: silent for 90 s; the console's last lines:\n  | reboot: Restarting system",
            picture.display()
        );
        assert_eq!(diagnosis.to_string(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vmm_that_answers_nothing_is_told_and_not_waited_for() {
        let never = in_time(std::future::pending::<Result<Inspection, HostError>>()).await;
        assert_eq!(never, Err("the VMM did not answer within 10 s".into()));
    }
}
