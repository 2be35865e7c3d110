//! Lifecycle: pause, save, revert, migrate.

use std::time::{Duration, Instant};

use hospitium_host::{MachineState, PowerVerb};
use hospitium_model::{Capability, Digest, Finding, Observations};
use hospitium_peer::{ECHO_PORT, PeerOptions};
use hospitium_system::{OwnedReply, SessionError};
use hospitium_wire::{Flags, Request};

use super::disks::{self, Range, Write};
use super::net;
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&PAUSE_RESUME, &SAVE_RESTORE, &SNAPSHOT_REVERT, &MIGRATE_LIVE];

/// Bytes at the start of the scratch disk that are written and must be undone.
const LENGTH: u64 = 1 << 20;

const RANGE: Range = Range { offset: 0, length: LENGTH };

/// Memory that must survive.
const HELD: u64 = 8 << 20;
const SLOT: u8 = 1;

/// Fault: the memory that the guest holds is another afterwards.
fn another_memory(request: &Request<'_>, reply: &mut OwnedReply) {
    if let (Request::MemoryDigest { .. }, OwnedReply::Digest(done)) = (request, reply) {
        done.digest = Digest::of(b"another");
    }
}

/// Opens a connection to the other end of the cable and shows that it is alive.
async fn open_session(cell: &mut Cell) -> Result<bool, CheckError> {
    let options = PeerOptions::default();
    cell.peer().await?;
    let nic = net::configured(cell, device::NIC)?;
    let Some(name) = net::interface(&cell.guest, &nic).await? else {
        return Ok(false);
    };
    net::bring_up(&cell.guest, &name, &options, 0).await?;
    cell.guest.tcp_open(SLOT, (options.address.octets(), ECHO_PORT)).await?;
    exchange(cell, b"before").await
}

/// True if the kept connection returns what is sent on it.
async fn exchange(cell: &mut Cell, words: &[u8]) -> Result<bool, CheckError> {
    let answer = cell.guest.tcp_exchange(SLOT, words, Duration::from_secs(20)).await;
    Ok(answer.is_ok_and(|bytes| bytes == words))
}

check! {
    /// A process, its memory and its TCP connection survive a pause.
    pub PAUSE_RESUME = "life.pause-resume", tier: Reversible, needs: [Need::Device(device::NIC)],
        fault: Fault::Seam(SeamFault::Ignore(Call::Power(PowerVerb::Pause)));
    async fn pause_resume(cell) {
        let opened = open_session(cell).await?;
        let pattern = cell.pattern(0);
        cell.guest.memory_fill(0, HELD, pattern.seed()).await?;
        cell.power(PowerVerb::Pause).await?;
        let paused = cell.look().await?.state?.value;
        cell.power(PowerVerb::Resume).await?;
        let running = cell.look().await?.state?.value;
        let memory = cell.guest.memory_digest(0).await?;
        let alive = exchange(cell, b"after the pause").await?;
        Ok(Observations::of([
            Finding::same("memory held", memory.digest, pattern.digest(HELD)),
            Finding::guest_is("the TCP connection answers, before and after", opened && alive, true),
            Finding::host_is("state in between", format!("{paused:?}"), format!("{:?}", MachineState::Paused)),
            Finding::host_is("state afterwards", format!("{running:?}"), format!("{:?}", MachineState::Running)),
        ]))
    }
}

check! {
    /// A machine that is saved to files and restored in a new process goes on where it was.
    pub SAVE_RESTORE = "life.save-restore", tier: Disruptive, needs: [Need::Host(Capability::Snapshot)],
        fault: Fault::Guest(another_memory);
    async fn save_restore(cell) {
        let pattern = cell.pattern(0);
        cell.guest.memory_fill(0, HELD, pattern.seed()).await?;
        let uptime = cell.guest.clock().await?.monotonic_ns;
        let before = cell.process().await?.pid?.value;
        cell.save_and_restore(Duration::ZERO).await?;
        let after = cell.process().await?.pid?.value;
        let memory = cell.guest.memory_digest(0).await?;
        let later = cell.guest.clock().await?.monotonic_ns;
        Ok(Observations::of([
            Finding::same("memory held", memory.digest, pattern.digest(HELD)),
            Finding::guest_is("the clock went on from where it was", later > uptime, true),
            Finding::host_is("a new VM process", before != after, true),
        ]))
    }
}

check! {
    /// Going back to a snapshot undoes what was written to memory and to disk.
    pub SNAPSHOT_REVERT = "life.snapshot-revert", tier: Disruptive,
        needs: [Need::Host(Capability::Snapshot), Need::Device(device::SCRATCH)],
        fault: Fault::StaleClone;
    async fn snapshot_revert(cell) {
        let marker = "/tmp/hospitium-marker";
        let how = Flags { create: true, ..Flags::default() };
        cell.guest.write_file(marker, b"here", how).await?;
        let scratch = disks::configured(cell, device::SCRATCH)?;
        let Some(disk) = disks::find(cell, &scratch).await? else {
            return disks::absent(cell, &scratch).await;
        };
        let pattern = cell.pattern(0);
        let written = disks::write(&cell.guest, &disk, RANGE, pattern, Write::Flushed).await?;
        let mut reverted = if cell.is_stale() { None } else { Some(cell.another_clone().await?) };
        let now = reverted.as_mut().unwrap_or(cell);
        let gone = now.guest.read_file(marker, 64).await.is_err();
        let guest = disks::reread(&now.guest, &disk, RANGE).await?.digest;
        let host = now.cut_and_read(device::SCRATCH).await?.digest(0, LENGTH)?;
        if let Some(reverted) = reverted {
            reverted.finish().await?;
        }
        let base = Digest::of(&vec![0; LENGTH as usize]);
        Ok(Observations::of([
            Finding::guest_is("written before going back", written.digest, pattern.digest(LENGTH)),
            Finding::guest_is("marker file is gone", gone, true),
            Finding::same_as("disk content", guest, host, base),
        ]))
    }
}

check! {
    /// A running machine moves to another process; its memory and its TCP connection survive.
    pub MIGRATE_LIVE = "life.migrate-live", tier: SecondHost,
        needs: [Need::Host(Capability::LiveMigration), Need::Device(device::NIC)],
        fault: Fault::Seam(SeamFault::Downtime(Duration::from_secs(3600))), limit: 120 s;
    async fn migrate_live(cell) {
        let opened = open_session(cell).await?;
        let pattern = cell.pattern(0);
        cell.guest.memory_fill(0, HELD, pattern.seed()).await?;
        let most = cell.expect_number("downtime-ms")?;
        let before = cell.process().await?.pid?.value;
        let begun = Instant::now();
        let downtime = cell.migrate().await?;
        let took = begun.elapsed();
        let memory = match cell.guest.memory_digest(0).await {
            Err(SessionError::NoAnswer { .. }) => None,
            other => Some(other?.digest),
        };
        let Some(memory) = memory else {
            // Moved and dead: that is what there is to see.
            let mut seen = Observations::of([
                Finding::guest_is("the guest answers after the migration", false, true),
                Finding::host_is("the migration was completed", true, true),
            ]);
            for line in &cell.console.last_lines(12).0 {
                seen.note(format!("the console's end: {line}"));
            }
            return Ok(seen);
        };
        let alive = exchange(cell, b"after the migration").await?;
        let process = cell.process().await?;
        let source_gone = !cell.lab().host().witness()?.has_process(before).await?.value;
        let mut seen = Observations::of([
            Finding::same("memory held", memory, pattern.digest(HELD)),
            Finding::guest_is("the TCP connection answers, before and after", opened && alive, true),
            Finding::host_is("another VM process", process.pid?.value != before, true),
            Finding::host_is("the source is gone", source_gone, true),
            Finding::host_between("downtime", "ms", downtime.as_secs_f64() * 1e3, 0.0, most),
        ]);
        seen.note(format!("the whole migration took {} ms", took.as_millis()));
        Ok(seen)
    }
}
