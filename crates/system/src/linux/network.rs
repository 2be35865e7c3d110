//! The network of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_model::Pattern;

use super::{LinuxSystem, read};
use crate::ask::{Counters, Endpoint, Network};
use crate::{Done, PatternDone, SessionError, SystemError, Told};

const FOLDER: &str = "/sys/class/net";

/// Linux's names of interfaces have at most 15 bytes.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl LinuxSystem {
    async fn of_interface(&self, name: &str, file: &str) -> Done<Option<String>> {
        read::text_if_there(&self.session, &format!("{FOLDER}/{name}/{file}")).await
    }

    async fn number_of(&self, name: &str, file: &str) -> Done<u64> {
        let text = self.of_interface(name, file).await?.unwrap_or_default();
        text.parse().map_err(|_| SystemError::unreadable(format!("{name}'s {file}"), &text))
    }
}

#[async_trait]
impl Network for LinuxSystem {
    async fn interface(&self, mac: &str) -> Told<Option<String>> {
        for name in
            read::names(&self.session, FOLDER).await?.into_iter().filter(|n| is_interface(n))
        {
            let address = self.of_interface(&name, "address").await?;
            if address.is_some_and(|address| address.eq_ignore_ascii_case(mac)) {
                return Ok(Kernel.saw(Some(name)));
            }
        }
        Ok(Kernel.saw(None))
    }

    async fn has_interface(&self, name: &str) -> Told<bool> {
        let names = read::names(&self.session, FOLDER).await?;
        Ok(Kernel.saw(names.iter().any(|n| n == name)))
    }

    async fn mac(&self, name: &str) -> Told<String> {
        let text = self.of_interface(name, "address").await?.unwrap_or_default();
        Ok(Kernel.saw(text.to_ascii_lowercase()))
    }

    async fn mtu(&self, name: &str) -> Told<u32> {
        let mtu = self.number_of(name, "mtu").await?;
        Ok(Kernel.saw(u32::try_from(mtu).unwrap_or(u32::MAX)))
    }

    async fn carrier(&self, name: &str) -> Told<bool> {
        Ok(Kernel.saw(self.of_interface(name, "carrier").await?.as_deref() == Some("1")))
    }

    async fn counters(&self, name: &str) -> Told<Counters> {
        let sent = self.number_of(name, "statistics/tx_bytes").await?;
        let received = self.number_of(name, "statistics/rx_bytes").await?;
        Ok(Kernel.saw(Counters { sent, received }))
    }

    async fn up(&self, name: &str, address: [u8; 4], prefix: u8, mtu: u32) -> Done {
        Ok(self.session.net_up(name, address, prefix, mtu).await?)
    }

    async fn down(&self, name: &str) -> Done {
        Ok(self.session.net_down(name).await?)
    }

    async fn tcp_send(&self, to: Endpoint, length: u64, pattern: Pattern) -> Told<PatternDone> {
        Ok(Device.saw(self.session.tcp_send(to, length, pattern.seed()).await?))
    }

    async fn tcp_receive(&self, from: Endpoint, length: u64) -> Told<PatternDone> {
        Ok(Device.saw(self.session.tcp_receive(from, length).await?))
    }

    async fn tcp_open(&self, slot: u8, to: Endpoint) -> Done {
        Ok(self.session.tcp_open(slot, to).await?)
    }

    async fn tcp_exchange(&self, slot: u8, data: &[u8], limit: Duration) -> Told<Option<Vec<u8>>> {
        // A connection that broke is an answer: the guest says so with an errno.
        or_none(self.session.tcp_exchange(slot, data, limit).await)
    }

    async fn udp_echo(
        &self,
        to: Endpoint,
        length: u32,
        pattern: Pattern,
        limit: Duration,
    ) -> Told<Option<PatternDone>> {
        // No answer, no route, no link: the guest says so with an errno.
        or_none(self.session.udp_echo(to, length, pattern.seed(), limit).await)
    }
}

fn or_none<T>(answer: Result<T, SessionError>) -> Told<Option<T>> {
    match answer {
        Ok(value) => Ok(Device.saw(Some(value))),
        Err(SessionError::Guest { .. }) => Ok(Device.saw(None)),
        Err(other) => Err(other.into()),
    }
}
