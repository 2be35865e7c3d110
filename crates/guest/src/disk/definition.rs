//! A disk guest as a file: what it is, on what it runs, and how one gets in. Quirks are data here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_model::{Bus, ByteSize, Digest, Firmware, OperatingSystem};
use serde::{Deserialize, Serialize};

use super::DiskError;

/// `guests/<name>.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Name for people and matrices; the image's file name if there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// Family.
    #[serde(default = "linux")]
    pub os: OperatingSystem,
    /// Product id from osinfo-db.
    #[serde(default)]
    pub product: Option<String>,
    /// Version of the distribution.
    #[serde(default)]
    pub version: Option<String>,
    /// The image; relative to the definition's folder.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Or the name of a recipe that builds it: `cargo xtask setup`.
    #[serde(default)]
    pub builder: Option<String>,
    /// What the image must be.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// `raw` for a raw image without a boot signature; other formats are found out.
    #[serde(default)]
    pub format: Option<String>,
    /// Firmware that it boots with.
    #[serde(default = "both")]
    pub firmware: Vec<Firmware>,
    /// Buses that its system disk may be on, best first.
    #[serde(default = "usual_buses")]
    pub buses: Vec<Bus>,
    /// The least memory that it starts with.
    #[serde(default)]
    pub memory: Option<ByteSize>,
    /// How one gets in, tried in this order.
    #[serde(default = "both_ways")]
    pub ways: Vec<Way>,
    /// Seconds that cloud-init has from the login prompt on, before logging in is tried instead.
    #[serde(default = "cloud_init_seconds")]
    pub cloud_init_seconds: u64,
    /// How to log in on the serial console.
    #[serde(default)]
    pub login: Option<Login>,
}

/// A way into a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// cloud-init runs what the seed drive (NoCloud) says.
    CloudInit,
    /// As a person would, at the prompt on the serial console.
    SerialLogin,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Login {
    /// User.
    pub user: String,
    /// Password; empty where none is asked for.
    #[serde(default)]
    pub password: String,
    /// Put before the command that starts the probe, for a user who is not root.
    #[serde(default)]
    pub become_root: String,
    /// The steps up to the shell; those of a Unix login if none are given.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Seconds that each step may take after the first, which waits for the boot.
    #[serde(default = "step_seconds")]
    pub step_seconds: u64,
}

/// One step: wait for a text, then write a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A part of a console line.
    pub wait: String,
    /// What is typed then; `{user}` and `{password}` stand for these. Enter is added.
    pub write: String,
}

const fn linux() -> OperatingSystem {
    OperatingSystem::Linux
}

fn both() -> Vec<Firmware> {
    vec![Firmware::Bios, Firmware::Uefi]
}

fn usual_buses() -> Vec<Bus> {
    vec![Bus::Virtio, Bus::Sata, Bus::VirtioScsi, Bus::Nvme, Bus::Ide]
}

fn both_ways() -> Vec<Way> {
    vec![Way::CloudInit, Way::SerialLogin]
}

const fn cloud_init_seconds() -> u64 {
    120
}

const fn step_seconds() -> u64 {
    30
}

impl Default for Definition {
    fn default() -> Self {
        Self {
            name: None,
            os: linux(),
            product: None,
            version: None,
            image: None,
            builder: None,
            sha256: None,
            format: None,
            firmware: both(),
            buses: usual_buses(),
            memory: None,
            ways: both_ways(),
            cloud_init_seconds: cloud_init_seconds(),
            login: None,
        }
    }
}

impl Definition {
    /// Reads a definition file.
    pub fn read(path: &Path) -> Result<Self, DiskError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DiskError::DefinitionUnreadable { path: path.to_owned(), source })?;
        let definition: Self = toml::from_str(&text).map_err(|source| {
            DiskError::DefinitionForm { path: path.to_owned(), source: Box::new(source) }
        })?;
        let senseless = |why: &str| {
            Err(DiskError::DefinitionSense { path: path.to_owned(), why: why.to_owned() })
        };
        if definition.ways.is_empty() {
            return senseless("no way in; ways = [\"cloud-init\", \"serial-login\"]");
        }
        if definition.firmware.is_empty() || definition.buses.is_empty() {
            return senseless(
                "no firmware or no bus that it boots with; leave the line out for the usual ones",
            );
        }
        if definition.ways == [Way::SerialLogin] && definition.login.is_none() {
            return senseless("serial-login without a [login] table with user and password");
        }
        Ok(definition)
    }

    /// True if this way in is open.
    pub fn has(&self, way: Way) -> bool {
        self.ways.contains(&way) && (way != Way::SerialLogin || self.login.is_some())
    }
}

impl Login {
    /// The steps up to the shell.
    pub fn steps(&self) -> Vec<Step> {
        let step = |wait: &str, write: &str| Step { wait: wait.into(), write: write.into() };
        let steps = match (self.steps.is_empty(), self.password.is_empty()) {
            (false, _) => self.steps.clone(),
            (true, false) => vec![step("login:", "{user}"), step("assword:", "{password}")],
            (true, true) => vec![step("login:", "{user}")],
        };
        let fill =
            |text: &str| text.replace("{user}", &self.user).replace("{password}", &self.password);
        steps.into_iter().map(|s| Step { write: fill(&s.write), wait: s.wait }).collect()
    }

    /// How long a step may take.
    pub const fn step_limit(&self) -> Duration {
        Duration::from_secs(self.step_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Definition, DiskError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("guest.toml");
        std::fs::write(&path, text).expect("written");
        Definition::read(&path)
    }

    #[test]
    fn the_definitions_that_ship_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
        for (name, way) in
            [("debian-12.toml", Way::CloudInit), ("debian-12-login.toml", Way::SerialLogin)]
        {
            let definition = Definition::read(&folder.join(name)).expect("reads");
            assert!(definition.has(way), "{name}");
            assert!(definition.builder.is_some(), "{name}");
        }
    }

    #[test]
    fn a_definition_that_opens_no_way_is_refused() {
        for bad in ["ways = []", "ways = [\"serial-login\"]", "firmware = []", "wayz = 1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("").expect("all by default"), Definition::default());
    }

    #[test]
    fn a_login_types_user_and_password() {
        let mut login = Login {
            user: "root".into(),
            password: "x y".into(),
            become_root: String::new(),
            steps: Vec::new(),
            step_seconds: 30,
        };
        let typed: Vec<String> = login.steps().into_iter().map(|s| s.write).collect();
        assert_eq!(typed, ["root", "x y"]);
        login.password.clear();
        assert_eq!(login.steps().len(), 1, "no password, none asked for");
    }
}
