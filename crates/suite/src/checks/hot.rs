//! Hot plug of vCPUs, memory and USB devices; the balloon.

use std::time::{Duration, Instant};

use hospitium_host::{Attachment, EventKind};
use hospitium_model::{ByteSize, Capability, Finding, Observations};
use hospitium_wire::Flags;

use super::{load, read};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&BALLOON, &HOT_ADD, &VCPU, &USB];

/// Asks again until `good` or the limit; the last answer either way.
async fn until<T>(
    cell: &mut Cell,
    limit: Duration,
    mut ask: impl AsyncFnMut(&mut Cell) -> Result<T, CheckError>,
    good: impl Fn(&T) -> bool,
) -> Result<T, CheckError> {
    let begun = Instant::now();
    loop {
        let answer = ask(cell).await?;
        if good(&answer) || begun.elapsed() > limit {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

check! {
    /// The balloon takes memory from the guest and gives it back; both sides count the same.
    pub BALLOON = "mem.balloon", tier: Reversible,
        needs: [Need::Host(Capability::Balloon), Need::Driver("balloon")],
        fault: Fault::Seam(SeamFault::Ignore(Call::SetBalloon));
    async fn balloon(cell) {
        load::driver(cell, "balloon").await?;
        let take = ByteSize::mib(64);
        let size = cell.spec().memory.size;
        let target = ByteSize::bytes(size.as_bytes() - take.as_bytes());
        let wait = Duration::from_secs(20);
        let before = read::total_mib(&cell.guest).await?;
        cell.balloon()?.set_balloon(target).await?;
        let small = until(cell, wait, async |cell| Ok(cell.look().await?.balloon?.value), |b| *b == target).await?;
        let less = before - read::total_mib(&cell.guest).await?;
        cell.balloon()?.set_balloon(size).await?;
        let big = until(cell, wait, async |cell| Ok(cell.look().await?.balloon?.value), |b| *b == size).await?;
        let back = before - read::total_mib(&cell.guest).await?;
        let mib = |b: ByteSize| b.as_mib() as f64;
        let configured = size.as_mib() as f64;
        Ok(Observations::of([
            Finding::within("taken by the balloon", "MiB", less.round(), configured - mib(small), 1.0),
            Finding::host_is("in the guest's hands with the balloon blown up", mib(small), target.as_mib() as f64).unit("MiB"),
            Finding::within("still taken after it was let go", "MiB", back.round(), configured - mib(big), 1.0),
        ]))
    }
}

check! {
    /// Memory that is plugged in can be used by the running guest.
    pub HOT_ADD = "mem.hot-add", tier: Disruptive, needs: [Need::Host(Capability::HotplugMemory), Need::SpareMemory],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach));
    async fn hot_add(cell) {
        let memory = cell.spec().memory;
        let size = ByteSize::bytes(memory.max.as_bytes() - memory.size.as_bytes());
        let before = read::total_mib(&cell.guest).await?;
        cell.hotplug()?.attach(&Attachment::Memory { id: "more-memory".into(), size }).await?;
        let wanted = before + size.as_mib() as f64 * 0.9;
        let after = until(cell, Duration::from_secs(20), async |cell| {
            bring_online(cell, "/sys/devices/system/memory", "memory").await?;
            read::total_mib(&cell.guest).await
        }, |total| *total >= wanted).await?;
        let plugged = cell.look().await?.plugged_memory?.value;
        let tolerance = cell.expect_number("tolerance-mib")?;
        Ok(Observations::of([
            Finding::within("memory gained", "MiB", (after - before).round(), plugged.as_mib() as f64, tolerance),
            Finding::host_is("memory plugged in", plugged.as_mib(), size.as_mib()).unit("MiB"),
        ]))
    }
}

/// Brings new CPUs or memory blocks online, as an administrator does where no rule of the system does it
/// (on a bare kernel, and on Debian).
async fn bring_online(cell: &mut Cell, folder: &str, prefix: &str) -> Result<(), CheckError> {
    for name in read::names(&cell.guest, folder).await? {
        let numbered = name
            .strip_prefix(prefix)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if !numbered {
            continue;
        }
        let switch = format!("{folder}/{name}/online");
        if read::text_if_there(&cell.guest, &switch).await?.as_deref() == Some("0") {
            cell.guest.write_file(&switch, b"1", Flags::default()).await?;
        }
    }
    Ok(())
}

/// Number of online CPUs after bringing new ones online where nobody else does.
async fn online(cell: &mut Cell) -> Result<usize, CheckError> {
    bring_online(cell, "/sys/devices/system/cpu", "cpu").await?;
    let text = read::text(&cell.guest, "/sys/devices/system/cpu/online").await?;
    Ok(read::cpu_list(&text).map_or(0, |list| list.len()))
}

check! {
    /// A vCPU that is plugged in comes online in the running guest.
    pub VCPU = "hot.vcpu", tier: Disruptive, needs: [Need::Host(Capability::HotplugVcpu), Need::SpareVcpus],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach));
    async fn vcpu(cell) {
        let before = online(cell).await?;
        let log = read::kernel_log(&cell.guest).await?.lines().count();
        cell.hotplug()?.attach(&Attachment::Vcpu { id: "vcpu-more".into() }).await?;
        let after = until(cell, Duration::from_secs(10), online, |n| *n > before).await?;
        let look = cell.look().await?;
        let configured = cell.spec().cpus.count();
        let mut seen = Observations::of([
            Finding::guest_is("online vCPUs before", before, configured),
            Finding::same_as("online vCPUs after", after, look.vcpus?.value.len(), configured + 1),
        ]);
        seen.note(format!("{} host threads run vCPUs", look.vcpu_threads?.value.len()));
        for line in read::kernel_log(&cell.guest).await?.lines().skip(log).take(10) {
            seen.note(format!("the kernel said: {}", line.escape_debug()));
        }
        Ok(seen)
    }
}

check! {
    /// A USB device that is plugged in is enumerated, and is gone after it was taken out.
    pub USB = "hot.usb", tier: Reversible, needs: [Need::Host(Capability::HotplugUsb), Need::Driver("xhci")],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach));
    async fn usb(cell) {
        for name in ["xhci", "usb-input"] {
            load::driver(cell, name).await?;
        }
        // By its serial number, since the machine's own devices may still be on their way.
        const ID: &str = "usb-more";
        let there = |all: &Vec<UsbDevice>| all.iter().any(|device| device.serial == ID);
        // Drivers that still ask a device that is gone wait for each answer that never comes, and all who ask the
        // guest about it wait for them: half a minute and more.
        let taken = |all: &Vec<UsbDevice>| all.iter().any(|device| device.serial == ID && device.taken);
        let before = usb_devices(cell).await?;
        cell.hotplug()?.attach(&Attachment::UsbKeyboard { id: ID.into() }).await?;
        let with = until(cell, Duration::from_secs(15), usb_devices, taken).await?;
        let from = cell.events_so_far();
        let detached = cell.hotplug()?.detach(ID).await;
        let removed = match detached {
            Ok(()) => cell.event(from, "removal", Duration::from_secs(10), |kind| matches!(kind, EventKind::DeviceRemoved { id } if id == ID)).await?.is_some(),
            Err(_) => false,
        };
        let after = until(cell, Duration::from_secs(15), usb_devices, |all| !there(all)).await?;
        let still = |device: &&UsbDevice| after.iter().any(|d| (&d.place, &d.serial) == (&device.place, &device.serial));
        let lost: Vec<String> = before.iter().filter(|device| !still(device)).map(ToString::to_string).collect();
        Ok(Observations::of([
            Finding::guest_is("its serial number before it was plugged in", there(&before), false),
            Finding::guest_is("its serial number while it was plugged in", there(&with), true),
            Finding::guest_is("its serial number after it was taken out", there(&after), false),
            Finding::guest_is("other USB devices that went with it", lost, Vec::<String>::new()),
            Finding::host_is("the host saw it go", removed, true),
        ]))
    }
}

/// A USB device as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UsbDevice {
    /// Where it is: `1-2`, bus and ports (Linux Documentation/ABI/stable/sysfs-bus-usb).
    place: String,
    /// `iSerialNumber`, empty if it has none.
    serial: String,
    /// Its interfaces were there, so that their drivers had it when its serial number was read: Linux probes them
    /// and reads that under the same lock (drivers/usb/core/message.c, usb_set_configuration; sysfs.c, usb_string_attr).
    taken: bool,
}

impl std::fmt::Display for UsbDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.serial.escape_default(), self.place.escape_default())
    }
}

/// The devices that the guest has enumerated, without the controllers' own hubs.
async fn usb_devices(cell: &mut Cell) -> Result<Vec<UsbDevice>, CheckError> {
    let folder = "/sys/bus/usb/devices";
    let mut devices = Vec::new();
    let names = read::names(&cell.guest, folder).await?;
    for place in &names {
        if place.contains(':') || place.starts_with("usb") {
            continue;
        }
        // One that goes while it is looked at has none.
        let serial = read::text_if_there(&cell.guest, &format!("{folder}/{place}/serial")).await?;
        let interfaces = format!("{place}:");
        let taken = names.iter().any(|name| name.starts_with(&interfaces));
        devices.push(UsbDevice { place: place.clone(), serial: serial.unwrap_or_default(), taken });
    }
    Ok(devices)
}
