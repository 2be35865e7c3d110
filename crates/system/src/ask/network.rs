//! The network.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::Pattern;
use serde::{Deserialize, Serialize};

use crate::{Done, PatternDone, Told};

/// Bytes that an interface has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// An IPv4 address and a port.
pub type Endpoint = ([u8; 4], u16);

/// The network. Interfaces go by the guest's own name.
#[async_trait]
pub trait Network {
    /// The interfaces that have a device behind them, by name.
    async fn interfaces(&self) -> Told<Vec<String>>;

    /// One look for the interface of this MAC address.
    async fn interface(&self, mac: &str) -> Told<Option<String>>;

    /// Whether the guest still lists it.
    async fn has_interface(&self, name: &str) -> Told<bool>;

    /// Its MAC address, lower case.
    async fn mac(&self, name: &str) -> Told<String>;

    /// Its MTU.
    async fn mtu(&self, name: &str) -> Told<u32>;

    /// Whether it has a carrier.
    async fn carrier(&self, name: &str) -> Told<bool>;

    /// What it has counted.
    async fn counters(&self, name: &str) -> Told<Counters>;

    /// Brings it up with this address. An MTU of 0 leaves it as it is.
    async fn up(&self, name: &str, address: [u8; 4], prefix: u8, mtu: u32) -> Done;

    /// Takes it down.
    async fn down(&self, name: &str) -> Done;

    /// Connects, sends a pattern, waits for the other's close.
    async fn tcp_send(&self, to: Endpoint, length: u64, pattern: Pattern) -> Told<PatternDone>;

    /// Connects and reads to the end.
    async fn tcp_receive(&self, from: Endpoint, length: u64) -> Told<PatternDone>;

    /// Connects and keeps the connection in a slot (below 8).
    async fn tcp_open(&self, slot: u8, to: Endpoint) -> Done;

    /// The guest's side of an open connection to there; none if there is no such connection.
    async fn local_end(&self, of: Endpoint) -> Told<Option<Endpoint>>;

    /// Sends on a kept connection and waits for as many bytes. None if they did not come.
    async fn tcp_exchange(&self, slot: u8, data: &[u8], limit: Duration) -> Told<Option<Vec<u8>>>;

    /// Sends one datagram, unfragmented, and waits for it to come back. None if it did not.
    async fn udp_echo(
        &self,
        to: Endpoint,
        length: u32,
        pattern: Pattern,
        limit: Duration,
    ) -> Told<Option<PatternDone>>;
}
