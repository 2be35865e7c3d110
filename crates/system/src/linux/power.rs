//! Power, life and death of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::Kernel;
use hospitium_model::{GuestKind, Inability};
use hospitium_wire::{PowerAction, errno};

use super::{LinuxSystem, read};
use crate::ask::{Button, LogLine, LogPosition, Power, SystemName};
use crate::{Done, SessionError, SystemError, Told};

const OS_RELEASE: &str = "/etc/os-release";
/// What there was before os-release(5).
const OLD_RELEASES: [&str; 4] =
    ["/etc/redhat-release", "/etc/SuSE-release", "/etc/alpine-release", "/etc/debian_version"];
const RUNLEVEL: &str = "/sbin/runlevel";
/// Who knows how the system's start went: systemd, OpenRC, sysvinit and upstart.
const INITS: [(&str, &[&str]); 3] = [
    ("/bin/systemctl", &["is-system-running", "--wait"]),
    ("/bin/rc-status", &["--runlevel"]),
    (RUNLEVEL, &[]),
];

impl LinuxSystem {
    async fn full_name(&self) -> Done<String> {
        if self.kind == GuestKind::Kernel {
            return read::text(&self.session, "/proc/sys/kernel/osrelease").await;
        }
        if let Some(text) = read::text_if_there(&self.session, OS_RELEASE).await? {
            return Ok(release_field(&text, "PRETTY_NAME").unwrap_or_default());
        }
        for path in OLD_RELEASES {
            if let Some(text) = read::text_if_there(&self.session, path).await? {
                return Ok(text.lines().next().unwrap_or_default().trim().to_owned());
            }
        }
        Err(Inability::of_guest("this system does not say in a file what it is").into())
    }

    async fn has_program(&self, path: &str) -> Done<bool> {
        match self.session.read_at(path, 0, 1).await {
            Ok(_) => Ok(true),
            Err(SessionError::Guest { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

#[async_trait]
impl Power for LinuxSystem {
    async fn boot_id(&self) -> Told<String> {
        Ok(Kernel.saw(read::text(&self.session, "/proc/sys/kernel/random/boot_id").await?))
    }

    async fn answers(&self, limit: Duration) -> Done {
        self.session.greet(limit).await?;
        Ok(())
    }

    async fn state(&self, limit: Duration) -> Told<String> {
        if self.kind == GuestKind::Kernel {
            let stat = read::text(&self.session, "/proc/1/stat").await?;
            let name = process_name(&stat).ok_or_else(|| SystemError::unreadable("init", &stat))?;
            return Ok(Kernel.saw(name.to_owned()));
        }
        for (program, arguments) in INITS {
            if !self.has_program(program).await? {
                continue;
            }
            let words: Vec<&str> = [program].into_iter().chain(arguments.iter().copied()).collect();
            let ended = self.session.run(&words, limit).await?;
            let told = String::from_utf8_lossy(&ended.output).trim().to_owned();
            // `N 3`: the runlevel before, and the one that it is in.
            return Ok(Kernel.saw(match program {
                RUNLEVEL => format!("runlevel {}", told.rsplit(' ').next().unwrap_or_default()),
                _ => told,
            }));
        }
        Err(Inability::of_guest("this system has no init that says how its start went").into())
    }

    async fn uptime(&self) -> Told<Duration> {
        Ok(Kernel.saw(self.session.greet(Duration::from_secs(20)).await?.uptime))
    }

    async fn version(&self) -> Told<String> {
        if self.kind == GuestKind::Kernel {
            return Ok(Kernel.saw(read::text(&self.session, "/proc/sys/kernel/osrelease").await?));
        }
        if let Some(text) = read::text_if_there(&self.session, OS_RELEASE).await? {
            return Ok(Kernel.saw(release_field(&text, "VERSION_ID").unwrap_or_default()));
        }
        for path in OLD_RELEASES {
            if let Some(text) = read::text_if_there(&self.session, path).await? {
                let version = version_in(&text);
                return Ok(Kernel
                    .saw(version.ok_or_else(|| SystemError::unreadable(path, &text))?.to_owned()));
            }
        }
        Err(Inability::of_guest("this system does not say in a file which version it is").into())
    }

    async fn name(&self) -> Told<SystemName> {
        // The kernel's first line, and systemd's.
        let (before, behind) = match self.kind {
            GuestKind::Kernel => ("Linux version ", " "),
            GuestKind::Disk => ("Welcome to ", "!"),
        };
        let name = self.full_name().await?;
        Ok(Kernel.saw(SystemName { name, before: before.into(), behind: behind.into() }))
    }

    async fn act(&self, action: PowerAction) -> Done {
        Ok(self.session.power(action).await?)
    }

    async fn obey_power_button(&self) -> Told<Button> {
        if self.kind == GuestKind::Disk {
            return Ok(Kernel.saw(Button::ByItself));
        }
        for name in read::names(&self.session, "/sys/class/input").await? {
            if !name.starts_with("event") {
                continue;
            }
            let file = format!("/sys/class/input/{name}/device/name");
            if read::text(&self.session, &file).await?.contains("Power Button") {
                self.session.obey_power_button(&format!("/dev/input/{name}")).await?;
                return Ok(Kernel.saw(Button::Probe("power button pressed")));
            }
        }
        Ok(Kernel.saw(Button::None))
    }

    fn shutdown_marks(&self) -> &'static [&'static str] {
        match self.kind {
            GuestKind::Kernel => &["reboot: Power down", "Power down", "System halted"],
            // What systemd says of what it stops.
            GuestKind::Disk => &["Stopp", "Reached target", "Power down"],
        }
    }

    fn panic_mark(&self) -> &'static str {
        "Kernel panic"
    }

    async fn arm_watchdog(&self, seconds: u32) -> Told<u64> {
        // Each has a node of its own since Linux 3.5; the first is at the old name as before.
        let first = self.session.watchdog_arm("/dev/watchdog0", seconds).await;
        let armed = match first {
            Err(SessionError::Guest { code: errno::ENOENT, .. }) => {
                self.session.watchdog_arm("/dev/watchdog", seconds).await?
            }
            other => other?,
        };
        Ok(Kernel.saw(armed))
    }

    async fn log(&self) -> Told<Vec<LogLine>> {
        let log = self.session.kernel_log().await?;
        Ok(Kernel.saw(String::from_utf8_lossy(&log).lines().map(line).collect()))
    }

    async fn log_since(&self, position: &LogPosition) -> Told<(Vec<LogLine>, LogPosition)> {
        let before = position.before.as_slice();
        let start = position.at.saturating_sub(u32::try_from(before.len()).unwrap_or(u32::MAX));
        let part = self.session.kernel_log_from(start).await?;
        let follows = part.text.strip_prefix(before);
        let mut new = follows.unwrap_or_default().to_vec();
        let now = if follows.is_some() && !part.moved {
            position_behind(start, &part.text)
        } else {
            // It is not where it was. What cannot be placed counts as new.
            let known = if follows.is_some() { last(&part.text) } else { before };
            let whole = self.session.kernel_log().await?;
            new.extend_from_slice(behind(&whole, known));
            position_behind(0, &whole)
        };
        let lines = String::from_utf8_lossy(&new).lines().map(line).collect();
        Ok(Kernel.saw((lines, now)))
    }
}

/// So many bytes before a position tell whether a log still stands where it stood: a line with its time is shorter.
const MARK: usize = 128;

/// The bytes by which the end of a text is found again.
fn last(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(MARK)..]
}

/// The position at the end of a text that begins at this byte of the log.
fn position_behind(start: u32, text: &[u8]) -> LogPosition {
    let at = start.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
    LogPosition { at, before: last(text).to_vec() }
}

/// What follows the first place with these bytes; everything where they are not, or none are known.
fn behind<'a>(text: &'a [u8], known: &[u8]) -> &'a [u8] {
    if known.is_empty() {
        return text;
    }
    let place = text.windows(known.len()).position(|there| there == known);
    place.map_or(text, |at| &text[at + known.len()..])
}

/// The name in `/proc/PID/stat`, which stands in brackets and may have some itself (proc_pid_stat(5)).
fn process_name(stat: &str) -> Option<&str> {
    let (_, rest) = stat.split_once('(')?;
    rest.rsplit_once(')').map(|(name, _)| name)
}

/// A field of os-release(5).
fn release_field(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// The version in a line such as `Red Hat Enterprise Linux Server release 5.2 (Tikanga)`.
fn version_in(text: &str) -> Option<&str> {
    text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// A line as `klogctl` gives it: `<6>[    0.000000] text`.
fn line(text: &str) -> LogLine {
    let leveled = text.strip_prefix('<').and_then(|rest| {
        let (level, text) = rest.split_once('>')?;
        // The facility is in the bits above the severity.
        Some((u8::try_from(level.parse::<u32>().ok()? & 7).ok()?, text))
    });
    match leveled {
        Some((level, text)) => LogLine { level: Some(level), text: text.to_owned() },
        None => LogLine { level: None, text: text.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_told_by_its_release_files_old_and_new() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nID=debian\n";
        assert_eq!(release_field(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(release_field(text, "ID").as_deref(), Some("debian"));
        assert_eq!(release_field(text, "VERSION"), None);
        let old = "Red Hat Enterprise Linux Server release 5.2 (Tikanga)";
        assert_eq!(version_in(old), Some("5.2"));
        assert_eq!(version_in("bookworm/sid"), None);
    }

    #[test]
    fn the_console_names_the_system_as_it_starts() {
        let named = |before: &str, behind: &str, line: &'static str| {
            let (name, before, behind) = (String::new(), before.into(), behind.into());
            SystemName { name, before, behind }.in_line(line)
        };
        let kernel = "[    0.000000] Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org)";
        assert_eq!(named("Linux version ", " ", kernel), Some("6.1.0-57-amd64"));
        let disk = "Welcome to Debian GNU/Linux 12 (bookworm)!";
        assert_eq!(named("Welcome to ", "!", disk), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(named("Welcome to ", "!", "Welcome to the machine"), None);
    }

    #[test]
    fn the_name_of_a_process_may_have_brackets() {
        assert_eq!(process_name("1 (init) S 0 1"), Some("init"));
        assert_eq!(process_name("1 (a) b) S 0 1"), Some("a) b"));
        assert_eq!(process_name("1"), None);
    }

    #[test]
    fn severities_are_read_from_the_log_as_the_kernel_gives_it() {
        assert_eq!(line("<3>[    1.5] BUG: x").level, Some(3));
        assert_eq!(line("<30>daemon").level, Some(6));
        assert_eq!(line("<x>no").level, None);
        assert_eq!(line("plain").text, "plain");
    }
}
