//! Power, life and death of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestKind;
use hospitium_model::GuestSource::Kernel;
use hospitium_wire::PowerAction;

use super::{LinuxSystem, read};
use crate::ask::{Button, LogLine, Power};
use crate::{Done, Told};

#[async_trait]
impl Power for LinuxSystem {
    async fn boot_id(&self) -> Told<String> {
        Ok(Kernel.saw(read::text(&self.session, "/proc/sys/kernel/random/boot_id").await?))
    }

    async fn state(&self, limit: Duration) -> Told<String> {
        if self.kind == GuestKind::Kernel {
            return Ok(Kernel.saw(read::text(&self.session, "/proc/1/comm").await?));
        }
        let run = ["/bin/systemctl", "is-system-running", "--wait"];
        let ended = self.session.run(&run, limit).await?;
        Ok(Kernel.saw(String::from_utf8_lossy(&ended.output).trim().to_owned()))
    }

    async fn uptime(&self) -> Told<Duration> {
        Ok(Kernel.saw(self.session.greet(Duration::from_secs(20)).await?.uptime))
    }

    async fn version(&self) -> Told<String> {
        if self.kind == GuestKind::Kernel {
            return Ok(Kernel.saw(read::text(&self.session, "/proc/sys/kernel/osrelease").await?));
        }
        let text = read::text(&self.session, "/etc/os-release").await?;
        let version = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="));
        Ok(Kernel.saw(version.unwrap_or_default().trim_matches('"').to_owned()))
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
        Ok(Kernel.saw(self.session.watchdog_arm("/dev/watchdog0", seconds).await?))
    }

    async fn log(&self) -> Told<Vec<LogLine>> {
        let log = self.session.kernel_log().await?;
        Ok(Kernel.saw(String::from_utf8_lossy(&log).lines().map(line).collect()))
    }

    async fn log_since(&self, position: u32) -> Told<(Vec<LogLine>, u32)> {
        // The byte before tells a log that ends here from one that has begun anew and is shorter.
        let before = position.saturating_sub(1);
        let mut log = self.session.kernel_log_from(before).await?;
        let mut end = before;
        if position > 0 {
            if log.is_empty() {
                log = self.session.kernel_log().await?;
                end = 0;
            } else {
                log.remove(0);
                end = position;
            }
        }
        let end = end.saturating_add(u32::try_from(log.len()).unwrap_or(u32::MAX));
        let lines = String::from_utf8_lossy(&log).lines().map(line).collect();
        Ok(Kernel.saw((lines, end)))
    }
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
    use super::line;

    #[test]
    fn severities_are_read_from_the_log_as_the_kernel_gives_it() {
        assert_eq!(line("<3>[    1.5] BUG: x").level, Some(3));
        assert_eq!(line("<30>daemon").level, Some(6));
        assert_eq!(line("<x>no").level, None);
        assert_eq!(line("plain").text, "plain");
    }
}
