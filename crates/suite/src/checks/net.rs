//! Network: addresses as configured, data unharmed both ways, links that go and come.

use std::time::{Duration, Instant};

use hospitium_host::alter;
use hospitium_model::{Digest, Finding, Nic, Observations, Pattern, Value};
use hospitium_peer::{
    ECHO_PORT, Peer, PeerError, PeerOptions, SINK_PORT, SOURCE_PORT, Service, Source,
};
use hospitium_system::{OwnedReply, Session, SessionError};
use hospitium_wire::Request;

use super::disks::{PAUSE, SETTLE, text_if_there};
use super::read;
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&MAC_IP, &TRANSFER_INTEGRITY];

/// How long an echo may take. The peer is on the same machine; a guest that is emulated beside
/// many others may need a good part of a second.
pub const ECHO: Duration = Duration::from_secs(3);

check! {
    /// The guest's network interface has the MAC address that is configured, and its frames carry that
    /// address and the IPv4 address that the interface has.
    pub MAC_IP = "net.mac-ip", tier: Reversible, needs: [Need::Device(device::NIC)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.nics, |nics| {
                nics.iter_mut().for_each(|nic| nic.mac = "52:54:00:00:00:00".into());
            });
        }));
    async fn mac_ip(cell) {
        let nic = configured(cell, device::NIC)?;
        let host = cell.look().await?.nics?.value.into_iter().find(|seen| seen.id == nic.id);
        let host = host.map_or_else(|| "none".to_owned(), |seen| seen.mac.to_lowercase());
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = interface(&cell.guest, &nic).await? else {
            return Ok(absent(&nic, &host));
        };
        bring_up(&cell.guest, &name, &options, 0).await?;
        let answered = echo(&cell.guest, &options, 64, cell.pattern(0)).await?;
        let pinged = ping(cell.peer().await?, &options).await?;
        let mac = text_if_there(&cell.guest, &format!("/sys/class/net/{name}/address")).await?;
        let mac = mac.unwrap_or_default();
        let stats = cell.peer().await?.stats();
        let on_cable: Vec<Value> = stats.guest_macs.keys().map(|m| m.to_string().into()).collect();
        let addresses: Vec<Value> =
            stats.guest_addresses.iter().map(|a| a.to_string().into()).collect();
        let mut seen = Observations::of([
            Finding::same_as("MAC address", mac.as_str(), host, nic.mac.to_lowercase()),
            Finding::same_as("the other side answered an echo", answered, pinged, true),
            Finding::same("MAC addresses on the cable", vec![Value::from(mac)], on_cable),
            Finding::guest_subset("IPv4 address", vec![Value::from(options.guest.to_string())], addresses),
        ]);
        seen.note("the probe has no DHCP client: the address was set, and the peer saw it in ARP and UDP");
        for lease in &stats.leases {
            seen.note(format!("the guest itself took a lease: {} for {}", lease.address, lease.mac));
        }
        Ok(seen)
    }
}

check! {
    /// Data goes through the network unharmed in both directions, and both ends count it alike.
    pub TRANSFER_INTEGRITY = "net.transfer-integrity", tier: Reversible,
        needs: [Need::Device(device::NIC)],
        fault: Fault::Guest(|request, reply| {
            if let (Request::TcpReceive { .. }, OwnedReply::Digest(done)) = (request, reply) {
                done.digest = Digest::of(b"seeded fault");
            }
        });
    async fn transfer_integrity(cell) {
        let nic = configured(cell, device::NIC)?;
        let length = (cell.expect_number("MiB each way")? as u64).clamp(1, 4096) << 20;
        let (out, back) = (cell.pattern(0), cell.pattern(1));
        let options = PeerOptions::default();
        let source = Source { pattern: back, length };
        cell.peer().await?.set_source(source).await.map_err(peer_error)?;
        let Some(name) = interface(&cell.guest, &nic).await? else {
            return Ok(absent(&nic, &nic.mac));
        };
        bring_up(&cell.guest, &name, &options, 0).await?;
        let peer = options.address.octets();
        let before = (counters(&cell.guest, &name).await?, cell.peer().await?.stats());
        let sent = cell.guest.tcp_send((peer, SINK_PORT), length, out.seed()).await?;
        let received = cell.guest.tcp_receive((peer, SOURCE_PORT), length).await?;
        let peer = cell.peer().await?;
        let sunk = digest_at_peer(peer, Service::Sink).await?;
        let sourced = digest_at_peer(peer, Service::Source).await?;
        peer.settle().await.map_err(peer_error)?;
        let stats = peer.stats();
        let after = (counters(&cell.guest, &name).await?, stats);
        let sent_here = (after.0.0 - before.0.0) as f64;
        let got_there = (after.1.bytes_from_guest - before.1.bytes_from_guest) as f64;
        let got_here = (after.0.1 - before.0.1) as f64;
        let sent_there = (after.1.bytes_to_guest - before.1.bytes_to_guest) as f64;
        // Interfaces count frames with or without their check sequence (4 of at least 60 bytes), and
        // an acknowledgement may be under way.
        let slack = 0.07 * length as f64;
        let mut seen = Observations::of([
            Finding::same_as("digest, guest to peer", sent.digest, sunk, out.digest(length)),
            Finding::same_as("digest, peer to guest", received.digest, sourced, back.digest(length)),
            Finding::within("bytes from the guest, headers included", "B", sent_here, got_there, slack),
            Finding::within("bytes to the guest, headers included", "B", got_here, sent_there, slack),
            Finding::host_is("frames with wrong checksums", after.1.checksums_wrong, 0),
        ]);
        seen.note(format!(
            "{} MiB each way, out in {:.2} s, back in {:.2} s",
            length >> 20,
            sent.took.as_secs_f64(),
            received.took.as_secs_f64()
        ));
        Ok(seen)
    }
}

/// Bytes that the guest has counted on an interface: sent and received.
async fn counters(guest: &Session, name: &str) -> Result<(u64, u64), CheckError> {
    let mut both = [0; 2];
    for (count, which) in both.iter_mut().zip(["tx_bytes", "rx_bytes"]) {
        let file = format!("/sys/class/net/{name}/statistics/{which}");
        let text = text_if_there(guest, &file).await?.unwrap_or_default();
        *count = text.parse().map_err(|_| CheckError::unreadable(&file, &text))?;
    }
    Ok((both[0], both[1]))
}

/// Digest of the first connection to a service as the peer has it, `none` if it did not end well.
async fn digest_at_peer(peer: &Peer, service: Service) -> Result<String, CheckError> {
    match peer.transfer_done(service, 0, SETTLE).await {
        Ok((_, transfer)) => Ok(transfer.digest().map_or_else(|| "none".into(), |d| d.to_string())),
        Err(PeerError::TimedOut { .. }) => Ok("none".into()),
        Err(other) => Err(peer_error(other)),
    }
}

/// The interface in the specification.
pub fn configured(cell: &Cell, id: &str) -> Result<Nic, CheckError> {
    cell.spec().nic(id).cloned().ok_or_else(|| {
        CheckError::Peer(format!("the machine has no interface {id:?}, which the check needs"))
    })
}

/// What a check reports when the guest does not have an interface that the host does.
pub fn absent(nic: &Nic, host: &str) -> Observations {
    Observations::of([Finding::same_as("MAC address", "none", host, nic.mac.as_str())])
}

/// The guest's name of an interface, by its MAC address; waits for it. `None` if it does not come
/// in time, which is an observation.
pub async fn interface(guest: &Session, nic: &Nic) -> Result<Option<String>, CheckError> {
    let until = Instant::now() + SETTLE;
    loop {
        for name in
            read::names(guest, "/sys/class/net").await?.into_iter().filter(|n| is_interface(n))
        {
            let file = format!("/sys/class/net/{name}/address");
            let mac = text_if_there(guest, &file).await?;
            if mac.is_some_and(|mac| mac.eq_ignore_ascii_case(&nic.mac)) {
                return Ok(Some(name));
            }
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Gives the interface the guest's address at this peer and waits for its carrier: adapters that negotiate
/// (e1000, e1000e, rtl8139) lose what is sent before. An MTU of 0 leaves it as it is. A carrier that does not come
/// is left to whoever then sends.
pub async fn bring_up(
    guest: &Session,
    name: &str,
    peer: &PeerOptions,
    mtu: u32,
) -> Result<(), CheckError> {
    guest.net_up(name, peer.guest.octets(), peer.prefix, mtu).await?;
    carrier(guest, name, true).await?;
    Ok(())
}

/// The carrier as the guest sees it, as soon as it is what is wanted, else after the time.
pub async fn carrier(guest: &Session, name: &str, wanted: bool) -> Result<bool, CheckError> {
    let until = Instant::now() + SETTLE;
    loop {
        let text = text_if_there(guest, &format!("/sys/class/net/{name}/carrier")).await?;
        let there = text.as_deref() == Some("1");
        if there == wanted || Instant::now() >= until {
            return Ok(there);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Linux's names of interfaces have at most 15 bytes.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// True if a datagram of the pattern came back from the peer unharmed.
pub async fn echo(
    guest: &Session,
    peer: &PeerOptions,
    length: u32,
    pattern: Pattern,
) -> Result<bool, CheckError> {
    let to = (peer.address.octets(), ECHO_PORT);
    match guest.udp_echo(to, length, pattern.seed(), ECHO).await {
        Ok(done) => {
            let wanted = pattern.digest(u64::from(length));
            Ok(done.digest == wanted)
        }
        // No answer, no route, no link: the guest says so with an errno.
        Err(SessionError::Guest { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// True if the guest answers the peer's ICMP echo.
pub async fn ping(peer: &Peer, options: &PeerOptions) -> Result<bool, CheckError> {
    match peer.ping(options.guest, 56, ECHO).await {
        Ok(_) => Ok(true),
        Err(PeerError::TimedOut { .. }) => Ok(false),
        Err(other) => Err(peer_error(other)),
    }
}

/// The peer is part of the harness: what fails there says nothing about the pair.
pub fn peer_error(error: PeerError) -> CheckError {
    CheckError::Peer(error.to_string())
}
