//! What a machine boots: the initramfs made for it, and the kernel's command line.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::Machine;
use hospitium_model::{Answer, Boot, ChannelKind, GuestFacts, InputPin, MachineSpec};

use super::initramfs::Archive;
use super::table::devices_of;
use super::{KernelError, KernelGuest};
use crate::guest::{Guest, GuestError, await_probe, raced};
use hospitium_system::{CONFIG, Console, DRIVER_TABLE, Session, Trace};

const MODULES: &str = "/lib/modules";

impl KernelGuest {
    /// The initramfs for a machine.
    fn initramfs(&self, spec: &MachineSpec) -> Result<Vec<u8>, GuestError> {
        let at_boot = self.at_boot(spec)?;
        let mut config = format!("channel {}\n", probe_device(spec)?);
        for module in &at_boot.channel {
            config.push_str(&format!("module {MODULES}/{module}.ko\n"));
        }
        for device in &at_boot.devices {
            config.push_str(&format!("driver {device}\n"));
        }
        let modules = at_boot.channel.iter().chain(&at_boot.others);
        let mut carried: BTreeSet<&str> = modules.map(String::as_str).collect();
        let mut drivers = String::new();
        for device in &self.table.devices {
            let Ok(order) = self.modules.for_device(&self.table, &device.name) else {
                continue;
            };
            if !device.carried && !order.iter().all(|name| carried.contains(name.as_str())) {
                continue;
            }
            drivers.push_str(&device.name);
            for module in &order {
                drivers.push_str(&format!(" {MODULES}/{module}.ko"));
            }
            drivers.push('\n');
            let known = order.iter().filter_map(|name| self.modules.modules().get_key_value(name));
            carried.extend(known.map(|(name, _)| name.as_str()));
        }
        let mut archive = Archive::default();
        for folder in ["/dev", "/etc", "/lib", MODULES, "/mnt", "/proc", "/run", "/sys", "/tmp"] {
            archive.folder(folder);
        }
        archive.character_device("/dev/console", 5, 1);
        archive.file("/init", 0o755, self.probe.bytes);
        archive.file(CONFIG, 0o644, config.as_bytes());
        archive.file(DRIVER_TABLE, 0o644, drivers.as_bytes());
        for name in carried {
            if let Some(module) = self.modules.modules().get(name) {
                archive.file(&format!("{MODULES}/{name}.ko"), 0o644, &module.bytes);
            }
        }
        Ok(archive.finish())
    }

    /// What to load, in order: the drivers of what every machine has, as far as they are there, and of the
    /// machine's own devices. A device without a driver is left to the checks, which ask
    /// [`Guest::driver`]; only the probe's own channel must have one.
    fn at_boot(&self, spec: &MachineSpec) -> Result<AtBoot<'_>, GuestError> {
        let present = devices_of(spec);
        let mut at_boot = AtBoot::default();
        for device in &self.table.devices {
            if !device.always && !present.contains(device.name.as_str()) {
                continue;
            }
            let is_channel = device.name == CHANNEL;
            match self.modules.for_device(&self.table, &device.name) {
                Ok(modules) if is_channel => {
                    for module in modules {
                        if !at_boot.channel.contains(&module) {
                            at_boot.channel.push(module);
                        }
                    }
                }
                Ok(modules) => {
                    at_boot.devices.push(&device.name);
                    at_boot.others.extend(modules);
                }
                Err(why) if is_channel => {
                    return Err(GuestError::NoDriver {
                        guest: self.facts.name.clone(),
                        device: device.name.clone(),
                        why,
                    });
                }
                Err(why) => tracing::debug!(device = device.name, why, "no driver"),
            }
        }
        Ok(at_boot)
    }
}

/// The device of the table that the probe's channel can hang on; serial lines need no driver.
const CHANNEL: &str = "virtio-console";

/// What a guest loads before any check.
#[derive(Default)]
struct AtBoot<'a> {
    /// Modules of the probe's channel, in the order to load them.
    channel: Vec<String>,
    /// The other devices, in the table's order.
    devices: Vec<&'a str>,
    /// The modules of these.
    others: Vec<String>,
}

/// The kernel's name of the probe's channel.
pub fn probe_device(spec: &MachineSpec) -> Result<String, GuestError> {
    let (kind, number) = channel(spec, "probe")?;
    Ok(match kind {
        ChannelKind::Serial => format!("/dev/ttyS{number}"),
        // By name: which number a port has is the host's choice. The probe looks it up as udev would.
        ChannelKind::Virtio => "/dev/virtio-ports/probe".to_owned(),
    })
}

/// Kind of a channel, and how many of its kind come before it.
fn channel(spec: &MachineSpec, name: &str) -> Result<(ChannelKind, usize), GuestError> {
    let at = spec.channels.iter().position(|c| c.name == name);
    let at = at.ok_or_else(|| GuestError::NoChannel { name: name.into() })?;
    let kind = spec.channels[at].kind;
    Ok((kind, spec.channels[..at].iter().filter(|c| c.kind == kind).count()))
}

/// The kernel's command line. Nothing in it changes what the checks look at.
pub fn command_line(spec: &MachineSpec) -> Result<String, GuestError> {
    let console = match channel(spec, "console")? {
        (ChannelKind::Serial, number) => format!("console=ttyS{number}"),
        (ChannelKind::Virtio, _) => {
            return Err(GuestError::NoChannel { name: "console".into() });
        }
    };
    // Level 6 shows notices and what is worse, among them what the kernel calls itself; all is in its own log. A panic stays where
    // it is, so that what the host is told can be seen.
    // An emulator that shares its CPU can miss the ten ticks by which Linux tries the timer's wiring, and
    // Linux then panics. On hypervisors that it knows it leaves the trial out by itself (for KVM in
    // arch/x86/kernel/kvm.c, kvm_guest_init), so here it is told to.
    // Where UEFI keeps what it gives the kernel, such as the generation id, the kernel else lets nobody read
    // (CONFIG_IO_STRICT_DEVMEM; Documentation/admin-guide/kernel-parameters.txt, iomem=).
    Ok(format!("{console} loglevel=6 panic=0 no_timer_check iomem=relaxed"))
}

#[async_trait]
impl Guest for KernelGuest {
    fn facts(&self) -> &GuestFacts {
        &self.facts
    }

    fn inputs(&self) -> Vec<InputPin> {
        self.pins.clone()
    }

    fn driver(&self, device: &str) -> Answer {
        match self.modules.for_device(&self.table, device) {
            Ok(_) => Answer::Yes,
            Err(why) => Answer::No(why),
        }
    }

    fn prepare(&self, folder: &Path, mut spec: MachineSpec) -> Result<MachineSpec, GuestError> {
        let initrd = folder.join("initramfs.cpio");
        let bytes = self.initramfs(&spec)?;
        std::fs::write(&initrd, bytes)
            .map_err(KernelError::io(format!("writing {}", initrd.display())))?;
        spec.boot = Boot::Kernel {
            kernel: self.kernel.clone(),
            initrd: Some(initrd),
            command_line: match &self.append {
                Some(append) => format!("{} {append}", command_line(&spec)?),
                None => command_line(&spec)?,
            },
        };
        Ok(spec)
    }

    async fn enter(
        &self,
        machine: &dyn Machine,
        console: &Console,
        trace: Option<Trace>,
        limit: Duration,
    ) -> Result<Session, GuestError> {
        let session = await_probe(machine, console, trace, &[self.probe.platform], limit).await?;
        raced(machine, console, session.load_boot_drivers()).await?;
        Ok(session)
    }
}
