//! Network: links that go and come, large frames, interfaces that are plugged in.

use std::time::{Duration, Instant};

use hospitium_host::{Attachment, EventKind};
use hospitium_model::{Capability, Finding, Network, Nic, NicModel, Observations, Value};
use hospitium_peer::{Peer, PeerOptions};
use hospitium_system::{OwnedReply, Session, SessionError};
use hospitium_wire::Request;

use super::disks::{PAUSE, SETTLE, text_if_there};
use super::net::{absent, bring_up, carrier, configured, echo, interface, peer_error, ping};
use super::{load, read};
use crate::fault::{Call, SeamFault};
use crate::{Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&LINK_FLAP, &MTU, &HOT_ADD_REMOVE];

/// Bytes of Ethernet, IPv4 and UDP headers of one frame.
const HEADERS: u32 = 14 + 20 + 8;

check! {
    /// When the cable is pulled the guest sees that the carrier is gone, and when it is back traffic
    /// goes on.
    pub LINK_FLAP = "net.link-flap", tier: Reversible,
        needs: [Need::Device(device::NIC), Need::Host(Capability::LinkState)],
        fault: Fault::Seam(SeamFault::Ignore(Call::SetLink));
    async fn link_flap(cell) {
        let nic = configured(cell, device::NIC)?;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = interface(&cell.guest, &nic).await? else {
            return Ok(absent(&nic, &nic.mac));
        };
        bring_up(&cell.guest, &name, &options, 0).await?;
        let mut carriers = vec![Value::from(carrier(&cell.guest, &name, true).await?)];
        let mut answers = vec![Value::from(echo(&cell.guest, &options, 256, cell.pattern(0)).await?)];
        cell.wires()?.set_link(&nic.id, false).await?;
        carriers.push(carrier(&cell.guest, &name, false).await?.into());
        let peer = cell.peer().await?;
        peer.settle().await.map_err(peer_error)?;
        let before = peer.stats().frames_from_guest;
        let answered = match cell.guest.udp_echo(at(&options), 256, 1, Duration::from_millis(300)).await {
            Ok(_) => true,
            Err(SessionError::Guest { .. }) => false,
            Err(other) => return Err(other.into()),
        };
        answers.push(answered.into());
        let peer = cell.peer().await?;
        peer.settle().await.map_err(peer_error)?;
        let crossed = peer.stats().frames_from_guest - before;
        cell.wires()?.set_link(&nic.id, true).await?;
        carriers.push(carrier(&cell.guest, &name, true).await?.into());
        // The first datagrams after the link is back may be lost: drivers start their queues anew.
        let until = Instant::now() + SETTLE;
        let mut back = echo(&cell.guest, &options, 256, cell.pattern(1)).await?;
        while !back && Instant::now() < until {
            back = echo(&cell.guest, &options, 256, cell.pattern(1)).await?;
        }
        answers.push(back.into());
        let pinged = ping(cell.peer().await?, &options).await?;
        let steps = |a: bool, b: bool, c: bool| Value::List(vec![a.into(), b.into(), c.into()]);
        Ok(Observations::of([
            Finding::guest_is("carrier before, with the cable out, after", Value::List(carriers), steps(true, false, true)),
            Finding::guest_is("echo before, with the cable out, after", Value::List(answers), steps(true, false, true)),
            Finding::host_is("frames of the guest while the cable was out", crossed, 0),
            Finding::host_is("the guest answers an echo afterwards", pinged, true),
        ]))
    }
}

fn at(peer: &PeerOptions) -> ([u8; 4], u16) {
    (peer.address.octets(), hospitium_peer::ECHO_PORT)
}

check! {
    /// With a large MTU the guest sends large datagrams in one frame, and they arrive unharmed.
    pub MTU = "net.mtu", tier: Reversible, needs: [Need::Device(device::NIC)],
        fault: Fault::Reply(|request, reply| {
            if let (Request::ReadFile { path, .. }, OwnedReply::Data(data)) = (request, reply)
                && path.ends_with("/mtu")
            {
                *data = b"1500\n".to_vec();
            }
        });
    async fn mtu(cell) {
        let nic = configured(cell, device::NIC)?;
        let mtu = cell.expect_number(&format!("MTU on {}", model(nic.model)))? as u32;
        let options = PeerOptions::default();
        cell.peer().await?;
        let Some(name) = interface(&cell.guest, &nic).await? else {
            return Ok(absent(&nic, &nic.mac));
        };
        bring_up(&cell.guest, &name, &options, mtu).await?;
        let text = text_if_there(&cell.guest, &format!("/sys/class/net/{name}/mtu")).await?;
        let set: u32 = text.as_deref().unwrap_or("0").parse().unwrap_or(0);
        let length = mtu - 100;
        let answered = echo(&cell.guest, &options, length, cell.pattern(0)).await?;
        let peer = cell.peer().await?;
        peer.settle().await.map_err(peer_error)?;
        let stats = peer.stats();
        Ok(Observations::of([
            Finding::guest_is("MTU", set, mtu),
            Finding::guest_is(format!("a datagram of {length} bytes came back unharmed"), answered, true),
            Finding::same("longest frame sent", length + HEADERS, stats.longest_from_guest).unit("B"),
            Finding::host_is("fragments from the guest", stats.fragments_from_guest, 0),
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
        needs: [Need::Host(Capability::HotplugNic), Need::Driver("virtio-net")],
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
        cell.hotplug()?.attach(&Attachment::Nic(nic.clone())).await?;
        let peer = Peer::start(cell.wires()?.frames(&nic.id).await?, options.clone()).map_err(peer_error)?;
        load::driver(cell, "virtio-net").await?;
        let Some(name) = interface(&cell.guest, &nic).await? else {
            return Ok(absent(&nic, &nic.mac));
        };
        bring_up(&cell.guest, &name, &options, 0).await?;
        let answered = echo(&cell.guest, &options, 1024, cell.pattern(0)).await?;
        let pinged = ping(&peer, &options).await?;
        let macs: Vec<Value> = peer.stats().guest_macs.keys().map(|m| m.to_string().into()).collect();
        cell.guest.net_down(&name).await?;
        let from = cell.events_so_far();
        cell.hotplug()?.detach(&nic.id).await?;
        let released = cell
            .event(from, "the guest to let go of the interface", SETTLE, |kind| match kind {
                EventKind::DeviceRemoved { id } | EventKind::DetachRefused { id } => *id == nic.id,
                _ => false,
            })
            .await?;
        let released = released.is_some_and(|e| matches!(e.kind, EventKind::DeviceRemoved { .. }));
        let gone = released && gone(&cell.guest, &name).await?;
        Ok(Observations::of([
            Finding::same("MAC addresses on the cable", vec![Value::from(nic.mac.as_str())], macs),
            Finding::same_as("the other side answered an echo", answered, pinged, true),
            Finding::same_as("the interface went away", gone, released, true),
        ]))
    }
}

/// Waits until the guest no longer lists the interface; false if it still does after the time.
async fn gone(guest: &Session, name: &str) -> Result<bool, CheckError> {
    let until = Instant::now() + SETTLE;
    loop {
        if !read::names(guest, "/sys/class/net").await?.iter().any(|n| n == name) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
