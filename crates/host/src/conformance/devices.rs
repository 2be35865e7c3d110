//! Media, display, interrupts, devices that come, memory as a file.

use hospitium_model::{Bus, ByteSize, Digest, Disk, DiskRole};

use super::{LIMIT, Lab, Promise, Record, refused};
use crate::facets::Attachment;
use crate::machine::Machine;
use crate::{HostError, SeenDisk};

pub(super) fn disk(id: &str, role: DiskRole, bus: Bus) -> Disk {
    Disk {
        id: id.into(),
        role,
        bus,
        image: None,
        format: None,
        size: if role == DiskRole::Cdrom { ByteSize::default() } else { ByteSize::mib(16) },
        serial: String::new(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        room: None,
    }
}

/// A disk as the host sees it.
async fn seen(machine: &dyn Machine, id: &str) -> Result<Option<SeenDisk>, HostError> {
    let disks = machine.look().await?.disks?.value;
    Ok(disks.into_iter().find(|disk| disk.id == id))
}

/// Media of disks and drives.
pub async fn media(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let mut spec = lab.spec();
    spec.disks = vec![
        disk("scratch", DiskRole::Scratch, Bus::Virtio),
        disk("drive", DiskRole::Cdrom, Bus::Sata),
    ];
    let what = "a machine with a disk and a drive runs";
    let Some(machine) = record.got(what, lab.running("media", &spec).await) else {
        return record.0;
    };
    let machine = &*machine;
    let what = "media can be reached";
    let Some(media) = record.got(what, machine.media().map_err(HostError::from)) else {
        return record.0;
    };
    let zeros = Digest::of(&[0; 4096]);
    let fresh = media.medium("scratch").await.and_then(|medium| medium.digest(0, 4096));
    record.note("a fresh disk holds zeros, read from outside", fresh.map(|found| found == zeros));
    record.note("there is no disk of another name", refused(media.medium("no-such").await));
    let more = ByteSize::mib(32);
    let grown = async {
        media.resize_disk("scratch", more).await?;
        Ok(seen(machine, "scratch").await?.is_some_and(|disk| disk.size == more))
    };
    record.note("a disk is made larger while in use", grown.await);
    let less = media.resize_disk("scratch", ByteSize::mib(8)).await;
    record.note("and is not made smaller", refused(less));
    let unlimited = media.grow_backing("scratch", more).await;
    record.note("a disk without a limit is given no room", refused(unlimited));
    let changed = async {
        let empty =
            seen(machine, "drive").await?.is_some_and(|drive| drive.medium_in == Some(false));
        let disc = lab.folder.join("disc.raw");
        std::fs::write(&disc, [7; 4096]).map_err(HostError::io("making a disc"))?;
        media.change_medium("drive", Some(&disc)).await?;
        let full = seen(machine, "drive").await?.is_some_and(|drive| drive.medium_in == Some(true));
        media.change_medium("drive", None).await?;
        let out = seen(machine, "drive").await?.is_some_and(|drive| drive.medium_in == Some(false));
        Ok(empty && full && out)
    };
    record.note("a disc goes into a drive and comes out", changed.await);
    record.0
}

/// Display and keyboard.
pub async fn display(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let what = "a machine with a display runs";
    let Some(machine) = record.got(what, lab.running("display", &lab.spec()).await) else {
        return record.0;
    };
    let what = "the display can be reached";
    let Some(display) = record.got(what, machine.display().map_err(HostError::from)) else {
        return record.0;
    };
    let shown = async {
        let started = std::time::Instant::now();
        while started.elapsed() < LIMIT {
            if display.screenshot().await?.colours() > 1 {
                return Ok(true);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(false)
    };
    record.note("the firmware's words are on the screen", shown.await);
    record.note("a key is typed", display.send_key("a").await.map(|()| true));
    let strange = display.send_key("no-such-key").await;
    record.note("a key that there is not is refused", refused(strange));
    record.0
}

/// What hardware does to a system without its leave.
pub async fn inject(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let done = async {
        let machine = lab.running("inject", &lab.spec()).await?;
        machine.inject()?.nmi().await.map(|()| true)
    };
    record.note("an NMI is injected", done.await);
    record.0
}

/// Devices that come. That they go needs a guest that lets go of them.
pub async fn hotplug(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let what = "a machine with free slots runs";
    let Some(machine) = record.got(what, lab.running("hotplug", &lab.spec()).await) else {
        return record.0;
    };
    let machine = &*machine;
    let what = "devices can be plugged in";
    let Some(hotplug) = record.got(what, machine.hotplug().map_err(HostError::from)) else {
        return record.0;
    };
    let extra = Attachment::Disk(disk("extra", DiskRole::Scratch, Bus::Virtio));
    let there = async {
        hotplug.attach(&extra).await?;
        Ok(seen(machine, "extra").await?.is_some())
    };
    record.note("a disk that was plugged in is there", there.await);
    record.note("there are not two of one id", refused(hotplug.attach(&extra).await));
    let bad = Attachment::Vcpu { id: "a,b=c".into() };
    record.note("an id that could be an option is refused", refused(hotplug.attach(&bad).await));
    record.note("what is not there is not taken out", refused(hotplug.detach("no-such").await));
    record.0
}

/// Memory as a file.
pub async fn dump(lab: &Lab<'_>) -> Vec<Promise> {
    let mut record = Record::default();
    let done = async {
        let machine = lab.running("dump", &lab.spec()).await?;
        let file = lab.folder.join("memory.elf");
        machine.dump()?.dump_memory(&file).await?;
        let bytes = std::fs::read(&file).map_err(HostError::io("reading a dump"))?;
        let size = lab.spec().memory.size.as_bytes();
        Ok(bytes.starts_with(b"\x7fELF") && bytes.len() as u64 >= size)
    };
    record.note("the memory is an ELF core file", done.await);
    record.0
}
