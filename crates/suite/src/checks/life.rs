//! Lifecycle: pause, save, revert, migrate.

use std::time::Duration;

use hospitium_host::{MachineState, PowerVerb};
use hospitium_model::{
    Capability, Digest, Finding, GuestSource, HostSource, Inside, Observations, Outside,
};
use hospitium_peer::{ECHO_PORT, PeerOptions, Service};
use hospitium_system::tap::Asked;
use hospitium_system::{SessionError, Span, Write};
use serde_json::Value as Json;

use super::clk_jump::away;
use super::{disks, net};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&PAUSE_RESUME, &SAVE_RESTORE, &SNAPSHOT_REVERT, &MIGRATE_LIVE];

/// The start of the scratch disk, which is written and must be undone.
const SPAN: Span = Span { offset: 0, length: 1 << 20 };

/// Memory that must survive.
const HELD: u64 = 8 << 20;
/// Where the probe keeps it, and the connection.
const SLOT: u8 = 1;

/// How long an answer over the connection may take.
const EXCHANGE: Duration = Duration::from_secs(20);

/// Fault: the memory that the guest holds is another afterwards.
fn another_memory(_: &Asked, told: &mut Json) {
    *told = Digest::of(b"another").to_string().into();
}

/// A TCP connection from the guest to the other end of its cable, which sends back what it gets.
struct Connection {
    /// Bytes that came back unharmed.
    back: u64,
}

impl Connection {
    /// Opens one and uses it once. None if the guest does not have the interface.
    async fn open(cell: &mut Cell) -> Result<Option<Self>, CheckError> {
        let options = PeerOptions::default();
        cell.peer().await?;
        let nic = net::configured(cell, device::NIC)?;
        let Some(name) = net::interface(cell, &nic).await? else {
            return Ok(None);
        };
        net::bring_up(cell, &name, &options, 0).await?;
        cell.system().tcp_open(SLOT, (options.address.octets(), ECHO_PORT)).await?;
        let mut connection = Self { back: 0 };
        connection.exchange(cell, b"before").await?;
        Ok(Some(connection))
    }

    /// Sends words and waits for them to come back.
    async fn exchange(&mut self, cell: &Cell, words: &[u8]) -> Result<(), CheckError> {
        let answer = cell.system().tcp_exchange(SLOT, words, EXCHANGE).await?.value;
        if answer.is_some_and(|answer| answer == words) {
            self.back += words.len() as u64;
        }
        Ok(())
    }

    /// Both ends have seen all `words`, and on one connection.
    async fn judge(&self, cell: &mut Cell, words: &[&[u8]]) -> Result<Finding, CheckError> {
        let peer = cell.peer().await?;
        let echoed = peer.transfers().await?.into_iter().filter(|t| t.service == Service::Echo);
        let echoed: Vec<u64> = echoed.map(|transfer| transfer.received).collect();
        let back = GuestSource::Device.saw(vec![self.back]);
        let all: u64 = words.iter().map(|words| words.len() as u64).sum();
        let what = "bytes over the TCP connection, before and after, one number a connection";
        Ok(Finding::same_as(what, back, HostSource::Wire.saw(echoed), vec![all]))
    }
}

/// What a check reports when the guest does not have its interface.
fn no_interface() -> Observations {
    let there = GuestSource::Kernel.saw(false);
    Observations::of([Finding::guest_is("its network interface is there", there, true)])
}

/// Number of the VM process.
async fn process(cell: &Cell) -> Result<Outside<u32>, CheckError> {
    Ok(cell.process().await?.pid?)
}

/// The guest goes on in the boot that it was in, and its machine in another process.
async fn same_boot(
    cell: &Cell,
    boot: &Inside<String>,
    before: Outside<u32>,
) -> Result<Finding, CheckError> {
    let goes_on = cell.system().boot_id().await?.map(|now| now == boot.value);
    let moved = process(cell).await?.map(|now| now != before.value);
    Ok(Finding::each(
        "it goes on in the same boot, in another VM process",
        goes_on,
        true,
        moved,
        true,
    ))
}

check! {
    /// A process, its memory and its TCP connection survive a pause.
    pub PAUSE_RESUME = "life.pause-resume", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Facet(FacetKind::Wires), Need::Sight(SightKind::State)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Pause)));
    async fn pause_resume(cell) {
        let Some(mut connection) = Connection::open(cell).await? else { return Ok(no_interface()) };
        let pattern = cell.pattern(0);
        cell.system().hold(SLOT, HELD, pattern).await?;
        let (away, paused) = away(cell, false, async |cell| Ok(cell.look().await?.state?)).await?;
        let running = cell.look().await?.state?;
        let memory = cell.system().held(SLOT).await?;
        connection.exchange(cell, b"after the pause").await?;
        let state = |state: Outside<MachineState>| state.map(|state| format!("{state:?}"));
        let mut seen = Observations::of(away.judge(cell)?);
        seen.push(connection.judge(cell, &[b"before", b"after the pause"]).await?);
        seen.push(Finding::guest_is("memory held", memory, pattern.digest(HELD)));
        seen.push(Finding::host_is("state in between", state(paused), format!("{:?}", MachineState::Paused)));
        seen.push(Finding::host_is("state afterwards", state(running), format!("{:?}", MachineState::Running)));
        seen.note(away.note());
        Ok(seen)
    }
}

check! {
    /// A machine that is saved to files and restored in a new process goes on where it was.
    pub SAVE_RESTORE = "life.save-restore", tier: Disruptive,
        needs: [
            Need::Host(Capability::Snapshot),
            Need::Facet(FacetKind::Saving),
            Need::Facet(FacetKind::Cloning),
            Need::Facet(FacetKind::Confinement), Need::Sight(SightKind::Process),
        ],
        fault: Fault::Guest("held", another_memory);
    async fn save_restore(cell) {
        let pattern = cell.pattern(0);
        cell.system().hold(SLOT, HELD, pattern).await?;
        let boot = cell.system().boot_id().await?;
        let uptime = cell.system().clock().await?.value.monotonic_ns;
        let before = process(cell).await?;
        cell.save_and_restore(Duration::ZERO).await?;
        let memory = cell.system().held(SLOT).await?;
        let later = cell.system().clock().await?.map(|clock| clock.monotonic_ns > uptime);
        Ok(Observations::of([
            same_boot(cell, &boot, before).await?,
            Finding::guest_is("memory held", memory, pattern.digest(HELD)),
            Finding::guest_is("the clock went on from where it was", later, true),
        ]))
    }
}

check! {
    /// Going back to a snapshot undoes what was written to memory and to disk.
    pub SNAPSHOT_REVERT = "life.snapshot-revert", tier: Disruptive,
        needs: [
            Need::Host(Capability::Snapshot),
            Need::Clones,
            Need::Device(device::SCRATCH),
            Need::Facet(FacetKind::Media),
        ],
        fault: Fault::StaleClone;
    async fn snapshot_revert(cell) {
        const MARKER: &str = "hospitium-marker";
        cell.system().put(MARKER, b"here").await?;
        let scratch = disks::configured(cell, device::SCRATCH)?;
        let Some(disk) = disks::find(cell, &scratch).await? else {
            return disks::absent(cell, &scratch).await;
        };
        let disk = hospitium_system::GuestDisk { name: disk.name, path: disk.path, serial: None };
        let pattern = cell.pattern(0);
        let written = cell.system().write(&disk, SPAN, pattern, Write::Flushed).await?;
        let written = written.map(|done| done.digest);
        let medium = cell.media()?.medium(device::SCRATCH).await?;
        let medium = disks::on_medium(cell, &medium, SPAN).await?;
        let mut reverted = if cell.is_stale() { None } else { Some(cell.another_clone().await?) };
        let now = reverted.as_mut().unwrap_or(cell);
        let gone = now.system().get(MARKER).await?.map(|content| content.is_none());
        let guest = now.system().read_back(&disk, SPAN).await?.map(|done| done.digest);
        let medium_now = now.cut_and_read(device::SCRATCH).await?;
        let host = disks::on_medium(now, &medium_now, SPAN).await?;
        if let Some(reverted) = reverted {
            reverted.finish().await?;
        }
        let base = Digest::of(&vec![0; SPAN.length as usize]);
        Ok(Observations::of([
            Finding::same_as("disk content before going back", written, medium, pattern.digest(SPAN.length)),
            Finding::same_as("disk content afterwards", guest, host, base),
            Finding::guest_is("the file made before is gone", gone, true),
        ]))
    }
}

check! {
    /// A running machine moves to another process; its memory and its TCP connection survive.
    pub MIGRATE_LIVE = "life.migrate-live", tier: SecondHost,
        needs: [
            Need::Host(Capability::LiveMigration),
            Need::Device(device::NIC),
            Need::Facet(FacetKind::Moving),
            Need::Facet(FacetKind::Wires),
            Need::Facet(FacetKind::Confinement), Need::Sight(SightKind::Process),
        ],
        fault: Fault::Seam(SeamFault::Downtime(Duration::from_secs(3600))), limit: 120 s;
    async fn migrate_live(cell) {
        let Some(mut connection) = Connection::open(cell).await? else { return Ok(no_interface()) };
        let pattern = cell.pattern(0);
        cell.system().hold(SLOT, HELD, pattern).await?;
        let boot = cell.system().boot_id().await?;
        let most = cell.expect_number("downtime-ms")?;
        let before = process(cell).await?;
        let begun = cell.now().await?.monotonic;
        let moved = cell.migrate().await?;
        let took = cell.now().await?.monotonic.saturating_sub(begun);
        let memory = match cell.system().held(SLOT).await.map_err(CheckError::from) {
            Err(CheckError::Session(SessionError::NoAnswer { .. })) => {
                // Moved and dead: that is what there is to see.
                let answers = GuestSource::Kernel.saw(false);
                let mut seen = Observations::of([Finding::guest_is("it answers after the migration", answers, true)]);
                for line in &cell.console.last_lines(12).0 {
                    seen.note(format!("the console's end: {line}"));
                }
                return Ok(seen);
            }
            memory => memory?,
        };
        connection.exchange(cell, b"after the migration").await?;
        let downtime = HostSource::Hypervisor.saw(moved.downtime.as_secs_f64() * 1e3);
        let mut seen = Observations::of([
            connection.judge(cell, &[b"before", b"after the migration"]).await?,
            same_boot(cell, &boot, before).await?,
            Finding::guest_is("memory held", memory, pattern.digest(HELD)),
            Finding::host_between("downtime", "ms", downtime, 0.0, most),
            Finding::recorded("moved").outside(HostSource::Hypervisor.saw(moved.between())),
        ]);
        match cell.lab().host().witness() {
            Ok(system) => match system.has_process(before.value).await {
                Ok(there) => seen.push(Finding::host_is("the source is gone", there.map(|there| !there), true)),
                Err(unseen) => seen.note(format!("whether the source is gone is not seen: {}", unseen.why)),
            },
            Err(unseen) => seen.note(format!("whether the source is gone is not seen: {}", unseen.why)),
        }
        if moved.same_host {
            seen.note("moved to another process on the same host: another host was not tried");
        }
        if moved.same_vmm {
            seen.note("moved to the same build of the hypervisor: another version was not tried");
        }
        seen.note(format!("the whole migration took {} ms", took.as_millis()));
        Ok(seen)
    }
}
