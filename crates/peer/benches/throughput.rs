//! How fast a peer moves data, against a second stack over an in-memory cable. Prints, asserts only
//! that the data is right. Argument: MiB each way (64 by default).

#[path = "../tests/guest/mod.rs"]
mod guest;

use std::time::{Duration, Instant};

use guest::{Guest, PEER};
use hospitium_model::Pattern;
use hospitium_peer::{Peer, PeerOptions, SINK_PORT, SOURCE_PORT, Service, Source};
use smoltcp::socket::tcp;

const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    // Cargo passes `--bench` too.
    let mebibytes =
        std::env::args().skip(1).find_map(|word| word.parse::<u64>().ok()).unwrap_or(64);
    for mtu in [1500, 9000] {
        let length = mebibytes << 20;
        let source = Source { pattern: Pattern::seeded(9), length };
        let (near, far) = tokio::io::duplex(1 << 20);
        let options = PeerOptions { mtu: mtu as u16, source, ..PeerOptions::default() };
        let peer = Peer::start(near, options).expect("good options");
        let mut guest = Guest::new(far, mtu);
        let digest = source.pattern.digest(length);
        let chunk: Vec<u8> = {
            let mut bytes = vec![0; length as usize];
            source.pattern.fill(0, &mut bytes);
            bytes
        };

        let began = Instant::now();
        let handle = guest.connect(PEER, SINK_PORT, 40_000).await;
        let mut sent = 0;
        guest
            .until("all to be sent", |sockets| {
                let socket = sockets.get_mut::<tcp::Socket>(handle);
                while sent < chunk.len() && socket.can_send() {
                    sent += socket.send_slice(&chunk[sent..]).expect("open");
                }
                if sent == chunk.len() {
                    socket.close();
                }
                matches!(socket.state(), tcp::State::TimeWait | tcp::State::Closed).then_some(())
            })
            .await;
        let (_, transfer) = peer.transfer_done(Service::Sink, 0, LIMIT).await.expect("ends");
        assert_eq!(transfer.digest(), Some(digest));
        report("to the peer", mtu, length, began.elapsed());

        let began = Instant::now();
        let handle = guest.connect(PEER, SOURCE_PORT, 40_001).await;
        let mut received = 0;
        guest
            .until("all to be received", |sockets| {
                let socket = sockets.get_mut::<tcp::Socket>(handle);
                while socket.can_recv() {
                    received += socket.recv(|data| (data.len(), data.len())).expect("open");
                }
                (!socket.may_recv()).then(|| socket.close())
            })
            .await;
        assert_eq!(received as u64, length);
        report("from the peer", mtu, length, began.elapsed());
    }
}

fn report(what: &str, mtu: usize, length: u64, took: Duration) {
    let rate = length as f64 / took.as_secs_f64() / 1e6;
    println!("{what:>14}, MTU {mtu}: {} MiB in {took:.3?}, {rate:.0} MB/s", length >> 20);
}
