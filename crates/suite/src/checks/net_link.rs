//! Network: links that go and come, large frames, interfaces that are plugged in.

use std::time::Duration;

use hospitium_host::{Attachment, EventClass};
use hospitium_model::{
    Capability, Finding, HostSource, Inside, Network, Nic, NicModel, Observations, Value,
};
use hospitium_peer::{ECHO_PORT, PeerOptions};

use super::devices::{appears, must_drive, unplug};
use super::net::{
    absent, at, bring_up, carrier, configured, counted, driver, echo, interface, mac_address, ping,
    stats,
};
use super::wait::{SETTLE, until};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&LINK_FLAP, &MTU, &HOT_ADD_REMOVE];

/// Bytes of Ethernet, IPv4 and UDP headers of one frame.
const HEADERS: u64 = 14 + 20 + 8;

check! {
    /// When the cable is pulled the guest sees that the carrier is gone, and when it is back traffic
    /// goes on.
    pub LINK_FLAP = "net.link-flap", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Host(Capability::LinkState), Need::Facet(FacetKind::Wires)],
        fault: Fault::Seam(SeamFault::Ignore(Call::SetLink));
    async fn link_flap(cell) {
        let nic = configured(cell, device::NIC)?;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = interface(cell, &nic).await? else {
            return absent(cell, &nic).await;
        };
        bring_up(cell, &name, &options, 0).await?;
        let mut carriers = Vec::new();
        let mut answers = Vec::new();
        let mut crossed = Vec::new();
        let mut out = 0;
        for (phase, plugged) in [true, false, true].into_iter().enumerate() {
            if phase > 0 {
                cell.wires()?.set_link(&nic.id, plugged).await?;
            }
            carriers.push(carrier(cell, &name, plugged).await?);
            let before = stats(cell).await?.frames_from_guest;
            answers.push(answered(cell, &options, plugged).await?);
            let frames = counted(before, stats(cell).await?.frames_from_guest)?;
            crossed.push(frames > 0);
            out = if plugged { out } else { frames };
        }
        let pinged = ping(cell.peer().await?, &options).await?;
        let steps = || -> Value { [true, false, true].into_iter().collect() };
        Ok(Observations::of([
            Finding::guest_is("carrier before, with the cable out, after", in_order(carriers)?, steps()),
            Finding::same_as(
                "traffic before, with the cable out, after",
                in_order(answers)?,
                HostSource::Wire.saw(crossed),
                steps(),
            ),
            Finding::host_is("frames of the guest while the cable was out", HostSource::Wire.saw(out), 0),
            Finding::host_is("the guest answers an echo afterwards", pinged, true),
        ]))
    }
}

/// Whether the guest gets an answer from the other side. The first datagrams after a link is back may be lost:
/// drivers start their queues anew. So where one is to come, it is tried again for a while.
async fn answered(
    cell: &Cell,
    options: &PeerOptions,
    wanted: bool,
) -> Result<Inside<bool>, CheckError> {
    if wanted {
        let ask = async || echo(cell, options, 256, cell.pattern(0)).await;
        return until(SETTLE, ask, |answered| answered.value).await;
    }
    let limit = Duration::from_millis(300);
    let back = cell.system().udp_echo(at(options, ECHO_PORT), 256, cell.pattern(1), limit).await?;
    Ok(back.map(|back| back.is_some()))
}

/// Several answers as one, all read at one place.
fn in_order(answers: Vec<Inside<bool>>) -> Result<Inside<Vec<bool>>, CheckError> {
    let source = answers.first().map(|first| first.source);
    let source = source.ok_or_else(|| CheckError::unreadable("a list of answers", "empty"))?;
    Ok(source.saw(answers.into_iter().map(|answer| answer.value).collect()))
}

check! {
    /// With a large MTU the guest sends large datagrams in one frame, and they arrive unharmed.
    pub MTU = "net.mtu", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Facet(FacetKind::Wires)],
        fault: Fault::Guest("mtu", |_, told| *told = 1500.into());
    async fn mtu(cell) {
        let nic = configured(cell, device::NIC)?;
        let mtu = cell.expect_number(&format!("MTU on {}", model(nic.model)))? as u32;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = interface(cell, &nic).await? else {
            return absent(cell, &nic).await;
        };
        bring_up(cell, &name, &options, mtu).await?;
        let set = cell.system().mtu(&name).await?;
        let length = mtu.saturating_sub(100);
        let pattern = cell.pattern(0);
        let limit = super::net::ECHO;
        let back = cell.system().udp_echo(at(&options, ECHO_PORT), length, pattern, limit).await?;
        let stats = stats(cell).await?;
        let digest = back.map(|back| back.map_or_else(|| "none".to_owned(), |done| done.digest.to_string()));
        let sent = back.map(|back| back.map_or(0, |done| done.length + HEADERS));
        let wire = HostSource::Wire;
        Ok(Observations::of([
            Finding::guest_is("MTU", set, mtu),
            Finding::guest_is(
                format!("digest of a datagram of {length} bytes that came back"),
                digest,
                pattern.digest(u64::from(length)),
            ),
            Finding::same("longest frame sent", sent, wire.saw(stats.longest_from_guest)).unit("B"),
            Finding::host_is("fragments from the guest", wire.saw(stats.fragments_from_guest), 0),
        ]))
    }
}

/// The model's name in the expectations.
const fn model(model: NicModel) -> &'static str {
    match model {
        NicModel::Virtio => "virtio",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    }
}

check! {
    /// A network interface plugged in while the guest runs appears with its address, carries traffic,
    /// and goes away cleanly.
    pub HOT_ADD_REMOVE = "net.hot-add-remove", tier: Reversible,
        needs: [
            Need::Host(Capability::HotplugNic),
            Need::Driver("virtio-net"),
            Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Wires),
            Need::Events(EventClass::Removal),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::Detach));
    async fn hot_add_remove(cell) {
        let nic = Nic {
            id: "hot-nic".into(),
            model: NicModel::Virtio,
            mac: "52:54:00:48:4f:54".into(),
            network: Network::Harness,
            queues: 0,
        };
        let options = PeerOptions {
            address: [10, 78, 0, 1].into(),
            guest: [10, 78, 0, 2].into(),
            ..PeerOptions::default()
        };
        // Before the look: a driver may find other interfaces that are there already.
        must_drive(cell, driver(nic.model)).await?;
        let before = cell.system().interfaces().await?.value;
        cell.hotplug()?.attach(&Attachment::Nic(nic.clone())).await?;
        let peer = cell.peer_at(&nic.id, options.clone()).await?;
        // The one that is new, by nothing but that it was not there before.
        let look = async || {
            let now = cell.system().interfaces().await?.value;
            Ok(now.into_iter().find(|name| !before.contains(name)))
        };
        let Some(name) = appears(cell, driver(nic.model), look).await? else {
            return absent(cell, &nic).await;
        };
        bring_up(cell, &name, &options, 0).await?;
        let answered = echo(cell, &options, 1024, cell.pattern(0)).await?;
        let pinged = ping(&peer, &options).await?;
        let mac = cell.system().mac(&name).await?;
        let address = mac_address(cell, &nic, mac.clone()).await?;
        let on_cable: Value = peer.stats().await?.guest_macs.keys().map(ToString::to_string).collect();
        cell.system().down(&name).await?;
        let released = unplug(cell, &nic.id).await?;
        let gone = gone(cell, &name, released.value).await?;
        Ok(Observations::of([
            address,
            Finding::same("MAC addresses on the cable", mac.map(|mac| vec![mac]), HostSource::Wire.saw(on_cable)),
            Finding::same_as("the other side answered an echo", answered, pinged, true),
            Finding::same_as("the interface went away", gone, released, true),
        ]))
    }
}

/// Whether the guest no longer lists the interface; waits for it where it was let go of.
async fn gone(cell: &Cell, name: &str, released: bool) -> Result<Inside<bool>, CheckError> {
    let ask = async || Ok(cell.system().has_interface(name).await?.map(|there| !there));
    until(SETTLE, ask, |gone| gone.value || !released).await
}
