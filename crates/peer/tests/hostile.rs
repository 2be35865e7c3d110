//! What a hostile guest sends does the peer no harm.

mod guest;

use std::time::Duration;

use guest::{Guest, LIMIT, MAC, PEER};
use hospitium_peer::{CableFault, Peer, PeerOptions, SINK_PORT, Service};
use proptest::prelude::*;
use smoltcp::socket::tcp;
use tokio::io::AsyncWriteExt as _;

/// The peer is alive: a new cable works at once.
async fn still_serves(peer: &Peer) {
    let (near, far) = tokio::io::duplex(64 << 10);
    peer.replug(near).await.expect("the peer is there");
    let mut guest = Guest::new(far, 1500);
    let from = peer.transfers().len();
    let handle = guest.connect(PEER, SINK_PORT, 50_000).await;
    let socket = guest.sockets.get_mut::<tcp::Socket>(handle);
    socket.send_slice(b"alive").expect("open");
    socket.close();
    let ended = |s: &mut smoltcp::iface::SocketSet<'static>| {
        let state = s.get::<tcp::Socket>(handle).state();
        matches!(state, tcp::State::TimeWait | tcp::State::Closed).then_some(())
    };
    guest.until("the close", ended).await;
    let (_, transfer) = peer.transfer_done(Service::Sink, from, LIMIT).await.expect("ends");
    assert_eq!(transfer.received, 5);
}

#[tokio::test]
async fn a_frame_too_long_ends_the_cable_and_says_why() {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let peer = Peer::start(near, PeerOptions::default()).expect("good options");
    far.write_all(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]).await.expect("writes");
    let stats =
        peer.wait_stats("the end", LIMIT, |stats| stats.fault.is_some()).await.expect("ends");
    assert_eq!(stats.fault, Some(CableFault::TooLong(u32::MAX)));
    still_serves(&peer).await;
}

#[tokio::test]
async fn a_guest_that_asks_and_never_reads_fills_no_memory() {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let peer = Peer::start(near, PeerOptions::default()).expect("good options");
    let mut arp = vec![0, 0, 0, 42];
    arp.extend([0xff; 6]);
    arp.extend(MAC);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(MAC);
    arp.extend([10, 77, 0, 2, 0, 0, 0, 0, 0, 0, 10, 77, 0, 1]);
    for _ in 0..100_000 {
        far.write_all(&arp).await.expect("the peer goes on reading");
    }
    let stats = peer.wait_guest_frame(99_999, LIMIT).await;
    assert_eq!(stats.expect("all read"), 100_000);
    peer.settle().await.expect("settles");
    assert!(peer.stats().dropped_to_guest > 10_000, "{:?}", peer.stats());
    drop(far);
    still_serves(&peer).await;
}

#[tokio::test]
async fn more_connections_than_it_takes_are_refused_and_later_ones_served() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let peer = Peer::start(near, PeerOptions::default()).expect("good options");
    let mut guest = Guest::new(far, 1500);
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 1000, "connections are bounded");
        let handle = guest.connect(PEER, SINK_PORT, 20_000 + open.len() as u16).await;
        if !guest.sockets.get::<tcp::Socket>(handle).is_open() {
            break handle;
        }
        open.push(handle);
    };
    assert!(open.len() >= 100 && refused != open[0]);
    let count = open.len() as u64;
    for handle in open {
        guest.sockets.get_mut::<tcp::Socket>(handle).abort();
    }
    guest.until("the resets to be sent", |_| Some(())).await;
    let all = |stats: &hospitium_peer::PeerStats| stats.resets_from_guest >= count;
    peer.wait_stats("the resets", LIMIT, all).await.expect("come");
    still_serves(&peer).await;
}

/// Frames that look right at the start and are broken further in.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let kind = prop_oneof![
        Just([8u8, 0]),
        Just([8, 0]),
        Just([8, 0]),
        Just([8, 6]),
        Just([0x81, 0]),
        any::<[u8; 2]>()
    ];
    let protocol = prop_oneof![Just(1u8), Just(6), Just(17), any::<u8>()];
    let port = prop_oneof![Just(7u16), Just(9), Just(19), Just(67), any::<u16>()];
    let fragment = prop_oneof![Just(0u16), Just(0x2000), any::<u16>()];
    (body, kind, protocol, port, fragment, any::<bool>()).prop_map(
        |(body, kind, protocol, port, fragment, mend)| {
            let mut frame = vec![0x52, 0x54, 0, 0x77, 0, 1];
            frame.extend(MAC);
            frame.extend(kind);
            if kind == [8, 0] {
                let length = (body.len() + 20) as u16;
                frame.extend([0x45, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([0, 9]);
                frame.extend(fragment.to_be_bytes());
                frame.extend([64, protocol, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]);
            }
            let start = frame.len();
            frame.extend(&body);
            if kind == [8, 0] && body.len() > 20 {
                frame[start + 2..start + 4].copy_from_slice(&port.to_be_bytes());
                if protocol == 6 {
                    frame[start + 12] = 0x50 | frame[start + 12] & 0x30;
                }
            }
            if mend {
                mend_checksums(&mut frame);
            }
            frame
        },
    )
}

fn mend_checksums(frame: &mut [u8]) {
    use smoltcp::wire::{Icmpv4Packet, Ipv4Packet, TcpPacket, UdpPacket};
    let Ok(mut packet) = Ipv4Packet::new_checked(&mut frame[14..]) else {
        return;
    };
    packet.fill_checksum();
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let protocol = u8::from(packet.next_header());
    let payload = packet.payload_mut();
    match protocol {
        1 if payload.len() >= 8 => Icmpv4Packet::new_unchecked(payload).fill_checksum(),
        6 if payload.len() >= 20 => TcpPacket::new_unchecked(payload).fill_checksum(&from, &to),
        17 if payload.len() >= 8 => {
            let length = payload.len() as u16;
            let mut datagram = UdpPacket::new_unchecked(payload);
            datagram.set_len(length);
            datagram.fill_checksum(&from, &to);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_frames_are_counted_and_the_peer_serves_on(frames in prop::collection::vec(frame(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let peer = Peer::start(near, PeerOptions::default()).expect("good options");
            for frame in &frames {
                far.write_all(&(frame.len() as u32).to_be_bytes()).await.expect("writes");
                far.write_all(frame).await.expect("writes");
            }
            peer.wait_guest_frame(frames.len() as u64 - 1, Duration::from_secs(10)).await.expect("all taken");
            still_serves(&peer).await;
        });
    }

    #[test]
    fn a_garbage_stream_ends_or_is_counted(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let peer = Peer::start(near, PeerOptions::default()).expect("good options");
            far.write_all(&bytes).await.expect("writes");
            drop(far);
            peer.wait_stats("the end", LIMIT, |stats| stats.fault.is_some()).await.expect("ends");
            still_serves(&peer).await;
        });
    }
}
