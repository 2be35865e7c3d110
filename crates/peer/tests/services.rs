//! What a peer does for a guest, and what it witnesses of it.

mod guest;

use std::net::Ipv4Addr;
use std::time::Duration;

use guest::{ADDRESS, Guest, LIMIT, MAC, PEER};
use hospitium_model::{Digest, Pattern};
use hospitium_peer::{
    CableFault, Capture, ECHO_PORT, FrameKind, Mac, Peer, PeerError, PeerOptions, SINK_PORT,
    SOURCE_PORT, Service, Source, TransferEnd, Vlan,
};
use smoltcp::socket::{dhcpv4, tcp, udp};

fn pair(options: PeerOptions, mtu: usize) -> (Peer, Guest) {
    let (near, far) = tokio::io::duplex(64 << 10);
    (Peer::start(near, options).expect("good options"), Guest::new(far, mtu))
}

fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Pattern::seeded(seed).fill(0, &mut bytes);
    bytes
}

/// Sends all and closes, waits until the peer has closed too.
async fn send(guest: &mut Guest, handle: smoltcp::iface::SocketHandle, bytes: &[u8]) {
    let mut sent = 0;
    guest
        .until("all to be sent", |sockets| {
            let socket = sockets.get_mut::<tcp::Socket>(handle);
            if sent < bytes.len() && socket.can_send() {
                sent += socket.send_slice(&bytes[sent..]).expect("open");
                if sent == bytes.len() {
                    socket.close();
                }
            }
            matches!(socket.state(), tcp::State::TimeWait | tcp::State::Closed).then_some(())
        })
        .await;
}

async fn receive(guest: &mut Guest, handle: smoltcp::iface::SocketHandle) -> Vec<u8> {
    let mut all = Vec::new();
    guest
        .until("all to be received", |sockets| {
            let socket = sockets.get_mut::<tcp::Socket>(handle);
            while socket.can_recv() {
                socket.recv(|data| (data.len(), all.extend_from_slice(data))).expect("open");
            }
            (!socket.may_recv()).then(|| socket.close())
        })
        .await;
    all
}

#[tokio::test]
async fn the_sinks_digest_is_of_what_the_guest_sent() {
    let (peer, mut guest) = pair(PeerOptions::default(), 1500);
    let bytes = pattern(1, 3_000_001);
    let handle = guest.connect(PEER, SINK_PORT, 40_000).await;
    send(&mut guest, handle, &bytes).await;
    let (number, transfer) = peer.transfer_done(Service::Sink, 0, LIMIT).await.expect("ends");
    assert_eq!((number, transfer.received), (0, 3_000_001));
    assert_eq!(transfer.digest(), Some(Digest::of(&bytes)));
    assert_eq!(transfer.guest.to_string(), "10.77.0.2:40000");
    let stats = peer.stats();
    assert!(stats.bytes_from_guest > 3_000_001 && stats.longest_from_guest == 1514, "{stats:?}");
    assert_eq!(stats.guest_macs.keys().collect::<Vec<_>>(), [&Mac(MAC)]);
    assert!(stats.guest_addresses.contains(&ADDRESS));
    assert_eq!(
        (stats.checksums_wrong, stats.malformed_from_guest, stats.resets_from_guest),
        (0, 0, 0)
    );
    assert!(stats.checksums_right > 2000);
}

#[tokio::test]
async fn the_source_sends_its_pattern_and_closes() {
    let source = |seed, length| Source { pattern: Pattern::seeded(seed), length };
    let (peer, mut guest) =
        pair(PeerOptions { source: source(5, 1_000_003), ..PeerOptions::default() }, 1500);
    let handle = guest.connect(PEER, SOURCE_PORT, 40_000).await;
    assert!(receive(&mut guest, handle).await == pattern(5, 1_000_003));
    peer.set_source(source(6, 10)).await.expect("sets");
    let handle = guest.connect(PEER, SOURCE_PORT, 40_001).await;
    assert_eq!(receive(&mut guest, handle).await, pattern(6, 10));
    guest
        .until("the close", |sockets| (!sockets.get::<tcp::Socket>(handle).is_open()).then_some(()))
        .await;
    let (_, transfer) = peer.transfer_done(Service::Source, 0, LIMIT).await.expect("ends");
    assert_eq!(transfer.digest(), Some(Pattern::seeded(5).digest(1_000_003)));
    let (number, transfer) = peer.transfer_done(Service::Source, 1, LIMIT).await.expect("ends");
    assert_eq!((number, transfer.digest()), (1, Some(Pattern::seeded(6).digest(10))));
}

#[tokio::test]
async fn a_card_that_loses_what_it_has_no_room_for_still_gets_everything() {
    let source = Source { pattern: Pattern::seeded(7), length: 2_000_003 };
    // As between processes, the cable holds a whole window. A peer that sends one whole after each loss comes to
    // no end.
    let (near, far) = tokio::io::duplex(1 << 20);
    let options = PeerOptions { source, ..PeerOptions::default() };
    let (_peer, mut guest) =
        (Peer::start(near, options).expect("good options"), Guest::new(far, 1500));
    guest.device.descriptors = 16;
    let handle = guest.connect(PEER, SOURCE_PORT, 40_000).await;
    assert!(receive(&mut guest, handle).await == pattern(7, 2_000_003));
}

#[tokio::test]
async fn an_echo_connection_outlives_a_change_of_cable() {
    let (peer, mut guest) = pair(PeerOptions::default(), 1500);
    let handle = guest.connect(PEER, ECHO_PORT, 40_000).await;
    let say = async |guest: &mut Guest, text: &'static [u8]| {
        guest.sockets.get_mut::<tcp::Socket>(handle).send_slice(text).expect("open");
        let mut heard = Vec::new();
        guest
            .until("the echo", |sockets| {
                let socket = sockets.get_mut::<tcp::Socket>(handle);
                if socket.can_recv() {
                    socket.recv(|data| (data.len(), heard.extend_from_slice(data))).expect("open");
                }
                (heard.len() >= text.len()).then_some(())
            })
            .await;
        assert_eq!(heard, text);
    };
    say(&mut guest, b"before").await;
    let (near, far) = tokio::io::duplex(64 << 10);
    peer.replug(near).await.expect("replugs");
    guest.replug(far);
    say(&mut guest, b"after").await;
    assert_eq!((peer.stats().plugged, peer.stats().fault), (2, None));
    assert_eq!((peer.transfers()[0].received, peer.transfers()[0].end), (11, None));
}

#[tokio::test]
async fn a_jumbo_datagram_comes_back_whole_and_a_larger_one_in_fragments() {
    let (peer, mut guest) = pair(PeerOptions { mtu: 9000, ..PeerOptions::default() }, 9000);
    let handle = guest.udp(5000);
    let echo = async |guest: &mut Guest, length: usize| {
        let bytes = pattern(length as u64, length);
        let socket = guest.sockets.get_mut::<udp::Socket>(handle);
        socket.send_slice(&bytes, (PEER, ECHO_PORT)).expect("queued");
        let back = guest
            .until("the echo", |sockets| {
                let socket = sockets.get_mut::<udp::Socket>(handle);
                socket.recv().ok().map(|(data, _)| data.to_vec())
            })
            .await;
        assert!(back == bytes, "{length}");
    };
    echo(&mut guest, 0).await;
    echo(&mut guest, 8972).await;
    let stats = peer.stats();
    assert_eq!((stats.fragments_from_guest, stats.longest_from_guest), (0, 9014));
    echo(&mut guest, 20_000).await;
    let stats = peer.stats();
    assert_eq!((stats.fragments_from_guest, stats.fragments_to_guest), (3, 3));
}

#[tokio::test]
async fn a_guest_gets_its_lease_and_its_gateway() {
    let (peer, mut guest) = pair(PeerOptions::default(), 1500);
    guest.interface.update_ip_addrs(|all| all.clear());
    let handle = guest.sockets.add(dhcpv4::Socket::new());
    let config = guest
        .until("the configuration", |sockets| {
            match sockets.get_mut::<dhcpv4::Socket>(handle).poll() {
                Some(dhcpv4::Event::Configured(config)) => Some((config.address, config.router)),
                _ => None,
            }
        })
        .await;
    assert_eq!((config.0.to_string(), config.1), ("10.77.0.2/24".into(), Some(PEER)));
    let lease = peer.wait_lease(0, LIMIT).await.expect("a lease");
    assert_eq!((lease.mac, lease.address, lease.vlan), (Mac(MAC), ADDRESS, None));
    assert!(matches!(peer.wait_lease(1, Duration::ZERO).await, Err(PeerError::TimedOut { .. })));
}

#[tokio::test]
async fn the_guest_answers_the_peers_ping() {
    let (peer, mut guest) = pair(PeerOptions::default(), 1500);
    tokio::select! {
        took = peer.ping(ADDRESS, 1400, LIMIT) => drop(took.expect("an answer")),
        () = guest.until("nothing", |_| None) => {}
    }
    let answered = |r: &hospitium_peer::FrameRecord| {
        matches!(r.frame.kind, FrameKind::Icmp { message: 0, .. })
    };
    assert!(peer.log().iter().any(|record| record.from_guest && answered(record)));
}

#[tokio::test]
async fn a_vlan_is_served_and_others_are_counted_and_isolated() {
    let address = Ipv4Addr::new(10, 78, 0, 1);
    let vlan = Vlan { id: 5, address, prefix: 24, guest: Ipv4Addr::new(10, 78, 0, 2) };
    let (peer, mut guest) = pair(PeerOptions { vlan: Some(vlan), ..PeerOptions::default() }, 1500);
    guest.set_address(vlan.guest);
    guest.device.tag = Some(5);
    let handle = guest.connect(address, SINK_PORT, 40_000).await;
    send(&mut guest, handle, b"tagged").await;
    let (_, transfer) = peer.transfer_done(Service::Sink, 0, LIMIT).await.expect("ends");
    assert_eq!((transfer.vlan, transfer.digest()), (Some(5), Some(Digest::of(b"tagged"))));
    let (count, to_guest) = (peer.stats().frames_from_guest, peer.stats().frames_to_guest);
    // ARP for the VLAN's address, untagged and with another tag: nobody is there.
    let mut arp = vec![0xff; 6];
    arp.extend(MAC);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(MAC);
    arp.extend([10, 78, 0, 2, 0, 0, 0, 0, 0, 0, 10, 78, 0, 1]);
    guest.raw(&arp);
    arp.splice(12..12, [0x81, 0, 0, 6]);
    guest.raw(&arp);
    guest.until("nothing", |_| Some(())).await;
    peer.wait_guest_frame(count + 1, LIMIT).await.expect("both came");
    peer.settle().await.expect("settles");
    let stats = peer.stats();
    assert_eq!(stats.frames_to_guest, to_guest);
    assert_eq!(stats.tagged_from_guest[&6], 1);
}

#[tokio::test]
async fn a_closed_port_resets_and_both_sides_are_counted() {
    let (peer, mut guest) = pair(PeerOptions::default(), 1500);
    let handle = guest.connect(PEER, 4444, 40_000).await;
    assert!(!guest.sockets.get::<tcp::Socket>(handle).is_open());
    let handle = guest.connect(PEER, SINK_PORT, 40_001).await;
    guest.sockets.get_mut::<tcp::Socket>(handle).abort();
    guest.until("the reset to be sent", |_| Some(())).await;
    let (_, transfer) = peer.transfer_done(Service::Sink, 0, LIMIT).await.expect("ends");
    assert_eq!(transfer.end.map(|(end, _)| end), Some(TransferEnd::Broken));
    assert_eq!((peer.stats().resets_to_guest, peer.stats().resets_from_guest), (1, 1));
}

#[tokio::test]
async fn a_capture_holds_the_frames_and_stops_at_its_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.pcap");
    let capture = Some(Capture { path: path.clone(), limit: 20_000 });
    let (peer, mut guest) = pair(PeerOptions { capture, ..PeerOptions::default() }, 1500);
    let handle = guest.connect(PEER, SINK_PORT, 40_000).await;
    send(&mut guest, handle, &[7; 100_000]).await;
    peer.settle().await.expect("settles");
    let file = std::fs::read(path).expect("is there");
    let stats = peer.stats();
    assert!(file.len() <= 20_000 && stats.capture_ended.is_some());
    let (mut at, mut frames) = (24, 0);
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 8..at + 12].try_into().expect("four"));
        at += 16 + length as usize;
        frames += 1;
    }
    assert_eq!((at, frames), (file.len(), stats.captured));
}

#[tokio::test]
async fn a_pulled_cable_is_told_and_waits_end_in_time() {
    let (peer, guest) = pair(PeerOptions::default(), 1500);
    drop(guest);
    let stats =
        peer.wait_stats("the end", LIMIT, |stats| stats.fault.is_some()).await.expect("ends");
    assert_eq!(stats.fault, Some(CableFault::Closed));
    let late = peer.wait_lease(0, Duration::from_millis(10)).await.expect_err("no lease");
    assert!(late.to_string().contains("the cable is out: the other side closed it"), "{late}");
    let unplugged = peer.ping(ADDRESS, 10, Duration::from_millis(10)).await;
    assert!(matches!(unplugged, Err(PeerError::TimedOut { .. })));
}
