//! The two small drives that a disk guest is given: one with the probe, one with cloud-init's data.
//! The same input makes the same bytes, so that a snapshot of the guest can be found again.

use std::io::{Cursor, Write};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use hospitium_model::Digest;

/// Volume label of the drive that carries the probe.
pub const PROBE_LABEL: &str = "HOSPITIUM";
/// Volume label by which cloud-init's NoCloud source knows its drive.
pub const SEED_LABEL: &str = "CIDATA";
/// Size of each drive: the probe is under 300 KiB.
const SIZE: usize = 2 << 20;

const START: &str = include_str!("start.sh");

/// Where the guest finds the probe's channel: the line in the file `channel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbePort {
    /// The virtio-serial port of this name.
    Virtio(String),
    /// The n-th serial port, from 0.
    Serial(usize),
}

impl ProbePort {
    fn line(&self) -> String {
        match self {
            Self::Virtio(name) => format!("virtio {name}\n"),
            Self::Serial(n) => format!("serial ttyS{n}\n"),
        }
    }
}

/// The drive that carries the probes by their names, and what starts the right one.
pub fn probe_drive(probes: &[(&str, &[u8])], port: &ProbePort) -> std::io::Result<Vec<u8>> {
    let channel = port.line();
    let others = [("start.sh", START.as_bytes()), ("channel", channel.as_bytes())];
    fat(PROBE_LABEL, &[probes, &others].concat())
}

/// cloud-init's drive (NoCloud). `inputs` are the digests of everything else that makes the machine
/// what it is; the instance id comes from them, so that it is the same for the same machine.
pub fn seed_drive(inputs: &[Digest]) -> std::io::Result<Vec<u8>> {
    let all: Vec<u8> = inputs.iter().flat_map(|digest| *digest.as_bytes()).collect();
    let instance = Digest::of(&all).short();
    let meta = format!("instance-id: hospitium-{instance}\n");
    fat(
        SEED_LABEL,
        &[
            ("user-data", USER_DATA.as_bytes()),
            ("meta-data", meta.as_bytes()),
            ("network-config", b"config: disabled\n"),
        ],
    )
}

/// Of all modules only `bootcmd` runs, which it does at every boot; what `start.sh` leaves is all that changes in the guest. The two
/// stages of cloud-init after it have no modules then; they are taken back before they begin, because each
/// is another start of Python, 3 to 4 s of CPU time on an emulated machine.
const USER_DATA: &str = "\
#cloud-config
cloud_init_modules: [bootcmd]
cloud_config_modules: []
cloud_final_modules: []
bootcmd:
  - [sh, -c, 'd=/run/hospitium-drive; mkdir -p $d && mount -r -t vfat /dev/disk/by-label/HOSPITIUM $d && sh $d/start.sh']
  - [sh, -c, '[ ! -d /run/systemd/system ] || systemctl --no-block stop cloud-config.service cloud-final.service || true']
";

/// What a person would type to start the probe: finds the drive by what is on it, since a system
/// without udev has no names by label.
pub const START_COMMAND: &str = "d=/run; [ -d $d ] || d=/tmp; d=$d/hospitium-drive; mkdir -p $d; \
    for b in /dev/disk/by-label/HOSPITIUM /dev/vd? /dev/sd? /dev/hd? /dev/nvme?n1; do \
    [ -b $b ] && mount -r -t vfat $b $d 2>/dev/null || continue; \
    [ -f $d/start.sh ] && break; umount $d; done; sh $d/start.sh";

#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time { hour: 0, min: 0, sec: 0, millis: 0 },
        }
    }
}

static NO_TIME: NoTime = NoTime;

fn fat(label: &str, files: &[(&str, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut volume = [b' '; 11];
    volume[..label.len()].copy_from_slice(label.as_bytes());
    let mut image = Cursor::new(vec![0; SIZE]);
    let options = FormatVolumeOptions::new().volume_label(volume).volume_id(0x486F_7370);
    fatfs::format_volume(&mut image, options)?;
    {
        let options = FsOptions::new().time_provider(&NO_TIME);
        let system = FileSystem::new(&mut image, options)?;
        let root = system.root_dir();
        for (name, content) in files {
            let mut file = root.create_file(name)?;
            file.truncate()?;
            file.write_all(content)?;
            file.flush()?;
        }
    }
    Ok(image.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn content(image: Vec<u8>, name: &str) -> String {
        let system = FileSystem::new(Cursor::new(image), FsOptions::new()).expect("a FAT volume");
        let mut text = String::new();
        let mut file = system.root_dir().open_file(name).expect("is there");
        file.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn the_same_input_makes_the_same_drive() {
        let port = ProbePort::Virtio("probe".into());
        let drive = || probe_drive(&[("hospitium-probe", &[7; 200_000])], &port).expect("made");
        assert_eq!(drive(), drive());
        assert_eq!(content(drive(), "channel"), "virtio probe\n");
        let root = FileSystem::new(Cursor::new(drive()), FsOptions::new()).expect("a FAT volume");
        let label = root.read_volume_label_from_root_dir().expect("read");
        assert_eq!(label.as_deref(), Some(PROBE_LABEL));
    }

    #[test]
    fn the_instance_id_depends_on_the_inputs_only() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let id = |inputs: &[Digest]| content(seed_drive(inputs).expect("made"), "meta-data");
        assert_eq!(id(&[a]), id(&[a]));
        assert_ne!(id(&[a]), id(&[b]));
        assert!(
            content(seed_drive(&[a]).expect("made"), "user-data").starts_with("#cloud-config\n")
        );
    }

    #[test]
    fn the_start_command_fits_a_terminal_line() {
        // Canonical input of a terminal holds 4095 bytes; half of it is plenty for a prefix.
        assert!(START_COMMAND.len() < 2048 && !START_COMMAND.contains('\n'));
        assert!(!START_COMMAND.contains('\''), "it is quoted with single quotes");
    }

    #[test]
    fn the_start_script_is_a_shell_script() {
        let status = std::process::Command::new("sh").args(["-n", "-c", START]).status();
        assert!(status.expect("sh is there").success());
    }
}
