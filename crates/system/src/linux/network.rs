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
    async fn interfaces(&self) -> Told<Vec<String>> {
        let mut names = Vec::new();
        for name in read::names(&self.session, FOLDER).await? {
            if is_interface(&name)
                && read::link_name(&self.session, &format!("{FOLDER}/{name}/device"))
                    .await?
                    .is_some()
            {
                names.push(name);
            }
        }
        Ok(Kernel.saw(names))
    }

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

    async fn local_end(&self, of: Endpoint) -> Told<Option<Endpoint>> {
        let table = read::text(&self.session, "/proc/net/tcp").await?;
        Ok(Kernel.saw(local_end(&table, of)))
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

/// The local side of the connection to `remote`, by `/proc/net/tcp` (net/ipv4/tcp_ipv4.c, `get_tcp4_sock`).
fn local_end(table: &str, remote: Endpoint) -> Option<Endpoint> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, other) = (endpoint(words.next()?)?, endpoint(words.next()?)?);
        (other == remote).then_some(local)
    })
}

/// `0100007F:0016`: an address as the bytes of the machine's own (little-endian) number, and a port.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?.to_le_bytes();
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

fn or_none<T>(answer: Result<T, SessionError>) -> Told<Option<T>> {
    match answer {
        Ok(value) => Ok(Device.saw(Some(value))),
        Err(SessionError::Guest { .. }) => Ok(Device.saw(None)),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use hospitium_model::GuestKind;
    use hospitium_wire::{Reply, Request};

    use super::*;
    use crate::linux::stand_in::{Folders, system};

    #[test]
    fn the_own_side_of_a_connection_is_found_by_the_other() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
               0: 00000000:0016 00000000:0000 0A 00000000:00000000\n\
               1: 02004D0A:C001 01004D0A:0007 01 00000000:00000000\n   2: junk\n";
        let found = local_end(table, ([10, 77, 0, 1], 7));
        assert_eq!(found, Some(([10, 77, 0, 2], 0xC001)));
        assert_eq!(local_end(table, ([10, 77, 0, 1], 8)), None);
        assert_eq!(local_end("", ([10, 77, 0, 1], 7)), None);
    }

    #[tokio::test]
    async fn only_interfaces_with_a_device_behind_them_are_the_machines() {
        let folders: Folders = &[("/sys/class/net", &["lo", "eth0", "bonding_masters", "tun0"])];
        let system = system(GuestKind::Disk, folders, |asked| match *asked {
            Request::ReadLink { path: "/sys/class/net/eth0/device" } => {
                Some(Reply::Data { data: b"../../../virtio3" })
            }
            _ => None,
        });
        assert_eq!(system.interfaces().await.expect("answers").value, ["eth0"]);
    }
}
