//! Hot plug of vCPUs, memory and USB devices; the balloon.

use std::time::Duration;

use hospitium_host::{Attachment, EventClass, EventKind};
use hospitium_model::{
    ByteSize, Capability, Finding, GuestKind, HostSource, Inside, Observations, Outside, Value,
};
use hospitium_system::UsbDevice;

use super::wait::until;
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[
    &BALLOON,
    &HOT_ADD,
    &HOT_ADD_MIGRATED,
    &VCPU,
    &VCPU_RESTORED,
    &VCPU_MIGRATED,
    &USB,
    &USB_MIGRATED,
];

/// How long a guest may take to make use of memory that came, or to give it away.
const MEMORY: Duration = Duration::from_secs(20);
/// How long a vCPU may take to come online.
const CPU: Duration = Duration::from_secs(10);
/// How long a USB device may take to be enumerated, or to be forgotten.
const DEVICE: Duration = Duration::from_secs(15);

/// Whole MiB as a number that may be compared with others.
fn mib(size: ByteSize) -> f64 {
    size.as_bytes() as f64 / f64::from(1 << 20)
}

/// MiB that the guest has more or fewer than before.
fn gained(before: Inside<ByteSize>, after: Inside<ByteSize>) -> Inside<f64> {
    after.map(|after| (mib(after) - mib(before.value)).round())
}

/// Memory that the host sees in the guest's hands, as soon as it is what is wanted.
async fn balloon_at(cell: &Cell, wanted: ByteSize) -> Result<Outside<ByteSize>, CheckError> {
    let ask = async || Ok(cell.look().await?.balloon?);
    until(MEMORY, ask, |size| size.value == wanted).await
}

check! {
    /// The balloon takes memory from the guest and gives it back; both sides count the same.
    pub BALLOON = "mem.balloon", tier: Reversible,
        needs: [
            Need::Host(Capability::Balloon),
            Need::Driver("balloon"),
            Need::Facet(FacetKind::Balloon),
            Need::Sight(SightKind::Balloon),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::SetBalloon));
    async fn balloon(cell) {
        cell.system().load_driver("balloon").await?;
        let take = ByteSize::mib(64);
        let size = cell.spec().memory.size;
        let target = ByteSize::bytes(size.as_bytes().saturating_sub(take.as_bytes()));
        // The balloon's driver tells of itself once it runs.
        let whole = balloon_at(cell, size).await?;
        let before = cell.system().total().await?;
        cell.balloon()?.set_balloon(target).await?;
        let small = balloon_at(cell, target).await?;
        let less = cell.system().total().await?;
        cell.balloon()?.set_balloon(size).await?;
        let big = balloon_at(cell, size).await?;
        let back = cell.system().total().await?;
        let change = |now: Outside<ByteSize>| now.map(|now| (mib(now) - mib(whole.value)).round());
        Ok(Observations::of([
            Finding::within("memory gained by the balloon's growth", "MiB", gained(before, less), change(small), 1.0),
            Finding::host_is("in the guest's hands with the balloon blown up", small.map(mib), mib(target)).unit("MiB"),
            Finding::within("memory gained after it was let go", "MiB", gained(before, back), change(big), 1.0),
            Finding::host_is("in the guest's hands after it was let go", big.map(mib), mib(size)).unit("MiB"),
        ]))
    }
}

check! {
    /// Memory that is plugged in can be used by the running guest.
    pub HOT_ADD = "mem.hot-add", tier: Disruptive,
        needs: [
            Need::Host(Capability::HotplugMemory),
            Need::SpareMemory,
            Need::Facet(FacetKind::Hotplug),
            Need::Sight(SightKind::PluggedMemory),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach)),
        lives: [HOT_ADD_MIGRATED = MIGRATE];
    async fn hot_add(cell) {
        let memory = cell.spec().memory;
        let size = ByteSize::bytes(memory.max.as_bytes().saturating_sub(memory.size.as_bytes()));
        let tolerance = cell.expect_number("tolerance-mib")?;
        let before = cell.system().total().await?;
        cell.hotplug()?.attach(&Attachment::Memory { id: "more-memory".into(), size }).await?;
        let wanted = mib(size) * 0.9;
        let helped = is_helped(cell)?;
        let now = &*cell;
        let ask = async || {
            if helped {
                now.system().bring_memory_online().await?;
            }
            Ok(now.system().total().await?)
        };
        until(MEMORY, ask, |total| gained(before, *total).value >= wanted).await?;
        cell.live().await?;
        let after = cell.system().total().await?;
        let plugged = cell.look().await?.plugged_memory?;
        let mut seen = Observations::of([
            Finding::within("memory gained", "MiB", gained(before, after), plugged.map(mib), tolerance),
            Finding::host_is("memory plugged in", plugged.map(mib), mib(size)).unit("MiB"),
        ]);
        seen.note(by_whom(helped));
        if !helped && gained(before, after).value < wanted {
            // Judged is what the system did; this tells it from memory that cannot be used at all.
            cell.system().bring_memory_online().await?;
            let by_hand = gained(before, cell.system().total().await?);
            seen.push(Finding::recorded(BY_HAND).inside(by_hand).unit("MiB"));
        }
        Ok(seen)
    }
}

/// What an administrator gets of what is there and was not brought online by the system.
const BY_HAND: &str =
    "present, not brought online by the system: gained once an administrator does it";

/// The expectation that says who makes use of what was plugged in.
const BY_ITSELF: &str = "a whole system brings it online by itself";

/// Whether the harness brings online what was plugged in: for a kernel alone, whose init the probe is, and for a whole
/// system that is expected to leave it to its administrator. It does so until it is there, and not once more after the
/// machine went on elsewhere.
fn is_helped(cell: &Cell) -> Result<bool, CheckError> {
    helped(cell.lab().guest().facts().kind, &cell.expect(BY_ITSELF)?)
}

fn helped(kind: GuestKind, by_itself: &Value) -> Result<bool, CheckError> {
    match (kind, by_itself) {
        (GuestKind::Kernel, _) => Ok(true),
        (GuestKind::Disk, Value::Bool(by_itself)) => Ok(!by_itself),
        (GuestKind::Disk, other) => {
            Err(CheckError::unreadable(format!("the expectation {BY_ITSELF}"), &other.to_string()))
        }
    }
}

/// The same for a person.
const fn by_whom(helped: bool) -> &'static str {
    if helped {
        "brought online by the probe, as the init of a kernel alone or as its administrator"
    } else {
        "left to the guest's system to bring online, by its kernel's default or a rule of udev's"
    }
}

/// Number of processors that are online.
async fn online(cell: &Cell) -> Result<Inside<usize>, CheckError> {
    Ok(cell.system().online().await?.map(|cpus| cpus.len()))
}

/// Number of vCPUs that the host sees.
async fn vcpus(cell: &Cell) -> Result<Outside<usize>, CheckError> {
    Ok(cell.look().await?.vcpus?.map(|vcpus| vcpus.len()))
}

check! {
    /// A vCPU that is plugged in comes online in the running guest.
    pub VCPU = "hot.vcpu", tier: Disruptive,
        needs: [
            Need::Host(Capability::HotplugVcpu),
            Need::SpareVcpus,
            Need::Facet(FacetKind::Hotplug),
            Need::Sight(SightKind::Vcpus),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach)),
        lives: [VCPU_RESTORED = RESTORE, VCPU_MIGRATED = MIGRATE];
    async fn vcpu(cell) {
        let before = (online(cell).await?, vcpus(cell).await?);
        let log = cell.system().log().await?.value.len();
        cell.hotplug()?.attach(&Attachment::Vcpu { id: "vcpu-more".into() }).await?;
        let more = |now: &Inside<usize>| now.value > before.0.value;
        let helped = is_helped(cell)?;
        let now = &*cell;
        let ask = async || {
            if helped {
                now.system().bring_cpus_online().await?;
            }
            online(now).await
        };
        until(CPU, ask, more).await?;
        cell.live().await?;
        let after = online(cell).await?;
        let look = cell.look().await?;
        let seen = look.vcpus?.map(|vcpus| vcpus.len());
        let configured = cell.spec().cpus.count() as usize;
        let mut seen = Observations::of([
            Finding::same_as("online vCPUs before", before.0, before.1, configured),
            Finding::same_as("online vCPUs after", after, seen, configured + 1),
        ]);
        if let Ok(threads) = look.vcpu_threads {
            seen.push(Finding::recorded("host threads that run vCPUs").outside(threads.map(|t| t.len())));
        }
        seen.note(by_whom(helped));
        if !helped && !more(&after) {
            cell.system().bring_cpus_online().await?;
            let before = before.0.value;
            let by_hand = online(cell).await?.map(|now| now.saturating_sub(before));
            seen.push(Finding::recorded(BY_HAND).inside(by_hand));
        }
        for line in cell.system().log().await?.value.iter().skip(log).take(10) {
            seen.note(format!("the kernel said: {}", line.text.escape_debug()));
        }
        Ok(seen)
    }
}

/// The device that is plugged in. By its serial number it is told from the machine's own, which may still be on
/// their way.
const USB_ID: &str = "usb-more";

async fn usb_devices(cell: &Cell) -> Result<Inside<Vec<UsbDevice>>, CheckError> {
    Ok(cell.system().usb().await?)
}

/// Whether the guest has the device.
fn there(all: &[UsbDevice]) -> bool {
    all.iter().any(|device| device.serial == USB_ID)
}

check! {
    /// A USB device that is plugged in is enumerated, and is gone after it was taken out.
    pub USB = "hot.usb", tier: Reversible,
        needs: [
            Need::Host(Capability::HotplugUsb),
            Need::Driver("xhci"),
            Need::Facet(FacetKind::Hotplug),
            Need::Events(EventClass::Removal),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::Attach)),
        lives: [USB_MIGRATED = MIGRATE];
    async fn usb(cell) {
        for name in ["xhci", "usb-input"] {
            cell.system().load_driver(name).await?;
        }
        // Drivers that still ask a device that is gone wait for each answer that never comes, and all who ask the
        // guest about it wait for them: half a minute and more.
        let taken = |all: &Inside<Vec<UsbDevice>>| {
            all.value.iter().any(|device| device.serial == USB_ID && device.taken)
        };
        let before = usb_devices(cell).await?;
        cell.hotplug()?.attach(&Attachment::UsbKeyboard { id: USB_ID.into() }).await?;
        let now = &*cell;
        until(DEVICE, async || usb_devices(now).await, taken).await?;
        cell.live().await?;
        let with = usb_devices(cell).await?;
        let from = cell.events_so_far();
        let is_gone = |kind: &EventKind| matches!(kind, EventKind::DeviceRemoved { id } if id == USB_ID);
        // A host that never had it refuses to take it out, which is an observation.
        let removed = match cell.hotplug()?.detach(USB_ID).await {
            Ok(()) => cell.event(from, "removal", CPU, is_gone).await?.is_some(),
            Err(_) => false,
        };
        let removed = HostSource::Hypervisor.saw(removed);
        let now = &*cell;
        let after = until(DEVICE, async || usb_devices(now).await, |all| !there(&all.value)).await?;
        let still = |device: &UsbDevice| {
            after.value.iter().any(|d| (&d.place, &d.serial) == (&device.place, &device.serial))
        };
        let lost: Vec<String> = before.value.iter().filter(|device| !still(device)).map(name).collect();
        Ok(Observations::of([
            Finding::guest_is("its serial number before it was plugged in", before.as_ref().map(|all| there(all)), false),
            Finding::guest_is("its serial number while it was plugged in", with.as_ref().map(|all| there(all)), true),
            Finding::each("taken out: still there, and seen to go", after.as_ref().map(|all| there(all)), false, removed, true),
            Finding::guest_is("other USB devices that went with it", after.as_ref().map(|_| lost), Vec::<String>::new()),
        ]))
    }
}

/// A device, for a person.
fn name(device: &UsbDevice) -> String {
    format!("{} at {}", device.serial.escape_default(), device.place.escape_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_system_has_to_bring_online_by_itself_what_is_plugged_in() {
        let table = hospitium_model::Expectations::from_toml(crate::EXPECTATIONS).expect("reads");
        for check in ["hot.vcpu", "mem.hot-add"] {
            let rows =
                table.expect.iter().filter(|row| row.check == check && row.what == BY_ITSELF);
            let values: Vec<&Value> = rows.map(|row| &row.value).collect();
            assert!(!values.is_empty(), "{check}");
            for value in values {
                assert!(!helped(GuestKind::Disk, value).expect("true or false"), "{check}");
                assert!(
                    helped(GuestKind::Kernel, value).expect("the probe is its init"),
                    "{check}"
                );
            }
        }
        helped(GuestKind::Disk, &Value::from("perhaps")).expect_err("neither");
    }
}
