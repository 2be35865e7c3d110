//! TCP and UDP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use hospitium_wire::{Refusal, Reply, Request};

use crate::session::{Session, pattern, sha256};

const LOCALHOST: [u8; 4] = [127, 0, 0, 1];

#[test]
fn tcp_and_udp_carry_the_pattern() {
    let mut probe = Session::start();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let length = 300_001;
    let expected = (sha256(&pattern(3, length)), length as u64);
    let server = std::thread::spawn(move || {
        let (mut received, mut echoed) = (Vec::new(), [0; 10]);
        let accept = || listener.accept().expect("a connection").0;
        accept().read_to_end(&mut received).expect("all of it");
        accept().write_all(&pattern(3, length)).expect("room");
        let mut kept = accept();
        kept.read_exact(&mut echoed).expect("ten bytes");
        kept.write_all(&echoed).expect("room");
        // Kept, and silent.
        (received, kept)
    });
    let (address, bytes) = (LOCALHOST, length as u64);
    assert_eq!(probe.digest(Request::TcpSend { address, port, length: bytes, seed: 3 }), expected);
    assert_eq!(probe.digest(Request::TcpReceive { address, port, length: u64::MAX }), expected);
    assert_eq!(probe.ask(Request::TcpOpen { slot: 0, address, port }), Reply::Done);
    let exchange = |limit_ms| Request::TcpExchange { slot: 0, data: b"ten bytes!", limit_ms };
    assert_eq!(probe.data(exchange(5000)), b"ten bytes!");
    let (received, kept) = server.join().expect("the server");
    assert_eq!(sha256(&received), expected.0);
    assert_eq!(probe.refusal(exchange(50)), Refusal::Timeout);
    drop(kept);
    let refused = Request::TcpOpen { slot: 1, address, port };
    assert_eq!(probe.failure(refused), 111, "ECONNREFUSED");

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = socket.local_addr().expect("its number").port();
    let echo = |length| Request::UdpEcho { address, port, length, seed: 4, limit_ms: 2000 };
    let server = std::thread::spawn(move || {
        let mut buffer = [0; 20000];
        let (count, from) = socket.recv_from(&mut buffer).expect("a datagram");
        socket.send_to(&buffer[..count], from).expect("room");
        // Kept, so that its port is not refused.
        socket
    });
    assert_eq!(probe.digest(echo(16384)), (sha256(&pattern(4, 16384)), 16384));
    assert_eq!(probe.refusal(echo(16385)), Refusal::Invalid);
    let _socket = server.join().expect("the server");
    assert_eq!(probe.refusal(echo(10)), Refusal::Timeout);
}
