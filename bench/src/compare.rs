//! The machine resolver beside `virt-install`: what each takes for the same guest on the same QEMU,
//! and why they differ. A difference without a reason is an error.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use hospitium_products::{Arch, Part, Product, Products, Resolved, Sources};

/// Systems of all families and ages that both know, by osinfo-db's short ids.
const SYSTEMS: &[&str] = &[
    "win98",
    "win2k",
    "winxp",
    "win2k3",
    "win2k3r2",
    "winvista",
    "win2k8",
    "win7",
    "win2k8r2",
    "win8.1",
    "win2k12r2",
    "win10",
    "win11",
    "win2k16",
    "win2k19",
    "win2k22",
    "rhel3",
    "rhel4.8",
    "rhel5.2",
    "rhel5.3",
    "rhel5.4",
    "rhel6.0",
    "rhel6.10",
    "rhel7.0",
    "rhel7.9",
    "rhel8.0",
    "rhel9.1",
    "centos5.3",
    "centos7.0",
    "sles10sp2",
    "sles11",
    "sles11sp4",
    "sles12sp5",
    "sle15sp4",
    "debian5",
    "debian7",
    "debian11",
    "ubuntu8.04",
    "ubuntu16.04",
    "ubuntu22.04",
    "fedora10",
    "fedora37",
    "freebsd9.3",
    "freebsd13.1",
    "openbsd7.0",
];

const BEGIN: &str = "<!-- made by `cargo xtask bench virt-install` -->";
const END: &str = "<!-- end -->";

/// What one of the two takes, in the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    chipset: &'static str,
    firmware: &'static str,
    vcpus: u64,
    memory: u64,
    disk: String,
    cdrom: String,
    network: String,
    channel: bool,
    rng: bool,
    balloon: bool,
    tablet: bool,
}

/// Makes the table and writes it into `docs/products.md`.
pub fn run() -> Result<()> {
    let products = Products::load(&Sources::of_this_system())?;
    let version = qemu_version()?;
    let host = products.resolve_kind(&format!("qemu {version}"), None)?;
    let place = Place::make()?;
    let arch = Arch::x86_64();
    let mut table = Table::default();
    for short in SYSTEMS.iter().copied() {
        let guest = products
            .iter()
            .find(|p| p.short_ids.iter().any(|id| id == short))
            .with_context(|| format!("osinfo-db has no {short}"))?;
        let ours = products.machine(guest, host, &arch);
        let ours = ours.with_context(|| format!("there is no machine for {short}"))?;
        let mut theirs = place.virt_install(short, None)?;
        let mut told = false;
        if theirs.as_ref().is_err_and(|why| why.contains("--memory amount in MiB is required")) {
            told = true;
            theirs = place.virt_install(short, Some(ours.machine.memory.size.as_mib()))?;
        }
        match theirs {
            Ok(theirs) => table.add(guest, &ours, &theirs, told),
            Err(why) => bail!("virt-install makes no machine for {short}: {why}"),
        }
    }
    drop(place);
    let (same, rows) = (table.same, table.rows);
    ensure!(
        table.unexplained.is_empty(),
        "no reason is known for these differences:\n{}",
        table.unexplained.join("\n")
    );
    ensure!(rows >= 30, "only {rows} systems could be compared");
    write_into(&xtask::root().join("docs/products.md"), &table.text(host))?;
    println!("{rows} systems on {}: {same} alike in all, the others with a reason each", host.name);
    Ok(())
}

/// The version of the installed QEMU, major and minor.
fn qemu_version() -> Result<String> {
    let output = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .context("cannot run qemu-system-x86_64; install it: apt install qemu-system-x86")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .context("qemu-system-x86_64 tells no version")?;
    Ok(version.split('.').take(2).collect::<Vec<_>>().join("."))
}

/// A home of its own for libvirt, and the daemon that lives there.
struct Place {
    folder: PathBuf,
    as_nobody: bool,
    daemon: std::process::Child,
}

impl Place {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("hospitium-compare-{}", std::process::id()));
        fs::create_dir_all(folder.join("run"))?;
        // libvirt's root has one system-wide place; a session of another user has its own.
        let id = Command::new("id").arg("-u").output().context("cannot run id")?;
        let as_nobody = id.stdout.starts_with(b"0\n");
        if as_nobody {
            let done = Command::new("chown").args(["-R", "nobody"]).arg(&folder).status()?;
            ensure!(done.success(), "cannot give {} to nobody", folder.display());
        }
        let daemon = Self::command(&folder, as_nobody, "/usr/sbin/libvirtd")
            .arg("--timeout=300")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start libvirtd")?;
        let place = Self { folder, as_nobody, daemon };
        let socket = place.folder.join("run/libvirt/libvirt-sock");
        for _ in 0..200 {
            if socket.exists() {
                return Ok(place);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!(
            "libvirtd does not come up; install what is needed: apt install virtinst \
             libvirt-daemon libvirt-daemon-driver-qemu osinfo-db"
        )
    }

    fn command(folder: &Path, as_nobody: bool, program: &str) -> Command {
        let mut command = match as_nobody {
            true => {
                // setpriv runs the program in its own place: no child is left behind when it ends.
                let mut command = Command::new("setpriv");
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", program]);
                command
            }
            false => Command::new(program),
        };
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder.join("run"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("LC_ALL", "C");
        command
    }

    /// What virt-install takes, or why it takes nothing. With `memory` it is told how many MiB.
    fn virt_install(
        &self,
        short: &str,
        memory: Option<u64>,
    ) -> Result<std::result::Result<Taken, String>> {
        let disk = format!("size=1,path={}", self.folder.join("none.qcow2").display());
        let output = Self::command(&self.folder, self.as_nobody, "virt-install")
            .args(["--connect", "qemu:///session", "--name", "compared", "--osinfo", short])
            .args(["--disk", &disk, "--cdrom", "/dev/null", "--network", "user"])
            .args(["--dry-run", "--print-xml", "2"])
            .args(memory.map(|mib| format!("--memory={mib}")))
            .stdin(Stdio::null())
            .output()
            .context("cannot run virt-install; install it: apt install virtinst")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
            return Ok(Err(said.chars().take(120).collect()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let domain = hospitium_xml::read(short, &text, |_, _| true)?;
        Ok(Ok(taken(&domain)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A libvirt domain in our words.
fn taken(domain: &hospitium_xml::Element) -> Taken {
    let text = |name: &str| domain.first(name).map_or("", |e| e.text.as_str());
    let os = domain.first("os");
    let machine = os
        .and_then(|os| os.first("type"))
        .and_then(|kind| kind.attribute("machine"))
        .unwrap_or_default();
    let uefi = os
        .is_some_and(|os| os.attribute("firmware") == Some("efi") || os.first("loader").is_some());
    let nothing = hospitium_xml::Element::default();
    let devices = domain.first("devices").unwrap_or(&nothing);
    let inner = |element: &hospitium_xml::Element, child: &str, attribute: &str| {
        let found = element.first(child).and_then(|e| e.attribute(attribute));
        found.unwrap_or_default().to_owned()
    };
    let disk = |kind: &str| {
        let found = devices.all("disk").find(|disk| disk.attribute("device") == Some(kind));
        found.map_or_else(String::new, |disk| inner(disk, "target", "bus"))
    };
    let virtio = |name: &str| {
        devices.all(name).any(|e| e.attribute("model").is_some_and(|m| m.starts_with("virtio")))
    };
    Taken {
        chipset: if machine.contains("q35") { "q35" } else { "pc" },
        firmware: if uefi { "uefi" } else { "bios" },
        vcpus: text("vcpu").parse().unwrap_or(0),
        memory: text("memory").parse::<u64>().unwrap_or(0) / 1024,
        disk: disk("disk"),
        cdrom: disk("cdrom"),
        network: devices.first("interface").map_or_else(String::new, |e| inner(e, "model", "type")),
        // Its SPICE channel is there for every guest; the guest agent's is there for those that
        // drive virtio-serial.
        channel: devices.all("channel").any(|c| c.attribute("type") == Some("unix")),
        rng: virtio("rng"),
        balloon: virtio("memballoon"),
        tablet: devices.all("input").any(|e| e.attribute("type") == Some("tablet")),
    }
}

/// Our machine in the same words.
fn ours(resolved: &Resolved) -> Taken {
    use hospitium_model::{Bus, ChannelKind, Chipset, DiskRole, Firmware, NicModel};
    let machine = &resolved.machine;
    let disk = |cdrom: bool| {
        let found = machine.disks.iter().find(|d| (d.role == DiskRole::Cdrom) == cdrom);
        found.map_or_else(String::new, |disk| match disk.bus {
            Bus::VirtioScsi => "scsi".into(),
            bus => bus.name().to_owned(),
        })
    };
    let network = machine.nics.first().map_or("none", |nic| match nic.model {
        NicModel::Virtio => "virtio",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    });
    Taken {
        chipset: if machine.chipset == Chipset::Modern { "q35" } else { "pc" },
        firmware: if machine.firmware == Firmware::Uefi { "uefi" } else { "bios" },
        vcpus: u64::from(machine.cpus.count()),
        memory: machine.memory.size.as_mib(),
        disk: disk(false),
        cdrom: disk(true),
        network: network.into(),
        channel: machine.channels.iter().any(|c| c.kind == ChannelKind::Virtio),
        rng: machine.rng,
        balloon: machine.balloon,
        tablet: machine.input,
    }
}

/// Why the two differ, as a number of [`REASONS`]. Each reason is a rule that one of them follows
/// and the other does not, and is given only where that rule applies.
fn reason(part: &str, resolved: &Resolved, ours: &Taken, theirs: &Taken) -> Option<usize> {
    let choice = |part| resolved.choices.iter().find(|choice| choice.part == part);
    let from_us = |part| {
        choice(part).is_some_and(|c| c.sources.iter().any(|s| s.contains("(products/linux.toml")))
    };
    let nothing_shared = |part| choice(part).is_some_and(|c| c.device.is_none());
    let no_number = choice(Part::Vcpus).is_some_and(|c| c.sources.is_empty());
    match part {
        "vcpus" if theirs.vcpus == 1 && ours.vcpus == 2 && no_number => Some(1),
        "disk" if ours.disk == "virtio" && from_us(Part::Disk) => Some(2),
        "network" if ours.network == "virtio" && from_us(Part::Network) => Some(2),
        "tablet" if theirs.tablet && nothing_shared(Part::Input) => Some(3),
        "network" if theirs.network == "e1000" && ours.network != "e1000" => Some(4),
        _ => None,
    }
}

/// The reasons, in the order of their numbers.
const REASONS: [&str; 4] = [
    "virt-install gives one vCPU where osinfo-db has no number. Here it is two, unless the guest \
     supports fewer: a validation on one vCPU says nothing of several.",
    "A definition of this project says more than osinfo-db: Red Hat's guide has virtio in the box \
     of RHEL 5.3 and later, osinfo-db from 5.6 on.",
    "virt-install adds a USB tablet to every graphical machine of a full virtualization; here only \
     if a source says that the guest drives one. Without it there is the chipset's PS/2 mouse.",
    "virt-install falls back to e1000 where osinfo-db knows of no adapter that the guest drives; \
     here an adapter is taken only if a source says so.",
];

#[derive(Default)]
struct Table {
    rows: usize,
    same: usize,
    text: String,
    used: std::collections::BTreeSet<usize>,
    unexplained: Vec<String>,
}

impl Table {
    fn add(&mut self, guest: &Product, resolved: &Resolved, theirs: &Taken, told: bool) {
        let ours = ours(resolved);
        let mut row = format!("| `{}` ", guest.short());
        let mut differs = false;
        let mut unexplained = Vec::new();
        let mut cell = |part: &str, a: String, b: String| {
            let text = if a == b {
                a
            } else {
                differs = true;
                match reason(part, resolved, &ours, theirs) {
                    Some(number) => {
                        self.used.insert(number);
                        format!("**{a}** / {b} ({number})")
                    }
                    None => {
                        unexplained.push(format!("{part}: {a} here, {b} by virt-install"));
                        format!("**{a}** / {b} (?)")
                    }
                }
            };
            let _ = write!(row, "| {text} ");
        };
        let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        cell("chipset", ours.chipset.into(), theirs.chipset.into());
        cell("firmware", ours.firmware.into(), theirs.firmware.into());
        cell("vcpus", ours.vcpus.to_string(), theirs.vcpus.to_string());
        let memory = if told { format!("{}*", ours.memory) } else { ours.memory.to_string() };
        let their_memory = if told { memory.clone() } else { theirs.memory.to_string() };
        cell("memory", memory, their_memory);
        cell("disk", ours.disk.clone(), theirs.disk.clone());
        cell("cdrom", ours.cdrom.clone(), theirs.cdrom.clone());
        cell("network", ours.network.clone(), theirs.network.clone());
        cell("channel", yes(ours.channel), yes(theirs.channel));
        cell("rng", yes(ours.rng), yes(theirs.rng));
        cell("balloon", yes(ours.balloon), yes(theirs.balloon));
        cell("tablet", yes(ours.tablet), yes(theirs.tablet));
        let named = unexplained.into_iter().map(|what| format!("{}: {what}", guest.short()));
        self.unexplained.extend(named);
        self.text.push_str(&row);
        self.text.push_str("|\n");
        self.rows += 1;
        self.same += usize::from(!differs);
    }

    fn text(&self, host: &Product) -> String {
        let mut text = format!(
            "{} systems on {}; {} are alike in all. Where the two differ, the first is the \
             resolver's, the second virt-install's, and the number is the reason's. With a star, \
             virt-install knows of no amount and was given the resolver's.\n\n\
             | guest | chipset | firmware | vCPUs | MiB | disk | CD | network | virtio-serial | \
             rng | balloon | tablet |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
            self.rows, host.name, self.same
        );
        text.push_str(&self.text);
        text.push('\n');
        for number in &self.used {
            if let Some(reason) = REASONS.get(number - 1) {
                let _ = writeln!(text, "{number}. {reason}");
            }
        }
        text
    }
}

fn write_into(file: &Path, text: &str) -> Result<()> {
    let old =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (before, rest) = old.split_once(BEGIN).context("docs/products.md has no place for it")?;
    let (_, after) = rest.split_once(END).context("docs/products.md has no end of that place")?;
    fs::write(file, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))?;
    Ok(())
}
