//! Network: addresses as configured, data unharmed both ways, links that go and come.

use std::time::Duration;

use hospitium_host::alter;
use hospitium_model::{
    Digest, Finding, HostSource, Inside, Nic, NicModel, Observations, Outside, Pattern, Value,
};
use hospitium_peer::{ECHO_PORT, PeerOptions, PeerStats, SINK_PORT, SOURCE_PORT, Service, Source};
use hospitium_system::Endpoint;

use super::devices::appears;
use super::wait::{SETTLE, until};
use crate::fault::SeamFault;
use crate::{Cable, CableError, Cell, Check, CheckError, FacetKind, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&MAC_IP, &TRANSFER_INTEGRITY];

/// How long an echo may take. The peer is on the same machine; a guest that is emulated beside
/// many others may need a good part of a second.
pub const ECHO: Duration = Duration::from_secs(3);

/// Slot of the connection whose ends are compared.
const SLOT: u8 = 7;

check! {
    /// The guest's network interface has the MAC address that is configured, and its frames carry that
    /// address and the IPv4 address that the interface has.
    pub MAC_IP = "net.mac-ip", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Facet(FacetKind::Wires)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.nics, |nics| {
                nics.iter_mut().for_each(|nic| nic.mac = "52:54:00:00:00:00".into());
            });
        }));
    async fn mac_ip(cell) {
        let nic = configured(cell, device::NIC)?;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some((name, answered)) = at_cable(cell, &nic, &options).await? else {
            return absent(cell, &nic).await;
        };
        let pinged = ping(cell.peer().await?, &options).await?;
        if !answered.value {
            // Nothing gets through: that is what there is to see.
            let what = "the other side answered an echo";
            return Ok(Observations::of([Finding::same_as(what, answered, pinged, true)]));
        }
        let mac = cell.system().mac(&name).await?;
        let echo = at(&options, ECHO_PORT);
        cell.system().tcp_open(SLOT, echo).await?;
        let own_end = cell.system().local_end(echo).await?.map(end_text);
        let peer = cell.peer().await?;
        let ends = async || Ok(peer.transfers().await?.iter().filter(|t| t.service == Service::Echo).map(|t| t.guest).next_back());
        let seen_end = until(SETTLE, ends, Option::is_some).await?;
        let seen_end = seen_end.map(|end| (end.ip().octets(), end.port()));
        let stats = peer.stats().await?;
        let on_cable: Value = stats.guest_macs.keys().map(ToString::to_string).collect();
        let mut seen = Observations::of([
            mac_address(cell, &nic, mac.clone()).await?,
            Finding::same("MAC addresses on the cable", mac.map(|mac| vec![mac]), HostSource::Wire.saw(on_cable)),
            Finding::same_as("the other side answered an echo", answered, pinged, true),
            Finding::same("the guest's end of a connection", own_end, HostSource::Wire.saw(end_text(seen_end))),
        ]);
        seen.note("the probe has no DHCP client: it set the address");
        for lease in &stats.leases {
            seen.note(format!("the guest itself took a lease: {} for {}", lease.address, lease.mac));
        }
        Ok(seen)
    }
}

/// `10.0.0.2:4711`, or `none`.
fn end_text(end: Option<Endpoint>) -> String {
    end.map_or_else(
        || "none".to_owned(),
        |(address, port)| format!("{}:{port}", std::net::Ipv4Addr::from(address)),
    )
}

/// The interface that is at the cable, by nothing but that it can be reached there, with whether it can. None if
/// the guest has no interface.
async fn at_cable(
    cell: &Cell,
    nic: &Nic,
    options: &PeerOptions,
) -> Result<Option<(String, Inside<bool>)>, CheckError> {
    let look = async || {
        let names = cell.system().interfaces().await?.value;
        Ok((!names.is_empty()).then_some(names))
    };
    let names = appears(cell, driver(nic.model), look).await?.unwrap_or_default();
    let mut last = None;
    for name in names {
        bring_up(cell, &name, options, 0).await?;
        let answered = echo(cell, options, 64, cell.pattern(0)).await?;
        if answered.value {
            return Ok(Some((name, answered)));
        }
        cell.system().down(&name).await?;
        last = Some((name, answered));
    }
    Ok(last)
}

check! {
    /// Data goes through the network unharmed in both directions, and both ends count it alike.
    pub TRANSFER_INTEGRITY = "net.transfer-integrity", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Facet(FacetKind::Wires)],
        fault: Fault::Guest("tcp_receive", |_, told| {
            told["digest"] = Digest::of(b"seeded fault").to_string().into();
        });
    async fn transfer_integrity(cell) {
        let nic = configured(cell, device::NIC)?;
        let length = (cell.expect_number("MiB each way")? as u64).clamp(1, 4096) << 20;
        let (out, back) = (cell.pattern(0), cell.pattern(1));
        let options = PeerOptions::default();
        let source = Source { pattern: back, length };
        cell.peer().await?.set_source(source).await?;
        let Some(name) = interface(cell, &nic).await? else {
            return absent(cell, &nic).await;
        };
        bring_up(cell, &name, &options, 0).await?;
        let before = (cell.system().counters(&name).await?.value, stats(cell).await?);
        let sent = cell.system().tcp_send(at(&options, SINK_PORT), length, out).await?;
        let received = cell.system().tcp_receive(at(&options, SOURCE_PORT), length).await?;
        let peer = cell.peer().await?;
        let sunk = digest_at_peer(peer, Service::Sink).await?;
        let sourced = digest_at_peer(peer, Service::Source).await?;
        let after = (cell.system().counters(&name).await?, stats(cell).await?);
        let here = after.0;
        let sent_here = here.source.saw(counted(before.0.sent, here.value.sent)? as f64);
        let got_here = here.source.saw(counted(before.0.received, here.value.received)? as f64);
        let moved = |of: fn(&PeerStats) -> u64| {
            counted(of(&before.1), of(&after.1)).map(|count| HostSource::Wire.saw(count as f64))
        };
        let (got_there, sent_there) = (moved(|peer| peer.bytes_from_guest)?, moved(|peer| peer.bytes_to_guest)?);
        // Interfaces count frames with or without their check sequence (4 of at least 60 bytes), and
        // an acknowledgement may be under way.
        let slack = 0.07 * length as f64;
        let wrong = HostSource::Wire.saw(after.1.checksums_wrong);
        let mut seen = Observations::of([
            Finding::same_as("digest, guest to peer", sent.map(|done| done.digest), sunk, out.digest(length)),
            Finding::same_as("digest, peer to guest", received.map(|done| done.digest), sourced, back.digest(length)),
            Finding::within("bytes from the guest, headers included", "B", sent_here, got_there, slack),
            Finding::within("bytes to the guest, headers included", "B", got_here, sent_there, slack),
            Finding::host_is("frames with wrong checksums", wrong, 0),
        ]);
        seen.note(format!(
            "{} MiB each way, out in {:.2} s, back in {:.2} s",
            length >> 20,
            sent.value.took.as_secs_f64(),
            received.value.took.as_secs_f64()
        ));
        Ok(seen)
    }
}

/// What a counter counted between two readings.
///
/// # Errors
/// It ran backwards, so that it counts nothing.
pub fn counted(before: u64, after: u64) -> Result<u64, CheckError> {
    after.checked_sub(before).ok_or_else(|| {
        CheckError::unreadable("a counter", &format!("{after}, after it was {before}"))
    })
}

/// What the peer has seen, all that is under way included.
pub async fn stats(cell: &mut Cell) -> Result<PeerStats, CheckError> {
    Ok(cell.peer().await?.stats().await?)
}

/// Digest of the first connection to a service as the peer has it, `none` if it did not end well.
async fn digest_at_peer(peer: &Cable, service: Service) -> Result<Outside<String>, CheckError> {
    let digest = match peer.transfer_done(service, SETTLE).await {
        Ok(transfer) => transfer.digest(),
        Err(CableError::TimedOut(_)) => None,
        Err(other) => return Err(other.into()),
    };
    Ok(HostSource::Wire.saw(digest.map_or_else(|| "none".into(), |digest| digest.to_string())))
}

/// The driver of such an adapter, by its name in `guests/linux-modules.toml`.
pub const fn driver(model: NicModel) -> &'static str {
    match model {
        NicModel::Virtio => "virtio-net",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    }
}

/// The interface in the specification.
pub fn configured(cell: &Cell, id: &str) -> Result<Nic, CheckError> {
    cell.spec().nic(id).cloned().ok_or_else(|| {
        CheckError::Peer(format!("the machine has no interface {id:?}, which the check needs"))
    })
}

/// The MAC address of an interface as the hypervisor has it, in lower case; `none` if it has no such interface.
pub async fn seen_by_host(cell: &Cell, nic: &Nic) -> Result<Outside<String>, CheckError> {
    let nics = cell.look().await?.nics?;
    Ok(nics.map(|nics| {
        let own = nics.into_iter().filter(|seen| seen.id == nic.id);
        let all: Vec<String> = own.map(|seen| seen.mac.to_lowercase()).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(" and ") }
    }))
}

/// The guest's MAC address is the configured one, by the hypervisor's account too where it tells it.
pub async fn mac_address(
    cell: &Cell,
    nic: &Nic,
    mac: Inside<String>,
) -> Result<Finding, CheckError> {
    let configured = nic.mac.to_lowercase();
    match seen_by_host(cell, nic).await {
        Ok(host) => Ok(Finding::same_as("MAC address", mac, host, configured)),
        Err(CheckError::Unable(_)) => Ok(Finding::guest_is("MAC address", mac, configured)),
        Err(other) => Err(other),
    }
}

/// What a check reports when the guest does not have an interface that the host does.
pub async fn absent(cell: &Cell, nic: &Nic) -> Result<Observations, CheckError> {
    let guest = cell.system().interfaces().await?.map(|names| match names.is_empty() {
        true => "none".to_owned(),
        false => format!("only {}", names.join(", ")),
    });
    let wanted = nic.mac.to_lowercase();
    Ok(Observations::of([match seen_by_host(cell, nic).await {
        Ok(host) => Finding::same_as("the interface", guest, host, wanted),
        Err(CheckError::Unable(_)) => Finding::guest_is("the interface", guest, wanted),
        Err(other) => return Err(other),
    }]))
}

/// The guest's name of an interface; waits for it. In a machine with one interface it is the only one there is,
/// else that of its MAC address. None if it does not come in time, which is an observation. A skip if the running
/// guest has no driver for it.
pub async fn interface(cell: &Cell, nic: &Nic) -> Result<Option<String>, CheckError> {
    let look = async || {
        let mut names = cell.system().interfaces().await?.value;
        if let (1, 1) = (cell.spec().nics.len(), names.len()) {
            return Ok(names.pop());
        }
        Ok(cell.system().interface(&nic.mac).await?.value)
    };
    appears(cell, driver(nic.model), look).await
}

/// Gives the interface the guest's address at this peer and waits for its carrier: adapters that negotiate
/// (e1000, e1000e, rtl8139) lose what is sent before. An MTU of 0 leaves it as it is. A carrier that does not come
/// is left to whoever then sends.
pub async fn bring_up(
    cell: &Cell,
    name: &str,
    peer: &PeerOptions,
    mtu: u32,
) -> Result<(), CheckError> {
    cell.system().up(name, peer.guest.octets(), peer.prefix, mtu).await?;
    carrier(cell, name, true).await?;
    Ok(())
}

/// The carrier as the guest sees it, as soon as it is what is wanted, else after the time.
pub async fn carrier(cell: &Cell, name: &str, wanted: bool) -> Result<Inside<bool>, CheckError> {
    let ask = async || Ok(cell.system().carrier(name).await?);
    until(SETTLE, ask, |there| there.value == wanted).await
}

/// A port of the peer.
pub fn at(peer: &PeerOptions, port: u16) -> Endpoint {
    (peer.address.octets(), port)
}

/// True if a datagram of the pattern came back from the peer unharmed.
pub async fn echo(
    cell: &Cell,
    peer: &PeerOptions,
    length: u32,
    pattern: Pattern,
) -> Result<Inside<bool>, CheckError> {
    let back = cell.system().udp_echo(at(peer, ECHO_PORT), length, pattern, ECHO).await?;
    let wanted = pattern.digest(u64::from(length));
    Ok(back.map(|back| back.is_some_and(|done| done.digest == wanted)))
}

/// True if the guest answers the peer's ICMP echo.
pub async fn ping(peer: &Cable, options: &PeerOptions) -> Result<Outside<bool>, CheckError> {
    match peer.ping(options.guest, 56, ECHO).await {
        Ok(_) => Ok(HostSource::Wire.saw(true)),
        Err(CableError::TimedOut(_)) => Ok(HostSource::Wire.saw(false)),
        Err(other) => Err(other.into()),
    }
}
